//! `optim run --aa` on the binary: the baseline against itself.

use crate::support::Project;

const SCRIPTED: &str = "kind = \"scripted\"\nright = {ok = true}\nwrong = {}";

/// A project of one node and `cases` search cases, whose answers pass as often as the executor says.
fn project(cases: u32, executor: &str) -> Project {
    let project = Project::of_one_node(&format!("{SCRIPTED}\n{executor}"));
    let lines =
        (0..cases).map(|case| format!("{{\"id\":\"c{case}\",\"inputs\":{{\"n\":{case}}}}}\n"));
    project.write("cases/tickets.jsonl", lines.collect::<String>());
    project.decide("{rule: sequential}");
    project
}

#[test]
fn a_steady_evaluator_is_healthy_and_nothing_is_promoted() {
    let project = project(16, "pass_per_mille = 1000");
    let report = project.optim(["run", "--aa", "--json"]).document(0);
    let health = &report["health"];
    assert_eq!(health["differing"]["num"], 0, "{health}");
    assert_eq!(health["differing"]["den"], 64, "at least 64 pairs");
    assert_eq!(health["findings"].as_array().map(Vec::len), Some(0), "{health}");
    assert_eq!(report["runs_executed"], 128, "the pairs are all that is executed");
    assert_eq!(report["campaign"]["status"], "completed");
    assert_eq!(report["experiments"][0]["state"], "discarded");
    let shown = project.optim(["show", "1"]);
    assert!(shown.stdout.contains("changes nothing: it is the baseline itself"), "{shown}");
    project.optim(["decisions", "verify"]).ended(0);
    project.optim(["approve", "1"]).refused(6, "not_pending");
    project.optim(["apply"]).refused(6, "nothing_to_apply");
}

#[test]
fn flaky_cases_are_named_and_their_share_feeds_the_plan() {
    let project = project(16, "pass_per_mille = 850");
    let ran = project.optim(["run", "--aa", "--pairs", "120"]);
    ran.ended(0);
    for words in [
        "pairs of one definition differ",
        "flaky: c",
        "drift:",
        "would not have promoted",
        "healthy:",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {ran}");
    }
    let report = project.optim(["status", "--json"]).document(0);
    let plan = project.optim(["plan", "--json"]).document(0);
    assert_eq!(plan["flips"]["share"], report["health"]["differing"], "{plan}");
    assert_eq!(plan["flips"]["from"], "record");
}

#[test]
fn an_evaluator_that_is_mostly_noise_is_not_healthy_and_has_its_exit_code() {
    let project = project(16, "pass_per_mille = 500");
    let ran = project.optim(["run", "--aa"]);
    ran.ended(13);
    assert!(ran.stdout.contains("not healthy: so many pairs differ"), "{ran}");
}

#[test]
fn a_check_goes_on_after_a_kill_and_pays_no_pair_twice() {
    let project = project(8, "pass_per_mille = 900");
    let run = ["run", "--aa", "--json", "--id", "known", "--seed", "1"];
    let kills = Project::kill_at_each_line(|| project.command(run));
    assert!(kills > 1, "{kills} kills");
    let report = project.optim(["status", "--json"]).document(0);
    assert_eq!(report["runs_executed"], 128, "{report}");
    let calm = self::project(8, "pass_per_mille = 900");
    calm.optim(run).ended(0);
    let undisturbed = calm.optim(["status", "--json"]).document(0);
    assert_eq!(report["health"], undisturbed["health"], "it ends as if nothing had happened");
}

#[test]
fn a_check_is_no_campaign_to_try_a_change_in_and_leaves_the_open_one_alone() {
    let project = Project::example();
    project.optim(["run", "--id", "open"]).ended(7);
    let ran = project.optim(["run", "--aa", "--pairs", "16", "--id", "check"]);
    ran.ended(0);
    assert!(ran.stderr.contains("campaign open stays awaiting_promotion_approval"), "{ran}");
    let status = project.optim(["status", "open", "--json"]).document(0);
    assert_eq!(status["campaign"]["status"], "awaiting_promotion_approval");
    project.optim(["run", "--pairs", "16"]).refused(2, "--aa");
}
