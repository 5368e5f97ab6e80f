//! What was decided: one open decision, an unbroken chain of baselines, and nobody but a person approves.

use std::collections::BTreeMap;

use crate::campaign::Campaign;
use crate::experiment::{Experiment, ExperimentState};
use crate::id::Actor;
use crate::judge::pair::PairRecord;
use crate::verdict::Verdict;

use super::change::{Change, Changed};
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
    for experiment in experiments {
        is_held_while_open(campaign, experiment, findings);
    }
    for one in campaign.current_experiments() {
        let is_recorded = experiments.iter().any(|recorded| is_on_record(one, recorded));
        not_on_record(is_recorded, one, findings);
    }
}

fn is_held_while_open(campaign: &Campaign, experiment: &Experiment, findings: &mut Findings) {
    let is_open = experiment.is_compared() || experiment.state.undecided().is_some();
    let is_held = campaign.current_experiments().iter().any(|one| one.id == experiment.id);
    findings.require(
        is_open == is_held,
        1,
        || super::experiment(experiment),
        || format!("it is {}, and its campaign waits for it: {is_held}", experiment.state.name()),
    );
}

fn not_on_record(is_recorded: bool, held: &Experiment, findings: &mut Findings) {
    findings.require(
        is_recorded,
        1,
        || super::experiment(held),
        || "what its campaign holds of it is not what is on record".to_owned(),
    );
}

/// Whether `recorded` is what is on record of `held`. Pairs are recorded with the decision that they lead
/// to, so there may be fewer of them.
fn is_on_record(held: &Experiment, recorded: &Experiment) -> bool {
    but_pairs(held) == but_pairs(recorded) && pairs(held).starts_with(pairs(recorded))
}

fn pairs(one: &Experiment) -> &[PairRecord] {
    one.trial.as_ref().map_or(&[], |trial| &trial.pairs)
}

/// All of an experiment but its comparison.
fn but_pairs(one: &Experiment) -> impl PartialEq + '_ {
    let Experiment { id, campaign, number, proposer, mutation, baseline_version, .. } = one;
    let Experiment {
        baseline, candidate, snapshot, worst_case, state, created_at, trial: _, ..
    } = one;
    let place = (id, campaign, number, proposer, mutation, baseline_version);
    (place, (baseline, candidate, snapshot, worst_case, state, created_at))
}

/// The same as [`check`] of what a commit writes.
pub(super) fn check_change(change: &Change<'_>, findings: &mut Findings) {
    for Changed { before, after } in &change.campaigns {
        let written: Vec<_> = change.experiments_of(&after.id).collect();
        for one in &written {
            is_held_while_open(after, one.after, findings);
        }
        let held = before.as_ref().map_or(&[][..], Campaign::current_experiments);
        let known = |one: &Experiment| held.iter().find(|before| before.id == one.id);
        for one in after.current_experiments() {
            let is_recorded = match written.iter().find(|it| it.after.id == one.id) {
                Some(written) => is_on_record(one, written.after),
                None => known(one).is_some_and(|before| but_pairs(before) == but_pairs(one)),
            };
            not_on_record(is_recorded, one, findings);
        }
        let is_left = |one: &&Experiment| {
            let stays = after.current_experiments().iter().any(|it| it.id == one.id);
            !stays && !written.iter().any(|it| it.after.id == one.id)
        };
        for one in held.iter().filter(is_left) {
            not_on_record(false, one, findings);
        }
    }
    for Changed { before, after } in &change.experiments {
        if before.as_ref().is_none_or(|before| before.state != after.state) {
            verdict(after, findings);
        }
    }
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
