//! Each record by itself: the rules that its own module keeps after every step.

use crate::campaign::check::Violation;
use crate::{campaign, run, stored_workflow, workflow_run};

use super::change::{Change, Changed};
use super::{Findings, Snapshot};

pub(super) fn check(snapshot: &Snapshot, findings: &mut Findings) {
    every(snapshot.campaigns.iter().map(new), super::campaign, campaign::check::check, findings);
    every(snapshot.runs.iter().map(new), super::run, run::check::check, findings);
    let workflows = snapshot.workflows.iter().map(new);
    every(workflows, super::workflow, stored_workflow::check::check, findings);
    let workflow_runs = snapshot.workflow_runs.iter().map(new);
    every(workflow_runs, super::workflow_run, workflow_run::check::check, findings);
}

/// The same of the records that a commit writes. What a record broke before is no reason to keep it as it is:
/// whoever cancels it must be able to.
pub(super) fn check_change(change: &Change<'_>, findings: &mut Findings) {
    let Change { campaigns, runs, workflows, workflow_runs, .. } = change;
    every(campaigns.iter().map(both), super::campaign, campaign::check::check, findings);
    every(runs.iter().map(both), super::run, run::check::check, findings);
    every(workflows.iter().map(both), super::workflow, stored_workflow::check::check, findings);
    every(
        workflow_runs.iter().map(both),
        super::workflow_run,
        workflow_run::check::check,
        findings,
    );
}

fn new<T>(record: &T) -> (Option<&T>, &T) {
    (None, record)
}

fn both<'a, T>(changed: &'a Changed<'_, T>) -> (Option<&'a T>, &'a T) {
    (changed.before.as_ref(), changed.after)
}

fn every<'a, T: 'a>(
    records: impl Iterator<Item = (Option<&'a T>, &'a T)>,
    name: fn(&T) -> String,
    check: fn(&T) -> Vec<Violation>,
    findings: &mut Findings,
) {
    for (before, after) in records {
        let violations = check(after);
        // Nearly always there is none, so nearly always one look is enough.
        let known = if violations.is_empty() { None } else { before.map(check) };
        let is_known =
            |rule| known.iter().flatten().any(|violation: &Violation| violation.rule == rule);
        for Violation { rule, detail } in violations.iter().filter(|it| !is_known(it.rule)) {
            findings.add(invariant(rule), name(after), format!("{rule}: {detail}"));
        }
    }
}

/// The invariant that a rule of a record belongs to. What is not named here is a rule about which states
/// there are.
fn invariant(rule: &str) -> u8 {
    match rule {
        "each_open_experiment_is_pending" | "experiment_state_fits_the_phase" => 1,
        "version_0_is_the_source" | "pending_belongs_to_the_baseline" => 3,
        "measured_against_a_baseline" | "a_health_check_promotes_nothing" => 4,
        "experiments_within_budget" | "spending_within_the_budget" | "stakes_within_alpha" => 7,
        "measured_what_is_frozen" | "replays_bounded" => 8,
        "live_is_not_ahead" | "only_what_was_applied_is_measured" => 12,
        "each_key_once" => 30,
        "running_is_claimed" | "finished_was_claimed" | "at_work_is_claimed" => 15,
        "faults_bounded" | "attempts_bounded" | "auto_resumes_bounded" => 21,
        _ => 5,
    }
}
