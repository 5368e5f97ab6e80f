//! The workflow model: a DAG of nodes, read from and written to the `AutomationV2Spec` format.
//!
//! Only what the optimizer reads or changes has a type. Everything else, unknown fields included,
//! is kept as it was read and takes part in the fingerprint.

pub mod check;
mod difference;
mod fingerprint;
pub mod graph;
pub mod load;
pub mod model;
mod node;
mod read;

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::id::{AgentId, NodeId, WorkflowId};
use crate::quantity::{MicroUsd, Millis, Tokens};

pub use difference::differences;
pub use fingerprint::{Fingerprint, FingerprintTree};
pub use model::{ModelRef, ModelRefError, Models};
pub use node::{InputRef, Knob, Node, OutputContract, StageKind, ValidatorKind};
pub use read::{ReadError, ReadErrors};

/// A workflow definition.
///
/// Nodes are shared: a copy with one node changed costs one node and a list of pointers.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    id: WorkflowId,
    name: String,
    agents: Vec<Agent>,
    execution: Execution,
    workspace_root: Option<String>,
    nodes: Vec<Arc<Node>>,
    /// The whole document without `flow.nodes`.
    header: Map<String, Value>,
}

/// An agent that nodes refer to. What it holds beyond its id is opaque here.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Its id, unique in the workflow.
    pub id: AgentId,
    /// The agent as written.
    pub definition: Map<String, Value>,
}

/// The workflow's own limits on one run. An absent limit means none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Execution {
    /// Nodes that may run at once; 1..=16, absent means 1.
    pub max_parallel_agents: Option<u32>,
    /// Wall time of a run.
    pub max_total_runtime: Option<Millis>,
    /// Tool calls of a run.
    pub max_total_tool_calls: Option<u64>,
    /// Tokens of a run.
    pub max_total_tokens: Option<Tokens>,
    /// Money of a run.
    pub max_total_cost: Option<MicroUsd>,
}

impl Workflow {
    /// Reads a definition from a JSON value (the edge to files and the wire).
    ///
    /// # Errors
    /// Every field of the wrong type or range, each with its path in the document.
    pub fn from_json(value: Value) -> Result<Self, ReadErrors> {
        read::workflow(value)
    }

    /// Writes the definition as a JSON value, unknown fields included.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut header = self.header.clone();
        let nodes = self.nodes.iter().map(|node| node.to_json()).collect();
        if let Some(Value::Object(flow)) = header.get_mut("flow") {
            flow.insert("nodes".to_owned(), Value::Array(nodes));
        }
        Value::Object(header)
    }

    /// The workflow's id.
    #[must_use]
    pub fn id(&self) -> &WorkflowId {
        &self.id
    }

    /// The name given to it by its owner.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The agents, in document order.
    #[must_use]
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// The agent `id`.
    #[must_use]
    pub fn agent(&self, id: &AgentId) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.id == *id)
    }

    /// The limits on one run.
    #[must_use]
    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// The workspace as written; blank counts as absent.
    #[must_use]
    pub fn workspace_root(&self) -> Option<&str> {
        self.workspace_root.as_deref()
    }

    /// The nodes, in document order.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// The node `id` with its index.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<(usize, &Arc<Node>)> {
        self.nodes.iter().enumerate().find(|(_, node)| node.id() == id)
    }

    /// The same workflow with the node at `index` replaced; the same workflow when there is none.
    #[must_use]
    pub fn with_node(&self, index: usize, node: Node) -> Self {
        let mut next = self.clone();
        if let Some(slot) = next.nodes.get_mut(index) {
            *slot = Arc::new(node);
        }
        next
    }

    /// A field of the document that has no type here, as written.
    #[must_use]
    pub fn extra(&self, key: &str) -> Option<&Value> {
        self.header.get(key)
    }

    /// The same workflow with other agents.
    #[must_use]
    pub(crate) fn with_agents(&self, agents: Vec<Agent>) -> Self {
        let mut next = self.clone();
        let definitions = agents.iter().map(|agent| Value::Object(agent.definition.clone()));
        next.header.insert("agents".to_owned(), definitions.collect());
        next.agents = agents;
        next
    }

    /// The same workflow without a field of the document that has no type here.
    #[must_use]
    pub(crate) fn without_extra(mut self, key: &str) -> Self {
        self.header.remove(key);
        self
    }

    pub(crate) fn header(&self) -> &Map<String, Value> {
        &self.header
    }
}

impl Serialize for Workflow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Workflow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
