//! Assertions of a case about a node's output.
//!
//! Matching that needs an engine (regular expressions, JSON Schema) goes through the [`Matcher`]
//! port, which optim-runtime implements.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;

/// One entry of a case's `expect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The node whose output is checked; absent means the only sink of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// A JSON pointer into the output; absent means all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
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
    fn schema(
        &self,
        schema: &serde_json::Value,
        value: &serde_json::Value,
    ) -> Result<Vec<String>, String>;
}
