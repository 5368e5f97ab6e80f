use super::super::sample;
use super::*;
use crate::mutation::Mutation;
use crate::mutation::validate::check_step;
use crate::quantity::Millis;
use crate::workflow::Workflow;

/// A node for each way in which a field may be there or not.
fn nodes() -> Vec<Node> {
    let mut bare = sample::node(0);
    let bare_fields = bare.as_object_mut().unwrap();
    for key in ["output_contract", "retry_policy", "timeout_ms"] {
        bare_fields.remove(key);
    }
    let mut odd = sample::node(1);
    odd["output_contract"] = serde_json::json!({"kind": "x"});
    odd["retry_policy"] = serde_json::json!({"max_attempts": "3", "retries": u64::MAX});
    odd["timeout_ms"] = u64::MAX.into();
    let workflow = sample::workflow_of(vec![bare, odd]);
    let all = sample::workflow(2);
    workflow.nodes().iter().chain(all.nodes()).map(|node| Node::clone(node)).collect()
}

fn values(field: MutableField) -> [FieldValue; 2] {
    match field.spec().family() {
        Family::Text => ["Ω new text".into(), "".into()],
        Family::Knob => [7.into(), i64::MAX.into()],
    }
}

#[test]
fn setting_what_is_there_changes_nothing() {
    for node in nodes() {
        for field in MutableField::ALL {
            if let Some(value) = field.spec().get(&node) {
                let mut same = node.clone();
                assert_eq!(field.spec().set(&mut same, value), Ok(()));
                assert_eq!(same, node);
            }
        }
    }
}

#[test]
fn a_value_that_was_set_is_read_back_and_nothing_else_changes() {
    for node in nodes() {
        for field in MutableField::ALL.into_iter().filter(|field| field.spec().get(&node).is_some())
        {
            for value in values(field) {
                let mut changed = node.clone();
                field.spec().set(&mut changed, value.clone()).unwrap();
                assert_eq!(field.spec().get(&changed), Some(value));
                assert_eq!(only_difference(&node, &changed), field.path());
                let old = field.spec().get(&node).unwrap();
                field.spec().set(&mut changed, old).unwrap();
                assert_eq!(changed, node);
            }
        }
    }
}

/// The path of the only JSON leaf in which the nodes differ.
fn only_difference(a: &Node, b: &Node) -> String {
    fn walk(a: &Value, b: &Value, path: &str, out: &mut Vec<String>) {
        match (a, b) {
            (Value::Object(a), Value::Object(b)) => {
                assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
                for (key, value) in a {
                    walk(value, &b[key], &format!("{path}.{key}"), out);
                }
            }
            (a, b) if a != b => out.push(path.trim_start_matches('.').to_owned()),
            _ => {}
        }
    }
    let mut paths = Vec::new();
    walk(&a.to_json(), &b.to_json(), "", &mut paths);
    paths.join(" and ")
}

#[test]
fn a_field_that_is_missing_or_opaque_cannot_be_set() {
    let mut refused = 0;
    for node in nodes() {
        for field in MutableField::ALL.into_iter().filter(|field| field.spec().get(&node).is_none())
        {
            let mut same = node.clone();
            for value in values(field) {
                let error = field.spec().set(&mut same, value).unwrap_err();
                assert!(["field_missing", "not_an_integer"].contains(&error.code()));
            }
            assert_eq!(same, node);
            refused += 1;
        }
    }
    assert!(refused >= 8);
}

#[test]
fn a_value_of_the_wrong_type_is_accepted_nowhere() {
    let node = &nodes()[2];
    for field in MutableField::ALL {
        let (wrong, code): (FieldValue, _) = match field.spec().family() {
            Family::Text => (3.into(), "not_a_text"),
            Family::Knob => ("3".into(), "not_an_integer"),
        };
        let right = values(field)[0].clone();
        assert_eq!(field.spec().accepts(&wrong).unwrap_err().code(), code);
        assert_eq!(field.spec().accepts(&right), Ok(()));
        for (before, after) in [(&wrong, &right), (&right, &wrong)] {
            let error = field.spec().check(before, after, &sample::policy()).unwrap_err();
            assert_eq!(error.code(), code);
        }
        if field.spec().get(node).is_some() {
            assert_eq!(field.spec().set(&mut node.clone(), wrong).unwrap_err().code(), code);
        }
    }
    let error = MutableField::TimeoutMs.spec().accepts(&(-1).into()).unwrap_err();
    assert_eq!(error.code(), "negative_duration");
}

#[test]
fn names_and_paths_are_those_of_the_format() {
    for field in MutableField::ALL {
        assert_eq!(serde_json::to_value(field).unwrap(), field.name());
        assert_eq!(field.name(), field.path().replace('.', "_"));
    }
}

#[test]
fn every_step_that_a_knob_offers_is_within_the_bounds() {
    let mut wide = sample::policy();
    wide.retry_delta = 5;
    wide.retry_max = 10;
    let mut empty = sample::policy();
    empty.retry_max = 0;
    empty.timeout_max = Millis(20_000);
    let edges = [i64::MIN, -1, 0, 1, 2, 3, 4, 29_999, 30_000, 60_000, 599_999, 620_000, i64::MAX];
    let mut offered = 0;
    for policy in [sample::policy(), wide, empty] {
        for (field, value) in
            MutableField::ALL.into_iter().flat_map(|field| edges.map(|n| (field, n)))
        {
            let Some(node) = knob_node(field, value) else {
                continue;
            };
            let mut seen = Vec::new();
            for step in Step::ALL {
                let Ok(after) = field.spec().step(&node, step, &policy) else {
                    continue;
                };
                let summary = field.spec().check(&value.into(), &after.into(), &policy);
                assert_eq!(summary, Ok(Summary::Knob { before: value, after }));
                assert_eq!(step.direction == Direction::Up, after > value);
                assert!(!seen.contains(&after), "{field} offers {after} twice");
                seen.push(after);
                offered += 1;
            }
        }
    }
    assert!(offered > 50, "{offered}");
}

/// A node whose knob `field` is `value`.
fn knob_node(field: MutableField, value: i64) -> Option<Node> {
    let workflow: Workflow = sample::workflow(2);
    let index = usize::from(field == MutableField::RetryPolicyRetries);
    let mut node = Node::clone(&workflow.nodes()[index]);
    field.spec().set(&mut node, value.into()).ok()?;
    Some(node)
}

#[test]
fn a_step_that_would_measure_nothing_is_not_offered() {
    let one_attempt = knob_node(MutableField::RetryPolicyMaxAttempts, 1).unwrap();
    let both = sample::workflow_of(vec![{
        let mut node = sample::node(0);
        node["retry_policy"]["retries"] = 1.into();
        node
    }]);
    let code = |field: MutableField, node: &Node, step| {
        field.spec().step(node, step, &sample::policy()).unwrap_err().code()
    };
    let [up, down, small_up, _] = Step::ALL;
    assert_eq!(code(MutableField::RetryPolicyMaxAttempts, &one_attempt, down), "no_room");
    assert_eq!(
        code(MutableField::RetryPolicyMaxAttempts, &one_attempt, small_up),
        "nothing_changed"
    );
    assert_eq!(code(MutableField::RetryPolicyRetries, &both.nodes()[0], up), "no_effect");
}

#[test]
fn each_bound_is_accepted_and_the_next_value_is_not() {
    let text = |n: usize| FieldValue::Text("x".repeat(n));
    // 400 characters: the ratio allows 100, the cap 300.
    let table: &[(MutableField, FieldValue, FieldValue, Option<&str>)] = &[
        (MutableField::Objective, text(400), text(500), None),
        (MutableField::Objective, text(400), text(501), Some("text_delta_ratio")),
        (MutableField::Objective, text(2000), text(2300), None),
        (MutableField::Objective, text(2000), text(2301), Some("text_delta_chars")),
        (MutableField::Objective, text(30), text(70), None),
        (MutableField::Objective, text(30), text(71), Some("text_delta_ratio")),
        (MutableField::Objective, text(30), text(30), Some("nothing_changed")),
        (MutableField::Objective, text(30), " \n".into(), Some("text_blank")),
        (MutableField::TimeoutMs, 60_000.into(), 69_000.into(), None),
        (MutableField::TimeoutMs, 60_000.into(), 69_001.into(), Some("timeout_delta")),
        (MutableField::TimeoutMs, 60_001.into(), 69_002.into(), None),
        (MutableField::TimeoutMs, 400_000.into(), 430_000.into(), None),
        (MutableField::TimeoutMs, 400_000.into(), 430_001.into(), Some("timeout_delta")),
        (MutableField::TimeoutMs, 620_000.into(), 600_000.into(), None),
        (MutableField::TimeoutMs, 20_000.into(), 23_000.into(), Some("timeout_bounds")),
        (MutableField::TimeoutMs, 30_000.into(), 29_999.into(), Some("timeout_bounds")),
        (MutableField::TimeoutMs, 30_000.into(), i64::MIN.into(), Some("timeout_bounds")),
        (MutableField::TimeoutMs, 30_000.into(), 30_000.into(), Some("nothing_changed")),
        (MutableField::RetryPolicyRetries, 2.into(), 3.into(), None),
        (MutableField::RetryPolicyRetries, 3.into(), 4.into(), Some("retry_bounds")),
        (MutableField::RetryPolicyRetries, 0.into(), (-1).into(), Some("retry_bounds")),
        (MutableField::RetryPolicyMaxAttempts, 1.into(), 3.into(), Some("retry_delta")),
        (MutableField::RetryPolicyMaxAttempts, i64::MAX.into(), 3.into(), Some("retry_delta")),
        (MutableField::RetryPolicyMaxAttempts, i64::MIN.into(), 0.into(), Some("retry_delta")),
        (MutableField::RetryPolicyMaxAttempts, 1.into(), 1.into(), Some("nothing_changed")),
    ];
    for (field, before, after, code) in table {
        let mutation = Mutation {
            node: crate::id::NodeId::new("a").unwrap(),
            field: *field,
            before: before.clone(),
            after: after.clone(),
        };
        let result = check_step(&mutation, &sample::policy());
        let found = result.as_ref().err().map(|error| error.code());
        assert_eq!(found, *code, "{field}: {before} -> {after}: {result:?}");
        if let Err(error) = result {
            let message = error.to_string();
            assert!(message.contains(r#""a""#) && message.contains(&field.path()), "{message}");
        }
    }
}
