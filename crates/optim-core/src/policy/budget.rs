//! `budget.yaml`: what a campaign may spend in total.

use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::{Profile, kind};
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

/// Limits beyond any sensible one, so that sums stay exact wherever they are shown.
const TOKENS_MAX: u64 = 1_000_000_000_000_000;
const MICRO_USD_MAX: u64 = 1_000_000_000_000_000;

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<BudgetPolicy> {
    let profile = keys.profile();
    let max_experiments = keys.read(
        "max_experiments",
        "candidates that the campaign may evaluate",
        kind::whole(1..=100, 1..=10_000),
    );
    let max_runtime_minutes = keys.read(
        "max_runtime_minutes",
        "minutes of run time, summed over all case runs",
        kind::whole(1..=1440, 1..=525_600),
    );
    let max_consecutive_failures = keys.read(
        "max_consecutive_failures",
        "evaluations in a row without a measurable result",
        kind::whole(1..=10, 1..=100),
    );
    let max_total_tokens = keys.limit(
        "max_total_tokens",
        "tokens that the campaign may use",
        kind::tokens(1..=TOKENS_MAX),
    );
    let max_total_cost = keys.limit(
        "max_total_cost_usd",
        "US dollars that the campaign may spend",
        kind::usd(1..=MICRO_USD_MAX),
    );
    Some(BudgetPolicy {
        profile: profile?,
        max_experiments: max_experiments?,
        max_runtime_minutes: max_runtime_minutes?,
        max_consecutive_failures: max_consecutive_failures?,
        max_total_tokens: max_total_tokens?,
        max_total_cost: max_total_cost?,
    })
}
