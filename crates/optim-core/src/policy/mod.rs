//! The five policy files of a campaign, as validated types.
//!
//! `objective.md` is text; the other four are YAML. Each key has a *strict* range (the default
//! profile) and a *hard* range that `profile: custom` may use; nothing goes beyond the hard range.

mod budget;
mod eval;
mod mutation;
mod objective;
mod scope;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

pub use budget::BudgetPolicy;
pub use eval::{EvalPolicy, Guardrail, MetricName, PackRef, Rule, Score};
pub use mutation::MutationPolicy;
pub use objective::Objective;
pub use scope::{FieldPattern, ScopePolicy};

/// How wide the accepted range of a key is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The narrow bounds; the default.
    #[default]
    Strict,
    /// Wider bounds, inside hard limits.
    Custom,
}

/// The four policies with rules in them. The objective text is stored once, by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    /// `eval.yaml`
    pub eval: EvalPolicy,
    /// `mutation_policy.yaml`
    pub mutation: MutationPolicy,
    /// `scope.yaml`
    pub scope: ScopePolicy,
    /// `budget.yaml`
    pub budget: BudgetPolicy,
}

/// A file as it was when the campaign froze it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenFile {
    /// What the file is to the campaign.
    pub role: FileRole,
    /// The reference as the caller gave it.
    pub artifact_ref: String,
    /// The canonical path it resolved to.
    pub resolved_path: String,
    /// The digest of exactly the bytes that were parsed.
    pub sha256: Digest,
    /// The number of those bytes.
    pub size_bytes: u64,
}

/// The files that a campaign freezes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    /// `objective.md`
    Objective,
    /// `eval.yaml`
    Eval,
    /// `mutation_policy.yaml`
    MutationPolicy,
    /// `scope.yaml`
    Scope,
    /// `budget.yaml`
    Budget,
    /// The eval pack.
    Pack,
    /// The workflow.
    Workflow,
}
