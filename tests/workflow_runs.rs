//! Workflow runs of the binary: real processes that act in a real workspace.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::Project;
use serde_json::{Value, json};

/// The agent of these tests. It writes down in the workspace that it began and ended, and does what the
/// objective says in between.
const AGENT: &str = r#"#!/bin/sh
request=$(cat)
objective=$(printf '%s' "$request" | sed 's/.*"objective":"\([^"]*\)".*/\1/')
node=${objective%%:*}
what=${objective#*:}
echo "begin $node" >> log
case "$what" in
  fail) echo '{"error":{"class":"failed","message":"as told"}}'; exit 0 ;;
  block) echo '{"error":{"class":"blocked","message":"no access"}}'; exit 0 ;;
  die) kill -9 $$ ;;
  hang) while :; do :; done & wait ;;
  gate) while [ ! -e open ]; do sleep 0.02; done ;;
  once) if [ ! -e tried ]; then : > tried; echo '{"error":{"class":"failed","message":"the first time"}}'; exit 0; fi ;;
  idle) echo '{"content":{"has_work":false}}'; echo "end $node" >> log; exit 0 ;;
  large) printf '{"content":"'; head -c 20000 /dev/zero | tr '\0' x; echo '"}'; echo "end $node" >> log; exit 0 ;;
esac
echo "end $node" >> log
printf '{"content":"%s","usage":{"prompt_tokens":10}}\n' "$node"
"#;

/// A project whose nodes do one after the other what `what` says; each allows `attempts`.
fn project(what: &[&str], attempts: u32) -> Project {
    let mut nodes = Vec::new();
    for (place, what) in what.iter().enumerate() {
        let needs = place.checked_sub(1).map(|before| format!("n{before}"));
        let node = json!({
            "node_id": format!("n{place}"), "agent_id": "x", "objective": format!("n{place}:{what}"),
            "depends_on": needs.into_iter().collect::<Vec<_>>(),
            "retry_policy": {"max_attempts": attempts}, "timeout_ms": 60_000,
        });
        nodes.push(node);
    }
    with_nodes(nodes, json!({}))
}

fn with_nodes(nodes: Vec<Value>, more: Value) -> Project {
    let project = Project::empty();
    let mut workflow = json!({"automation_id": "w", "name": "W", "agents": [{"agent_id": "x"}], "flow": {"nodes": nodes}});
    workflow.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    project.write("workflow.json", workflow.to_string());
    project.write("agent.sh", AGENT);
    project.write(
        "optim.toml",
        "workflow = \"workflow.json\"\n[executor]\nkind = \"process\"\ncommand = [\"sh\", \"agent.sh\"]\n",
    );
    project
}

fn log(project: &Project) -> Vec<String> {
    project.read("log").lines().map(str::to_owned).collect()
}

fn id(document: &Value) -> String {
    document["run"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_completes_in_the_real_workspace_and_its_record_says_so() {
    let project = project(&["ok", "large", "once"], 2);
    let run = project.optim(["run-workflow", "--json", "--follow"]);
    let document = run.document(0);
    assert_eq!(document["status"], "completed");
    assert_eq!(
        log(&project),
        ["begin n0", "end n0", "begin n1", "end n1", "begin n2", "begin n2", "end n2"]
    );
    assert!(run.stderr.contains("node_started attempt=2 node=n2"), "{run}");
    assert_eq!(document["run"]["nodes"][0]["state"]["output"]["inline"], "n0");
    assert_eq!(document["run"]["nodes"][1]["state"]["output"]["stored"]["bytes"], 20_002);
    assert_eq!(document["run"]["used"]["usage"]["prompt_tokens"], 20);
    let listed = project.optim(["runs", "list", "--json", "--status", "completed"]).document(0);
    assert_eq!((&listed["count"], &listed["runs"][0]["id"]), (&json!(1), &document["run"]["id"]));
    let beginning = id(&document).chars().take(12).collect::<String>();
    let shown = project.optim(["runs", "show", &beginning]);
    assert!(shown.stdout.contains("n2: done (attempt 2 of 2)"), "{shown}");
    let other = project.optim(["runs", "list", "--status", "broken"]);
    other.refused(2, "bad_filter");
}

#[test]
fn the_same_key_executes_once_and_a_dry_run_executes_nothing() {
    let project = project(&["ok"], 1);
    let dry = project.optim(["run-workflow", "--json", "--dry-run"]).document(0);
    assert_eq!((&dry["status"], &dry["run"]["dry_run"]), (&json!("completed"), &json!(true)));
    assert!(!project.path().join("log").exists());
    let args = ["run-workflow", "--json", "--key", "order 7", "--inputs", r#"{"a": 1}"#];
    let [first, again] = [0, 1].map(|_| project.optim(args).document(0));
    assert_eq!(id(&first), id(&again));
    assert_eq!(log(&project), ["begin n0", "end n0"]);
    project.optim(["run-workflow", "--key", "order 7"]).refused(6, "workflow_run_exists");
    project.optim(["run-workflow", "--inputs", "[1]"]).refused(2, "inputs_invalid");
}

#[test]
fn a_node_that_fails_dies_or_blocks_ends_the_run_and_a_repair_goes_on_from_there() {
    for (what, status, class) in [
        ("fail", "failed", "node_failed"),
        ("die", "failed", "node_failed"),
        ("block", "blocked", "no access"),
    ] {
        let project = project(&["ok", what, "ok"], 1);
        let ended = project.optim(["run-workflow", "--json"]).document(1);
        assert_eq!(ended["status"], status, "{ended}");
        assert!(ended.to_string().contains(class), "{ended}");
        let run = id(&ended);
        // A repair of what the node needs, not of the definition: that is frozen.
        project.write("agent.sh", AGENT.replace(&format!("  {what}) "), "  never) "));
        project.optim(["runs", "resume", &run]).refused(6, "workflow_run_wrong_status");
        let recovered =
            project.optim(["runs", "recover", &run, "--reason", "access is back", "--json"]);
        assert_eq!(recovered.document(0)["status"], "queued");
        let followed = project.optim(["runs", "follow", &run, "--json"]).document(0);
        assert_eq!(followed["status"], "completed");
        let began = log(&project).iter().filter(|line| *line == "begin n0").count();
        assert_eq!(began, 1, "what is done is not done again");
    }
}

#[test]
fn a_node_that_hangs_is_stopped_with_its_processes() {
    let node = json!({"node_id": "n0", "agent_id": "x", "objective": "n0:hang", "timeout_ms": 300});
    let project = with_nodes(vec![node], json!({}));
    let ended = project.optim(["run-workflow", "--json"]).document(1);
    assert!(ended["run"]["last_failure"]["reason"].as_str().unwrap().contains("300 ms"), "{ended}");
}

#[test]
fn a_gate_waits_for_a_decision_and_rework_does_again_what_it_names() {
    let node = |id: &str, needs: &[&str]| json!({"node_id": id, "agent_id": "x", "objective": format!("{id}:ok"), "depends_on": needs});
    let mut gate = node("g", &["n0"]);
    gate["stage_kind"] = json!("approval");
    let project = with_nodes(vec![node("n0", &[]), gate, node("n1", &["g"])], json!({}));
    let waits = project.optim(["run-workflow", "--json"]).document(7);
    assert_eq!(waits["status"], "awaiting_approval");
    let run = id(&waits);
    project.optim(["runs", "decide", &run, "rework"]).refused(2, "reason_required");
    project.optim(["runs", "decide", &run, "rework", "--reason", "too long"]).ended(0);
    assert_eq!(
        project.optim(["runs", "follow", &run, "--json"]).document(7)["status"],
        "awaiting_approval"
    );
    project.optim(["runs", "decide", &run, "approve"]).ended(0);
    assert_eq!(
        project.optim(["runs", "follow", &run, "--json"]).document(0)["status"],
        "completed"
    );
    assert_eq!(log(&project), ["begin n0", "end n0", "begin n0", "end n0", "begin n1", "end n1"]);
}

#[test]
fn what_a_triage_gate_leaves_without_work_is_skipped_and_the_run_completes() {
    let node = |id: &str, what: &str, needs: &[&str]| json!({"node_id": id, "agent_id": "x", "objective": format!("{id}:{what}"), "depends_on": needs});
    let mut triage = node("n0", "idle", &[]);
    triage["triage_gate"] = json!(true);
    let nodes = vec![triage, node("n1", "ok", &["n0"]), node("n2", "ok", &["n1"])];
    let project = with_nodes(nodes, json!({}));
    let run = project.optim(["run-workflow", "--json"]).document(0);
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(log(&project), ["begin n0", "end n0"]);
    let shown = project.optim(["runs", "show", &id(&run)]);
    assert!(shown.stdout.contains("n2: skipped"), "{shown}");
}

#[test]
fn a_workflow_that_is_paused_or_a_draft_does_not_run() {
    for status in ["paused", "draft"] {
        let node = json!({"node_id": "n0", "agent_id": "x", "objective": "n0:ok"});
        let project = with_nodes(vec![node], json!({"status": status}));
        let refused = project.optim(["run-workflow"]);
        refused.refused(3, "workflow_not_active");
        assert!(refused.stderr.contains("set its status to active"), "{refused}");
        project.optim(["run-workflow", "--dry-run"]).ended(0);
        let file = project.path().join("workflow.json").display().to_string();
        project.optim(["workflow", "put", &file]).ended(0);
        let settings = project.read("optim.toml").replace("workflow.json", "stored:w");
        project.write("optim.toml", settings);
        project.optim(["run-workflow"]).refused(3, "workflow_not_active");
        assert!(!project.path().join("log").exists(), "nothing was executed");
    }
}

#[test]
fn what_old_runs_have_put_out_is_dropped_and_their_records_stay() {
    let project = project(&["large"], 1);
    let run = project.optim(["run-workflow", "--json"]).document(0);
    let retain = || project.optim(["runs", "retain", "--days", "0", "--json"]).document(0);
    assert_eq!(retain()["dropped"], 1);
    assert_eq!(retain()["dropped"], 0);
    let shown = project.optim(["runs", "show", &id(&run), "--json"]).document(0);
    assert_eq!(shown["run"]["nodes"][0]["state"]["output"]["dropped"]["bytes"], 20_002);
    assert_eq!(shown["status"], "completed");
}

#[test]
fn a_guardrail_pauses_the_run_and_a_person_may_grant_it_once_more() {
    let node = |id: &str, needs: &[&str]| json!({"node_id": id, "agent_id": "x", "objective": format!("{id}:ok"), "depends_on": needs});
    let nodes = vec![node("n0", &[]), node("n1", &["n0"]), node("n2", &["n1"])];
    let project = with_nodes(nodes, json!({"execution": {"max_total_tokens": 15}}));
    let paused = project.optim(["run-workflow", "--json"]).document(8);
    assert_eq!(paused["run"]["state"]["pause"]["stop"], "guardrail_stopped", "{paused}");
    let run = id(&paused);
    project.optim(["runs", "resume", &run, "--reason", "worth it"]).ended(0);
    assert_eq!(
        project.optim(["runs", "follow", &run, "--json"]).document(0)["status"],
        "completed"
    );
}

/// Waits until the child has printed a line with `text` on stderr.
fn wait_for(child: &mut std::process::Child, text: &str) {
    let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let found = stderr.lines().map_while(Result::ok).any(|line| line.contains(text));
    assert!(found, "{text} was printed");
}

#[test]
fn a_killed_run_goes_on_without_repeating_what_is_done_and_asks_when_no_attempt_is_left() {
    for (attempts, code, status) in [(2, 0, "completed"), (1, 1, "failed")] {
        let project = project(&["ok", "gate", "ok"], attempts);
        let mut child = project
            .command(["run-workflow", "--follow", "--key", "k"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("optim starts");
        wait_for(&mut child, "node_started attempt=1 node=n1");
        child.kill().expect("the child is killed");
        child.wait().expect("the child ends");
        project.write("open", "");
        let ended = project.optim(["run-workflow", "--json", "--key", "k"]).document(code);
        assert_eq!(ended["status"], status, "{ended}");
        let began = log(&project).iter().filter(|line| *line == "begin n0").count();
        assert_eq!(began, 1);
        if attempts == 1 {
            assert_eq!(ended["run"]["state"]["failure"]["kind"], "server_restart");
        }
    }
}

#[test]
fn runs_in_one_workspace_or_in_a_folder_of_it_do_not_overlap() {
    let project = project(&["ok", "ok"], 1);
    let nested = project
        .read("workflow.json")
        .replace(r#""automation_id":"w""#, r#""automation_id":"v","workspace_root":"sub""#);
    std::fs::create_dir(project.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("../log", project.path().join("sub/log")).unwrap();
    let queued = project.optim(["run-workflow", "--queue", "--json"]).document(0);
    let own = project.read("workflow.json");
    project.write("workflow.json", nested);
    let inner = project.optim(["run-workflow", "--queue", "--json"]).document(0);
    project.write("workflow.json", own);
    let last = project.optim(["run-workflow", "--json"]).document(0);
    for run in [&queued, &inner, &last] {
        let ended = project.optim(["runs", "follow", &id(run), "--json"]).document(0);
        assert_eq!(ended["status"], "completed");
    }
    let log = log(&project);
    assert_eq!(log.len(), 12);
    for pair in log.chunks(2) {
        assert_eq!(pair[0].replace("begin", "end"), pair[1], "no two runs at once: {log:?}");
    }
}

#[test]
fn a_run_is_paused_and_cancelled_from_a_second_process() {
    let project = project(&["gate", "ok"], 1);
    let mut child = project
        .command(["run-workflow", "--follow", "--key", "k"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("optim starts");
    wait_for(&mut child, "node_started attempt=1 node=n0");
    let listed = project.optim(["runs", "list", "--json"]).document(0);
    let run = listed["runs"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(project.optim(["runs", "pause", &run, "--json"]).document(0)["status"], "pausing");
    project.write("open", "");
    assert_eq!(child.wait().expect("the child ends").code(), Some(7));
    let shown = project.optim(["runs", "show", &run, "--json"]).document(0);
    assert_eq!(shown["status"], "paused");
    assert_eq!(
        log(&project),
        ["begin n0", "end n0"],
        "what was at work has ended, nothing else began"
    );
    project.optim(["runs", "cancel", &run, "--reason", "enough"]).ended(0);
    project.optim(["runs", "resume", &run]).refused(6, "workflow_run_wrong_status");
}
