//! What proposers may learn from a replay: which search cases pass, which fail, and how.

use std::collections::BTreeMap;

use optim_core::assertion::Assertion;
use optim_core::id::NodeId;
use optim_core::outcome::{CaseOutcome, CheckKind};
use optim_core::pack::Case;
use optim_core::run::{Run, RunReport};
use serde_json::{Map, Value};

/// One expectation of one case, with what came out.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedCase {
    /// The case's inputs.
    pub inputs: Map<String, Value>,
    /// The node that was checked.
    pub node: NodeId,
    /// What should have come out.
    pub expected: String,
    /// What came out; absent when nothing did.
    pub actual: Option<String>,
}

/// The cases whose expected text the runs missed, and those whose expected text they met.
///
/// Only expectations with one right text count: a proposer learns what should have come out.
#[must_use]
pub fn outcomes<'a>(
    cases: impl Iterator<Item = &'a Case>,
    runs: &[Run],
) -> (Vec<ObservedCase>, Vec<ObservedCase>) {
    let reports: BTreeMap<_, _> = runs
        .iter()
        .filter_map(|run| Some((&run.case, run.report()?)))
        .collect();
    let (mut failing, mut passing) = (Vec::new(), Vec::new());
    for case in cases {
        let Some(report) = reports.get(&case.id) else {
            continue;
        };
        let CaseOutcome::Measured(measured) = &report.outcome else {
            continue;
        };
        for check in &measured.checks {
            let CheckKind::Assertion(index) = check.kind else {
                continue;
            };
            let expectation = usize::try_from(index)
                .ok()
                .and_then(|index| case.expect.get(index));
            let Some(Assertion::Equals {
                value: Value::String(expected),
            }) = expectation
                .filter(|expectation| !expectation.negated)
                .map(|expectation| &expectation.assertion)
            else {
                continue;
            };
            let found = ObservedCase {
                inputs: case.inputs.clone(),
                node: check.node.clone(),
                expected: expected.clone(),
                actual: actual(
                    report,
                    check,
                    expectation.and_then(|expectation| expectation.at.as_deref()),
                ),
            };
            if check.outcome.passes() {
                passing.push(found)
            } else {
                failing.push(found)
            }
        }
    }
    (failing, passing)
}

/// The text that the node gave at the place that the expectation looks at.
fn actual(
    report: &RunReport,
    check: &optim_core::outcome::Check,
    at: Option<&str>,
) -> Option<String> {
    let node = report.nodes.iter().find(|node| node.node == check.node)?;
    let output = node.result.as_ref().ok()?;
    match output.pointer(at.unwrap_or(""))? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
