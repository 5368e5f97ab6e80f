//! Typed identifiers.
//!
//! Names that people choose (`CampaignId`, `NodeId`, …) are checked text. Ids of things that the
//! engine creates (`ExperimentId`, `EvaluationId`, `RunId`) are hashes of the intent behind them:
//! a step that is repeated after a crash arrives at the same id, so it creates nothing twice.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::digest::Hasher;

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 128;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?} is refused: {rule}")]
pub struct IdError {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

impl IdError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "invalid_id"
    }
}

fn check_name(kind: &'static str, text: &str) -> Result<(), IdError> {
    let refuse =
        |rule| Err(IdError { kind, text: text.chars().take(NAME_CHARS_MAX).collect(), rule });
    if text.trim().is_empty() {
        return refuse("it must not be blank");
    }
    if text.chars().count() > NAME_CHARS_MAX {
        return refuse("it must have at most 128 characters");
    }
    if text.chars().any(char::is_control) {
        return refuse("it must hold no control character");
    }
    Ok(())
}

fn check_slug(kind: &'static str, text: &str) -> Result<(), IdError> {
    check_name(kind, text)?;
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if first && rest {
        Ok(())
    } else {
        Err(IdError {
            kind,
            text: text.to_owned(),
            rule: "use letters, digits, '.', '_' and '-', beginning with a letter or digit",
        })
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and wraps it.
            ///
            /// # Errors
            /// [`IdError`] says which rule the text breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                $check($kind, &text)?;
                Ok(Self(text))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// A campaign, named by the caller or generated (`opt-` and a UUID).
    CampaignId, "campaign id", check_slug
);
text_id!(
    /// A workflow (`automation_id` on the wire).
    WorkflowId, "workflow id", check_name
);
text_id!(
    /// A node of a workflow.
    NodeId, "node id", check_name
);
text_id!(
    /// An agent of a workflow.
    AgentId, "agent id", check_name
);
text_id!(
    /// Who serves a model: throttles and rate limits are kept for each.
    ProviderId, "provider id", check_slug
);
text_id!(
    /// What a provider calls a model.
    ModelId, "model id", check_name
);
text_id!(
    /// A case of an eval pack.
    CaseId, "case id", check_name
);
text_id!(
    /// A process that executes runs.
    WorkerId, "worker id", check_name
);
text_id!(
    /// Who did something: `local:<user>` on the command line, a token's owner on a server,
    /// `engine` for what the engine did by itself.
    Actor, "actor", check_name
);

text_id!(
    /// What a person calls a request, so that asking for it again has no further effect.
    RequestKey, "key", check_slug
);

impl CampaignId {
    /// The id of a campaign that the caller has not named: `opt-` and a UUID.
    #[must_use]
    pub fn generated(uuid: Uuid) -> Self {
        Self(format!("opt-{}", uuid.simple()))
    }
}

impl WorkerId {
    /// The process with this number.
    #[must_use]
    pub fn process(pid: u32) -> Self {
        Self(format!("process {pid}"))
    }

    /// Nobody knows.
    #[must_use]
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }
}

impl CaseId {
    /// The only case of a workflow without a pack.
    #[must_use]
    pub fn implicit() -> Self {
        Self("implicit".to_owned())
    }
}

impl Actor {
    /// The engine itself.
    #[must_use]
    pub fn engine() -> Self {
        Self("engine".to_owned())
    }
}

macro_rules! derived_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The text that every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// Derives the id from the intent behind it. Equal parts give equal ids.
            #[must_use]
            pub fn derive(parts: &[&[u8]]) -> Self {
                let mut hasher = Hasher::new(concat!("optim/id/", $prefix));
                for part in parts {
                    hasher.part(part);
                }
                Self(hasher.finish().to_uuid())
            }

            /// The sixteen bytes, for a storage key.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::PREFIX, self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(Self::PREFIX)
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or_else(|| IdError {
                        kind: stringify!($name),
                        text: text.chars().take(NAME_CHARS_MAX).collect(),
                        rule: concat!("write ", $prefix, " and 32 hexadecimal digits"),
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

derived_id!(
    /// One candidate of a campaign with its evaluation and its decision.
    ExperimentId, "exp_"
);
derived_id!(
    /// The case runs of one frozen definition for one purpose.
    EvaluationId, "eval_"
);
derived_id!(
    /// One execution of one frozen definition on one case.
    RunId, "run_"
);
derived_id!(
    /// One execution of a workflow on its real workspace. It is derived from a text of the caller's, so
    /// that asking twice executes once.
    WorkflowRunId, "wfr_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_depend_on_every_part_and_on_where_parts_end() {
        let id = RunId::derive(&[b"ab", b"c"]);
        assert_eq!(id, RunId::derive(&[b"ab", b"c"]));
        assert_ne!(id, RunId::derive(&[b"a", b"bc"]));
        assert_ne!(id.as_bytes(), ExperimentId::derive(&[b"ab", b"c"]).as_bytes());
        assert_eq!(id.to_string().parse::<RunId>(), Ok(id));
        assert!(id.to_string().replace("run_", "exp_").parse::<RunId>().is_err());
    }

    #[test]
    fn threat_13_names_are_refused_when_blank_long_or_with_control_characters() {
        assert!(NodeId::new("größe 2").is_ok());
        for bad in ["", "  ", "a\nb", &"x".repeat(129)] {
            assert_eq!(NodeId::new(bad).unwrap_err().code(), "invalid_id");
        }
        assert!(CampaignId::new("opt-1.a_b").is_ok());
        for bad in ["../x", "-a", "a b", "ä"] {
            assert!(CampaignId::new(bad).is_err(), "{bad}");
        }
    }
}
