//! Reads a workflow from a JSON value, reporting every wrong field with its path.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Agent, Execution, InputRef, Knob, Node, OutputContract, Workflow};
use crate::quantity::{MicroUsd, Millis, Tokens};

/// One field that is not what the format asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The field as a JSON pointer, for instance `/flow/nodes/2/timeout_ms`.
    pub path: String,
    /// A stable word: `missing_field`, `wrong_type`, `out_of_range`.
    pub code: &'static str,
    /// What is wrong and what is expected.
    pub message: String,
}

/// All such fields of one document; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadErrors(pub Vec<ReadError>);

impl fmt::Display for ReadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{}: {}", error.path, error.message)?;
        }
        Ok(())
    }
}
impl std::error::Error for ReadErrors {}

/// Collects errors while reading goes on, so that one pass reports them all.
struct Reader {
    errors: Vec<ReadError>,
}

impl Reader {
    fn refuse(&mut self, path: &str, code: &'static str, message: impl Into<String>) {
        self.errors.push(ReadError { path: path.to_owned(), code, message: message.into() });
    }

    /// A required object; an empty one when it is missing or something else.
    fn object(&mut self, value: Option<Value>, path: &str) -> Map<String, Value> {
        match value {
            Some(Value::Object(map)) => map,
            Some(other) => {
                self.wrong_type(path, "a mapping", &other);
                Map::new()
            }
            None => {
                self.refuse(path, "missing_field", "this mapping is required");
                Map::new()
            }
        }
    }

    /// An optional list; empty when absent.
    fn list(&mut self, value: Option<Value>, path: &str) -> Vec<Value> {
        match value {
            Some(Value::Array(items)) => items,
            None | Some(Value::Null) => Vec::new(),
            Some(other) => {
                self.wrong_type(path, "a list", &other);
                Vec::new()
            }
        }
    }

    fn wrong_type(&mut self, path: &str, wanted: &str, found: &Value) {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::String(_) => "text",
            Value::Array(_) => "a list",
            Value::Object(_) => "a mapping",
        };
        self.refuse(path, "wrong_type", format!("expected {wanted}, found {found}"));
    }

    /// A typed copy of a field; `None` when it is absent, null, or wrong (then it is reported).
    fn typed<T: DeserializeOwned>(
        &mut self,
        value: Option<&Value>,
        path: &str,
        wanted: &str,
    ) -> Option<T> {
        let value = value.filter(|value| !value.is_null())?;
        match T::deserialize(value) {
            Ok(typed) => Some(typed),
            Err(error) => {
                let found = match value {
                    Value::String(_) | Value::Number(_) | Value::Bool(_) => value.to_string(),
                    _ => error.to_string(),
                };
                self.refuse(path, "wrong_type", format!("expected {wanted}, found {found}"));
                None
            }
        }
    }

    fn required<T: DeserializeOwned>(
        &mut self,
        map: &Map<String, Value>,
        at: &str,
        key: &str,
        wanted: &str,
    ) -> Option<T> {
        let path = format!("{at}/{key}");
        if map.get(key).is_none_or(Value::is_null) {
            self.refuse(&path, "missing_field", format!("{key} is required: {wanted}"));
            return None;
        }
        self.typed(map.get(key), &path, wanted)
    }
}

const COUNT: &str = "a whole number of at least 0";
const NAME: &str = "text of 1 to 128 characters without control characters";

pub(super) fn workflow(value: Value) -> Result<Workflow, ReadErrors> {
    let mut reader = Reader { errors: Vec::new() };
    let mut header = reader.object(Some(value), "");
    let id = reader.required(&header, "", "automation_id", NAME);
    let name = reader.typed(header.get("name"), "/name", "text").unwrap_or_default();
    let agents = agents(&mut reader, header.get("agents").cloned());
    let execution = execution(&mut reader, header.get("execution"));
    let workspace_root = reader
        .typed::<String>(header.get("workspace_root"), "/workspace_root", "a path")
        .filter(|root| !root.trim().is_empty());
    let mut flow = reader.object(header.remove("flow"), "/flow");
    if !flow.contains_key("nodes") {
        reader.refuse("/flow/nodes", "missing_field", "a workflow needs a list of nodes");
    }
    let nodes: Vec<_> = reader
        .list(flow.remove("nodes"), "/flow/nodes")
        .into_iter()
        .enumerate()
        .filter_map(|(index, value)| node(&mut reader, value, &format!("/flow/nodes/{index}")))
        .map(Arc::new)
        .collect();
    header.insert("flow".to_owned(), Value::Object(flow));
    match (id, reader.errors.is_empty()) {
        (Some(id), true) => {
            Ok(Workflow { id, name, agents, execution, workspace_root, nodes, header })
        }
        _ => Err(ReadErrors(reader.errors)),
    }
}

fn agents(reader: &mut Reader, value: Option<Value>) -> Vec<Agent> {
    let mut agents = Vec::new();
    for (index, value) in reader.list(value, "/agents").into_iter().enumerate() {
        let path = format!("/agents/{index}");
        let definition = reader.object(Some(value), &path);
        if let Some(id) = reader.required(&definition, &path, "agent_id", NAME) {
            agents.push(Agent { id, definition });
        }
    }
    agents
}

fn execution(reader: &mut Reader, value: Option<&Value>) -> Execution {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Execution::default();
    };
    let map = reader.object(Some(value.clone()), "/execution");
    let mut count =
        |key: &str| reader.typed::<u64>(map.get(key), &format!("/execution/{key}"), COUNT);
    let max_total_runtime = count("max_total_runtime_ms").map(Millis);
    let max_total_tool_calls = count("max_total_tool_calls");
    let max_total_tokens = count("max_total_tokens").map(Tokens);
    let parallel = count("max_parallel_agents");
    let max_parallel_agents = parallel.and_then(|n| match u32::try_from(n) {
        Ok(n @ 1..=16) => Some(n),
        _ => {
            reader.refuse(
                "/execution/max_parallel_agents",
                "out_of_range",
                format!("{n} is outside 1..=16"),
            );
            None
        }
    });
    let cost: Option<f64> = reader.typed(
        map.get("max_total_cost_usd"),
        "/execution/max_total_cost_usd",
        "an amount in dollars",
    );
    let max_total_cost = cost.and_then(|usd| {
        let amount = MicroUsd::from_usd(usd);
        if amount.is_none() {
            let message = format!("{usd} is outside 0..=1000000000 dollars");
            reader.refuse("/execution/max_total_cost_usd", "out_of_range", message);
        }
        amount
    });
    Execution {
        max_parallel_agents,
        max_total_runtime,
        max_total_tool_calls,
        max_total_tokens,
        max_total_cost,
    }
}

fn node(reader: &mut Reader, value: Value, at: &str) -> Option<Node> {
    let mut fixed = reader.object(Some(value), at);
    let id = reader.required(&fixed, at, "node_id", NAME);
    let agent = reader.required(&fixed, at, "agent_id", NAME);
    let objective = reader.required(&fixed, at, "objective", "the instruction text");
    let timeout =
        reader.typed(fixed.get("timeout_ms"), &format!("{at}/timeout_ms"), COUNT).map(Millis);
    let depends_on =
        reader.typed(fixed.get("depends_on"), &format!("{at}/depends_on"), "a list of node ids");
    let input_refs: Option<Vec<InputRef>> = reader.typed(
        fixed.get("input_refs"),
        &format!("{at}/input_refs"),
        "a list of {from_step_id, alias}",
    );
    let stage = reader.typed(
        fixed.get("stage_kind"),
        &format!("{at}/stage_kind"),
        "orchestrator, workstream, review, test or approval",
    );
    let gate = fixed.get("gate").is_some_and(|gate| !gate.is_null());
    let wait = fixed.get("wait").is_some_and(|wait| !wait.is_null());
    let triage_gate =
        reader.typed(fixed.get("triage_gate"), &format!("{at}/triage_gate"), "true or false");
    fixed.remove("objective");
    fixed.remove("timeout_ms");
    let (contract, summary_guidance) = contract(reader, &mut fixed, at);
    let (max_attempts, retries) = match fixed.get_mut("retry_policy") {
        Some(Value::Object(retry)) => {
            (knob(retry.remove("max_attempts")), knob(retry.remove("retries")))
        }
        _ => (Knob::Absent, Knob::Absent),
    };
    Some(Node {
        id: id?,
        agent: agent?,
        objective: objective?,
        summary_guidance,
        timeout,
        max_attempts,
        retries,
        depends_on: depends_on.unwrap_or_default(),
        input_refs: input_refs.unwrap_or_default(),
        contract,
        stage,
        gate,
        wait,
        triage_gate: triage_gate.unwrap_or_default(),
        fixed,
    })
}

fn contract(
    reader: &mut Reader,
    node: &mut Map<String, Value>,
    at: &str,
) -> (Option<OutputContract>, Option<String>) {
    let at = format!("{at}/output_contract");
    let contract = match node.get_mut("output_contract") {
        None | Some(Value::Null) => return (None, None),
        Some(Value::Object(contract)) => contract,
        Some(other) => {
            let other = other.clone();
            reader.wrong_type(&at, "a mapping", &other);
            return (None, None);
        }
    };
    let guidance = contract.remove("summary_guidance");
    let guidance = reader.typed(guidance.as_ref(), &format!("{at}/summary_guidance"), "text");
    let validator = reader.typed(
        contract.get("validator"),
        &format!("{at}/validator"),
        "code_patch, research_brief, review_decision, structured_json, generic_artifact or standup_update",
    );
    let contract = OutputContract {
        kind: reader.typed(contract.get("kind"), &format!("{at}/kind"), "text").unwrap_or_default(),
        validator,
        schema: contract.get("schema").filter(|schema| !schema.is_null()).cloned(),
        enforcement: reader.typed(
            contract.get("enforcement"),
            &format!("{at}/enforcement"),
            "a mapping",
        ),
    };
    (Some(contract), guidance)
}

fn knob(value: Option<Value>) -> Knob {
    match value {
        None => Knob::Absent,
        Some(value) => match value.as_i64() {
            Some(number) => Knob::Integer(number),
            None => Knob::Other(value),
        },
    }
}
