//! The eval pack: one case per line, frozen by digest.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::assertion::Expectation;
use crate::digest::Digest;
use crate::id::CaseId;

/// The cases of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Pack {
    /// The digest of the bytes that the cases were read from.
    pub digest: Digest,
    /// The cases in file order; at least one, ids unique.
    pub cases: Vec<Case>,
}

/// One case: inputs for the root nodes, and what the outputs are expected to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique in the pack.
    pub id: CaseId,
    /// Handed to every root node.
    pub inputs: Map<String, Value>,
    /// Checks beyond the contracts' validators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<Expectation>,
    /// Which decisions the case feeds.
    #[serde(default)]
    pub split: Split,
}

/// What a case may be used for.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Feeds the proposer and the decision.
    #[default]
    Search,
    /// Feeds the confirmation of a winner, and nothing else.
    Holdout,
}

impl Split {
    /// The name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Holdout => "holdout",
        }
    }
}

impl Pack {
    /// The cases of `split`, in file order.
    pub fn split(&self, split: Split) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(move |case| case.split == split)
    }

    /// The pack of a workflow without one: a single case with empty inputs.
    #[must_use]
    pub fn implicit() -> Self {
        let case = Case {
            id: CaseId::implicit(),
            inputs: Map::new(),
            expect: Vec::new(),
            split: Split::Search,
        };
        Self {
            digest: Digest::of(b""),
            cases: vec![case],
        }
    }
}
