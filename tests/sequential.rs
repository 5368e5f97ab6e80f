//! The sequential rule on the binary: pair by pair, within its error budget, whatever happens meanwhile.

use crate::support::Project;
use serde_json::Value;

/// The same id and seed draw the same cases, so that the tests always see the same.
const RUN: [&str; 6] = ["run", "--json", "--id", "known", "--seed", "1"];

/// The example, by the sequential rule.
fn project() -> Project {
    let project = Project::example();
    project.decide("{rule: sequential}");
    project
}

/// The case runs that a campaign needs which compared one candidate in `pairs` pairs: two replays of 108
/// cases, both sides of each pair, and both sides of the confirmation on 60 cases.
fn runs(pairs: u64) -> u64 {
    2 * 108 + 2 * pairs + 2 * 60
}

fn pairs(project: &Project) -> u64 {
    let shown = project.optim(["show", "1", "--json"]).document(0);
    let judgement = &shown["experiment"]["state"]["judgement"];
    assert_eq!(judgement["error_control"]["fwer"]["alpha"], 50_000, "{judgement}");
    let evidence = &judgement["evidence"];
    let recorded = shown["experiment"]["trial"]["pairs"].as_array().expect("pairs are on record");
    let counted = evidence["pairs"].as_u64().expect("the trace counts them");
    assert_eq!(
        u64::try_from(recorded.len()),
        Ok(counted),
        "every pair of the decision is on record"
    );
    counted
}

#[test]
fn a_winner_has_crossed_its_bar_and_every_pair_is_paid_once() {
    let project = project();
    let report = project.optim(RUN).document(7);
    assert_eq!(report["runs_executed"].as_u64(), Some(runs(pairs(&project))), "{report}");
    let shown = project.optim(["show", "1"]);
    assert!(shown.stdout.contains("> better_and_guardrails_hold"), "{}", shown.stdout);
    assert!(shown.stdout.contains("95 % sure"), "{}", shown.stdout);
    assert_eq!(project.optim(["approve", "1"]).code, 0);
    assert_eq!(project.optim(["apply"]).code, 0);
    assert_eq!(project.optim(["rollback"]).code, 0);
}

#[test]
fn a_comparison_that_is_killed_again_and_again_pays_no_pair_twice() {
    let project = project();
    let kills = Project::kill_at_each_line(|| project.command(RUN));
    assert!(kills > 3, "{kills} kills");
    let report: Value = project.optim(RUN).document(7);
    assert_eq!(report["runs_executed"].as_u64(), Some(runs(pairs(&project))), "{report}");
    let calm = self::project();
    let undisturbed = calm.optim(RUN).document(7);
    assert_eq!(
        report["experiments"], undisturbed["experiments"],
        "it ends as if nothing had happened"
    );
}
