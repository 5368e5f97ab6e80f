//! Evidence as an e-value, kept as its logarithm.
//!
//! An e-value is the wealth of a gambler who bets against a hypothesis at fair odds: if the hypothesis
//! holds, it is expected to be at most 1, whenever the gambler stops. A wealth of 20 therefore rejects
//! the hypothesis at the level 1/20, however often it is looked at (Ville's inequality).
//!
//! For differences `y` of at least -1 and the hypothesis "their mean is at most `m`", a bet of the share
//! `k` multiplies the wealth by `1 + k (y - m) / (m + 1)`; those are the admissible factors for a bounded
//! mean (Waudby-Smith and Ramdas, *Estimating means of bounded random variables by betting*; Clerico,
//! *On the optimality of coin-betting for mean estimation*). Which share is best depends on the truth, so
//! five gamblers play and the evidence is their average, which is an e-value too. It depends on how often
//! each difference was seen, not on the order.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::quantity::PerMillion;

/// The shares of their wealth that the five gamblers bet.
const BETS: [f64; 5] = [0.15, 0.30, 0.50, 0.70, 0.95];

/// The natural logarithm of an e-value, or of a bar for one. Always finite.
///
/// The logarithms come from a portable implementation, so that a decision is the same on any machine.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogE(f64);

impl LogE {
    /// The evidence of nothing: an e-value of 1.
    pub const NONE: Self = Self(0.0);

    /// The bar that evidence has to reach to reject a hypothesis at `level`. A level of zero has a bar
    /// that nothing reaches.
    #[must_use]
    pub fn bar(level: PerMillion) -> Self {
        Self::bar_of(level.to_f64())
    }

    /// The same for a level that is no share of millionths; zero or above.
    pub(super) fn bar_of(level: f64) -> Self {
        Self(if level > 0.0 { -libm::log(level) } else { f64::MAX })
    }

    /// The natural logarithm.
    #[must_use]
    pub fn ln(self) -> f64 {
        self.0
    }

    /// The e-value, at most 1: what is given back of a stake that was not won.
    #[must_use]
    pub(super) fn at_most_one(self) -> f64 {
        libm::exp(self.0.min(0.0))
    }

    /// The e-value of the average wealth when the share `weight` of it is bet on `other`.
    #[must_use]
    pub(super) fn mixed_with(self, other: Self, weight: f64) -> Self {
        if weight <= 0.0 {
            return self;
        }
        Self(log_sum_exp([self.scaled(1.0 - weight).0, other.scaled(weight).0]))
    }

    /// Grown by `nats`, which is finite.
    pub(super) fn grown_by(self, nats: f64) -> Self {
        Self(self.0 + nats)
    }

    /// The logarithm of the e-value times `factor`, which is above zero.
    #[must_use]
    pub(super) fn scaled(self, factor: f64) -> Self {
        self.grown_by(libm::log(factor))
    }
}

impl PartialEq for LogE {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for LogE {}
impl PartialOrd for LogE {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for LogE {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The e-value itself, with three figures.
impl fmt::Display for LogE {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = libm::exp(self.0);
        if (100.0..1e6).contains(&e) {
            write!(f, "{e:.0}")
        } else if (0.01..100.0).contains(&e) {
            let places = if e < 1.0 { 3 } else { 2 };
            write!(f, "{e:.places$}")
        } else {
            write!(f, "10^{:.1}", self.0 / std::f64::consts::LN_10)
        }
    }
}

/// The evidence of `seen`, pairs of a difference of at least -1 and its count, against the hypothesis
/// that the mean is at most `mean`, which is above -1 and below 1.
pub(super) fn against(mean: f64, seen: impl Iterator<Item = (f64, f64)> + Clone) -> LogE {
    let wealth = BETS.map(|bet| {
        let growth = |(y, count): (f64, f64)| count * libm::log1p(bet * (y - mean) / (mean + 1.0));
        seen.clone().map(growth).sum::<f64>()
    });
    LogE(log_sum_exp(wealth) - libm::log(5.0))
}

/// The logarithm of the sum of the exponentials, without leaving the domain of logarithms.
fn log_sum_exp<const N: usize>(terms: [f64; N]) -> f64 {
    let most = terms.iter().copied().fold(f64::MIN, f64::max);
    most + libm::log(terms.iter().map(|term| libm::exp(term - most)).sum())
}
