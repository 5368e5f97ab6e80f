//! What people do about a campaign besides deciding: its budget, its end, its workflow's end.

use crate::support::Project;

/// A campaign that waits for a decision on its first candidate.
fn awaiting() -> Project {
    let project = Project::example();
    assert_eq!(project.optim(["run"]).code, 7);
    project
}

#[test]
fn a_campaign_stops_before_its_budget_is_overspent_and_goes_on_when_a_person_adds_to_it() {
    let project = Project::example();
    // Two replays take about 126 000 of them; the first candidate does not fit any more.
    project.replace("policy/budget.yaml", "max_total_tokens: 20000000", "max_total_tokens: 150000");
    let held = project.optim(["run", "--json"]).document(8);
    assert_eq!(held["campaign"]["status"], "paused_budget");
    let reason = held["campaign"]["reason"].as_str().expect("a held campaign says why");
    assert!(reason.contains("84 case runs need up to"), "{reason}");
    assert!(reason.contains("of 150000 tokens are left (max_total_tokens)"), "{reason}");
    let settled = held["ledger"]["settled"]["tokens"].as_u64().expect("a count");
    assert!(settled > 0 && settled <= 150_000, "{settled}");
    assert_eq!(held["ledger"]["reserved"]["tokens"], 0);
    assert_eq!(held["ledger"]["overdrawn"]["tokens"], 0);
    project.optim(["resume"]).refused(6, "campaign_wrong_status");
    project.optim(["extend", "--tokens", "5", "--reason", " "]).refused(2, "reason_required");
    project.optim(["extend", "--reason", "more"]).refused(6, "extension_empty");
    project.optim(["extend", "--cost", "1.50", "--reason", "more"]).refused(6, "no_such_limit");
    let more = ["extend", "--tokens", "1000000", "--reason", "it is worth it", "--json"];
    let extended = project.optim(more).document(0);
    assert_eq!(extended["ledger"]["limit"]["tokens"], 1_150_000);
    assert_eq!(project.optim(["run"]).code, 7, "it goes on where it was held");
}

#[test]
fn a_request_with_a_key_has_one_effect_however_often_it_is_asked() {
    let project = awaiting();
    let more = |tokens: &str, key: &str| {
        let extend = ["extend", "--tokens", tokens, "--reason", "more", "--key", key, "--json"];
        project.optim(extend)
    };
    let limit = |document: &serde_json::Value| document["ledger"]["limit"]["tokens"].as_u64();
    let once = more("1000", "july-1").document(0);
    let again = more("1000", "july-1").document(0);
    assert_eq!(
        (once["events"].is_null(), limit(&once)),
        (again["events"].is_null(), limit(&again))
    );
    assert_eq!(limit(&once), Some(20_001_000));
    more("2000", "july-1").refused(6, "key_reused");
    assert_eq!(limit(&more("1000", "july-2").document(0)), Some(20_002_000));
    more("1000", "not a key").refused(2, "invalid value 'not a key'");
    let replay = ["replay", "--key", "fresh"];
    assert_eq!(project.optim(replay).code, 0);
    project
        .optim(["extend", "--tokens", "1", "--reason", "x", "--key", "fresh"])
        .refused(6, "key_reused");
}

#[test]
fn a_campaign_is_closed_archived_and_out_of_the_list() {
    let project = awaiting();
    project.optim(["close"]).refused(6, "campaign_wrong_status");
    project.optim(["archive", "opt-none"]).refused(5, "campaign_not_found");
    assert_eq!(project.optim(["reject", "1", "--reason", "too long"]).code, 0);
    let closed = project.optim(["close", "--reason", "enough", "--json"]).document(0);
    assert_eq!(closed["campaign"]["status"], "completed");
    assert_eq!(closed["campaign"]["reason"], "no improvement: closed by local:tester: enough");
    let id = closed["campaign"]["id"].as_str().expect("an id");
    assert_eq!(project.optim(["archive", id]).code, 0);
    assert_eq!(project.optim(["list", "--json"]).document(0)["count"], 0);
    let all = project.optim(["list", "--all", "--json"]).document(0);
    assert_eq!((&all["count"], &all["campaigns"][0]["archived"]), (&1.into(), &true.into()));
    assert_eq!(project.optim(["status", id]).code, 0, "nothing of it is deleted");
}

#[test]
fn a_replay_is_asked_for_once_and_only_a_real_one_is_recorded() {
    let project = awaiting();
    assert_eq!(project.optim(["replay", "--reason", "the agent changed"]).code, 0);
    assert_eq!(project.optim(["replay"]).code, 0, "asked again, it is the same wish");
    project.optim(["replay", "--record", "run_1"]).refused(5, "run_not_found");
    let none = format!("eval_{}", "0".repeat(32));
    project.optim(["replay", "--record", &none]).refused(6, "not_a_replay");
    project.optim(["reset-failures", "--reason", "none"]).refused(6, "campaign_wrong_status");
}

#[test]
fn a_campaign_whose_workflow_file_is_deleted_is_cancelled() {
    let project = awaiting();
    std::fs::remove_file(project.path().join("workflow.yaml")).expect("the file is removed");
    let gone = project.optim(["run", "--json"]).document(11);
    assert_eq!(gone["campaign"]["status"], "cancelled");
    let reason = gone["campaign"]["reason"].as_str().expect("an ended campaign says why");
    assert!(reason.ends_with("workflow.yaml is not there any more"), "{reason}");
}
