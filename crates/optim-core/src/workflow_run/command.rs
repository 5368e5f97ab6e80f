//! What may be asked of a run, and why it may be refused.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::state::WorkflowRunStatus;
use crate::id::{NodeId, WorkerId, WorkflowRunId};

/// Asked of a run: may be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowRunCommand {
    /// Gives a queued run to a worker, under the next epoch.
    Claim {
        /// The worker.
        worker: WorkerId,
    },
    /// Lets the attempts under way end and begins no other.
    Pause {
        /// Why.
        reason: Option<String>,
    },
    /// Goes on with a paused run. One that a limit had stopped gets the limits once more.
    Resume {
        /// Why.
        reason: Option<String>,
    },
    /// Goes on with a run that failed, is blocked or is paused, after what was wrong has been repaired:
    /// its nodes that are not done get all their attempts again. Nodes that are done stay so.
    Recover {
        /// Why.
        reason: Option<String>,
    },
    /// Ends a run. Attempts under way are stopped.
    Cancel {
        /// Why.
        reason: Option<String>,
    },
    /// Decides at the gate that a run awaits.
    Decide {
        /// The gate that the person has seen.
        gate: NodeId,
        /// What.
        decision: GateDecision,
        /// Why; required for anything but an approval.
        reason: Option<String>,
    },
}

/// What a person decides at a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateDecision {
    /// The run goes on.
    Approve,
    /// What the gate names is done again, with everything that needs it.
    Rework,
    /// The run ends.
    Cancel,
}

impl fmt::Display for GateDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Approve => "approve",
            Self::Rework => "rework",
            Self::Cancel => "cancel",
        })
    }
}

/// A command that is not allowed now. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkflowRunRejection {
    /// The run's status does not allow the command.
    #[error("workflow run {run} is {}, so it cannot be {command}; {help}", status.name())]
    WrongStatus {
        /// The run.
        run: WorkflowRunId,
        /// What was asked, as a participle.
        command: &'static str,
        /// The status.
        status: WorkflowRunStatus,
        /// What can be done instead.
        help: &'static str,
    },
    /// The run awaits another decision.
    #[error("workflow run {run} awaits a decision at {awaited}, not at {asked}; decide there")]
    OtherGate {
        /// The run.
        run: WorkflowRunId,
        /// The gate that was named.
        asked: NodeId,
        /// The gate that is open.
        awaited: NodeId,
    },
    /// What it would go on with is gone.
    #[error(
        "the inputs and outputs of workflow run {run} were dropped, because their time was over; begin another run"
    )]
    Expired {
        /// The run.
        run: WorkflowRunId,
    },
    /// A decision that needs words came without.
    #[error("to {decision} at a gate needs a reason; give one with --reason")]
    ReasonRequired {
        /// The decision.
        decision: GateDecision,
    },
}

impl WorkflowRunRejection {
    /// The stable code of this refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongStatus { .. } => "workflow_run_wrong_status",
            Self::OtherGate { .. } => "gate_not_open",
            Self::Expired { .. } => "workflow_run_expired",
            Self::ReasonRequired { .. } => "reason_required",
        }
    }
}
