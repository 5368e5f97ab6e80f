//! Proposers: who finds the next candidate.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use optim_core::campaign::Fate;
use optim_core::experiment::Proposer as Description;
use optim_core::mutation::{Mutation, MutationKey};
use optim_core::policy::Policies;
use optim_core::proposal::FailingCase;
use optim_core::workflow::Workflow;

/// What a proposer may know. Holdout cases are never part of it.
#[derive(Debug, Clone)]
pub struct ProposalRequest {
    /// The definition to improve.
    pub baseline: Arc<Workflow>,
    /// The policies.
    pub policies: Policies,
    /// `objective.md`; untrusted data.
    pub objective: String,
    /// Feeds whatever is drawn at random.
    pub seed: u64,
    /// Mutations that may not come again.
    pub tried: BTreeMap<MutationKey, Fate>,
    /// Search cases that the baseline fails.
    pub failing: Vec<FailingCase>,
    /// Search cases that the baseline passes.
    pub passing: Vec<FailingCase>,
}

/// What a proposer answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposals {
    /// The next candidate; absent when there is none.
    pub next: Option<Mutation>,
    /// Proposals that were refused on the way, by reason code.
    pub refused: BTreeMap<String, u32>,
}

/// Finds candidates. Deterministic for equal requests, unless it says otherwise.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Proposer: Send + Sync {
    /// Its name and version, recorded with each candidate.
    fn description(&self) -> Description;

    /// The next candidate for `request.baseline` that is not in `request.tried`.
    async fn propose(&self, request: &ProposalRequest) -> Proposals;
}
