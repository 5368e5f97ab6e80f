//! What a case run showed: one closed outcome type.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::quantity::{MicroUsd, Millis, Tokens};
use crate::workflow::ValidatorKind;

/// The result of one check of one node's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every requirement is met.
    Passed,
    /// Every requirement is met; something is worth a look.
    PassedWithWarnings,
    /// A requirement is not met, or there is no output to check.
    Failed,
    /// The node could not run, because something it needs did not happen.
    Blocked,
}

impl Outcome {
    /// Whether the check counts as passed.
    #[must_use]
    pub fn passes(self) -> bool {
        match self {
            Self::Passed | Self::PassedWithWarnings => true,
            Self::Failed | Self::Blocked => false,
        }
    }
}

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// The validator of the node's contract.
    Validator(ValidatorKind),
    /// The entry of the case's `expect` with this index.
    Assertion(u32),
}

/// One check with its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The node whose output was checked.
    pub node: NodeId,
    /// The rule.
    pub kind: CheckKind,
    /// The result.
    pub outcome: Outcome,
    /// One sentence for each requirement that is not met.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<String>,
    /// One sentence for each thing that is worth a look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What a run consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Usage {
    /// Tokens sent to models.
    pub prompt_tokens: Tokens,
    /// Tokens received from models.
    pub completion_tokens: Tokens,
    /// Money.
    #[serde(rename = "cost_micro_usd")]
    pub cost: MicroUsd,
    /// Time as the executor reports it; virtual for executors that simulate it.
    #[serde(rename = "latency_ms")]
    pub latency: Millis,
    /// Whether a part of it is not counted but the most that it may have been: of a request that was
    /// cut off, or of a server that does not count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

impl Usage {
    /// Whether nothing was used.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// All tokens.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.prompt_tokens.plus(self.completion_tokens)
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.plus(other.prompt_tokens),
            completion_tokens: self.completion_tokens.plus(other.completion_tokens),
            cost: self.cost.plus(other.cost),
            latency: self.latency.plus(other.latency),
            estimated: self.estimated || other.estimated,
        }
    }

    /// What is left of it without `part`; whether that is estimated is not known apart.
    #[must_use]
    pub fn minus(&self, part: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.minus(part.prompt_tokens),
            completion_tokens: self.completion_tokens.minus(part.completion_tokens),
            cost: self.cost.minus(part.cost),
            latency: self.latency.minus(part.latency),
            estimated: self.estimated,
        }
    }
}

/// What one run of one case showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum CaseOutcome {
    /// The workflow ran; its own failures are in the checks.
    Measured(Measured),
    /// The outside failed: provider down, machine lost. It counts against nobody.
    Void {
        /// What failed.
        fault: String,
    },
}

/// The measurable result of one run of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Exactly one entry for each expected check.
    pub checks: Vec<Check>,
    /// Nodes that could not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<NodeId>,
    /// The limit of the workflow that the run broke, if it broke one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_limit: Option<String>,
}

impl Measured {
    /// Whether every check passed within the limits.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.over_limit.is_none() && self.checks.iter().all(|check| check.outcome.passes())
    }
}
