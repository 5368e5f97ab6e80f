//! Runs between other records: nobody is stuck, nothing runs for what is over, and a folder has one holder.

use std::collections::BTreeMap;
use std::path::Path;

use crate::campaign::Campaign;
use crate::run::Run;
use crate::workflow_run::WorkflowRun;

use super::{Findings, Snapshot};

pub(super) fn check(snapshot: &Snapshot, findings: &mut Findings) {
    let campaigns: BTreeMap<_, _> = snapshot.campaigns.iter().map(|one| (&one.id, one)).collect();
    for run in snapshot.runs.iter().filter(|run| !run.state.is_terminal()) {
        wanted(run, campaigns.get(&run.campaign).copied(), findings);
    }
    stored(snapshot, findings);
    folders(snapshot, findings);
}

/// I21 and I22: an open case run is one that its campaign waits for.
fn wanted(run: &Run, campaign: Option<&Campaign>, findings: &mut Findings) {
    let is_wanted = |campaign: &Campaign| {
        campaign.in_flight().any(|evaluation| evaluation.id == run.evaluation)
    };
    let record = || format!("case run {}", run.id);
    let what =
        || format!("it is {}, and campaign {} has no use for it", run.state.name(), run.campaign);
    let is_over = campaign.is_some_and(Campaign::is_closed);
    findings.require(campaign.is_some_and(is_wanted), if is_over { 22 } else { 21 }, record, what);
}

/// I5: what works on a stored workflow ends with it.
fn stored(snapshot: &Snapshot, findings: &mut Findings) {
    let workflows: BTreeMap<_, _> = snapshot.workflows.iter().map(|one| (&one.id, one)).collect();
    for campaign in snapshot.campaigns.iter().filter(|campaign| !campaign.is_closed()) {
        let Some(id) = campaign.source.location.stored() else { continue };
        findings.require(
            workflows.get(id).is_some_and(|workflow| workflow.is_in_use()),
            5,
            || super::campaign(campaign),
            || format!("it is open, and stored workflow {id} is not in use"),
        );
    }
    for run in snapshot.workflow_runs.iter().filter(|run| run.is_open()) {
        let Some(id) = run.stored_workflow() else { continue };
        findings.require(
            workflows.get(id).is_some_and(|workflow| workflow.deleted.is_none()),
            5,
            || format!("workflow run {}", run.id),
            || format!("it is open, and stored workflow {id} is deleted"),
        );
    }
}

/// I18: no two workflow runs work in one folder, or one in a folder of the other.
fn folders(snapshot: &Snapshot, findings: &mut Findings) {
    let at_work = |run: &&WorkflowRun| run.state.status().is_at_work() && !run.dry_run;
    let mut held: Vec<_> = snapshot.workflow_runs.iter().filter(at_work).collect();
    held.sort_by_key(|run| Path::new(&run.workspace).components().collect::<Vec<_>>());
    // A folder comes right before the first of its own.
    for (outer, inner) in held.iter().zip(held.iter().skip(1)) {
        findings.require(
            !Path::new(&inner.workspace).starts_with(&outer.workspace),
            18,
            || format!("workflow run {}", inner.id),
            || format!("it works in {}, where run {} is at work", inner.workspace, outer.id),
        );
    }
}
