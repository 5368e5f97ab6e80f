//! A campaign from a frozen workflow to an applied winner, and back.

use crate::support::{Project, Ran, optim};
use serde_json::Value;
use std::process::Command;

/// The experiment of a report that awaits a decision.
fn pending(report: &Value) -> &Value {
    let experiments = report["experiments"].as_array().expect("a report lists its experiments");
    let waits = |experiment: &&Value| {
        matches!(experiment["state"].as_str(), Some("recommended" | "needs_review"))
    };
    experiments.iter().find(waits).expect("an experiment waits")
}

fn passed(metrics: &Value) -> (u64, u64) {
    let count = |key: &str| metrics["cases"][key].as_u64().expect("a count");
    (count("num"), count("den"))
}

/// `a` is a larger share than `b`.
fn better(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 * b.1 > b.0 * a.1
}

#[test]
fn a_campaign_ends_in_an_applied_winner_that_can_be_rolled_back() {
    let project = Project::example();
    let before = project.read("workflow.yaml");

    let report = project.optim(["run", "--json"]).document(7);
    assert_eq!(report["campaign"]["status"], "awaiting_promotion_approval");
    let winner = pending(&report);
    assert_eq!(winner["verdict"], "promote");
    assert!(better(passed(&winner["metrics"]), passed(&winner["baseline"])), "{winner:#}");
    let holdout = &winner["holdout"];
    assert!(better(passed(&holdout["candidate"]), passed(&holdout["baseline"])), "{winner:#}");
    assert_eq!(
        project.read("workflow.yaml"),
        before,
        "nothing is written before a person asks for it"
    );
    project.optim(["apply"]).refused(6, "nothing_to_apply");
    project.optim(["run", "--reason", "again"]).refused(2, "already_started");

    let number = winner["number"].to_string();
    assert_eq!(project.optim(["approve", &number]).code, 0);
    assert_eq!(project.read("workflow.yaml"), before, "an approval moves the baseline only");

    let applied = project.optim(["apply", "--json"]).document(0);
    let after = project.read("workflow.yaml");
    let text = winner["mutation"]["after"].as_str().expect("a text");
    let kept: Vec<_> = after.lines().filter(|line| before.contains(*line)).collect();
    assert_eq!(
        kept,
        before.lines().collect::<Vec<_>>(),
        "every line stays as it was:\n{}",
        applied["diff"]
    );
    assert!(text.lines().all(|line| after.contains(line)), "the approved text is live");
    assert!(
        after.lines().all(|line| before.contains(line) || text.contains(line.trim())),
        "nothing else is"
    );
    project.optim(["apply"]).refused(6, "nothing_to_apply");

    project.optim(["rollback", "--if-live", "2"]).refused(6, "live_version_differs");
    assert_eq!(project.read("workflow.yaml"), after);
    assert_eq!(project.optim(["rollback", "--if-live", "1"]).code, 0);
    assert_eq!(project.read("workflow.yaml"), before, "a rollback restores the file byte for byte");
    project.optim(["rollback", "--if-live", "1"]).refused(6, "live_version_differs");
    project.optim(["rollback"]).refused(6, "nothing_to_roll_back");
}

#[test]
fn the_search_goes_on_after_a_rejection_and_keeps_its_reason() {
    let project = Project::example();
    let report = project.optim(["run", "--json"]).document(7);
    let number = pending(&report)["number"].to_string();
    project.optim(["reject", &number, "--reason", " "]).refused(2, "reason_required");
    assert_eq!(project.optim(["reject", &number, "--reason", "not our tone"]).code, 0);
    project.optim(["approve", &number]).refused(6, "not_pending");
    let shown = project.optim(["show", &number, "--json"]).document(0);
    assert_eq!(shown["experiment"]["state"]["by"]["reason"], "not our tone");
    let report = project.optim(["run", "--json"]).document(7);
    assert_ne!(pending(&report)["number"].to_string(), number);
}

#[test]
fn an_edit_of_the_live_workflow_is_drift() {
    let project = Project::example();
    let report = project.optim(["run", "--json"]).document(7);
    let number = pending(&report)["number"].to_string();
    assert_eq!(project.optim(["approve", &number]).code, 0);

    // Another field of another node: the measurement no longer applies.
    let text = project.read("workflow.yaml");
    let edited = text.replacen("timeout_ms: ", "timeout_ms: 1", 1);
    assert_ne!(text, edited);
    project.write("workflow.yaml", &edited);
    let refused = project.optim(["apply"]);
    refused.refused(6, "live_drift");
    refused.refused(6, "].timeout_ms");
    assert_eq!(project.read("workflow.yaml"), edited, "nothing is written on drift");
    assert_eq!(project.optim(["apply", "--accept-drift", "we raised it for the launch"]).code, 0);
    assert_ne!(project.read("workflow.yaml"), edited);
}

#[test]
fn my_own_edit_goes_through_the_same_verdict() {
    let project = Project::example();
    let report = project.optim([
        "try",
        "--node",
        "classify",
        "--field",
        "timeout_ms",
        "--value",
        "65000",
        "--json",
    ]);
    let report = report.document(0);
    assert_eq!(report["campaign"]["status"], "completed");
    let experiment = &report["experiments"][0];
    assert_eq!(
        (&experiment["proposer"], &experiment["verdict"]),
        (&"operator".into(), &"discard".into())
    );

    let refused =
        project.optim(["try", "--node", "classify", "--field", "timeout_ms", "--value", "599000"]);
    refused.refused(2, "timeout_delta");
    project
        .optim(["try", "--node", "nobody", "--field", "timeout_ms", "--value", "1"])
        .refused(2, "unknown_node");
    project
        .optim(["try", "--node", "classify", "--field", "name", "--value", "1"])
        .refused(2, "unknown_field");
}

#[test]
fn a_text_of_my_own_is_what_the_file_says_however_it_ends() {
    let project = Project::example();
    // The objective as it stands in the file, without its indentation, with a few words more.
    let text = project.read("workflow.yaml");
    let block = text
        .split("objective: |\n")
        .nth(1)
        .unwrap()
        .split("      output_contract:")
        .next()
        .unwrap();
    let objective: String =
        block.lines().map(|line| format!("{}\n", line.get(8..).unwrap_or(""))).collect();
    let mine = objective.trim_end().replacen(
        "- delivery_delay: parcel",
        "- delivery_delay: driver, depot, parcel",
        1,
    );
    assert_ne!(mine, objective.trim_end());
    for (name, ending) in [("bare", ""), ("unix", "\n"), ("more", "\n\n")] {
        let project = Project::example();
        // It gains too little for another rule.
        project.decide("{rule: point}");
        project.write(name, format!("{mine}{ending}"));
        let file = project.path().join(name);
        let tried = project.optim([
            "try",
            "--node",
            "classify",
            "--field",
            "objective",
            "--text-file",
            file.to_str().unwrap(),
            "--json",
        ]);
        let report = tried.document(7);
        assert_eq!(report["experiments"][0]["verdict"], "promote", "{name}: {tried}");
    }
}

#[test]
fn a_candidate_file_may_change_one_field_only() {
    let project = Project::example();
    let text = project.read("workflow.yaml");
    let one = text.replacen("timeout_ms: 60000", "timeout_ms: 66000", 1);
    assert_ne!(one, text, "the example has a timeout of 60000");
    project.write("mine.yaml", &one);
    let mine = project.path().join("mine.yaml");
    let report = project.optim(["try", mine.to_str().unwrap(), "--json"]).document(0);
    assert_eq!(report["experiments"][0]["mutation"]["field"], "timeout_ms");
    project.write("mine.yaml", one.replacen("max_attempts: 2", "max_attempts: 3", 1));
    project.optim(["try", mine.to_str().unwrap()]).refused(2, "more_than_one_change");
}

#[test]
fn the_demo_runs_anywhere_and_says_what_comes_next() {
    let folder = crate::support::temporary();
    let dir = folder.path().join("demo");
    let demo = Command::new(optim()).args(["demo", "--json", "--dir"]).arg(&dir).output().unwrap();
    let report = Ran::of(demo).document(0);
    assert_eq!(report["schema"], "optim/v1/campaign");
    assert!(report["runs_executed"].as_u64().unwrap() > 100);
    assert!(
        report["next"]
            .as_array()
            .unwrap()
            .iter()
            .any(|next| next.as_str().unwrap().contains("approve"))
    );
    assert_eq!(report["campaign"]["simulated"], false);
}

#[test]
fn what_is_offered_next_is_allowed_and_what_is_not_is_refused() {
    for decision in ["approve", "reject"] {
        let project = Project::example();
        let mut report = project.optim(["run", "--json"]).document(7);
        project.optim(["resume"]).refused(6, "campaign_wrong_status");
        project.optim(["apply"]).refused(6, "nothing_to_apply");
        let mut done = Vec::new();
        // Whatever is offered is taken up, the decision that was chosen first, until nothing new is.
        loop {
            let untried = offered(&report).into_iter().find(|verb| {
                let other = ["approve", "reject"].contains(&verb.as_str()) && verb != decision;
                !other && !done.contains(verb) && !["run", "rollback"].contains(&verb.as_str())
            });
            let Some(verb) = untried else { break };
            let asked = match verb.as_str() {
                "reject" => vec!["reject", "1", "--reason", "not this time"],
                "show" | "approve" => vec![verb.as_str(), "1"],
                verb => vec![verb],
            };
            let ran = project.optim(asked);
            assert!([0, 7].contains(&ran.code), "{verb}: {ran}");
            done.push(verb);
            report = project.optim(["status", "--json"]).document(0);
        }
        assert!(done.contains(&decision.to_owned()), "{done:?}");
        assert_eq!(done.contains(&"apply".to_owned()), decision == "approve", "{done:?}");
    }
}

/// The verbs of the commands that a report offers.
fn offered(report: &Value) -> Vec<String> {
    let next = report["next"].as_array().unwrap().iter();
    let verb = |next: &Value| {
        let words: Vec<&str> = next.as_str().unwrap().split(' ').collect();
        let at = words.iter().position(|word| *word == "-C").map_or(1, |at| at + 2);
        words[at].to_owned()
    };
    next.map(verb).collect()
}

#[test]
fn another_executor_cannot_take_over_a_campaign() {
    let project = Project::example();
    let report = project.optim(["run", "--json"]).document(7);
    let number = pending(&report)["number"].to_string();
    assert_eq!(project.optim(["reject", &number, "--reason", "go on"]).code, 0);
    project.replace("optim.toml", "kind = \"lexical\"", "kind = \"scripted\"");
    project.optim(["run"]).refused(2, "executor_changed");
    // The loops would take the open campaign further beside a new one.
    project.optim(["run", "--new"]).refused(2, "executor_changed");
    project.replace("optim.toml", "kind = \"scripted\"", "kind = \"lexical\"");
    assert_eq!(project.optim(["run"]).code, 7);
}

#[test]
fn simulated_figures_say_so_wherever_they_are() {
    let project = Project::example();
    project.replace("optim.toml", "kind = \"lexical\"", "kind = \"scripted\"");
    let ran = project.optim(["run", "--seed", "3"]);
    assert!(ran.stdout.contains("SIMULATED") && ran.stderr.contains("SIMULATED"), "{ran}");
    assert_eq!(project.optim(["status", "--json"]).document(0)["campaign"]["simulated"], true);
}

#[test]
fn a_pause_holds_and_a_cancelled_campaign_is_over() {
    let project = Project::example();
    assert_eq!(project.optim(["run"]).code, 7);
    assert_eq!(project.optim(["pause", "--reason", "lunch"]).code, 0);
    let status = project.optim(["status", "--json"]).document(0);
    assert_eq!(status["campaign"]["status"], "paused_manual");
    assert!(status["campaign"]["reason"].as_str().unwrap().contains("tester: lunch"));
    assert_eq!(project.optim(["run"]).code, 7, "a person must resume it");
    assert_eq!(project.optim(["resume"]).code, 0);
    project.optim(["resume"]).refused(6, "campaign_wrong_status");
    assert_eq!(project.optim(["cancel"]).code, 0);
    project.optim(["cancel"]).refused(6, "campaign_wrong_status");
    let next = project.optim(["run", "--json"]).document(7);
    let listed = project.optim(["list", "--json"]).document(0);
    assert_eq!(listed["count"], 2);
    assert_eq!(listed["campaigns"][0]["id"], next["campaign"]["id"], "the newest comes first");
}

#[test]
fn of_two_campaigns_on_one_workflow_the_second_apply_meets_drift() {
    let project = Project::example();
    let approve = |report: &Value| {
        let campaign = report["campaign"]["id"].as_str().unwrap().to_owned();
        let number = pending(report)["number"].to_string();
        let approved = project.optim(["approve", &number, "--campaign", &campaign]);
        assert_eq!(approved.code, 0, "{approved}");
        campaign
    };
    let first = approve(&project.optim(["run", "--json"]).document(7));
    let second = approve(&project.optim(["run", "--new", "--json"]).document(7));
    assert_ne!(first, second);
    assert_eq!(project.optim(["apply", &first]).code, 0);
    let live = project.read("workflow.yaml");
    project.optim(["apply", &second]).refused(6, "live_drift");
    assert_eq!(project.read("workflow.yaml"), live, "nothing of the first apply is lost");
}

#[test]
fn an_evaluation_gets_no_output_target_and_the_experiment_shows_it() {
    let project = Project::example();
    let targets = "output_targets: [mailto:everybody]\nstatus: active";
    project.replace("workflow.yaml", "status: active", targets);
    project
        .optim(["try", "--node", "classify", "--field", "timeout_ms", "--value", "65000", "--json"])
        .document(0);
    let shown = project.optim(["show", "1", "--json"]).document(0);
    assert_eq!(shown["denied"][0]["target"], "mailto:everybody");
    let shown = project.optim(["show", "1"]).stdout;
    assert!(shown.contains("its runs did not get output target `mailto:everybody`"), "{shown}");
}

#[test]
fn a_node_that_must_use_a_tool_that_an_evaluation_denies_is_refused_before_anything_runs() {
    let project = Project::example();
    let agent = "tool_policy: { allowlist: [], denylist: [] }";
    project.replace(
        "workflow.yaml",
        agent,
        "tool_policy: { allowlist: [send_mail], denylist: [] }",
    );
    let program = "kind = \"process\"\ncommand = [\"true\"]";
    project.replace("optim.toml", "kind = \"lexical\"", program);
    let required = "output_contract:\n        enforcement: { required_tools: [send_mail] }";
    project.replace("workflow.yaml", "output_contract:", required);
    let refused = project.optim(["run"]);
    refused.refused(3, "denied_tool_required");
    assert!(refused.stderr.contains("warning[denied_in_evaluation]"), "{refused}");
}
