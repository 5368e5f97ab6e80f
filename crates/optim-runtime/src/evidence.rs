//! What proposers may learn from a replay: what cases expected, and what came out.

use std::collections::BTreeMap;

use optim_core::assertion::Assertion;
use optim_core::outcome::{CaseOutcome, Check, CheckKind};
use optim_core::pack::Case;
use optim_core::proposal::examples::ObservedCase;
use optim_core::run::{Run, RunReport};
use serde_json::Value;

/// The expectations of `cases` with what the runs gave for them.
///
/// Only expectations with one right text count: a proposer learns what should have come out.
#[must_use]
pub fn observed<'a>(cases: impl Iterator<Item = &'a Case>, runs: &[Run]) -> Vec<ObservedCase> {
    let reports: BTreeMap<_, _> =
        runs.iter().filter_map(|run| Some((&run.case, run.report()?))).collect();
    let mut observed = Vec::new();
    for case in cases {
        let Some(report) = reports.get(&case.id) else {
            continue;
        };
        let CaseOutcome::Measured(measured) = &report.outcome else {
            continue;
        };
        observed.extend(measured.checks.iter().filter_map(|check| observe(case, report, check)));
    }
    observed
}

fn observe(case: &Case, report: &RunReport, check: &Check) -> Option<ObservedCase> {
    let CheckKind::Assertion(index) = check.kind else {
        return None;
    };
    let expectation = case.expect.get(usize::try_from(index).ok()?)?;
    let Assertion::Equals { value: Value::String(expected) } = &expectation.assertion else {
        return None;
    };
    if expectation.negated {
        return None;
    }
    let node = report.nodes.iter().find(|node| node.node == check.node)?;
    let output = node.result.as_ref().ok();
    let found = output.and_then(|output| output.pointer(expectation.at.as_deref().unwrap_or("")));
    Some(ObservedCase {
        inputs: case.inputs.clone(),
        node: check.node.clone(),
        expected: expected.clone(),
        actual: found
            .map(|value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)),
    })
}
