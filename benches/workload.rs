//! Workflows of any size, about 2.2 KB of JSON for each node.

use serde_json::{Value, json};

use optim_core::mutation::MutableField;
use optim_core::policy::{MutationPolicy, Objective, ScopePolicy};
use optim_core::workflow::Workflow;

/// What the candidates are to be better at.
const OBJECTIVE: &str = "# Better digests\n\nWrite digests that a newcomer understands at once. Name the source of \
    every figure; never guess a number.\n\n- Keep the order of the report.\n- Use short sentences in plain words.\n";

/// The objective as a campaign holds it.
///
/// # Panics
/// Never: the text is a constant.
#[must_use]
#[expect(clippy::expect_used, reason = "the text is a constant")]
pub fn objective() -> Objective {
    serde_json::from_value(json!(OBJECTIVE)).expect("a text is an objective")
}

/// A workflow of `count` nodes in a chain, every mutable field present.
///
/// # Panics
/// Never: the document is well-formed.
#[must_use]
#[expect(clippy::expect_used, reason = "the document is well-formed")]
pub fn workflow(count: usize) -> Workflow {
    Workflow::from_json(document(count)).expect("the document is well-formed")
}

/// The same workflow as JSON.
#[must_use]
pub fn document(count: usize) -> Value {
    json!({
        "automation_id": "digest",
        "name": "Digest",
        "agents": [{"agent_id": "writer", "display_name": "Writer"}],
        "execution": {"max_parallel_agents": 4, "max_total_tokens": 1_000_000},
        "workspace_root": "/srv/digest",
        "flow": {"nodes": (0..count).map(node).collect::<Vec<_>>()},
    })
}

/// A node with an objective of 200 to 800 characters, a contract with schema and enforcement,
/// guidance, retry settings and metadata.
fn node(index: usize) -> Value {
    let sentence = |part: usize| {
        format!(
            "Read part {part} of section {index} and write down what it decides, for whom, and by when. "
        )
    };
    let sections = ["decision", "owner", "deadline", "figures", "sources", "open questions"];
    let properties: serde_json::Map<String, Value> = sections
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "string", "minLength": 1, "maxLength": 400, "description": format!("the {name} of section {index}")})))
        .collect();
    json!({
        "node_id": format!("section-{index:05}"),
        "agent_id": "writer",
        "objective": (0..2 + index % 7).map(sentence).collect::<String>(),
        "depends_on": index.checked_sub(1).map(|below| format!("section-{below:05}")).into_iter().collect::<Vec<_>>(),
        "input_refs": index.checked_sub(1).map(|below| json!({"from_step_id": format!("section-{below:05}"), "alias": "before"})).into_iter().collect::<Vec<_>>(),
        "stage_kind": "workstream",
        "timeout_ms": 60_000 + index % 90 * 1000,
        "retry_policy": {"max_attempts": 2, "backoff_ms": 500, "jitter": 0.25},
        "output_contract": {
            "kind": "digest",
            "validator": "structured_json",
            "summary_guidance": format!("Say in a few sentences what section {index} decides, who must act on it, and which figures it rests on. ").repeat(2),
            "schema": {"type": "object", "required": sections, "properties": properties},
            "enforcement": {"required_sections": sections, "min_sources": 2, "retry_on_missing": true},
        },
        "metadata": {"row": index, "owner": "reports", "tags": ["digest", "weekly", "board"], "review": {"by": "desk", "due_days": 3, "note": "Figures are checked against the ledger before the digest goes out; texts are read by two people."},
            "history": [{"by": "desk", "change": "split in two"}, {"by": "desk", "change": "new deadline"}]},
    })
}

/// The strict policy with every field allowed.
#[must_use]
pub fn policy() -> MutationPolicy {
    MutationPolicy::strict(MutableField::ALL)
}

/// A scope without forbidden fields.
#[must_use]
pub fn scope() -> ScopePolicy {
    ScopePolicy::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_about_as_much_json_as_in_the_targets() {
        let bytes = document(100).to_string().len() / 100;
        assert!((2100..2300).contains(&bytes), "{bytes}");
    }
}
