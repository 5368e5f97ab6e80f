//! The books: every paid case run is counted once, and evidence feeds one decision.

use std::collections::{BTreeMap, BTreeSet};

use crate::campaign::{Campaign, Purpose};
use crate::experiment::ExperimentState;
use crate::id::EvaluationId;
use crate::policy::Rule;
use crate::run::Run;

use super::{Findings, Snapshot};

pub(super) fn check(snapshot: &Snapshot, findings: &mut Findings) {
    let mut runs: BTreeMap<_, BTreeMap<EvaluationId, Vec<&Run>>> = BTreeMap::new();
    for run in &snapshot.runs {
        let of_campaign = runs.entry(&run.campaign).or_default();
        of_campaign.entry(run.evaluation).or_default().push(run);
    }
    let none = BTreeMap::new();
    for campaign in &snapshot.campaigns {
        let runs = runs.get(&campaign.id).unwrap_or(&none);
        counted_once(campaign, runs, findings);
        set_aside(campaign, runs, findings);
        replays(snapshot, campaign, runs, findings);
        judged_once(snapshot, campaign, findings);
    }
}

/// I7: the ledger holds the case runs of the evaluations that are settled, and no other.
fn counted_once(
    campaign: &Campaign,
    runs: &BTreeMap<EvaluationId, Vec<&Run>>,
    findings: &mut Findings,
) {
    let reserved = &campaign.ledger.reserved;
    let settled = runs.iter().filter(|(evaluation, _)| !reserved.contains_key(evaluation));
    let counted: usize = settled.map(|(_, runs)| runs.len()).sum();
    findings.require(
        u64::try_from(counted) == Ok(campaign.ledger.runs),
        7,
        || super::campaign(campaign),
        || format!("{counted} case runs are to be paid, the ledger has {}", campaign.ledger.runs),
    );
}

/// I7: nothing runs for which nothing is set aside, and what is in flight is set aside.
fn set_aside(
    campaign: &Campaign,
    runs: &BTreeMap<EvaluationId, Vec<&Run>>,
    findings: &mut Findings,
) {
    let reserved = &campaign.ledger.reserved;
    for (evaluation, runs) in runs {
        let open = runs.iter().filter(|run| !run.state.is_terminal()).count();
        findings.require(
            open == 0 || reserved.contains_key(evaluation),
            7,
            || super::campaign(campaign),
            || format!("{open} case runs of evaluation {evaluation} have nothing set aside"),
        );
    }
    for evaluation in campaign.in_flight() {
        findings.require(
            reserved.contains_key(&evaluation.id),
            7,
            || super::campaign(campaign),
            || format!("evaluation {} is in flight with nothing set aside", evaluation.id),
        );
    }
}

/// I8: replays are distinct evaluations, whose runs are over and executed the baseline; by the sequential
/// rule, under which no replay decides, it may be an earlier one.
fn replays(
    snapshot: &Snapshot,
    campaign: &Campaign,
    runs: &BTreeMap<EvaluationId, Vec<&Run>>,
    findings: &mut Findings,
) {
    let mut baselines = BTreeSet::from([campaign.baseline.fingerprint]);
    if let Rule::Sequential(_) = campaign.frozen.policies.eval.rule {
        let approved = snapshot.experiments_of(&campaign.id);
        let approved = approved.filter(|it| matches!(it.state, ExperimentState::Approved { .. }));
        baselines.insert(campaign.baseline.origin().1);
        baselines.extend(approved.map(|experiment| experiment.candidate));
    }
    let mut seen = BTreeSet::new();
    for replay in &campaign.baseline.replays {
        let id = replay.evaluation;
        let own = runs.get(&id).map_or(&[][..], Vec::as_slice);
        let fits = |run: &&&Run| run.state.is_terminal() && baselines.contains(&run.fingerprint);
        let fitting = own.iter().filter(fits).count();
        findings.require(
            seen.insert(id) && !own.is_empty() && fitting == own.len(),
            8,
            || super::campaign(campaign),
            || format!("of {} runs of replay {id}, {fitting} ended on the baseline", own.len()),
        );
    }
}

/// I8: no evaluation is the evidence of two experiments, or of one and of a replay.
fn judged_once(snapshot: &Snapshot, campaign: &Campaign, findings: &mut Findings) {
    let mut used: BTreeSet<_> =
        campaign.baseline.replays.iter().map(|replay| replay.evaluation).collect();
    for experiment in snapshot.experiments_of(&campaign.id) {
        let Some(evaluation) = experiment.state.judged().and_then(|judged| judged.evaluation)
        else {
            continue;
        };
        let own = Purpose::Candidate { experiment: experiment.id };
        let mut ids = (0..=campaign.search.retries).map(|n| own.evaluation_id(&campaign.id, n));
        findings.require(
            used.insert(evaluation) && ids.any(|id| id == evaluation),
            8,
            || super::experiment(experiment),
            || format!("evaluation {evaluation} is not its own evidence"),
        );
    }
}
