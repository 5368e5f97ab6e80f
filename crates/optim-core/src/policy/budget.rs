//! `budget.yaml`: what a campaign may spend in total.

use serde::{Deserialize, Serialize};

use super::keys::Keys;
use super::{Profile, kind};
use crate::campaign::ledger::Allowance;
use crate::quantity::{MicroUsd, Millis, Tokens};

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

/// What a person adds to a campaign's budget. The policy stays as it was frozen; the sum counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Further experiments.
    pub experiments: u32,
    /// Further minutes of run time.
    pub minutes: u32,
    /// Further tokens.
    pub tokens: Tokens,
    /// Further money.
    #[serde(rename = "cost_micro_usd")]
    pub cost: MicroUsd,
}

/// Why a budget cannot be extended so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// It adds nothing.
    #[error("nothing is added to the budget; give --experiments, --tokens, --cost or --minutes")]
    Nothing,
    /// There is no limit to raise.
    #[error("the budget sets no {key}, so there is no limit to raise")]
    NoLimit {
        /// The key in `budget.yaml`.
        key: &'static str,
    },
    /// The sum is beyond the profile's bounds.
    #[error("{key} would become {sum}, the profile of the budget allows at most {most}")]
    OutOfRange {
        /// The key in `budget.yaml`.
        key: &'static str,
        /// What it would become.
        sum: String,
        /// The most that is allowed.
        most: String,
    },
}

impl ExtensionError {
    /// The stable code of this refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nothing => "extension_empty",
            Self::NoLimit { .. } => "no_such_limit",
            Self::OutOfRange { .. } => "extension_out_of_range",
        }
    }
}

/// The most experiments and minutes: in the strict profile, in any.
const EXPERIMENTS_MAX: (u64, u64) = (100, 10_000);
const MINUTES_MAX: (u64, u64) = (1440, 525_600);
/// Limits beyond any sensible one, so that sums stay exact wherever they are shown.
const TOKENS_MAX: u64 = 1_000_000_000_000_000;
const MICRO_USD_MAX: u64 = 1_000_000_000_000_000;

impl Extension {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            experiments: self.experiments.saturating_add(other.experiments),
            minutes: self.minutes.saturating_add(other.minutes),
            tokens: self.tokens.plus(other.tokens),
            cost: self.cost.plus(other.cost),
        }
    }
}

impl BudgetPolicy {
    /// What all case runs and calls of proposers may use together.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        Allowance {
            tokens: self.max_total_tokens,
            cost: self.max_total_cost,
            time: Some(Millis::from_minutes(self.max_runtime_minutes)),
        }
    }

    /// The budget with `more`; what has no limit keeps none.
    #[must_use]
    pub fn plus(&self, more: &Extension) -> Self {
        Self {
            max_experiments: self.max_experiments.saturating_add(more.experiments),
            max_runtime_minutes: self.max_runtime_minutes.saturating_add(more.minutes),
            max_total_tokens: self.max_total_tokens.map(|limit| limit.plus(more.tokens)),
            max_total_cost: self.max_total_cost.map(|limit| limit.plus(more.cost)),
            ..self.clone()
        }
    }

    /// Whether `more` may be added: something, to limits that exist, inside the profile's bounds.
    ///
    /// # Errors
    /// [`ExtensionError`] names the key.
    pub fn may_grow(&self, more: &Extension) -> Result<(), ExtensionError> {
        if *more == Extension::default() {
            return Err(ExtensionError::Nothing);
        }
        let bound = |(strict, hard)| match self.profile {
            Profile::Strict => strict,
            Profile::Custom => hard,
        };
        let experiments = Some(self.max_experiments.into());
        let minutes = Some(self.max_runtime_minutes.into());
        let tokens = self.max_total_tokens.map(|limit| limit.0);
        let cost = self.max_total_cost.map(|limit| limit.0);
        let count: fn(u64) -> String = |count| count.to_string();
        let dollars: fn(u64) -> String = |amount| MicroUsd(amount).to_string();
        for (key, limit, more, most, words) in [
            (
                "max_experiments",
                experiments,
                more.experiments.into(),
                bound(EXPERIMENTS_MAX),
                count,
            ),
            ("max_runtime_minutes", minutes, more.minutes.into(), bound(MINUTES_MAX), count),
            ("max_total_tokens", tokens, more.tokens.0, TOKENS_MAX, count),
            ("max_total_cost_usd", cost, more.cost.0, MICRO_USD_MAX, dollars),
        ] {
            if more == 0 {
                continue;
            }
            let sum = limit.ok_or(ExtensionError::NoLimit { key })?.saturating_add(more);
            if sum > most {
                let (sum, most) = (words(sum), words(most));
                return Err(ExtensionError::OutOfRange { key, sum, most });
            }
        }
        Ok(())
    }
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<BudgetPolicy> {
    let profile = keys.profile();
    let max_experiments = keys.read(
        "max_experiments",
        "candidates that the campaign may evaluate",
        kind::whole(1..=EXPERIMENTS_MAX.0, 1..=EXPERIMENTS_MAX.1),
    );
    let max_runtime_minutes = keys.read(
        "max_runtime_minutes",
        "minutes of run time, summed over all case runs",
        kind::whole(1..=MINUTES_MAX.0, 1..=MINUTES_MAX.1),
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
