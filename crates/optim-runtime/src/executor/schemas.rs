//! The published JSON schemas of executors accept what the types write and read, and nothing else.

use jsonschema::Validator;
use optim_core::node_io::{Attempt, ErrorClass, Limits, NodeError, NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_core::quantity::{MicroUsd, Millis, Tokens};
use serde_json::{Map, Value, json};

fn schema(text: &str) -> Validator {
    let schema: Value = serde_json::from_str(text).unwrap();
    assert!(jsonschema::draft202012::meta::is_valid(&schema));
    jsonschema::draft202012::new(&schema).unwrap()
}

fn request_schema() -> Validator {
    schema(include_str!("../../../../docs/reference/node-request.schema.json"))
}

fn response_schema() -> Validator {
    schema(include_str!("../../../../docs/reference/node-response.schema.json"))
}

/// Whether the schema accepts `value`, which must be what the type does.
fn accepts<T: serde::de::DeserializeOwned>(schema: &Validator, value: &Value) -> bool {
    let accepted = schema.is_valid(value);
    assert_eq!(
        serde_json::from_value::<T>(value.clone()).is_ok(),
        accepted,
        "the type differs: {value}"
    );
    accepted
}

fn request() -> NodeRequest {
    let map = |value: Value| value.as_object().cloned().unwrap();
    NodeRequest {
        objective: "Sort the ticket.".to_owned(),
        inputs: map(json!({"text": "it crashes"})),
        upstream: map(json!({"draft": null})),
        contract: Some(json!({"kind": "k", "schema": {}})),
        attempt: Attempt { id: "1f".to_owned(), number: 1, seed: u64::MAX },
        limits: Limits { timeout_ms: 1, max_output_bytes: 1, max_tokens: Some(0) },
        working_directory: "/tmp/run".to_owned(),
        for_effect: false,
        agent: map(json!({"agent_id": "x"})),
    }
}

/// Every field of `value` with its JSON pointer.
fn fields(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    for (key, inner) in value.as_object().into_iter().flatten() {
        found.push((at.to_owned(), key.clone()));
        fields(inner, &format!("{at}/{key}"), found);
    }
}

#[test]
fn requests_as_they_are_written_meet_the_schema() {
    let full = request();
    let mut bare =
        NodeRequest { inputs: Map::new(), contract: None, agent: Map::new(), ..request() };
    bare.limits.max_tokens = None;
    for request in [full, bare] {
        let value = serde_json::to_value(request).unwrap();
        let errors: Vec<_> =
            request_schema().iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{value}: {errors:?}");
    }
}

#[test]
fn threat_09_requests_with_a_field_missing_added_or_of_another_type_are_refused() {
    let (schema, whole) = (request_schema(), serde_json::to_value(request()).unwrap());
    let opaque = |at: &str| {
        ["/inputs", "/upstream", "/contract", "/agent"].iter().any(|free| at.starts_with(free))
    };
    let mut all = Vec::new();
    fields(&whole, "", &mut all);
    for (at, key) in all.into_iter().filter(|(at, _)| !opaque(at)) {
        let changed = |change: &dyn Fn(&mut Map<String, Value>)| {
            let mut value = whole.clone();
            change(value.pointer_mut(&at).and_then(Value::as_object_mut).unwrap());
            value
        };
        // An optional contract is written as null; an absent one is no request of ours.
        let missing = changed(&|map| drop(map.remove(&key)));
        assert_eq!(schema.is_valid(&missing), key == "max_tokens", "without {at}/{key}");
        let retyped = changed(&|map| drop(map.insert(key.clone(), json!([true]))));
        assert!(!schema.is_valid(&retyped), "{at}/{key} of another type");
        assert!(!accepts::<NodeRequest>(
            &schema,
            &changed(&|map| drop(map.insert("case_id".to_owned(), json!("c"))))
        ));
    }
}

#[test]
fn answers_as_they_are_written_meet_the_schema() {
    let usage = Usage {
        prompt_tokens: Tokens(1),
        completion_tokens: Tokens(2),
        cost: MicroUsd(3),
        latency: Millis(u64::MAX),
        estimated: true,
    };
    let classes = [
        ErrorClass::Provider,
        ErrorClass::Configuration,
        ErrorClass::Timeout,
        ErrorClass::InvalidOutput,
        ErrorClass::Blocked,
        ErrorClass::Failed,
    ];
    let errors = classes.map(|class| Err(NodeError::new(class, "m")));
    let busy = NodeError::new(ErrorClass::Provider, "busy");
    let busy = Err(NodeError { retry_after: Some(Millis(u64::MAX)), ..busy });
    let contents = [Ok(Value::Null), Ok(json!({"queue": "bug"})), Ok(json!("text"))];
    for result in contents.into_iter().chain(errors).chain([busy]) {
        let value = serde_json::to_value(NodeResponse { result, usage }).unwrap();
        assert!(accepts::<NodeResponse>(&response_schema(), &value), "{value}");
    }
}

#[test]
fn the_schema_of_answers_and_the_type_agree_on_what_is_no_answer() {
    let schema = response_schema();
    for (answer, is_one) in [
        (json!({"content": null}), true),
        (json!({"content": 1, "usage": {"latency_ms": 5}}), true),
        (json!({"error": {"class": "blocked", "message": ""}, "usage": {}}), true),
        (json!({"content": 1, "attempt_id": "1f"}), true),
        (json!({"content": 1, "attempt_id": null}), true),
        (json!({"error": {"class": "provider", "message": "", "retry_after_ms": 5}}), true),
        (json!({"error": {"class": "provider", "message": "", "retry_after_ms": null}}), true),
        (json!({"error": {"class": "provider", "message": "", "retry_after_ms": "5"}}), false),
        (json!({"error": {"class": "provider", "message": "", "retry_after_ms": -5}}), false),
        (json!({"content": 1, "attempt_id": 1}), false),
        (json!({}), false),
        (json!({"usage": {}}), false),
        (json!([]), false),
        (json!({"contents": 1}), false),
        (json!({"content": 1, "extra": 1}), false),
        (json!({"content": 1, "error": {"class": "failed", "message": ""}}), false),
        (json!({"error": {"class": "panic", "message": ""}}), false),
        (json!({"error": {"class": "failed"}}), false),
        (json!({"error": {"class": "failed", "message": "", "code": 3}}), false),
        (json!({"content": 1, "usage": {"tokens": 3}}), false),
        (json!({"content": 1, "usage": {"prompt_tokens": -1}}), false),
        (json!({"content": 1, "usage": {"cost_micro_usd": 0.5}}), false),
        (json!({"content": 1, "usage": null}), false),
        (json!({"content": 1, "usage": {"estimated": false}}), true),
        (json!({"content": 1, "usage": {"estimated": 1}}), false),
    ] {
        assert_eq!(accepts::<NodeResponse>(&schema, &answer), is_one, "{answer}");
    }
}
