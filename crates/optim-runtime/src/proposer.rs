//! Proposers: who finds the next candidate.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use optim_core::campaign::Fate;
use optim_core::campaign::ledger::Amount;
use optim_core::experiment::Proposer as Description;
use optim_core::mutation::{Mutation, MutationKey};
use optim_core::outcome::Usage;
use optim_core::policy::{Objective, Policies};
use optim_core::proposal::examples::{self, ObservedCase};
use optim_core::proposal::rules::{self, Rules};
use optim_core::proposal::{Cursor, Offer, Prepared};
use optim_core::workflow::Workflow;

/// What a proposer may know. Holdout cases are never part of it.
#[derive(Debug, Clone)]
pub struct ProposalRequest {
    /// The definition to improve.
    pub baseline: Arc<Workflow>,
    /// The policies.
    pub policies: Policies,
    /// `objective.md`; untrusted data.
    pub objective: Objective,
    /// Feeds whatever is drawn at random.
    pub seed: u64,
    /// Mutations that may not come again.
    pub tried: BTreeMap<MutationKey, Fate>,
    /// What the search cases expected, and what came out on the baseline.
    pub observed: Vec<ObservedCase>,
}

/// What a proposer answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposals {
    /// The next candidate; absent when there is none.
    pub next: Option<Mutation>,
    /// Proposals that were refused on the way, by reason code.
    pub refused: BTreeMap<String, u32>,
    /// What finding them has cost; zero for a proposer that calls nobody.
    pub usage: Usage,
}

/// Finds candidates. Deterministic for equal requests, unless it says otherwise.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait Proposer: Send + Sync {
    /// Its name and version, recorded with each candidate.
    fn description(&self) -> Description;

    /// The most that one call may use; set aside in the campaign's budget before the call. A proposer
    /// that uses nothing needs none of its own.
    fn worst_case(&self) -> Amount {
        Amount::default()
    }

    /// The next candidate for `request.baseline` that is not in `request.tried`.
    async fn propose(&self, request: &ProposalRequest) -> Proposals;
}

/// The built-in proposer of this name.
#[must_use]
pub fn built_in(name: &str) -> Option<Arc<dyn Proposer>> {
    match name {
        "examples" => Some(Arc::new(FromExamples)),
        "rules" => Some(Arc::new(FromRules)),
        _ => None,
    }
}

/// `rules`: curated transformations, driven by objective.md.
struct FromRules;

#[async_trait]
impl Proposer for FromRules {
    fn description(&self) -> Description {
        rules::IDENTITY.into()
    }

    async fn propose(&self, request: &ProposalRequest) -> Proposals {
        let rules = Rules::new(&request.objective, request.seed);
        match prepare(request) {
            Ok(prepared) => first_new(rules.stream(&prepared, Cursor::default()), request),
            Err(refused) => nothing(refused),
        }
    }
}

/// `examples`: the words of the search cases that the baseline fails.
struct FromExamples;

#[async_trait]
impl Proposer for FromExamples {
    fn description(&self) -> Description {
        examples::IDENTITY.into()
    }

    async fn propose(&self, request: &ProposalRequest) -> Proposals {
        match prepare(request) {
            Ok(prepared) => {
                first_new(examples::offers(&prepared, &request.observed, request.seed), request)
            }
            Err(refused) => nothing(refused),
        }
    }
}

fn prepare(request: &ProposalRequest) -> Result<Prepared, BTreeMap<String, u32>> {
    let Policies { mutation, scope, .. } = &request.policies;
    Prepared::new(Arc::clone(&request.baseline), mutation.clone(), scope.clone())
        .map_err(|error| BTreeMap::from([(error.code().to_owned(), 1)]))
}

fn nothing(refused: BTreeMap<String, u32>) -> Proposals {
    Proposals { next: None, refused, usage: Usage::default() }
}

/// The first offer that is allowed and was not tried, with the refusals before it.
fn first_new(offers: impl Iterator<Item = Offer>, request: &ProposalRequest) -> Proposals {
    let mut refused: BTreeMap<String, u32> = BTreeMap::new();
    for offer in offers {
        match offer {
            Offer::Proposal(proposal) if !request.tried.contains_key(&proposal.mutation.key()) => {
                let next = Some(proposal.mutation);
                return Proposals { next, refused, usage: Usage::default() };
            }
            Offer::Proposal(_) => {}
            Offer::Refusal(refusal) => {
                let count = refused.entry(refusal.code().to_owned()).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
    nothing(refused)
}
