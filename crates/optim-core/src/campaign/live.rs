//! A campaign's dealings with the live workflow: apply and rollback.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::Actor;
use crate::mutation::patch::Patch;
use crate::quantity::Timestamp;
use crate::workflow::Fingerprint;

use super::command::Rejection;
use super::measurement::{Figures, Measured, Measuring, Unmeasured};
use super::{Campaign, Evaluation};

/// What the campaign knows of the live workflow, and what it has done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// What the live workflow must be for a write to be allowed: the source at first, later the last
    /// state that this campaign wrote.
    pub expected: Fingerprint,
    /// A write that was announced and whose end is not recorded.
    pub intent: Option<LiveWrite>,
    /// The applies that are in effect, oldest first. A rollback takes the last one off.
    pub applied: Vec<LiveWrite>,
    /// What the versions of the baseline showed when people decided about them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<u32, Figures>,
    /// Measurements of what is live so far.
    #[serde(default)]
    pub measurements: u32,
    /// The one that is wanted or in flight; at most one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measuring: Option<Box<Measuring>>,
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
    /// The texts before and after; absent in a write of before they were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Texts>,
    /// The baseline's version after.
    pub version: u32,
    /// Who asked for it.
    pub actor: Actor,
    /// When it was announced.
    pub at: Timestamp,
    /// What the newest measurement with figures showed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Box<Measured>>,
    /// Why the newest measurement gave no figures; absent when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmeasured: Option<Unmeasured>,
}

/// The texts of the live workflow around a write, by content digest. The former one is stored, so that
/// a rollback can give it back to the byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// What was replaced.
    pub before: Digest,
    /// What was written.
    pub after: Digest,
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

impl Live {
    /// The live workflow is the source, as the campaign froze it.
    #[must_use]
    pub fn new(source: Fingerprint) -> Self {
        Self {
            expected: source,
            intent: None,
            applied: Vec::new(),
            figures: BTreeMap::new(),
            measurements: 0,
            measuring: None,
        }
    }

    /// The measurement that waits for its turn.
    #[must_use]
    pub fn waiting(&self) -> Option<&Measuring> {
        self.measuring.as_deref().filter(|measuring| measuring.evaluations.is_empty())
    }

    /// The evaluations in flight of a measurement.
    #[must_use]
    pub fn in_flight(&self) -> &[Evaluation] {
        self.measuring.as_ref().map_or(&[], |measuring| &measuring.evaluations)
    }

    /// The same, to be changed.
    pub(crate) fn in_flight_mut(&mut self) -> &mut [Evaluation] {
        self.measuring.as_mut().map_or(&mut [], |measuring| &mut measuring.evaluations)
    }

    /// The baseline's version that is live; 0 is the source.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.applied.last().map_or(0, |write| write.version)
    }
}

/// The changes that an apply would write: from what is live to the approved baseline.
///
/// # Errors
/// [`Rejection::NothingToApply`] when the live workflow holds the baseline already.
pub fn plan_apply(campaign: &Campaign) -> Result<Patch, Rejection> {
    let nothing = Rejection::NothingToApply { version: campaign.live.version() };
    if campaign.live.version() == campaign.baseline.version {
        return Err(nothing);
    }
    // Back to the source and forward to the baseline; what both have in common cancels out.
    let mut patch = Patch::default();
    for write in campaign.live.applied.iter().rev() {
        patch = patch.compose(&write.patch.inverse()).map_err(|_| Rejection::StalePatch)?;
    }
    let patch = patch.compose(&campaign.baseline.patch).map_err(|_| Rejection::StalePatch)?;
    if patch.is_empty() { Err(nothing) } else { Ok(patch) }
}

/// The changes that a rollback would write: the inverse of the last apply in effect.
///
/// # Errors
/// [`Rejection::NothingToRollBack`] when there is none.
pub fn plan_rollback(campaign: &Campaign) -> Result<Patch, Rejection> {
    campaign
        .live
        .applied
        .last()
        .map(|write| write.patch.inverse())
        .ok_or(Rejection::NothingToRollBack)
}
