//! What pairs say about the size of a gain.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::difference::{Difference, Differences};
use super::interval::Interval;
use super::pair::PairRecord;

/// By how much a candidate scores higher than what it was paired with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// Pairs that were measured.
    pub pairs: u32,
    /// Their mean, rounded towards zero.
    pub mean: Difference,
    /// Where the gain lies, with a probability of 95 %.
    pub interval: Interval,
}

impl Gain {
    /// The gain that `pairs` show; `None` when none of them was measured.
    #[must_use]
    pub fn of(pairs: &[PairRecord]) -> Option<Self> {
        let mut seen = Differences::default();
        let gains = pairs.iter().filter_map(|pair| pair.figures).map(|figures| figures.gain);
        gains.for_each(|gain| seen.add(gain));
        let mean = seen.mean_millionths()?;
        Some(Self { pairs: seen.count(), mean, interval: Interval::of(&seen) })
    }
}

/// For instance `+8.3 points (95 %: -2.0 to +18.5), 60 pairs`.
impl fmt::Display for Gain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, mean, interval: Interval { lower, upper } } = self;
        let [mean, lower, upper] = [mean, lower, upper].map(|end| end.to_f64() * 100.0);
        write!(f, "{mean:+.1} points (95 %: {lower:+.1} to {upper:+.1}), {pairs} pairs")
    }
}
