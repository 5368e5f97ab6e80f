//! One step of a workflow.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{AgentId, NodeId};
use crate::quantity::Millis;

/// A node: an objective given to an agent, under an output contract, a timeout and a retry policy.
///
/// The five mutable fields are held apart from the rest of the node, so that a candidate differs
/// from its baseline in exactly one of them and can differ in nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub(super) id: NodeId,
    pub(super) agent: AgentId,
    pub(super) objective: String,
    pub(super) summary_guidance: Option<String>,
    pub(super) timeout: Option<Millis>,
    pub(super) max_attempts: Knob,
    pub(super) retries: Knob,
    pub(super) depends_on: Vec<NodeId>,
    pub(super) input_refs: Vec<InputRef>,
    pub(super) contract: Option<OutputContract>,
    pub(super) stage: Option<StageKind>,
    pub(super) gate: bool,
    pub(super) wait: bool,
    pub(super) triage_gate: bool,
    /// The node as read, without the five mutable fields.
    pub(super) fixed: Map<String, Value>,
}

/// A whole-number setting inside the free-form `retry_policy`.
#[derive(Debug, Clone, PartialEq)]
pub enum Knob {
    /// The key is not there.
    Absent,
    /// The key holds an integer.
    Integer(i64),
    /// The key holds something that is no 64-bit signed integer. It is kept and never changed:
    /// only a change from integer to integer is a legal mutation.
    Other(Value),
}

impl Knob {
    /// The integer, if it is one.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Absent | Self::Other(_) => None,
        }
    }
}

/// Where a node takes an input from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRef {
    /// The node whose output is read.
    pub from_step_id: NodeId,
    /// The name under which the node sees it.
    pub alias: String,
}

/// What a node promises to produce. The summary guidance is held by the node.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputContract {
    /// A free word for the kind of output.
    pub kind: String,
    /// The rule that checks the output; absent means the output is not checked.
    pub validator: Option<ValidatorKind>,
    /// A JSON Schema for the output.
    pub schema: Option<Value>,
    /// Settings of the rule: sections, sources, decisions, files, …
    pub enforcement: Option<Map<String, Value>>,
}

/// The output validators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidatorKind {
    /// A unified diff that applies to the scratch copy.
    CodePatch,
    /// Required sections and a number of sources.
    ResearchBrief,
    /// A decision of a set, with a reason.
    ReviewDecision,
    /// JSON that meets the contract's schema.
    StructuredJson,
    /// A declared file or content that is not empty.
    GenericArtifact,
    /// The configured sections of a status report.
    StandupUpdate,
}

impl ValidatorKind {
    /// All validators, in wire-name order of the format.
    pub const ALL: [Self; 6] = [
        Self::CodePatch,
        Self::ResearchBrief,
        Self::ReviewDecision,
        Self::StructuredJson,
        Self::GenericArtifact,
        Self::StandupUpdate,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CodePatch => "code_patch",
            Self::ResearchBrief => "research_brief",
            Self::ReviewDecision => "review_decision",
            Self::StructuredJson => "structured_json",
            Self::GenericArtifact => "generic_artifact",
            Self::StandupUpdate => "standup_update",
        }
    }
}

/// The role of a node in the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Hands out work.
    Orchestrator,
    /// Does work.
    Workstream,
    /// Reviews work.
    Review,
    /// Tests work.
    Test,
    /// Waits for a person.
    Approval,
}

impl Node {
    /// The node's id, unique in a well-formed workflow.
    #[must_use]
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// The agent that runs it.
    #[must_use]
    pub fn agent(&self) -> &AgentId {
        &self.agent
    }

    /// The instruction text.
    #[must_use]
    pub fn objective(&self) -> &str {
        &self.objective
    }

    /// `output_contract.summary_guidance`.
    #[must_use]
    pub fn summary_guidance(&self) -> Option<&str> {
        self.summary_guidance.as_deref()
    }

    /// `timeout_ms`: the longest that one attempt may take.
    #[must_use]
    pub fn timeout(&self) -> Option<Millis> {
        self.timeout
    }

    /// The longest that one attempt may take: `timeout_ms` when it is above zero, else what is usual for
    /// the validator.
    #[must_use]
    pub fn time_limit(&self) -> Millis {
        self.timeout.filter(|timeout| timeout.0 > 0).unwrap_or(match self.validator() {
            Some(ValidatorKind::StandupUpdate) => Millis(120_000),
            Some(ValidatorKind::StructuredJson) => Millis(180_000),
            _ => Millis(600_000),
        })
    }

    /// `retry_policy.max_attempts`.
    #[must_use]
    pub fn max_attempts(&self) -> &Knob {
        &self.max_attempts
    }

    /// `retry_policy.retries`.
    #[must_use]
    pub fn retries(&self) -> &Knob {
        &self.retries
    }

    /// The nodes that must be done before this one starts.
    #[must_use]
    pub fn depends_on(&self) -> &[NodeId] {
        &self.depends_on
    }

    /// The outputs that this node reads.
    #[must_use]
    pub fn input_refs(&self) -> &[InputRef] {
        &self.input_refs
    }

    /// The output contract.
    #[must_use]
    pub fn contract(&self) -> Option<&OutputContract> {
        self.contract.as_ref()
    }

    /// The validator named by the contract.
    #[must_use]
    pub fn validator(&self) -> Option<ValidatorKind> {
        self.contract.as_ref().and_then(|contract| contract.validator)
    }

    /// The role in the flow.
    #[must_use]
    pub fn stage(&self) -> Option<StageKind> {
        self.stage
    }

    /// Whether a person must decide before the flow goes on.
    #[must_use]
    pub fn has_gate(&self) -> bool {
        self.gate || self.stage == Some(StageKind::Approval)
    }

    /// Whether the node waits for something outside.
    #[must_use]
    pub fn has_wait(&self) -> bool {
        self.wait
    }

    /// `triage_gate`: whether the node says if there is work for those that need it; see
    /// [`triage`](crate::triage).
    #[must_use]
    pub fn is_triage_gate(&self) -> bool {
        self.triage_gate
    }

    /// The attempts that the runtime makes: `max_attempts` when it is an integer, else `retries` + 1,
    /// else 1; at least 1 and at most 10.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        let wanted = match (self.max_attempts.integer(), self.retries.integer()) {
            (Some(attempts), _) => attempts,
            (None, Some(retries)) => retries.saturating_add(1),
            (None, None) => 1,
        };
        u32::try_from(wanted.clamp(1, 10)).unwrap_or(1)
    }

    /// The output contract as an executor sees it, summary guidance included.
    #[must_use]
    pub fn contract_json(&self) -> Option<Value> {
        match self.to_json() {
            Value::Object(mut node) => {
                node.remove("output_contract").filter(|contract| !contract.is_null())
            }
            _ => None,
        }
    }

    /// A field of the node that has no type here, as written.
    #[must_use]
    pub fn extra(&self, key: &str) -> Option<&Value> {
        self.fixed.get(key)
    }

    pub(crate) fn set_objective(&mut self, text: String) {
        self.objective = text;
    }

    pub(crate) fn set_summary_guidance(&mut self, text: String) {
        self.summary_guidance = Some(text);
    }

    pub(crate) fn set_timeout(&mut self, timeout: Millis) {
        self.timeout = Some(timeout);
    }

    pub(crate) fn set_max_attempts(&mut self, attempts: i64) {
        self.max_attempts = Knob::Integer(attempts);
    }

    pub(crate) fn set_retries(&mut self, retries: i64) {
        self.retries = Knob::Integer(retries);
    }

    pub(crate) fn fixed(&self) -> &Map<String, Value> {
        &self.fixed
    }

    /// Writes the node as a JSON value, unknown fields included.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut node = self.fixed.clone();
        node.insert("objective".to_owned(), Value::String(self.objective.clone()));
        if let Some(timeout) = self.timeout {
            node.insert("timeout_ms".to_owned(), timeout.0.into());
        }
        if let Some(Value::Object(contract)) = node.get_mut("output_contract")
            && let Some(text) = &self.summary_guidance
        {
            contract.insert("summary_guidance".to_owned(), Value::String(text.clone()));
        }
        if let Some(Value::Object(retry)) = node.get_mut("retry_policy") {
            for (key, knob) in [("max_attempts", &self.max_attempts), ("retries", &self.retries)] {
                match knob {
                    Knob::Absent => {}
                    Knob::Integer(number) => drop(retry.insert(key.to_owned(), (*number).into())),
                    Knob::Other(value) => drop(retry.insert(key.to_owned(), value.clone())),
                }
            }
        }
        Value::Object(node)
    }
}
