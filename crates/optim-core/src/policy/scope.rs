//! `scope.yaml`: what a campaign may never touch.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Profile;
use crate::id::NodeId;
use crate::mutation::MutableField;

/// The validated `scope.yaml`. Its four switches have one legal value each and are checked when
/// the file is read; what remains is the list of forbidden fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopePolicy {
    /// Strict or custom bounds.
    pub profile: Profile,
    /// Fields that no mutation and no patch may change.
    pub forbidden_fields: Vec<FieldPattern>,
}

/// One entry of `forbidden_fields`.
///
/// Grammar: `FIELD` (that field of every node), `nodes.NODE` (every field of that node),
/// `nodes.NODE.FIELD`; `*` stands for any node. `FIELD` is a display path such as
/// `output_contract.summary_guidance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldPattern {
    /// The node; any when absent.
    pub node: Option<NodeId>,
    /// The field; any when absent.
    pub field: Option<MutableField>,
}

impl ScopePolicy {
    /// The first entry that forbids changing `field` of `node`.
    #[must_use]
    pub fn forbids(&self, node: &NodeId, field: MutableField) -> Option<&FieldPattern> {
        self.forbidden_fields
            .iter()
            .find(|pattern| pattern.matches(node, field))
    }
}

impl FieldPattern {
    /// Whether the pattern covers `field` of `node`.
    #[must_use]
    pub fn matches(&self, node: &NodeId, field: MutableField) -> bool {
        self.node.as_ref().is_none_or(|wanted| wanted == node)
            && self.field.is_none_or(|wanted| wanted == field)
    }
}

impl fmt::Display for FieldPattern {
    /// Writes the entry so that it reads back as the same pattern.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.as_ref().map_or("*", |node| node.as_str());
        match (&self.node, self.field) {
            (None, Some(field)) => write!(f, "{field}"),
            (_, Some(field)) => write!(f, "nodes.{node}.{field}"),
            (_, None) => write!(f, "nodes.{node}.*"),
        }
    }
}
