//! The interval for a candidate's gain: right at all looks together with a probability of 95 %.
//!
//! It holds every gain that the pairs do not refute at 2.5 % on either side. Evidence falls as the
//! hypothetical gain rises, so each end is found by halving.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::difference::{Difference, Differences};
use super::evalue::LogE;
use crate::quantity::PerMillion;

/// The level on each side.
const LEVEL: PerMillion = PerMillion(25_000);
/// Halvings of an interval of 2, far below a millionth.
const HALVINGS: u32 = 48;

/// Where the gain of a candidate lies, with a probability of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The smallest gain, rounded down.
    pub lower: Difference,
    /// The largest gain, rounded up.
    pub upper: Difference,
}

impl Interval {
    /// The interval after the pairs that were `seen`.
    #[must_use]
    pub fn of(seen: &Differences) -> Self {
        let (lower, upper) = bounds(seen);
        Self { lower: whole((lower * 1e6).floor()), upper: whole((upper * 1e6).ceil()) }
    }

    /// What both hold; `None` when they contradict each other, as they may when the gain changes over
    /// time.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        let (lower, upper) = (self.lower.max(other.lower), self.upper.min(other.upper));
        (lower <= upper).then_some(Self { lower, upper })
    }
}

/// In percentage points: `between -0.5 and +12.0 points`.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points = |end: Difference| end.to_f64() * 100.0;
        write!(f, "between {:+.1} and {:+.1} points", points(self.lower), points(self.upper))
    }
}

/// The ends as they are found.
pub(super) fn bounds(seen: &Differences) -> (f64, f64) {
    let lower = largest_refuted(|gain| seen.above(gain));
    let upper = -largest_refuted(|gain| seen.below(-gain));
    (lower, upper)
}

/// The largest gain that `evidence` refutes, or -1.
fn largest_refuted(evidence: impl Fn(f64) -> LogE) -> f64 {
    let bar = LogE::bar(LEVEL);
    let (mut refuted, mut kept) = (-1.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(refuted, kept);
        if evidence(middle) >= bar {
            refuted = middle;
        } else {
            kept = middle;
        }
    }
    refuted
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the ends lie between minus and plus a million"
)]
fn whole(millionths: f64) -> Difference {
    let limit = f64::from(i32::from(Difference::MORE));
    Difference::try_from(millionths.clamp(-limit, limit) as i32).unwrap_or_default()
}
