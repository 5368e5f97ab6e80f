//! Validation: whether a change is one mutation, and whether the policies allow it.
//!
//! [`check_mutation`] looks at the changed field and nothing else. [`diff`] is for a whole candidate
//! that somebody hands in: it finds the one change, or says what else is different.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::fields::{Current, Summary, Violation};
use super::{FieldValue, MutableField, Mutation, Quoted};
use crate::id::NodeId;
use crate::policy::{MutationPolicy, ScopePolicy};
use crate::workflow::{Node, Workflow};

/// Why a change is no mutation, or none that the policies allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MutationError {
    /// Something outside the nodes differs.
    #[error(
        "the candidate changes {} outside flow.nodes; \
         a candidate changes one field of one node",
        list(keys)
    )]
    OutsideFlowChanged {
        /// The changed keys of the document.
        keys: Vec<String>,
    },
    /// Nodes were added or removed.
    #[error("the candidate has {found} nodes, the baseline {expected}; a candidate keeps them all")]
    NodeCountChanged {
        /// Nodes of the baseline.
        expected: usize,
        /// Nodes of the candidate.
        found: usize,
    },
    /// A node was renamed or moved.
    #[error(
        "node {index} of the candidate is {:?}, of the baseline {:?}; \
         a candidate keeps ids and order",
        found.as_str(), expected.as_str()
    )]
    NodeIdChanged {
        /// The node's place, from 0.
        index: usize,
        /// The id in the baseline.
        expected: NodeId,
        /// The id in the candidate.
        found: NodeId,
    },
    /// A part of a node that no mutation may change differs.
    #[error(
        "node {:?}: the candidate changes {}; \
         only objective, output_contract.summary_guidance, timeout_ms, \
         retry_policy.max_attempts and retry_policy.retries may change",
        node.as_str(), list(keys)
    )]
    FixedPartChanged {
        /// The node.
        node: NodeId,
        /// The changed keys of the node.
        keys: Vec<String>,
    },
    /// No node has the mutation's id.
    #[error("there is no node {:?} in the workflow", node.as_str())]
    NodeMissing {
        /// The id.
        node: NodeId,
    },
    /// An id that does not say which node is meant.
    #[error("node {:?} occurs more than once; give each node an id of its own", node.as_str())]
    NodeIdDuplicate {
        /// The id.
        node: NodeId,
    },
    /// The candidate equals the baseline.
    #[error("the candidate equals the baseline; change one field of one node")]
    NothingChanged,
    /// More than one field differs.
    #[error(
        "the candidate changes {}; change one field family of one node: a single field",
        list(places)
    )]
    MoreThanOneChange {
        /// The first few changed fields.
        places: Vec<String>,
    },
    /// The field is missing, on either side or on both.
    #[error(
        "node {:?}, {field}: {}; a mutation neither creates nor removes a field",
        node.as_str(), if *created { "the baseline does not have it" } else { "the candidate removes it" }
    )]
    FieldCreatedOrRemoved {
        /// The node.
        node: NodeId,
        /// The field.
        field: MutableField,
        /// Created or removed.
        created: bool,
    },
    /// The mutation policy does not list the field.
    #[error(
        "node {:?}, {field}: mutation_policy.yaml does not allow this field; \
         add {} to allowed_text_fields or allowed_knob_fields",
        node.as_str(), field.name()
    )]
    FieldNotAllowed {
        /// The node.
        node: NodeId,
        /// The field.
        field: MutableField,
    },
    /// `scope.yaml` forbids the field.
    #[error("node {:?}, {field}: scope.yaml forbids it by {pattern:?}", node.as_str())]
    FieldForbidden {
        /// The node.
        node: NodeId,
        /// The field.
        field: MutableField,
        /// The entry of `forbidden_fields`.
        pattern: String,
    },
    /// The mutation was derived from another value.
    #[error("node {:?}, {field}: the mutation starts from {expected}, the workflow has {found}", node.as_str())]
    BaselineDiffers {
        /// The node.
        node: NodeId,
        /// The field.
        field: MutableField,
        /// What the mutation expects.
        expected: FieldValue,
        /// What is there.
        found: String,
    },
    /// A rule of the field is broken.
    #[error("node {:?}, {field}: {violation}", node.as_str())]
    Violation {
        /// The node.
        node: NodeId,
        /// The field.
        field: MutableField,
        /// The rule.
        violation: Violation,
    },
}

impl MutationError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutsideFlowChanged { .. } => "outside_flow_changed",
            Self::NodeCountChanged { .. } => "node_count_changed",
            Self::NodeIdChanged { .. } => "node_id_changed",
            Self::FixedPartChanged { .. } => "fixed_part_changed",
            Self::NodeMissing { .. } => "node_missing",
            Self::NodeIdDuplicate { .. } => "node_id_duplicate",
            Self::NothingChanged => "nothing_changed",
            Self::MoreThanOneChange { .. } => "more_than_one_change",
            Self::FieldCreatedOrRemoved { .. } => "field_created_or_removed",
            Self::FieldNotAllowed { .. } => "field_not_allowed",
            Self::FieldForbidden { .. } => "field_forbidden",
            Self::BaselineDiffers { .. } => "baseline_differs",
            Self::Violation { violation, .. } => violation.code(),
        }
    }
}

impl Violation {
    /// The violation with its place.
    #[must_use]
    pub fn at(self, node: &NodeId, field: MutableField) -> MutationError {
        MutationError::Violation { node: node.clone(), field, violation: self }
    }
}

/// Checks `mutation` of `baseline` against both policies, at the cost of the changed field.
///
/// # Errors
/// The first rule that it breaks: the node exists once, has the field with the value that the
/// mutation starts from, the field is allowed and not forbidden, and the step is within the bounds.
pub fn check_mutation(
    baseline: &Workflow,
    mutation: &Mutation,
    policy: &MutationPolicy,
    scope: &ScopePolicy,
) -> Result<Summary, MutationError> {
    let node = only_node(baseline, &mutation.node)?.1;
    check_field(node, mutation.field, policy, scope)?;
    check_start(node, mutation)?;
    check_step(mutation, policy)
}

/// Whether a mutation may change `field` of `node` at all.
///
/// # Errors
/// The policies do not let it (`field_not_allowed`, `field_forbidden`), or the node does not have
/// the field as a value that can change (`field_missing`, `not_an_integer`).
pub fn check_field(
    node: &Node,
    field: MutableField,
    policy: &MutationPolicy,
    scope: &ScopePolicy,
) -> Result<(), MutationError> {
    let id = || node.id().clone();
    if !policy.allowed.contains(&field) {
        return Err(MutationError::FieldNotAllowed { node: id(), field });
    }
    if let Some(pattern) = scope.forbids(node.id(), field) {
        return Err(MutationError::FieldForbidden {
            node: id(),
            field,
            pattern: pattern.to_string(),
        });
    }
    check_presence(node, field, &field.spec().current(node))
}

/// Whether the node holds a value that can change.
fn check_presence(
    node: &Node,
    field: MutableField,
    current: &Current<'_>,
) -> Result<(), MutationError> {
    match current {
        Current::Absent => Err(Violation::Missing.at(node.id(), field)),
        Current::Opaque(_) => Err(not_an_integer(node, field, current)),
        Current::Text(_) | Current::Integer(_) => Ok(()),
    }
}

/// Whether the step of `mutation` keeps to the bounds of `policy`, whatever the workflow.
///
/// # Errors
/// The rule that the step breaks.
pub fn check_step(mutation: &Mutation, policy: &MutationPolicy) -> Result<Summary, MutationError> {
    let spec = mutation.field.spec();
    spec.check(&mutation.before, &mutation.after, policy)
        .map_err(|violation| violation.at(&mutation.node, mutation.field))
}

/// Whether the node holds what the mutation starts from.
fn check_start(node: &Node, mutation: &Mutation) -> Result<(), MutationError> {
    let field = mutation.field;
    let current = field.spec().current(node);
    check_presence(node, field, &current)?;
    if current.is(&mutation.before) {
        return Ok(());
    }
    Err(MutationError::BaselineDiffers {
        node: node.id().clone(),
        field,
        expected: mutation.before.clone(),
        found: current.to_string(),
    })
}

/// The candidate: `workflow` with `mutation`. The policies are not asked.
///
/// # Errors
/// The node is missing or not the only one of its id, the field does not hold the value that the
/// mutation starts from, or the new value does not fit the field.
pub fn apply(workflow: &Workflow, mutation: &Mutation) -> Result<Workflow, MutationError> {
    let (index, node) = only_node(workflow, &mutation.node)?;
    check_start(node, mutation)?;
    let mut changed = Node::clone(node);
    let set = mutation.field.spec().set(&mut changed, mutation.after.clone());
    set.map_err(|violation| violation.at(&mutation.node, mutation.field))?;
    Ok(workflow.with_node(index, changed))
}

/// The node `id` with its index, if it is the only one of that id.
pub(super) fn only_node<'a>(
    workflow: &'a Workflow,
    id: &NodeId,
) -> Result<(usize, &'a Arc<Node>), MutationError> {
    let mut found = workflow.nodes().iter().enumerate().filter(|(_, node)| node.id() == id);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(MutationError::NodeMissing { node: id.clone() }),
        (Some(_), Some(_)) => Err(MutationError::NodeIdDuplicate { node: id.clone() }),
    }
}

/// The one change that makes `candidate` of `baseline`.
///
/// Everything but the five fields must be equal, unknown fields included. Nodes that both share
/// cost a comparison of pointers.
///
/// # Errors
/// What else differs, or that nothing or more than one field does.
pub fn diff(baseline: &Workflow, candidate: &Workflow) -> Result<Mutation, MutationError> {
    if baseline.header() != candidate.header() {
        let keys = changed_keys(baseline.header(), candidate.header());
        return Err(MutationError::OutsideFlowChanged { keys });
    }
    let (expected, found) = (baseline.nodes().len(), candidate.nodes().len());
    if expected != found {
        return Err(MutationError::NodeCountChanged { expected, found });
    }
    let pairs = baseline.nodes().iter().zip(candidate.nodes()).enumerate();
    let mut changes = Vec::new();
    for (index, (old, new)) in pairs.filter(|(_, (old, new))| !Arc::ptr_eq(old, new)) {
        check_fixed_part(index, old, new)?;
        let differs = |field: &MutableField| field.spec().current(old) != field.spec().current(new);
        let fields = MutableField::ALL.into_iter().filter(differs);
        changes.extend(fields.map(|field| (old, new, field)));
    }
    match changes.as_slice() {
        [] => Err(MutationError::NothingChanged),
        [(old, new, field)] => {
            only_node(baseline, old.id())?;
            mutation(old, new, *field)
        }
        many => Err(MutationError::MoreThanOneChange {
            places: many
                .iter()
                .take(PLACES_LISTED_MAX)
                .map(|(node, _, field)| format!("{field} of node {:?}", node.id().as_str()))
                .collect(),
        }),
    }
}

/// The most changed places that a message lists.
const PLACES_LISTED_MAX: usize = 8;

fn check_fixed_part(index: usize, old: &Node, new: &Node) -> Result<(), MutationError> {
    if old.id() != new.id() {
        return Err(MutationError::NodeIdChanged {
            index,
            expected: old.id().clone(),
            found: new.id().clone(),
        });
    }
    if old.fixed() != new.fixed() {
        return Err(MutationError::FixedPartChanged {
            node: old.id().clone(),
            keys: changed_keys(old.fixed(), new.fixed()),
        });
    }
    Ok(())
}

/// The change of `field` between two nodes that are otherwise equal.
fn mutation(old: &Node, new: &Node, field: MutableField) -> Result<Mutation, MutationError> {
    let node = || old.id().clone();
    let (before, after) = (field.spec().current(old), field.spec().current(new));
    match (before.value(), after.value()) {
        (Some(before), Some(after)) => Ok(Mutation { node: node(), field, before, after }),
        _ if before == Current::Absent || after == Current::Absent => {
            Err(MutationError::FieldCreatedOrRemoved {
                node: node(),
                field,
                created: before == Current::Absent,
            })
        }
        (None, _) => Err(not_an_integer(old, field, &before)),
        (_, None) => Err(not_an_integer(old, field, &after)),
    }
}

fn not_an_integer(node: &Node, field: MutableField, value: &Current<'_>) -> MutationError {
    let value = value.to_string();
    Violation::NotAnInteger { value }.at(node.id(), field)
}

fn changed_keys(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let gone_or_changed = old.iter().filter(|(key, value)| new.get(*key) != Some(*value));
    let added = new.iter().filter(|(key, _)| !old.contains_key(*key));
    gone_or_changed.chain(added).map(|(key, _)| key.clone()).collect()
}

/// `a, b and c`, each shortened.
fn list(items: &[String]) -> String {
    let quoted: Vec<_> = items.iter().map(|item| Quoted(item).to_string()).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests;
