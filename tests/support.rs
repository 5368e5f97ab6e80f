//! Shared pieces of the end-to-end tests: the binary as it is built now, and projects to run it on.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use optim_core::node_io::{Attempt, Limits, NodeRequest};
use serde_json::{Map, Value};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// The binary `optim`, built from the sources as they are.
pub(crate) fn optim() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // A package cannot ask cargo for another package's binary, so the test asks for the build. It
        // costs nothing when `cargo test` has built it already.
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(root()).args([
            "build",
            "--quiet",
            "--package",
            "optim-server",
            "--bin",
            "optim",
        ]);
        // Cargo told this process about the package of the tests. The build script of ring looks at that, and
        // ring with all that needs it would be built once more.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                build.env_remove(name);
            }
        }
        assert!(build.status().expect("cargo runs").success(), "the binary does not build");
        let tests = std::env::current_exe().expect("the test knows its path");
        let profile = tests.ancestors().nth(2).expect("target/<profile>/deps/<test>");
        profile.join("optim")
    })
}

const ONE_NODE: &str = "automation_id: w
agents: [{agent_id: a}]
flow:
  nodes:
    - node_id: n
      agent_id: a
      objective: Answer the question that was asked in one word.
      output_contract: {kind: j, validator: structured_json, schema: {type: object, required: [ok]}}
";
const THREE_CASES: &str = r#"{"id":"a","inputs":{"text":"one"},"split":"search"}
{"id":"b","inputs":{"text":"two"},"split":"search"}
{"id":"c","inputs":{"text":"three"},"split":"holdout"}
"#;

/// A copy of the example project in a folder of its own.
pub(crate) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    /// A fresh copy of `examples/ticket-triage`.
    pub(crate) fn example() -> Self {
        Self::example_named("ticket-triage")
    }

    /// A fresh copy of another example.
    pub(crate) fn example_named(name: &str) -> Self {
        let folder = temporary();
        copy(&root().join("examples").join(name), folder.path());
        Self { folder }
    }

    /// The example with two cases and one experiment, executed by a shell script.
    pub(crate) fn scripted_by(script: &str) -> Self {
        let project = Self::example();
        project.write("agent.sh", format!("#!/bin/sh\n{script}\n"));
        project.write(
            "optim.toml",
            "workflow = \"workflow.yaml\"\n[executor]\nkind = \"process\"\ncommand = [\"/bin/sh\", \"agent.sh\"]\n",
        );
        let lines: Vec<_> = project
            .read("cases/tickets.jsonl")
            .lines()
            .take(2)
            .map(|line| line.replace("holdout", "search"))
            .collect();
        project.write("cases/tickets.jsonl", lines.join("\n"));
        project.replace("policy/budget.yaml", "max_experiments:", "max_experiments: 1 #");
        project.decide_by_points();
        project
    }

    /// A project of one node and three cases, one of them a holdout: an answer passes when it has the
    /// field `ok`. `executor` is that section of its settings.
    pub(crate) fn of_one_node(executor: &str) -> Self {
        let project = Self::example();
        project
            .write("optim.toml", format!("workflow = \"workflow.yaml\"\n[executor]\n{executor}\n"));
        project.write("workflow.yaml", ONE_NODE);
        project.write("cases/tickets.jsonl", THREE_CASES);
        project.replace("policy/scope.yaml", "forbidden_fields:", "forbidden_fields: [] #");
        project.decide_by_points();
        project
    }

    /// The same, whose agent may also work in `folder`: it talks to its test there.
    pub(crate) fn with_access_to(self, folder: &Path) -> Self {
        let walls = format!("walls = {{ write = [\"{}\"] }}\ncommand = ", folder.display());
        self.replace("optim.toml", "command = ", &walls);
        self
    }

    /// Decides by the point rule, for which each candidate has one run of each case.
    fn decide_by_points(&self) {
        self.decide("{rule: point}");
    }

    /// Replaces the section `decision` of the policy.
    pub(crate) fn decide(&self, decision: &str) {
        let eval = self.read("policy/eval.yaml");
        let (before, _) = eval.split_once("decision:").expect("the example has a rule");
        self.write("policy/eval.yaml", format!("{before}decision: {decision}\n"));
    }

    /// An empty folder.
    pub(crate) fn empty() -> Self {
        Self { folder: temporary() }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Reads a file of the project.
    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path().join(file)).expect("the file is there")
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(file);
        std::fs::create_dir_all(path.parent().expect("a file has a folder"))
            .expect("the folder is made");
        std::fs::write(path, content).expect("the file is written");
    }

    /// Replaces `from`, which must be there, by `to` in a file of the project.
    pub(crate) fn replace(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} holds {from:?}");
        self.write(file, text.replacen(from, to, 1));
    }

    /// `optim -C <folder> ARGS`, ready to be started.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(optim());
        command
            .arg("-C")
            .arg(self.path())
            .args(args)
            .env("USER", "tester")
            .env_remove("OPTIM_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Starts `command` again and again until it ends by itself, and kills it after it has printed one
    /// line more each time, so that the kills land everywhere; says how many there were.
    pub(crate) fn kill_at_each_line(mut command: impl FnMut() -> Command) -> u32 {
        for kills in 0.. {
            assert!(kills < 100, "it makes no progress");
            let mut command = command();
            let started = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
            let mut child = started.expect("optim starts");
            let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
            let lines = usize::try_from(kills).expect("it fits") + 1;
            if stderr.lines().take(lines).count() < lines {
                child.wait().expect("the child ends");
                return kills;
            }
            child.kill().expect("the child is killed");
            child.wait().expect("the child ends");
        }
        unreachable!("the kills are bounded")
    }

    /// Runs `optim -C <folder> ARGS` to its end.
    pub(crate) fn optim<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ran {
        Ran::of(self.command(args).output().expect("optim starts"))
    }
}

/// How a process ended, and what it said.
pub(crate) struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub(crate) code: i32,
    /// Its data.
    pub(crate) stdout: String,
    /// Everything else.
    pub(crate) stderr: String,
}

impl std::fmt::Display for Ran {
    /// The end of what was said; all of it would bury the failure.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tail = |text: &str| {
            text.chars().skip(text.chars().count().saturating_sub(1500)).collect::<String>()
        };
        write!(
            f,
            "exit code {}\nstdout: …{}\nstderr: …{}",
            self.code,
            tail(&self.stdout),
            tail(&self.stderr)
        )
    }
}

impl Ran {
    /// The end of a process.
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("optim prints UTF-8");
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The document on stdout; the exit code must be `code`.
    pub(crate) fn document(&self, code: i32) -> Value {
        assert_eq!(self.code, code, "{self}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// The exit code must be `code`; what was printed does not matter.
    pub(crate) fn ended(&self, code: i32) {
        assert_eq!(self.code, code, "{self}");
    }

    /// The exit code must be `code`, and stderr must name the error `name`.
    pub(crate) fn refused(&self, code: i32, name: &str) {
        assert_eq!(self.code, code, "{self}");
        assert!(self.stderr.contains(name), "{name} is named: {self}");
        assert!(!self.stderr.contains("panicked"), "{self}");
    }
}

/// `optim ARGS` on `project`, where `strace` makes calls of the system fail or answer something else as
/// `options` say; `None` where no process can be traced, which is said.
pub(crate) fn traced(project: &Project, options: &[&str], args: &[&str]) -> Option<Ran> {
    let can = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        skipped("no process can be traced here, so no call of the system failed");
        return None;
    }
    let optim = project.command(args);
    // One that goes on though its disk is broken would never end.
    let mut strace = Command::new("timeout");
    strace
        .args(["-k", "1", "60", "strace", "-f", "-qq", "-o", "/dev/null"])
        .args(options)
        .arg("--");
    strace.arg(optim.get_program()).args(optim.get_args()).env("USER", "tester");
    Some(Ran::of(strace.output().expect("strace starts")))
}

/// Says that something was not tested, and why.
#[expect(clippy::print_stderr, reason = "nobody should take it for passed")]
pub(crate) fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// A request to an executor whose node works in `folder`.
pub(crate) fn request(folder: &Path) -> NodeRequest {
    NodeRequest {
        objective: "work".to_owned(),
        inputs: Map::new(),
        upstream: Map::new(),
        contract: None,
        attempt: Attempt { id: "1".to_owned(), number: 1, seed: 1 },
        limits: Limits { timeout_ms: 1000, max_output_bytes: 1_000_000, max_tokens: None },
        working_directory: folder.display().to_string(),
        for_effect: false,
        agent: Map::new(),
    }
}

/// A temporary folder; in memory where there is such a file system, since the disk is not the subject.
pub(crate) fn temporary() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder is made")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is made");
    for entry in std::fs::read_dir(from).expect("the folder is read") {
        let entry = entry.expect("the entry is read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("the type is known").is_dir() {
            if entry.file_name() != ".optim" {
                copy(&entry.path(), &target);
            }
        } else {
            std::fs::copy(entry.path(), target).expect("the file is copied");
        }
    }
}
