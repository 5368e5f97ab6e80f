//! Assertions of a case about a node's output.
//!
//! On the wire an expectation is `{"node": …, "at": …, "type": …, …}`; the prefix `not-` of the type
//! negates it. Matching that needs an engine (regular expressions, JSON Schema) goes through the
//! [`Matcher`] port, which optim-runtime implements.

mod decimal;
mod evaluate;
mod wire;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::NodeId;
use crate::quantity::{MicroUsd, Millis};

pub use decimal::Decimal;
pub use evaluate::evaluate;
pub(crate) use evaluate::parsed;

/// One entry of a case's `expect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "wire::Wire", into = "wire::Wire")]
pub struct Expectation {
    /// The node whose output is checked; absent means the only sink of the workflow.
    pub node: Option<NodeId>,
    /// A JSON pointer into the output; absent means all of it.
    pub at: Option<String>,
    /// Whether the assertion must not hold.
    pub negated: bool,
    /// What must hold.
    pub assertion: Assertion,
}

/// What can be asserted. Text of an output that is no text is its canonical JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Assertion {
    /// The output is this value; numbers are compared by value, so `1` equals `1.0`.
    Equals {
        /// The value.
        value: Value,
    },
    /// The text contains this text.
    Contains {
        /// The text.
        value: String,
        /// Whether upper and lower case differ.
        case_sensitive: bool,
    },
    /// The text contains at least one of these texts.
    ContainsAny {
        /// The texts; at least one.
        values: Vec<String>,
    },
    /// The text contains every one of these texts.
    ContainsAll {
        /// The texts; at least one.
        values: Vec<String>,
    },
    /// The text starts with this text.
    StartsWith {
        /// The text.
        value: String,
    },
    /// A regular expression matches somewhere in the text.
    Regex {
        /// The expression.
        pattern: String,
    },
    /// The output is JSON, and conforms to the schema if there is one.
    IsJson {
        /// A JSON Schema.
        schema: Option<Value>,
    },
    /// The text holds a JSON object or list, one that conforms to the schema if there is one.
    ContainsJson {
        /// A JSON Schema.
        schema: Option<Value>,
    },
    /// The text has this many characters, or the list this many items.
    Length {
        /// At least.
        min: Option<u64>,
        /// At most.
        max: Option<u64>,
    },
    /// The text is at most this many single-character edits away from another. A text of more than
    /// 10 000 characters is not.
    Levenshtein {
        /// The other text.
        value: String,
        /// The most edits.
        max: u64,
    },
    /// The number lies within a tolerance of another.
    Number {
        /// The other number.
        value: Decimal,
        /// The largest distance; at least 0.
        tolerance: Decimal,
    },
    /// The node's attempts took at most this long, as the executor reports it.
    Latency {
        /// The limit.
        max: Millis,
    },
    /// The node's attempts cost at most this much.
    Cost {
        /// The limit.
        max: MicroUsd,
    },
}

/// Engines that the core does not carry.
pub trait Matcher {
    /// Whether `pattern`, a regular expression, matches somewhere in `text`.
    ///
    /// # Errors
    /// The pattern does not compile; the text says why.
    fn regex(&self, pattern: &str, text: &str) -> Result<bool, String>;

    /// The violations of `schema` by `value`, each as `path: what is wrong`; empty when it conforms.
    ///
    /// # Errors
    /// The schema itself is not valid; the text says why.
    fn schema(&self, schema: &Value, value: &Value) -> Result<Vec<String>, String>;
}

impl Expectation {
    /// Tries the engines on the expectation, so that a bad pattern or schema is found before anything
    /// runs.
    ///
    /// # Errors
    /// What is wrong with the pattern or the schema.
    pub fn check(&self, matcher: &dyn Matcher) -> Result<(), String> {
        match &self.assertion {
            Assertion::Regex { pattern } => matcher.regex(pattern, "").map(drop),
            Assertion::IsJson { schema: Some(schema) }
            | Assertion::ContainsJson { schema: Some(schema) } => {
                matcher.schema(schema, &Value::Null).map(drop)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
