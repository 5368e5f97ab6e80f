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
    limits(workflow, &mut findings);
    if let Err(faults) = Graph::new(workflow) {
        findings.extend(faults.iter().map(|fault| graph_fault(workflow, fault)));
    }
    if let Some(policies) = policies {
        target(workflow, policies, &mut findings);
    }
    findings
}

/// Limits that are read and that nothing can keep.
fn limits(workflow: &Workflow, findings: &mut Vec<Finding>) {
    if workflow.execution().max_total_tool_calls.is_some() {
        findings.push(warning(
            "tool_calls_not_counted",
            "/execution/max_total_tool_calls".to_owned(),
            "max_total_tool_calls has no effect: executors report no tool calls".to_owned(),
            "limit tokens, money or run time instead",
        ));
    }
}

fn error(code: &'static str, path: String, message: String, help: impl Into<String>) -> Finding {
    Finding { code, severity: Severity::Error, path, message, help: help.into() }
}

fn warning(code: &'static str, path: String, message: String, help: impl Into<String>) -> Finding {
    Finding { severity: Severity::Warning, ..error(code, path, message, help) }
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
        if let Err(fault) = agent.models() {
            findings.push(error(
                "model_policy_invalid",
                format!("/agents/{index}{}", fault.path),
                format!("agent `{}`: {}", agent.id, fault.message),
                "write {provider_id, model_id} or \"provider/model\"",
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
                format!("node `{}` has a blank objective, so its agent is told nothing", node.id()),
                "say what the node is to do",
            ));
        }
    }
}

fn graph_fault(workflow: &Workflow, fault: &GraphFault) -> Finding {
    let id = |index: usize| workflow.nodes().get(index).map_or("?", |node| node.id().as_str());
    match fault {
        GraphFault::DuplicateNode { node, first } => error(
            "duplicate_node_id",
            format!("/flow/nodes/{node}/node_id"),
            format!("node id `{}` is already taken by /flow/nodes/{first}", id(*node)),
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
            let names: Vec<_> = path.iter().chain(path.first()).map(|node| id(*node)).collect();
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
    if workflow.nodes().iter().all(|node| node.validator().is_none()) {
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
            format!("no node has a field that may change; allowed: {}", allowed.join(", ")),
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

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;
    use crate::policy::{BudgetPolicy, EvalPolicy, PackRef, Profile, ScopePolicy};

    fn workflow(nodes: Value) -> Workflow {
        let agents = json!([{"agent_id": "x"}]);
        let json = json!({"automation_id": "w", "agents": agents, "flow": {"nodes": nodes}});
        Workflow::from_json(json).unwrap()
    }

    fn policies(allowed: &[MutableField], forbidden: &[&str]) -> Policies {
        let mut policies = example_policies();
        policies.mutation.allowed = allowed.iter().copied().collect();
        policies.scope.forbidden_fields =
            forbidden.iter().map(|entry| entry.parse().unwrap()).collect();
        policies
    }

    fn example_policies() -> Policies {
        Policies {
            eval: EvalPolicy::strict(PackRef::Implicit),
            mutation: MutationPolicy::strict([]),
            scope: ScopePolicy::default(),
            budget: BudgetPolicy {
                profile: Profile::Strict,
                max_experiments: 20,
                max_runtime_minutes: 120,
                max_consecutive_failures: 3,
                max_total_tokens: None,
                max_total_cost: None,
            },
        }
    }

    fn lines(findings: &[Finding]) -> String {
        let line = |finding: &Finding| {
            let Finding { code, severity, path, message, help } = finding;
            format!("{severity}[{code}] {path}: {message} ({help})")
        };
        findings.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_limit_that_nothing_keeps_is_no_silent_promise() {
        let nodes = json!([{"node_id": "n", "agent_id": "x", "objective": "o"}]);
        let json = json!({
            "automation_id": "w",
            "agents": [{"agent_id": "x"}],
            "execution": {"max_total_tool_calls": 5},
            "flow": {"nodes": nodes},
        });
        let found = check(&Workflow::from_json(json).unwrap(), None);
        expect![[r#"
            warning[tool_calls_not_counted] /execution/max_total_tool_calls: max_total_tool_calls has no effect: executors report no tool calls (limit tokens, money or run time instead)"#]]
        .assert_eq(&lines(&found));
    }

    #[test]
    fn everything_wrong_with_a_workflow_is_found_at_once() {
        let workflow = workflow(json!([
            {"node_id": "read", "agent_id": "y", "objective": "o", "depends_on": ["report"]},
            {"node_id": "read", "agent_id": "x", "objective": " \n"},
            {"node_id": "report", "agent_id": "x", "objective": "o", "depends_on": ["reed", "report"],
             "input_refs": [{"from_step_id": "read", "alias": "a"}, {"from_step_id": "web", "alias": "b"}]},
        ]));
        expect![[r#"
            error[unknown_agent] /flow/nodes/0/agent_id: node `read` is given to agent `y`, which is not defined (define the agent under `agents`)
            warning[blank_objective] /flow/nodes/1/objective: node `read` has a blank objective, so its agent is told nothing (say what the node is to do)
            error[duplicate_node_id] /flow/nodes/1/node_id: node id `read` is already taken by /flow/nodes/0 (give every node an id of its own)
            error[unknown_dependency] /flow/nodes/2/depends_on/0: node `report` needs `reed`, which is not a node (did you mean `read`?)
            error[self_dependency] /flow/nodes/2/depends_on/1: node `report` needs itself, so it can never start (remove this entry)
            error[unknown_input] /flow/nodes/2/input_refs/1/from_step_id: node `report` needs `web`, which is not a node (name a node, or remove it)
            error[cycle] /flow/nodes/0/depends_on/0: nodes wait for each other: read -> report -> read (remove one of these dependencies)"#]].assert_eq(&lines(&check(&workflow, None)));
    }

    #[test]
    fn an_empty_workflow_is_no_target() {
        let policies = policies(&[MutableField::Objective], &[]);
        expect![[r#"
            error[no_nodes] /flow/nodes: the workflow has no nodes, so there is nothing to run (add at least one node)
            error[no_validator] /flow/nodes: a campaign needs at least one validator-backed output contract; without one, no candidate can be told from another (name a `validator` in the `output_contract` of a node)
            error[nothing_to_change] /flow/nodes: no node has a field that may change; allowed: objective (allow another field in mutation_policy.yaml, forbid fewer in scope.yaml, or set one of these in a node)"#]].assert_eq(&lines(&check(&workflow(json!([])), Some(&policies))));
    }

    #[test]
    fn what_waits_for_somebody_runs_but_is_no_target() {
        let contract = json!({"kind": "k", "validator": "structured_json"});
        let workflow = workflow(json!([
            {"node_id": "a", "agent_id": "x", "objective": "o", "gate": {"required": true}},
            {"node_id": "b", "agent_id": "x", "objective": "o", "stage_kind": "approval"},
            {"node_id": "c", "agent_id": "x", "objective": "o", "wait": {"for": "mail"}},
            {"node_id": "d", "agent_id": "x", "objective": "o", "output_contract": contract},
        ]));
        let policies = policies(&[MutableField::Objective], &[]);
        assert_eq!(check(&workflow, None), []);
        expect![[r#"
            error[gate_present] /flow/nodes/0: node `a` waits for a person to decide; evaluations run unattended (optimize a copy of the workflow without the gate)
            error[gate_present] /flow/nodes/1: node `b` waits for a person to decide; evaluations run unattended (optimize a copy of the workflow without the gate)
            error[wait_present] /flow/nodes/2/wait: node `c` waits for something outside; evaluations see nothing of it (optimize a copy of the workflow without the wait)"#]].assert_eq(&lines(&check(&workflow, Some(&policies))));
    }

    #[test]
    fn a_target_has_a_field_that_is_allowed_exposed_and_not_forbidden() {
        use MutableField::{
            Objective, OutputContractSummaryGuidance as Guidance,
            RetryPolicyMaxAttempts as Attempts, RetryPolicyRetries as Retries,
            TimeoutMs as Timeout,
        };
        let bare = json!({"node_id": "a", "agent_id": "x", "objective": "",
                          "output_contract": {"kind": "k", "validator": "structured_json"}});
        let with = |key: &str, value: Value| {
            let mut node = bare.clone();
            node[key] = value;
            node
        };
        let guided = json!({"kind": "k", "validator": "structured_json", "summary_guidance": "g"});
        let guided = with("output_contract", guided);
        for (node, allowed, forbidden, can_change) in [
            (&bare, Objective, None, true),
            (&bare, Objective, Some("objective"), false),
            (&bare, Objective, Some("nodes.a"), false),
            (&bare, Objective, Some("nodes.a.timeout_ms"), true),
            (&bare, Guidance, None, false),
            (&guided, Guidance, None, true),
            (&guided, Guidance, Some("nodes.*"), false),
            (&bare, Timeout, None, false),
            (&with("timeout_ms", json!(60_000)), Timeout, None, true),
            (&with("retry_policy", json!({"retries": 1})), Retries, None, true),
            (&with("retry_policy", json!({"retries": 1})), Attempts, None, false),
            (&with("retry_policy", json!({"retries": "1"})), Retries, None, false),
        ] {
            let policies = policies(&[allowed], forbidden.as_slice());
            let found = check(&workflow(json!([node])), Some(&policies));
            let refused = found.iter().any(|finding| finding.code == "nothing_to_change");
            assert_eq!(refused, !can_change, "{allowed} {forbidden:?} {node}");
        }
    }

    #[test]
    fn numbers_out_of_reach_of_the_policy_are_warned_about() {
        let node = |id: &str, timeout: u64, retry: Value| {
            json!({"node_id": id, "agent_id": "x", "objective": "o", "timeout_ms": timeout,
                   "retry_policy": retry, "output_contract": {"kind": "k", "validator": "code_patch"}})
        };
        let workflow = workflow(json!([
            node("inside", 30_000, json!({"max_attempts": 3, "retries": 0})),
            node("one step away", 26_087, json!({"max_attempts": 4, "retries": -1})),
            node("too short", 26_086, json!({"max_attempts": 5, "retries": -2})),
            node("too long", 630_001, json!({"max_attempts": i64::MAX, "retries": i64::MIN})),
            node("huge", u64::MAX, json!({"max_attempts": "3", "retries": 1.5})),
            node("forbidden", 1, json!({"max_attempts": null})),
        ]));
        let policies = policies(&MutableField::ALL, &["nodes.forbidden"]);
        expect![[r#"
            warning[value_outside_policy] /flow/nodes/2/timeout_ms: `timeout_ms` of node `too short` is 26086; no step of at most 3913 leads into 30000..=600000, so it is not proposed (move the value, or the bounds in mutation_policy.yaml)
            warning[value_outside_policy] /flow/nodes/2/retry_policy/max_attempts: `retry_policy.max_attempts` of node `too short` is 5; no step of at most 1 leads into 0..=3, so it is not proposed (move the value, or the bounds in mutation_policy.yaml)
            warning[value_outside_policy] /flow/nodes/2/retry_policy/retries: `retry_policy.retries` of node `too short` is -2; no step of at most 1 leads into 0..=3, so it is not proposed (move the value, or the bounds in mutation_policy.yaml)
            warning[value_outside_policy] /flow/nodes/3/timeout_ms: `timeout_ms` of node `too long` is 630001; no step of at most 30000 leads into 30000..=600000, so it is not proposed (move the value, or the bounds in mutation_policy.yaml)
            warning[value_outside_policy] /flow/nodes/3/retry_policy/max_attempts: `retry_policy.max_attempts` of node `too long` is 9223372036854775807; no step of at most 1 leads into 0..=3, so it is not proposed (move the value, or the bounds in mutation_policy.yaml)
            warning[value_outside_policy] /flow/nodes/3/retry_policy/retries: `retry_policy.retries` of node `too long` is -9223372036854775808; no step of at most 1 leads into 0..=3, so it is not proposed (move the value, or the bounds in mutation_policy.yaml)
            warning[non_integer_retry] /flow/nodes/4/retry_policy/max_attempts: `retry_policy.max_attempts` of node `huge` is "3", which is no whole number: it has no effect and is not proposed (write a whole number without quotes)
            warning[non_integer_retry] /flow/nodes/4/retry_policy/retries: `retry_policy.retries` of node `huge` is 1.5, which is no whole number: it has no effect and is not proposed (write a whole number without quotes)"#]].assert_eq(&lines(&check(&workflow, Some(&policies))));
    }

    #[test]
    fn a_forbidden_node_must_exist() {
        let node = json!({"node_id": "draft", "agent_id": "x", "objective": "o",
                          "output_contract": {"kind": "k", "validator": "code_patch"}});
        let forbidden =
            ["nodes.draft.timeout_ms", "nodes.daft", "nodes.publish.objective", "timeout_ms"];
        let policies = policies(&[MutableField::Objective], &forbidden);
        expect![[r#"
            error[unknown_forbidden_node] /flow/nodes: scope.yaml forbids `nodes.daft.*`, but the workflow has no node `daft` (did you mean `draft`?)
            error[unknown_forbidden_node] /flow/nodes: scope.yaml forbids `nodes.publish.objective`, but the workflow has no node `publish` (name a node of the workflow, or remove the entry)"#]].assert_eq(&lines(&check(&workflow(json!([node])), Some(&policies))));
    }
}
