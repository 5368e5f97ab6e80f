//! Invariants of a stored workflow, as findings.

use crate::campaign::check::Violation;

use super::{StoredWorkflow, VERSIONS_KEPT, WRITES_KEPT};

/// Every rule that `workflow` breaks; empty for one that only [`super::transition`] has touched.
#[must_use]
pub fn check(workflow: &StoredWorkflow) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut require = |holds: bool, rule: &'static str, detail: String| {
        if !holds {
            violations.push(Violation { rule, detail });
        }
    };
    let StoredWorkflow { versions, writes, retired, deleted, .. } = workflow;
    let numbers: Vec<_> = versions.iter().map(|version| version.number).collect();
    require(
        numbers.is_sorted_by(|one, next| next.0 == one.0.saturating_add(1)),
        "versions_follow_each_other",
        format!("{numbers:?}"),
    );
    require(versions.len() <= VERSIONS_KEPT, "versions_bounded", versions.len().to_string());
    require(writes.len() <= WRITES_KEPT, "writes_bounded", writes.len().to_string());
    require(
        !versions.is_empty() || writes.is_empty(),
        "a_purged_history_is_gone",
        writes.len().to_string(),
    );
    require(
        retired.is_none() || deleted.is_some() || !versions.is_empty(),
        "a_retired_workflow_has_its_history",
        format!("{retired:?}"),
    );
    violations
}
