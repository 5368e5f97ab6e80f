//! Workflows that optim keeps itself, from the command line.

use crate::support::Project;
use serde_json::Value;

const ID: &str = "ticket-triage";

/// The example with its workflow in the store instead of a file.
fn stored() -> Project {
    let project = Project::example();
    project.replace("optim.toml", "\"workflow.yaml\"", "\"stored:ticket-triage\"");
    let put = project.optim(["workflow", "put", &file(&project), "--expect", "0"]);
    assert_eq!(put.code, 0, "{put}");
    project
}

fn file(project: &Project) -> String {
    project.path().join("workflow.yaml").display().to_string()
}

fn text(project: &Project) -> String {
    let got = project.optim(["workflow", "get", ID]);
    assert_eq!(got.code, 0, "{got}");
    got.stdout
}

#[test]
fn a_campaign_on_a_stored_workflow_applies_its_winner_there_and_takes_it_back() {
    let project = stored();
    let before = project.read("workflow.yaml");
    // The file is not looked at any more.
    project.write("workflow.yaml", "gone");
    let report = project.optim(["run", "--json"]).document(7);
    assert_eq!(report["campaign"]["workflow"], "stored:ticket-triage");
    let waits = |it: &&Value| it["state"] == "recommended" || it["state"] == "needs_review";
    let winner = report["experiments"].as_array().unwrap().iter().find(waits).unwrap();
    let number = winner["number"].to_string();
    assert_eq!(project.optim(["approve", &number, "--reason", "better"]).code, 0);
    assert_eq!(text(&project), before, "an approval moves the baseline only");

    let applied = project.optim(["apply", "--json"]).document(0);
    assert_eq!(applied["workflow"], "stored:ticket-triage");
    let kept: Vec<_> = before.lines().collect();
    let after = text(&project);
    let unchanged: Vec<_> = after.lines().filter(|line| before.contains(*line)).collect();
    assert_eq!(unchanged, kept, "every line stays as it was:\n{}", applied["diff"]);
    project.optim(["apply"]).refused(6, "nothing_to_apply");

    let shown = project.optim(["workflow", "get", ID, "--json"]).document(0);
    assert_eq!(shown["version"], 2);
    let last = &shown["definition"]["metadata"]["last_optimization_apply"];
    assert_eq!(last["optimization_id"], report["campaign"]["id"]);
    assert_eq!(last["new_value"], winner["mutation"]["after"]);

    assert_eq!(project.optim(["rollback"]).code, 0);
    assert_eq!(text(&project), before);
    let cancelled = project.optim(["workflow", "delete", ID, "--reason", "moved", "--json"]);
    assert_eq!(cancelled.document(0)["state"], "deleted");
    let status = project.optim(["status", "--json"]);
    assert!(status.stdout.contains("was deleted: moved"), "{status}");
    project.optim(["run"]).refused(6, "workflow_deleted");
}

#[test]
fn a_workflow_is_put_by_version_and_what_is_wrong_with_it_is_shown_at_its_line() {
    let project = stored();
    let edited = project.read("workflow.yaml").replace("creator_id: support-ops", "creator_id: us");
    project.write("workflow.yaml", &edited);
    let put =
        |expect: &str| project.optim(["workflow", "put", &file(&project), "--expect", expect]);
    put("0").refused(6, "workflow_version_moved");
    assert_eq!(put("1").code, 0);
    put("1").refused(6, "workflow_version_moved");
    assert_eq!(text(&project), edited);
    let first = project.optim(["workflow", "get", ID, "--version", "1"]);
    assert!(first.stdout.contains("creator_id: support-ops"), "{first}");
    project
        .optim(["workflow", "get", ID, "--version", "7"])
        .refused(5, "workflow_version_not_found");

    project.replace("workflow.yaml", "status: active", "status: asleep");
    put("2").refused(3, "workflow.yaml:5");
    project.write("workflow.yaml", "flow: [");
    put("2").refused(3, "yaml_syntax");
    project.optim(["workflow", "put", "/no/such/file"]).refused(1, "file_not_found");
    assert_eq!(text(&project), edited);
}

#[test]
fn a_deleted_workflow_is_restored_with_its_versions_and_a_retired_one_is_kept() {
    let project = stored();
    let before = text(&project);
    let verb = |args: &[&str]| project.optim([&["workflow"], args].concat());
    verb(&["delete", ID, "--reason", " "]).refused(2, "reason_required");
    verb(&["delete", "unknown", "--reason", "r"]).refused(5, "workflow_not_found");
    verb(&["restore", ID]).refused(6, "nothing_to_restore");
    let deleted = verb(&["delete", ID, "--reason", "a mistake"]);
    assert!(deleted.stdout.contains("optim workflow restore ticket-triage"), "{deleted}");
    verb(&["get", ID]).refused(6, "workflow_deleted");
    verb(&["put", &file(&project)]).refused(6, "workflow_deleted");
    assert_eq!(verb(&["list", "--json"]).document(0)["count"], 0);
    assert_eq!(verb(&["list", "--deleted", "--json"]).document(0)["workflows"][0]["id"], ID);
    assert_eq!(verb(&["restore", ID]).code, 0);
    assert_eq!(text(&project), before);

    assert_eq!(verb(&["retire", ID, "--reason", "replaced"]).code, 0);
    verb(&["put", &file(&project)]).refused(6, "workflow_retired");
    project.optim(["run"]).refused(6, "workflow_retired");
    let listed = verb(&["list", "--json"]).document(0);
    assert_eq!(listed["workflows"][0]["state"], "retired");
    assert_eq!(text(&project), before, "it is kept");
}
