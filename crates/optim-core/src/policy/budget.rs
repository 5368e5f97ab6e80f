//! `budget.yaml`: what a campaign may spend in total.

use serde::{Deserialize, Serialize};

use super::Profile;
use crate::quantity::{MicroUsd, Tokens};

/// The validated `budget.yaml`. All figures are totals of the campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetPolicy {
    /// Strict or custom bounds.
    pub profile: Profile,
    /// Experiments (strict: 1..=100; hard: 1..=10 000).
    pub max_experiments: u32,
    /// Minutes of run time, summed over case runs (strict: 1..=1440; hard: 1..=525 600).
    pub max_runtime_minutes: u32,
    /// Evaluations in a row without a measurable result (strict: 1..=10; hard: 1..=100).
    pub max_consecutive_failures: u32,
    /// Tokens; absent means no limit.
    pub max_total_tokens: Option<Tokens>,
    /// Money; absent means no limit.
    pub max_total_cost: Option<MicroUsd>,
}
