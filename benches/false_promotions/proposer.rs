//! Proposes candidates that differ from the baseline in a word and in nothing else.

use std::sync::Arc;

use async_trait::async_trait;
use optim_core::experiment::Proposer as Description;
use optim_core::mutation::{FieldValue, MutableField};
use optim_core::outcome::Usage;
use optim_core::proposal::refusals::Refusals;
use optim_runtime::proposer::{ProposalRequest, Proposals, Proposer};

use crate::agent::{Agent, OBJECTIVE};

/// Numbers the candidates, and tells the agent of each.
pub(crate) struct Numbering(pub(crate) Arc<Agent>);

#[async_trait]
impl Proposer for Numbering {
    fn description(&self) -> Description {
        Description { name: "numbering".to_owned(), version: 1 }
    }

    async fn propose(&self, request: &ProposalRequest) -> Proposals {
        self.0.next_candidate();
        let numbered = |number: u32| {
            let text = FieldValue::Text(format!("{OBJECTIVE} ({number})"));
            let offer = request.prepared.propose(0, MutableField::Objective, text, "a number")?;
            offer.proposal().map(|proposal| proposal.mutation)
        };
        let mut numbered = (1..1_000).filter_map(numbered);
        let next = numbered.find(|mutation| !request.tried.contains_key(&mutation.key()));
        Proposals { next, refused: Refusals::default(), usage: Usage::default() }
    }
}
