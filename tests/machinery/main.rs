//! `cargo xtask crash | kill9 | sim | soak`: campaigns and workflow runs on the real loops and stores, while the
//! world stops, fails and dies. `docs/reliability.md` says what each of them proves.
#![expect(clippy::print_stdout, reason = "a report for the person who runs it")]

mod agent;
mod arguments;
mod crash;
mod draw;
mod kill9;
mod sim;
mod soak;
mod tally;
mod world;

use std::process::ExitCode;

use arguments::Arguments;

/// What goes wrong is told to a person.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: cargo xtask crash|kill9|sim|soak [--seed S] [--cycles N] …
  crash   --seed S      of which scenario the world stops; all of them without it
  kill9   --cycles N --seed S
  sim     --seed S --seeds N --hours H
  soak    --days N";

fn main() -> Outcome<ExitCode> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let tally = match arguments.verb.as_str() {
        "crash" => crash::run(&arguments)?,
        "kill9" => kill9::run(&arguments)?,
        "sim" => sim::run(&arguments)?,
        "soak" => soak::run(&arguments)?,
        _ => return Err(USAGE.into()),
    };
    tally.report()
}
