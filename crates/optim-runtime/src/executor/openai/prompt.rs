//! The words that a model is given.
//!
//! The system message is the agent's `instructions`, when it has any. The user message is made of
//! these parts, in this order, an absent one left out: the node's objective; the case's inputs, one
//! section each; the outputs of earlier nodes, one section each under its alias; the contract's
//! summary guidance; the settings of the contract's validator; the schema that the answer must meet.

use optim_core::node_io::NodeRequest;
use serde_json::{Map, Value, json};

/// Whether the contract of `request` wants JSON, and under which schema.
pub(super) enum Wanted<'a> {
    /// Any text.
    Text,
    /// JSON of any shape.
    Json,
    /// JSON that meets this schema.
    Schema(&'a Value),
}

impl<'a> Wanted<'a> {
    pub(super) fn of(request: &'a NodeRequest) -> Self {
        match present(request, "schema") {
            Some(schema) => Self::Schema(schema),
            None if present(request, "validator").is_some_and(|rule| rule == "structured_json") => {
                Self::Json
            }
            None => Self::Text,
        }
    }
}

/// The messages of a chat.
pub(super) fn messages(request: &NodeRequest) -> Vec<Value> {
    let instructions = request.agent.get("instructions").and_then(Value::as_str);
    let system = instructions.filter(|text| !text.trim().is_empty());
    let message = |role: &str, text: &str| json!({"role": role, "content": text});
    let user = message("user", &user(request));
    system.map(|text| message("system", text)).into_iter().chain([user]).collect()
}

fn user(request: &NodeRequest) -> String {
    let mut parts = vec![request.objective.clone()];
    parts.extend(sections("Input", &request.inputs));
    parts.extend(sections("Result of an earlier step", &request.upstream));
    let guidance = present(request, "summary_guidance").and_then(Value::as_str);
    parts.extend(guidance.map(ToOwned::to_owned));
    let enforcement = present(request, "enforcement").filter(|rule| **rule != json!({}));
    parts.extend(enforcement.map(|rule| format!("The answer is checked by these rules: {rule}")));
    match Wanted::of(request) {
        Wanted::Text => {}
        Wanted::Json => parts.push("Answer with one JSON value and nothing else.".to_owned()),
        Wanted::Schema(schema) => parts.push(format!(
            "Answer with one JSON value that meets this JSON schema, and nothing else: {schema}"
        )),
    }
    parts.join("\n\n")
}

/// Texts as they are, everything else as JSON.
fn sections(kind: &str, values: &Map<String, Value>) -> Vec<String> {
    let section = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{kind} `{name}`:\n{text}"),
        other => format!("{kind} `{name}`:\n{other}"),
    };
    values.iter().map(section).collect()
}

/// A field of the contract that is there and not null.
fn present<'a>(request: &'a NodeRequest, key: &str) -> Option<&'a Value> {
    request.contract.as_ref()?.get(key).filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::super::tests::request;
    use super::*;

    #[test]
    fn the_parts_come_in_their_order_and_absent_ones_leave_no_trace() {
        let object = |value: Value| value.as_object().unwrap().clone();
        let full = NodeRequest {
            inputs: object(json!({"text": "it\ncrashes", "count": 2})),
            upstream: object(json!({"draft": {"a": 1}})),
            contract: Some(json!({
                "kind": "k", "summary_guidance": "Be brief.", "schema": {"type": "object"},
                "validator": "structured_json", "enforcement": {"required_sections": ["x"]},
            })),
            agent: object(json!({"agent_id": "x", "instructions": "You sort tickets."})),
            ..request()
        };
        assert_eq!(
            messages(&full),
            [
                json!({"role": "system", "content": "You sort tickets."}),
                json!({"role": "user", "content": "Choose a queue.\n\nInput `count`:\n2\n\nInput `text`:\nit\ncrashes\n\nResult of an earlier step `draft`:\n{\"a\":1}\n\nBe brief.\n\nThe answer is checked by these rules: {\"required_sections\":[\"x\"]}\n\nAnswer with one JSON value that meets this JSON schema, and nothing else: {\"type\":\"object\"}"}),
            ]
        );
        let contract = Some(json!({"kind": "k", "schema": null, "enforcement": {}}));
        let bare = NodeRequest { inputs: Map::new(), contract, ..request() };
        assert_eq!(messages(&bare), [json!({"role": "user", "content": "Choose a queue."})]);
    }

    #[test]
    fn nothing_of_the_request_but_these_parts_is_told() {
        let request = request();
        let told = Value::Array(messages(&request)).to_string();
        for secret in [&request.attempt.id, &request.working_directory, &"agent_id".to_owned()] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
    }
}
