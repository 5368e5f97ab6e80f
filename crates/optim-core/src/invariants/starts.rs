//! What began after somebody had said that nothing should: seen in the order of what was told.

use std::collections::{BTreeMap, BTreeSet};

use crate::campaign::event::{Event, EventKind, Subject};
use crate::campaign::{Purpose, Side};
use crate::id::{CampaignId, ExperimentId, WorkflowRunId};
use crate::workflow_run::event::WorkflowRunEvent;

use super::{Findings, Snapshot};

/// What was said of a campaign so far.
#[derive(Default)]
struct Said {
    held: bool,
    closed: bool,
    rejected: BTreeSet<ExperimentId>,
}

pub(super) fn check(snapshot: &Snapshot, findings: &mut Findings) {
    let mut campaigns: BTreeMap<&CampaignId, Said> = BTreeMap::new();
    let mut claimed = BTreeSet::new();
    for event in &snapshot.events {
        match (&event.subject, &event.what) {
            (Subject::Campaign(id), _) => {
                campaigns.entry(id).or_default().hear(id, event, findings)
            }
            (Subject::WorkflowRun(id), EventKind::WorkflowRun { change }) => {
                reaped_once(*id, change, &mut claimed, findings);
            }
            _ => {}
        }
    }
}

impl Said {
    /// I6: no evaluation begins while a campaign is held, after its end, or for a candidate that was rejected.
    fn hear(&mut self, id: &CampaignId, event: &Event, findings: &mut Findings) {
        match &event.what {
            EventKind::CampaignHeld { .. } => self.held = true,
            EventKind::CampaignResumed { .. } | EventKind::FailuresReset { .. } => {
                self.held = false
            }
            EventKind::CampaignClosed { .. } => (self.held, self.closed) = (false, true),
            EventKind::CandidateRejected { experiment, .. } => {
                self.rejected.insert(*experiment);
            }
            EventKind::EvaluationQueued { evaluation, purpose } => {
                // What is live may be measured after the end, too.
                let is_over = self.closed && !matches!(purpose, Purpose::MeasureLive { .. });
                let is_rejected = candidate(purpose).is_some_and(|it| self.rejected.contains(&it));
                findings.require(
                    !self.held && !is_over && !is_rejected,
                    6,
                    || format!("campaign {id}"),
                    || {
                        let held = self.held;
                        format!(
                            "evaluation {evaluation} began; held: {held}, over: {is_over}, \
                             rejected: {is_rejected}"
                        )
                    },
                );
            }
            _ => {}
        }
    }
}

/// The candidate that an evaluation measures.
fn candidate(purpose: &Purpose) -> Option<ExperimentId> {
    match purpose {
        Purpose::Candidate { experiment }
        | Purpose::ConfirmBaseline { experiment }
        | Purpose::ConfirmCandidate { experiment } => Some(*experiment),
        Purpose::Paired { side: Side::Candidate { candidate }, .. } => Some(*candidate),
        Purpose::Replay { .. } | Purpose::MeasureLive { .. } | Purpose::Paired { .. } => None,
    }
}

/// I20: a run is given up once for each claim.
fn reaped_once(
    id: WorkflowRunId,
    change: &WorkflowRunEvent,
    claimed: &mut BTreeSet<WorkflowRunId>,
    findings: &mut Findings,
) {
    match change {
        WorkflowRunEvent::RunClaimed { .. } => drop(claimed.insert(id)),
        WorkflowRunEvent::RunReaped(_) => findings.require(
            claimed.remove(&id),
            20,
            || format!("workflow run {id}"),
            || "it was given up, and nobody had it".to_owned(),
        ),
        _ => {}
    }
}
