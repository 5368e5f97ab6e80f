//! What a workflow needs of its executor.

use optim_core::diagnostic::Severity;
use optim_core::workflow::check::Finding;
use optim_core::workflow::{Node, Workflow};
use serde_json::Value;

use super::Capabilities;

/// A need, and how it is talked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Tools,
    Mcp,
    Wait,
}

impl Need {
    fn is_met(self, capabilities: &Capabilities) -> bool {
        match self {
            Self::Tools => capabilities.tools,
            Self::Mcp => capabilities.mcp,
            Self::Wait => capabilities.waits,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Mcp => "MCP servers",
            Self::Wait => "something outside to happen",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Tools => "needs_tools",
            Self::Mcp => "needs_mcp",
            Self::Wait => "needs_wait",
        }
    }

    /// What the executor cannot do.
    fn lack(self) -> &'static str {
        match self {
            Self::Tools => "calls no tools",
            Self::Mcp => "talks to no MCP server",
            Self::Wait => "cannot wait for something outside",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Tools => {
                "empty this list, or choose an executor that calls tools, for instance `process`"
            }
            Self::Mcp => {
                "empty this list, or choose an executor that talks to MCP servers, for instance `process`"
            }
            Self::Wait => "optimize a copy of the workflow without the wait",
        }
    }
}

/// The lists of a node or of its agent that name what it uses; an empty one names nothing.
const LISTS: [(&str, &str, Need); 3] = [
    ("tool_policy", "allowlist", Need::Tools),
    ("mcp_policy", "allowed_servers", Need::Mcp),
    ("mcp_policy", "allowed_tools", Need::Mcp),
];

/// What nodes of `workflow` need and `capabilities` lack; one finding for each place that says so.
/// An agent that no node is given to needs nothing.
#[must_use]
pub fn unmet_needs(workflow: &Workflow, capabilities: &Capabilities) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |node: &Node, need: Need, path: String| {
        if !need.is_met(capabilities) {
            findings.push(finding(node, need, path));
        }
    };
    for (index, agent) in workflow.agents().iter().enumerate() {
        let user = workflow.nodes().iter().find(|node| *node.agent() == agent.id);
        for (need, path) in lists(|policy| agent.definition.get(policy)) {
            user.into_iter().for_each(|node| report(node, need, format!("/agents/{index}/{path}")));
        }
    }
    for (index, node) in workflow.nodes().iter().enumerate() {
        for (need, path) in of_node(node) {
            report(node, need, format!("/flow/nodes/{index}/{path}"));
        }
    }
    findings
}

/// The needs that a node itself states, with their place in it.
fn of_node(node: &Node) -> Vec<(Need, String)> {
    let mut needs = lists(|policy| node.extra(policy));
    let enforcement = node.contract().and_then(|contract| contract.enforcement.as_ref());
    if names_any(enforcement.and_then(|settings| settings.get("required_tools"))) {
        needs.push((Need::Tools, "output_contract/enforcement/required_tools".to_owned()));
    }
    if node.has_wait() {
        needs.push((Need::Wait, "wait".to_owned()));
    }
    needs
}

fn lists<'a>(policy: impl Fn(&str) -> Option<&'a Value>) -> Vec<(Need, String)> {
    let stated = LISTS
        .iter()
        .filter(|(name, list, _)| names_any(policy(name).and_then(|policy| policy.get(list))));
    stated.map(|(name, list, need)| (*need, format!("{name}/{list}"))).collect()
}

fn names_any(list: Option<&Value>) -> bool {
    list.and_then(Value::as_array).is_some_and(|items| !items.is_empty())
}

fn finding(node: &Node, need: Need, path: String) -> Finding {
    Finding {
        code: need.code(),
        severity: Severity::Error,
        path,
        message: format!(
            "node `{}` needs {}, but the executor {}",
            node.id(),
            need.name(),
            need.lack()
        ),
        help: need.help().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workflow() -> Workflow {
        let tools = json!({"allowlist": ["read"]});
        Workflow::from_json(json!({
            "automation_id": "w",
            "agents": [
                {"agent_id": "unused", "tool_policy": tools},
                {"agent_id": "x", "tool_policy": tools, "mcp_policy": {"allowed_servers": ["git"], "allowed_tools": []}},
                {"agent_id": "plain", "tool_policy": {"allowlist": [], "denylist": ["write"]}, "mcp_policy": {}},
            ],
            "flow": {"nodes": [
                {"node_id": "a", "agent_id": "x", "objective": "o", "mcp_policy": {"allowed_tools": ["git.log"]}},
                {"node_id": "b", "agent_id": "plain", "objective": "o", "wait": {"for": "mail"}, "output_contract":
                    {"kind": "k", "enforcement": {"required_tools": ["read"]}}},
                {"node_id": "c", "agent_id": "plain", "objective": "o", "tool_policy": null, "wait": null},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn each_need_that_the_executor_lacks_is_found_where_it_is_stated() {
        let findings = unmet_needs(&workflow(), &Capabilities::default());
        let found: Vec<_> =
            findings.iter().map(|finding| (finding.code, finding.path.as_str())).collect();
        assert_eq!(
            found,
            [
                ("needs_tools", "/agents/1/tool_policy/allowlist"),
                ("needs_mcp", "/agents/1/mcp_policy/allowed_servers"),
                ("needs_mcp", "/flow/nodes/0/mcp_policy/allowed_tools"),
                ("needs_tools", "/flow/nodes/1/output_contract/enforcement/required_tools"),
                ("needs_wait", "/flow/nodes/1/wait"),
            ]
        );
        assert!(findings.iter().all(|finding| finding.severity == Severity::Error));
        assert_eq!(findings[0].message, "node `a` needs tools, but the executor calls no tools");
    }

    #[test]
    fn an_executor_that_can_do_it_meets_the_need() {
        let left = |capabilities| {
            unmet_needs(&workflow(), &capabilities)
                .iter()
                .map(|finding| finding.code)
                .collect::<Vec<_>>()
        };
        let none = Capabilities::default();
        assert_eq!(
            left(Capabilities { tools: true, ..none }),
            ["needs_mcp", "needs_mcp", "needs_wait"]
        );
        assert_eq!(
            left(Capabilities { mcp: true, ..none }),
            ["needs_tools", "needs_tools", "needs_wait"]
        );
        assert_eq!(left(Capabilities { tools: true, mcp: true, waits: true }), Vec::<&str>::new());
    }
}
