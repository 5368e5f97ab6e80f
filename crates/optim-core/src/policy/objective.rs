//! `objective.md`: what better means, in words.

use serde::{Deserialize, Serialize};

/// The trimmed, non-blank text of `objective.md`. Proposers treat it as untrusted data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Objective(pub(super) String);

impl Objective {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
