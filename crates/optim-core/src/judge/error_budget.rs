//! The error budget of a campaign: how much probability of a false promotion is left, and who has it.
//!
//! The pool is alpha at first. Each candidate gets a stake from it and must bring evidence of one over
//! its stake. A candidate that is closed gives back its stake times its e-value, at most all of it; one
//! that reached its bar gives back all of it.
//!
//! Why no campaign errs more often than alpha: take the pool, the stakes of open candidates that are no
//! better, each times its e-value, and the stakes of the other open ones. That sum begins at alpha; to
//! open a candidate does not change it, a batch does not raise it in expectation, and what is given back
//! was in it. When a candidate that is no better reaches its bar, the sum is at least 1. By Ville's
//! inequality that happens with probability alpha at most, whatever generates the candidates, however
//! often is looked, and whichever runs of the baseline are shared.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::evalue::LogE;
use crate::quantity::PerMillion;

/// Parts of one, the unit of probability.
const UNIT: u64 = 1_000_000_000_000_000_000;
const UNIT_F64: f64 = 1e18;

/// A probability that a candidate may risk, in units of 10^-18, so that what is given out and back adds
/// up exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stake(u64);

impl Stake {
    /// The stake of a candidate that is the only one.
    #[must_use]
    pub fn whole(alpha: PerMillion) -> Self {
        Self((UNIT / 1_000_000).saturating_mul(alpha.0.into()).min(UNIT))
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The even share of each of `many`.
    #[must_use]
    pub fn shared_by(self, many: u32) -> Self {
        Self(self.0 / u64::from(many.max(1)))
    }

    /// The evidence that wins it: one over the stake.
    #[must_use]
    pub fn bar(self) -> LogE {
        LogE::bar_of(self.to_f64())
    }

    /// The nearest float.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the nearest float is what is wanted")]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / UNIT_F64
    }

    /// What is left of it with `evidence`: the stake times the e-value, rounded down, at most all.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the stake is from 0 to the stake"
    )]
    pub fn left_with(self, evidence: LogE) -> Self {
        let share = evidence.at_most_one();
        if share >= 1.0 { self } else { Self((self.0 as f64 * share) as u64).min(self) }
    }
}

impl fmt::Display for Stake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} %", self.to_f64() * 100.0)
    }
}

/// What of alpha is left, and for how many candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorBudget {
    pool: Stake,
    planned: u32,
    opened: u32,
}

/// Nothing of the error budget is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "all of the error budget is at stake or lost; close the experiments under review, or begin a new \
     campaign"
)]
pub struct PoolEmpty;

impl PoolEmpty {
    /// The stable code of this error.
    #[must_use]
    pub fn code(self) -> &'static str {
        "error_budget_spent"
    }
}

impl ErrorBudget {
    /// All of `alpha`, for `planned` candidates.
    #[must_use]
    pub fn new(alpha: PerMillion, planned: u32) -> Self {
        Self { pool: Stake::whole(alpha), planned, opened: 0 }
    }

    /// What is not at stake.
    #[must_use]
    pub fn pool(&self) -> Stake {
        self.pool
    }

    /// Plans for `planned` candidates in all. Stakes that were given stay; one more candidate can always
    /// be opened.
    pub fn plan(&mut self, planned: u32) {
        self.planned = planned;
    }

    /// Takes the stake of one more candidate from the pool: an even share for each that is still planned.
    ///
    /// # Errors
    /// [`PoolEmpty`] when there is nothing to risk.
    pub fn open(&mut self) -> Result<Stake, PoolEmpty> {
        let left = self.planned.saturating_sub(self.opened);
        let stake = self.pool.shared_by(left);
        if stake.0 == 0 {
            return Err(PoolEmpty);
        }
        self.pool.0 -= stake.0;
        self.opened = self.opened.saturating_add(1);
        Ok(stake)
    }

    /// Gives back what a closed candidate has left: [`super::comparison::Comparison::refund`].
    pub fn give_back(&mut self, refund: Stake) {
        self.pool = self.pool.with(refund);
    }
}
