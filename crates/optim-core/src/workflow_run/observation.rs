//! What happens to a run: never refused, but ignored when it belongs to an earlier claim.

use serde::{Deserialize, Serialize};

use super::node::Output;
use crate::id::NodeId;
use crate::lease::{Signal, Signs};
use crate::outcome::Usage;
use crate::quantity::Millis;
use crate::run::Epoch;

/// A fact about a run.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkflowRunObservation {
    /// An attempt at a node begins. Told before it does: an attempt that is ignored must not begin.
    NodeStarted {
        /// The claim.
        epoch: Epoch,
        /// The node.
        node: NodeId,
        /// Which attempt; from 1.
        attempt: u32,
    },
    /// A triage gate leaves a node without work.
    NodeSkipped {
        /// The claim.
        epoch: Epoch,
        /// The node.
        node: NodeId,
    },
    /// A node is over.
    NodeEnded {
        /// The claim.
        epoch: Epoch,
        /// The node.
        node: NodeId,
        /// How.
        end: NodeEnd,
        /// What its attempts used.
        usage: Usage,
        /// The worker's time since its last fact.
        worked: Millis,
    },
    /// The worker has ended; nothing of the claim is at work any more.
    WorkerEnded {
        /// The claim.
        epoch: Epoch,
        /// How.
        end: WorkerEnd,
        /// The worker's time since its last fact.
        worked: Millis,
    },
    /// The worker is at work.
    Renewed {
        /// The claim.
        epoch: Epoch,
    },
    /// The process that had the run is gone, and all of its work with it.
    Lost {
        /// The claim.
        epoch: Epoch,
    },
    /// The worker has shown no life for longer than a live one would.
    Stalled {
        /// What was seen last.
        signs: Signs,
        /// Which sign is missing.
        signal: Signal,
        /// For how long.
        stale_after: Millis,
    },
    /// Time to look whether a run that was reaped may go on by itself.
    AutoResumeDue,
    /// The outputs of a run that is over have been kept long enough.
    Expired,
}

/// How a node ended.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeEnd {
    /// With an output that meets its contract.
    Done(Output),
    /// It says that it cannot go on.
    Blocked(String),
    /// Its provider failed.
    Unanswered {
        /// What the provider says.
        reason: String,
        /// For how long it should be left alone.
        rest: Millis,
    },
    /// Without a valid output, for any other reason.
    Failed(String),
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerEnd {
    /// Nothing that it may begin is left.
    Walked,
    /// A limit of the workflow is broken; attempts under way were stopped.
    OverLimit(String),
    /// It panicked.
    Panicked(String),
    /// It cannot read the definition or an output.
    Unreadable(String),
}

/// Why a fact changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowRunIgnored {
    /// Nobody works on the run.
    NotAtWork,
    /// The fact belongs to an earlier claim.
    StaleEpoch,
    /// The run has moved since it was seen.
    Alive,
    /// It was recorded before; its answer was lost.
    Known,
    /// The attempt may not begin.
    MayNotBegin,
    /// The run goes on by itself in no such state, or has done so often enough.
    NoAutoResume,
    /// There is nothing to drop.
    NothingToDrop,
}
