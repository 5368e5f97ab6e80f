use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::mutation::sample;
use crate::mutation::validate::apply;

/// A small workflow that uses every part of the format.
const GOLDEN: &str = r#"{
  "automation_id": "golden", "name": "Golden", "description": "d", "creator_id": "c", "status": "active",
  "schedule": {"type": "manual", "timezone": "UTC"}, "created_at_ms": 1, "updated_at_ms": 2,
  "next_fire_at_ms": 3, "last_fired_at_ms": 4, "output_targets": ["a"], "x_unknown": {"b": [1, 2.5], "a": null},
  "agents": [{"agent_id": "w", "display_name": "Writer"}], "execution": {"max_total_tokens": 9},
  "metadata": {"k": "v", "optimization_apply_history": [{}], "last_optimization_apply": {}},
  "flow": {"nodes": [
    {"node_id": "a", "agent_id": "w", "objective": "Find the größte file.", "timeout_ms": 60000,
     "retry_policy": {"max_attempts": 2, "retries": "one"}, "x_more": true},
    {"node_id": "b", "agent_id": "w", "objective": "Sum up.", "depends_on": ["a"],
     "output_contract": {"kind": "note", "validator": "generic_artifact", "summary_guidance": "Be brief."}},
    {"node_id": "c", "agent_id": "w", "objective": "Check."}
  ]}
}"#;

fn golden() -> Value {
    serde_json::from_str(GOLDEN).unwrap()
}

fn fingerprint(json: Value) -> Fingerprint {
    Workflow::from_json(json).unwrap().fingerprint()
}

#[test]
fn the_fingerprint_of_a_fixed_workflow_never_changes() {
    // A change here breaks every stored campaign: raise the versions in the domains, and say so.
    assert_eq!(
        fingerprint(golden()).to_string(),
        "sha256:abe3f39070f34bf6cc67a12f5fbac868042117bb99ed59371d903138cc59cb9f"
    );
}

#[test]
fn the_order_of_keys_and_spacing_do_not_matter() {
    fn reversed(value: &Value) -> String {
        match value {
            Value::Object(map) => {
                let entries = map
                    .iter()
                    .rev()
                    .map(|(key, value)| format!("{} :\n {}", json!(key), reversed(value)));
                format!("{{ {} }}", entries.collect::<Vec<_>>().join(" , "))
            }
            Value::Array(items) => {
                format!("[{}]", items.iter().map(reversed).collect::<Vec<_>>().join(",\t"))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        }
    }
    let text = reversed(&golden());
    assert!(text.find("x_unknown") < text.find("automation_id"));
    let again = serde_json::from_str(&text).unwrap();
    assert_eq!(fingerprint(again), fingerprint(golden()));
}

/// Every way to remove or change one leaf or key of `value`, with its JSON pointer.
fn edits(value: &Value, path: &str, out: &mut Vec<(String, Option<Value>)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{path}/{key}");
                out.push((path.clone(), None));
                edits(value, &path, out);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                edits(value, &format!("{path}/{index}"), out);
            }
        }
        Value::String(text) => out.push((path.to_owned(), Some(json!(format!("{text}!"))))),
        Value::Number(number) => {
            out.push((path.to_owned(), Some(json!(number.as_f64().unwrap() + 1.0))));
        }
        Value::Bool(old) => out.push((path.to_owned(), Some(json!(!old)))),
        Value::Null => out.push((path.to_owned(), Some(json!("now something")))),
    }
}

#[test]
fn every_field_counts_except_those_that_say_nothing_about_behaviour() {
    let ignored = |path: &str| {
        let of = |keys: &[&str], at: &str| {
            keys.iter().any(|key| path.starts_with(&format!("{at}/{key}")))
        };
        of(&IGNORED, "") || of(&APPLY_HISTORY, "/metadata")
    };
    let mut all = Vec::new();
    edits(&golden(), "", &mut all);
    let (mut counted, mut skipped) = (0, 0);
    for (path, value) in all {
        let mut json = golden();
        match value {
            Some(value) => *json.pointer_mut(&path).unwrap() = value,
            None => {
                let (parent, key) = path.rsplit_once('/').unwrap();
                json.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key);
            }
        }
        let Ok(workflow) = Workflow::from_json(json) else {
            continue;
        };
        let same = workflow.fingerprint() == fingerprint(golden());
        assert_eq!(same, ignored(&path), "{path}");
        if same { skipped += 1 } else { counted += 1 }
    }
    assert!(counted > 40 && skipped > IGNORED.len() + APPLY_HISTORY.len(), "{counted} {skipped}");
}

#[test]
fn a_field_that_is_added_counts_unless_it_is_ignored() {
    let table = [
        ("", "new", false),
        ("/flow/nodes/2", "new", false),
        ("/flow", "new", false),
        ("/metadata", "new", false),
    ];
    for (parent, key, same) in table {
        let mut json = golden();
        json.pointer_mut(parent).unwrap()[key] = json!(1);
        assert_eq!(fingerprint(json) == fingerprint(golden()), same, "{parent}/{key}");
    }
    let mut bare = golden();
    bare.as_object_mut().unwrap().remove("metadata");
    let mut applied = bare.clone();
    applied["metadata"] = json!({"optimization_apply_history": [{"by": "us"}]});
    assert_eq!(fingerprint(applied), fingerprint(bare), "our own record is no change");
}

#[test]
fn nodes_cannot_trade_places_or_values() {
    let mut swapped = golden();
    swapped["flow"]["nodes"].as_array_mut().unwrap().swap(0, 1);
    let mut traded = golden();
    traded["flow"]["nodes"][1]["objective"] = json!("Be brief.");
    traded["flow"]["nodes"][1]["output_contract"]["summary_guidance"] = json!("Sum up.");
    let mut doubled = golden();
    let last = doubled["flow"]["nodes"][2].clone();
    doubled["flow"]["nodes"].as_array_mut().unwrap().push(last);
    for other in [swapped, traded, doubled] {
        assert_ne!(fingerprint(other), fingerprint(golden()));
    }
}

proptest! {
    #[test]
    fn the_tree_knows_the_fingerprint_of_a_candidate_that_was_never_built(
        (count, change) in (1..34usize).prop_flat_map(|count| (Just(count), sample::change(count))),
    ) {
        let workflow = sample::workflow(count);
        let tree = FingerprintTree::new(&workflow);
        prop_assert_eq!(tree.fingerprint(), workflow.fingerprint());
        let (index, field, value) = change;
        if field.spec().get(&workflow.nodes()[index]).is_some() {
            let mutation = sample::mutation(&workflow, index, field, value.clone());
            let candidate = apply(&workflow, &mutation).unwrap();
            prop_assert_eq!(tree.with_change(index, field, &value), Some(candidate.fingerprint()));
            let moved = tree.moved(index, field, &value).unwrap();
            prop_assert_eq!(moved.fingerprint(), candidate.fingerprint());
            // The moved tree is whole: it knows the candidates of every node.
            for other in 0..count {
                let timeout = FieldValue::Integer(1);
                let next = sample::mutation(&candidate, other, MutableField::TimeoutMs, 1);
                prop_assert_eq!(
                    moved.with_change(other, MutableField::TimeoutMs, &timeout),
                    Some(apply(&candidate, &next).unwrap().fingerprint())
                );
            }
        }
        prop_assert_eq!(tree.with_change(count, field, &value), None);
        prop_assert!(tree.moved(count, field, &value).is_none());
    }
}
