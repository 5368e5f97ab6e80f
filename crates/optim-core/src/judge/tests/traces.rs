//! What a trace tells.

use expect_test::expect;

use crate::judge::comparison::{Comparison, Terms};
use crate::judge::difference::Difference;
use crate::judge::error_budget::{ErrorBudget, Stake};
use crate::judge::look::{Funds, Look};
use crate::judge::pair::{Margin, PairFigures};
use crate::judge::trace::Trace;
use crate::policy::Sequential;
use crate::quantity::PerMillion;

use super::look::{batch_of, figures, terms};

/// The trace after `number` batches of which each has `won` pairs won, and the others as `other`.
fn trace(terms: Terms, number: u32, won: u32, other: PairFigures) -> Trace {
    let gain = |index| if index < won { Difference::MORE } else { other.gain };
    let figures = |index| PairFigures { gain: gain(index), ..other };
    let batches: Vec<_> = (0..number).map(|number| batch_of(number, figures)).collect();
    Trace::of(terms, &batches, Funds::Left, Stake::whole(PerMillion(40_000))).unwrap()
}

fn rules(trace: &Trace) -> String {
    let rules = trace.rules.iter();
    let lines = rules.map(|rule| {
        format!("{} {}: {}", if rule.fired { '>' } else { ' ' }, rule.rule, rule.detail)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_trace_says_what_a_person_would_say() {
    let none = figures(Difference::NONE);
    let dear = PairFigures { cost: Some(Margin::Outside), ..none };
    let promoted = trace(terms(), 9, 2, none);
    expect![[r#"
        Promote after 72 pairs: better than the baseline, and blocked_node_rate, cost within the margin; the gain lies between +11.3 and +42.6 points (95 % sure); evidence 36373 of 400 needed
          budget_ceilings: case runs over a limit: 0
          guardrail_harm: blocked_node_rate holds (evidence 11.68)
          evaluator_unstable: void pairs 0 of 72; first attempts failed of the candidate only 0, of the baseline only 0
          trade_off: cost holds (evidence 10^20.2); tokens is not measured; latency is not measured
        > better_and_guardrails_hold: 18 won and 0 lost of 72 pairs: evidence 36373, bar 400, reached after 48 pairs"#]].assert_eq(&format!("{promoted}\n{}", rules(&promoted)));
    let discarded = trace(terms(), 3, 0, none);
    expect![[r#"
        Discard after 24 pairs: a gain that is worth finding is all but ruled out; the gain lies between -19.3 and +19.3 points (95 % sure); evidence 1.00 of 400 needed
          budget_ceilings: case runs over a limit: 0
          guardrail_harm: blocked_node_rate is open (evidence of harm 1.00, that it holds 2.03)
          evaluator_unstable: void pairs 0 of 24; first attempts failed of the candidate only 0, of the baseline only 0
          trade_off: cost holds (evidence 10^6.3); tokens is not measured; latency is not measured
          better_and_guardrails_hold: 0 won and 0 lost of 24 pairs: evidence 1.00, bar 400
        > futile: evidence against a gain of 0.1: 4.90"#]].assert_eq(&format!("{discarded}\n{}", rules(&discarded)));
    let in_review = trace(terms(), 4, 3, dear);
    expect![[r#"
        Review after 32 pairs: better than the baseline, at a higher cost; the gain lies between +11.1 and +64.4 points (95 % sure); evidence 753 of 400 needed
          budget_ceilings: case runs over a limit: 0
          guardrail_harm: blocked_node_rate is open (evidence of harm 1.00, that it holds 2.64)
          evaluator_unstable: void pairs 0 of 32; first attempts failed of the candidate only 0, of the baseline only 0
        > trade_off: cost is worse (evidence 10^8.6); tokens is not measured; latency is not measured"#]].assert_eq(&format!("{in_review}\n{}", rules(&in_review)));
}

#[test]
fn a_trace_reads_back_to_the_last_digit() {
    let trace = trace(terms(), 7, 3, figures(Difference::LESS));
    let text = serde_json::to_string(&trace).unwrap();
    assert_eq!(serde_json::from_str::<Trace>(&text).unwrap(), trace);
}

#[test]
fn the_pool_gets_back_what_a_decision_frees() {
    let none = figures(Difference::NONE);
    let blocked = PairFigures { more_blocked: Difference::MORE, ..none };
    let before = Stake::whole(PerMillion(40_000));
    let stake = terms().stake;
    let of = |trace: &Trace| (trace.look.verdict().is_some(), trace.pool.after);
    // Undecided or in review, the stake is still at risk; won, it comes back whole.
    assert_eq!(of(&trace(terms(), 1, 2, none)), (false, before));
    let rules = Sequential { n_max: 32, ..terms().rules };
    let in_review = trace(Terms { rules, ..terms() }, 4, 4, none);
    assert_eq!(of(&in_review), (true, before));
    assert_eq!(of(&trace(terms(), 9, 2, none)), (true, before.with(stake)));
    let lost = trace(terms(), 1, 0, PairFigures { gain: Difference::LESS, ..blocked });
    assert!(lost.pool.after > before && lost.pool.after < before.with(stake));
}

#[test]
fn the_intervals_of_all_looks_have_their_intersection() {
    let gain = |number| if number < 6 { Difference::MORE } else { Difference::LESS };
    let batches: Vec<_> =
        (0..12).map(|number| batch_of(number, |_| figures(gain(number)))).collect();
    let common = |count: usize| {
        let trace = Trace::of(terms(), &batches[..count], Funds::Left, Stake::default()).unwrap();
        (trace.interval, trace.intersection)
    };
    assert_eq!(common(6).1, Some(common(6).0), "it only became narrower");
    assert_ne!(common(8).1, Some(common(8).0));
    assert_eq!(common(12).1, None, "a gain that turns into a loss");
}

#[test]
fn replaying_the_batches_gives_the_same_decision() {
    let batches: Vec<_> = (0..9)
        .map(|number| {
            batch_of(number, |index| {
                figures(if index < 2 { Difference::MORE } else { Difference::NONE })
            })
        })
        .collect();
    let mut comparison = Comparison::new(terms());
    let mut budget = ErrorBudget::new(PerMillion(50_000), 20);
    assert_eq!(budget.open(), Ok(terms().stake));
    for (count, batch) in (1..).zip(&batches) {
        comparison.take(batch).unwrap();
        let trace = Trace::of(terms(), &batches[..count], Funds::Left, budget.pool()).unwrap();
        assert_eq!(
            (trace.look, trace.evidence),
            (comparison.look(Funds::Left), comparison.evidence())
        );
    }
    assert_eq!(comparison.look(Funds::Left), Look::Promote);
    budget.give_back(comparison.refund());
    assert_eq!(budget.pool(), Stake::whole(PerMillion(50_000)));
}
