//! The sequential rule on the binary: pair by pair, within its error budget, whatever happens meanwhile.

use crate::support::Project;
use optim_core::campaign::Phase;
use optim_core::campaign::event::EventKind;
use optim_core::id::CampaignId;
use optim_server::session::Session;
use optim_store::testing::sample;
use optim_store::{Commit, Versioned, Write};
use serde_json::Value;

/// The same id and seed draw the same cases, so that the tests always see the same.
const RUN: [&str; 6] = ["run", "--json", "--id", "known", "--seed", "1"];

/// The example, by the sequential rule.
fn project() -> Project {
    project_with("")
}

/// The same with further keys of `decision`.
fn project_with(keys: &str) -> Project {
    let project = Project::example();
    project.decide(&format!("{{rule: sequential{keys}}}"));
    project
}

/// A project whose first candidate is under review: it may have too few pairs for a proof.
fn under_review() -> Project {
    let project = project_with(", n_max: 32, batch: 32");
    let report = project.optim(RUN).document(7);
    assert_eq!(report["experiments"][0]["state"], "needs_review", "{report}");
    project
}

/// The case runs that a campaign needs which compared one candidate in `pairs` pairs: two replays of 84
/// tune and 84 search cases, both sides of each pair, and both sides of the confirmation on 60 cases.
fn runs(pairs: u64) -> u64 {
    2 * (84 + 84) + 2 * pairs + 2 * 60
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

#[test]
fn a_person_sees_what_a_winner_is_worth_on_cases_that_it_was_not_selected_by() {
    let project = project();
    let report = project.optim(RUN).document(7);
    let [selected, holdout] =
        ["comparison", "holdout"].map(|of| &report["experiments"][0][of]["gain"]);
    assert_eq!(holdout["pairs"], 60, "a whole pass over the holdout cases: {report}");
    for gain in [selected, holdout] {
        let [lower, upper] =
            ["lower", "upper"].map(|end| gain["interval"][end].as_i64().expect("an interval"));
        let mean = gain["mean"].as_i64().expect("a mean");
        assert!(lower <= mean && mean <= upper, "{gain}");
    }
    let shown = project.optim(["show", "1"]).stdout;
    let gains: Vec<_> = shown.lines().filter(|line| line.contains("points (95 %: ")).collect();
    assert!(gains[0].contains("by which it was selected"), "{shown}");
    assert!(gains[1].contains("on holdout") && gains[1].ends_with("60 pairs"), "{shown}");
    let status = project.optim(["status"]).stdout;
    assert!(status.contains("on holdout: ") && status.contains("selected by: "), "{status}");
}

#[test]
fn after_an_approval_the_replays_of_the_baseline_before_are_no_damage() {
    let project = project();
    project.optim(RUN).ended(7);
    project.optim(["store", "verify"]).ended(0);
    project.optim(["approve", "1"]).ended(0);
    project.optim(["store", "verify"]).ended(0);
}

#[test]
fn without_holdout_cases_a_person_is_told_that_the_figure_is_the_selected_one() {
    let project = project();
    let cases = project.read("cases/tickets.jsonl").replace("\"holdout\"", "\"search\"");
    project.write("cases/tickets.jsonl", cases);
    let report = project.optim(RUN).document(7);
    assert_eq!(report["experiments"][0]["holdout"], Value::Null, "{report}");
    for verb in [&["show", "1"][..], &["status"]] {
        let shown = project.optim(verb).stdout;
        assert!(shown.contains("likely too high"), "{shown}");
    }
}

#[test]
fn a_review_goes_on_with_the_pairs_that_a_person_adds_until_it_is_decided() {
    let project = under_review();
    let before = pairs(&project);
    let next = project.optim(["status"]).stdout;
    for verb in ["extend --pairs N --reason WHY", "approve 1 --anyway --reason WHY", "reject 1"] {
        assert!(next.contains(verb), "{verb}: {next}");
    }
    let both = ["extend", "--pairs", "40", "--tokens", "5", "--reason", "more"];
    project.optim(both).refused(2, "two_extensions");
    project.optim(["extend", "--pairs", "0", "--reason", "more"]).ended(2);
    project.optim(["extend", "--pairs", "40", "--reason", "it looks good"]).ended(0);
    let open = project.optim(["status", "--json"]).document(0);
    let comparison = &open["experiments"][0]["comparison"];
    assert_eq!((&comparison["pairs"], &comparison["pairs_max"]), (&before.into(), &72.into()));
    for verb in [&["show", "1"][..], &["status"], &["list"]] {
        let shown = project.optim(verb).stdout;
        assert!(shown.contains(&format!("{before} of at most 72 pairs: ")), "{shown}");
    }
    project.optim(["extend", "--pairs", "40", "--reason", "x"]).refused(6, "nothing_under_review");
    let report = project.optim(["run", "--json"]).document(7);
    assert_eq!(report["experiments"][0]["state"], "recommended", "{report}");
    let after = pairs(&project);
    assert!(after > before, "{after} pairs");
    assert_eq!(
        report["runs_executed"].as_u64(),
        Some(runs(after)),
        "the holdout is not paid twice"
    );
    project.optim(["approve", "1"]).ended(0);
}

#[test]
fn an_approval_against_the_judge_is_asked_for_in_so_many_words_and_marked() {
    let project = under_review();
    let plain = project.optim(["approve", "1", "--reason", "I like it"]);
    plain.refused(2, "not_recommended");
    assert!(plain.stderr.contains("--anyway"), "{plain}");
    project.optim(["approve", "1", "--anyway"]).refused(2, "reason_required");
    let evidence = project.optim(["show", "1", "--json"]).document(0);
    let crossed = &evidence["experiment"]["state"]["judgement"]["evidence"]["crossing"];
    let (mark, words) = match crossed {
        Value::Null => ("outside_guarantee", "outside the error guarantee"),
        _ => ("inside_guarantee", "inside the error guarantee"),
    };
    project.optim(["approve", "1", "--anyway", "--reason", "I like it"]).ended(0);
    let report = project.optim(["status", "--json"]).document(0);
    assert_eq!(report["experiments"][0]["anyway"], mark, "{report}");
    for verb in [&["show", "1"][..], &["status"]] {
        let shown = project.optim(verb).stdout;
        assert!(shown.contains(words), "{shown}");
    }
}

/// Changes the pairs of the candidate that waits for a decision, behind the back of the program.
async fn tamper(project: &Project) {
    let session = Session::open(project.path()).expect("the store is free");
    let store = session.engine.store();
    let id = CampaignId::new("known").expect("a name");
    let Versioned { revision, mut value } =
        store.campaign(&id).await.expect("the store answers").expect("the campaign is there");
    let Phase::AwaitingApproval { experiment } = &mut value.phase else { panic!("not waiting") };
    let trial = experiment.trial.as_mut().expect("it was compared by pairs");
    // Every win becomes a loss; the verdict stays as it is recorded.
    for figures in trial.pairs.iter_mut().filter_map(|pair| pair.figures.as_mut()) {
        figures.gain = (-figures.gain.millionths()).try_into().expect("as far below zero");
    }
    let campaigns = vec![Write { expected: revision, value }];
    let events = vec![sample::event("known", EventKind::BackOffEnded)];
    let commit = Commit { campaigns, events, ..Commit::default() };
    store.commit(commit).await.expect("it is written");
}

#[tokio::test]
async fn an_approval_on_pairs_that_do_not_say_what_the_verdict_says_is_refused() {
    let project = project();
    project.optim(RUN).document(7);
    tamper(&project).await;
    let refused = project.optim(["approve", "1"]);
    refused.refused(6, "judged again, its pairs say something else");
    let shown = project.optim(["show", "1", "--json"]).document(0);
    assert_eq!(shown["experiment"]["state"]["state"], "discarded");
    let report = project.optim(["status", "--json"]).document(0);
    assert_eq!(report["campaign"]["baseline_version"], 0);
}
