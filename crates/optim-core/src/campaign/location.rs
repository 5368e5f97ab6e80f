//! Where a live workflow is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{IdError, WorkflowId};

/// What the text of a stored workflow's place begins with.
const STORED: &str = "stored:";

/// Where the live workflow of a campaign is. As text: `stored:ID`, or else the path of a file; a file
/// whose name begins like the former is written with `./` before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Location {
    /// A file; in a campaign, by its absolute path.
    File(String),
    /// A stored workflow, in the store of the campaign itself.
    Stored(WorkflowId),
}

impl Location {
    /// The stored workflow, if it is one.
    #[must_use]
    pub fn stored(&self) -> Option<&WorkflowId> {
        match self {
            Self::File(_) => None,
            Self::Stored(id) => Some(id),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(path),
            Self::Stored(id) => write!(f, "{STORED}{id}"),
        }
    }
}

impl FromStr for Location {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.strip_prefix(STORED) {
            Some(id) => WorkflowId::new(id).map(Self::Stored),
            None => Ok(Self::File(text.to_owned())),
        }
    }
}

impl From<Location> for String {
    fn from(location: Location) -> Self {
        location.to_string()
    }
}

impl TryFrom<String> for Location {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_path_or_the_id_of_a_stored_workflow() {
        let stored = Location::Stored(WorkflowId::new("support: triage").unwrap());
        for (text, location) in [
            ("\"/project/workflow.yaml\"", Location::File("/project/workflow.yaml".to_owned())),
            ("\"./stored:x\"", Location::File("./stored:x".to_owned())),
            ("\"stored:support: triage\"", stored),
        ] {
            assert_eq!(serde_json::from_str::<Location>(text).unwrap(), location);
            assert_eq!(serde_json::to_string(&location).unwrap(), text);
        }
        assert!(serde_json::from_str::<Location>("\"stored:\"").is_err());
    }
}
