//! What holds for the evidence whatever was seen.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::judge::comparison::Comparison;
use crate::judge::difference::{Difference, Differences};
use crate::judge::evalue::LogE;
use crate::judge::interval::Interval;
use crate::judge::look::Funds;
use crate::judge::pair::{Margin, PairFigures};
use crate::quantity::Fraction;

use super::look::{batch, figures, pair, terms};
use super::vectors::tally;

fn difference() -> impl Strategy<Value = Difference> {
    (-1_000_000..=1_000_000_i32).prop_map(|millionths| Difference::try_from(millionths).unwrap())
}

fn differences() -> impl Strategy<Value = Differences> {
    prop::collection::vec((difference(), 1..40_u32), 0..8).prop_map(|counts| {
        let mut seen = Differences::default();
        counts.into_iter().for_each(|(value, count)| seen.add_many(value, count));
        seen
    })
}

proptest! {
    #[test]
    fn evidence_falls_with_the_hypothesis_and_rises_with_each_win(
        seen in differences(),
        mean in -0.99..0.99_f64,
        higher in 0.0..1.0_f64,
    ) {
        // Of a sum of floats, the last digits are noise.
        let is_at_most = |one: LogE, other: LogE| one.ln() <= other.ln() + 1e-9 * (1.0 + other.ln().abs());
        let higher = mean + higher * (0.99 - mean);
        prop_assert!(is_at_most(seen.above(higher), seen.above(mean)));
        prop_assert!(is_at_most(seen.below(mean), seen.below(higher)));
        let with = |difference| {
            let mut more = seen.clone();
            more.add(difference);
            more.above(mean)
        };
        prop_assert!(is_at_most(seen.above(mean), with(Difference::MORE)));
        prop_assert!(is_at_most(with(Difference::LESS), seen.above(mean)));
        prop_assert!(seen.above(mean).ln().is_finite());
    }

    #[test]
    fn the_order_of_the_pairs_changes_nothing(
        gains in prop::collection::vec((difference(), any::<bool>()), 24),
        turn in 0..24_usize,
    ) {
        let figures = |(gain, outside): (Difference, bool)| PairFigures {
            cost: Some(if outside { Margin::Outside } else { Margin::Within }),
            ..figures(gain)
        };
        let of = |gains: &[(Difference, bool)]| {
            let pairs = (0..).zip(gains).map(|(index, gain)| pair(0, index, Some(figures(*gain))));
            let mut comparison = Comparison::new(terms());
            comparison.take(&batch(0, pairs.collect())).unwrap();
            comparison
        };
        let mut turned = gains.clone();
        turned.rotate_left(turn);
        turned.swap(0, 11);
        prop_assert_eq!(of(&gains), of(&turned));
        prop_assert_eq!(of(&gains).look(Funds::Left), of(&turned).look(Funds::Left));
    }

    #[test]
    fn an_interval_holds_the_mean_and_both_ways_round(seen in differences()) {
        let interval = Interval::of(&seen);
        let mean = seen.mean() * 1e6;
        let (lower, upper) = (interval.lower.millionths(), interval.upper.millionths());
        prop_assert!(f64::from(lower) <= mean + 1.0 && mean - 1.0 <= f64::from(upper));
        prop_assert_eq!(interval.and(interval), Some(interval));
    }

    #[test]
    fn shares_that_are_equal_on_average_differ_by_nothing_on_average(
        counts in prop::collection::vec((0..30_u64, 1..30_u64), 1..30),
    ) {
        // Each pair of shares both ways round.
        let shares = counts.iter().map(|(num, den)| Fraction::new(*num.min(den), *den));
        let shares: Vec<_> = shares.collect();
        let both = shares.iter().zip(shares.iter().rev());
        let sum: i32 = both.map(|(one, other)| Difference::between(*one, *other).millionths()).sum();
        prop_assert_eq!(sum, 0);
    }
}

#[test]
fn the_expected_evidence_for_a_candidate_that_is_no_better_is_one() {
    for differ in [0.05, 0.2, 0.6, 1.0] {
        let mut states = BTreeMap::from([((0_u32, 0_u32), 1.0_f64)]);
        for pairs in 1..=48 {
            let mut next = BTreeMap::new();
            for ((won, lost), probability) in states {
                for (state, share) in [
                    ((won + 1, lost), differ / 2.0),
                    ((won, lost + 1), differ / 2.0),
                    ((won, lost), 1.0 - differ),
                ] {
                    *next.entry(state).or_default() += probability * share;
                }
            }
            states = next;
            let expected: f64 = states
                .iter()
                .map(|((won, lost), probability)| {
                    probability * tally(*won, pairs - won - lost, *lost).above(0.0).ln().exp()
                })
                .sum();
            assert!((expected - 1.0).abs() < 1e-12, "{differ}, {pairs}: {expected}");
        }
    }
}
