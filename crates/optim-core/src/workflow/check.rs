//! Well-formedness: findings about a definition that can be read but not run, or not optimized.

use std::collections::BTreeSet;

use serde_json::Value;

use super::graph::{Graph, GraphFault, ReferenceList};
use super::{Knob, Node, Workflow};
use crate::diagnostic::Severity;
use crate::mutation::{FieldValue, MutableField};
use crate::policy::{MutationPolicy, Policies};
use crate::suggest::did_you_mean;

/// One thing about a definition that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A stable word, for instance `unknown_agent`.
    pub code: &'static str,
    /// An error when the workflow cannot be run or measured.
    pub severity: Severity,
    /// Where it is, as a JSON pointer into the definition: `/flow/nodes/2/depends_on/0`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Everything that is to be said about `workflow`, errors and warnings, in the order of the rules.
///
/// Without `policies` it is judged as a workflow to run; with them also as the target of a campaign
/// under these policies.
#[must_use]
pub fn check(workflow: &Workflow, policies: Option<&Policies>) -> Vec<Finding> {
    let mut findings = Vec::new();
    agents(workflow, &mut findings);
    nodes(workflow, &mut findings);
    if let Err(faults) = Graph::new(workflow) {
        findings.extend(faults.iter().map(|fault| graph_fault(workflow, fault)));
    }
    if let Some(policies) = policies {
        target(workflow, policies, &mut findings);
    }
    findings
}

fn error(code: &'static str, path: String, message: String, help: impl Into<String>) -> Finding {
    Finding {
        code,
        severity: Severity::Error,
        path,
        message,
        help: help.into(),
    }
}

fn warning(code: &'static str, path: String, message: String, help: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..error(code, path, message, help)
    }
}

fn agents(workflow: &Workflow, findings: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for (index, agent) in workflow.agents().iter().enumerate() {
        if !seen.insert(&agent.id) {
            findings.push(error(
                "duplicate_agent_id",
                format!("/agents/{index}/agent_id"),
                format!("agent `{}` is defined twice", agent.id),
                "give every agent an id of its own",
            ));
        }
    }
}

fn nodes(workflow: &Workflow, findings: &mut Vec<Finding>) {
    if workflow.nodes().is_empty() {
        findings.push(error(
            "no_nodes",
            "/flow/nodes".to_owned(),
            "the workflow has no nodes, so there is nothing to run".to_owned(),
            "add at least one node",
        ));
    }
    let agents: BTreeSet<_> = workflow.agents().iter().map(|agent| &agent.id).collect();
    for (index, node) in workflow.nodes().iter().enumerate() {
        if !agents.contains(node.agent()) {
            findings.push(error(
                "unknown_agent",
                format!("/flow/nodes/{index}/agent_id"),
                format!(
                    "node `{}` is given to agent `{}`, which is not defined",
                    node.id(),
                    node.agent()
                ),
                did_you_mean(node.agent().as_str(), agents.iter().map(|id| id.as_str()))
                    .unwrap_or_else(|| "define the agent under `agents`".to_owned()),
            ));
        }
        if node.objective().trim().is_empty() {
            findings.push(warning(
                "blank_objective",
                format!("/flow/nodes/{index}/objective"),
                format!(
                    "node `{}` has a blank objective, so its agent is told nothing",
                    node.id()
                ),
                "say what the node is to do",
            ));
        }
    }
}

fn graph_fault(workflow: &Workflow, fault: &GraphFault) -> Finding {
    let id = |index: usize| {
        workflow
            .nodes()
            .get(index)
            .map_or("?", |node| node.id().as_str())
    };
    match fault {
        GraphFault::DuplicateNode { node, first } => error(
            "duplicate_node_id",
            format!("/flow/nodes/{node}/node_id"),
            format!(
                "node id `{}` is already taken by /flow/nodes/{first}",
                id(*node)
            ),
            "give every node an id of its own",
        ),
        GraphFault::UnknownNode(at) => {
            let name = at.target(workflow).map_or("?", |id| id.as_str());
            let nodes = workflow.nodes().iter().map(|node| node.id().as_str());
            error(
                match at.list {
                    ReferenceList::DependsOn => "unknown_dependency",
                    ReferenceList::InputRefs => "unknown_input",
                },
                at.to_string(),
                format!("node `{}` needs `{name}`, which is not a node", id(at.node)),
                did_you_mean(name, nodes).unwrap_or_else(|| "name a node, or remove it".to_owned()),
            )
        }
        GraphFault::SelfReference(at) => error(
            "self_dependency",
            at.to_string(),
            format!("node `{}` needs itself, so it can never start", id(at.node)),
            "remove this entry",
        ),
        GraphFault::Cycle { at, path } => {
            let names: Vec<_> = path
                .iter()
                .chain(path.first())
                .map(|node| id(*node))
                .collect();
            error(
                "cycle",
                at.to_string(),
                format!("nodes wait for each other: {}", names.join(" -> ")),
                "remove one of these dependencies",
            )
        }
    }
}

/// What makes a workflow unfit as the target of a campaign.
fn target(workflow: &Workflow, policies: &Policies, findings: &mut Vec<Finding>) {
    for (index, node) in workflow.nodes().iter().enumerate() {
        stops(index, node, findings);
        numbers(index, node, policies, findings);
    }
    forbidden_nodes(workflow, policies, findings);
    if workflow
        .nodes()
        .iter()
        .all(|node| node.validator().is_none())
    {
        findings.push(error(
            "no_validator",
            "/flow/nodes".to_owned(),
            "a campaign needs at least one validator-backed output contract; without one, no \
             candidate can be told from another"
                .to_owned(),
            "name a `validator` in the `output_contract` of a node",
        ));
    }
    let can_change = workflow.nodes().iter().any(|node| {
        policies.mutation.allowed.iter().any(|field| {
            field.spec().get(node).is_some() && policies.scope.forbids(node.id(), *field).is_none()
        })
    });
    if !can_change {
        let allowed: Vec<_> = policies.mutation.allowed.iter().map(|f| f.path()).collect();
        findings.push(error(
            "nothing_to_change",
            "/flow/nodes".to_owned(),
            format!("no node has a field that may change: {} allowed", allowed.join(", ")),
            "allow another field in mutation_policy.yaml, forbid fewer in scope.yaml, or set one of \
             these in a node",
        ));
    }
}

/// Nodes that wait for somebody would wait for ever in an evaluation.
fn stops(index: usize, node: &Node, findings: &mut Vec<Finding>) {
    if node.has_gate() {
        findings.push(error(
            "gate_present",
            format!("/flow/nodes/{index}"),
            format!(
                "node `{}` waits for a person to decide; evaluations run unattended",
                node.id()
            ),
            "optimize a copy of the workflow without the gate",
        ));
    }
    if node.has_wait() {
        findings.push(error(
            "wait_present",
            format!("/flow/nodes/{index}/wait"),
            format!(
                "node `{}` waits for something outside; evaluations see nothing of it",
                node.id()
            ),
            "optimize a copy of the workflow without the wait",
        ));
    }
}

/// Numbers that the policy would let a campaign change, but that it cannot propose to.
fn numbers(index: usize, node: &Node, policies: &Policies, findings: &mut Vec<Finding>) {
    for field in policies.mutation.allowed.iter().copied() {
        if policies.scope.forbids(node.id(), field).is_some() {
            continue;
        }
        let path = || format!("/flow/nodes/{index}/{}", field.spec().path().join("/"));
        if let Some(value) = non_integer(node, field) {
            findings.push(warning(
                "non_integer_retry",
                path(),
                format!(
                    "`{field}` of node `{}` is {value}, which is no whole number: it has no effect \
                     and is not proposed",
                    node.id()
                ),
                "write a whole number without quotes",
            ));
        }
        let Some(FieldValue::Integer(value)) = field.spec().get(node) else {
            continue;
        };
        let Some(reach) = Reach::of(field, &policies.mutation, value) else {
            continue;
        };
        if reach.misses(value) {
            let Reach { min, max, step } = reach;
            findings.push(warning(
                "value_outside_policy",
                path(),
                format!(
                    "`{field}` of node `{}` is {value}; no step of at most {step} leads into \
                     {min}..={max}, so it is not proposed",
                    node.id()
                ),
                "move the value, or the bounds in mutation_policy.yaml",
            ));
        }
    }
}

/// A retry setting that is there but is no integer.
fn non_integer(node: &Node, field: MutableField) -> Option<&Value> {
    let knob = match field {
        MutableField::RetryPolicyMaxAttempts => node.max_attempts(),
        MutableField::RetryPolicyRetries => node.retries(),
        MutableField::Objective
        | MutableField::OutputContractSummaryGuidance
        | MutableField::TimeoutMs => return None,
    };
    match knob {
        Knob::Other(value) => Some(value),
        Knob::Absent | Knob::Integer(_) => None,
    }
}

/// Where one step may lead a number.
struct Reach {
    min: i64,
    max: i64,
    step: i64,
}

impl Reach {
    /// The reach of `field` from `value`; `None` for a text.
    fn of(field: MutableField, policy: &MutationPolicy, value: i64) -> Option<Self> {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        match field {
            MutableField::TimeoutMs => {
                let share = policy.timeout_delta_percent.of_ceil(value.unsigned_abs());
                Some(Self {
                    min: whole(policy.timeout_min.0),
                    max: whole(policy.timeout_max.0),
                    step: whole(share.min(policy.timeout_delta.0)),
                })
            }
            MutableField::RetryPolicyMaxAttempts | MutableField::RetryPolicyRetries => Some(Self {
                min: policy.retry_min.into(),
                max: policy.retry_max.into(),
                step: policy.retry_delta.into(),
            }),
            MutableField::Objective | MutableField::OutputContractSummaryGuidance => None,
        }
    }

    /// Whether no value of the range is one step away.
    fn misses(&self, value: i64) -> bool {
        let below = self.min.saturating_sub(value);
        let above = value.saturating_sub(self.max);
        below.max(above) > self.step
    }
}

/// Entries of `forbidden_fields` that name a node which is not there protect nothing.
fn forbidden_nodes(workflow: &Workflow, policies: &Policies, findings: &mut Vec<Finding>) {
    let ids: BTreeSet<_> = workflow.nodes().iter().map(|node| node.id()).collect();
    for pattern in &policies.scope.forbidden_fields {
        if let Some(node) = pattern.node.as_ref().filter(|node| !ids.contains(node)) {
            findings.push(error(
                "unknown_forbidden_node",
                "/flow/nodes".to_owned(),
                format!("scope.yaml forbids `{pattern}`, but the workflow has no node `{node}`"),
                did_you_mean(node.as_str(), ids.iter().map(|id| id.as_str())).unwrap_or_else(
                    || "name a node of the workflow, or remove the entry".to_owned(),
                ),
            ));
        }
    }
}
