//! What is told about a run: at least one event for each change but the renewal of a lease.

use serde::{Deserialize, Serialize};

use super::command::GateDecision;
use super::state::{Failure, Pause};
use crate::id::{NodeId, WorkerId, WorkflowId};
use crate::lease::Signal;
use crate::quantity::{Millis, Timestamp};
use crate::run::Epoch;

/// What happened to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum WorkflowRunEvent {
    /// It was created.
    RunCreated {
        /// Whether nothing is executed.
        dry_run: bool,
    },
    /// A worker took it.
    RunClaimed {
        /// The claim.
        epoch: Epoch,
        /// The worker.
        worker: WorkerId,
    },
    /// An attempt at a node began.
    NodeStarted {
        /// The node.
        node: NodeId,
        /// Which attempt; from 1.
        attempt: u32,
    },
    /// A node has its output.
    NodeDone {
        /// The node.
        node: NodeId,
    },
    /// A triage gate left a node without work.
    NodeSkipped {
        /// The node.
        node: NodeId,
    },
    /// A node's provider failed; the attempt is made once more later.
    NodePostponed {
        /// The node.
        node: NodeId,
        /// Not before then.
        until: Timestamp,
        /// What the provider says.
        reason: String,
    },
    /// A node has no output, and attempts left.
    NodeNeedsRepair {
        /// The node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// A node has no output, and no attempts left.
    NodeFailed {
        /// The node.
        node: NodeId,
        /// Attempts that were made.
        attempts: u32,
        /// Attempts that were allowed.
        attempts_max: u32,
        /// Why.
        reason: String,
    },
    /// A node cannot go on.
    NodeBlocked {
        /// The node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// Usage came in after the run was stopped.
    UsageBooked {
        /// The node that had used it.
        node: NodeId,
    },
    /// No further attempt begins.
    PauseRequested {
        /// Why.
        pause: Pause,
    },
    /// It is stopped.
    RunPaused {
        /// Why.
        pause: Pause,
    },
    /// It goes on.
    RunResumed {
        /// Why.
        reason: Option<String>,
    },
    /// It went on by itself after its worker had shown no sign of life.
    RunAutoResumed {
        /// How often since a person looked at it.
        times: u32,
    },
    /// What failed may be tried again.
    RunRecovered {
        /// The nodes that were reset.
        nodes: Vec<NodeId>,
        /// Why.
        reason: Option<String>,
    },
    /// A person must decide.
    GateOpened {
        /// The node.
        gate: NodeId,
    },
    /// A person decided.
    GateDecided {
        /// The node.
        gate: NodeId,
        /// What.
        decision: GateDecision,
        /// Why.
        reason: Option<String>,
    },
    /// It waits for a provider, and gives its worker and its workspace back meanwhile.
    RunPostponed {
        /// Until then.
        until: Timestamp,
    },
    /// Its process ended; it waits for another worker.
    RunInterrupted,
    /// Its worker showed no sign of life and was given up.
    RunReaped(Box<Reaped>),
    /// Every node is done.
    RunCompleted,
    /// A node could not go on.
    RunBlocked {
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// It failed.
    RunFailed {
        /// Why.
        failure: Failure,
    },
    /// A person ended it.
    RunCancelled {
        /// Why.
        reason: String,
    },
    /// Its outputs were dropped, because their time was over.
    OutputsDropped,
}

/// A worker that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reaped {
    /// The workflow.
    pub workflow: WorkflowId,
    /// Its name.
    pub name: String,
    /// Which sign was missing.
    pub signal: Signal,
    /// For how long.
    pub stale_after: Millis,
    /// Nodes that were interrupted and have attempts left.
    pub repairable: Vec<NodeId>,
    /// Nodes that were interrupted and have none.
    pub exhausted: Vec<NodeId>,
}
