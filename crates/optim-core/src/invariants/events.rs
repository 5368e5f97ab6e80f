//! What was told: each change of state has its event, once.

use std::collections::BTreeMap;

use crate::campaign::Campaign;
use crate::campaign::event::EventKind;
use crate::experiment::ExperimentState;
use crate::id::{CampaignId, ExperimentId};

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
    let told = told(snapshot);
    let nothing = Told::default();
    for campaign in &snapshot.campaigns {
        let told = told.get(&campaign.id).unwrap_or(&nothing);
        of_campaign(campaign, told, findings);
        for experiment in snapshot.experiments_of(&campaign.id) {
            let count = |of: &BTreeMap<_, usize>| of.get(&experiment.id).copied().unwrap_or(0);
            let is_approved = matches!(experiment.state, ExperimentState::Approved { .. });
            let (proposed, approved) = (count(&told.proposed), count(&told.approved));
            findings.require(
                proposed == 1 && approved == usize::from(is_approved),
                31,
                || super::experiment(experiment),
                || format!("it was told {proposed} times as proposed, {approved} as approved"),
            );
        }
    }
}

fn told(snapshot: &Snapshot) -> BTreeMap<CampaignId, Told> {
    let mut all: BTreeMap<_, Told> = BTreeMap::new();
    for event in &snapshot.events {
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

/// I5, I12 and I31: a campaign begins once and ends once, and each announced write has one end.
fn of_campaign(campaign: &Campaign, told: &Told, findings: &mut Findings) {
    let record = || super::campaign(campaign);
    findings.require(told.created == 1, 31, record, || {
        format!("it was told {} times as created", told.created)
    });
    findings.require(told.closed == usize::from(campaign.is_closed()), 5, record, || {
        format!("it was told {} times as over", told.closed)
    });
    let open = usize::from(campaign.live.intent.is_some());
    findings.require(told.announced == told.written + open, 12, record, || {
        format!("{} writes were announced, {} ended", told.announced, told.written)
    });
}
