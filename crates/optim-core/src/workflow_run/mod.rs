//! Workflow runs: one execution of a frozen definition for its effect, on the real workspace.
//!
//! A case [run](crate::run) is evidence: it works in a scratch copy and is begun again when its worker
//! is lost. A workflow run acts: what its nodes have done is written down node by node, and a run that
//! goes on never repeats a node that is done.
//!
//! A node that a triage gate leaves without work is skipped. What becomes of an attempt at another one:
//!
//! | the attempt | the node |
//! |---|---|
//! | has an output that meets the contract, warnings or not | done |
//! | says that it cannot go on (`blocked`) | blocked, and what needs it too |
//! | was not answered, as the provider failed | postponed: the same attempt is made later, five times at most |
//! | ended in any other way, or was interrupted, with attempts left | needs repair |
//! | the same, and it was the last one that the node allows | failed; no other attempt begins |
//!
//! and at the end, of the run: a node that failed or needs repair makes it `failed`, else a node that is
//! postponed queues it again, else a gate that may be decided `awaiting_approval`, else a blocked node `blocked`; all nodes done or skipped is `completed`.

pub mod check;
pub mod command;
pub mod event;
pub mod history;
pub mod node;
pub mod observation;
mod repair;
pub mod state;
pub mod transition;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::{Digest, Hasher};
use crate::id::{Actor, NodeId, WorkflowId, WorkflowRunId};
use crate::lease::Signs;
use crate::outcome::Usage;
use crate::quantity::{Millis, Timestamp};
use crate::run::Epoch;
use crate::stored_workflow::VersionNumber;
use crate::workflow::Fingerprint;

use self::history::History;
use self::node::{NodeRecord, NodeState, Output};
use self::state::{WorkflowRunState, WorkflowRunStatus};

/// One workflow run: all of it, in one record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowRun {
    /// Its id.
    pub id: WorkflowRunId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The workflow's name.
    pub name: String,
    /// Where the definition came from.
    pub origin: Origin,
    /// The definition that is executed, by content digest. It never changes.
    pub snapshot: Digest,
    /// What the definition must turn out to be.
    pub fingerprint: Fingerprint,
    /// What began it.
    pub trigger: Trigger,
    /// Who began it.
    pub actor: Actor,
    /// Whether nothing is executed.
    #[serde(default)]
    pub dry_run: bool,
    /// What the root nodes get.
    pub inputs: Map<String, Value>,
    /// The canonical path of the folder that it works in and locks.
    pub workspace: String,
    /// How often it was claimed. A fact with another epoch is refused.
    pub epoch: Epoch,
    /// Where it stands.
    pub state: WorkflowRunState,
    /// Its nodes, in document order.
    pub nodes: Vec<NodeRecord>,
    /// The first failure since it was created or repaired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// What it has used.
    pub used: Used,
    /// What it had used when the workflow's limits were granted last: a person who resumes a run that a
    /// limit has stopped grants them once more.
    pub granted_at: Used,
    /// How often it was resumed by itself since a person looked at it.
    pub auto_resumes: u32,
    /// Whether its inputs and outputs were dropped, because their time was over.
    #[serde(default)]
    pub expired: bool,
    /// What happened to it.
    pub history: History,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was claimed first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

/// Where a definition came from. What is executed is the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Origin {
    /// A file.
    File {
        /// Its path.
        path: String,
    },
    /// The workflow store.
    Stored {
        /// The version.
        version: VersionNumber,
    },
}

/// What begins a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person.
    Manual,
    /// A program that calls the engine.
    Program,
}

/// A node that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastFailure {
    /// The node.
    pub node: NodeId,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What a queued run waits for, besides a slot and its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// It does not go on before then.
    pub not_before: Timestamp,
    /// Why.
    pub reason: String,
}

/// What a run has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// Tokens and money, attempts that failed included.
    pub usage: Usage,
    /// The time that workers spent on it, by their own clocks.
    pub worked: Millis,
}

impl Used {
    /// What is left of `self` without `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let usage = self.usage.minus(earlier.usage);
        Self { usage, worked: self.worked.minus(earlier.worked) }
    }
}

impl WorkflowRun {
    /// The signs of life of its worker; absent when nobody works on it.
    #[must_use]
    pub fn signs(&self) -> Option<Signs> {
        let lease = self.state.lease()?;
        let progress = self.history.total();
        Some(Signs { epoch: self.epoch, renewals: lease.renewals, progress })
    }

    /// The longest that an attempt which is under way may take; zero when none is.
    #[must_use]
    pub fn longest_attempt(&self) -> Millis {
        let under_way = self.nodes.iter().filter(|node| node.is_running());
        under_way.map(|node| node.time_limit).max().unwrap_or_default()
    }

    /// The stored workflow that it is a run of; absent when its definition came from elsewhere.
    #[must_use]
    pub fn stored_workflow(&self) -> Option<&WorkflowId> {
        matches!(self.origin, Origin::Stored { .. }).then_some(&self.workflow)
    }

    /// Whether it is not over.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.state.status().is_terminal()
    }

    /// Whether its workspace is its own now: a dry run works in none.
    #[must_use]
    pub fn holds_its_folder(&self) -> bool {
        self.state.status().is_at_work() && !self.dry_run
    }

    /// What it waits for, if it is queued and nodes of it are postponed: until each of them may begin.
    #[must_use]
    pub fn wait(&self) -> Option<Wait> {
        let waits = self.nodes.iter().filter_map(|node| match &node.state {
            NodeState::Postponed { until, reason } => Some((*until, &node.node, reason)),
            _ => None,
        });
        let (not_before, node, reason) = waits.max_by_key(|(until, ..)| *until)?;
        let wait = Wait { not_before, reason: format!("node {node}: {reason}") };
        (self.state.status() == WorkflowRunStatus::Queued).then_some(wait)
    }

    /// The outputs that are kept apart from it, by digest.
    pub fn outputs(&self) -> impl Iterator<Item = Digest> {
        self.nodes.iter().filter_map(|node| match &node.state {
            NodeState::Done { output: Output::Stored { digest, .. } } => Some(*digest),
            _ => None,
        })
    }

    /// The node `id` with its place.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<(usize, &NodeRecord)> {
        self.nodes.iter().enumerate().find(|(_, node)| node.node == *id)
    }

    /// Feeds whatever an executor draws at random: follows from the id.
    #[must_use]
    pub fn seed(&self) -> u64 {
        let mut seed = Hasher::new("optim/workflow-run-seed/1");
        seed.part(self.id.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *seed.finish().as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}
