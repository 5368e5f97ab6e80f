//! Invariants of a case run, as findings.

use crate::campaign::check::Violation;
use crate::outcome::CaseOutcome;

use super::{Epoch, FAULT_RETRIES_MAX, Run, RunReport, RunState};

/// Every rule that `run` breaks; empty for a run that only [`super::transition`] has touched.
#[must_use]
pub fn check(run: &Run) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut require = |holds: bool, rule: &'static str, detail: String| {
        if !holds {
            violations.push(Violation { rule, detail });
        }
    };
    let claimed = run.epoch > Epoch(0);
    require(run.faults <= FAULT_RETRIES_MAX, "faults_bounded", run.faults.to_string());
    require(
        run.own_faults() <= run.epoch.0,
        "a_fault_needs_a_claim",
        format!("{} faults in {} claims", run.own_faults(), run.epoch.0),
    );
    require(
        run.unreported <= run.epoch.0,
        "what_hangs_was_claimed",
        format!("{} hung of {} claims", run.unreported, run.epoch.0),
    );
    match &run.state {
        RunState::Queued | RunState::Cancelled { .. } => {}
        RunState::Running { .. } => {
            require(claimed, "running_is_claimed", format!("{:?}", run.epoch))
        }
        RunState::Finished(report) => {
            require(claimed, "finished_was_claimed", format!("{:?}", run.epoch));
            let measured = matches!(report.outcome, CaseOutcome::Measured(_));
            require(
                !measured || report.executed == run.fingerprint,
                "measured_what_is_frozen",
                format!("{} instead of {}", report.executed, run.fingerprint),
            );
            require(
                measured || is_last(run, report),
                "void_only_when_retries_are_used_up_or_no_use",
                format!("{} faults", run.faults),
            );
        }
    }
    violations
}

/// Whether `run` is not tried again after a fault that ended in `report`: both sides of a pair are measured
/// again, as other runs.
fn is_last(run: &Run, report: &RunReport) -> bool {
    report.is_lasting_fault() || run.paired || run.faults == FAULT_RETRIES_MAX
}
