//! Why case runs gave no outcome: the most frequent cause, with its figures.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{Run, RunReport};
use crate::node_io::ErrorClass;
use crate::outcome::CaseOutcome;

/// The case runs of an evaluation that are void, and why most of them are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Case runs of the evaluation.
    pub runs: usize,
    /// Those of them that are void; at least 1.
    pub void: usize,
    /// The most frequent cause as a code: `provider`, `configuration`, or `machine` when it never came
    /// to a node.
    pub code: &'static str,
    /// The most frequent cause as a sentence.
    pub reason: String,
    /// The void runs that have this cause.
    pub count: usize,
}

impl Faults {
    /// The faults among `runs`; `None` when none of them is void.
    #[must_use]
    pub fn of(runs: &[Run]) -> Option<Self> {
        let mut causes: BTreeMap<_, usize> = BTreeMap::new();
        for cause in runs.iter().filter_map(|run| cause(run.report()?)) {
            *causes.entry(cause).or_default() += 1;
        }
        let void = causes.values().sum();
        // Of equally frequent ones the first, so that equal runs give equal words.
        let ((code, reason), count) = causes.into_iter().rev().max_by_key(|(_, count)| *count)?;
        let reason = reason.to_owned();
        Some(Self { runs: runs.len(), void, code, reason, count })
    }
}

fn cause(report: &RunReport) -> Option<(&'static str, &str)> {
    let CaseOutcome::Void { fault } = &report.outcome else {
        return None;
    };
    let of_outside =
        |class: &ErrorClass| matches!(class, ErrorClass::Provider | ErrorClass::Configuration);
    let mut classes =
        report.nodes.iter().filter_map(|node| Some(node.result.as_ref().err()?.class));
    let class = classes.rfind(of_outside);
    Some((class.map_or("machine", ErrorClass::name), fault))
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, void, code, reason, count } = self;
        write!(f, "{void} of {runs} case runs gave no outcome")?;
        if count < void {
            write!(f, ", {count} of them for this")?;
        }
        write!(f, ": {reason} ({code})")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::transition::tests::{measured, report, run};
    use super::super::{NodeReport, RunState};
    use super::*;
    use crate::id::NodeId;
    use crate::node_io::NodeError;
    use crate::outcome::Usage;

    fn ended(outcome: CaseOutcome, result: Result<Value, NodeError>) -> Run {
        let mut run = run();
        let mut report = report(&run, outcome);
        let node = NodeId::new("n").unwrap();
        report.nodes.push(NodeReport { node, attempts: 1, result, usage: Usage::default() });
        run.state = RunState::Finished(report);
        run
    }

    fn void(class: ErrorClass, fault: &str) -> Run {
        let outcome = CaseOutcome::Void { fault: fault.to_owned() };
        ended(outcome, Err(NodeError::new(class, fault)))
    }

    #[test]
    fn the_most_frequent_cause_is_named_with_its_figures() {
        use ErrorClass::{Blocked, Configuration, Provider};
        let sound = || ended(measured(), Err(NodeError::new(Provider, "once")));
        assert_eq!(Faults::of(&[run(), sound()]), None);
        let words = |runs: &[Run]| Faults::of(runs).unwrap().to_string();
        let mut runs = vec![sound(), void(Configuration, "no key"), run()];
        assert_eq!(words(&runs), "1 of 3 case runs gave no outcome: no key (configuration)");
        runs.extend([void(Provider, "busy"), void(Provider, "busy"), void(Provider, "gone")]);
        assert_eq!(
            words(&runs),
            "4 of 6 case runs gave no outcome, 2 of them for this: busy (provider)"
        );
        runs.reverse();
        assert_eq!(Faults::of(&runs).unwrap().count, 2, "their order does not count");
        assert_eq!(
            words(&[void(Blocked, "no folder")]),
            "1 of 1 case runs gave no outcome: no folder (machine)"
        );
    }
}
