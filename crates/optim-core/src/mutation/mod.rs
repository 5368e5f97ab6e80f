//! Mutations: a change of exactly one field of exactly one node.

pub mod fields;
pub mod patch;
#[cfg(test)]
pub(crate) mod sample;
pub mod validate;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};
use crate::id::NodeId;

/// The fields that a mutation may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MutableField {
    /// The node's instruction text.
    Objective,
    /// The contract's guidance for the summary.
    OutputContractSummaryGuidance,
    /// The longest that an attempt may take.
    TimeoutMs,
    /// Attempts in total.
    RetryPolicyMaxAttempts,
    /// Attempts after the first.
    RetryPolicyRetries,
}

/// Text or number: the two families of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Text that a model reads.
    Text,
    /// A number that the runtime obeys.
    Knob,
}

/// The value of a mutable field. Milliseconds for the timeout.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FieldValue {
    /// The value of a text field.
    Text(String),
    /// The value of a knob.
    Integer(i64),
}

/// One change of one field of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    /// The node.
    pub node: NodeId,
    /// The field.
    pub field: MutableField,
    /// The value that it was derived from.
    pub before: FieldValue,
    /// The new value; differs from `before`, but for [`Mutation::nothing`].
    pub after: FieldValue,
}

/// Identifies a mutation whatever the baseline around it: node, field and new value. A mutation that
/// was rejected or discarded stays so when the baseline has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MutationKey(pub Digest);

impl Mutation {
    /// The change that changes nothing: of the candidate that is its own baseline. It is the only one
    /// whose values are the same, and no validation lets it pass.
    #[must_use]
    pub fn nothing(node: NodeId, objective: &str) -> Self {
        let value = FieldValue::Text(objective.to_owned());
        Self { node, field: MutableField::Objective, before: value.clone(), after: value }
    }

    /// Whether it is [`Mutation::nothing`].
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.before == self.after
    }

    /// The identity of the mutation.
    #[must_use]
    pub fn key(&self) -> MutationKey {
        let mut hasher = Hasher::new("optim/mutation/1");
        hasher.part(self.node.as_str().as_bytes());
        hasher.part(self.field.name().as_bytes());
        match &self.after {
            FieldValue::Text(text) => hasher.part(b"text").part(text.as_bytes()),
            FieldValue::Integer(number) => hasher.part(b"integer").part(&number.to_be_bytes()),
        };
        MutationKey(hasher.finish())
    }
}

impl MutableField {
    /// All fields, in the order in which they are listed and tried.
    pub const ALL: [Self; 5] = [
        Self::Objective,
        Self::OutputContractSummaryGuidance,
        Self::TimeoutMs,
        Self::RetryPolicyMaxAttempts,
        Self::RetryPolicyRetries,
    ];

    /// The name on the wire and in policies, for instance `retry_policy_retries`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.spec().name()
    }

    /// The path within a node, for people and for `forbidden_fields`, for instance `retry_policy.retries`.
    #[must_use]
    pub fn path(self) -> String {
        self.spec().path().join(".")
    }
}

impl fmt::Display for MutableField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{}", Quoted(text)),
            Self::Integer(number) => write!(f, "{number}"),
        }
    }
}

/// A text in quotation marks, for messages: one line, and not longer than people read.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

/// The longest text that a message quotes whole, in characters.
const QUOTED_CHARS_MAX: usize = 120;

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.0.char_indices().nth(QUOTED_CHARS_MAX);
        match cut.and_then(|(end, _)| self.0.get(..end)) {
            Some(head) => write!(f, "{head:?}…"),
            None => write!(f, "{:?}", self.0),
        }
    }
}
