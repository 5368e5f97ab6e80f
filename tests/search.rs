//! What a search can find, what it was refused, and why measurements fail.

use crate::support::Project;

/// An agent that answers every request so.
fn answering(answer: &str) -> Project {
    Project::scripted_by(&format!("cat > /dev/null\nprintf '%s' '{answer}'"))
}

#[test]
fn a_campaign_says_at_its_beginning_how_many_candidates_there_are_and_what_is_refused() {
    let project = Project::example();
    let ran = project.optim(["run", "--json"]);
    let report = ran.document(7);
    let prospect = &report["campaign"]["prospect"];
    let candidates = prospect["candidates"].as_u64().expect("a count");
    assert!(candidates > 10, "{prospect}");
    assert_eq!(prospect["more"], true, "the failing cases may lead to more");
    let said = format!("note: at least {candidates} candidates for this baseline");
    assert!(ran.stderr.contains(&said), "{ran}");
    let refused = &prospect["refused"]["kept"];
    let forbidden = |one: &&serde_json::Value| one["code"] == "field_forbidden";
    let one = refused.as_array().expect("a list").iter().find(forbidden).expect("scope.yaml");
    assert_eq!((&one["node"], &one["field"]), (&"reply".into(), &"objective".into()));
    assert!(one["reason"].as_str().expect("a sentence").contains("scope.yaml forbids it"));
}

#[test]
fn a_campaign_whose_policies_leave_nothing_to_try_is_refused_before_it_costs_anything() {
    let project = Project::example();
    // Every timeout is above the longest that the policy allows, by more than one step.
    let policy = "policy/mutation_policy.yaml";
    project.replace(policy, "timeout_max_ms: 600000", "timeout_max_ms: 30001");
    project.replace(
        policy,
        "[timeout_ms, retry_policy_max_attempts, retry_policy_retries]",
        "[timeout_ms]",
    );
    project.replace(policy, "[objective, output_contract_summary_guidance]", "[]");
    let ran = project.optim(["run"]);
    ran.refused(3, "no_candidates");
    ran.refused(3, "2 of reply.timeout_ms (no_room)");
    ran.refused(3, "allow more in mutation_policy.yaml or scope.yaml");
    project.optim(["status"]).refused(5, "campaign_not_found");
}

#[test]
fn the_cause_of_runs_without_an_outcome_is_named_wherever_a_campaign_is_shown() {
    let project =
        answering(r#"{"error": {"class": "configuration", "message": "there is no key"}}"#);
    project.replace(
        "policy/budget.yaml",
        "max_consecutive_failures:",
        "max_consecutive_failures: 2 #",
    );
    let ran = project.optim(["run"]);
    assert_eq!(ran.code, 10, "{ran}");
    assert!(ran.stderr.contains("the next evaluation waits until "), "{ran}");
    let cause = "2 of 2 case runs gave no outcome: there is no key (configuration)";
    assert!(ran.stderr.contains(cause), "{ran}");
    assert!(ran.stdout.contains(cause), "{ran}");
    let status = project.optim(["status"]);
    assert!(status.stdout.contains(cause), "{status}");
    let report = project.optim(["status", "--json"]).document(0);
    let reason = report["campaign"]["reason"].as_str().expect("a held campaign says why");
    assert!(reason.contains(cause), "{reason}");
    assert_eq!(report["campaign"]["waits_until_ms"], serde_json::Value::Null);
}

#[test]
fn proposers_learn_from_tune_cases_and_from_search_cases_only_where_there_are_no_others() {
    // Word for word the same in every search ticket of one label, and in no other case.
    let marked = |tune: bool| {
        let project = Project::example();
        let mut pack = String::new();
        for line in project.read("cases/tickets.jsonl").lines() {
            let marked = line.contains("\"split\":\"search\"") && line.contains("return_request");
            let line = if marked {
                line.replace("\"ticket\":\"", "\"ticket\":\"Zyzzyva. ")
            } else {
                line.into()
            };
            pack += &if tune {
                line
            } else {
                line.replace("\"split\":\"tune\"", "\"split\":\"holdout\"")
            };
            pack += "\n";
        }
        project.write("cases/tickets.jsonl", pack);
        project.optim(["run"]);
        project.optim(["show", "1"]).stdout
    };
    assert!(!marked(true).contains("zyzzyva"));
    assert!(marked(false).contains("zyzzyva"), "it would have been learnt");
}
