//! The guard: a process between optim and a program of one's own, so that the program ends with optim.
//!
//! An optim that is killed can end nobody. So it starts a guard, as the leader of a process group, and the
//! guard starts the program in that group. The guard's stdin is the thread that both hang on: one line
//! with the request, and then nothing until it ends. It ends when optim does, however that happens, and
//! then the guard kills the group. Stdout and stderr are the program's; the guard ends as the program does.
//!
//! The guard is a program that calls [`run`]; who has none starts programs without one.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::thread;

use optim_core::node_io::{ErrorClass, NodeError, NodeResponse};
use optim_core::outcome::Usage;
use rustix::process::{Signal, getpid, kill_current_process_group, kill_process, setpgid};

/// The end of the request on the guard's stdin. JSON on one line has no other.
pub(super) const REQUEST_END: u8 = b'\n';

/// How a guard is started.
#[derive(Debug, Clone)]
pub struct Guard {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Guard {
    /// The guard is `program`, which calls [`run`] with what follows these arguments.
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments }
    }

    /// A command that starts `program` under guard. Arguments that are added are the program's.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(program);
        command
    }
}

/// Is the guard of `program`, in a process of its own that does nothing else; says how it should exit.
///
/// A program that cannot be started is answered for, as the machine's fault.
#[must_use]
pub fn run(program: &OsStr, arguments: &[OsString]) -> ExitCode {
    // Only a leader may kill its group. Who is none becomes one; who leads a session is one already.
    setpgid(None, None).unwrap_or_default();
    let Some(request) = request() else { return ExitCode::FAILURE };
    let mut command = Command::new(program);
    let status = command.args(arguments).stdin(Stdio::piped()).spawn().and_then(|mut child| {
        let stdin = child.stdin.take();
        thread::spawn(move || feed(stdin, &request));
        thread::spawn(end_with_optim);
        child.wait()
    });
    match status {
        Ok(status) => end_as(status),
        Err(error) => answer_for(program, &error),
    }
}

/// The request, without the end of its line; `None` when optim ended before it was said.
fn request() -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let read = std::io::stdin().lock().read_until(REQUEST_END, &mut line);
    let whole = read.is_ok() && line.pop() == Some(REQUEST_END);
    whole.then_some(line)
}

/// Hands the request over. A program that does not read it is free to answer all the same.
fn feed(stdin: Option<ChildStdin>, request: &[u8]) {
    if let Some(mut stdin) = stdin {
        stdin.write_all(request).unwrap_or_default();
    }
}

/// Waits until optim ends, and kills this process with its group.
fn end_with_optim() {
    let mut rest = [0; 64];
    let mut stdin = std::io::stdin().lock();
    while stdin.read(&mut rest).is_ok_and(|bytes| bytes > 0) {}
    kill_current_process_group(Signal::KILL).unwrap_or_default();
}

/// Ends this process as `status` says: by the same signal, or with the same code.
fn end_as(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal().and_then(Signal::from_named_raw) {
        // The handler that Rust has for faults of memory lets the first one pass.
        for _ in 0..2 {
            kill_process(getpid(), signal).unwrap_or_default();
        }
    }
    // A signal that does not end this process is told as a shell would.
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Says in the program's place that it cannot be started.
fn answer_for(program: &OsStr, error: &std::io::Error) -> ExitCode {
    let message = format!("{} cannot be started: {error}", program.display());
    let result = Err(NodeError::new(ErrorClass::Provider, message));
    let answer = NodeResponse { result, usage: Usage::default() };
    match serde_json::to_writer(std::io::stdout(), &answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
