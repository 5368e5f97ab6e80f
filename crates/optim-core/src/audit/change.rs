//! Which record a commit changed, and from what to what.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A record that a commit changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Its kind.
    pub kind: RecordKind,
    /// Its id.
    pub id: String,
    /// Its revision after the commit; absent for what has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// SHA-256 of the record before, as its JSON was stored; absent when the commit created it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// The same of the record after; absent when the commit removed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
}

/// The kinds of records whose changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A campaign.
    Campaign,
    /// An experiment.
    Experiment,
    /// A case run.
    Run,
    /// A stored workflow.
    Workflow,
    /// A workflow run.
    WorkflowRun,
    /// The throttle of a provider.
    Throttle,
}

impl RecordKind {
    /// Whether commits without an entry change such a record: a claim, a sign of life and a result of a case
    /// run, the sign of life of a workflow run. Of all others the chain has every change.
    #[must_use]
    pub fn moves_untold(self) -> bool {
        match self {
            Self::Run | Self::WorkflowRun => true,
            Self::Campaign | Self::Experiment | Self::Workflow | Self::Throttle => false,
        }
    }
}
