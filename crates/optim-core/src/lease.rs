//! The hold of a worker on a run, and the signs of life that tell a live worker from one that hangs.
//!
//! No clock takes part. A worker renews by counting; whoever watches remembers, by a clock of its own
//! that never jumps, since when nothing was counted.

use serde::{Deserialize, Serialize};

use crate::id::WorkerId;
use crate::run::Epoch;

/// A worker's hold on the run that it claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Who has it.
    pub worker: WorkerId,
    /// How often it was renewed. A run that ends soon never renews.
    pub renewals: u32,
}

impl Lease {
    /// The lease of a claim that was made just now.
    #[must_use]
    pub fn new(worker: WorkerId) -> Self {
        Self { worker, renewals: 0 }
    }

    /// The lease, renewed once more.
    #[must_use]
    pub fn renewed(self) -> Self {
        Self { renewals: self.renewals.saturating_add(1), ..self }
    }
}

impl Default for Lease {
    /// The lease of a claim from before workers were written down.
    fn default() -> Self {
        Self::new(WorkerId::unknown())
    }
}

/// What is seen of a claimed run from outside. While it stays equal, nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// The claim.
    pub epoch: Epoch,
    /// The renewals of its lease.
    pub renewals: u32,
    /// Counts what its nodes have done.
    pub progress: u64,
}

/// Which sign of life is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Neither is the lease renewed nor does a node move: the worker is gone.
    Lease,
    /// The lease is renewed, but no node moves: the worker lives and its work hangs.
    Progress,
}

impl Signal {
    /// Whether a run whose signs were `then` has shown no life since, now that they are `now`.
    #[must_use]
    pub fn is_missing(self, then: Signs, now: Signs) -> bool {
        match self {
            Self::Lease => then == now,
            Self::Progress => (then.epoch, then.progress) == (now.epoch, now.progress),
        }
    }
}
