//! What a run knows of its nodes: the plan, frozen from the definition, and how far each one is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::id::NodeId;
use crate::quantity::{Millis, Timestamp};
use crate::stored_workflow::WorkflowStatus;
use crate::workflow::graph::Graph;
use crate::workflow::{Node, StageKind, Workflow};

/// An output with at most so many bytes as JSON is kept in the record; a larger one is kept apart from it.
pub const INLINE_BYTES_MAX: usize = 4 * 1024;

/// How often a node is postponed because its provider failed; after that the attempt has failed.
pub const POSTPONEMENTS_MAX: u32 = 5;

/// One node of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRecord {
    /// The node.
    pub node: NodeId,
    /// The places of the nodes that must be over before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<usize>,
    /// Attempts that it may have; 1..=10.
    pub attempts_max: u32,
    /// The longest that an attempt may take.
    pub time_limit: Millis,
    /// The decision that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Attempts that were begun since it was last reset.
    pub attempts: u32,
    /// How often it was postponed since then.
    #[serde(default, skip_serializing_if = "crate::quantity::is_zero")]
    pub postponed: u32,
    /// How far it is.
    pub state: NodeState,
}

/// A decision that a person must take before a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Whether the decision is all there is to the node: then no agent is asked.
    pub only: bool,
    /// The places of the nodes that are done again when rework is asked for.
    pub rework: Vec<usize>,
    /// Whether it was approved.
    pub approved: bool,
}

/// How far a node is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum NodeState {
    /// It has not begun.
    Pending,
    /// An attempt is under way.
    Running,
    /// It has an output that meets its contract.
    Done {
        /// The output.
        output: Output,
    },
    /// Its provider failed, and the same attempt is made once more later.
    Postponed {
        /// Not before then.
        until: Timestamp,
        /// What the provider says.
        reason: String,
    },
    /// It failed or was interrupted, and has attempts left.
    NeedsRepair {
        /// Why.
        reason: String,
    },
    /// It failed, and has no attempts left.
    Failed {
        /// Why.
        reason: String,
    },
    /// It cannot go on, or needs a node that cannot.
    Blocked {
        /// Why.
        reason: String,
    },
    /// A triage gate left it without work, or the run is a dry one.
    Skipped,
}

/// The output of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// A small one.
    Inline(Value),
    /// Kept apart: canonical JSON under its digest.
    Stored {
        /// The digest.
        digest: Digest,
        /// Its length.
        bytes: u64,
    },
    /// It was dropped when its time was over.
    Dropped {
        /// What its length was.
        bytes: u64,
    },
}

/// A definition that cannot be executed as a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It says that it is not to run.
    #[error(
        "workflow {workflow} is {}, so it does not run; set its status to active, or see what would run with --dry-run",
        status.name()
    )]
    NotActive {
        /// The workflow.
        workflow: String,
        /// What it says.
        status: WorkflowStatus,
    },
    /// Its nodes have no order.
    #[error("workflow {workflow} is no acyclic graph of its nodes; `optim run` shows each fault")]
    NoOrder {
        /// The workflow.
        workflow: String,
    },
    /// A gate sends back to a node that is not there.
    #[error(
        "the gate of node {gate} names {target:?} in rework_targets, which is no node of the workflow; correct it"
    )]
    UnknownTarget {
        /// The node with the gate.
        gate: NodeId,
        /// What it names.
        target: String,
    },
}

impl PlanError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotActive { .. } => "workflow_not_active",
            Self::NoOrder { .. } => "workflow_no_order",
            Self::UnknownTarget { .. } => "gate_target_unknown",
        }
    }
}

/// Whether `workflow` says that it may run; one whose status is unknown is a draft.
pub(super) fn ensure_active(workflow: &Workflow) -> Result<(), PlanError> {
    match WorkflowStatus::of(workflow).unwrap_or(WorkflowStatus::Draft) {
        WorkflowStatus::Active => Ok(()),
        status => Err(PlanError::NotActive { workflow: workflow.id().to_string(), status }),
    }
}

/// The nodes of `workflow`, none of them begun.
pub(super) fn plan(workflow: &Workflow) -> Result<Vec<NodeRecord>, PlanError> {
    let graph = Graph::new(workflow)
        .map_err(|_| PlanError::NoOrder { workflow: workflow.id().to_string() })?;
    let places: BTreeMap<_, _> = workflow
        .nodes()
        .iter()
        .enumerate()
        .map(|(place, node)| (node.id().as_str(), place))
        .collect();
    let records = workflow.nodes().iter().enumerate().map(|(place, node)| {
        let needs = graph.dependencies(place).to_vec();
        Ok(NodeRecord {
            node: node.id().clone(),
            gate: gate(node, &needs, &places)?,
            needs,
            attempts_max: node.attempts(),
            time_limit: node.time_limit(),
            attempts: 0,
            postponed: 0,
            state: NodeState::Pending,
        })
    });
    records.collect()
}

/// The decision before `node`. A gate that says it is not required is none.
fn gate(
    node: &Node,
    needs: &[usize],
    places: &BTreeMap<&str, usize>,
) -> Result<Option<Gate>, PlanError> {
    let written = node.extra("gate").filter(|gate| !gate.is_null());
    let required = written.and_then(|gate| gate.get("required")).and_then(Value::as_bool);
    if !node.has_gate() || required == Some(false) {
        return Ok(None);
    }
    let named = written.and_then(|gate| gate.get("rework_targets")).and_then(Value::as_array);
    let targets = named.into_iter().flatten().map(|target| {
        let place = target.as_str().and_then(|target| places.get(target));
        place.copied().ok_or_else(|| PlanError::UnknownTarget {
            gate: node.id().clone(),
            target: target.as_str().unwrap_or_default().to_owned(),
        })
    });
    let mut rework: Vec<_> = targets.collect::<Result<_, _>>()?;
    if rework.is_empty() {
        rework = needs.to_vec();
    }
    Ok(Some(Gate { only: node.stage() == Some(StageKind::Approval), rework, approved: false }))
}

impl NodeRecord {
    /// Whether it has an output.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, NodeState::Done { .. })
    }

    /// Whether nothing is left to do at it: it is done or skipped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_done() || matches!(self.state, NodeState::Skipped)
    }

    /// Whether an attempt is under way.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, NodeState::Running)
    }

    /// Whether an attempt may begin, once what it needs is done.
    pub(super) fn may_begin(&self) -> bool {
        let open = matches!(
            self.state,
            NodeState::Pending | NodeState::NeedsRepair { .. } | NodeState::Postponed { .. }
        );
        open && self.attempts < self.attempts_max && !self.awaits_decision()
    }

    /// Whether a person must decide first.
    pub(super) fn awaits_decision(&self) -> bool {
        self.gate.as_ref().is_some_and(|gate| !gate.approved)
    }

    /// Forgets what was done.
    pub(super) fn reset(&mut self) {
        (self.attempts, self.postponed, self.state) = (0, 0, NodeState::Pending);
        if let Some(gate) = &mut self.gate {
            gate.approved = false;
        }
    }

    /// Takes in that its provider failed: the attempt does not count. Says whether it may be postponed
    /// once more.
    pub(super) fn postpone(&mut self, until: Timestamp, reason: String) -> bool {
        if self.postponed >= POSTPONEMENTS_MAX {
            return false;
        }
        self.postponed = self.postponed.saturating_add(1);
        self.attempts = self.attempts.saturating_sub(1);
        self.state = NodeState::Postponed { until, reason };
        true
    }

    /// Takes in that an attempt did not succeed.
    pub(super) fn give_back(&mut self, reason: String) {
        self.state = if self.attempts < self.attempts_max {
            NodeState::NeedsRepair { reason }
        } else {
            NodeState::Failed { reason }
        };
    }
}

impl Output {
    /// The same output without its content.
    pub(super) fn dropped(&self) -> Self {
        let bytes = match self {
            Self::Inline(value) => u64::try_from(value.to_string().len()).unwrap_or(u64::MAX),
            Self::Stored { bytes, .. } | Self::Dropped { bytes } => *bytes,
        };
        Self::Dropped { bytes }
    }
}
