//! Proposers: who finds the next candidate.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use optim_core::campaign::Fate;
use optim_core::campaign::ledger::Amount;
use optim_core::experiment::Proposer as Description;
use optim_core::mutation::{Mutation, MutationKey};
use optim_core::outcome::Usage;
use optim_core::policy::Objective;
use optim_core::proposal::examples::{self, ObservedCase};
use optim_core::proposal::prospect::Prospect;
use optim_core::proposal::refusals::Refusals;
use optim_core::proposal::rules::{self, Rules};
use optim_core::proposal::{Cursor, Offer, Prepared, Refusal};

/// What a proposer may know. Holdout cases are never part of it, nor are search cases where the pack has tune cases.
#[derive(Debug, Clone)]
pub struct ProposalRequest {
    /// The definition to improve, ready for many candidates, with the policies that bind them.
    pub prepared: Arc<Prepared>,
    /// `objective.md`; untrusted data.
    pub objective: Objective,
    /// Feeds whatever is drawn at random.
    pub seed: u64,
    /// Mutations that may not come again.
    pub tried: BTreeMap<MutationKey, Fate>,
    /// What the cases that it may see ([`optim_core::pack::Pack::seen_by_proposers`]) expected, and what came out on the baseline.
    pub observed: Vec<ObservedCase>,
}

/// What a proposer answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposals {
    /// The next candidate; absent when there is none.
    pub next: Option<Mutation>,
    /// Proposals that were refused on the way.
    pub refused: Refusals,
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

    /// What it could offer for `request`, counted without cost before anything is observed. Only
    /// [`Prospect::is_hopeless`] is relied on.
    fn prospect(&self, _request: &ProposalRequest) -> Prospect {
        Prospect::unknown()
    }

    /// The next candidate for the baseline that is not in `request.tried`.
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

    fn prospect(&self, request: &ProposalRequest) -> Prospect {
        let rules = Rules::new(&request.objective, request.seed);
        Prospect::count(rules.stream(&request.prepared, Cursor::default()))
    }

    async fn propose(&self, request: &ProposalRequest) -> Proposals {
        let rules = Rules::new(&request.objective, request.seed);
        first_new(rules.stream(&request.prepared, Cursor::default()), request)
    }
}

/// `examples`: the words of the search cases that the baseline fails.
struct FromExamples;

#[async_trait]
impl Proposer for FromExamples {
    fn description(&self) -> Description {
        examples::IDENTITY.into()
    }

    fn prospect(&self, request: &ProposalRequest) -> Prospect {
        examples::prospect(&request.prepared)
    }

    async fn propose(&self, request: &ProposalRequest) -> Proposals {
        let offers = examples::offers(&request.prepared, &request.observed, request.seed);
        first_new(offers, request)
    }
}

/// The first offer that is allowed and was not tried, with the refusals before it.
fn first_new(offers: impl Iterator<Item = Offer>, request: &ProposalRequest) -> Proposals {
    let mut refused = Refusals::default();
    for offer in offers {
        match offer {
            Offer::Proposal(proposal) if !request.tried.contains_key(&proposal.mutation.key()) => {
                let next = Some(proposal.mutation);
                return Proposals { next, refused, usage: Usage::default() };
            }
            Offer::Proposal(_) => {}
            Offer::Refusal(Refusal { node, field, error }) => {
                refused.note(&node, field, &error);
            }
        }
    }
    Proposals { next: None, refused, usage: Usage::default() }
}
