//! What an executor receives and answers: the same for every executor, built in or foreign.
//!
//! The request never holds what a case expects, its id or split, or whether the definition is the
//! baseline or a candidate.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::outcome::Usage;
use crate::quantity::Millis;

/// One attempt at one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRequest {
    /// The instruction text.
    pub objective: String,
    /// The case's inputs for a root node; empty for every other node.
    pub inputs: Map<String, Value>,
    /// Outputs of earlier nodes, by the alias of the `input_refs`.
    pub upstream: Map<String, Value>,
    /// The output contract as written, summary guidance included; null when there is none.
    pub contract: Option<Value>,
    /// Which attempt this is.
    pub attempt: Attempt,
    /// What the attempt may use.
    pub limits: Limits,
    /// An absolute path: the scratch copy that the attempt may read and write.
    pub working_directory: String,
    /// Whether the attempt is made for its effect, in the real workspace. An evaluation's is not, and what
    /// executes it is contained. Not on the wire.
    #[serde(skip)]
    pub for_effect: bool,
    /// The agent as the workflow defines it, in an evaluation without what that does not get; see
    /// [`shadow`](crate::shadow).
    pub agent: Map<String, Value>,
}

/// Identifies an attempt, so that an executor can answer a repeated request once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Opaque and unique for each attempt; equal when the same attempt is asked again.
    pub id: String,
    /// Counts from 1.
    pub number: u32,
    /// A seed for whatever the executor draws at random.
    pub seed: u64,
}

/// What one attempt may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Wall time in milliseconds.
    pub timeout_ms: u64,
    /// Bytes of the answer.
    pub max_output_bytes: u64,
    /// Tokens that the run has left; absent means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}

/// The answer to a [`NodeRequest`]: a result or an error, and what it took.
///
/// On the wire: `{"content": …}` or `{"error": {"class": …, "message": …}}`, with an optional
/// `"usage"` beside it, and an optional `"attempt_id"` that must be the request's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WireResponse", into = "WireResponse")]
pub struct NodeResponse {
    /// The output, or why there is none.
    pub result: Result<Value, NodeError>,
    /// What the attempt consumed, also when it failed.
    pub usage: Usage,
}

/// Why an attempt has no output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{}: {message}", class.name())]
pub struct NodeError {
    /// Who is to blame, and so what happens next.
    pub class: ErrorClass,
    /// For people.
    pub message: String,
    /// For how long the provider wants to be left alone; without meaning in other classes than
    /// `provider`.
    #[serde(rename = "retry_after_ms", default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Millis>,
}

/// The longest that a provider is left alone because it asks for that. One that asks for a year is
/// asked again after this time.
pub const RETRY_AFTER_MAX: Millis = Millis(3_600_000);

impl NodeError {
    /// An error without a wish of the provider.
    #[must_use]
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), retry_after: None }
    }

    /// The same with at most [`RETRY_AFTER_MAX`] of what the provider asks for; the message says so.
    #[must_use]
    pub fn capped(mut self) -> Self {
        if let Some(asked) = self.retry_after.filter(|asked| *asked > RETRY_AFTER_MAX) {
            self.retry_after = Some(RETRY_AFTER_MAX);
            let (asked, given) = (asked.0 / 1000, RETRY_AFTER_MAX.0 / 1000);
            self.message =
                format!("{}; it asks for {asked} s of rest, it gets {given}", self.message);
        }
        self
    }
}

/// The classes of failure. `provider` and `configuration` are the outside's fault; every other class
/// counts against the definition that was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The provider or the machine failed; the run is void and is tried again.
    Provider,
    /// The provider refuses and will refuse again: a key, a model or an address of the settings is
    /// wrong. The run is void, and is not tried again.
    Configuration,
    /// The attempt took longer than its timeout.
    Timeout,
    /// The answer could not be read, or was too large.
    InvalidOutput,
    /// The agent says that it cannot go on.
    Blocked,
    /// The agent crashed or reported a failure.
    Failed,
}

impl ErrorClass {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Configuration => "configuration",
            Self::Timeout => "timeout",
            Self::InvalidOutput => "invalid_output",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireResponse {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    content: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<NodeError>,
    #[serde(default)]
    usage: Usage,
    #[serde(default, skip_serializing)]
    attempt_id: Option<String>,
}

impl NodeResponse {
    /// Reads the answer of a foreign agent to `attempt`.
    ///
    /// # Errors
    /// It is no answer, which is `invalid_output`, or it says that it answers another attempt: that
    /// shows nothing about the definition, so it is a fault of the outside.
    pub fn read(document: &[u8], attempt: &Attempt) -> Result<Self, NodeError> {
        let invalid = |why: String| NodeError::new(ErrorClass::InvalidOutput, why);
        // Serde would take a list for an object whose fields are named by their places.
        if document.trim_ascii_start().starts_with(b"[") {
            return Err(invalid("a list, not an object".to_owned()));
        }
        let wire: WireResponse =
            serde_json::from_slice(document).map_err(|error| invalid(error.to_string()))?;
        match &wire.attempt_id {
            Some(other) if *other != attempt.id => Err(NodeError::new(
                ErrorClass::Provider,
                format!("the answer is to the attempt {other:?}, asked was {:?}", attempt.id),
            )),
            _ => Self::try_from(wire).map_err(|why| invalid(why.to_owned())),
        }
    }
}

/// Keeps `"content": null` apart from an absent content.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl TryFrom<WireResponse> for NodeResponse {
    type Error = &'static str;
    fn try_from(wire: WireResponse) -> Result<Self, Self::Error> {
        let result = match (wire.content, wire.error) {
            (Some(content), None) => Ok(content),
            (None, Some(error)) => Err(error),
            (Some(_), Some(_)) => return Err("an answer has `content` or `error`, not both"),
            (None, None) => return Err("an answer needs `content` or `error`"),
        };
        Ok(Self { result, usage: wire.usage })
    }
}

impl From<NodeResponse> for WireResponse {
    fn from(response: NodeResponse) -> Self {
        let (content, error) = match response.result {
            Ok(content) => (Some(content), None),
            Err(error) => (None, Some(error)),
        };
        Self { content, error, usage: response.usage, attempt_id: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_content_or_an_error() {
        let read = |text: &str| {
            serde_json::from_str::<NodeResponse>(text).map_err(|error| error.to_string())
        };
        assert_eq!(read(r#"{"content": null}"#).unwrap().result, Ok(Value::Null));
        let timeout = read(
            r#"{"error": {"class": "timeout", "message": "late"}, "usage": {"prompt_tokens": 3}}"#,
        );
        assert_eq!(timeout.unwrap().usage.tokens().0, 3);
        assert!(read("{}").unwrap_err().contains("needs"));
        assert!(
            read(r#"{"content": 1, "error": {"class": "failed", "message": ""}}"#)
                .unwrap_err()
                .contains("not both")
        );
        assert!(read(r#"{"contents": 1}"#).unwrap_err().contains("unknown field"));
    }
    #[test]
    fn an_answer_to_another_attempt_is_no_answer_to_this_one() {
        let attempt = Attempt { id: "1f".to_owned(), number: 1, seed: 1 };
        let read = |text: &str| NodeResponse::read(text.as_bytes(), &attempt);
        assert_eq!(read(r#"{"content": 1, "attempt_id": "1f"}"#).unwrap().result, Ok(1.into()));
        assert_eq!(read(r#"{"content": 1}"#).unwrap().result, Ok(1.into()));
        let other = read(r#"{"content": 1, "attempt_id": "2e"}"#).unwrap_err();
        assert_eq!(other.class, ErrorClass::Provider);
        assert!(other.message.contains("2e") && other.message.contains("1f"), "{other}");
        assert_eq!(read(" [1]").unwrap_err().class, ErrorClass::InvalidOutput);
        assert_eq!(read("{}").unwrap_err().class, ErrorClass::InvalidOutput);
    }

    #[test]
    fn a_provider_that_asks_for_a_year_gets_an_hour_and_the_message_says_so() {
        let asking = |ms| {
            let error = NodeError::new(ErrorClass::Provider, "busy");
            NodeError { retry_after: Some(Millis(ms)), ..error }.capped()
        };
        assert_eq!(asking(3_600_000).message, "busy");
        let year = asking(31_536_000_000);
        assert_eq!(year.retry_after, Some(RETRY_AFTER_MAX));
        assert_eq!(year.message, "busy; it asks for 31536000 s of rest, it gets 3600");
    }
}
