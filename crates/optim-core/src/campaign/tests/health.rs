//! The baseline against itself.

use super::comparing::{measured, sequential};
use super::*;
use crate::campaign::pairing::End;
use crate::judge::error_budget::Stake;
use crate::quantity::PerMillion;

const PAIRS: u32 = 48;

/// A started check of the evaluator, whose baseline is its own candidate.
fn checking() -> Driven {
    let mut campaign = sequential(5, |rules| {
        (rules.n_min, rules.n_max, rules.group) = (PAIRS, PAIRS, 3);
    });
    campaign.search.mode = SearchMode::Health;
    let mut driven = Driven::new(campaign);
    driven.command(Command::Start { reason: None }).unwrap();
    assert_eq!(work(&driven.campaign), Work::CompareWithItself, "its pairs are all that it takes");
    let Baseline { snapshot, fingerprint, worst_case, .. } = driven.campaign.baseline;
    let mutation = Mutation::nothing(NodeId::new("node").unwrap(), "Answer.");
    driven.observe(Observation::Proposed {
        baseline: fingerprint,
        proposer: Proposer { name: "health".to_owned(), version: 1 },
        candidate: Candidate { mutation, fingerprint, snapshot, worst_case },
        refused: Refusals::default(),
        usage: Usage::default(),
    });
    driven
}

fn has_ended(driven: &Driven) {
    assert!(
        matches!(driven.campaign.phase, Phase::Closed { ending: Ending::HealthChecked, .. }),
        "{:?}",
        driven.campaign.phase
    );
    assert_eq!(
        (driven.campaign.status(), driven.campaign.baseline.version),
        (Status::Completed, 0)
    );
}

#[test]
fn the_baseline_is_compared_with_itself_by_the_rules_of_any_candidate() {
    let mut driven = checking();
    let trial = driven.trial();
    assert_eq!(trial.stake, Stake::whole(PerMillion(50_000)).shared_by(5));
    let open = &driven.campaign.open_batch().unwrap().open;
    assert_eq!(open.len(), 2, "nobody joins it");
    assert_eq!(open[0].snapshot, open[1].snapshot);
    assert_ne!(open[0].id, open[1].id, "both sides are executed");
    let mut pairs = 0;
    while driven.campaign.open_batch().is_some() {
        driven.round(|_, case| measured(case % 2 == 0));
        pairs += 8;
    }
    assert_eq!(pairs, PAIRS, "it ends after its pairs and not before");
    has_ended(&driven);
    assert!(matches!(driven.state(1), ExperimentState::Discarded(_)), "{:?}", driven.state(1));
}

#[test]
fn sides_that_seem_to_differ_are_no_promotion_whatever_the_rule_says() {
    let mut driven = checking();
    driven.compare(|side, _| measured(side != Side::Control));
    has_ended(&driven);
    let ExperimentState::Superseded { reason } = driven.state(1) else {
        panic!("{:?}", driven.state(1))
    };
    assert!(reason.contains("nothing to promote"), "{reason}");
    let refused = driven.command(Command::Approve {
        experiment: driven.experiments.keys().next().copied().unwrap(),
        reason: Some("it won".to_owned()),
    });
    assert_eq!(refused.unwrap_err().code(), "not_pending");
}

#[test]
fn a_check_takes_no_candidate_of_anybody() {
    let mut driven = checking();
    let refused = driven.command(Command::Suggest { mutation: mutation(1) }).unwrap_err();
    assert_eq!(refused.code(), "campaign_wrong_status");
    assert!(refused.to_string().contains("start a new campaign"), "{refused}");
}

#[test]
fn a_check_whose_outside_fails_ends_with_what_it_has() {
    let mut driven = checking();
    let mut rounds = 0;
    while !driven.campaign.is_closed() && rounds < 60 {
        match work(&driven.campaign) {
            Work::AwaitRuns(_) => driven.round(|_, _| End::Void),
            Work::BackOff(_) => driven.wait_out(),
            Work::AwaitOperator => break,
            work => panic!("{work:?}"),
        }
        rounds += 1;
    }
    assert!(driven.campaign.is_closed() || driven.campaign.hold.is_some(), "it comes to an end");
}
