//! Counts over what was expected, and when replays agree.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::baseline::{
    Instability, disagreement, establish, flaky_cases, next_replay_at, replay_due,
};
use super::*;
use crate::campaign::{CaseMark, Replay};
use crate::digest::Digest;
use crate::id::{CaseId, EvaluationId, NodeId};
use crate::outcome::{CaseOutcome, Check, CheckKind, Measured, Outcome};
use crate::pack::Role;
use crate::policy::{DecisionProfile, EvalPolicy, PackRef, Rule, Sequential};
use crate::quantity::{Millis, Timestamp, Tokens};
use crate::workflow::{Fingerprint, ValidatorKind};

/// Two nodes with a validator and one without.
fn workflow() -> Workflow {
    let node = |id: &str, contract: bool| {
        let contract = contract.then(|| json!({"kind": "k", "validator": "generic_artifact"}));
        json!({"node_id": id, "agent_id": "a", "objective": "o", "output_contract": contract})
    };
    let nodes = [node("node-1", true), node("node-2", true), node("plain", false)];
    Workflow::from_json(json!({"automation_id": "w", "flow": {"nodes": nodes}})).unwrap()
}

fn case(name: &str) -> Case {
    Case {
        id: CaseId::new(name).unwrap(),
        inputs: serde_json::Map::new(),
        expect: Vec::new(),
        role: Role::Search,
    }
}

fn check(node: &str, outcome: Outcome, unmet: usize) -> Check {
    Check {
        node: NodeId::new(node).unwrap(),
        kind: CheckKind::Validator(ValidatorKind::GenericArtifact),
        outcome,
        unmet: vec!["something is missing".to_owned(); unmet],
        warnings: Vec::new(),
    }
}

fn report(outcome: CaseOutcome) -> RunReport {
    RunReport {
        executed: Fingerprint(Digest::of(b"w")),
        outcome,
        nodes: Vec::new(),
        usage: Usage { prompt_tokens: Tokens(100), latency: Millis(8000), ..Usage::default() },
        started_at: Timestamp(0),
        finished_at: Timestamp(8000),
        denied: Vec::new(),
        spent_on_faults: Usage::default(),
        throttled: None,
    }
}

fn measured(checks: Vec<Check>, blocked: &[&str]) -> RunReport {
    let blocked = blocked.iter().map(|id| NodeId::new(*id).unwrap()).collect();
    report(CaseOutcome::Measured(Measured { checks, blocked, over_limit: None }))
}

fn metrics(cases: &[Case], reports: &[(&str, RunReport)]) -> Metrics {
    let ids: Vec<_> = reports.iter().map(|(name, _)| CaseId::new(*name).unwrap()).collect();
    let reports: BTreeMap<_, _> =
        ids.iter().zip(reports.iter().map(|(_, report)| report)).collect();
    Metrics::of(&Expected::new(&workflow(), cases.iter()), &reports)
}

#[test]
fn a_run_that_blocks_is_measured_over_what_was_expected() {
    let checks = vec![check("node-1", Outcome::Passed, 0), check("node-2", Outcome::Blocked, 2)];
    let found = metrics(&[case("a")], &[("a", measured(checks, &["node-2"]))]);
    assert_eq!(found.checks.to_string(), "1/2");
    assert_eq!(found.cases.to_string(), "0/1");
    assert_eq!((found.unmet, found.blocked.to_string()), (2, "1/3".to_owned()));
    assert!(found.within_limits);
    assert_eq!(found.usage.tokens(), Tokens(100));
}

#[test]
fn what_a_run_did_not_produce_has_failed() {
    // A candidate that skips its failing node, and a case without a run: neither shrinks what is expected.
    let skipped = measured(vec![check("node-1", Outcome::Passed, 0)], &[]);
    let found = metrics(&[case("a"), case("b")], &[("a", skipped)]);
    assert_eq!(
        (found.checks.to_string(), found.cases.to_string()),
        ("1/4".to_owned(), "0/2".to_owned())
    );
    assert_eq!(found.unmet, 3, "one for each check that is not there");
}

#[test]
fn warnings_pass_and_a_failure_without_words_is_one_unmet_requirement() {
    let checks =
        vec![check("node-1", Outcome::PassedWithWarnings, 0), check("node-2", Outcome::Failed, 0)];
    let found = metrics(&[case("a")], &[("a", measured(checks, &[]))]);
    assert_eq!((found.checks.to_string(), found.unmet), ("1/2".to_owned(), 1));
}

#[test]
fn a_broken_limit_fails_the_case_though_its_checks_pass() {
    let checks = vec![check("node-1", Outcome::Passed, 0), check("node-2", Outcome::Passed, 0)];
    let over_limit = Some("max_total_tokens: 9 of 5".to_owned());
    let over = report(CaseOutcome::Measured(Measured { checks, blocked: Vec::new(), over_limit }));
    let found = metrics(&[case("a")], &[("a", over)]);
    assert_eq!((found.cases.to_string(), found.within_limits), ("0/1".to_owned(), false));
}

#[test]
fn a_void_run_is_counted_apart_and_nowhere_else() {
    let void = report(CaseOutcome::Void { fault: "down".to_owned() });
    let good = || {
        let checks = vec![check("node-1", Outcome::Passed, 0), check("node-2", Outcome::Failed, 3)];
        measured(checks, &["node-2"])
    };
    let alone = metrics(&[case("a")], &[("a", good())]);
    let both = metrics(&[case("a"), case("b")], &[("a", good()), ("b", void)]);
    assert_eq!((both.void, both.void_share()), (1, Fraction::new(1, 2)));
    let without = Metrics { void: 0, ..both };
    let counts = |metrics: Metrics| serde_json::to_value(metrics).unwrap();
    assert_eq!(counts(without), counts(alone));
}

#[test]
fn what_faults_of_the_outside_have_cost_is_no_cost_of_the_definition() {
    let spent_on_faults = Usage { prompt_tokens: Tokens(70), ..Usage::default() };
    let faulty = RunReport { spent_on_faults, ..measured(Vec::new(), &[]) };
    let found =
        metrics(&[case("a"), case("b")], &[("a", faulty), ("b", measured(Vec::new(), &[]))]);
    assert_eq!(found.usage.tokens(), Tokens(30 + 100));
}

#[test]
fn checks_beyond_those_expected_make_no_share_above_one() {
    let checks = vec![check("node-1", Outcome::Passed, 0); 3];
    let found = metrics(&[case("a")], &[("a", measured(checks, &[]))]);
    assert_eq!(found.checks.to_string(), "2/2");
    assert_eq!(found.cases.to_string(), "1/1");
}

#[test]
fn replicates_add_up_in_every_figure() {
    let one = Metrics {
        replicates: 1,
        cases: Fraction::new(1, 2),
        checks: Fraction::new(3, 4),
        unmet: 2,
        blocked: Fraction::new(1, 6),
        within_limits: true,
        void: 1,
        usage: Usage { prompt_tokens: Tokens(5), ..Usage::default() },
    };
    let both = one.plus(Metrics { unmet: 5, within_limits: false, ..one });
    // Fractions are equal when their shares are, so the counts are compared as they are written.
    let counts = [both.cases, both.checks, both.blocked].map(|share| share.to_string());
    assert_eq!(counts, ["2/4", "6/8", "2/12"]);
    assert_eq!((both.replicates, both.unmet, both.void), (2, 7, 2));
    assert_eq!(both.unmet_mean(), Fraction::new(7, 2));
    assert_eq!(both.usage.tokens(), Tokens(10));
    assert!(!both.within_limits, "one replicate over a limit is enough");
}

#[test]
fn the_wire_has_the_four_numbers_under_their_names() {
    let metrics = Metrics {
        replicates: 2,
        cases: Fraction::new(1, 4),
        checks: Fraction::new(3, 4),
        unmet: 5,
        blocked: Fraction::new(1, 8),
        within_limits: true,
        ..Metrics::default()
    };
    assert_eq!(
        serde_json::to_value(wire::WireMetrics::from(&metrics)).unwrap(),
        json!({
            "artifact_validator_pass_rate": 0.75,
            "unmet_requirement_count": 2.5,
            "blocked_node_rate": 0.125,
            "budget_within_limits": true,
        })
    );
}

/// A replay of 100 cases, of which `passed` pass; `unmet` and `blocked` in all.
fn replay(passed: u64, unmet: u64, blocked: u64) -> Replay {
    let mark = |index: u64| {
        if index < passed { CaseMark::Passed } else { CaseMark::Failed }
    };
    Replay {
        evaluation: EvaluationId::derive(&[&passed.to_be_bytes()]),
        metrics: Metrics {
            replicates: 1,
            cases: Fraction::new(passed, 100),
            checks: Fraction::new(passed, 100),
            unmet,
            blocked: Fraction::new(blocked, 100),
            within_limits: true,
            ..Metrics::default()
        },
        experiments: 2,
        at: Timestamp(1500),
        cases: (0..100)
            .map(|index| (CaseId::new(format!("c{index}")).unwrap(), mark(index)))
            .collect(),
    }
}

fn eval() -> EvalPolicy {
    EvalPolicy { rule: Rule::point(), ..EvalPolicy::strict(PackRef::Implicit) }
}

#[test]
fn replays_that_agree_are_a_baseline_and_a_spread_of_exactly_five_points_does() {
    for (one, two) in [(80, 84), (100, 95), (90, 85), (85, 80)] {
        let established = establish(&[replay(one, 3, 0), replay(two, 3, 0)], &eval()).unwrap();
        assert_eq!(
            (established.cases.num, established.cases.den, established.replicates),
            (one + two, 200, 2)
        );
    }
    let spread = establish(&[replay(80, 0, 0), replay(86, 0, 0)], &eval()).unwrap_err();
    assert!(
        spread.to_string().contains("artifact_validator_pass_rate differs by more than 0.05"),
        "{spread}"
    );
}

#[test]
fn every_figure_that_decides_must_agree() {
    let error = |one, two| establish(&[one, two], &eval()).unwrap_err().to_string();
    assert!(error(replay(80, 0, 0), replay(80, 0, 6)).contains("blocked_node_rate"));
    assert!(error(replay(80, 0, 0), replay(80, 6, 0)).contains("unmet_requirement_count"));
    let mut over = replay(80, 0, 0);
    over.metrics.within_limits = false;
    assert_eq!(establish(&[over, replay(80, 0, 0)], &eval()), Err(Instability::OverLimits));
    let few = establish(&[replay(80, 0, 0)], &eval());
    assert_eq!(few, Err(Instability::TooFew { found: 1, required: 2 }));
}

#[test]
fn replays_only_inform_under_the_sequential_rule() {
    let rule = Rule::Sequential(Sequential::of(DecisionProfile::Standard));
    let eval = EvalPolicy { rule, ..eval() };
    let far_apart = [replay(20, 9, 6), replay(80, 0, 0)];
    assert_eq!(establish(&far_apart, &eval).unwrap().cases.num, 100);
    let few = Err(Instability::TooFew { found: 1, required: 2 });
    assert_eq!(establish(&far_apart[..1], &eval), few);
}

#[test]
fn the_disagreement_of_replays_is_over_all_their_pairs_and_leaves_void_runs_out() {
    let (one, two, three) = (replay(80, 0, 0), replay(86, 0, 0), replay(80, 0, 0));
    let counts = |replays: &[Replay]| {
        let Fraction { num, den } = disagreement(replays);
        (num, den)
    };
    assert_eq!(counts(&[]), (0, 0));
    assert_eq!(counts(std::slice::from_ref(&one)), (0, 0));
    assert_eq!(counts(&[one.clone(), two.clone()]), (6, 100));
    assert_eq!(counts(&[one.clone(), two.clone(), three]), (12, 300));
    let mut void = two;
    void.cases.values_mut().for_each(|mark| *mark = CaseMark::Void);
    assert_eq!(counts(&[one, void]), (0, 0));
}

#[test]
fn cases_that_change_or_are_missing_are_flaky() {
    // As many cases begin to pass as begin to fail: the share that passes is the same, the cases are not.
    let swapped = |each: u64| {
        let mut swapped = replay(80, 0, 0);
        for index in 80 - each..80 + each {
            let mark = match index < 80 {
                true => CaseMark::Failed,
                false => CaseMark::Passed,
            };
            let case = CaseId::new(format!("c{index}")).unwrap();
            swapped.cases.insert(case, mark);
        }
        establish(&[replay(80, 0, 0), swapped], &eval())
    };
    assert!(swapped(5).is_ok(), "one in ten is accepted");
    let flaky = swapped(6).unwrap_err();
    assert!(flaky.to_string().contains("12 of 100 cases"), "{flaky}");
    let mut shorter = replay(80, 0, 0);
    shorter.cases.retain(|case, _| case.as_str().len() < 3);
    assert!(matches!(
        establish(&[replay(80, 0, 0), shorter], &eval()),
        Err(Instability::Flaky { flaky: 90, .. })
    ));
}

#[test]
fn void_cases_do_not_flake_but_too_many_are_no_replay() {
    let voided = |void: u32| {
        let mut replay = replay(80, 0, 0);
        for (index, mark) in (0..void).zip(replay.cases.values_mut()) {
            let passed = u64::from(*mark == CaseMark::Passed);
            replay.metrics.cases.num -= passed;
            replay.metrics.cases.den -= 1;
            replay.metrics.checks = replay.metrics.cases;
            replay.metrics.void = index + 1;
            *mark = CaseMark::Void;
        }
        replay
    };
    let established = establish(&[replay(80, 0, 0), voided(10)], &eval()).unwrap();
    assert_eq!((established.void, established.void_share()), (10, Fraction::new(10, 200)));
    assert_eq!(flaky_cases(&[replay(80, 0, 0), voided(10)]), (Vec::new(), 100));
    let error = establish(&[voided(11), replay(80, 0, 0)], &eval()).unwrap_err();
    assert!(
        error.to_string().starts_with("11/100 case runs of a replay gave no outcome, at most 0.1"),
        "{error}"
    );
}

#[test]
fn a_flaky_baseline_names_a_few_of_its_cases() {
    // `flips` of `cases` change their outcome; the figures in sum agree.
    let small = |flips: usize, cases: usize| {
        let mut replays = [replay(80, 0, 0), replay(80, 0, 0)];
        for (index, replay) in replays.iter_mut().enumerate() {
            replay.cases = (0..cases)
                .map(|place| {
                    let changes = index == 1 && place < flips;
                    let mark = [CaseMark::Passed, CaseMark::Failed][usize::from(changes)];
                    (CaseId::new(format!("c{place}")).unwrap(), mark)
                })
                .collect();
        }
        establish(&replays, &eval()).map_err(|error| error.to_string())
    };
    assert_eq!(
        small(2, 8).unwrap_err(),
        "2 of 8 cases change their outcome between replays, at most 0.1 of them may: c0, c1"
    );
    assert!(small(1, 10).is_ok());
    assert!(small(2, 10).is_err());
    let many = small(9, 9).unwrap_err();
    assert!(many.ends_with(": c0, c1, c2, c3, c4"), "{many}");
}

#[test]
fn only_the_last_required_replays_count() {
    let replays = [replay(10, 90, 0), replay(80, 3, 0), replay(82, 3, 0)];
    assert_eq!(establish(&replays, &eval()).unwrap().cases.num, 162);
}

#[test]
fn replays_are_due_at_the_start_after_candidates_and_after_time() {
    let replays = [replay(80, 0, 0), replay(80, 0, 0)];
    let due = |experiments, now| replay_due(&replays, experiments, Timestamp(now), &eval());
    assert!(replay_due(&[], 0, Timestamp(0), &eval()));
    assert!(replay_due(&replays[..1], 2, Timestamp(1500), &eval()));
    assert!(due(7, 1500));
    assert!(due(3, 1_801_500));
    assert!(!due(3, 2000));
    assert_eq!(next_replay_at(&replays, &eval()), Some(Timestamp(1_801_500)));
    assert_eq!(next_replay_at(&[], &eval()), None);
}

proptest! {
    #[test]
    fn counts_stay_within_what_is_expected_and_failures_never_help(
        outcomes in prop::collection::vec((0..4u8, 0..4u8, any::<bool>()), 0..6),
    ) {
        let outcome = |code: u8| match code {
            0 => Outcome::Passed,
            1 => Outcome::PassedWithWarnings,
            2 => Outcome::Failed,
            _ => Outcome::Blocked,
        };
        let cases: Vec<_> = (0..outcomes.len()).map(|index| case(&format!("c{index}"))).collect();
        let names: Vec<_> = cases.iter().map(|case| case.id.to_string()).collect();
        let reports = |worse: bool| -> Vec<(&str, RunReport)> {
            let report = |(one, two, there): &(u8, u8, bool)| {
                let first = if worse { Outcome::Failed } else { outcome(*one) };
                there.then(|| measured(vec![check("node-1", first, 1), check("node-2", outcome(*two), 0)], &[]))
            };
            names.iter().map(String::as_str).zip(outcomes.iter().map(report)).filter_map(|(name, report)| Some((name, report?))).collect()
        };
        let found = metrics(&cases, &reports(false));
        prop_assert!(found.cases.num <= found.cases.den && found.checks.num <= found.checks.den);
        prop_assert_eq!(found.checks.den, 2 * u64::try_from(cases.len()).unwrap());
        let worse = metrics(&cases, &reports(true));
        prop_assert!(worse.cases <= found.cases && worse.checks <= found.checks && worse.unmet >= found.unmet);
        let twice = found.plus(found);
        prop_assert_eq!((twice.cases, twice.replicates), (found.cases, 2));
    }
}
