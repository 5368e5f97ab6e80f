//! Each record by itself: the rules that its own module keeps after every step.

use crate::campaign::check::Violation;
use crate::{campaign, run, stored_workflow, workflow_run};

use super::{Findings, Snapshot};

pub(super) fn check(snapshot: &Snapshot, findings: &mut Findings) {
    for one in &snapshot.campaigns {
        add(findings, || super::campaign(one), campaign::check::check(one));
    }
    for one in &snapshot.runs {
        add(findings, || format!("case run {}", one.id), run::check::check(one));
    }
    for one in &snapshot.workflows {
        add(findings, || format!("stored workflow {}", one.id), stored_workflow::check::check(one));
    }
    for one in &snapshot.workflow_runs {
        add(findings, || format!("workflow run {}", one.id), workflow_run::check::check(one));
    }
}

fn add(findings: &mut Findings, record: impl Fn() -> String, violations: Vec<Violation>) {
    for Violation { rule, detail } in violations {
        findings.add(invariant(rule), record(), format!("{rule}: {detail}"));
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
        "running_is_claimed" | "finished_was_claimed" | "at_work_is_claimed" => 15,
        "faults_bounded" | "attempts_bounded" | "auto_resumes_bounded" => 21,
        _ => 5,
    }
}
