//! Patches: ordered differences between two definitions, with their composition and their inverse.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fields::{Current, Violation};
use super::validate::{self, MutationError};
use super::{FieldValue, MutableField, Mutation};
use crate::id::NodeId;
use crate::workflow::Workflow;

/// The difference between two definitions: at most one change of each field of each node, in the
/// order in which the fields first changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Mutation>", into = "Vec<Mutation>")]
pub struct Patch {
    changes: Vec<Mutation>,
}

/// Why a change cannot be part of a patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// Two changes of one field do not follow each other.
    #[error(
        "node {:?}, {field}: the patch ends at {expected}, the next change starts from {found}; \
         changes of one field must follow each other",
        node.as_str()
    )]
    DoesNotChain {
        /// The node.
        node: NodeId,
        /// The field.
        field: MutableField,
        /// Where the patch ends.
        expected: FieldValue,
        /// Where the change starts.
        found: FieldValue,
    },
    /// The field cannot hold a value of the change.
    #[error("node {:?}, {field}: {violation}", node.as_str())]
    WrongValue {
        /// The node.
        node: NodeId,
        /// The field.
        field: MutableField,
        /// Why not.
        violation: Violation,
    },
}

impl PatchError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::DoesNotChain { .. } => "patch_does_not_chain",
            Self::WrongValue { violation, .. } => violation.code(),
        }
    }
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

    /// This patch, and then `mutation`. A second change of a field joins the first one; a field
    /// that ends where it began is no change.
    ///
    /// # Errors
    /// [`PatchError`] when the mutation does not start where this patch ends, or holds a value that
    /// its field cannot hold.
    pub fn then(&self, mutation: &Mutation) -> Result<Self, PatchError> {
        let Mutation { node, field, before, after } = mutation;
        for value in [before, after] {
            field.spec().accepts(value).map_err(|violation| PatchError::WrongValue {
                node: node.clone(),
                field: *field,
                violation,
            })?;
        }
        let mut next = self.clone();
        match next.changes.iter_mut().find(|made| made.field == *field && made.node == *node) {
            None => next.changes.push(mutation.clone()),
            Some(made) if made.after == *before => made.after = after.clone(),
            Some(made) => {
                return Err(PatchError::DoesNotChain {
                    node: node.clone(),
                    field: *field,
                    expected: made.after.clone(),
                    found: before.clone(),
                });
            }
        }
        next.changes.retain(|made| made.before != made.after);
        Ok(next)
    }

    /// This patch, and then `next`.
    ///
    /// # Errors
    /// [`PatchError`] when `next` does not start where this patch ends.
    pub fn compose(&self, next: &Self) -> Result<Self, PatchError> {
        let mut changes = next.changes.iter();
        changes.try_fold(self.clone(), |patch, change| patch.then(change))
    }

    /// The patch that undoes this one.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let undo = |change: &Mutation| Mutation {
            node: change.node.clone(),
            field: change.field,
            before: change.after.clone(),
            after: change.before.clone(),
        };
        Self { changes: self.changes.iter().rev().map(undo).collect() }
    }

    /// `workflow` with every change of the patch, or with none of them.
    ///
    /// # Errors
    /// [`Drift`] lists every field that does not hold what the patch expects.
    pub fn apply(&self, workflow: &Workflow) -> Result<Workflow, Drift> {
        let mut next = workflow.clone();
        let mut fields = Vec::new();
        for change in &self.changes {
            match validate::apply(&next, change) {
                Ok(changed) => next = changed,
                Err(_) => fields.push(DriftedField {
                    node: change.node.clone(),
                    field: change.field,
                    expected: change.before.clone(),
                    found: Found::of(workflow, change),
                }),
            }
        }
        if fields.is_empty() { Ok(next) } else { Err(Drift { fields }) }
    }
}

impl TryFrom<Vec<Mutation>> for Patch {
    type Error = PatchError;

    fn try_from(changes: Vec<Mutation>) -> Result<Self, PatchError> {
        Self::default().compose(&Self { changes })
    }
}

impl From<Patch> for Vec<Mutation> {
    fn from(patch: Patch) -> Self {
        patch.changes
    }
}

/// A workflow is not in the state that a patch starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Every field that differs, in the order of the patch; at least one.
    pub fields: Vec<DriftedField>,
}

/// A field that does not hold what a patch expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftedField {
    /// The node.
    pub node: NodeId,
    /// The field.
    pub field: MutableField,
    /// What the patch expects.
    pub expected: FieldValue,
    /// What is there.
    pub found: Found,
}

/// What is there instead of the expected value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "found", content = "value")]
pub enum Found {
    /// Another value.
    Value(FieldValue),
    /// A value that no mutation can hold, as JSON.
    Other(String),
    /// The node does not have the field.
    FieldMissing,
    /// The workflow does not have the node.
    NodeMissing,
    /// The workflow has several nodes of this id.
    NodeIdDuplicate,
}

impl Found {
    fn of(workflow: &Workflow, change: &Mutation) -> Self {
        match validate::only_node(workflow, &change.node) {
            Ok((_, node)) => match change.field.spec().current(node) {
                Current::Absent => Self::FieldMissing,
                Current::Opaque(value) => Self::Other(value.to_string()),
                Current::Text(text) => Self::Value(FieldValue::Text(text.to_owned())),
                Current::Integer(number) => Self::Value(FieldValue::Integer(number)),
            },
            Err(MutationError::NodeIdDuplicate { .. }) => Self::NodeIdDuplicate,
            Err(_) => Self::NodeMissing,
        }
    }
}

impl Drift {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "live_drift"
    }
}

impl std::error::Error for Drift {}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the workflow is not what the patch starts from")?;
        for (index, field) in self.fields.iter().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{field}")?;
        }
        Ok(())
    }
}

impl fmt::Display for DriftedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, field) = (self.node.as_str(), self.field);
        write!(f, "node {node:?}, {field}: expected {}, ", self.expected)?;
        match &self.found {
            Found::Value(value) => write!(f, "found {value}"),
            Found::Other(value) => write!(f, "found {value}"),
            Found::FieldMissing => f.write_str("the node does not have it"),
            Found::NodeMissing => f.write_str("there is no such node"),
            Found::NodeIdDuplicate => f.write_str("several nodes have this id"),
        }
    }
}

#[cfg(test)]
mod tests;
