//! Where two definitions differ in what they mean.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::fingerprint::meaning;
use super::{Node, Workflow};
use crate::canonical;
use crate::id::NodeId;

/// Levels of a path; what differs below is named by the value that holds it.
const DEPTH_MAX: u32 = 4;

/// The paths of what differs, such as `flow.nodes[classify].objective` or `agents[0].model_policy`. Empty
/// exactly when both have one fingerprint.
#[must_use]
pub fn differences(one: &Workflow, other: &Workflow) -> Vec<String> {
    let mut paths = Vec::new();
    objects("", (&meaning(one), &meaning(other)), DEPTH_MAX, &mut paths);
    nodes((one.nodes(), other.nodes()), &mut paths);
    paths
}

fn nodes((one, other): (&[Arc<Node>], &[Arc<Node>]), paths: &mut Vec<String>) {
    let order = |nodes: &[Arc<Node>]| -> Vec<NodeId> {
        nodes.iter().map(|node| node.id().clone()).collect()
    };
    let (ids, others) = (order(one), order(other));
    let find = |nodes: &[Arc<Node>], id: &NodeId| {
        nodes.iter().find(|node| node.id() == id).map(|node| node.to_json())
    };
    let all: BTreeSet<_> = ids.iter().chain(&others).collect();
    for id in &all {
        let at = format!("flow.nodes[{id}]");
        match (find(one, id), find(other, id)) {
            (Some(one), Some(other)) => values(&at, (&one, &other), DEPTH_MAX, paths),
            _ => paths.push(at),
        }
    }
    if ids != others && ids.len() == all.len() && others.len() == all.len() {
        paths.push("flow.nodes (their order)".to_owned());
    }
}

fn values(at: &str, (one, other): (&Value, &Value), depth: u32, paths: &mut Vec<String>) {
    if canonical::bytes(one) == canonical::bytes(other) {
        return;
    }
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if depth > 0 => {
            objects(at, (one, other), depth - 1, paths);
        }
        (Value::Array(one), Value::Array(other)) if depth > 0 && one.len() == other.len() => {
            for (index, pair) in one.iter().zip(other).enumerate() {
                values(&format!("{at}[{index}]"), pair, depth - 1, paths);
            }
        }
        _ => paths.push(at.to_owned()),
    }
}

fn objects(
    at: &str,
    (one, other): (&Map<String, Value>, &Map<String, Value>),
    depth: u32,
    paths: &mut Vec<String>,
) {
    let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    for key in keys {
        let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        match (one.get(key), other.get(key)) {
            (Some(one), Some(other)) => values(&at, (one, other), depth, paths),
            _ => paths.push(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workflow() -> Value {
        json!({
            "automation_id": "w",
            "name": "W",
            "agents": [{"agent_id": "x", "skills": ["s"]}, {"agent_id": "y"}],
            "metadata": {"team": "support"},
            "flow": {"nodes": [
                {"node_id": "a", "agent_id": "x", "objective": "o"},
                {"node_id": "b", "agent_id": "y", "objective": "p", "depends_on": ["a"]},
            ], "entry": "a"},
        })
    }

    fn paths(change: impl Fn(&mut Value)) -> Vec<String> {
        let before = Workflow::from_json(workflow()).unwrap();
        let mut after = workflow();
        change(&mut after);
        let after = Workflow::from_json(after).unwrap();
        let found = differences(&before, &after);
        assert_eq!(found, differences(&after, &before), "it is the same from both sides");
        assert_eq!(found.is_empty(), before.fingerprint() == after.fingerprint());
        found
    }

    #[test]
    fn each_difference_is_named_by_its_path() {
        let node = |key: &'static str, value: Value| {
            paths(move |document| document["flow"]["nodes"][0][key] = value.clone())
        };
        assert_eq!(node("objective", json!("other")), ["flow.nodes[a].objective"]);
        assert_eq!(node("custom", json!(1)), ["flow.nodes[a].custom"]);
        assert_eq!(
            paths(|document| document["agents"][0]["skills"] = json!([])),
            ["agents[0].skills"]
        );
        assert_eq!(
            paths(|document| document["agents"] =
                json!([{"agent_id": "x"}, {"agent_id": "y"}, {"agent_id": "z"}])),
            ["agents"]
        );
        assert_eq!(paths(|document| document["flow"]["entry"] = json!("b")), ["flow.entry"]);
        assert_eq!(
            paths(|document| document["metadata"] = json!({"team": "x", "more": 1})),
            ["metadata.more", "metadata.team"]
        );
    }

    #[test]
    fn nodes_that_came_went_or_moved_are_told() {
        let nodes = |order: &'static [usize]| {
            paths(move |document| {
                let all = document["flow"]["nodes"].clone();
                let kept = order.iter().map(|index| all[index].clone());
                document["flow"]["nodes"] = kept.collect();
            })
        };
        assert_eq!(nodes(&[0]), ["flow.nodes[b]"]);
        assert_eq!(nodes(&[1, 0]), ["flow.nodes (their order)"]);
    }

    #[test]
    fn what_means_nothing_is_no_difference() {
        assert_eq!(paths(|document| document["name"] = json!("other")), Vec::<String>::new());
        assert_eq!(paths(|document| document["status"] = json!("paused")), Vec::<String>::new());
    }
}
