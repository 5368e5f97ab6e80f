//! Validators of output contracts: one rule each, one file each.
//!
//! A validator looks at one node's output and says which requirements are not met, one sentence for
//! each. Its settings stand in the contract's `enforcement`; keys that it does not know are foreign
//! and left alone.

mod code_patch;
mod generic_artifact;
mod research_brief;
mod review_decision;
mod sections;
mod settings;
mod standup_update;
mod structured_json;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::assertion::{Matcher, evaluate};
use crate::id::NodeId;
use crate::outcome::{Check, CheckKind, Outcome, Usage};
use crate::pack::Case;
use crate::run::NodeReport;
use crate::workflow::graph::Graph;
use crate::workflow::{Node, OutputContract, ValidatorKind, Workflow};

use self::settings::Settings;

/// The files that a case run may look at: its scratch copy.
pub trait Workspace {
    /// The content of the file at the relative `path`; `None` when there is none.
    ///
    /// # Errors
    /// The path leads out of the scratch copy, or cannot be read; the text says why.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String>;
}

/// A workspace of files in memory.
impl Workspace for BTreeMap<String, Vec<u8>> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.get(path).cloned())
    }
}

/// What a validator may look at.
struct Subject<'a> {
    contract: &'a OutputContract,
    settings: Settings<'a>,
    output: &'a Value,
    workspace: &'a dyn Workspace,
    matcher: &'a dyn Matcher,
}

/// What a validator found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Findings {
    unmet: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn require(&mut self, holds: bool, sentence: impl FnOnce() -> String) {
        if !holds {
            self.unmet.push(sentence());
        }
    }
}

/// The rule of a validator.
fn rule(kind: ValidatorKind) -> fn(&Subject<'_>) -> Findings {
    match kind {
        ValidatorKind::CodePatch => code_patch::check,
        ValidatorKind::ResearchBrief => research_brief::check,
        ValidatorKind::ReviewDecision => review_decision::check,
        ValidatorKind::StructuredJson => structured_json::check,
        ValidatorKind::GenericArtifact => generic_artifact::check,
        ValidatorKind::StandupUpdate => standup_update::check,
    }
}

/// Checks the output of `node` by the validator of its contract; `None` when it names none.
#[must_use]
pub fn validate(
    node: &Node,
    output: &Value,
    workspace: &dyn Workspace,
    matcher: &dyn Matcher,
) -> Option<Check> {
    let contract = node.contract()?;
    let kind = contract.validator?;
    let settings = Settings::new(contract.enforcement.as_ref());
    let Findings { unmet, warnings } =
        rule(kind)(&Subject { contract, settings, output, workspace, matcher });
    let outcome = match (unmet.is_empty(), warnings.is_empty()) {
        (false, _) => Outcome::Failed,
        (true, false) => Outcome::PassedWithWarnings,
        (true, true) => Outcome::Passed,
    };
    Some(Check {
        node: node.id().clone(),
        kind: CheckKind::Validator(kind),
        outcome,
        unmet,
        warnings,
    })
}

/// Every check that `workflow` and `case` expect, with its outcome: the validator of each node that
/// names one, and each expectation of the case. What has no output has failed; what could not run is
/// blocked.
#[must_use]
pub fn check_case(
    workflow: &Workflow,
    case: &Case,
    nodes: &[NodeReport],
    workspace: &dyn Workspace,
    matcher: &dyn Matcher,
) -> Vec<Check> {
    let reports: BTreeMap<_, _> = nodes.iter().map(|report| (&report.node, report)).collect();
    let validators = workflow.nodes().iter().filter_map(|node| {
        let kind = node.validator()?;
        let report = reports.get(node.id()).copied();
        Some(match report.and_then(|report| report.result.as_ref().ok()) {
            Some(output) => validate(node, output, workspace, matcher)?,
            None => missing(node.id(), CheckKind::Validator(kind), report),
        })
    });
    let sink = only_sink(workflow);
    let expectations = (0u32..).zip(&case.expect).filter_map(|(index, expectation)| {
        let node = expectation.node.as_ref().or(sink.as_ref())?;
        let kind = CheckKind::Assertion(index);
        let report = reports.get(node).copied();
        let Some(output) = report.and_then(|report| report.result.as_ref().ok()) else {
            return Some(missing(node, kind, report));
        };
        let usage = report.map_or(Usage::default(), |report| report.usage);
        let (outcome, unmet) = evaluate(expectation, Some(output), &usage, matcher);
        Some(Check {
            node: node.clone(),
            kind,
            outcome,
            unmet: unmet.into_iter().collect(),
            warnings: Vec::new(),
        })
    });
    validators.chain(expectations).collect()
}

fn missing(node: &NodeId, kind: CheckKind, report: Option<&NodeReport>) -> Check {
    let (outcome, sentence) = match report {
        None => (Outcome::Failed, "the node did not run".to_owned()),
        Some(NodeReport { attempts: 0, .. }) => {
            (Outcome::Blocked, "the node was blocked".to_owned())
        }
        Some(NodeReport { result: Err(error), .. }) => {
            (Outcome::Failed, format!("the node has no output: {error}"))
        }
        Some(NodeReport { result: Ok(_), .. }) => {
            (Outcome::Failed, "the output could not be checked".to_owned())
        }
    };
    Check { node: node.clone(), kind, outcome, unmet: vec![sentence], warnings: Vec::new() }
}

/// The one node that nothing depends on; expectations without a node speak about it.
fn only_sink(workflow: &Workflow) -> Option<NodeId> {
    let graph = Graph::new(workflow).ok()?;
    let mut sinks = graph.sinks();
    match (sinks.next(), sinks.next()) {
        (Some(index), None) => workflow.nodes().get(index).map(|node| node.id().clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
