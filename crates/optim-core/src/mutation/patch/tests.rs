use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::mutation::sample;

fn patch_of(steps: &[(Mutation, Workflow)]) -> Patch {
    let mut changes = steps.iter().map(|(mutation, _)| mutation);
    changes.try_fold(Patch::default(), |patch, change| patch.then(change)).unwrap()
}

fn end<'a>(start: &'a Workflow, steps: &'a [(Mutation, Workflow)]) -> &'a Workflow {
    steps.last().map_or(start, |(_, workflow)| workflow)
}

proptest! {
    #[test]
    fn a_patch_leads_from_the_source_to_the_baseline_and_back(
        changes in vec(sample::change(3), 0..12),
    ) {
        let start = sample::workflow(3);
        let steps = sample::walk(&start, &changes);
        let patch = patch_of(&steps);
        let there = patch.apply(&start).unwrap();
        prop_assert_eq!(&there, end(&start, &steps));
        prop_assert_eq!(&patch.inverse().apply(&there).unwrap(), &start);
        prop_assert_eq!(&patch.inverse().inverse(), &patch);
        prop_assert!(patch.compose(&patch.inverse()).unwrap().is_empty());
        prop_assert_eq!(patch.is_empty(), there == start);
    }

    #[test]
    fn composed_patches_do_what_they_do_one_after_the_other(
        first in vec(sample::change(2), 0..8), second in vec(sample::change(2), 0..8),
    ) {
        let start = sample::workflow(2);
        let one = sample::walk(&start, &first);
        let middle = end(&start, &one).clone();
        let two = sample::walk(&middle, &second);
        let composed = patch_of(&one).compose(&patch_of(&two)).unwrap();
        prop_assert_eq!(&composed.apply(&start).unwrap(), end(&middle, &two));
    }

    #[test]
    fn a_patch_holds_each_field_once_and_survives_the_wire(changes in vec(sample::change(2), 0..12)) {
        let patch = patch_of(&sample::walk(&sample::workflow(2), &changes));
        let mut fields: Vec<_> = patch.changes().iter().map(|c| (&c.node, c.field)).collect();
        let count = fields.len();
        fields.sort();
        fields.dedup();
        prop_assert_eq!(fields.len(), count);
        prop_assert!(patch.changes().iter().all(|change| change.before != change.after));
        let wire = serde_json::to_string(&patch).unwrap();
        prop_assert_eq!(serde_json::from_str::<Patch>(&wire).unwrap(), patch);
    }
}

#[test]
fn a_second_change_of_a_field_joins_the_first() {
    let start = sample::workflow(2);
    let timeout = |after: i64| (0, MutableField::TimeoutMs, FieldValue::Integer(after));
    let objective = (1, MutableField::Objective, FieldValue::from("b"));
    let steps = sample::walk(&start, &[timeout(1), objective, timeout(2)]);
    let patch = patch_of(&steps);
    let [first, second] = patch.changes() else { panic!("{patch:?}") };
    assert_eq!((&first.before, &first.after), (&60_000.into(), &2.into()));
    assert_eq!(second, &steps[1].0);

    let back = sample::walk(end(&start, &steps), &[timeout(60_000)]);
    assert_eq!(patch.then(&back[0].0).unwrap().changes(), std::slice::from_ref(second));
}

#[test]
fn a_change_that_does_not_follow_is_refused() {
    let start = sample::workflow(1);
    let change = sample::mutation(&start, 0, MutableField::TimeoutMs, 61_000);
    let patch = Patch::default().then(&change).unwrap();
    assert_eq!(patch.then(&change).unwrap_err().code(), "patch_does_not_chain");
    let text = Mutation { after: "soon".into(), ..change.clone() };
    assert_eq!(Patch::default().then(&text).unwrap_err().code(), "not_an_integer");
    let wire = serde_json::to_value([&change, &change]).unwrap();
    assert!(serde_json::from_value::<Patch>(wire).is_err());
}

#[test]
fn drift_names_every_field_at_once_and_changes_nothing() {
    let start = sample::workflow(3);
    let changes = [
        (0, MutableField::TimeoutMs, FieldValue::Integer(1)),
        (0, MutableField::Objective, FieldValue::from("a")),
        (1, MutableField::TimeoutMs, FieldValue::Integer(1)),
        (2, MutableField::RetryPolicyMaxAttempts, FieldValue::Integer(1)),
        (2, MutableField::OutputContractSummaryGuidance, FieldValue::from("a")),
    ];
    let patch = patch_of(&sample::walk(&start, &changes));
    let mut live = [sample::node(0), sample::node(2), sample::node(2)];
    live[0]["timeout_ms"] = 5.into();
    let twice = patch.apply(&sample::workflow_of(live.to_vec())).unwrap_err();
    live[2] = sample::node(3);
    live[1]["retry_policy"]["max_attempts"] = "2".into();
    live[1]["output_contract"].as_object_mut().unwrap().remove("summary_guidance");
    let drift = patch.apply(&sample::workflow_of(live.to_vec())).unwrap_err();

    let found =
        |drift: &Drift| drift.fields.iter().map(|field| field.found.clone()).collect::<Vec<_>>();
    let other_timeout = || Found::Value(5.into());
    assert_eq!(
        found(&drift),
        [
            other_timeout(),
            Found::NodeMissing,
            Found::Other("\"2\"".to_owned()),
            Found::FieldMissing
        ]
    );
    assert_eq!(
        found(&twice),
        [other_timeout(), Found::NodeMissing, Found::NodeIdDuplicate, Found::NodeIdDuplicate]
    );
    assert_eq!(drift.code(), "live_drift");
    let message = drift.to_string();
    for words in ["\"n0\", timeout_ms: expected 60000, found 5", "\"n1\"", "no such node", "\"n2\""]
    {
        assert!(message.contains(words), "{message}");
    }
}
