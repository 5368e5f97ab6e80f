//! `process`: a program of one's own. The request goes to its stdin as one JSON document, the answer
//! comes from its stdout as one JSON document.
//!
//! The program runs in a process group of its own and in the scratch copy. The whole group is killed
//! when the attempt ends, is cancelled, times out, or answers too much, and under a [`Guard`] also when
//! optim is killed. Under one, an evaluation's program is behind a [`Wall`], and what leaves the group
//! (`setsid`) is killed, too; without one it is neither found again nor waited for. Of the environment the
//! program sees what the settings name, and PATH; behind a wall its folder for temporary files is the scratch
//! copy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use optim_core::digest::Digest;
use optim_core::id::ProviderId;
use optim_core::node_io::{Attempt, ErrorClass, NodeError, NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_core::workflow::{Agent, Workflow};
use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Notify;

use super::guard::{Guard, REQUEST_END};
use super::redaction;
use super::walls::{self, Enforce, Wall, Walls, home, outgrown, reach};
use super::{Capabilities, NodeExecutor, abridged};

/// What is kept of the end of a program's stderr, for its error message.
const STDERR_BYTES_MAX: usize = 64 * 1024;
/// What an error message shows of a program's stderr.
const SHOWN_CHARS: usize = 300;
/// What an error message shows of an answer, and of what is wrong with it: that may quote the answer.
const QUOTED_CHARS: usize = SHOWN_CHARS / 2;
/// How long what the program wrote is read on when it has ended. Whoever holds its pipes open after
/// that has left its process group.
const PIPES_GRACE: Duration = Duration::from_secs(1);
/// How long a guard that is let go may take to end what it has started, before its group is killed. It
/// takes about a millisecond.
#[cfg(target_os = "linux")]
const GUARD_GRACE_SECONDS: i64 = 5;

/// The settings of the `process` executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessConfig {
    /// The program and its arguments. A program or argument that names a file of the project's folder
    /// is resolved there; no shell is involved.
    pub command: Vec<String>,
    /// The environment variables that the program may see, beside PATH.
    #[serde(default)]
    pub env: Vec<String>,
    /// How the program of an evaluation is contained.
    #[serde(default, skip_serializing_if = "Walls::is_default")]
    pub walls: Walls,
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessConfigError {
    /// No program is named.
    #[error("executor.command is empty; name a program, for instance [\"python3\", \"agent.py\"]")]
    NoCommand,
    /// The program is nowhere.
    #[error(
        "executor.command: there is no executable program {0:?} in the project's folder or on PATH; install it, correct the name, or make it executable"
    )]
    NotFound(String),
    /// The system cannot contain what it must.
    #[error(
        "executor.walls.enforce is \"required\", but this system does not contain {0}; use \"available\" to run without that"
    )]
    NotContained(String),
}

/// Runs one process for each attempt.
#[derive(Debug, Clone)]
pub struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    capabilities: Capabilities,
    settings: Digest,
    guard: Option<Guard>,
    walls: Walls,
    wall: Wall,
}

impl Process {
    /// An executor that runs the configured program. The program must be there.
    ///
    /// # Errors
    /// No program is named, or it cannot be found.
    pub fn new(config: ProcessConfig, folder: &Path) -> Result<Self, ProcessConfigError> {
        let settings = super::digest_of(&config);
        let walls = config.walls;
        let mut words = config.command.into_iter();
        let named = words
            .next()
            .filter(|name| !name.trim().is_empty())
            .ok_or(ProcessConfigError::NoCommand)?;
        // The program starts in another folder, where a relative path would lead elsewhere.
        let folder = &absolute(folder);
        let program = find(&named, folder).ok_or(ProcessConfigError::NotFound(named))?;
        let in_folder = |word: String| {
            let file = folder.join(&word);
            if !word.starts_with('-') && file.is_file() { file.display().to_string() } else { word }
        };
        let names = std::iter::once("PATH".to_owned()).chain(config.env);
        let environment =
            names.filter_map(|name| Some((name.clone(), std::env::var(name).ok()?))).collect();
        // What the program can do is not known here; it is its owner's business.
        let capabilities = Capabilities { tools: true, mcp: true, waits: false };
        let arguments: Vec<String> = words.map(in_folder).collect();
        let files: Vec<_> =
            arguments.iter().map(PathBuf::from).filter(|file| file.starts_with(folder)).collect();
        let private: Vec<_> = home().into_iter().chain([folder.clone()]).collect();
        let path = std::env::var_os("PATH");
        let reach = reach(&program, &files, path.as_deref(), &private);
        let wall = Wall::new(&walls, reach, folder);
        Ok(Self {
            program,
            arguments,
            environment,
            capabilities,
            settings,
            guard: None,
            walls,
            wall,
        })
    }

    /// Starts programs under `guard` and behind walls, or as children of this process that may outlive it and
    /// that nothing contains.
    ///
    /// # Errors
    /// The settings demand walls that this system does not have.
    pub fn guarded_by(self, guard: Option<Guard>) -> Result<Self, ProcessConfigError> {
        let guarded = Self { guard, ..self };
        let gaps = guarded.uncontained();
        match guarded.walls.enforce == Enforce::Required && !gaps.is_empty() {
            true => Err(ProcessConfigError::NotContained(gaps.join("; "))),
            false => Ok(guarded),
        }
    }

    fn is_walled(&self, request: &NodeRequest) -> bool {
        !request.for_effect && self.walls.enforce != Enforce::Off
    }

    /// What contains the program of `request`.
    fn wall_for(&self, request: &NodeRequest) -> Option<Wall> {
        self.is_walled(request).then(|| self.wall.around(Path::new(&request.working_directory)))
    }

    fn spawn(&self, request: &NodeRequest) -> std::io::Result<Child> {
        let folder = &request.working_directory;
        let mut temporary = None;
        let command = match (&self.guard, self.wall_for(request)) {
            (Some(guard), Some(wall)) => {
                temporary = Some(("TMPDIR", folder));
                guard.walled(&serde_json::to_string(&wall)?, &self.program)
            }
            (Some(guard), None) => guard.command(&self.program),
            (None, _) => std::process::Command::new(&self.program),
        };
        Command::from(command)
            .args(&self.arguments)
            .current_dir(folder)
            .env_clear()
            .envs(temporary)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(self.guard.is_none())
            .spawn()
    }
}

#[async_trait]
impl NodeExecutor for Process {
    fn name(&self) -> &str {
        "process"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn simulated(&self) -> bool {
        false
    }

    fn settings(&self) -> Digest {
        self.settings
    }

    /// The program may call the models that the workflow names.
    fn provider(&self, agent: &Agent) -> Option<ProviderId> {
        agent.models().ok()?.default.map(|model| model.provider().clone())
    }

    fn providers(&self, workflow: &Workflow) -> BTreeSet<ProviderId> {
        workflow.providers()
    }

    fn uncontained(&self) -> Vec<String> {
        let gaps = match (self.walls.enforce, &self.guard) {
            (Enforce::Off, _) => vec!["the program (executor.walls.enforce is \"off\")"],
            (_, None) => vec!["the program (nobody knows where the binary of optim is)"],
            (_, Some(_)) => walls::gaps(&self.walls),
        };
        gaps.into_iter().map(ToOwned::to_owned).collect()
    }

    async fn execute(&self, request: NodeRequest) -> NodeResponse {
        let begun = tokio::time::Instant::now();
        let mut response = match self.attempt(&request).await {
            Ok(response) => response,
            Err(error) => NodeResponse { result: Err(error), usage: Usage::default() },
        };
        if response.usage.latency.0 == 0 {
            let took = begun.elapsed().as_millis();
            response.usage.latency.0 = u64::try_from(took).unwrap_or(u64::MAX);
        }
        response
    }
}

impl Process {
    /// The end of a program without the secrets that it was given. What it says goes into records and
    /// prompts, where nobody looks for them.
    fn redacted(&self, ended: Ended) -> Ended {
        let secrets = self.environment.iter().filter(|(name, _)| redaction::is_secret(name));
        let given = self.environment.iter().filter(|(name, _)| name != "PATH");
        let answer = redaction::without(ended.answer, secrets);
        Ended { answer, errors: redaction::without(ended.errors, given), ..ended }
    }

    async fn attempt(&self, request: &NodeRequest) -> Result<NodeResponse, NodeError> {
        let provider = |message: String| NodeError::new(ErrorClass::Provider, message);
        let mut document = serde_json::to_vec(request)
            .map_err(|error| provider(format!("the request cannot be written: {error}")))?;
        if self.guard.is_some() {
            document.push(REQUEST_END);
        }
        // The program was there at the start; that it cannot be started now is the machine's fault.
        let child = self.spawn(request).map_err(|error| {
            provider(format!("{} cannot be started: {error}", self.program.display()))
        })?;
        let limit = request.limits.max_output_bytes;
        let filled = async {
            match self.guard.is_some() && self.is_walled(request) {
                true => {
                    outgrown(request.working_directory.clone().into(), self.walls.scratch_bytes())
                        .await
                }
                false => std::future::pending().await,
            }
        };
        let talk = converse(child, &document, limit, self.guard.is_some());
        let Ended { status, answer, errors } = tokio::select! {
            ended = talk => self.redacted(ended),
            () = filled => {
                let most = self.walls.max_scratch_mib;
                let message = format!(
                    "the program filled its scratch copy with more than {most} MiB (executor.walls.max_scratch_mib)"
                );
                return Err(NodeError::new(ErrorClass::Failed, message));
            }
        };
        if is_longer(&answer, limit) {
            let message = format!("the program answered more than {limit} bytes");
            return Err(NodeError::new(ErrorClass::InvalidOutput, message));
        }
        let status =
            status.map_err(|error| provider(format!("the program's end is unknown: {error}")))?;
        if !status.success() {
            let said = tail(&errors);
            let hint = match self.guard.is_some() && said.contains("ermission denied") {
                true => " (executor.walls may be why: docs/isolation.md)",
                false => "",
            };
            let message = format!("the program ended with {status}: {said}{hint}");
            return Err(NodeError::new(ErrorClass::Failed, message));
        }
        parse(&answer, &request.attempt)
    }
}

/// A program that has ended.
struct Ended {
    status: std::io::Result<ExitStatus>,
    /// What it wrote to stdout; longer than the limit when it was killed for that.
    answer: Vec<u8>,
    /// The end of what it wrote to stderr.
    errors: Vec<u8>,
}

/// Hands the request over and listens until the program has ended.
async fn converse(mut child: Child, document: &[u8], limit: u64, guarded: bool) -> Ended {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut leash = Leash::of(child, guarded);
    let (mut answer, mut errors) = (Vec::new(), Vec::new());
    let let_go = Notify::new();
    let group = leash.group();
    let status = {
        let answering = async {
            read(stdout, limit.saturating_add(1), &mut answer).await;
            if is_longer(&answer, limit) {
                match guarded {
                    true => let_go.notify_one(),
                    false => kill(group),
                }
            }
        };
        let listening = read_end(stderr, &mut errors);
        let feeding = feed(stdin, document, guarded, &let_go);
        let talk = async { tokio::join!(answering, listening, feeding) };
        let (mut talk, mut end) = (pin!(talk), pin!(leash.ended()));
        tokio::select! {
            _told = &mut talk => end.await,
            status = &mut end => {
                let_go.notify_one();
                // Whether or not all was read in time, what was read is the answer.
                drop(tokio::time::timeout(PIPES_GRACE, talk).await);
                status
            }
        }
    };
    Ended { status, answer, errors }
}

/// A child with all that it starts. Whoever drops it before it has ended ends it.
struct Leash {
    child: Child,
    /// The process group of the child; `None` when it is over, as its number may then belong to others.
    group: Option<Pid>,
    guarded: bool,
}

impl Leash {
    fn of(child: Child, guarded: bool) -> Self {
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { child, group, guarded }
    }

    fn group(&self) -> Option<Pid> {
        self.group
    }

    /// Waits for the child. What it left behind may hold its pipes open; it dies with the child.
    async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        kill(self.group.take());
        status
    }
}

impl Drop for Leash {
    /// A guard that is killed kills nobody, but it has lost its stdin by now, and so it ends what it has
    /// started, and itself. That takes a moment, in which the scratch copy must stay.
    fn drop(&mut self) {
        if let Some(guard) = self.group.filter(|_| self.guarded) {
            await_end(guard);
        }
        kill(self.group.take());
    }
}

/// Waits until the guard `guard` has ended, but not for ever.
#[cfg(target_os = "linux")]
fn await_end(guard: Pid) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{PidfdFlags, pidfd_open};

    if let Ok(process) = pidfd_open(guard, PidfdFlags::empty()) {
        let limit = Timespec { tv_sec: GUARD_GRACE_SECONDS, tv_nsec: 0 };
        // Ended or not, its group is killed next.
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)).unwrap_or_default();
    }
}

/// Elsewhere a guard ends no more than its group, which is killed next.
#[cfg(not(target_os = "linux"))]
fn await_end(_guard: Pid) {}

/// Kills a process group. One that is gone already is as good as a killed one.
fn kill(group: Option<Pid>) {
    if let Some(leader) = group {
        kill_process_group(leader, Signal::KILL).unwrap_or_default();
    }
}

/// Writes the request. A program that does not read it is free to answer all the same. A guard would take the
/// end of its stdin for the end of this process, so it keeps it until it is let go.
async fn feed(stdin: Option<ChildStdin>, document: &[u8], guarded: bool, let_go: &Notify) {
    let Some(mut stdin) = stdin else { return };
    let write = async {
        drop(stdin.write_all(document).await);
        if guarded {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = write => {}
        () = let_go.notified() => {}
    }
}

/// Reads up to `limit` bytes.
async fn read(stream: Option<impl AsyncRead + Unpin>, limit: u64, bytes: &mut Vec<u8>) {
    if let Some(stream) = stream {
        drop(stream.take(limit).read_to_end(bytes).await);
    }
}

/// Reads to the end, so that the writer never waits, and keeps the last bytes.
async fn read_end(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    loop {
        let surplus = kept.len().saturating_sub(STDERR_BYTES_MAX);
        kept.drain(..surplus);
        match stream.read_buf(kept).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
}

fn is_longer(bytes: &[u8], limit: u64) -> bool {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit
}

/// The last characters of what a program said.
fn tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim();
    let skipped = text.chars().count().saturating_sub(SHOWN_CHARS);
    text.chars().skip(skipped).collect()
}

/// What the program answered; an unreadable answer is quoted.
fn parse(answer: &[u8], attempt: &Attempt) -> Result<NodeResponse, NodeError> {
    NodeResponse::read(answer, attempt).map_err(|mut error| {
        if error.class == ErrorClass::InvalidOutput {
            let begin: String =
                String::from_utf8_lossy(answer).chars().take(QUOTED_CHARS).collect();
            let why = abridged(&error.message, QUOTED_CHARS);
            error.message =
                format!("the program's answer is not one JSON answer: {why}; it begins {begin:?}");
        }
        error
    })
}

/// The program: an executable file of the project's folder, else the first of that name on PATH.
fn find(name: &str, folder: &Path) -> Option<PathBuf> {
    let is_program = |file: &PathBuf| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    let in_folder = Some(folder.join(name)).filter(is_program);
    if in_folder.is_some() || name.contains('/') {
        return in_folder;
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|entry| entry.join(name)).find(is_program)
}

/// `path` from the root. Links stay: a program may look at the name that it was called by.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use optim_core::node_io::Limits;
    use serde_json::{Map, json};

    use super::*;

    fn request(folder: &Path) -> NodeRequest {
        NodeRequest {
            objective: "say it".to_owned(),
            inputs: Map::new(),
            upstream: Map::new(),
            contract: None,
            attempt: Attempt { id: "1".to_owned(), number: 1, seed: 1 },
            limits: Limits { timeout_ms: 1000, max_output_bytes: 1000, max_tokens: None },
            working_directory: folder.display().to_string(),
            for_effect: false,
            agent: Map::new(),
        }
    }

    fn config(command: Vec<String>) -> ProcessConfig {
        ProcessConfig { command, env: Vec::new(), walls: Walls::default() }
    }

    async fn run(script: &str) -> NodeResponse {
        let folder = tempfile::tempdir().unwrap();
        let command = ["sh", "-c", script].map(ToOwned::to_owned).to_vec();
        let process = Process::new(config(command), folder.path()).unwrap();
        process.execute(request(folder.path())).await
    }

    async fn class(script: &str) -> (ErrorClass, String) {
        let error = run(script).await.result.unwrap_err();
        (error.class, error.message)
    }

    #[tokio::test]
    async fn the_request_goes_in_and_the_answer_comes_out() {
        let echo = r#"printf '{"content": '; cat; printf '}'"#;
        assert_eq!(run(echo).await.result.unwrap()["objective"], "say it");
    }

    #[tokio::test]
    async fn the_program_sees_its_scratch_copy_and_path_only() {
        let seen = run(
            r#"n=$(env | grep -v -e ^PATH= -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD= | wc -l); echo "{\"content\": [$n, \"$PWD\"]}""#,
        );
        let seen = seen.await.result.unwrap();
        assert_eq!(seen[0], json!(0));
        assert!(
            seen[1].as_str().unwrap().contains("tmp") || seen[1].as_str().unwrap().starts_with('/')
        );
    }

    #[tokio::test]
    async fn what_goes_wrong_has_its_class() {
        assert_eq!(
            class("echo oops >&2; exit 3").await,
            (ErrorClass::Failed, "the program ended with exit status: 3: oops".to_owned())
        );
        let (kind, message) = class("echo 'not json'").await;
        assert_eq!(kind, ErrorClass::InvalidOutput);
        assert!(message.contains("not json"), "{message}");
        assert_eq!(class("true").await.0, ErrorClass::InvalidOutput);
        assert_eq!(
            class("yes").await,
            (ErrorClass::InvalidOutput, "the program answered more than 1000 bytes".to_owned())
        );
        assert_eq!(
            class(r#"echo '{"error": {"class": "blocked", "message": "no access"}}'"#).await.0,
            ErrorClass::Blocked
        );
    }

    #[tokio::test]
    async fn an_answer_to_another_attempt_is_a_fault_of_the_outside() {
        let (kind, message) = class(r#"echo '{"content": 1, "attempt_id": "other"}'"#).await;
        assert_eq!(kind, ErrorClass::Provider);
        assert!(message.contains("other"), "{message}");
        assert_eq!(run(r#"echo '{"content": 1, "attempt_id": "1"}'"#).await.result, Ok(json!(1)));
    }

    #[tokio::test]
    async fn a_program_that_answers_too_much_is_killed_though_it_writes_no_more() {
        let script = "head -c 2000 /dev/zero; exec sleep 100";
        let answer = tokio::time::timeout(Duration::from_secs(20), class(script)).await;
        assert_eq!(answer.expect("it is killed").1, "the program answered more than 1000 bytes");
    }

    #[tokio::test]
    async fn a_child_that_holds_the_pipe_open_does_not_hold_the_answer_back() {
        let answer = tokio::time::timeout(
            Duration::from_secs(20),
            run(r#"sleep 100 & echo '{"content": 1}'"#),
        );
        assert_eq!(answer.await.expect("the answer comes at once").result, Ok(json!(1)));
    }

    #[tokio::test]
    async fn a_program_that_never_reads_its_input_and_floods_stderr_ends() {
        let script = r#"yes >&2 & p=$!; echo '{"content": 2}'; kill $p"#;
        assert_eq!(run(script).await.result, Ok(json!(2)));
    }

    #[tokio::test]
    async fn a_cancelled_attempt_kills_the_whole_group() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("alive");
        // The child holds the write end of a named pipe; when the whole group is dead, reading it ends.
        let script = format!("mkfifo {0}; (sleep 100; :) 3>{0} & sleep 100", pipe.display());
        let command = ["sh", "-c", &script].map(ToOwned::to_owned).to_vec();
        let process = Process::new(config(command), folder.path()).unwrap();
        let mut attempt = Box::pin(process.execute(request(folder.path())));
        while !pipe.exists() {
            tokio::select! {
                _ = &mut attempt => panic!("the program ended early"),
                () = tokio::task::yield_now() => {}
            }
        }
        let reader = tokio::task::spawn_blocking(move || std::fs::read(pipe));
        tokio::select! {
            _ = &mut attempt => panic!("the program ended early"),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        drop(attempt);
        let read = tokio::time::timeout(Duration::from_secs(20), reader).await;
        assert_eq!(read.expect("the group is dead").unwrap().unwrap(), Vec::<u8>::new());
    }

    #[tokio::test]
    async fn a_large_request_that_nobody_reads_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let command = ["sh", "-c", r#"echo '{"content": 3}'"#].map(ToOwned::to_owned).to_vec();
        let process = Process::new(config(command), folder.path()).unwrap();
        let large = NodeRequest { objective: "x".repeat(4 << 20), ..request(folder.path()) };
        let answer = tokio::time::timeout(Duration::from_secs(20), process.execute(large)).await;
        assert_eq!(answer.expect("nobody waits for the reader").result, Ok(json!(3)));
    }

    #[tokio::test]
    async fn an_answer_may_have_as_many_bytes_as_the_limit_says() {
        let of_bytes = |bytes: usize| format!(r#"printf '{{"content": "%0{}d"}}' 0"#, bytes - 15);
        let answer = run(&of_bytes(1000)).await.result.unwrap();
        assert_eq!(answer.as_str().map(str::len), Some(985));
        assert_eq!(class(&of_bytes(1001)).await.1, "the program answered more than 1000 bytes");
    }

    #[tokio::test]
    async fn the_program_sees_the_environment_that_the_settings_name() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"echo "{\"content\": [\"$CARGO_PKG_NAME\", \"$CARGO_PKG_VERSION\"]}""#;
        let command = ["sh", "-c", script].map(ToOwned::to_owned).to_vec();
        // Cargo sets both for tests.
        let env = vec!["CARGO_PKG_NAME".to_owned(), "NOT_SET_ANYWHERE".to_owned()];
        let process =
            Process::new(ProcessConfig { env, ..config(command) }, folder.path()).unwrap();
        let seen = process.execute(request(folder.path())).await.result;
        assert_eq!(seen, Ok(json!(["optim-runtime", ""])));
    }

    #[tokio::test]
    async fn a_process_that_has_left_the_group_holds_no_answer_back() {
        // It must have left before the group is killed, and it ends with the test's scratch copy.
        let script = r#"setsid sh -c ': >left; while [ -e left ]; do :; done' &
            while ! [ -e left ]; do :; done; echo '{"content": 4}'"#;
        let answer = tokio::time::timeout(Duration::from_secs(20), run(script)).await;
        assert_eq!(answer.expect("nobody waits for it").result, Ok(json!(4)));
    }

    #[tokio::test]
    async fn a_failure_shows_the_end_of_a_long_stderr() {
        let (_, message) =
            class("yes filler | head -c 200000 >&2; echo the last words >&2; exit 1").await;
        assert!(message.ends_with("the last words"), "{message}");
    }

    #[tokio::test]
    async fn an_unreadable_answer_is_quoted_in_part_with_the_place_of_the_error() {
        for answer in [
            r#"{"%": 1}"#,
            r#"{"content": 1, "usage": {"%": 1}}"#,
            r#"{"content": 1, "usage": "%"}"#,
            r#"{"content": %"#,
            r#"{"content": 1} %"#,
        ] {
            let (kind, message) =
                class(&format!("echo '{}'", answer.replace('%', &"7".repeat(900)))).await;
            assert_eq!(kind, ErrorClass::InvalidOutput);
            assert!(message.contains("line 1 column "), "{message}");
            assert!(message.matches('7').count() <= SHOWN_CHARS, "{message}");
        }
    }

    #[tokio::test]
    async fn a_list_is_no_answer() {
        let (kind, message) = class(r#"echo ' ["billing"]'"#).await;
        assert_eq!(kind, ErrorClass::InvalidOutput);
        assert!(message.contains("a list, not an object"), "{message}");
    }

    #[tokio::test]
    async fn a_program_of_a_folder_that_is_named_relatively_runs_in_the_scratch_copy() {
        let folder = tempfile::tempdir().unwrap();
        let from_root = folder.path().strip_prefix("/").unwrap();
        let depth = std::env::current_dir().unwrap().components().count() - 1;
        let relative = Path::new(&"../".repeat(depth)).join(from_root);
        std::os::unix::fs::symlink("/bin/sh", folder.path().join("agent")).unwrap();
        std::fs::write(folder.path().join("agent.sh"), r#"echo '{"content": 5}'"#).unwrap();
        let command = ["agent", "agent.sh"].map(ToOwned::to_owned).to_vec();
        let process = Process::new(config(command), &relative).unwrap();
        // So deep that the relative path does not lead to the root from there.
        let scratch = tempfile::tempdir().unwrap();
        let deep = scratch.path().join("deep/".repeat(depth));
        std::fs::create_dir_all(&deep).unwrap();
        let answer = process.execute(request(&deep)).await;
        assert_eq!(answer.result, Ok(json!(5)));
    }

    #[test]
    fn a_file_that_is_not_executable_is_no_program() {
        let folder = tempfile::tempdir().unwrap();
        let new = |command: &str| {
            let command = vec![command.to_owned()];
            Process::new(config(command), folder.path())
        };
        std::fs::write(folder.path().join("agent.sh"), "#!/bin/sh\n").unwrap();
        assert!(matches!(new("agent.sh"), Err(ProcessConfigError::NotFound(_))));
        assert!(matches!(new("./agent.sh"), Err(ProcessConfigError::NotFound(_))));
        std::fs::write(folder.path().join("sh"), "a note of that name").unwrap();
        let program = new("sh").unwrap().program;
        assert!(!program.starts_with(folder.path()), "{}", program.display());
    }

    #[test]
    fn a_program_that_is_not_there_is_found_out_at_once() {
        let new = |command: &[&str]| {
            let command = command.iter().map(|word| (*word).to_owned()).collect();
            Process::new(config(command), Path::new("/")).unwrap_err()
        };
        assert_eq!(new(&[]), ProcessConfigError::NoCommand);
        assert!(
            new(&["no-such-program-anywhere"]).to_string().contains("no-such-program-anywhere")
        );
    }
}
