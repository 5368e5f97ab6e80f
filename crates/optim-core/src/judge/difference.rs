//! Differences between candidate and baseline, and how often each was seen.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::evalue::{self, LogE};
use crate::quantity::Fraction;

/// A million, the unit.
const UNIT: i32 = 1_000_000;

/// How much more the candidate has of something than the baseline, on one case: from -1 to 1, in
/// millionths, so that a sum of them is exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Difference(i32);

/// A difference outside -1 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a difference is from -1000000 to 1000000 millionths, not {0}")]
pub struct DifferenceError(i32);

impl Difference {
    /// As much less as can be.
    pub const LESS: Self = Self(-UNIT);
    /// No difference.
    pub const NONE: Self = Self(0);
    /// As much more as can be.
    pub const MORE: Self = Self(UNIT);

    /// The difference of two shares of 0 to 1.
    ///
    /// Each share is taken to the millionth first. So this is the exact difference of two such shares,
    /// and one that is zero on average stays so.
    #[must_use]
    pub fn between(candidate: Fraction, baseline: Fraction) -> Self {
        Self(millionths(candidate) - millionths(baseline))
    }

    /// Only whether there is more, as much or less.
    #[must_use]
    pub fn sign(ordering: Ordering) -> Self {
        match ordering {
            Ordering::Less => Self::LESS,
            Ordering::Equal => Self::NONE,
            Ordering::Greater => Self::MORE,
        }
    }

    /// In millionths.
    #[must_use]
    pub fn millionths(self) -> i32 {
        self.0
    }

    pub(super) fn to_f64(self) -> f64 {
        f64::from(self.0) / f64::from(UNIT)
    }
}

fn millionths(share: Fraction) -> i32 {
    let Fraction { num, den } = share;
    if den == 0 {
        return 0;
    }
    let millionths = u128::from(num.min(den)) * 1_000_000 / u128::from(den);
    i32::try_from(millionths).unwrap_or(UNIT)
}

impl TryFrom<i32> for Difference {
    type Error = DifferenceError;
    fn try_from(millionths: i32) -> Result<Self, DifferenceError> {
        let is_known = (-UNIT..=UNIT).contains(&millionths);
        is_known.then_some(Self(millionths)).ok_or(DifferenceError(millionths))
    }
}

impl From<Difference> for i32 {
    fn from(difference: Difference) -> Self {
        difference.0
    }
}

/// How often each difference was seen. What follows from it does not depend on the order of the pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences(BTreeMap<Difference, u32>);

impl Differences {
    /// Counts one more.
    pub fn add(&mut self, difference: Difference) {
        self.add_many(difference, 1);
    }

    /// Counts `number` more.
    pub fn add_many(&mut self, difference: Difference, number: u32) {
        if number > 0 {
            *self.0.entry(difference).or_default() += number;
        }
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many were seen.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.values().sum()
    }

    /// How many were above zero, and how many below.
    #[must_use]
    pub fn signs(&self) -> (u32, u32) {
        let count = |wanted: fn(&Difference) -> bool| {
            self.0.iter().filter(|(value, _)| wanted(value)).map(|(_, count)| count).sum()
        };
        (count(|value| *value > Difference::NONE), count(|value| *value < Difference::NONE))
    }

    /// The evidence that the mean is above `mean`, which lies between -1 and 1: against the hypothesis
    /// that it is `mean` or less.
    #[must_use]
    pub fn above(&self, mean: f64) -> LogE {
        evalue::against(mean, self.values())
    }

    /// The evidence that the mean is below `mean`: against the hypothesis that it is `mean` or more.
    #[must_use]
    pub fn below(&self, mean: f64) -> LogE {
        evalue::against(-mean, self.values().rev().map(|(value, count)| (-value, count)))
    }

    /// The mean; zero when nothing was seen.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let sum: f64 = self.values().map(|(value, count)| value * count).sum();
        sum / f64::from(self.count().max(1))
    }

    /// The mean in whole millionths, rounded towards zero; `None` when nothing was seen.
    pub(super) fn mean_millionths(&self) -> Option<Difference> {
        let sum = |(value, count): (&Difference, &u32)| i64::from(value.0) * i64::from(*count);
        let mean = self.0.iter().map(sum).sum::<i64>().checked_div(self.count().into())?;
        i32::try_from(mean).ok().map(Difference)
    }

    pub(super) fn sum_of_squares(&self) -> f64 {
        self.values().map(|(value, count)| value * value * count).sum()
    }

    fn values(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> + Clone {
        self.0.iter().map(|(value, count)| (value.to_f64(), f64::from(*count)))
    }
}
