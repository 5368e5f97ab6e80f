//! Exact values of the formulas, computed elsewhere with 50 digits, and whole traces of decisions.

use serde_json::Value;

use crate::judge::batch::Batch;
use crate::judge::comparison::{Comparison, Terms};
use crate::judge::difference::{Difference, Differences};
use crate::judge::error_budget::{ErrorBudget, Stake};
use crate::judge::evalue::LogE;
use crate::judge::futility::{Goal, hoped_for};
use crate::judge::interval::bounds;
use crate::judge::look::{Discarded, Funds, Look, Unsettled};
use crate::judge::pair::{Margin, PairFigures};
use crate::judge::split_mix::SplitMix64;
use crate::policy::{DecisionProfile, Score, Sequential};
use crate::quantity::PerMillion;

use super::look::{batch_of, figures};

/// The tally of `won`, `tied` and `lost` pairs.
pub(super) fn tally(won: u32, tied: u32, lost: u32) -> Differences {
    let mut tally = Differences::default();
    tally.add_many(Difference::MORE, won);
    tally.add_many(Difference::NONE, tied);
    tally.add_many(Difference::LESS, lost);
    tally
}

/// Differences of scores that are shares.
fn fractional() -> Differences {
    let mut seen = Differences::default();
    for (millionths, count) in
        [(-400_000, 3), (-200_000, 5), (0, 20), (200_000, 9), (400_000, 6), (1_000_000, 1)]
    {
        seen.add_many(Difference::try_from(millionths).unwrap(), count);
    }
    seen
}

/// The policy that the traces and the bench were made with.
pub(super) fn reference() -> Sequential {
    let standard = Sequential::of(DecisionProfile::Standard);
    let guardrails = crate::policy::Margins {
        blocked_node_rate: Some(PerMillion(50_000)),
        ..standard.guardrails
    };
    Sequential {
        n_min: 16,
        n_max: 400,
        mde: PerMillion(100_000),
        secondary_weight: PerMillion(200_000),
        guardrails,
        ..standard
    }
}

fn assert_near(found: f64, wanted: f64, name: &str) {
    assert!((found - wanted).abs() < 1e-10, "{name}: {found}, wanted {wanted}");
}

#[test]
fn the_evidence_of_a_tally_has_its_known_value() {
    let fractional = fractional();
    for (name, found, wanted) in [
        ("P1", tally(0, 0, 0).above(0.0), 0.0),
        ("P2", tally(1, 0, 0).above(0.0), 0.418710334858185),
        ("P3", tally(0, 0, 1).above(0.0), -0.7339691750802),
        ("P4", tally(1, 0, 1).above(0.0), -0.432322562278047),
        ("P5", tally(8, 22, 2).above(0.0), 1.35662298573089),
        ("P6", tally(12, 30, 6).above(0.0), 0.366156693201267),
        ("P7", tally(20, 60, 4).above(0.0), 4.77938466300871),
        ("P8", tally(40, 120, 20).above(0.0), 2.29867776341569),
        ("P9", tally(3, 100, 9).above(0.0), -2.41328026326174),
        ("P10", tally(400, 500, 100).above(0.0), 91.5705242397161),
        ("P11", fractional.above(0.0), 1.19418430367007),
        ("F1", tally(0, 16, 0).below(0.10), 1.00527798454016),
        ("F2", tally(3, 20, 5).below(0.10), 0.861645500538871),
        ("F3", tally(10, 60, 10).below(0.10), 0.756631829584007),
        ("G1", tally(2, 93, 1).below(0.05), 1.02918581436462),
        ("G2", tally(0, 80, 0).below(0.05), 2.78501307206407),
        ("G3", tally(6, 40, 0).above(0.0), 2.97193571845448),
        ("R1", tally(10, 0, 30).below(0.0), 4.16723044063793),
        ("S1", tally(14, 20, 3).above(0.0), 3.00806129513593),
        (
            "combined",
            tally(8, 22, 2).above(0.0).mixed_with(tally(14, 20, 3).above(0.0), 0.2),
            1.9679606322711902,
        ),
    ] {
        assert_near(found.ln(), wanted, name);
    }
}

#[test]
fn straight_wins_clear_the_bar_after_a_known_number() {
    for (level, alone, weighted) in [(50_000, 7, 7), (2500, 11, 12), (500, 14, 14)] {
        let first = |weight: f64| {
            let evidence = |won| tally(won, 0, 0).above(0.0).mixed_with(LogE::NONE, weight);
            (0..).find(|won| evidence(*won) >= LogE::bar(PerMillion(level))).unwrap()
        };
        assert_eq!((first(0.0), first(0.2)), (alone, weighted), "{level}");
    }
}

#[test]
fn the_ends_of_an_interval_have_their_known_values() {
    for (name, tally, (lower, upper)) in [
        ("P7", tally(20, 60, 4), (0.022670245, 0.368669220)),
        ("P8", tally(40, 120, 20), (-0.022667162, 0.246174546)),
        ("P11", fractional(), (-0.072829072, 0.219977585)),
        ("nothing seen", tally(0, 0, 0), (-1.0, 1.0)),
    ] {
        let found = bounds(&tally);
        assert!((found.0 - lower).abs() < 1e-9, "{name}: {found:?}");
        assert!((found.1 - upper).abs() < 1e-9, "{name}: {found:?}");
    }
}

#[test]
fn what_is_to_be_hoped_for_has_its_known_value() {
    for ((won, lost, pairs, n_max), wanted) in [
        ((12, 12, 48, 64), -0.774458318383),
        ((12, 12, 48, 400), 4.673156088952),
        ((4, 4, 16, 400), 5.686398974323),
        ((30, 28, 120, 160), -0.484218863636),
    ] {
        let seen = tally(won, pairs - won - lost, lost);
        let rules = Sequential { n_max, ..reference() };
        let bar = LogE::bar(PerMillion(2500));
        let goal = Goal { evidence: seen.above(0.0), bar, pairs };
        let found = hoped_for(&seen, rules.mde, Score::AllOrNothing, &goal, &rules);
        assert_near(found.ln(), wanted, &format!("{won}, {lost} of {pairs}"));
        assert!(found < bar);
    }
}

#[test]
fn scores_that_are_shares_may_differ_by_less_than_their_mean_square() {
    let (seen, rules) = (fractional(), reference());
    let bar = LogE::bar(PerMillion(2500));
    let goal = Goal { evidence: seen.above(0.0), bar, pairs: seen.count() };
    for (score, wanted) in
        [(Score::AllOrNothing, 24.61792918193706), (Score::Fraction, 26.330719472154964)]
    {
        let found = hoped_for(&seen, rules.mde, score, &goal, &rules);
        assert_near(found.ln(), wanted, &format!("{score:?}"));
    }
}

#[test]
fn the_error_budget_follows_its_known_course() {
    let mut budget = ErrorBudget::new(PerMillion(50_000), 4);
    let course = [
        (0.0125, Some(0.5_f64), 0.04375),
        (0.0145833333333, None, 0.04375),
        (0.021875, Some(3.0), 0.04375),
        (0.04375, Some(0.02), 0.000875),
    ];
    for (stake, closed_with, pool) in course {
        let opened = budget.open().unwrap();
        assert_near(opened.to_f64(), stake, "stake");
        // A promoted candidate reached its bar, so all of its stake comes back.
        budget.give_back(closed_with.map_or(opened, |e| opened.left_with(LogE::bar_of(1.0 / e))));
        assert_near(budget.pool().to_f64(), pool, "pool");
    }
}

#[test]
fn random_numbers_are_those_of_split_mix() {
    let mut random = SplitMix64::new(101 ^ 0xD134_2543_DE82_EF95);
    let found = std::array::from_fn(|_| random.next_u64());
    assert_eq!(found, [0xce48_0139_6e0b_58d8, 0xb70d_5f58_d772_3fda, 0x9bbd_9855_f58e_b25f]);
}

/// A batch of a trace: `key` is what it is counted under, absent ones are `otherwise`.
fn count(batch: &Value, key: &str, otherwise: u32) -> u32 {
    batch.get(key).map_or(otherwise, |count| u32::try_from(count.as_u64().unwrap()).unwrap())
}

fn batch(number: u32, counts: &Value) -> Batch {
    let (won, lost) = (count(counts, "W", 0), count(counts, "L", 0));
    let (fewer, more) = (count(counts, "SW", won), count(counts, "SL", lost));
    let (blocked, outside) = (count(counts, "GB", 0), count(counts, "out", 0));
    let sign = |index: u32, more: u32, less: u32| match index {
        _ if index < more => Difference::MORE,
        _ if index < more + less => Difference::LESS,
        _ => Difference::NONE,
    };
    batch_of(number, |index| PairFigures {
        gain: sign(index, won, lost),
        fewer_unmet: sign(index, fewer, more),
        more_blocked: sign(index, blocked, 0),
        cost: Some(if index < outside { Margin::Outside } else { Margin::Within }),
        ..figures(Difference::NONE)
    })
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of the traces are shares, and a slack of 99"
)]
fn millionths(share: &Value) -> PerMillion {
    PerMillion((share.as_f64().unwrap() * 1e6).round() as u32)
}

fn name(look: Look) -> &'static str {
    match look {
        Look::Continue => "continue",
        Look::Promote => "promote",
        Look::Discard(Discarded::Futile) => "discard:futile",
        Look::Discard(Discarded::Shortfall) => "discard:shortfall",
        Look::Discard(Discarded::GuardrailHarm) => "discard:guardrail_harm",
        Look::Review(Unsettled::TradeOff) => "review:trade_off",
        Look::Review(Unsettled::InconclusivePromising) => "review:inconclusive_promising",
        other => panic!("{other:?} is in no trace"),
    }
}

#[test]
fn whole_comparisons_follow_their_known_traces() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors.json")).unwrap();
    let traces = vectors["traces"].as_array().unwrap();
    assert_eq!(traces.len(), 9);
    for trace in traces {
        let share = |key: &str| millionths(&trace["policy"][key]);
        let whole = |key: &str| u32::try_from(trace["policy"][key].as_u64().unwrap()).unwrap();
        let rules = Sequential {
            n_min: whole("n_min"),
            n_max: whole("n_max"),
            mde: share("mde"),
            slack: share("slack"),
            secondary_weight: share("w"),
            mde_secondary: share("mde_s"),
            ..reference()
        };
        let stake = Stake::whole(millionths(&trace["stake"]));
        let mut comparison = Comparison::new(Terms { rules, score: Score::AllOrNothing, stake });
        let steps = trace["batches"].as_array().unwrap().iter();
        let steps = steps.zip(trace["trace"].as_array().unwrap());
        for (number, (counts, step)) in (0..).zip(steps) {
            comparison.take(&batch(number, counts)).unwrap();
            let at = format!("{}, batch {number}", trace["name"]);
            let evidence = comparison.evidence();
            for (found, key) in [
                (evidence.primary, "log_e_primary"),
                (evidence.secondary, "log_e_secondary"),
                (evidence.combined, "log_e"),
            ] {
                assert_near(found.ln(), step[key].as_f64().unwrap(), &at);
            }
            assert_eq!(name(comparison.look(Funds::Left)), step["decision"], "{at}");
        }
    }
}
