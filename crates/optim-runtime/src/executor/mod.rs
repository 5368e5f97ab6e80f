//! Node executors: who does the work of a node.
//!
//! Every executor gets the same [`NodeRequest`] and answers the same [`NodeResponse`]; their JSON
//! schemas are in docs/reference.

pub mod lexical;
mod needs;
pub mod process;
#[cfg(test)]
mod schemas;
pub mod scripted;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use async_trait::async_trait;
use optim_core::id::ProviderId;
use optim_core::node_io::{NodeRequest, NodeResponse};
use optim_core::workflow::Workflow;

pub use needs::unmet_needs;

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

    /// The providers that it calls for the nodes of `workflow`.
    fn providers(&self, _workflow: &Workflow) -> BTreeSet<ProviderId> {
        BTreeSet::new()
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
