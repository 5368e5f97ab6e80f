//! `eval.yaml`: what is measured and how a verdict is reached.

use serde::{Deserialize, Serialize};

use super::Profile;
use crate::quantity::PerMillion;

/// The validated `eval.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalPolicy {
    /// Strict or custom bounds.
    pub profile: Profile,
    /// The eval pack.
    pub pack_ref: PackRef,
    /// Decides first.
    pub primary_metric: MetricName,
    /// Decides on a tie.
    pub secondary_metric: MetricName,
    /// What must not get worse; both kinds are present.
    pub hard_guardrails: Vec<Guardrail>,
    /// Replays before the first candidate (strict: 2; hard: 1..=20).
    pub campaign_start_baseline_runs: u32,
    /// Candidates after which another replay is due (strict: 5; hard: 1..=1000).
    pub baseline_replay_every_candidates: u32,
    /// Minutes after which another replay is due (strict: 30; hard: 1..=10080).
    pub baseline_replay_every_minutes: u32,
    /// How a case becomes a score.
    pub score: Score,
    /// How a verdict is reached.
    pub rule: Rule,
}

/// Where the eval pack is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackRef {
    /// A JSONL file, as the policy names it.
    File(String),
    /// `none`: one implicit case with empty inputs.
    Implicit,
}

/// The metrics that may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricName {
    /// The share of what was expected to pass that passed.
    ArtifactValidatorPassRate,
    /// Requirements that were not met.
    UnmetRequirementCount,
}

/// The guardrails of the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guardrail {
    /// Blocked nodes must not become more.
    BlockedNodeRate,
    /// The budget's ceilings on one run hold.
    BudgetCeilings,
}

/// How the checks of a case become its score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// 1 when every validator and assertion on the case passes, else 0.
    #[default]
    AllOrNothing,
    /// The share of its checks that pass.
    Fraction,
}

/// The decision rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum Rule {
    /// The rule of the seed: point estimates, no error control.
    Point {
        /// The largest accepted spread between replays (default 0.05).
        max_range: PerMillion,
        /// The largest accepted share of flaky cases (default 0.10).
        max_flaky: PerMillion,
    },
}

impl Default for Rule {
    fn default() -> Self {
        Self::Point {
            max_range: PerMillion(50_000),
            max_flaky: PerMillion(100_000),
        }
    }
}
