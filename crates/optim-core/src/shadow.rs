//! The shadow of a workflow: what an evaluation sees of it.
//!
//! An evaluation acts on its scratch copy and on nothing else. So the places where outputs would be
//! delivered are taken out of what an executor gets, and so are all tools and MCP servers but those that
//! are contained: tools that work on the scratch copy alone, and what the workflow declares to have no
//! effect on the outside, in `metadata.optim.without_side_effects`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::diagnostic::Severity;
use crate::id::AgentId;
use crate::workflow::check::Finding;
use crate::workflow::{Agent, Workflow};

/// Tools that work on the files of the scratch copy alone.
pub const CONTAINED_TOOLS: [&str; 8] =
    ["apply_patch", "edit", "glob", "grep", "list", "ls", "read", "write"];

/// A workflow as an evaluation sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadow {
    /// The workflow without what is denied; the same one when nothing is.
    pub workflow: Arc<Workflow>,
    /// What is denied.
    pub denied: Vec<Denial>,
}

/// Something that a workflow names and an evaluation does not get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "denied")]
pub enum Denial {
    /// A place where outputs are delivered.
    OutputTarget {
        /// The place.
        target: String,
    },
    /// A tool that may have effects outside the scratch copy.
    Tool {
        /// The agent that would use it.
        agent: AgentId,
        /// The tool.
        tool: String,
    },
    /// An MCP server.
    McpServer {
        /// The agent that would use it.
        agent: AgentId,
        /// The server.
        server: String,
    },
    /// A tool of an MCP server.
    McpTool {
        /// The agent that would use it.
        agent: AgentId,
        /// The tool.
        tool: String,
    },
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutputTarget { target } => write!(f, "output target `{target}`"),
            Self::Tool { agent, tool } => write!(f, "tool `{tool}` of agent `{agent}`"),
            Self::McpServer { agent, server } => {
                write!(f, "MCP server `{server}` of agent `{agent}`")
            }
            Self::McpTool { agent, tool } => write!(f, "MCP tool `{tool}` of agent `{agent}`"),
        }
    }
}

/// The shadow of `workflow`. An agent that no node is given to is left as it is.
#[must_use]
pub fn of(workflow: &Arc<Workflow>) -> Shadow {
    let contained = Contained::of(workflow);
    let mut denied: Vec<_> = strings(workflow.extra(OUTPUT_TARGETS))
        .map(|target| Denial::OutputTarget { target: target.to_owned() })
        .collect();
    let agents = workflow.agents().iter().map(|agent| match is_used(workflow, agent) {
        true => contained.restrict(agent, &mut denied),
        false => agent.clone(),
    });
    let agents = agents.collect();
    if denied.is_empty() {
        return Shadow { workflow: Arc::clone(workflow), denied };
    }
    let shadow = workflow.with_agents(agents).without_extra(OUTPUT_TARGETS);
    Shadow { workflow: Arc::new(shadow), denied }
}

/// What a person should know of the shadow before a campaign begins: tools and servers that are denied,
/// and as an error a denied tool that an output contract asks for.
#[must_use]
pub fn findings(workflow: &Workflow) -> Vec<Finding> {
    let contained = Contained::of(workflow);
    let mut findings = Vec::new();
    for (index, agent) in workflow.agents().iter().enumerate() {
        let mut denied = Vec::new();
        if is_used(workflow, agent) {
            contained.restrict(agent, &mut denied);
        }
        findings.extend(denied.into_iter().map(|denial| Finding {
            code: "denied_in_evaluation",
            severity: Severity::Warning,
            path: format!("/agents/{index}"),
            message: format!("an evaluation does not get {denial}"),
            help: "if it changes nothing outside the scratch copy, list it in metadata.optim.without_side_effects, under tools or mcp_servers".to_owned(),
        }));
    }
    for (index, node) in workflow.nodes().iter().enumerate() {
        let enforcement = node.contract().and_then(|contract| contract.enforcement.as_ref());
        let required = strings(enforcement.and_then(|it| it.get("required_tools")));
        findings.extend(required.filter(|tool| !contained.tool(tool)).map(|tool| Finding {
            code: "denied_tool_required",
            severity: Severity::Error,
            path: format!("/flow/nodes/{index}/output_contract/enforcement/required_tools"),
            message: format!("node `{}` must use the tool `{tool}`, which an evaluation does not get", node.id()),
            help: "optimize a copy of the workflow without it or, if it changes nothing outside the scratch copy, list it in metadata.optim.without_side_effects.tools".to_owned(),
        }));
    }
    findings
}

const OUTPUT_TARGETS: &str = "output_targets";

fn is_used(workflow: &Workflow, agent: &Agent) -> bool {
    workflow.nodes().iter().any(|node| *node.agent() == agent.id)
}

/// What has no effect outside the scratch copy.
struct Contained<'a> {
    tools: BTreeSet<&'a str>,
    servers: BTreeSet<&'a str>,
}

impl<'a> Contained<'a> {
    fn of(workflow: &'a Workflow) -> Self {
        let optim = workflow.extra("metadata").and_then(|metadata| metadata.get("optim"));
        let declared = optim.and_then(|optim| optim.get("without_side_effects"));
        let declared = |list: &str| strings(declared.and_then(|declared| declared.get(list)));
        Self {
            tools: declared("tools").chain(CONTAINED_TOOLS).collect(),
            servers: declared("mcp_servers").collect(),
        }
    }

    fn tool(&self, tool: &str) -> bool {
        self.tools.contains(tool)
    }

    /// The agent without what is not contained. Denied tools are in its denylist also, for executors to
    /// which an empty allowlist means something else than nothing.
    fn restrict(&self, agent: &Agent, denied: &mut Vec<Denial>) -> Agent {
        let mut definition = agent.definition.clone();
        let id = || agent.id.clone();
        let tools = keep(&mut definition, ("tool_policy", "allowlist"), |tool| self.tool(tool));
        if let Some(Value::Object(policy)) = definition.get_mut("tool_policy") {
            let denylist = policy.entry("denylist").or_insert(Value::Null);
            if let Value::Array(items) = denylist {
                items.extend(tools.iter().cloned().map(Value::String));
            } else if !tools.is_empty() {
                *denylist = tools.iter().cloned().collect();
            }
        }
        denied.extend(tools.into_iter().map(|tool| Denial::Tool { agent: id(), tool }));
        let servers = keep(&mut definition, ("mcp_policy", "allowed_servers"), |server| {
            self.servers.contains(server)
        });
        denied.extend(servers.into_iter().map(|server| Denial::McpServer { agent: id(), server }));
        let tools = keep(&mut definition, ("mcp_policy", "allowed_tools"), |tool| self.tool(tool));
        denied.extend(tools.into_iter().map(|tool| Denial::McpTool { agent: id(), tool }));
        Agent { id: id(), definition }
    }
}

/// Takes out of a list of `policy` what is not `contained`, and returns it. An entry that is no text
/// says nothing that could be granted, and goes too.
fn keep(
    definition: &mut Map<String, Value>,
    (policy, list): (&str, &str),
    contained: impl Fn(&str) -> bool,
) -> Vec<String> {
    let list = definition.get_mut(policy).and_then(|policy| policy.get_mut(list));
    let Some(Value::Array(items)) = list else {
        return Vec::new();
    };
    let (kept, gone) =
        std::mem::take(items).into_iter().partition(|item| item.as_str().is_some_and(&contained));
    *items = kept;
    let gone: Vec<Value> = gone;
    gone.into_iter().map(|item| item.as_str().map_or(item.to_string(), str::to_owned)).collect()
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workflow(metadata: Value) -> Arc<Workflow> {
        let document = json!({
            "automation_id": "w",
            "output_targets": ["s3://bucket/report.md", "mailto:boss"],
            "metadata": metadata,
            "agents": [
                {"agent_id": "unused", "tool_policy": {"allowlist": ["bash"]}},
                {
                    "agent_id": "worker",
                    "skills": ["s"],
                    "tool_policy": {"allowlist": ["read", "bash", "lookup", "*", 7], "denylist": ["write"]},
                    "mcp_policy": {"allowed_servers": ["git", "mail"], "allowed_tools": ["git.log"]},
                },
                {"agent_id": "plain"},
            ],
            "flow": {"nodes": [
                {"node_id": "a", "agent_id": "worker", "objective": "o"},
                {"node_id": "b", "agent_id": "plain", "objective": "o", "output_contract":
                    {"kind": "k", "enforcement": {"required_tools": ["read", "bash"]}}},
            ]},
        });
        Arc::new(Workflow::from_json(document).unwrap())
    }

    fn declared() -> Arc<Workflow> {
        let declared = json!({"tools": ["lookup", "git.log"], "mcp_servers": ["git"]});
        workflow(json!({"optim": {"without_side_effects": declared}}))
    }

    fn words(denied: &[Denial]) -> Vec<String> {
        denied.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_evaluation_sees_no_output_target_and_only_what_is_contained() {
        let shadow = of(&workflow(Value::Null));
        assert_eq!(shadow.workflow.extra("output_targets"), None);
        let worker = shadow.workflow.agent(&AgentId::new("worker").unwrap()).unwrap();
        assert_eq!(
            Value::Object(worker.definition.clone()),
            json!({
                "agent_id": "worker",
                "skills": ["s"],
                "tool_policy": {"allowlist": ["read"], "denylist": ["write", "bash", "lookup", "*", "7"]},
                "mcp_policy": {"allowed_servers": [], "allowed_tools": []},
            })
        );
        assert_eq!(
            words(&shadow.denied),
            [
                "output target `s3://bucket/report.md`",
                "output target `mailto:boss`",
                "tool `bash` of agent `worker`",
                "tool `lookup` of agent `worker`",
                "tool `*` of agent `worker`",
                "tool `7` of agent `worker`",
                "MCP server `git` of agent `worker`",
                "MCP server `mail` of agent `worker`",
                "MCP tool `git.log` of agent `worker`",
            ]
        );
        let text = shadow.workflow.to_json().to_string();
        for gone in ["s3://", "mailto", "mail\""] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
    }

    #[test]
    fn what_the_workflow_declares_to_have_no_side_effects_is_granted() {
        let denied = words(&of(&declared()).denied);
        assert_eq!(
            denied[2..],
            [
                "tool `bash` of agent `worker`",
                "tool `*` of agent `worker`",
                "tool `7` of agent `worker`",
                "MCP server `mail` of agent `worker`",
            ]
        );
    }

    #[test]
    fn a_workflow_that_asks_for_nothing_outside_is_its_own_shadow() {
        let document = json!({
            "automation_id": "w",
            "agents": [{"agent_id": "x", "tool_policy": {"allowlist": ["read"]}, "mcp_policy": {}}],
            "flow": {"nodes": [{"node_id": "a", "agent_id": "x", "objective": "o"}]},
        });
        let workflow = Arc::new(Workflow::from_json(document).unwrap());
        let shadow = of(&workflow);
        assert!(Arc::ptr_eq(&shadow.workflow, &workflow) && shadow.denied.is_empty());
        assert_eq!(findings(&workflow), []);
    }

    #[test]
    fn a_shadow_has_no_shadow_of_its_own_and_the_same_nodes() {
        let (workflow, shadow) = (declared(), of(&declared()));
        assert_eq!(shadow.workflow.nodes(), workflow.nodes());
        let again = of(&shadow.workflow);
        assert_eq!((again.denied, again.workflow), (Vec::new(), shadow.workflow));
    }

    #[test]
    fn what_is_denied_is_said_beforehand_and_stops_a_node_that_cannot_do_without() {
        let found = findings(&declared());
        let told: Vec<_> = found.iter().map(|it| (it.code, it.path.as_str())).collect();
        let (agent, code) = ("/agents/1", "denied_in_evaluation");
        let required = "/flow/nodes/1/output_contract/enforcement/required_tools";
        assert_eq!(
            told,
            [
                (code, agent),
                (code, agent),
                (code, agent),
                (code, agent),
                ("denied_tool_required", required)
            ]
        );
        assert_eq!(found[4].severity, Severity::Error);
    }
}
