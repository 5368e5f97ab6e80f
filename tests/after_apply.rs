//! What is live after an apply, compared with what was promised.

use std::path::Path;
use std::process::{Child, Stdio};

use crate::support::{Project, Ran, temporary};
use serde_json::Value;

/// An agent that answers well if its objective asks for care, and says in the folder `signals` that it has
/// started. When `worse` is there it answers badly; when `wait` is, it waits until that is gone.
fn agent(signals: &Path) -> String {
    let dir = signals.display();
    format!(
        "request=$(cat); : > {dir}/started; while [ -e {dir}/wait ]; do sleep 0.02; done\n\
         case \"$request\" in *care*) good=yes;; esac\n\
         if [ -e {dir}/worse ] || [ -z \"$good\" ]; then echo '{{\"content\": {{}}}}'\n\
         else echo '{{\"content\": {{\"ok\": true}}}}'; fi"
    )
}

/// A project whose approved change is live, and whose campaign is over. `post_apply` is that section of
/// its policy.
fn applied(signals: &Path, post_apply: &str) -> (Project, Value) {
    let project = Project::of_one_node("kind = \"process\"\ncommand = [\"/bin/sh\", \"agent.sh\"]")
        .with_access_to(signals);
    project.write("agent.sh", format!("#!/bin/sh\n{}\n", agent(signals)));
    let eval = project.read("policy/eval.yaml");
    project.write("policy/eval.yaml", format!("{eval}\npost_apply: {post_apply}\n"));
    project.write("better.txt", "Answer the question that was asked with care in one word.");
    let change =
        ["try", "--node", "n", "--field", "objective", "--text-file", "better.txt", "--json"];
    let mut tried = project.command(change);
    let tried = Ran::of(tried.current_dir(project.path()).output().unwrap());
    assert_eq!(tried.document(7)["experiments"][0]["verdict"], "promote");
    assert_eq!(project.optim(["approve", "1"]).code, 0);
    assert_eq!(
        project.optim(["run"]).code,
        0,
        "the new baseline is measured, and the search is over"
    );
    let applied = project.optim(["apply", "--json"]).document(0);
    (project, applied)
}

fn passed(figures: &Value) -> (u64, u64) {
    let passed = |split: &str| figures[split]["cases"]["num"].as_u64().expect("a count");
    (passed("search"), passed("holdout"))
}

#[test]
fn what_is_live_is_measured_on_request_paid_from_the_budget_and_shown() {
    let signals = temporary();
    let (project, applied) = applied(signals.path(), "{measure: on_request}");
    assert!(applied["next"][0].as_str().unwrap().ends_with(" measure"), "{applied:#}");
    assert_eq!(applied["after_apply"]["measured"], Value::Null);
    let before = project.optim(["status", "--json"]).document(0);
    let measured = project.optim(["measure", "--reason", "monday", "--json"]).document(0);
    let found = &measured["after_apply"]["measured"];
    assert_eq!((found["finding"].as_str(), passed(&found["live"])), (Some("kept"), (2, 1)));
    assert_eq!((passed(&found["promised"]), passed(&found["before"])), ((2, 1), (0, 0)));
    assert_eq!((&found["asked_by"], &found["reason"]), (&"local:tester".into(), &"monday".into()));
    let runs = |report: &Value| report["runs_executed"].as_u64().unwrap();
    assert_eq!(runs(&measured), runs(&before) + 3);
    assert_eq!(measured["ledger"]["reserved"]["tokens"], 0);
    assert_eq!(measured["campaign"]["status"], "completed");
    let shown = project.optim(["show", "1"]).stdout;
    assert!(shown.contains("it keeps what was promised"), "{shown}");

    let text = project.read("workflow.yaml");
    project.write("workflow.yaml", text.replace("{agent_id: a}", "{agent_id: a, skills: [s]}"));
    let edited = project.optim(["measure"]);
    edited.refused(6, "live_drift");
    edited.refused(6, "agents[0].skills");
    project.write("workflow.yaml", text);
    assert_eq!(project.optim(["rollback"]).code, 0);
    project.optim(["measure"]).refused(6, "nothing_to_measure");
}

#[test]
fn a_drop_after_the_apply_is_said_plainly_and_rolled_back_by_a_person_only() {
    let signals = temporary();
    let (project, _) = applied(signals.path(), "{}");
    std::fs::write(signals.path().join("worse"), "").unwrap();
    let live = project.read("workflow.yaml");
    let measured = project.optim(["measure"]);
    measured.ended(7);
    assert!(measured.stdout.contains("WORSE THAN PROMISED"), "{measured}");
    assert!(measured.stdout.contains(" rollback` takes the apply back"), "{measured}");
    assert_eq!(project.read("workflow.yaml"), live);
    assert_eq!(
        project.optim(["status", "--json"]).document(0)["after_apply"]["measured"]["finding"],
        "dropped"
    );
    assert_eq!(project.optim(["rollback"]).code, 0);
}

#[test]
fn by_policy_an_apply_measures_by_itself() {
    let signals = temporary();
    let (_project, applied) = applied(signals.path(), "{measure: automatic}");
    let found = &applied["after_apply"]["measured"];
    assert_eq!((found["finding"].as_str(), passed(&found["live"])), (Some("kept"), (2, 1)));
}

/// A measurement whose first case run has begun.
fn begun(project: &Project, signals: &Path) -> Child {
    std::fs::write(signals.join("wait"), "").unwrap();
    drop(std::fs::remove_file(signals.join("started")));
    let mut command = project.command(["measure"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !signals.join("started").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
        std::thread::yield_now();
    }
    child
}

#[test]
fn a_measurement_that_is_killed_goes_on_and_counts_once() {
    let signals = temporary();
    let (project, _) = applied(signals.path(), "{}");
    let mut child = begun(&project, signals.path());
    child.kill().unwrap();
    child.wait().unwrap();
    let waits = project.optim(["status", "--json"]).document(0);
    assert_eq!(waits["after_apply"]["measuring"], true);
    std::fs::remove_file(signals.path().join("wait")).unwrap();
    let measured = project.optim(["measure", "--json"]).document(0);
    assert_eq!(passed(&measured["after_apply"]["measured"]["live"]), (2, 1));
    assert_eq!(
        measured["runs_executed"].as_u64().unwrap(),
        waits["runs_executed"].as_u64().unwrap() + 3
    );
}

#[test]
fn a_measurement_is_cancelled_from_a_second_process_and_the_campaign_stays_as_it_ended() {
    let signals = temporary();
    let (project, _) = applied(signals.path(), "{}");
    let mut child = begun(&project, signals.path());
    let cancelled = project.optim(["cancel", "--reason", "too slow", "--json"]).document(0);
    assert_eq!(cancelled["campaign"]["status"], "completed");
    let why = &cancelled["after_apply"]["unmeasured"]["reason"];
    assert_eq!(why, "cancelled by local:tester: too slow");
    assert_eq!(child.wait().unwrap().code(), Some(7), "a person must look");
    project.optim(["cancel"]).refused(6, "campaign_wrong_status");
}
