//! Which rule decides when, and what a batch and a pair may be.

use crate::id::CaseId;
use crate::judge::anchor::Anchor;
use crate::judge::batch::{Batch, BatchError};
use crate::judge::comparison::{Comparison, Terms};
use crate::judge::difference::Difference;
use crate::judge::error_budget::Stake;
use crate::judge::look::{Discarded, Funds, Look, Unsettled};
use crate::judge::pair::{Arm, Faulted, Margin, PairFigures, PairRecord};
use crate::metrics::Metrics;
use crate::outcome::Usage;
use crate::policy::{Score, Sequential};
use crate::quantity::{Fraction, MicroUsd, Millis, PerMillion};

use super::vectors::reference;

const LESS: Difference = Difference::LESS;
const NONE: Difference = Difference::NONE;
const MORE: Difference = Difference::MORE;

/// A pair that differs in its score only.
pub(super) fn figures(gain: Difference) -> PairFigures {
    PairFigures {
        gain,
        fewer_unmet: NONE,
        more_blocked: NONE,
        cost: Some(Margin::Within),
        tokens: None,
        latency: None,
        is_over_limit: false,
    }
}

fn case(index: u32) -> CaseId {
    CaseId::new(format!("case-{index}")).unwrap()
}

pub(super) fn pair(batch: u32, index: u32, figures: Option<PairFigures>) -> PairRecord {
    let faulted = Faulted::Neither;
    PairRecord { case: case(index), batch, first: Arm::Baseline, faulted, figures }
}

pub(super) fn batch(number: u32, pairs: Vec<PairRecord>) -> Batch {
    let drawn: Vec<_> = pairs.iter().map(|pair| pair.case.clone()).collect();
    Batch::new(number, drawn.iter(), pairs).unwrap()
}

/// A batch of eight measured pairs.
pub(super) fn batch_of(number: u32, figures: impl Fn(u32) -> PairFigures) -> Batch {
    batch(number, (0..8).map(|index| pair(number, index, Some(figures(index)))).collect())
}

/// The terms of one candidate of twenty, by the score alone.
pub(super) fn terms() -> Terms {
    let rules = Sequential { secondary_weight: PerMillion(0), ..reference() };
    Terms { rules, score: Score::AllOrNothing, stake: Stake::whole(PerMillion(2500)) }
}

/// The first look of `batches` that decides, and its number of pairs.
fn decided(terms: Terms, batches: impl Iterator<Item = Batch>) -> (Look, u32) {
    let mut comparison = Comparison::new(terms);
    for batch in batches {
        comparison.take(&batch).unwrap();
        let look = comparison.look(Funds::Left);
        if look != Look::Continue {
            return (look, comparison.pairs());
        }
    }
    (Look::Continue, comparison.pairs())
}

/// Batches without end, of pairs that `figures` makes of their index.
fn batches(figures: impl Fn(u32) -> PairFigures) -> impl Iterator<Item = Batch> {
    (0..).map(move |number| batch_of(number, &figures))
}

/// A gain in the first of some pairs, `otherwise` in the others.
fn first_of(index: u32, otherwise: Difference) -> Difference {
    if index == 0 { MORE } else { otherwise }
}

/// The rules by the score alone, with that many pairs and without a stop for falling short.
fn patient(n_max: u32) -> Terms {
    let rules = Sequential { n_max, slack: PerMillion(99_000_000), ..terms().rules };
    Terms { rules, ..terms() }
}

/// A name, the terms, the figures of a pair by its index in a batch, and what follows.
type Row = (&'static str, Terms, fn(u32) -> PairFigures, Look);

#[test]
fn each_rule_decides_in_its_order() {
    let half = PerMillion(500_000);
    let weighted = Sequential { secondary_weight: half, ..patient(160).rules };
    let hasty = Sequential { slack: PerMillion(0), ..patient(24).rules };
    let lenient = Sequential { beta: PerMillion(1), mde: half, ..patient(16).rules };
    let of = |rules: Sequential| Terms { rules, ..terms() };
    let rows: [Row; 10] = [
        (
            "a broken limit, whatever else",
            terms(),
            |_| PairFigures { is_over_limit: true, more_blocked: MORE, ..figures(MORE) },
            Look::Discard(Discarded::OverLimit),
        ),
        (
            "more blocked nodes, although better",
            terms(),
            |_| PairFigures { more_blocked: MORE, ..figures(MORE) },
            Look::Discard(Discarded::GuardrailHarm),
        ),
        (
            "better and dearer",
            terms(),
            |_| PairFigures { cost: Some(Margin::Outside), ..figures(MORE) },
            Look::Review(Unsettled::TradeOff),
        ),
        ("better", terms(), |_| figures(MORE), Look::Promote),
        (
            "better, and the cost stays open until the pairs are used up",
            patient(32),
            |index| {
                let cost = if index % 2 == 0 { Margin::Within } else { Margin::Outside };
                PairFigures { cost: Some(cost), ..figures(MORE) }
            },
            Look::Review(Unsettled::GuardrailUnproven),
        ),
        (
            "fewer requirements unmet, and the score may have fallen",
            of(weighted),
            |index| PairFigures { fewer_unmet: MORE, ..figures(first_of(index % 4, LESS)) },
            Look::Review(Unsettled::PrimaryUnproven),
        ),
        ("worse", terms(), |_| figures(LESS), Look::Discard(Discarded::Futile)),
        (
            "a bit better, with few pairs",
            of(hasty),
            |index| figures(first_of(index, NONE)),
            Look::Discard(Discarded::Shortfall),
        ),
        (
            "better, but not by enough",
            patient(32),
            |index| figures(first_of(index, NONE)),
            Look::Review(Unsettled::InconclusivePromising),
        ),
        (
            "hardly better",
            of(lenient),
            |index| figures(if index == 1 { LESS } else { first_of(index % 5, NONE) }),
            Look::Discard(Discarded::Inconclusive),
        ),
    ];
    for (name, terms, figures, wanted) in rows {
        let (look, pairs) = decided(terms, batches(figures).take(60));
        assert_eq!(look, wanted, "{name}, after {pairs} pairs");
    }
}

#[test]
fn a_look_without_funds_for_another_batch_is_the_last() {
    let look = |figures: PairFigures, count: usize, funds| {
        let mut comparison = Comparison::new(terms());
        batches(|_| figures).take(count).for_each(|batch| comparison.take(&batch).unwrap());
        comparison.look(funds)
    };
    for (gain, count, left, spent) in [
        (MORE, 1, Look::Continue, Look::Review(Unsettled::InconclusivePromising)),
        (MORE, 2, Look::Continue, Look::Review(Unsettled::GuardrailUnproven)),
        (NONE, 1, Look::Continue, Look::Discard(Discarded::Inconclusive)),
    ] {
        let found = [Funds::Left, Funds::Spent].map(|funds| look(figures(gain), count, funds));
        assert_eq!(found, [left, spent], "{gain:?} after {count} batches");
    }
}

#[test]
fn a_candidate_that_reached_its_bar_has_reached_it() {
    let gains = |number: u32| if number < 2 { MORE } else { LESS };
    let mut comparison = Comparison::new(terms());
    for number in 0..6 {
        comparison.take(&batch_of(number, |_| figures(gains(number)))).unwrap();
    }
    assert!(comparison.evidence().combined < comparison.bar());
    assert_eq!(comparison.crossing().map(|crossing| crossing.pairs), Some(16));
    assert_eq!(comparison.look(Funds::Left), Look::Continue, "neither futile nor short any more");
    assert_eq!(comparison.refund(), terms().stake);
}

#[test]
fn failing_runs_that_are_passed_off_as_faults_make_the_evaluator_unstable() {
    let faulted = |number: u32, faulted: Faulted| {
        let pairs = (0..8).map(|index| {
            let faulted = if index < 2 { faulted } else { Faulted::Neither };
            PairRecord { faulted, ..pair(number, index, Some(figures(MORE))) }
        });
        batch(number, pairs.collect())
    };
    for (who, wanted) in [
        (Faulted::Candidate, Look::Review(Unsettled::EvaluatorUnstable)),
        (Faulted::Baseline, Look::Promote),
        (Faulted::Both, Look::Promote),
    ] {
        let (look, _) = decided(terms(), (0..).map(|number| faulted(number, who)).take(50));
        assert_eq!(look, wanted, "{who:?}");
    }
}

#[test]
fn a_void_pair_counts_for_nobody_and_too_many_need_a_person() {
    let with_voids = |number: u32, voids: u32| {
        let figures = |index| (index >= voids).then_some(figures(MORE));
        batch(number, (0..8).map(|index| pair(number, index, figures(index))).collect())
    };
    let mut comparison = Comparison::new(terms());
    comparison.take(&with_voids(0, 8)).unwrap();
    assert_eq!(comparison.evidence(), Comparison::new(terms()).evidence());
    assert_eq!((comparison.pairs(), comparison.look(Funds::Left)), (0, Look::Continue));
    let unstable = Look::Review(Unsettled::EvaluatorUnstable);
    assert_eq!(decided(terms(), (0..9).map(|number| with_voids(number, 1))), (unstable, 21));
    let rarely = |number: u32| with_voids(number, u32::from(number % 2 == 1));
    assert_eq!(decided(terms(), (0..50).map(rarely)).0, Look::Promote);
}

#[test]
fn a_guardrail_that_is_off_or_never_reported_stops_nothing() {
    let mut rules = terms().rules;
    let silent = |_| PairFigures { cost: None, ..figures(MORE) };
    assert_eq!(decided(terms(), batches(silent).take(20)), (Look::Promote, 72));
    rules.guardrails.blocked_node_rate = None;
    let blocked = |_| PairFigures { more_blocked: MORE, cost: None, ..figures(MORE) };
    let terms = Terms { rules, ..terms() };
    assert_eq!(decided(terms, batches(blocked).take(20)), (Look::Promote, 16));
}

#[test]
fn a_batch_with_an_open_or_foreign_pair_cannot_be_looked_at() {
    let drawn = [case(0), case(1), case(2)];
    let pairs = |indices: &[u32], number| {
        indices.iter().map(|index| pair(number, *index, Some(figures(NONE)))).collect()
    };
    let build = |pairs| Batch::new(3, drawn.iter(), pairs).map(drop);
    let foreign = |index, found| BatchError::Foreign { number: 3, case: case(index), found };
    for (pairs, wanted) in [
        (pairs(&[0, 1, 2], 3), Ok(())),
        (pairs(&[0, 1], 3), Err(BatchError::Open { number: 3, over: 2, drawn: 3 })),
        (pairs(&[0, 1, 1], 3), Err(foreign(1, 3))),
        (pairs(&[0, 1, 4], 3), Err(foreign(4, 3))),
        (pairs(&[0, 1, 2, 2], 3), Err(foreign(2, 3))),
        (pairs(&[0, 1, 2], 2), Err(foreign(0, 2))),
    ] {
        assert_eq!(build(pairs), wanted);
    }
    let mut comparison = Comparison::new(terms());
    let second = batch_of(1, |_| figures(NONE));
    let refused = BatchError::OutOfTurn { number: 0, found: 1 };
    assert_eq!(comparison.take(&second), Err(refused.clone()));
    assert_eq!(comparison, Comparison::new(terms()), "nothing was taken in");
    comparison.take(&batch_of(0, |_| figures(NONE))).unwrap();
    comparison.take(&second).unwrap();
    let codes = [refused, foreign(0, 0), BatchError::Open { number: 0, over: 0, drawn: 1 }];
    assert_eq!(
        codes.map(|error| error.code()),
        ["batch_out_of_turn", "foreign_pair", "open_pairs"]
    );
}

#[test]
fn what_is_worse_than_the_source_is_not_promoted_again() {
    let rules = terms().rules;
    let weighted = Sequential { secondary_weight: PerMillion(200_000), ..rules };
    let short = Sequential { n_max: 16, ..rules };
    let look = |mut anchor: Anchor, figures: &dyn Fn(u32) -> PairFigures| {
        for batch in batches(figures).take(50) {
            anchor.take(&batch).unwrap();
            if anchor.look(Funds::Left) != Look::Continue {
                break;
            }
        }
        (anchor.look(Funds::Left), anchor.pairs())
    };
    let same = |_| figures(NONE);
    let worse = |_| figures(LESS);
    let blocked = |_| PairFigures { more_blocked: MORE, ..figures(NONE) };
    let dearer = |_| PairFigures { cost: Some(Margin::Outside), ..figures(NONE) };
    let trade_off = Look::Review(Unsettled::TradeOff);
    assert_eq!(look(Anchor::new(rules), &same), (Look::Promote, 72));
    assert_eq!(look(Anchor::new(rules), &worse), (Look::Promote, 72));
    assert_eq!(look(Anchor::new(weighted), &worse), (trade_off, 8));
    assert_eq!(look(Anchor::of_guardrails(weighted), &worse), (Look::Promote, 72));
    let harm = Look::Discard(Discarded::GuardrailHarm);
    assert_eq!(look(Anchor::new(rules), &blocked), (harm, 8));
    assert_eq!(look(Anchor::new(rules), &dearer), (trade_off, 8));
    let unproven = Look::Review(Unsettled::GuardrailUnproven);
    assert_eq!(look(Anchor::new(short), &same), (unproven, 16));
}

#[test]
fn a_pair_is_compared_within_the_margins() {
    let run = |passed, unmet, blocked, cost| Metrics {
        replicates: 1,
        cases: Fraction::new(passed, 1),
        checks: Fraction::new(1 + passed, 3),
        unmet,
        blocked: Fraction::new(blocked, 3),
        within_limits: true,
        usage: Usage { cost: MicroUsd(cost), latency: Millis(cost), ..Usage::default() },
        ..Metrics::default()
    };
    let margins = reference().guardrails;
    let of = |candidate: &Metrics, baseline: &Metrics, score| {
        PairFigures::of(candidate, baseline, score, &margins).unwrap()
    };
    let better = of(&run(1, 0, 1, 125), &run(0, 2, 0, 100), Score::AllOrNothing);
    assert_eq!(
        better,
        PairFigures {
            gain: MORE,
            fewer_unmet: MORE,
            more_blocked: Difference::try_from(333_333).unwrap(),
            cost: Some(Margin::Within),
            tokens: None,
            latency: Some(Margin::Within),
            is_over_limit: false,
        }
    );
    let dearer = of(&run(0, 2, 0, 126), &run(1, 2, 2, 100), Score::Fraction);
    assert_eq!((dearer.gain.millionths(), dearer.cost), (-333_333, Some(Margin::Outside)));
    assert_eq!((dearer.fewer_unmet, dearer.more_blocked.millionths()), (NONE, -666_666));
    let over = Metrics { within_limits: false, ..run(0, 1, 0, 1) };
    assert!(of(&over, &run(0, 1, 0, 1), Score::AllOrNothing).is_over_limit);
    assert!(!of(&run(0, 1, 0, 1), &over, Score::AllOrNothing).is_over_limit);
    let void = Metrics { void: 1, ..Metrics::default() };
    for (candidate, baseline) in [(void, run(1, 0, 0, 1)), (run(1, 0, 0, 1), void)] {
        assert_eq!(PairFigures::of(&candidate, &baseline, Score::AllOrNothing, &margins), None);
    }
    let most = u64::MAX;
    assert_eq!(Margin::of(most, 0, Some(PerMillion(1))), Some(Margin::Outside));
    assert_eq!(Margin::of(most, most, Some(PerMillion(1))), Some(Margin::Within));
    assert_eq!(Margin::of(1, 0, None), None);
}

#[test]
fn a_record_of_a_pair_reads_back_and_refuses_what_cannot_be() {
    let record = pair(2, 1, Some(figures(MORE)));
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<PairRecord>(&text).unwrap(), record);
    assert!(!text.contains("faulted"), "{text}");
    let beyond = text.replace("1000000", "1000001");
    let refused = serde_json::from_str::<PairRecord>(&beyond).unwrap_err().to_string();
    assert!(refused.contains("from -1000000 to 1000000 millionths, not 1000001"), "{refused}");
}
