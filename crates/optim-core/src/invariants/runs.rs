//! Runs between other records: nobody is stuck, nothing runs for what is over, and a folder has one holder.

use std::collections::BTreeMap;
use std::path::Path;

use crate::campaign::Campaign;
use crate::run::Run;
use crate::workflow_run::WorkflowRun;

use super::change::{Change, Changed};
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
    let record = || super::run(run);
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
            || super::workflow_run(run),
            || format!("it is open, and stored workflow {id} is deleted"),
        );
    }
}

/// I18: no two workflow runs work in one folder, or one in a folder of the other.
fn folders(snapshot: &Snapshot, findings: &mut Findings) {
    apart(snapshot.workflow_runs.iter(), findings);
}

fn apart<'a>(runs: impl Iterator<Item = &'a WorkflowRun>, findings: &mut Findings) {
    let mut held: Vec<_> = runs.filter(|run| run.holds_its_folder()).collect();
    held.sort_by_key(|run| Path::new(&run.workspace).components().collect::<Vec<_>>());
    // A folder comes right before the first of its own.
    for (outer, inner) in held.iter().zip(held.iter().skip(1)) {
        findings.require(
            !Path::new(&inner.workspace).starts_with(&outer.workspace),
            18,
            || super::workflow_run(inner),
            || format!("it works in {}, where run {} is at work", inner.workspace, outer.id),
        );
    }
}

/// What a commit leaves open, and where it begins to work.
pub(super) fn check_change(change: &Change<'_>, findings: &mut Findings) {
    for Changed { before, after } in &change.campaigns {
        for (evaluation, open) in &change.open_runs {
            let was_in_flight =
                |before: &Campaign| before.in_flight().any(|it| it.id == *evaluation);
            if !before.as_ref().is_some_and(was_in_flight) {
                continue;
            }
            let ended = change.runs.iter().filter(|run| {
                let was_open = |before: &Run| !before.state.is_terminal();
                run.after.evaluation == *evaluation
                    && run.after.state.is_terminal()
                    && run.before.as_ref().is_some_and(was_open)
            });
            let left = open.saturating_sub(ended.count());
            findings.require(
                left == 0,
                if after.is_closed() { 22 } else { 21 },
                || super::campaign(after),
                || format!("{left} case runs of {evaluation} are open, and it has no use for them"),
            );
        }
    }
    if change.workflow_runs.iter().any(begins_to_work) {
        let written = change.workflow_runs.iter().map(|changed| changed.after);
        let others = change.at_work.iter().filter(|run| !written.clone().any(|it| it.id == run.id));
        apart(others.chain(written.clone()), findings);
    }
}

/// Whether the run takes hold of its folder.
pub(super) fn begins_to_work(run: &Changed<'_, WorkflowRun>) -> bool {
    let held = run.before.as_ref().is_some_and(WorkflowRun::holds_its_folder);
    run.after.holds_its_folder() && !held
}
