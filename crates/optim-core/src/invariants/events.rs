//! What was told: each change of state has its event, once.

use std::collections::{BTreeMap, BTreeSet};

use crate::campaign::Campaign;
use crate::campaign::event::{Event, EventKind, Subject};
use crate::experiment::{Experiment, ExperimentState};
use crate::id::{CampaignId, ExperimentId};

use super::change::{Change, Changed};
use super::{Findings, Snapshot};

/// How often something was told of a campaign.
#[derive(Default)]
struct Told {
    created: usize,
    closed: usize,
    announced: usize,
    written: usize,
    proposed: BTreeMap<ExperimentId, usize>,
    approved: BTreeMap<ExperimentId, usize>,
}

pub(super) fn check(snapshot: &Snapshot, findings: &mut Findings) {
    let told = told(&snapshot.events);
    let nothing = Told::default();
    for campaign in &snapshot.campaigns {
        let told = told.get(&campaign.id).unwrap_or(&nothing);
        of_campaign(None, campaign, told, findings);
        for experiment in snapshot.experiments_of(&campaign.id) {
            of_experiment(None, experiment, told, findings);
        }
    }
}

/// The same of what a commit changes and tells; and nothing changes without a word.
pub(super) fn check_change(change: &Change<'_>, findings: &mut Findings) {
    let told = told(change.events);
    let nothing = Told::default();
    let subjects: BTreeSet<_> = change.events.iter().map(|event| &event.subject).collect();
    let mut is_told = |holds: bool, subject: Subject, record: String| {
        let what = || "it changes, and nothing is told of it".to_owned();
        findings.require(holds || subjects.contains(&subject), 31, || record, what);
    };
    for Changed { before, after } in &change.campaigns {
        let is_same = before.as_ref().is_some_and(|before| before == *after);
        is_told(is_same, Subject::Campaign(after.id.clone()), super::campaign(after));
    }
    for Changed { before, after } in &change.workflows {
        let is_same = before.as_ref().is_some_and(|before| before == *after);
        is_told(is_same, Subject::Workflow(after.id.clone()), super::workflow(after));
    }
    for Changed { before, after } in &change.workflow_runs {
        // That a worker is alive is no news.
        let status = after.state.status();
        let is_same = before.as_ref().is_some_and(|before| before.state.status() == status);
        is_told(is_same, Subject::WorkflowRun(after.id), super::workflow_run(after));
    }
    for Changed { before, after } in &change.campaigns {
        let told = told.get(&after.id).unwrap_or(&nothing);
        of_campaign(before.as_ref(), after, told, findings);
        for Changed { before, after } in change.experiments_of(&after.id) {
            of_experiment(before.as_ref(), after, told, findings);
        }
    }
}

fn told(events: &[Event]) -> BTreeMap<CampaignId, Told> {
    let mut all: BTreeMap<_, Told> = BTreeMap::new();
    for event in events {
        let Some(id) = event.subject.campaign() else { continue };
        let told = all.entry(id.clone()).or_default();
        match &event.what {
            EventKind::CampaignCreated => told.created += 1,
            EventKind::CampaignClosed { .. } => told.closed += 1,
            EventKind::LiveWriteAnnounced { .. } => told.announced += 1,
            EventKind::LiveWriteDone { .. } | EventKind::LiveWriteFailed { .. } => {
                told.written += 1
            }
            EventKind::CandidateProposed { experiment } => {
                *told.proposed.entry(*experiment).or_default() += 1;
            }
            EventKind::CandidateApproved { experiment, .. } => {
                *told.approved.entry(*experiment).or_default() += 1;
            }
            _ => {}
        }
    }
    all
}

/// I5, I12 and I31: a campaign begins once and ends once, and each announced write has one end. `told` is
/// what was told since it was as `before`.
fn of_campaign(
    before: Option<&Campaign>,
    campaign: &Campaign,
    told: &Told,
    findings: &mut Findings,
) {
    let record = || super::campaign(campaign);
    findings.require(told.created + usize::from(before.is_some()) == 1, 31, record, || {
        format!("it was told {} times as created", told.created)
    });
    let was_closed = usize::from(before.is_some_and(Campaign::is_closed));
    findings.require(
        told.closed + was_closed == usize::from(campaign.is_closed()),
        5,
        record,
        || format!("it was told {} times as over", told.closed),
    );
    let open = |campaign: &Campaign| usize::from(campaign.live.intent.is_some());
    let was_open = before.map_or(0, open);
    findings.require(
        told.announced + was_open == told.written + open(campaign),
        12,
        record,
        || format!("{} writes were announced, {} ended", told.announced, told.written),
    );
}

/// I31: an experiment is proposed once, and approved once if it is.
fn of_experiment(
    before: Option<&Experiment>,
    experiment: &Experiment,
    told: &Told,
    findings: &mut Findings,
) {
    let count = |of: &BTreeMap<_, usize>| of.get(&experiment.id).copied().unwrap_or(0);
    let is_approved =
        |one: &Experiment| usize::from(matches!(one.state, ExperimentState::Approved { .. }));
    let (proposed, approved) = (count(&told.proposed), count(&told.approved));
    findings.require(
        proposed + usize::from(before.is_some()) == 1
            && approved + before.map_or(0, is_approved) == is_approved(experiment),
        31,
        || super::experiment(experiment),
        || format!("it was told {proposed} times as proposed, {approved} as approved"),
    );
}
