//! SIGINT, SIGTERM and SIGKILL in each phase of a campaign: the exit says what it was, nothing is lost,
//! and nothing is paid twice.
//!
//! The agent writes down each of its executions and then waits for leave, so that a signal finds the
//! process exactly where it should: with one execution under way and all earlier ones recorded.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

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
        project.write("workflow.yaml", WORKFLOW);
        project.replace("policy/scope.yaml", "[nodes.reply.objective]", "[]");
        project.write("better.txt", BETTER);
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

    /// Sends `signal`, and ends the execution that was under way if the process could not.
    fn interrupt(&mut self, mut process: Child, signal: &str) -> ExitStatus {
        send(signal, &process.id().to_string());
        let status = process.wait().unwrap();
        let last = self.executions().pop().unwrap();
        // One that is dead, and that nobody has asked about, has no command line.
        let left = std::fs::read(format!("/proc/{last}/cmdline")).unwrap_or_default();
        assert!(signal == "KILL" || left.is_empty(), "no agent is left behind");
        if !left.is_empty() {
            send("KILL", &last);
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
