//! The binary `optim`.

use std::process::ExitCode;

fn main() -> ExitCode {
    optim_server::cli::main()
}
