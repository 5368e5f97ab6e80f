//! The process that takes its rights away from itself and becomes the program.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Wall, kernel};
use crate::executor::guard::answer_for;

/// Becomes `program` behind the wall that `wall` says, as JSON. Returns when that is not possible, with how
/// this process should exit; the machine is blamed in the program's place.
#[must_use]
pub fn run(wall: &OsStr, program: &OsStr, arguments: &[OsString]) -> ExitCode {
    match confine(wall) {
        Ok(()) => {
            let error = Command::new(program).args(arguments).exec();
            answer_for(&format!("{} cannot be started: {error}", program.display()))
        }
        Err(error) => answer_for(&format!("{} cannot be contained: {error}", program.display())),
    }
}

/// Takes the rights of this thread away, and of what it becomes and starts.
fn confine(wall: &OsStr) -> Result<(), String> {
    let wall: Wall = serde_json::from_slice(wall.as_encoded_bytes())
        .map_err(|error| format!("the wall is not readable: {error}"))?;
    let limit = |resource, bytes| {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        setrlimit(resource, limit).map_err(|error| format!("a limit cannot be set: {error}"))
    };
    limit(Resource::Fsize, wall.file_bytes)?;
    // A core would hold the environment.
    limit(Resource::Core, 0)?;
    kernel::confine(&wall)
}
