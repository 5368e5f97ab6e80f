//! Developer commands of optim; [`USAGE`] lists them.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool talks to the terminal it was started in"
)]

mod advisories;
mod ci;
mod defects;
mod fuzz_smoke;
mod machinery;
mod model;
mod powerloss;
mod shuffled;
mod smoke;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;

const USAGE: &str = "usage: cargo xtask COMMAND

  advisories CLONE takes what RustSec knows of our dependencies out of a clone of its database
  ci      everything that must hold before a change is merged, step by step
  crash   stops the world at every operation of the store, in every scenario or the one of --seed N
  defects breaks a copy of the sources where an entry of tests/defects says so, and demands that the
          test of the entry fails: the entries marked `replay`, with --all every one, with --id D9 D31
          those of these numbers; with --write writes docs/defects.md instead
  fuzz-smoke runs every fuzz target for 20 seconds, or as many as --seconds N says
  kill9   kills the binary under load until --cycles N kills have counted, at the moments of --seed S
  model   walks over the state machines and the store at random, [--cases N] sequences
  powerloss cuts the power under a store, on file systems that are shut down and in states of the disk that are
          made from a record: [--ext4 N] [--xfs N] [--states N] [--seed S]; as root
  shuffled runs campaigns on the example with its labels shuffled: none but one of twenty may find something
  sim     --hours H of virtual time over --seeds N seeds from --seed S on, in which everything goes wrong
  smoke   runs the demo of a release build and checks the document that it prints
  tidy    checks the rules that no compiler checks";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["advisories", clone] => advisories::write(clone),
        ["ci"] => ci::run(),
        ["defects"] => defects::replay(|defect| defect.replay),
        ["defects", "--all"] => defects::replay(|_| true),
        ["defects", "--id", ids @ ..] => {
            defects::replay(|defect| ids.contains(&defect.id.to_string().as_str()))
        }
        ["defects", "--write"] => defects::write(),
        ["model", arguments @ ..] => model::run(arguments),
        ["powerloss", arguments @ ..] => powerloss::run(arguments),
        ["fuzz-smoke"] => fuzz_smoke::run(fuzz_smoke::SECONDS),
        ["fuzz-smoke", "--seconds", seconds] => match seconds.parse() {
            Ok(seconds) => fuzz_smoke::run(seconds),
            Err(error) => Err(anyhow::anyhow!("--seconds {seconds}: {error}")),
        },
        [verb @ ("crash" | "kill9" | "sim" | "soak"), arguments @ ..] => {
            machinery::run(verb, arguments)
        }
        ["shuffled"] => shuffled::run(),
        ["smoke"] => smoke::run(),
        ["tidy"] => tidy::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace around the current directory.
fn root() -> anyhow::Result<PathBuf> {
    let manifest = output(cargo(&["locate-project", "--workspace", "--message-format", "plain"]))?;
    let root = PathBuf::from(manifest.trim()).parent().map(PathBuf::from);
    root.context("cargo named a manifest without a folder")
}

/// Has `command` make its files in memory, where there is such a file system: the disk is not what is
/// tested.
fn in_memory(command: &mut Command) -> &mut Command {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { command.env("TMPDIR", memory) } else { command }
}

/// A call of cargo that never waits for input.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).stdin(Stdio::null());
    // Cargo told this process about xtask. The build script of ring looks at that, and ring with all that needs
    // it would be built once more.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_about_a_package) {
            command.env_remove(name);
        }
    }
    command
}

fn is_about_a_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// What `command` prints on stdout; its stderr is shown.
fn output(mut command: Command) -> anyhow::Result<String> {
    let done = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{command:?} does not start"))?;
    anyhow::ensure!(done.status.success(), "{command:?} failed: {}", done.status);
    String::from_utf8(done.stdout).with_context(|| format!("{command:?} printed no UTF-8"))
}
