//! Where a workflow run stands.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::lease::Lease;
use crate::quantity::Timestamp;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum WorkflowRunState {
    /// Waits for a slot and for its workspace.
    Queued,
    /// Claimed by a worker.
    Running {
        /// Since when.
        since: Timestamp,
        /// The worker's hold.
        lease: Lease,
    },
    /// Claimed, but no further attempt begins; paused once those under way have ended.
    Pausing {
        /// The worker's hold.
        lease: Lease,
        /// Why.
        pause: Pause,
    },
    /// Stopped; it goes on where it stopped.
    Paused {
        /// Since when.
        at: Timestamp,
        /// Why.
        pause: Pause,
    },
    /// Nothing can start before a person has decided.
    AwaitingApproval {
        /// Since when.
        at: Timestamp,
        /// The gate.
        gate: NodeId,
    },
    /// Every node is done or skipped.
    Completed {
        /// When.
        at: Timestamp,
    },
    /// A node says that it cannot go on.
    Blocked {
        /// When.
        at: Timestamp,
    },
    /// A node failed, or the run could not be executed.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        failure: Failure,
    },
    /// A person ended it.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

/// Why a run is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// What stopped it.
    pub stop: Stop,
    /// In words.
    pub detail: String,
}

/// What stops a run that is not at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// A person.
    OperatorStopped,
    /// A limit of the workflow's `execution`.
    GuardrailStopped,
    /// The reaper: its worker showed no sign of life.
    StaleReaped,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// In words.
    pub detail: String,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A node has no valid output.
    NodeFailed,
    /// Nothing can start, though nodes are left.
    Deadlock,
    /// The worker panicked.
    Panic,
    /// The process ended while a node made its last attempt.
    ServerRestart,
    /// The reaper found a node that made its last attempt.
    StaleReaped,
    /// The definition or an output cannot be read back.
    Unreadable,
}

/// The word for a state: what listings filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowRunStatus {
    /// [`WorkflowRunState::Queued`]
    Queued,
    /// [`WorkflowRunState::Running`]
    Running,
    /// [`WorkflowRunState::Pausing`]
    Pausing,
    /// [`WorkflowRunState::Paused`]
    Paused,
    /// [`WorkflowRunState::AwaitingApproval`]
    AwaitingApproval,
    /// [`WorkflowRunState::Completed`]
    Completed,
    /// [`WorkflowRunState::Blocked`]
    Blocked,
    /// [`WorkflowRunState::Failed`]
    Failed,
    /// [`WorkflowRunState::Cancelled`]
    Cancelled,
}

impl WorkflowRunStatus {
    /// All of them, in the order of a run's life.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Running,
        Self::Pausing,
        Self::Paused,
        Self::AwaitingApproval,
        Self::Completed,
        Self::Blocked,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word, as on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Completed => "completed",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will happen to the run by itself or by a decision on it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Blocked | Self::Failed | Self::Cancelled)
    }

    /// Whether a worker has it: then it has a slot and its workspace is locked.
    ///
    /// A run that is pausing keeps both, because its last attempts are still at work in the workspace.
    #[must_use]
    pub fn is_at_work(self) -> bool {
        matches!(self, Self::Running | Self::Pausing)
    }
}

impl WorkflowRunState {
    /// The word for the state.
    #[must_use]
    pub fn status(&self) -> WorkflowRunStatus {
        match self {
            Self::Queued => WorkflowRunStatus::Queued,
            Self::Running { .. } => WorkflowRunStatus::Running,
            Self::Pausing { .. } => WorkflowRunStatus::Pausing,
            Self::Paused { .. } => WorkflowRunStatus::Paused,
            Self::AwaitingApproval { .. } => WorkflowRunStatus::AwaitingApproval,
            Self::Completed { .. } => WorkflowRunStatus::Completed,
            Self::Blocked { .. } => WorkflowRunStatus::Blocked,
            Self::Failed { .. } => WorkflowRunStatus::Failed,
            Self::Cancelled { .. } => WorkflowRunStatus::Cancelled,
        }
    }

    /// The hold of the worker that has the run.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Running { lease, .. } | Self::Pausing { lease, .. } => Some(lease),
            Self::Queued
            | Self::Paused { .. }
            | Self::AwaitingApproval { .. }
            | Self::Completed { .. }
            | Self::Blocked { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. } => None,
        }
    }

    /// When the run ended, once it has.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self {
            Self::Completed { at }
            | Self::Blocked { at }
            | Self::Failed { at, .. }
            | Self::Cancelled { at, .. } => Some(*at),
            Self::Queued
            | Self::Running { .. }
            | Self::Pausing { .. }
            | Self::Paused { .. }
            | Self::AwaitingApproval { .. } => None,
        }
    }
}
