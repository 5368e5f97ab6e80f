//! Case runs: one execution of one frozen definition on one case.

pub mod check;
pub mod faults;
pub mod transition;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::campaign::ledger::Allowance;
use crate::digest::Digest;
use crate::id::{CampaignId, CaseId, EvaluationId, NodeId, ProviderId, RunId};
use crate::lease::{Lease, Signs};
use crate::node_io::{ErrorClass, NodeError};
use crate::outcome::{CaseOutcome, Usage};
use crate::quantity::{Millis, Timestamp};
use crate::shadow::Denial;
use crate::workflow::Fingerprint;

/// How often a case run may be tried again after faults of the outside before it is void.
pub const FAULT_RETRIES_MAX: u32 = 2;

/// How long a run waits after its first fault; after each further one four times as long.
const FAULT_DELAY: Millis = Millis(500);

/// How long a run with so many faults waits before it is tried again, so that the outside has time to
/// recover.
#[must_use]
pub fn fault_delay(faults: u32) -> Millis {
    let Some(earlier) = faults.checked_sub(1) else {
        return Millis(0);
    };
    Millis(FAULT_DELAY.0.saturating_mul(4_u64.saturating_pow(earlier.min(FAULT_RETRIES_MAX))))
}

/// One case run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Derived from the evaluation, the case and the replicate.
    pub id: RunId,
    /// The campaign that pays for it.
    pub campaign: CampaignId,
    /// The evaluation that it is part of.
    pub evaluation: EvaluationId,
    /// The case.
    pub case: CaseId,
    /// The place of the case in the pack.
    pub case_index: u32,
    /// The definition, by content digest.
    pub snapshot: Digest,
    /// What the definition must turn out to be.
    pub fingerprint: Fingerprint,
    /// Feeds whatever the executor draws at random.
    pub seed: u64,
    /// How often it was claimed. A result with another epoch is refused.
    pub epoch: Epoch,
    /// Faults of the outside so far; of a side of a pair, those of the runs of the same pair before it.
    pub faults: u32,
    /// What the claims that ended in a fault consumed.
    pub spent_on_faults: Usage,
    /// Its claims that hung and were given up: nobody knows what they have cost.
    #[serde(default, skip_serializing_if = "crate::quantity::is_zero")]
    pub unreported: u32,
    /// Whether it is one side of a pair. A fault of the outside ends it then: both sides are measured
    /// again, at the same time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paired: bool,
    /// What all its claims together may use of the campaign's budget.
    #[serde(default, skip_serializing_if = "Allowance::is_unlimited")]
    pub allowance: Allowance,
    /// Where it stands.
    pub state: RunState,
    /// When it was created.
    pub queued_at: Timestamp,
}

/// Counts the claims of a run: the fencing token of its results.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch of the next claim.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum RunState {
    /// Waits for a slot.
    Queued,
    /// Claimed by a worker.
    Running {
        /// Since when.
        since: Timestamp,
        /// By whom.
        #[serde(default)]
        lease: Lease,
    },
    /// Over, with a result.
    Finished(Box<RunReport>),
    /// Stopped before it had a result.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
}

impl Run {
    /// The result, once there is one.
    #[must_use]
    pub fn report(&self) -> Option<&RunReport> {
        match &self.state {
            RunState::Finished(report) => Some(report),
            RunState::Queued | RunState::Running { .. } | RunState::Cancelled { .. } => None,
        }
    }

    /// The signs of life of its worker; absent when nobody works on it.
    #[must_use]
    pub fn signs(&self) -> Option<Signs> {
        match &self.state {
            // What its nodes do is not written down, so the lease is the only sign.
            RunState::Running { lease, .. } => {
                Some(Signs { epoch: self.epoch, renewals: lease.renewals, progress: 0 })
            }
            RunState::Queued | RunState::Finished(_) | RunState::Cancelled { .. } => None,
        }
    }

    /// The faults that its own claims ended in. A side of a pair ends at its first one; those that it begins
    /// with ended the same pair before.
    #[must_use]
    pub fn own_faults(&self) -> u32 {
        if self.paired { 0 } else { self.faults }
    }

    /// What the run has cost, claims that ended in a fault included.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.report().map_or(self.spent_on_faults, |report| self.spent_on_faults.plus(report.usage))
    }
}

impl RunState {
    /// The word for the state.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running { .. } => "running",
            Self::Finished(_) => "finished",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Whether nothing will happen to the run any more.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Queued | Self::Running { .. } => false,
            Self::Finished(_) | Self::Cancelled { .. } => true,
        }
    }
}

/// What a worker reports at the end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunReport {
    /// The fingerprint of the definition that was executed.
    pub executed: Fingerprint,
    /// What it showed.
    pub outcome: CaseOutcome,
    /// Node by node, in the order in which they ended.
    pub nodes: Vec<NodeReport>,
    /// What it consumed, attempts that failed included.
    pub usage: Usage,
    /// What of that went to tries that a provider failed: it is paid, and no cost of the definition.
    #[serde(default, skip_serializing_if = "Usage::is_nothing")]
    pub spent_on_faults: Usage,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// What the definition names and the evaluation did not get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denial>,
    /// The provider that asked to be left alone, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Throttled>,
}

impl RunReport {
    /// Whether the run is void for a reason that trying again does not cure.
    #[must_use]
    pub fn is_lasting_fault(&self) -> bool {
        let refused = |node: &NodeReport| {
            node.result.as_ref().is_err_and(|error| error.class == ErrorClass::Configuration)
        };
        matches!(self.outcome, CaseOutcome::Void { .. }) && self.nodes.iter().any(refused)
    }
}

/// A provider's wish to be left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttled {
    /// The provider.
    pub provider: ProviderId,
    /// For how long, from the end of the run.
    pub retry_after: Millis,
}

/// What happened at one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeReport {
    /// The node.
    pub node: NodeId,
    /// Attempts made; 0 when it was blocked.
    pub attempts: u32,
    /// The last attempt's output, or why there is none.
    pub result: Result<Value, NodeError>,
    /// What all attempts consumed.
    pub usage: Usage,
}
