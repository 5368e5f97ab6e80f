//! SIGINT, SIGTERM and SIGKILL in each phase of a campaign: the exit says what it was, nothing is lost,
//! and nothing is paid twice.
//!
//! The agent writes down each of its executions and then waits for leave, so that a signal finds the
//! process exactly where it should: with one execution under way and all earlier ones recorded.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::openai::{Server, priced};
use crate::support::{Project, temporary};
use serde_json::Value;

const WORKFLOW: &str = "
automation_id: polite
name: Polite answers
agents: [{agent_id: a}]
flow:
  nodes:
    - node_id: answer
      agent_id: a
      objective: Answer the question that you are asked in one word.
      output_contract: {kind: structured_json, validator: structured_json}
      timeout_ms: 60000
";
/// What makes the agent answer rightly.
const BETTER: &str = "Answer the question that you are asked in one word, PLEASE.";
const SETTINGS: &str = "
workflow = \"workflow.yaml\"
[run]
capacity = 1
[executor]
kind = \"process\"
command = [\"/bin/sh\", \"agent.sh\"]
";
/// The longest that an agent may live on when optim was killed.
const AGENT_END_MAX: Duration = Duration::from_secs(20);
/// Executions of a campaign: two replays and a candidate on four cases, and both on two others.
const EXECUTIONS: usize = 16;

/// A project with an agent that needs leave for each answer.
struct Watched {
    project: Project,
    place: tempfile::TempDir,
    /// Holds the leaves that are not used yet.
    leaves: File,
    given: usize,
    /// Executions that a signal ended.
    interrupted: usize,
}

impl Watched {
    fn new() -> Self {
        let (project, place) = (Project::example(), temporary());
        let pipe = place.path().join("leaves");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts").success());
        // With a reader and a writer it can be opened at any time and never ends.
        let leaves = OpenOptions::new().read(true).write(true).open(pipe).unwrap();
        let at = place.path().display();
        project.write(
            "agent.sh",
            format!(
                "request=$(cat)\necho $$ >> {at}/executions\nread leave < {at}/leaves\n\
                 case $request in *PLEASE*) answer=yes;; *) answer=no;; esac\n\
                 echo \"{{\\\"content\\\": {{\\\"answer\\\": \\\"$answer\\\"}}}}\"\n"
            ),
        );
        project.write("optim.toml", SETTINGS);
        let project = project.with_access_to(place.path());
        project.write("workflow.yaml", WORKFLOW);
        project.replace("policy/scope.yaml", "[nodes.reply.objective]", "[]");
        project.write("better.txt", BETTER);
        project.decide("{rule: point}");
        let case = |number: u32| {
            let split = if number < 4 { "search" } else { "holdout" };
            let expect = r#"[{"type": "equals", "at": "/answer", "value": "yes"}]"#;
            format!(
                "{{\"id\": \"c{number}\", \"inputs\": {{}}, \"expect\": {expect}, \"split\": \"{split}\"}}\n"
            )
        };
        project.write("cases/tickets.jsonl", (0..6).map(case).collect::<String>());
        Self { project, place, leaves, given: 0, interrupted: 0 }
    }

    /// `optim try` with the better objective.
    fn attempt(&self) -> Command {
        let text = self.project.path().join("better.txt");
        let mut args = ["try", "--node", "answer", "--field", "objective", "--text-file"]
            .map(str::to_owned)
            .to_vec();
        args.push(text.display().to_string());
        self.project.command(args)
    }

    /// The process ids of all executions so far.
    fn executions(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.place.path().join("executions"));
        log.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Lets the campaign come to where `done` of its executions are recorded and one is under way.
    fn advance(&mut self, process: &mut Child, done: usize) {
        while self.given < done {
            self.leaves.write_all(b"\n").unwrap();
            self.given += 1;
        }
        while self.executions().len() <= done + self.interrupted {
            assert!(process.try_wait().unwrap().is_none(), "it ended before execution {done}");
            std::thread::yield_now();
        }
    }

    /// Sends `signal`, and waits until the process and the execution that was under way have ended.
    fn interrupt(&mut self, mut process: Child, signal: &str) -> ExitStatus {
        send(signal, &process.id().to_string());
        let status = process.wait().unwrap();
        let last = format!("/proc/{}/cmdline", self.executions().pop().unwrap());
        let begun = Instant::now();
        // One that is dead, and that nobody has asked about, has no command line.
        while std::fs::read(&last).is_ok_and(|words| !words.is_empty()) {
            // Whoever was killed has a guard that ends the agent right after.
            let left = signal != "KILL" || begun.elapsed() > AGENT_END_MAX;
            assert!(!left, "no agent is left behind");
            std::thread::yield_now();
        }
        self.interrupted += 1;
        status
    }

    fn status(&self) -> Value {
        self.project.optim(["status", "--json"]).document(0)
    }
}

fn send(signal: &str, process: &str) {
    let sent = Command::new("kill").args(["-s", signal, process]).status();
    assert!(sent.expect("kill starts").success());
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("optim starts")
}

fn survives_in_each_phase(signal: &str, ended: fn(ExitStatus) -> bool) {
    let mut watched = Watched::new();
    let mut next = watched.attempt();
    for (done, phase) in [
        (0, "measures the baseline"),
        (5, "measures the baseline"),
        (9, "measures experiment #1"),
        // Nothing has happened since.
        (9, "measures experiment #1"),
        (13, "confirms experiment #1 on the holdout cases"),
        (15, "confirms experiment #1 on the holdout cases"),
    ] {
        let mut process = start(next);
        watched.advance(&mut process, done);
        assert_eq!(watched.status()["campaign"]["reason"], phase);
        let status = watched.interrupt(process, signal);
        assert!(ended(status), "{phase}: {status}");
        let report = watched.status();
        assert_eq!(report["campaign"]["status"], "running");
        next = watched.project.command(["run"]);
    }
    let mut process = start(watched.project.command(["run", "--wait"]));
    watched.leaves.write_all(&[b'\n'; EXECUTIONS]).unwrap();
    while watched.status()["campaign"]["status"] != "awaiting_promotion_approval" {
        assert!(process.try_wait().unwrap().is_none(), "it ended early");
    }
    // Where a person must decide, nothing is under way.
    send(signal, &process.id().to_string());
    assert!(ended(process.wait().unwrap()));

    let report = watched.status();
    assert_eq!(report["campaign"]["status"], "awaiting_promotion_approval");
    let experiment = &report["experiments"][0];
    assert_eq!(experiment["metrics"]["cases"], serde_json::json!({"num": 4, "den": 4}));
    assert_eq!(experiment["holdout"]["candidate"]["cases"]["num"], 2);
    assert_eq!(report["runs_executed"], EXECUTIONS);
    assert_eq!(
        watched.executions().len(),
        EXECUTIONS + watched.interrupted,
        "only what was under way is executed again"
    );
}

#[test]
fn an_interrupted_campaign_goes_on_from_any_phase() {
    survives_in_each_phase("INT", |status| status.code() == Some(130));
}

#[test]
fn a_terminated_campaign_goes_on_from_any_phase() {
    survives_in_each_phase("TERM", |status| status.code() == Some(143));
}

#[test]
fn a_killed_campaign_goes_on_from_any_phase() {
    survives_in_each_phase("KILL", |status| status.signal() == Some(9));
}

/// A stream that nobody reads and that takes nothing more: whoever writes to it waits.
fn full() -> (UnixStream, UnixStream) {
    let (reader, mut writer) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    for chunk in [4096, 1] {
        while writer.write(&vec![b'.'; chunk]).is_ok() {}
    }
    writer.set_nonblocking(false).unwrap();
    (reader, writer)
}

/// Changes that the store has seen: the higher number of a transaction in the two first pages of its file.
fn transactions(project: &Project) -> u64 {
    let data = File::open(project.path().join(".optim/data/data.mdb")).unwrap();
    let of_page = |page: u64| {
        let mut number = [0; 8];
        data.read_exact_at(&mut number, page * 4096 + 144).unwrap();
        u64::from_ne_bytes(number)
    };
    of_page(0).max(of_page(1))
}

#[test]
fn a_draft_that_a_signal_left_is_started_by_the_next_run() {
    for (signal, number) in [("TERM", 15), ("KILL", 9)] {
        let server = Server::stubborn();
        let project = priced(&server);
        let limit = "max_total_cost_usd: 0.005";
        project.replace("policy/budget.yaml", "max_total_cost_usd: null", limit);
        project.optim(["status"]).refused(5, "campaign_not_found");
        let before = transactions(&project);
        // What the campaign may cost is said when it is there and before it starts.
        let (_reader, writer) = full();
        let mut run = project.command(["run"]);
        let run = run.stdout(Stdio::null()).stderr(OwnedFd::from(writer)).spawn();
        let mut process = run.expect("optim starts");
        while transactions(&project) == before {
            assert!(process.try_wait().unwrap().is_none(), "it ended early");
            std::thread::yield_now();
        }
        send(signal, &process.id().to_string());
        assert_eq!(process.wait().unwrap().signal(), Some(number));
        let report = project.optim(["status", "--json"]).document(0);
        assert_eq!(report["campaign"]["status"], "draft", "{signal}");
        assert!(server.requests().is_empty(), "nothing was asked");
        let next = project.optim(["run", "--json"]).document(8);
        assert_eq!(next["campaign"]["id"], report["campaign"]["id"]);
        assert_eq!(next["campaign"]["status"], "paused_budget");
    }
}

#[test]
fn an_apply_that_is_killed_at_any_moment_is_whole_or_not_there() {
    for signal in ["TERM", "KILL"] {
        let project = Project::example();
        let before = project.read("workflow.yaml");
        assert_eq!(project.optim(["run"]).code, 7);
        assert_eq!(project.optim(["approve", "1"]).code, 0);
        let mut seen = Vec::new();
        for step in 0.. {
            let mut process = start(project.command(["apply"]));
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_micros(500 * step) {
                std::hint::spin_loop();
            }
            send(signal, &process.id().to_string());
            let ended = process.wait().unwrap();
            seen.push(project.read("workflow.yaml"));
            // It was there, or an earlier one was that did not come to say so.
            if matches!(ended.code(), Some(0 | 6)) {
                break;
            }
            assert!(step < 1000, "it makes no progress");
        }
        let after = seen.pop().unwrap();
        assert_ne!(after, before);
        assert!(seen.iter().all(|text| *text == before || *text == after), "half of it is there");
        project.optim(["apply"]).refused(6, "nothing_to_apply");
        assert_eq!(project.optim(["status", "--json"]).document(0)["campaign"]["live_version"], 1);
        assert_eq!(project.optim(["rollback"]).code, 0);
        assert_eq!(project.read("workflow.yaml"), before);
    }
}
