use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::Proposal;
use super::*;
use crate::mutation::sample;
use crate::mutation::validate::{apply, check_mutation};
use crate::policy::{FieldPattern, ScopePolicy};
use crate::workflow::Workflow;

const OBJECTIVE: &str = "# Better notes\n\nWrite notes that a newcomer understands. Name the source of each fact; never guess.\n\n- Keep every note short";

fn rules(objective: &str, seed: u64) -> Rules {
    let objective = serde_json::from_value(serde_json::json!(objective)).unwrap();
    Rules::new(&objective, seed)
}

fn prepared(workflow: Workflow) -> Prepared {
    Prepared::new(Arc::new(workflow), sample::policy(), sample::scope()).unwrap()
}

fn offers(objective: &str, seed: u64, prepared: &Prepared) -> Vec<Offer> {
    rules(objective, seed).stream(prepared, Cursor::default()).collect()
}

fn proposals(offers: Vec<Offer>) -> Vec<Proposal> {
    offers.into_iter().filter_map(Offer::proposal).collect()
}

/// The sample with a first objective of `text`.
fn with_objective(text: &str) -> Workflow {
    let mut node = sample::node(0);
    node["objective"] = text.into();
    sample::workflow_of(vec![node])
}

#[test]
fn every_proposal_is_valid_unique_and_identified() {
    for count in [1, 2, 5, 8] {
        let prepared = prepared(sample::workflow(count));
        let baseline = prepared.baseline();
        let found = proposals(offers(OBJECTIVE, 3, &prepared));
        assert!(found.len() > 20 * count);
        let mut seen = BTreeSet::new();
        for proposal in found {
            let Proposal { mutation, candidate, summary, .. } = proposal;
            let checked = check_mutation(baseline, &mutation, &sample::policy(), &sample::scope());
            assert_eq!(checked, Ok(summary));
            assert_eq!(apply(baseline, &mutation).unwrap().fingerprint(), candidate);
            assert!(seen.insert(candidate), "twice: {mutation:?}");
        }
    }
}

#[test]
fn every_field_is_changed_and_knobs_go_both_ways() {
    let found = proposals(offers(OBJECTIVE, 0, &prepared(sample::workflow(2))));
    let fields: BTreeSet<_> = found.iter().map(|p| p.mutation.field).collect();
    assert_eq!(fields.len(), MutableField::ALL.len());
    let timeouts: BTreeSet<_> = found
        .iter()
        .filter(|p| p.mutation.field == MutableField::TimeoutMs && p.mutation.node.as_str() == "n0")
        .map(|p| p.mutation.after.clone())
        .collect();
    assert_eq!(timeouts, [51_000, 57_000, 63_000, 69_000].map(FieldValue::Integer).into());
}

#[test]
fn the_first_options_differ_in_node_and_field() {
    for seed in 0..8 {
        let found = proposals(offers(OBJECTIVE, seed, &prepared(sample::workflow(6))));
        let first: Vec<_> = found.iter().take(5).map(|p| p.mutation.clone()).collect();
        let nodes: BTreeSet<_> = first.iter().map(|m| &m.node).collect();
        let fields: BTreeSet<_> = first.iter().map(|m| m.field).collect();
        assert!(nodes.len() >= 4 && fields.len() >= 3, "{first:?}");
    }
}

#[test]
fn short_texts_get_candidates_too() {
    for length in 1..=60 {
        let text: String = "Sort the mail and name who owns it now and next, please do it"
            .chars()
            .take(length)
            .collect();
        let found = proposals(offers(OBJECTIVE, 0, &prepared(with_objective(text.trim()))));
        let texts = found.iter().filter(|p| p.mutation.field == MutableField::Objective);
        assert!(texts.count() >= 8, "{text}");
    }
}

#[test]
fn the_same_seed_gives_the_same_order_and_another_seed_another() {
    let prepared = prepared(sample::workflow(7));
    let order = |seed| {
        proposals(offers(OBJECTIVE, seed, &prepared))
            .into_iter()
            .map(|p| p.candidate)
            .collect::<Vec<_>>()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn another_objective_gives_other_candidates() {
    let prepared = prepared(sample::workflow(3));
    let set = |objective| {
        proposals(offers(objective, 1, &prepared))
            .into_iter()
            .map(|p| p.candidate)
            .collect::<BTreeSet<_>>()
    };
    let (one, other) =
        (set(OBJECTIVE), set("Answer in the customer's language. Be exact about dates."));
    assert!(one.difference(&other).count() >= 6 && other.difference(&one).count() >= 6);
}

#[test]
fn a_stream_goes_on_where_its_cursor_stands() {
    let prepared = prepared(sample::workflow(3));
    let rules = rules(OBJECTIVE, 5);
    let all: Vec<_> = rules.stream(&prepared, Cursor::default()).collect();
    let mut cursor = Cursor::default();
    let mut steps = Vec::new();
    loop {
        let wire = serde_json::to_string(&cursor).unwrap();
        let mut stream = rules.stream(&prepared, serde_json::from_str(&wire).unwrap());
        let Some(offer) = stream.next() else { break };
        steps.push(offer);
        cursor = stream.cursor();
    }
    assert_eq!(steps, all);
}

fn refusals(offers: Vec<Offer>) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for offer in offers {
        if let Offer::Refusal(refusal) = offer {
            *counts.entry((refusal.field.path(), refusal.code().to_owned())).or_insert(0) += 1;
        }
    }
    counts
}

#[test]
fn what_is_refused_is_said_once() {
    let mut node = sample::node(0);
    node["retry_policy"] = serde_json::json!({"max_attempts": "3"});
    node["timeout_ms"] = 30_000.into();
    let scope = ScopePolicy {
        forbidden_fields: vec![FieldPattern {
            node: None,
            field: Some(MutableField::OutputContractSummaryGuidance),
        }],
        ..sample::scope()
    };
    let mut policy = sample::policy();
    policy.text_delta_floor_chars = 0;
    let workflow = Arc::new(sample::workflow_of(vec![node]));
    let prepared = Prepared::new(workflow, policy, scope).unwrap();
    let found = refusals(offers(OBJECTIVE, 0, &prepared));
    let once = [
        ("output_contract.summary_guidance", "field_forbidden"),
        ("retry_policy.max_attempts", "not_an_integer"),
        ("retry_policy.retries", "field_missing"),
        ("timeout_ms", "no_room"),
    ];
    for (field, code) in once {
        assert_eq!(found.get(&(field.to_owned(), code.to_owned())), Some(&1), "{found:?}");
    }
    assert!(
        found.contains_key(&("objective".to_owned(), "text_delta_ratio".to_owned())),
        "{found:?}"
    );
    assert_eq!(found.len(), 5, "{found:?}");
}

#[test]
fn a_field_that_the_policy_does_not_allow_is_not_tried() {
    let mut policy = sample::policy();
    policy.allowed = [MutableField::TimeoutMs].into();
    let workflow = Arc::new(sample::workflow(4));
    let prepared = Prepared::new(workflow, policy, sample::scope()).unwrap();
    let found = offers(OBJECTIVE, 0, &prepared);
    assert_eq!(found.len(), 16);
    assert!(proposals(found).iter().all(|p| p.mutation.field == MutableField::TimeoutMs));
}

#[test]
fn an_added_clause_is_replaced_and_never_added_again() {
    let start =
        prepared(with_objective(&"Sort the mail by who must answer it, and note why. ".repeat(6)));
    let mut first = proposals(offers(OBJECTIVE, 0, &start)).into_iter();
    let is_objective = |p: &Proposal| p.mutation.field == MutableField::Objective;
    let added = first.find(is_objective).unwrap().mutation;
    let FieldValue::Text(text) = &added.after else { panic!() };
    let clause = text.rsplit(". ").next().unwrap();
    let next = start.moved(&added).unwrap();
    let mut replaced = 0;
    for proposal in proposals(offers(OBJECTIVE, 0, &next)) {
        if let (MutableField::Objective, FieldValue::Text(text)) =
            (proposal.mutation.field, &proposal.mutation.after)
        {
            assert!(text.matches(clause).count() <= 1, "{text}");
            replaced += usize::from(!text.contains(clause));
        }
    }
    assert!(replaced >= 3, "{replaced}");
}

#[test]
fn a_clause_after_a_list_does_not_become_part_of_its_last_item() {
    let text = "Name the kind of each mail:\n- bill: invoice, payment, amount due\n- visit: appointment, calendar";
    let found = proposals(offers(OBJECTIVE, 0, &prepared(with_objective(text))));
    let texts: Vec<_> =
        found.iter().filter(|p| p.mutation.field == MutableField::Objective).collect();
    assert!(!texts.is_empty());
    for proposal in texts {
        let FieldValue::Text(after) = &proposal.mutation.after else { panic!() };
        assert!(after.starts_with(&format!("{text}\n")), "{after}");
    }
}

#[test]
fn a_moved_baseline_is_a_prepared_one() {
    let start = prepared(sample::workflow(5));
    for proposal in proposals(offers(OBJECTIVE, 0, &start)).into_iter().take(12) {
        let moved = start.moved(&proposal.mutation).unwrap();
        assert_eq!(moved.fingerprint(), proposal.candidate);
        let fresh = prepared(Workflow::clone(moved.baseline()));
        assert_eq!(offers(OBJECTIVE, 0, &moved), offers(OBJECTIVE, 0, &fresh));
    }
}

#[test]
fn a_workflow_with_two_nodes_of_one_id_is_not_prepared() {
    let twice = Arc::new(sample::workflow_of(vec![sample::node(0), sample::node(0)]));
    let error = Prepared::new(twice, sample::policy(), sample::scope()).unwrap_err();
    assert_eq!(error.code(), "node_id_duplicate");
}
