//! Stored workflows: definitions that optim keeps itself, version by version.
//!
//! A stored workflow is a value. [`decide`](transition::decide) answers a command, which may be
//! refused; [`observe`](transition::observe) takes in that time has passed. The texts of the versions
//! are stored apart, byte for byte as they were put; what is here says which of them are kept.

pub mod check;
mod history;
pub mod transition;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::campaign::live::LiveWrite;
use crate::digest::Digest;
use crate::id::{Actor, CampaignId, WorkflowId};
use crate::quantity::{Millis, Timestamp};
use crate::workflow::{Fingerprint, Workflow};

/// How long a deleted workflow can be restored.
pub const RESTORE_WINDOW: Millis = Millis(7 * 24 * 60 * 60 * 1000);
/// Versions that are kept. Campaigns and runs freeze what they use under its own digest, so they need
/// none of them.
pub const VERSIONS_KEPT: usize = 20;
/// Writes of campaigns that are kept.
pub const WRITES_KEPT: usize = 20;

/// Counts the versions of a stored workflow, from 1. `0` stands for "there is none yet".
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct VersionNumber(pub u32);

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stored workflow: everything that its decisions depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredWorkflow {
    /// Its id, as the definitions say.
    pub id: WorkflowId,
    /// The versions that are kept, oldest first; the last one is the current one. None are left when
    /// the history of a deleted workflow was purged.
    pub versions: Vec<WorkflowVersion>,
    /// Writes of campaigns to it, oldest first, the last ones only.
    pub writes: Vec<CampaignWrite>,
    /// Who took it out of use.
    pub retired: Option<Retirement>,
    /// Who deleted it, and until when that can be taken back.
    pub deleted: Option<Tombstone>,
}

/// One version of a stored workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowVersion {
    /// Its number.
    pub number: VersionNumber,
    /// What its text is and says.
    pub definition: Definition,
    /// Who put it.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
}

/// What is known of a definition's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The workflow's name.
    pub name: String,
    /// Whether it is in use.
    pub status: WorkflowStatus,
    /// The digest of the text.
    pub snapshot: Digest,
    /// What the text means.
    pub fingerprint: Fingerprint,
}

/// What a definition says about its own use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowStatus {
    /// It may run.
    Active,
    /// It may not run now.
    Paused,
    /// It is not ready.
    Draft,
}

/// A campaign's write, as the campaign records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignWrite {
    /// The campaign.
    pub campaign: CampaignId,
    /// The write.
    pub write: LiveWrite,
}

/// A workflow that is out of use, and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// Who retired it.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What is left of a deleted workflow. It is kept for good, so that its id never means another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// Who deleted it.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// Until when it can be restored; the history is purged after that.
    pub restore_until: Timestamp,
}

impl WorkflowStatus {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Draft => "draft",
        }
    }

    /// The status that `workflow` states; active when it states none, `None` when it states another.
    #[must_use]
    pub fn of(workflow: &Workflow) -> Option<Self> {
        let Some(stated) = workflow.extra("status") else {
            return Some(Self::Active);
        };
        [Self::Active, Self::Paused, Self::Draft]
            .into_iter()
            .find(|status| stated.as_str() == Some(status.name()))
    }
}

impl StoredWorkflow {
    /// A workflow that nobody has put yet: the first command to it is a put.
    #[must_use]
    pub fn new(id: WorkflowId) -> Self {
        Self { id, versions: Vec::new(), writes: Vec::new(), retired: None, deleted: None }
    }

    /// The current version; none when nothing was put yet, or the history was purged.
    #[must_use]
    pub fn current(&self) -> Option<&WorkflowVersion> {
        self.versions.last()
    }

    /// The version `number`, if it is kept.
    #[must_use]
    pub fn version(&self, number: VersionNumber) -> Option<&WorkflowVersion> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// Whether campaigns and runs may use it: it is neither retired nor deleted.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.retired.is_none() && self.deleted.is_none()
    }

    /// Whether it is deleted and can still be restored.
    #[must_use]
    pub fn is_restorable(&self) -> bool {
        self.deleted.is_some() && !self.versions.is_empty()
    }

    /// The word for its state: `active`, `paused`, `draft`, `retired` or `deleted`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (&self.deleted, &self.retired, self.current()) {
            (Some(_), _, _) | (None, None, None) => "deleted",
            (None, Some(_), _) => "retired",
            (None, None, Some(current)) => current.definition.status.name(),
        }
    }
}
