//! A first version of candidate handling, as anyone would write it: clone the workflow, change the
//! field, compare both documents node by node, hash the whole.

use optim_core::canonical;
use optim_core::digest::Digest;
use optim_core::mutation::{FieldValue, MutableField, Mutation};
use optim_core::policy::MutationPolicy;
use optim_core::workflow::Workflow;
use serde_json::{Map, Value};

/// Builds the candidate, validates it and identifies it; `None` when it is refused.
#[must_use]
pub fn candidate(
    baseline: &Workflow,
    mutation: &Mutation,
    policy: &MutationPolicy,
) -> Option<Digest> {
    let mut changed = baseline.to_json();
    let path = mutation.field.spec().path();
    let mut place = nodes_mut(&mut changed)?
        .iter_mut()
        .find(|node| node.get("node_id").and_then(Value::as_str) == Some(mutation.node.as_str()))?;
    for key in path {
        place = place.get_mut(key)?;
    }
    *place = match &mutation.after {
        FieldValue::Text(text) => text.as_str().into(),
        FieldValue::Integer(number) => (*number).into(),
    };
    let is_valid = is_valid(&baseline.to_json(), &changed, policy);
    is_valid.then(|| Digest::of(&canonical::bytes(&changed)))
}

/// Whether the documents differ in one allowed field, within its bounds.
fn is_valid(baseline: &Value, candidate: &Value, policy: &MutationPolicy) -> bool {
    let (Some(old), Some(new)) = (nodes(baseline), nodes(candidate)) else {
        return false;
    };
    if without_flow(baseline) != without_flow(candidate) || old.len() != new.len() {
        return false;
    }
    let mut changes = 0;
    for (old, new) in old.iter().zip(new) {
        if masked(old) != masked(new) {
            return false;
        }
        for field in MutableField::ALL {
            let (before, after) = (value(old, field), value(new, field));
            if before == after {
                continue;
            }
            let (Some(before), Some(after)) = (before, after) else {
                return false;
            };
            let allowed = policy.allowed.contains(&field);
            if !allowed || field.spec().check(&before, &after, policy).is_err() {
                return false;
            }
            changes += 1;
        }
    }
    changes == 1
}

fn nodes(document: &Value) -> Option<&Vec<Value>> {
    document.get("flow")?.get("nodes")?.as_array()
}

fn nodes_mut(document: &mut Value) -> Option<&mut Vec<Value>> {
    document.get_mut("flow")?.get_mut("nodes")?.as_array_mut()
}

fn without_flow(document: &Value) -> Option<Vec<(&String, &Value)>> {
    let keys = document.as_object()?.iter();
    Some(keys.filter(|(key, _)| *key != "flow").collect())
}

/// The node without its mutable fields.
fn masked(node: &Value) -> Value {
    let mut node = node.clone();
    for field in MutableField::ALL {
        if let Some((last, parents)) = field.spec().path().split_last() {
            let parent = parents.iter().try_fold(&mut node, |place, key| place.get_mut(*key));
            if let Some(parent) = parent.and_then(Value::as_object_mut) {
                drop::<Option<Value>>(Map::remove(parent, *last));
            }
        }
    }
    node
}

fn value(node: &Value, field: MutableField) -> Option<FieldValue> {
    let mut path = field.spec().path().iter();
    let value = path.try_fold(node, |place, key| place.get(*key))?;
    let text = value.as_str().map(|text| FieldValue::Text(text.to_owned()));
    text.or_else(|| value.as_i64().map(FieldValue::Integer))
}
