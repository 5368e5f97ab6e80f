//! What was decided: one open decision, an unbroken chain of baselines, and nobody but a person approves.

use std::collections::BTreeMap;

use crate::campaign::Campaign;
use crate::experiment::{Experiment, ExperimentState};
use crate::id::Actor;
use crate::verdict::Verdict;

use super::{Findings, Snapshot};

pub(super) fn check(snapshot: &Snapshot, findings: &mut Findings) {
    for campaign in &snapshot.campaigns {
        let experiments: Vec<_> = snapshot.experiments_of(&campaign.id).collect();
        open(campaign, &experiments, findings);
        chain(campaign, &experiments, findings);
        for experiment in experiments {
            verdict(experiment, findings);
        }
    }
}

/// I1: what awaits a decision is in the campaign's hands, as it is on record, and nothing else is.
fn open(campaign: &Campaign, experiments: &[&Experiment], findings: &mut Findings) {
    let held = campaign.current_experiments();
    for experiment in experiments {
        let is_open = experiment.is_compared() || experiment.state.undecided().is_some();
        let is_held = held.iter().any(|one| one.id == experiment.id);
        findings.require(
            is_open == is_held,
            1,
            || super::experiment(experiment),
            || {
                format!(
                    "it is {}, and its campaign waits for it: {is_held}",
                    experiment.state.name()
                )
            },
        );
    }
    for one in held {
        findings.require(
            experiments.iter().any(|recorded| is_on_record(one, recorded)),
            1,
            || super::experiment(one),
            || "what its campaign holds of it is not what is on record".to_owned(),
        );
    }
}

/// Whether `recorded` is what is on record of `held`. Pairs are recorded with the decision that they lead
/// to, so there may be fewer of them.
fn is_on_record(held: &Experiment, recorded: &Experiment) -> bool {
    let without_pairs = |one: &Experiment| Experiment { trial: None, ..one.clone() };
    let pairs = |one: &Experiment| one.trial.as_ref().map(|trial| trial.pairs.clone());
    let (held_pairs, pairs) =
        (pairs(held).unwrap_or_default(), pairs(recorded).unwrap_or_default());
    without_pairs(held) == without_pairs(recorded) && held_pairs.starts_with(&pairs)
}

/// I3: each version of the baseline is the candidate of one approved experiment on the version before.
fn chain(campaign: &Campaign, experiments: &[&Experiment], findings: &mut Findings) {
    let mut approved: BTreeMap<u32, Vec<&Experiment>> = BTreeMap::new();
    for experiment in experiments {
        if matches!(experiment.state, ExperimentState::Approved { .. }) {
            approved.entry(experiment.baseline_version).or_default().push(experiment);
        }
    }
    let (_, mut baseline) = campaign.baseline.origin();
    for version in 0..campaign.baseline.version {
        let on_version = approved.remove(&version).unwrap_or_default();
        let [next] = on_version.as_slice() else {
            let what =
                format!("not one experiment on version {version} of the baseline is approved");
            return findings.add(3, super::campaign(campaign), what);
        };
        findings.require(
            next.baseline == baseline,
            3,
            || super::experiment(next),
            || format!("it was compared with {}, and the baseline was {baseline}", next.baseline),
        );
        baseline = next.candidate;
    }
    findings.require(
        approved.is_empty(),
        3,
        || super::campaign(campaign),
        || {
            format!(
                "experiments on version {:?} are approved, and did not move it",
                approved.keys()
            )
        },
    );
    findings.require(
        baseline == campaign.baseline.fingerprint,
        3,
        || super::campaign(campaign),
        || format!("approvals lead to {baseline}, it is {}", campaign.baseline.fingerprint),
    );
}

/// I4 and I14: a state says what the judge said, and an approval is a person's.
fn verdict(experiment: &Experiment, findings: &mut Findings) {
    let said = experiment.state.judged().map(|judged| judged.judgement.verdict);
    let fits = match &experiment.state {
        ExperimentState::Recommended(_) => said == Some(Verdict::Promote),
        ExperimentState::NeedsReview(_) => said == Some(Verdict::NeedsOperatorReview),
        ExperimentState::Discarded(_) => said == Some(Verdict::Discard),
        ExperimentState::Approved { by, anyway, .. } => match anyway {
            None => said == Some(Verdict::Promote),
            Some(_) => said == Some(Verdict::NeedsOperatorReview) && by.reason.is_some(),
        },
        ExperimentState::Rejected { .. } => said.is_some_and(|said| said != Verdict::Discard),
        ExperimentState::Evaluating
        | ExperimentState::Failed { .. }
        | ExperimentState::Superseded { .. } => true,
    };
    findings.require(
        fits,
        4,
        || super::experiment(experiment),
        || format!("it is {}, and the judge says {said:?}", experiment.state.name()),
    );
    let by = experiment.state.decision().map(|decision| &decision.actor);
    findings.require(
        by != Some(&Actor::engine()),
        14,
        || super::experiment(experiment),
        || format!("it is {} by nobody", experiment.state.name()),
    );
}
