//! Workflows, policies and mutations for tests.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{FieldValue, MutableField, Mutation};
use crate::policy::{MutationPolicy, ScopePolicy};
use crate::workflow::Workflow;

/// Node `n0`, `n1`, … with all five fields.
pub(crate) fn node(index: usize) -> Value {
    json!({
        "node_id": format!("n{index}"),
        "agent_id": "writer",
        "objective": format!("Read report {index} and write down what it decides, in plain words. Thank the reader."),
        "depends_on": index.checked_sub(1).map(|below| format!("n{below}")).into_iter().collect::<Vec<_>>(),
        "output_contract": {
            "kind": "note",
            "validator": "generic_artifact",
            "summary_guidance": "Say what was decided and who decided it.",
        },
        "retry_policy": {"max_attempts": 2, "backoff_ms": 50},
        "timeout_ms": 60_000 + 1000 * index,
        "metadata": {"row": index},
    })
}

/// A workflow of `nodes`.
pub(crate) fn workflow_of(nodes: Vec<Value>) -> Workflow {
    Workflow::from_json(json!({
        "automation_id": "sample",
        "name": "Sample",
        "agents": [{"agent_id": "writer"}],
        "flow": {"nodes": nodes, "layout": "top-down"},
        "metadata": {"owner": "tests"},
    }))
    .unwrap()
}

/// A workflow of `count` nodes with all five fields; every second one has `retries` alone.
pub(crate) fn workflow(count: usize) -> Workflow {
    let nodes = (0..count).map(|index| {
        let mut node = node(index);
        if index % 2 == 1 {
            node["retry_policy"] = json!({"retries": 1});
        }
        node
    });
    workflow_of(nodes.collect())
}

/// The strict policy with everything allowed.
pub(crate) fn policy() -> MutationPolicy {
    MutationPolicy::strict(MutableField::ALL)
}

/// A scope without forbidden fields.
pub(crate) fn scope() -> ScopePolicy {
    ScopePolicy::default()
}

/// The mutation of `workflow` that sets `field` of node `n{index}` to `after`.
pub(crate) fn mutation(
    workflow: &Workflow,
    index: usize,
    field: MutableField,
    after: impl Into<FieldValue>,
) -> Mutation {
    let node = &workflow.nodes()[index];
    Mutation {
        node: node.id().clone(),
        field,
        before: field.spec().get(node).unwrap(),
        after: after.into(),
    }
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for FieldValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// A node's index, one of its fields, and a value for it; few values, so that they repeat.
pub(crate) fn change(nodes: usize) -> impl Strategy<Value = (usize, MutableField, FieldValue)> {
    let field = proptest::sample::select(MutableField::ALL.to_vec());
    (0..nodes, field, "[a-c]", 0..4i64).prop_map(|(index, field, text, number)| {
        let value = match field.spec().family() {
            super::Family::Text => FieldValue::Text(text),
            super::Family::Knob => FieldValue::Integer(number),
        };
        (index, field, value)
    })
}

/// The mutations of a random walk from `start`, and the workflow after each.
pub(crate) fn walk(
    start: &Workflow,
    changes: &[(usize, MutableField, FieldValue)],
) -> Vec<(Mutation, Workflow)> {
    let mut steps: Vec<(Mutation, Workflow)> = Vec::new();
    for (index, field, value) in changes {
        let here = steps.last().map_or(start, |(_, workflow)| workflow);
        if field.spec().get(&here.nodes()[*index]).is_none() {
            continue;
        }
        let mutation = mutation(here, *index, *field, value.clone());
        let next = super::validate::apply(here, &mutation).unwrap();
        steps.push((mutation, next));
    }
    steps
}
