//! `lexical`: the built-in text agent. Small, real, deterministic, offline.
//!
//! It reads its instructions for definitions of the values that the contract lets it answer, and
//! compares the input with them word by word (BM25). Better instructions classify better, worse ones
//! worse. It knows nothing but the request.

mod extract;
mod instructions;
mod rank;
mod tokens;

use async_trait::async_trait;
use optim_core::node_io::{NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_core::quantity::{MicroUsd, Millis, Tokens};
use serde_json::{Map, Value};

use super::{Capabilities, NodeExecutor};

/// Properties of a contract that are answered; a contract with more is answered in part.
const PROPERTIES_MAX: usize = 100;
/// Virtual milliseconds: what a request costs, and what each token does.
const LATENCY_BASE: u64 = 20;
const LATENCY_TOKEN: u64 = 1;

/// The executor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lexical;

#[async_trait]
impl NodeExecutor for Lexical {
    fn name(&self) -> &str {
        "lexical"
    }

    fn capabilities(&self) -> &Capabilities {
        &Capabilities { tools: false, mcp: false, waits: false }
    }

    fn simulated(&self) -> bool {
        false
    }

    async fn execute(&self, request: NodeRequest) -> NodeResponse {
        let content = answer(&request);
        let prompt = tokens_of(&request.objective)
            + request.contract.as_ref().map_or(0, |contract| tokens_of(&contract.to_string()))
            + tokens_of(&input_text(&request));
        let completion = tokens_of(&content.to_string());
        let usage = Usage {
            prompt_tokens: Tokens(prompt),
            completion_tokens: Tokens(completion),
            cost: MicroUsd(0),
            latency: Millis(LATENCY_BASE + LATENCY_TOKEN * (prompt + completion)),
            estimated: false,
        };
        NodeResponse { result: Ok(content), usage }
    }
}

/// The answer to a request: an object under the contract's schema, or text when there is none.
#[must_use]
pub fn answer(request: &NodeRequest) -> Value {
    let contract = request.contract.as_ref();
    let guidance =
        contract.and_then(|contract| contract.get("summary_guidance")?.as_str()).unwrap_or("");
    let reader =
        Reader { instructions: [&request.objective, guidance], input: input_text(request) };
    let schema = contract.and_then(|contract| contract.get("schema"));
    match schema.and_then(|schema| schema.get("properties")?.as_object()) {
        Some(properties) => {
            let answers = properties.iter().take(PROPERTIES_MAX);
            Value::Object(
                answers
                    .map(|(name, schema)| (name.clone(), reader.property(name, schema)))
                    .collect::<Map<_, _>>(),
            )
        }
        None => match schema {
            Some(schema) => reader.property("answer", schema),
            None => Value::String(extract::sentence(&reader.input, reader.instructions[0])),
        },
    }
}

/// A request as the agent reads it.
struct Reader<'a> {
    instructions: [&'a str; 2],
    input: String,
}

impl Reader<'_> {
    /// The answer for one property of the schema.
    fn property(&self, name: &str, schema: &Value) -> Value {
        let description = schema.get("description").and_then(Value::as_str).unwrap_or("");
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.classify(values, description);
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("number" | "integer") => {
                extract::number(&self.input).map_or(Value::Null, Value::Number)
            }
            Some("boolean") => Value::Bool(false),
            Some("array") => Value::Array(Vec::new()),
            Some("object") => Value::Object(Map::new()),
            Some("null") => Value::Null,
            _ => Value::String(extract::sentence(&self.input, &format!("{name} {description}"))),
        }
    }

    /// The value whose definition fits the input best; the first one when the input says nothing.
    fn classify(&self, values: &[Value], description: &str) -> Value {
        let names: Vec<_> = values.iter().map(|value| value.as_str().unwrap_or("")).collect();
        let [objective, guidance] = self.instructions;
        let definitions = instructions::definitions(&names, &[objective, guidance, description]);
        let scores = rank::scores(&definitions.words, &tokens::stems(&self.input));
        let chosen = rank::best(&scores).unwrap_or(0);
        values.get(chosen).cloned().unwrap_or(Value::Null)
    }
}

/// All text that the request brings along: the strings in its inputs, else in its upstream outputs.
fn input_text(request: &NodeRequest) -> String {
    let mut lines = Vec::new();
    for value in request.inputs.values().chain(request.upstream.values()) {
        texts(value, &mut lines);
    }
    lines.join("\n")
}

fn texts<'a>(value: &'a Value, lines: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => lines.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, lines)),
        Value::Object(entries) => entries.values().for_each(|item| texts(item, lines)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Tokens as this agent counts them: words.
fn tokens_of(text: &str) -> u64 {
    u64::try_from(text.split_whitespace().count()).unwrap_or(u64::MAX)
}
