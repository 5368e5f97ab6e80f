//! Invariants of a workflow run, as findings. The random walks call it after every step.

use super::history::ENTRIES_MAX;
use super::node::{NodeRecord, NodeState, POSTPONEMENTS_MAX};
use super::state::WorkflowRunStatus;
use super::transition::AUTO_RESUMES_MAX;
use super::{Epoch, WorkflowRun};
use crate::campaign::check::Violation;

/// Every rule that `run` breaks; empty for a run that only [`super::transition`] has touched.
#[must_use]
pub fn check(run: &WorkflowRun) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut require = |holds: bool, rule: &'static str, detail: String| {
        if !holds {
            violations.push(Violation { rule, detail });
        }
    };
    let status = run.state.status();
    let claimed = run.epoch > Epoch(0);
    require(!status.is_at_work() || claimed, "at_work_is_claimed", format!("{:?}", run.epoch));
    require(
        run.started_at.is_some() == claimed,
        "started_with_the_first_claim",
        format!("{:?} with {:?}", run.started_at, run.epoch),
    );
    for record in &run.nodes {
        let name = || record.node.to_string();
        require(record.attempts <= record.attempts_max, "attempts_bounded", name());
        require(record.postponed <= POSTPONEMENTS_MAX, "postponements_bounded", name());
        require(
            !matches!(record.state, NodeState::Postponed { .. })
                || record.attempts < record.attempts_max,
            "postponed_means_an_attempt_is_left",
            name(),
        );
        require(
            !record.is_running() || status.is_at_work(),
            "no_attempt_without_a_worker",
            format!("{} in a run that is {}", record.node, status.name()),
        );
        let begun = record.is_done() || record.is_running();
        let supplied =
            record.needs.iter().all(|need| run.nodes.get(*need).is_some_and(NodeRecord::is_over));
        let begun_or_skipped = begun || matches!(record.state, NodeState::Skipped);
        require(!begun_or_skipped || supplied, "begun_after_what_it_needs", name());
        require(
            !begun || record.gate.as_ref().is_none_or(|gate| gate.approved),
            "begun_after_its_gate",
            name(),
        );
        require(
            !matches!(record.state, NodeState::Failed { .. })
                || record.attempts == record.attempts_max,
            "failed_means_no_attempt_is_left",
            name(),
        );
    }
    require(
        status != WorkflowRunStatus::Completed || run.nodes.iter().all(NodeRecord::is_over),
        "completed_means_all_over",
        status.name().to_owned(),
    );
    require(
        run.history.entries().count() <= ENTRIES_MAX,
        "history_bounded",
        run.history.entries().count().to_string(),
    );
    require(
        run.auto_resumes <= AUTO_RESUMES_MAX,
        "auto_resumes_bounded",
        run.auto_resumes.to_string(),
    );
    violations
}
