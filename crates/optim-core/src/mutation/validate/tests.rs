use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::mutation::sample;
use crate::policy::FieldPattern;

/// The sample of two nodes after an edit of its JSON.
fn edited(edit: impl FnOnce(&mut Value)) -> Workflow {
    let mut json = sample::workflow(2).to_json();
    edit(&mut json);
    Workflow::from_json(json).unwrap()
}

#[test]
fn a_foreign_candidate_is_refused_for_what_else_it_changes() {
    type Edit = fn(&mut Value);
    let table: &[(&str, &str, Edit)] = &[
        ("outside_flow_changed", "\"name\"", |w| w["name"] = json!("Other")),
        ("outside_flow_changed", "\"creator_id\"", |w| w["creator_id"] = json!("me")),
        ("outside_flow_changed", "\"flow\"", |w| w["flow"]["layout"] = json!("left")),
        ("node_count_changed", "3 nodes", |w| {
            let node = w["flow"]["nodes"][0].clone();
            w["flow"]["nodes"].as_array_mut().unwrap().push(node);
        }),
        ("node_id_changed", "\"n0\"", |w| w["flow"]["nodes"].as_array_mut().unwrap().swap(0, 1)),
        ("fixed_part_changed", "\"metadata\"", |w| {
            w["flow"]["nodes"][1]["metadata"]["row"] = json!(9)
        }),
        ("fixed_part_changed", "\"output_contract\"", |w| {
            w["flow"]["nodes"][0]["output_contract"]["kind"] = json!("other");
        }),
        ("fixed_part_changed", "\"retry_policy\"", |w| {
            w["flow"]["nodes"][1]["retry_policy"]["backoff_ms"] = json!(1);
        }),
        // Absent is not the same as empty.
        ("fixed_part_changed", "\"retry_policy\"", |w| {
            w["flow"]["nodes"][1].as_object_mut().unwrap().remove("retry_policy");
        }),
        ("nothing_changed", "equals the baseline", |_| {}),
        ("more_than_one_change", "one field family", |w| {
            w["flow"]["nodes"][0]["objective"] = json!("x");
            w["flow"]["nodes"][0]["timeout_ms"] = json!(1);
        }),
        ("more_than_one_change", "one field family", |w| {
            w["flow"]["nodes"][0]["objective"] = json!("x");
            w["flow"]["nodes"][1]["objective"] = json!("x");
        }),
        ("field_created_or_removed", "does not have it", |w| {
            w["flow"]["nodes"][1]["retry_policy"]["max_attempts"] = json!(1);
        }),
        ("field_created_or_removed", "does not have it", |w| {
            w["flow"]["nodes"][1]["retry_policy"]["max_attempts"] = json!(u64::MAX);
        }),
        ("field_created_or_removed", "removes it", |w| {
            w["flow"]["nodes"][0].as_object_mut().unwrap().remove("timeout_ms");
        }),
        ("not_an_integer", "\"3\"", |w| {
            w["flow"]["nodes"][0]["retry_policy"]["max_attempts"] = json!("3")
        }),
        ("not_an_integer", "1.5", |w| {
            w["flow"]["nodes"][0]["retry_policy"]["max_attempts"] = json!(1.5)
        }),
        ("not_an_integer", "18446744073709551615", |w| {
            w["flow"]["nodes"][0]["timeout_ms"] = json!(u64::MAX)
        }),
    ];
    for (code, words, edit) in table {
        let error = diff(&sample::workflow(2), &edited(edit)).unwrap_err();
        assert_eq!(error.code(), *code, "{error}");
        assert!(error.to_string().contains(words), "{error} lacks {words}");
    }
}

#[test]
fn a_change_between_two_values_that_are_no_integers_is_seen() {
    for (old, new) in
        [(json!("3"), json!("9")), (json!(1.5), json!(99.5)), (json!(null), json!("9"))]
    {
        let set = |value: Value| {
            edited(|w| w["flow"]["nodes"][0]["retry_policy"]["max_attempts"] = value)
        };
        let error = diff(&set(old), &set(new)).unwrap_err();
        assert_eq!(error.code(), "not_an_integer");
    }
}

#[test]
fn the_changed_node_must_be_the_only_one_of_its_id() {
    let twice = || sample::workflow_of(vec![sample::node(0), sample::node(0)]);
    let mutation = sample::mutation(&twice(), 0, MutableField::TimeoutMs, 61_000);
    let (policy, scope) = (sample::policy(), sample::scope());
    let codes = [
        check_mutation(&twice(), &mutation, &policy, &scope).unwrap_err().code(),
        apply(&twice(), &mutation).unwrap_err().code(),
        diff(&twice(), &twice().with_node(0, twice_changed(&twice()))).unwrap_err().code(),
    ];
    assert_eq!(codes, ["node_id_duplicate"; 3]);
}

fn twice_changed(workflow: &Workflow) -> Node {
    let mut node = Node::clone(&workflow.nodes()[0]);
    MutableField::TimeoutMs.spec().set(&mut node, 61_000.into()).unwrap();
    node
}

#[test]
fn a_candidate_shares_every_node_but_the_changed_one() {
    let baseline = sample::workflow(9);
    let mutation = sample::mutation(&baseline, 4, MutableField::TimeoutMs, 65_000);
    let candidate = apply(&baseline, &mutation).unwrap();
    let pairs = baseline.nodes().iter().zip(candidate.nodes());
    let copied: Vec<_> = (0..).zip(pairs).filter(|(_, (a, b))| !Arc::ptr_eq(a, b)).collect();
    assert_eq!(copied.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [4]);
}

#[test]
fn a_mutation_is_refused_by_the_first_rule_it_breaks() {
    let workflow = sample::workflow(2);
    let good = sample::mutation(&workflow, 1, MutableField::TimeoutMs, 62_000);
    let check = |mutation: &Mutation, policy: &MutationPolicy, scope: &ScopePolicy| {
        check_mutation(&workflow, mutation, policy, scope).map_err(|error| error.code())
    };
    let (policy, scope) = (sample::policy(), sample::scope());
    let summary = Summary::Knob { before: 61_000, after: 62_000 };
    assert_eq!(check(&good, &policy, &scope), Ok(summary));

    let elsewhere = Mutation { node: NodeId::new("n9").unwrap(), ..good.clone() };
    assert_eq!(check(&elsewhere, &policy, &scope), Err("node_missing"));
    let stale = Mutation { before: 60_000.into(), ..good.clone() };
    assert_eq!(check(&stale, &policy, &scope), Err("baseline_differs"));
    let missing = Mutation { field: MutableField::RetryPolicyMaxAttempts, ..good.clone() };
    assert_eq!(check(&missing, &policy, &scope), Err("field_missing"));
    let same = Mutation { after: good.before.clone(), ..good };
    assert_eq!(check(&same, &policy, &scope), Err("nothing_changed"));

    let mut texts_only = policy;
    texts_only.allowed = [MutableField::Objective].into();
    assert_eq!(check(&stale, &texts_only, &scope), Err("field_not_allowed"));
}

#[test]
fn a_forbidden_field_is_refused_with_the_entry_that_forbids_it() {
    let workflow = sample::workflow(2);
    let mutation = sample::mutation(&workflow, 1, MutableField::TimeoutMs, 62_000);
    let node = |id| Some(NodeId::new(id).unwrap());
    let field = Some(MutableField::TimeoutMs);
    let table = [
        (None, field, Some("\"timeout_ms\"")),
        (node("n1"), None, Some("\"nodes.n1.*\"")),
        (node("n1"), field, Some("\"nodes.n1.timeout_ms\"")),
        (node("n0"), field, None),
        (node("n1"), Some(MutableField::Objective), None),
    ];
    for (node, field, words) in table {
        let mut scope = sample::scope();
        scope.forbidden_fields.push(FieldPattern { node, field });
        let result = check_mutation(&workflow, &mutation, &sample::policy(), &scope);
        match (words, result) {
            (None, result) => assert!(result.is_ok()),
            (Some(words), result) => {
                let error = result.unwrap_err();
                assert_eq!(error.code(), "field_forbidden");
                assert!(error.to_string().contains(words), "{error}");
            }
        }
    }
}

proptest! {
    #[test]
    fn the_difference_of_a_candidate_is_its_mutation(change in sample::change(3)) {
        let workflow = sample::workflow(3);
        if let Some((mutation, candidate)) = sample::walk(&workflow, &[change]).pop() {
            let found = diff(&workflow, &candidate);
            if mutation.before == mutation.after {
                prop_assert_eq!(found, Err(MutationError::NothingChanged));
            } else {
                prop_assert_eq!(found.as_ref(), Ok(&mutation));
                // A candidate that was read from a file shares no nodes and gives the same answer.
                let read = Workflow::from_json(candidate.to_json()).unwrap();
                prop_assert_eq!(diff(&workflow, &read), found);
            }
        }
    }
}
