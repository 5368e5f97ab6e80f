//! The guard: a process between optim and a program of one's own, so that the program ends with optim.
//!
//! An optim that is killed can end nobody. So it starts a guard, as the leader of a process group, and the
//! guard starts the program in that group. The guard's stdin is the thread that both hang on: one line
//! with the request, and then nothing until it ends. It ends when optim does, however that happens, or when
//! optim lets go of it, and then the guard kills the program. When the program has ended, the guard kills
//! all that it left behind, also what has left the group, and ends as the program did. Stdout and stderr are
//! the program's.
//!
//! The guard is a program that calls [`run`], and with the word [`WALL`] the process behind a wall; who has
//! none starts programs without one.

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

/// The word after which the program that guards expects a wall and a program: see [`walls::inside`].
///
/// [`walls::inside`]: super::walls::inside
pub const WALL: &str = "wall";

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

    /// A command that starts `program` under guard and behind `wall`.
    pub(super) fn walled(&self, wall: &str, program: &Path) -> Command {
        let mut command = self.command(&self.program);
        command.args([OsStr::new(WALL), OsStr::new(wall)]).arg(program);
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
    orphans::adopt();
    match Command::new(program).args(arguments).stdin(Stdio::piped()).spawn() {
        Ok(mut child) => {
            let stdin = child.stdin.take();
            thread::spawn(move || feed(stdin, &request));
            thread::spawn(end_with_optim);
            let status = orphans::end_of(&mut child);
            status.map_or(ExitCode::FAILURE, end_as)
        }
        Err(error) => answer_for(&format!("{} cannot be started: {error}", program.display())),
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

/// Waits until optim ends, or lets the guard go, and kills what the guard has started.
fn end_with_optim() {
    let mut rest = [0; 64];
    let mut stdin = std::io::stdin().lock();
    while stdin.read(&mut rest).is_ok_and(|bytes| bytes > 0) {}
    if !orphans::kill_children() {
        kill_current_process_group(Signal::KILL).unwrap_or_default();
    }
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

/// Says in a program's place that it cannot be executed, and why.
pub(super) fn answer_for(why: &str) -> ExitCode {
    let result = Err(NodeError::new(ErrorClass::Provider, why));
    let answer = NodeResponse { result, usage: Usage::default() };
    match serde_json::to_writer(std::io::stdout(), &answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What a program leaves behind, on Linux: whoever loses its parent gets the guard for one, also when it has
/// left the group, and so the guard finds it.
#[cfg(target_os = "linux")]
mod orphans {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, ExitStatus};

    use rustix::io::Errno;
    use rustix::process::{
        Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait,
    };

    /// Makes this process the parent of all that lose theirs.
    pub(super) fn adopt() {
        set_child_subreaper(Some(getpid())).unwrap_or_default();
    }

    /// Waits until `child` has ended, and then until all that it left behind is dead.
    pub(super) fn end_of(child: &mut Child) -> Option<ExitStatus> {
        let program = i32::try_from(child.id()).ok();
        let mut ended = None;
        loop {
            if ended.is_some() && !kill_children() {
                return ended;
            }
            match wait(WaitOptions::empty()) {
                Ok(Some((id, status))) if Some(id.as_raw_nonzero().get()) == program => {
                    ended = Some(ExitStatus::from_raw(status.as_raw()));
                }
                Ok(_) | Err(Errno::INTR) => {}
                // There are no children left.
                Err(_) => return ended,
            }
        }
    }

    /// Kills every child of this process; `false` when they cannot be listed. What they started comes to
    /// this process when they are dead.
    pub(super) fn kill_children() -> bool {
        let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return false };
        let mut are_listed = false;
        for thread in threads.flatten() {
            let Ok(children) = std::fs::read_to_string(thread.path().join("children")) else {
                continue;
            };
            are_listed = true;
            let ids = children.split_whitespace().filter_map(|id| id.parse().ok());
            for child in ids.filter_map(Pid::from_raw) {
                kill_process(child, Signal::KILL).unwrap_or_default();
            }
        }
        are_listed
    }
}

/// Other systems have no such parent: what is killed is the group.
#[cfg(not(target_os = "linux"))]
mod orphans {
    use std::process::{Child, ExitStatus};

    pub(super) fn adopt() {}

    pub(super) fn end_of(child: &mut Child) -> Option<ExitStatus> {
        child.wait().ok()
    }

    pub(super) fn kill_children() -> bool {
        false
    }
}
