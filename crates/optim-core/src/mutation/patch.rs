//! Patches: ordered differences between two definitions, with their composition and their inverse.

use serde::{Deserialize, Serialize};

use super::Mutation;

/// The difference between two definitions: at most one change of each field of each node, in the
/// order in which the fields first changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Patch {
    changes: Vec<Mutation>,
}

impl Patch {
    /// The changes, in order.
    #[must_use]
    pub fn changes(&self) -> &[Mutation] {
        &self.changes
    }

    /// Whether the patch changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
