//! Decisions that turn out to be wrong at the last look.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::campaign::recheck::recheck;
use crate::workflow::Workflow;

#[test]
fn a_refused_approval_demotes_the_experiment_and_the_search_goes_on() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    driven.land(Some(9));
    let experiment = driven.pending();
    let refused =
        Observation::ApprovalRefused { experiment, reason: "the policy forbids it".to_owned() };
    driven.observe(refused.clone());
    assert_eq!(driven.campaign.status(), Status::Running);
    assert_eq!(driven.campaign.baseline.version, 0);
    let ExperimentState::Discarded(judged) = &driven.experiments[&experiment].state else {
        panic!("not demoted")
    };
    assert_eq!(judged.judgement.reason, "the approval was refused: the policy forbids it");
    assert_eq!(judged.judgement.verdict, Verdict::Discard);
    driven.propose(1);
    assert_eq!(work(&driven.campaign), Work::Propose, "it may not come again");
    driven.observe(refused);
    assert_eq!(work(&driven.campaign), Work::Propose, "it happens once");
}

pub(super) fn workflow(timeout_ms: i64) -> Arc<Workflow> {
    let node =
        json!({"node_id": "n", "agent_id": "a", "objective": "Answer.", "timeout_ms": timeout_ms});
    let text = json!({"automation_id": "w", "name": "w", "agents": [{"agent_id": "a"}],
        "flow": {"nodes": [node]}});
    Arc::new(serde_json::from_value(text).unwrap())
}

pub(super) fn longer_timeout() -> Mutation {
    let (before, after) = (FieldValue::Integer(60_000), FieldValue::Integer(66_000));
    Mutation { before, after, ..mutation(0) }
}

#[test]
fn an_approval_is_checked_against_the_policies_and_the_evidence_once_more() {
    let change = longer_timeout();
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.observe(Observation::Proposed {
        baseline: driven.campaign.baseline.fingerprint,
        proposer: Proposer { name: "test".to_owned(), version: 1 },
        candidate: Candidate { mutation: change, ..candidate(1) },
        refused: Refusals::default(),
        usage: Usage::default(),
    });
    driven.land(Some(9));
    let campaign = &driven.campaign;
    let experiment = campaign.current_experiment().unwrap();
    let check = |baseline: &Workflow, result| recheck(campaign, experiment, baseline, result);
    let seen = result(Some(9));
    assert_eq!(check(&workflow(60_000), Some(&seen)), Ok(()));
    assert_eq!(check(&workflow(60_000), None), Ok(()), "its runs may be gone by now");
    let moved = check(&workflow(45_000), Some(&seen)).unwrap_err();
    assert!(moved.contains("45000"), "{moved}");
    let worse = check(&workflow(60_000), Some(&result(Some(5)))).unwrap_err();
    assert!(worse.starts_with("judged again, it is no improvement"), "{worse}");
}
