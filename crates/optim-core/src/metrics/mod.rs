//! Metrics of an evaluation: integer counts over the *expected* outcomes.

use serde::{Deserialize, Serialize};

use crate::outcome::Usage;
use crate::quantity::Fraction;

/// What one or several evaluations of one definition showed, as exact counts.
///
/// Denominators are what the baseline is expected to produce, not what a run happened to produce.
/// Counts of several replicates are added, so a mean is never rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Evaluations that were added.
    pub replicates: u32,
    /// Cases whose every check passed, of the cases expected.
    pub cases: Fraction,
    /// Checks that passed, of the checks expected: the wire's `artifact_validator_pass_rate`.
    pub checks: Fraction,
    /// Requirements that were not met, in all replicates together.
    pub unmet: u64,
    /// Blocked nodes, of all nodes in all cases.
    pub blocked: Fraction,
    /// Whether no case run broke a ceiling of the budget.
    pub within_limits: bool,
    /// Case runs that the outside failed until their retries were used up.
    pub void: u32,
    /// What the case runs consumed together.
    pub usage: Usage,
}
