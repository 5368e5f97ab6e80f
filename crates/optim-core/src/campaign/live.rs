//! A campaign's dealings with the live workflow: apply and rollback.

use serde::{Deserialize, Serialize};

use crate::id::Actor;
use crate::mutation::patch::Patch;
use crate::quantity::Timestamp;
use crate::workflow::Fingerprint;

/// What the campaign knows of the live workflow, and what it has done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// What the live workflow must be for a write to be allowed: the source at first, later the last
    /// state that this campaign wrote.
    pub expected: Fingerprint,
    /// The baseline's version that the live workflow holds; 0 is the source.
    pub version: u32,
    /// A write that was announced and whose end is not recorded.
    pub intent: Option<LiveWrite>,
    /// The writes that took effect, oldest first; the last ones are kept.
    pub history: Vec<LiveWrite>,
}

/// One write to the live workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveWrite {
    /// Apply or rollback.
    pub kind: LiveWriteKind,
    /// The changes.
    pub patch: Patch,
    /// The live workflow before.
    pub from: Fingerprint,
    /// The live workflow after.
    pub to: Fingerprint,
    /// The baseline's version after.
    pub version: u32,
    /// Who asked for it.
    pub actor: Actor,
    /// When it was announced.
    pub at: Timestamp,
}

/// Forward or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveWriteKind {
    /// The approved baseline becomes live.
    Apply,
    /// The inverse of the last apply.
    Rollback,
}
