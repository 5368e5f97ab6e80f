//! The seed's rule, row by row, and what must hold whatever the figures.

mod budget;
mod health;
mod laws;
mod look;
mod planning;
mod sampling;
mod traces;
mod vectors;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::campaign::Spent;
use crate::id::EvaluationId;
use crate::outcome::Usage;
use crate::policy::{DecisionProfile, PackRef, Score, Sequential};
use crate::quantity::{Fraction, MicroUsd, Timestamp, Tokens};
use crate::verdict::Verdict;

/// Figures over 100 cases of one node each.
fn metrics(passed: u64, unmet: u64, blocked: u64, replicates: u32) -> Metrics {
    let all = 100 * u64::from(replicates);
    Metrics {
        replicates,
        cases: Fraction::new(passed, all),
        checks: Fraction::new(passed, all),
        unmet,
        blocked: Fraction::new(blocked, all),
        within_limits: true,
        ..Metrics::default()
    }
}

fn evidence(baseline: Metrics, candidate: Metrics) -> Evidence {
    Evidence { cases: Vec::new(), baseline, candidate }
}

fn decide(baseline: Metrics, candidate: Metrics) -> Judgement {
    judge_by(&Rule::point(), Score::AllOrNothing, &evidence(baseline, candidate))
}

#[test]
fn the_rows_of_the_rule_decide_in_their_order() {
    // Baseline: 80 of 100 pass, 2 unmet, 10 blocked, as the mean of two replays.
    let baseline = metrics(160, 4, 20, 2);
    let over = Metrics { within_limits: false, ..metrics(95, 0, 0, 1) };
    let void = Metrics { void: 12, ..metrics(85, 2, 10, 1) };
    for (candidate, verdict, rule) in [
        (over, Verdict::Discard, "budget_ceilings"),
        (metrics(90, 0, 11, 1), Verdict::Discard, "blocked_node_rate"),
        (void, Verdict::NeedsOperatorReview, "void_cases"),
        (metrics(81, 5, 10, 1), Verdict::NeedsOperatorReview, "trade_off"),
        (metrics(81, 2, 10, 1), Verdict::Promote, "artifact_validator_pass_rate"),
        (metrics(80, 1, 10, 1), Verdict::Promote, "unmet_requirement_count"),
        (metrics(80, 2, 10, 1), Verdict::Discard, "otherwise"),
        (metrics(80, 3, 9, 1), Verdict::Discard, "otherwise"),
        (metrics(79, 0, 0, 1), Verdict::Discard, "otherwise"),
    ] {
        let judgement = decide(baseline, candidate);
        let last = judgement.trace.last().unwrap();
        assert_eq!((judgement.verdict, last.rule.as_str()), (verdict, rule));
        assert!(last.fired && judgement.trace.iter().rev().skip(1).all(|rule| !rule.fired));
    }
}

#[test]
fn sums_decide_nothing_under_the_sequential_rule() {
    let rule = Rule::Sequential(Sequential::of(DecisionProfile::Standard));
    let evidence = evidence(metrics(100, 0, 0, 2), metrics(100, 0, 0, 1));
    let judgement = judge_by(&rule, Score::AllOrNothing, &evidence);
    assert_eq!(judgement.verdict, Verdict::NeedsOperatorReview);
}

#[test]
fn what_is_better_and_dearer_than_the_margin_is_for_a_person_to_weigh() {
    let paid = |metrics: Metrics, cost: u64, tokens: u64| {
        let usage =
            Usage { cost: MicroUsd(cost), prompt_tokens: Tokens(tokens), ..Usage::default() };
        Metrics { usage, ..metrics }
    };
    let (old, more, fewer, same) =
        (metrics(160, 4, 0, 2), metrics(85, 2, 0, 1), metrics(80, 1, 0, 1), metrics(80, 2, 0, 1));
    use Verdict::{Discard, NeedsOperatorReview as Review, Promote};
    for (baseline, candidate, verdict, detail) in [
        (paid(old, 200, 0), paid(more, 125, 0), Promote, "$0.000125 in 100 case runs"),
        (paid(old, 200, 0), paid(more, 126, 0), Review, "; at most 0.25 more"),
        (paid(old, 200, 0), paid(fewer, 126, 0), Review, "1.26 times as much each"),
        (paid(old, 200, 0), paid(same, 500, 0), Discard, "5.00 times as much each"),
        (paid(old, 0, 200), paid(more, 0, 126), Review, "126 tokens in 100 case runs"),
        (old, more, Promote, "not measured: the executor reports neither cost nor tokens"),
    ] {
        let judgement = decide(baseline, candidate);
        assert_eq!(judgement.verdict, verdict, "{}", judgement.reason);
        let rule = judgement.trace.iter().find(|rule| rule.rule == "cost_trade_off").unwrap();
        assert!(rule.detail.contains(detail), "{}", rule.detail);
        assert_eq!(rule.fired, verdict == Review);
    }
    let Rule::Point { max_range, max_flaky, .. } = Rule::point() else { panic!() };
    let careless = Rule::Point { max_range, max_flaky, cost_margin: None };
    let dear = evidence(paid(old, 200, 0), paid(more, 9_000, 0));
    assert_eq!(judge_by(&careless, Score::AllOrNothing, &dear).verdict, Promote);
}

#[test]
fn void_case_runs_count_against_nobody_and_decide_nothing() {
    // `void` of 100 case runs gave no outcome; of the others, `passed` passed.
    let measured = |passed, void: u32, replicates: u32| {
        let den = 100 * u64::from(replicates) - u64::from(void);
        Metrics {
            cases: Fraction::new(passed, den),
            checks: Fraction::new(passed, den),
            blocked: Fraction::new(0, den),
            void,
            ..metrics(passed, den - passed, 0, replicates)
        }
    };
    for (baseline, candidate, verdict, rule) in [
        // A candidate that changes nothing, measured through an outage on either side.
        (measured(160, 0, 2), measured(72, 10, 1), Verdict::Discard, "otherwise"),
        (measured(152, 10, 2), measured(80, 0, 1), Verdict::Discard, "otherwise"),
        // Better, but not if the void ones are those that would have failed.
        (
            measured(160, 0, 2),
            measured(78, 5, 1),
            Verdict::NeedsOperatorReview,
            "void_cases_could_undo",
        ),
        (
            measured(160, 10, 2),
            measured(85, 0, 1),
            Verdict::NeedsOperatorReview,
            "void_cases_could_undo",
        ),
        (measured(200, 0, 2), measured(95, 5, 1), Verdict::Discard, "otherwise"),
        // Better whatever they would have shown.
        (measured(160, 0, 2), measured(88, 5, 1), Verdict::Promote, "artifact_validator_pass_rate"),
        // Too many, on either side.
        (measured(160, 0, 2), measured(89, 11, 1), Verdict::NeedsOperatorReview, "void_cases"),
        (measured(100, 21, 2), measured(100, 0, 1), Verdict::NeedsOperatorReview, "void_cases"),
    ] {
        let judgement = decide(baseline, candidate);
        let last = judgement.trace.last().unwrap();
        assert_eq!(
            (judgement.verdict, last.rule.as_str()),
            (verdict, rule),
            "{}",
            judgement.reason
        );
    }
}

#[test]
fn a_reason_is_a_sentence_with_the_figures() {
    let better = decide(metrics(124, 4, 0, 2), metrics(71, 2, 0, 1));
    assert_eq!(
        better.reason,
        "passes 71 of 100 cases (71.0%), baseline 124 of 200 (62.0%) over 2 replays"
    );
    let worse = decide(metrics(62, 2, 0, 1), metrics(50, 2, 0, 1));
    assert!(
        worse.reason.starts_with("did not beat the baseline: passes 50 of 100 cases"),
        "{}",
        worse.reason
    );
    assert_eq!(better.error_control, crate::verdict::ErrorControl::None);
}

#[test]
fn a_fractional_score_counts_checks() {
    let partly =
        |passed, checks| Metrics { checks: Fraction::new(checks, 400), ..metrics(passed, 0, 0, 1) };
    let evidence = evidence(partly(50, 300), partly(50, 310));
    let by = |score| judge_by(&Rule::point(), score, &evidence).verdict;
    assert_eq!(by(Score::AllOrNothing), Verdict::Discard);
    assert_eq!(by(Score::Fraction), Verdict::Promote);
}

#[test]
fn every_rule_says_why_in_words() {
    let baseline = metrics(160, 4, 20, 2);
    let over = Metrics { within_limits: false, ..metrics(95, 0, 0, 1) };
    for (candidate, reason) in [
        (over, "a case run broke a limit of the workflow"),
        (metrics(90, 0, 11, 1), "more nodes are blocked: blocked nodes 11/100, baseline 20/200"),
        (
            metrics(81, 5, 10, 1),
            "more passes, but more requirements are unmet: passes 81 of 100 cases (81.0%), baseline 160 of 200 (80.0%) over 2 replays; unmet requirements 5, baseline 4 in 2 replays",
        ),
        (
            metrics(80, 1, 10, 1),
            "passes as often, with fewer unmet requirements: unmet requirements 1, baseline 4 in 2 replays",
        ),
    ] {
        assert_eq!(decide(baseline, candidate).reason, reason);
    }
}

#[test]
fn guardrails_are_asked_before_gains() {
    let asked: Vec<_> = decide(metrics(80, 2, 0, 1), metrics(80, 2, 0, 1))
        .trace
        .into_iter()
        .map(|asked| asked.rule)
        .collect();
    let place = |rule: &str| asked.iter().position(|asked| asked == rule).unwrap();
    let order = [
        "budget_ceilings",
        "blocked_node_rate",
        "void_cases",
        "trade_off",
        "artifact_validator_pass_rate",
        "unmet_requirement_count",
        "otherwise",
    ];
    assert!(order.map(place).is_sorted(), "{asked:?}");
}

fn case(name: &str) -> CaseId {
    CaseId::new(name).unwrap()
}

fn replay(marks: &[(&str, CaseMark)]) -> Replay {
    Replay {
        evaluation: EvaluationId::derive(&[b"replay"]),
        metrics: Metrics::default(),
        experiments: 0,
        at: Timestamp(0),
        cases: marks.iter().map(|(name, mark)| (case(name), *mark)).collect(),
    }
}

fn eval() -> EvalPolicy {
    EvalPolicy { rule: Rule::point(), ..EvalPolicy::strict(PackRef::Implicit) }
}

#[test]
fn only_cases_that_were_steady_on_the_baseline_flip() {
    use CaseMark::{Failed, Passed, Void};
    let replays = [
        // No longer counts: only the last two do.
        replay(&[("fixed", Passed), ("broken", Failed)]),
        replay(&[
            ("never", Void),
            ("unheard", Void),
            ("lost", Failed),
            ("fixed", Failed),
            ("broken", Passed),
            ("flaky", Passed),
            ("same", Passed),
            ("quiet", Passed),
            ("gone", Void),
        ]),
        replay(&[
            ("never", Void),
            ("unheard", Void),
            ("lost", Failed),
            ("fixed", Failed),
            ("broken", Passed),
            ("flaky", Failed),
            ("same", Passed),
            ("quiet", Passed),
            ("gone", Failed),
        ]),
    ];
    let marks = [
        ("fixed", Passed),
        ("broken", Failed),
        ("flaky", Passed),
        ("same", Passed),
        ("gone", Passed),
        ("never", Passed),
        ("unheard", Failed),
        ("lost", Void),
        ("quiet", Void),
    ];
    let result = EvaluationResult {
        metrics: Metrics::default(),
        cases: marks.iter().map(|(name, mark)| (case(name), *mark)).collect::<BTreeMap<_, _>>(),
        faults: None,
        spent: Spent::default(),
    };
    let flips = flips(&Evidence::new(&replays, Metrics::default(), &result, &eval()));
    // Nothing flips where one side gave no outcome at all.
    assert_eq!(flips.broken, [case("broken")]);
    assert_eq!(flips.fixed, [case("fixed"), case("gone")]);
}

proptest! {
    #[test]
    fn a_candidate_that_is_nowhere_better_is_never_promoted(
        (old_pass, old_unmet, old_blocked) in (0..=180u64, 0..50u64, 0..50u64),
        (new_pass, new_unmet, new_blocked) in (0..=90u64, 0..50u64, 0..50u64),
        (old_void, new_void) in (0..=20u32, 0..=10u32),
        (old_cost, new_cost) in (0..400u64, 0..400u64),
    ) {
        let voided = |metrics: Metrics, void: u32| {
            let less = |share: Fraction| Fraction::new(share.num, share.den - u64::from(void));
            Metrics { cases: less(metrics.cases), checks: less(metrics.checks), void, ..metrics }
        };
        let paid = |metrics: Metrics, cost: u64| {
            Metrics { usage: Usage { cost: MicroUsd(cost), ..Usage::default() }, ..metrics }
        };
        let baseline = paid(voided(metrics(old_pass, old_unmet, old_blocked, 2), old_void), old_cost);
        let candidate = paid(voided(metrics(new_pass, new_unmet, new_blocked, 1), new_void), new_cost);
        let judgement = decide(baseline, candidate);
        prop_assert_eq!(&judgement, &decide(baseline, candidate));
        prop_assert_eq!(judgement.trace.iter().filter(|rule| rule.fired).count(), 1);
        if judgement.verdict == Verdict::Promote {
            // Even if every void run of the candidate had failed, and every one of the baseline passed.
            let (new, old) = (2 * new_pass, old_pass + u64::from(old_void));
            let fewer_unmet = new == old && old_void + new_void == 0 && new_unmet * 2 < old_unmet;
            prop_assert!(new > old || fewer_unmet);
            prop_assert!(candidate.blocked <= baseline.blocked);
            let (new, old) = (new_cost * baseline.cases.den, old_cost * candidate.cases.den);
            prop_assert!(new * 4 <= old * 5);
        }
        // More passes never turn a candidate that would do into one that does not.
        if new_pass < 90 && judgement.verdict == Verdict::Promote {
            let better = paid(voided(metrics(new_pass + 1, new_unmet, new_blocked, 1), new_void), new_cost);
            prop_assert!(decide(baseline, better).verdict != Verdict::Discard);
        }
    }
}
