//! `process`: a program of one's own. The request goes to its stdin as one JSON document, the answer
//! comes from its stdout as one JSON document.
//!
//! The program runs in a process group of its own and in the scratch copy. The whole group is killed
//! when the attempt ends, is cancelled, times out, or answers too much. Of the environment it sees
//! what the settings name, and PATH.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicI32, Ordering};

use async_trait::async_trait;
use optim_core::node_io::{ErrorClass, NodeError, NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};

use super::{Capabilities, NodeExecutor};

/// What is kept of a program's stderr, for its error message.
const STDERR_BYTES_MAX: u64 = 64 * 1024;
/// What an error message shows of a program's output.
const SHOWN_CHARS: usize = 300;

/// The settings of the `process` executor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessConfig {
    /// The program and its arguments. A program or argument that names a file of the project's folder
    /// is resolved there; no shell is involved.
    pub command: Vec<String>,
    /// The environment variables that the program may see, beside PATH.
    #[serde(default)]
    pub env: Vec<String>,
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessConfigError {
    /// No program is named.
    #[error("executor.command is empty; name a program, for instance [\"python3\", \"agent.py\"]")]
    NoCommand,
    /// The program is nowhere.
    #[error(
        "executor.command: there is no program {0:?} in the project's folder or on PATH; install it or correct the name"
    )]
    NotFound(String),
}

/// Runs one process for each attempt.
#[derive(Debug, Clone)]
pub struct Process {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    capabilities: Capabilities,
}

impl Process {
    /// An executor that runs the configured program. The program must be there.
    ///
    /// # Errors
    /// No program is named, or it cannot be found.
    pub fn new(config: ProcessConfig, folder: &Path) -> Result<Self, ProcessConfigError> {
        let mut words = config.command.into_iter();
        let named = words
            .next()
            .filter(|name| !name.trim().is_empty())
            .ok_or(ProcessConfigError::NoCommand)?;
        let program = find(&named, folder).ok_or(ProcessConfigError::NotFound(named))?;
        let in_folder = |word: String| {
            let file = folder.join(&word);
            if !word.starts_with('-') && file.is_file() {
                file.display().to_string()
            } else {
                word
            }
        };
        let names = std::iter::once("PATH".to_owned()).chain(config.env);
        let environment = names
            .filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)))
            .collect();
        // What the program can do is not known here; it is its owner's business.
        let capabilities = Capabilities {
            tools: true,
            mcp: true,
            waits: false,
        };
        Ok(Self {
            program,
            arguments: words.map(in_folder).collect(),
            environment,
            capabilities,
        })
    }

    fn spawn(&self, request: &NodeRequest) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(&request.working_directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
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

    async fn execute(&self, request: NodeRequest) -> NodeResponse {
        let begun = tokio::time::Instant::now();
        let mut response = match self.attempt(&request).await {
            Ok(response) => response,
            Err(error) => NodeResponse {
                result: Err(error),
                usage: Usage::default(),
            },
        };
        if response.usage.latency.0 == 0 {
            let took = begun.elapsed().as_millis();
            response.usage.latency.0 = u64::try_from(took).unwrap_or(u64::MAX);
        }
        response
    }
}

impl Process {
    async fn attempt(&self, request: &NodeRequest) -> Result<NodeResponse, NodeError> {
        let provider = |message: String| NodeError {
            class: ErrorClass::Provider,
            message,
        };
        let document = serde_json::to_vec(request)
            .map_err(|error| provider(format!("the request cannot be written: {error}")))?;
        // The program was there at the start; that it cannot be started now is the machine's fault.
        let mut child = self.spawn(request).map_err(|error| {
            provider(format!(
                "{} cannot be started: {error}",
                self.program.display()
            ))
        })?;
        let group = Group::of(&child);
        let limit = request.limits.max_output_bytes;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let answer = async {
            let answer = read(stdout, limit.saturating_add(1)).await;
            if is_longer(&answer, limit) {
                group.kill();
            }
            answer
        };
        // What the program left behind may hold its pipes open; it dies with the program.
        let end = async {
            let status = child.wait().await;
            group.kill();
            status
        };
        let (status, answer, errors, ()) = tokio::join!(
            end,
            answer,
            read_all(stderr, STDERR_BYTES_MAX),
            feed(stdin, &document)
        );
        if is_longer(&answer, limit) {
            let message = format!("the program answered more than {limit} bytes");
            return Err(NodeError {
                class: ErrorClass::InvalidOutput,
                message,
            });
        }
        let status =
            status.map_err(|error| provider(format!("the program's end is unknown: {error}")))?;
        if !status.success() {
            let message = format!("the program ended with {status}: {}", tail(&errors));
            return Err(NodeError {
                class: ErrorClass::Failed,
                message,
            });
        }
        parse(&answer)
    }
}

/// A process group that is killed when it is dropped.
struct Group(AtomicI32);

impl Group {
    fn of(child: &Child) -> Self {
        Self(AtomicI32::new(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .unwrap_or(0),
        ))
    }

    /// Kills the group, once: later its number may belong to others.
    fn kill(&self) {
        if let Some(leader) = Pid::from_raw(self.0.swap(0, Ordering::SeqCst)) {
            // A group that is gone already is as good as a killed one.
            kill_process_group(leader, Signal::KILL).unwrap_or_default();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes the request. A program that does not read it is free to answer all the same.
async fn feed(stdin: Option<ChildStdin>, document: &[u8]) {
    if let Some(mut stdin) = stdin {
        drop(stdin.write_all(document).await);
        drop(stdin.shutdown().await);
    }
}

/// Reads up to `limit` bytes.
async fn read(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        drop(stream.take(limit).read_to_end(&mut bytes).await);
    }
    bytes
}

/// Keeps up to `limit` bytes and reads on to the end, so that the writer never waits.
async fn read_all(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Vec<u8> {
    let Some(mut stream) = stream else {
        return Vec::new();
    };
    let kept = read(Some(&mut stream), limit).await;
    drop(tokio::io::copy(&mut stream, &mut tokio::io::sink()).await);
    kept
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

fn parse(answer: &[u8]) -> Result<NodeResponse, NodeError> {
    serde_json::from_slice(answer).map_err(|error| {
        let shown: String = String::from_utf8_lossy(answer)
            .chars()
            .take(SHOWN_CHARS)
            .collect();
        let message =
            format!("the program's answer is not one JSON answer: {error}; it begins {shown:?}");
        NodeError {
            class: ErrorClass::InvalidOutput,
            message,
        }
    })
}

/// The program: a file of the project's folder, else the first executable of that name on PATH.
fn find(name: &str, folder: &Path) -> Option<PathBuf> {
    let in_folder = folder.join(name);
    if in_folder.is_file() {
        return Some(in_folder);
    }
    if name.contains('/') {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|entry| entry.join(name))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use optim_core::node_io::{Attempt, Limits};
    use serde_json::{Map, json};

    use super::*;

    fn request(folder: &Path) -> NodeRequest {
        NodeRequest {
            objective: "say it".to_owned(),
            inputs: Map::new(),
            upstream: Map::new(),
            contract: None,
            attempt: Attempt {
                id: "1".to_owned(),
                number: 1,
                seed: 1,
            },
            limits: Limits {
                timeout_ms: 1000,
                max_output_bytes: 1000,
                max_tokens: None,
            },
            working_directory: folder.display().to_string(),
            agent: Map::new(),
        }
    }

    async fn run(script: &str) -> NodeResponse {
        let folder = tempfile::tempdir().unwrap();
        let command = ["sh", "-c", script].map(ToOwned::to_owned).to_vec();
        let process = Process::new(
            ProcessConfig {
                command,
                env: Vec::new(),
            },
            folder.path(),
        )
        .unwrap();
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
            (
                ErrorClass::Failed,
                "the program ended with exit status: 3: oops".to_owned()
            )
        );
        let (kind, message) = class("echo 'not json'").await;
        assert_eq!(kind, ErrorClass::InvalidOutput);
        assert!(message.contains("not json"), "{message}");
        assert_eq!(class("true").await.0, ErrorClass::InvalidOutput);
        assert_eq!(
            class("yes").await,
            (
                ErrorClass::InvalidOutput,
                "the program answered more than 1000 bytes".to_owned()
            )
        );
        assert_eq!(
            class(r#"echo '{"error": {"class": "blocked", "message": "no access"}}'"#)
                .await
                .0,
            ErrorClass::Blocked
        );
    }

    #[tokio::test]
    async fn a_child_that_holds_the_pipe_open_does_not_hold_the_answer_back() {
        let answer = tokio::time::timeout(
            Duration::from_secs(20),
            run(r#"sleep 100 & echo '{"content": 1}'"#),
        );
        assert_eq!(
            answer.await.expect("the answer comes at once").result,
            Ok(json!(1))
        );
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
        let script = format!(
            "mkfifo {0}; (sleep 100; :) 3>{0} & sleep 100",
            pipe.display()
        );
        let command = ["sh", "-c", &script].map(ToOwned::to_owned).to_vec();
        let process = Process::new(
            ProcessConfig {
                command,
                env: Vec::new(),
            },
            folder.path(),
        )
        .unwrap();
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
        assert_eq!(
            read.expect("the group is dead").unwrap().unwrap(),
            Vec::<u8>::new()
        );
    }

    #[tokio::test]
    async fn a_large_request_that_nobody_reads_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let command = ["sh", "-c", r#"echo '{"content": 3}'"#]
            .map(ToOwned::to_owned)
            .to_vec();
        let process = Process::new(
            ProcessConfig {
                command,
                env: Vec::new(),
            },
            folder.path(),
        )
        .unwrap();
        let large = NodeRequest {
            objective: "x".repeat(4 << 20),
            ..request(folder.path())
        };
        let answer = tokio::time::timeout(Duration::from_secs(20), process.execute(large)).await;
        assert_eq!(
            answer.expect("nobody waits for the reader").result,
            Ok(json!(3))
        );
    }

    #[tokio::test]
    async fn an_answer_may_have_as_many_bytes_as_the_limit_says() {
        let of_bytes = |bytes: usize| format!(r#"printf '{{"content": "%0{}d"}}' 0"#, bytes - 15);
        let answer = run(&of_bytes(1000)).await.result.unwrap();
        assert_eq!(answer.as_str().map(str::len), Some(985));
        assert_eq!(
            class(&of_bytes(1001)).await.1,
            "the program answered more than 1000 bytes"
        );
    }

    #[tokio::test]
    async fn the_program_sees_the_environment_that_the_settings_name() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"echo "{\"content\": [\"$CARGO_PKG_NAME\", \"$CARGO_PKG_VERSION\"]}""#;
        let command = ["sh", "-c", script].map(ToOwned::to_owned).to_vec();
        // Cargo sets both for tests.
        let env = vec!["CARGO_PKG_NAME".to_owned(), "NOT_SET_ANYWHERE".to_owned()];
        let process = Process::new(ProcessConfig { command, env }, folder.path()).unwrap();
        let seen = process.execute(request(folder.path())).await.result;
        assert_eq!(seen, Ok(json!(["optim-runtime", ""])));
    }

    #[test]
    fn a_program_that_is_not_there_is_found_out_at_once() {
        let new = |command: &[&str]| {
            let command = command.iter().map(|word| (*word).to_owned()).collect();
            Process::new(
                ProcessConfig {
                    command,
                    env: Vec::new(),
                },
                Path::new("/"),
            )
            .unwrap_err()
        };
        assert_eq!(new(&[]), ProcessConfigError::NoCommand);
        assert!(
            new(&["no-such-program-anywhere"])
                .to_string()
                .contains("no-such-program-anywhere")
        );
    }
}
