//! Node executors: who does the work of a node.
//!
//! Every executor gets the same [`NodeRequest`] and answers the same [`NodeResponse`]; their JSON
//! schemas are in docs/reference.

pub mod address;
#[cfg(test)]
mod campaigns;
pub mod exchange;
pub mod guard;
pub mod http;
pub mod lexical;
mod needs;
pub mod openai;
pub mod process;
mod redaction;
#[cfg(test)]
mod schemas;
pub mod scripted;
mod unready;
pub mod walls;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use optim_core::canonical;
use optim_core::digest::Digest;
use optim_core::id::ProviderId;
use optim_core::node_io::{NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_core::quantity::MicroUsd;
use optim_core::workflow::{Agent, Workflow};

use serde::Serialize;

pub use needs::unmet_needs;
pub use unready::Unready;

/// Does the work of a node.
///
/// Dropping the future cancels the attempt: whatever it started is stopped. The runner enforces the
/// timeout, so an executor need not; it must answer a repeated attempt id without doing paid work
/// twice if it can, and may do it again if it cannot.
#[cfg_attr(any(test, feature = "testing"), mockall::automock)]
#[async_trait]
pub trait NodeExecutor: Send + Sync {
    /// The name in settings and reports.
    fn name(&self) -> &str;

    /// What nodes may need of it.
    fn capabilities(&self) -> &Capabilities;

    /// Whether its results are simulated. Shown wherever its numbers are.
    fn simulated(&self) -> bool;

    /// The settings that its results depend on, as a digest; secrets take no part. A campaign
    /// compares what one executor with one set of settings gives.
    fn settings(&self) -> Digest {
        Digest::of(self.name().as_bytes())
    }

    /// Who serves the nodes of `agent`; `None` when nobody outside does, or nobody knows.
    fn provider(&self, _agent: &Agent) -> Option<ProviderId> {
        None
    }

    /// Every provider that a run of `workflow` needs.
    fn providers(&self, workflow: &Workflow) -> BTreeSet<ProviderId> {
        let agents = workflow.nodes().iter().filter_map(|node| workflow.agent(node.agent()));
        agents.filter_map(|agent| self.provider(agent)).collect()
    }

    /// Requests a minute, at least 1, that the settings allow for each provider. One that is not
    /// there has no limit.
    fn rate_limits(&self) -> BTreeMap<ProviderId, u32> {
        BTreeMap::new()
    }

    /// Whether a run of `workflow` can be carried out, under a campaign's limit on money: what is
    /// missing is found before anything is spent.
    ///
    /// # Errors
    /// The first thing that is missing.
    fn ready(&self, _workflow: &Workflow, _cost_limit: Option<MicroUsd>) -> Result<(), Unready> {
        Ok(())
    }

    /// The most tokens and money that one try of `request` can use, without its time; `None` when
    /// nobody knows. It is what a try is charged that was cut off.
    fn quote(&self, _request: &NodeRequest) -> Option<Usage> {
        None
    }

    /// What it does not contain of the programs that it starts for evaluations, for people; nothing when it
    /// starts none.
    fn uncontained(&self) -> Vec<String> {
        Vec::new()
    }

    /// Makes one attempt.
    async fn execute(&self, request: NodeRequest) -> NodeResponse;
}

/// What an executor can do beyond answering a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It calls tools.
    pub tools: bool,
    /// It talks to MCP servers.
    pub mcp: bool,
    /// It waits for something outside.
    pub waits: bool,
}

/// The digest of settings that can be written as JSON.
pub(crate) fn digest_of(settings: &impl Serialize) -> Digest {
    // Settings that cannot be written have no digest of their own; there are none.
    let value = serde_json::to_value(settings).unwrap_or_default();
    Digest::of(&canonical::bytes(&value))
}

/// `text` in at most `chars` characters: its begin and its end, as both tell what went wrong.
pub(crate) fn abridged(text: &str, chars: usize) -> String {
    let count = text.chars().count();
    if count <= chars {
        return text.to_owned();
    }
    let kept = chars.saturating_sub(1);
    let (begin, end) = (kept.div_ceil(2), kept / 2);
    let mut short: String = text.chars().take(begin).collect();
    short.push('…');
    short.extend(text.chars().skip(count.saturating_sub(end)));
    short
}
