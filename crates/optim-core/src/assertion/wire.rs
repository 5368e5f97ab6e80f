//! The form of an expectation in a pack.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Assertion, Decimal, Expectation};
use crate::id::NodeId;
use crate::quantity::{MicroUsd, Millis};
use crate::suggest::did_you_mean;

/// The types, in the order in which messages list them.
const TYPES: [&str; 14] = [
    "equals",
    "contains",
    "icontains",
    "contains-any",
    "contains-all",
    "starts-with",
    "regex",
    "is-json",
    "contains-json",
    "length",
    "levenshtein",
    "number",
    "latency",
    "cost",
];

/// Every key that some type knows.
const KEYS: [&str; 10] =
    ["node", "at", "type", "value", "schema", "min", "max", "tolerance", "max_ms", "max_micro_usd"];

/// `{"node": …, "at": …, "type": …, …}`, before it is understood.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Wire(Map<String, Value>);

/// The keys of an expectation, taken out one by one; what is left at the end is unknown.
struct Keys {
    left: Map<String, Value>,
    kind: String,
}

impl Keys {
    fn text(&mut self, key: &str) -> Result<String, String> {
        match self.left.remove(key) {
            Some(Value::String(text)) => Ok(text),
            found => Err(self.wrong(key, "text", found.as_ref())),
        }
    }

    fn texts(&mut self, key: &str) -> Result<Vec<String>, String> {
        let found = self.left.remove(key);
        let texts: Option<Vec<_>> = found.as_ref().and_then(Value::as_array).map(|items| {
            items.iter().filter_map(|item| item.as_str().map(ToOwned::to_owned)).collect()
        });
        let complete = found.as_ref().and_then(Value::as_array).map(Vec::len);
        match texts {
            Some(texts) if !texts.is_empty() && Some(texts.len()) == complete => Ok(texts),
            _ => Err(self.wrong(key, "a list of texts", found.as_ref())),
        }
    }

    fn count(&mut self, key: &str) -> Result<Option<u64>, String> {
        match self.left.remove(key) {
            None => Ok(None),
            Some(found) => found
                .as_u64()
                .map(Some)
                .ok_or_else(|| self.wrong(key, "a whole number of at least 0", Some(&found))),
        }
    }

    fn required_count(&mut self, key: &str) -> Result<u64, String> {
        self.count(key)?.ok_or_else(|| self.wrong(key, "a whole number of at least 0", None))
    }

    fn decimal(&mut self, key: &str) -> Result<Decimal, String> {
        let found = self.left.remove(key);
        let number = found
            .as_ref()
            .filter(|value| value.is_number())
            .and_then(|value| Decimal::parse(&value.to_string()));
        number.ok_or_else(|| {
            self.wrong(key, "a number of at most 20 digits before the point", found.as_ref())
        })
    }

    fn tolerance(&mut self) -> Result<Decimal, String> {
        let tolerance = self.decimal("tolerance")?;
        if tolerance < Decimal::ZERO {
            return Err(format!("`{}`: tolerance {tolerance} is below 0", self.kind));
        }
        Ok(tolerance)
    }

    fn wrong(&self, key: &str, wanted: &str, found: Option<&Value>) -> String {
        let found: String = found
            .map_or_else(|| "nothing".to_owned(), ToString::to_string)
            .chars()
            .take(80)
            .collect();
        format!("`{}` needs `{key}`: {wanted}, found {found}", self.kind)
    }
}

impl TryFrom<Wire> for Expectation {
    type Error = String;

    fn try_from(Wire(mut left): Wire) -> Result<Self, String> {
        let Some(Value::String(named)) = left.remove("type") else {
            return Err(format!(
                "an expectation needs a `type`: one of {}, or one of them after `not-`",
                TYPES.join(", ")
            ));
        };
        let (negated, kind) = match named.strip_prefix("not-") {
            Some(kind) => (true, kind.to_owned()),
            None => (false, named),
        };
        let mut keys = Keys { left, kind };
        let node = match keys.left.remove("node") {
            None => None,
            Some(Value::String(node)) => {
                Some(NodeId::new(node).map_err(|error| error.to_string())?)
            }
            Some(found) => return Err(keys.wrong("node", "a node id", Some(&found))),
        };
        let at = match keys.left.remove("at") {
            None => None,
            Some(Value::String(at)) if at.is_empty() || at.starts_with('/') => Some(at),
            Some(found) => {
                return Err(keys.wrong("at", "a JSON pointer such as `/label`", Some(&found)));
            }
        };
        let assertion = assertion(&mut keys)?;
        match keys.left.keys().next() {
            None => Ok(Self { node, at, negated, assertion }),
            Some(unknown) => {
                Err(format!("`{}` knows no key `{unknown}`{}", keys.kind, guess(unknown, KEYS)))
            }
        }
    }
}

/// ` (did you mean …?)`, or nothing when no word of `known` is close.
fn guess<const N: usize>(word: &str, known: [&str; N]) -> String {
    did_you_mean(word, known).map(|guess| format!(" ({guess})")).unwrap_or_default()
}

fn assertion(keys: &mut Keys) -> Result<Assertion, String> {
    Ok(match keys.kind.as_str() {
        "equals" => match keys.left.remove("value") {
            Some(value) => Assertion::Equals { value },
            None => return Err(keys.wrong("value", "any value", None)),
        },
        "contains" => Assertion::Contains { value: keys.text("value")?, case_sensitive: true },
        "icontains" => Assertion::Contains { value: keys.text("value")?, case_sensitive: false },
        "contains-any" => Assertion::ContainsAny { values: keys.texts("value")? },
        "contains-all" => Assertion::ContainsAll { values: keys.texts("value")? },
        "starts-with" => Assertion::StartsWith { value: keys.text("value")? },
        "regex" => Assertion::Regex { pattern: keys.text("value")? },
        "is-json" => Assertion::IsJson { schema: keys.left.remove("schema") },
        "contains-json" => Assertion::ContainsJson { schema: keys.left.remove("schema") },
        "length" => match (keys.count("min")?, keys.count("max")?) {
            (None, None) => {
                return Err(keys.wrong("min` or `max", "a whole number of at least 0", None));
            }
            (Some(min), Some(max)) if min > max => {
                return Err(format!("`length`: min {min} is above max {max}"));
            }
            (min, max) => Assertion::Length { min, max },
        },
        "levenshtein" => {
            Assertion::Levenshtein { value: keys.text("value")?, max: keys.required_count("max")? }
        }
        "number" => {
            Assertion::Number { value: keys.decimal("value")?, tolerance: keys.tolerance()? }
        }
        "latency" => Assertion::Latency { max: Millis(keys.required_count("max_ms")?) },
        "cost" => Assertion::Cost { max: MicroUsd(keys.required_count("max_micro_usd")?) },
        other => {
            return Err(format!(
                "there is no assertion `{other}`{}; there are {}",
                guess(other, TYPES),
                TYPES.join(", ")
            ));
        }
    })
}

impl From<Expectation> for Wire {
    fn from(expectation: Expectation) -> Self {
        let Expectation { node, at, negated, assertion } = expectation;
        let mut wire = Map::new();
        let mut put = |key: &str, value: Value| drop(wire.insert(key.to_owned(), value));
        if let Some(node) = node {
            put("node", node.as_str().into());
        }
        if let Some(at) = at {
            put("at", at.into());
        }
        let kind = match assertion {
            Assertion::Equals { value } => {
                put("value", value);
                "equals"
            }
            Assertion::Contains { value, case_sensitive } => {
                put("value", value.into());
                if case_sensitive { "contains" } else { "icontains" }
            }
            Assertion::ContainsAny { values } => {
                put("value", values.into());
                "contains-any"
            }
            Assertion::ContainsAll { values } => {
                put("value", values.into());
                "contains-all"
            }
            Assertion::StartsWith { value } => {
                put("value", value.into());
                "starts-with"
            }
            Assertion::Regex { pattern } => {
                put("value", pattern.into());
                "regex"
            }
            Assertion::IsJson { schema } => {
                schema.into_iter().for_each(|schema| put("schema", schema));
                "is-json"
            }
            Assertion::ContainsJson { schema } => {
                schema.into_iter().for_each(|schema| put("schema", schema));
                "contains-json"
            }
            Assertion::Length { min, max } => {
                min.into_iter().for_each(|min| put("min", min.into()));
                max.into_iter().for_each(|max| put("max", max.into()));
                "length"
            }
            Assertion::Levenshtein { value, max } => {
                put("value", value.into());
                put("max", max.into());
                "levenshtein"
            }
            Assertion::Number { value, tolerance } => {
                // Both were read from JSON numbers, so both are JSON numbers again.
                put("value", serde_json::from_str(&value.to_string()).unwrap_or(Value::Null));
                put(
                    "tolerance",
                    serde_json::from_str(&tolerance.to_string()).unwrap_or(Value::Null),
                );
                "number"
            }
            Assertion::Latency { max } => {
                put("max_ms", max.0.into());
                "latency"
            }
            Assertion::Cost { max } => {
                put("max_micro_usd", max.0.into());
                "cost"
            }
        };
        let kind = if negated { format!("not-{kind}") } else { kind.to_owned() };
        put("type", kind.into());
        Self(wire)
    }
}
