//! The five policy files of a campaign, as validated types.
//!
//! `objective.md` is text; the other four are YAML. Each key has a *strict* range (the default
//! profile) and a *hard* range that `profile: custom` may use; nothing goes beyond the hard range.

mod budget;
mod eval;
mod keys;
mod kind;
mod mutation;
mod objective;
mod post_apply;
mod scope;
mod sequential;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Checked, Diagnostic, Diagnostics, Place};
use crate::digest::Digest;
use crate::secret;

pub use budget::{BudgetPolicy, Extension, ExtensionError};
pub use eval::{EvalPolicy, Guardrail, MetricName, PackRef, Rule, Score};
pub use keys::Row;
pub use mutation::MutationPolicy;
pub use objective::{OBJECTIVE_BYTES_MAX, Objective};
pub use post_apply::{AfterApply, PostApply};
pub use scope::{FieldPattern, PatternError, ScopePolicy};
pub use sequential::{DecisionProfile, Margins, Sequential};

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

/// The bytes of the five files of a campaign.
#[derive(Debug, Clone, Copy)]
pub struct PolicyFiles<'a> {
    /// `objective.md`
    pub objective: PolicyFile<'a>,
    /// `eval.yaml`
    pub eval: PolicyFile<'a>,
    /// `mutation_policy.yaml`
    pub mutation: PolicyFile<'a>,
    /// `scope.yaml`
    pub scope: PolicyFile<'a>,
    /// `budget.yaml`
    pub budget: PolicyFile<'a>,
}

/// One of these files.
#[derive(Debug, Clone, Copy)]
pub struct PolicyFile<'a> {
    /// What messages call it: its path as the caller gave it.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// Reads and checks the five files.
///
/// # Errors
/// Everything wrong in all of the files, each with file, line, column and a way out, and the
/// warnings among it.
pub fn read(files: &PolicyFiles<'_>) -> Result<Checked<(Objective, Policies)>, Diagnostics> {
    let mut faults = Vec::new();
    let objective = objective::read(&files.objective).map_err(|found| faults.extend(found)).ok();
    let PolicyFiles { objective: text, eval, mutation, scope, budget } = files;
    for file in [text, eval, mutation, scope, budget] {
        faults.extend(secret::findings(file.name, file.bytes));
    }
    let eval = keys::read(eval.name, eval.bytes, &mut faults, eval::read);
    let mutation = keys::read(mutation.name, mutation.bytes, &mut faults, mutation::read);
    let scope = keys::read(scope.name, scope.bytes, &mut faults, scope::read);
    let budget = keys::read(budget.name, budget.bytes, &mut faults, budget::read);
    let policies =
        || Some(Policies { eval: eval?, mutation: mutation?, scope: scope?, budget: budget? });
    let policies = policies();
    faults.extend(policies.as_ref().and_then(|policies| too_many_for_frugal(files, policies)));
    Checked::new(objective.zip(policies), Diagnostics(faults))
}

/// The frugal profile is for few experiments, each with a large share of the error budget.
fn too_many_for_frugal(files: &PolicyFiles<'_>, policies: &Policies) -> Option<Diagnostic> {
    let Rule::Sequential(Sequential { profile: DecisionProfile::Frugal, .. }) = policies.eval.rule
    else {
        return None;
    };
    let (planned, most) = (policies.budget.max_experiments, sequential::FRUGAL_EXPERIMENTS_MAX);
    let message =
        format!("`max_experiments` is {planned}, `profile: frugal` is for at most {most}");
    let help = format!("set it to {most}, or choose `profile: standard` in {}", files.eval.name);
    let place = Place::file(files.budget.name).path("/max_experiments".to_owned());
    (planned > most).then(|| Diagnostic::error("out_of_range", place, message).help(help))
}

/// The keys of the four YAML files, in the order in which they are read, for the documentation.
#[must_use]
pub fn reference() -> [(&'static str, Vec<Row>); 4] {
    [
        ("eval.yaml", keys::rows(eval::read)),
        ("mutation_policy.yaml", keys::rows(mutation::read)),
        ("scope.yaml", keys::rows(scope::read)),
        ("budget.yaml", keys::rows(budget::read)),
    ]
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
