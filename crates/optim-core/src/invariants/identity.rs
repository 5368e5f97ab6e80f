//! Ids and fingerprints: they are what they stand for, and a candidate is one change away.

use std::collections::{BTreeMap, BTreeSet};

use crate::campaign::Campaign;
use crate::digest::Digest;
use crate::experiment::{Experiment, ExperimentState, experiment_id};
use crate::id::RunId;
use crate::mutation::validate::diff;
use crate::run::Run;
use crate::workflow::{Fingerprint, Workflow};

use super::change::Change;
use super::{Findings, Snapshot};

pub(super) fn check(snapshot: &Snapshot, findings: &mut Findings) {
    let known = fingerprints(snapshot);
    for campaign in &snapshot.campaigns {
        let record = || super::campaign(campaign);
        let (source, baseline) = (&campaign.source, &campaign.baseline);
        is_frozen(&known, (source.snapshot, source.fingerprint), record, findings);
        is_frozen(&known, (baseline.snapshot, baseline.fingerprint), record, findings);
        numbers(snapshot, campaign, findings);
    }
    let definitions: BTreeMap<_, _> = known.values().flatten().copied().collect();
    for experiment in &snapshot.experiments {
        let record = || super::experiment(experiment);
        is_frozen(&known, (experiment.snapshot, experiment.candidate), record, findings);
        is_named_by_intent(experiment, findings);
        is_one_change(experiment, &definitions, findings);
    }
    for run in &snapshot.runs {
        is_of_its_case(run, findings);
    }
}

/// The same of the records that a commit creates; later ones keep their ids.
pub(super) fn check_change(change: &Change<'_>, findings: &mut Findings) {
    for experiment in change.experiments.iter().filter(|changed| changed.before.is_none()) {
        is_named_by_intent(experiment.after, findings);
    }
    for run in change.runs.iter().filter(|changed| changed.before.is_none()) {
        is_of_its_case(run.after, findings);
    }
}

fn is_of_its_case(run: &Run, findings: &mut Findings) {
    let id = RunId::derive(&[run.evaluation.as_bytes(), run.case.as_str().as_bytes()]);
    let what = || "its id is not that of its evaluation and case".to_owned();
    findings.require(id == run.id, 9, || super::run(run), what);
}

/// The definitions with what they mean, which takes a while to find out; `None` for one that is not readable.
type Known<'a> = BTreeMap<Digest, Option<(Fingerprint, &'a Workflow)>>;

fn fingerprints(snapshot: &Snapshot) -> Known<'_> {
    let all = snapshot.definitions.iter();
    let meant = all.map(|(digest, workflow)| {
        (*digest, workflow.as_ref().map(|workflow| (workflow.fingerprint(), workflow)))
    });
    meant.collect()
}

/// I2 and I24: a definition that is referred to is there, and means what the record says.
fn is_frozen(
    known: &Known<'_>,
    (digest, fingerprint): (Digest, Fingerprint),
    record: impl Fn() -> String,
    findings: &mut Findings,
) {
    match known.get(&digest) {
        None => {}
        Some(None) => findings.add(24, record(), format!("definition {digest} is not readable")),
        Some(Some((found, _))) => {
            let what = || format!("definition {digest} means {found}, not {fingerprint}");
            findings.require(*found == fingerprint, 2, record, what);
        }
    }
}

/// I9: experiments are numbered without a gap, and no candidate has a measured result twice.
fn numbers(snapshot: &Snapshot, campaign: &Campaign, findings: &mut Findings) {
    let numbers: BTreeSet<_> =
        snapshot.experiments_of(&campaign.id).map(|one| one.number).collect();
    let wanted: BTreeSet<_> = (1..=campaign.search.experiments).collect();
    findings.require(
        numbers == wanted && snapshot.experiments_of(&campaign.id).count() == numbers.len(),
        9,
        || super::campaign(campaign),
        || format!("it counts {} experiments, on record are {numbers:?}", wanted.len()),
    );
    let mut seen = BTreeSet::new();
    for experiment in snapshot.experiments_of(&campaign.id) {
        use ExperimentState::{Failed, Superseded};
        let may_return = matches!(experiment.state, Failed { .. } | Superseded { .. });
        findings.require(
            may_return || seen.insert((experiment.baseline, experiment.candidate)),
            9,
            || super::experiment(experiment),
            || format!("candidate {} had its turn already", experiment.candidate),
        );
    }
}

fn is_named_by_intent(experiment: &Experiment, findings: &mut Findings) {
    let Experiment { campaign, number, baseline, candidate, .. } = experiment;
    findings.require(
        experiment.id == experiment_id(campaign, *number, *baseline, *candidate),
        9,
        || super::experiment(experiment),
        || format!("its id {} is not that of what it compares", experiment.id),
    );
}

/// I10: the candidate is its baseline with its mutation, and with nothing else.
fn is_one_change(
    experiment: &Experiment,
    known: &BTreeMap<Fingerprint, &Workflow>,
    findings: &mut Findings,
) {
    let mutation = &experiment.mutation;
    let (Some(baseline), Some(candidate)) =
        (known.get(&experiment.baseline), known.get(&experiment.candidate))
    else {
        return;
    };
    let record = || super::experiment(experiment);
    if mutation.is_nothing() {
        let same = experiment.baseline == experiment.candidate;
        return findings.require(same, 10, record, || "it changes something unsaid".to_owned());
    }
    match diff(baseline, candidate) {
        Ok(found) => findings.require(found == *mutation, 10, record, || {
            format!("it changes {found:?}, and says that it changes {mutation:?}")
        }),
        Err(error) => findings.add(10, record(), error.to_string()),
    }
}
