//! Proposers: pure, lazy, deterministic streams of candidates.
//!
//! A stream looks at one option at a time and never builds the candidate: an option costs its
//! changed field, whatever the size of the workflow. What the policies refuse is reported beside
//! what they allow. Where a stream stands is a [`Cursor`], so a campaign can ask for the next
//! candidate days later and pay for nothing twice.
//!
//! The policies bind every proposer in the same way: whatever proposes, [`Prepared::propose`] or
//! [`check_mutation`](crate::mutation::validate::check_mutation) decides.

pub mod examples;
mod order;
mod phrase;
mod plain;
mod prepared;
pub mod prospect;
pub mod refusals;
pub mod rules;
mod shorten;
pub mod wording;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::experiment::Proposer;
use crate::id::NodeId;
use crate::mutation::fields::Summary;
use crate::mutation::validate::MutationError;
use crate::mutation::{MutableField, Mutation};
use crate::workflow::Fingerprint;

pub use prepared::Prepared;

/// A proposer's name and version, as constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The name, for instance `rules`.
    pub name: &'static str,
    /// Raised when it proposes other candidates for the same input.
    pub version: u32,
}

impl From<Identity> for Proposer {
    fn from(identity: Identity) -> Self {
        Self { name: identity.name.to_owned(), version: identity.version }
    }
}

/// What became of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// The policies allow it.
    Proposal(Proposal),
    /// The policies refuse it.
    Refusal(Refusal),
}

/// A candidate: a valid mutation of the baseline, and the fingerprint that the baseline has with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The change.
    pub mutation: Mutation,
    /// The candidate's identity.
    pub candidate: Fingerprint,
    /// What the change amounts to, in figures.
    pub summary: Summary,
    /// The idea behind it, for people.
    pub idea: Cow<'static, str>,
}

/// An option that the policies refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The node.
    pub node: NodeId,
    /// The field.
    pub field: MutableField,
    /// Why.
    pub error: MutationError,
}

impl Refusal {
    /// The stable code of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.error.code()
    }
}

impl Offer {
    /// The candidate, if it is one.
    #[must_use]
    pub fn proposal(self) -> Option<Proposal> {
        match self {
            Self::Proposal(proposal) => Some(proposal),
            Self::Refusal(_) => None,
        }
    }
}

/// Where a stream stands: how many options it has looked at. Valid for the same proposer, input,
/// seed and baseline; a new baseline begins at the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub u64);
