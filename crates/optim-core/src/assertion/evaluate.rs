//! Whether an output is as expected.

use std::borrow::Cow;

use serde_json::Value;

use super::decimal::Digits;
use super::{Assertion, Decimal, Expectation, Matcher};
use crate::canonical;
use crate::outcome::{Outcome, Usage};

/// The characters of a value that a sentence shows.
const SHOWN_CHARS: usize = 120;

/// How far brackets that open no JSON are followed: this many bytes, and this many times the text.
/// Without a limit each of them costs as much as the parser is deep.
const FOLLOWED_BYTES: usize = 64 * 1024;
const FOLLOWED_TIMES: usize = 8;

/// The longest text that a distance of edits is computed for.
const LEVENSHTEIN_CHARS_MAX: usize = 10_000;

/// The outcome of `expectation` on a node's `output`, with one sentence when it is not met.
///
/// Without an output nothing is met, whether negated or not.
#[must_use]
pub fn evaluate(
    expectation: &Expectation,
    output: Option<&Value>,
    usage: &Usage,
    matcher: &dyn Matcher,
) -> (Outcome, Option<String>) {
    let pointer = expectation.at.as_deref().unwrap_or("");
    let Some(value) = output.and_then(|output| output.pointer(pointer)) else {
        let place = if pointer.is_empty() { "output" } else { pointer };
        return (Outcome::Failed, Some(format!("there is no {place} to check")));
    };
    match holds(&expectation.assertion, value, usage, matcher) {
        Ok(holds) if holds != expectation.negated => (Outcome::Passed, None),
        Ok(_) => {
            let not = if expectation.negated { "not " } else { "" };
            let sentence = format!(
                "wanted {not}{}, found {}",
                wanted(&expectation.assertion),
                found(expectation, value, usage)
            );
            (Outcome::Failed, Some(sentence))
        }
        Err(broken) => (Outcome::Failed, Some(broken)),
    }
}

fn holds(
    assertion: &Assertion,
    value: &Value,
    usage: &Usage,
    matcher: &dyn Matcher,
) -> Result<bool, String> {
    let text = text(value);
    Ok(match assertion {
        Assertion::Equals { value: wanted } => same(wanted, value),
        Assertion::Contains { value: wanted, case_sensitive: true } => {
            text.contains(wanted.as_str())
        }
        Assertion::Contains { value: wanted, case_sensitive: false } => {
            text.to_lowercase().contains(&wanted.to_lowercase())
        }
        Assertion::ContainsAny { values } => {
            values.iter().any(|wanted| text.contains(wanted.as_str()))
        }
        Assertion::ContainsAll { values } => {
            values.iter().all(|wanted| text.contains(wanted.as_str()))
        }
        Assertion::StartsWith { value: wanted } => text.starts_with(wanted.as_str()),
        Assertion::Regex { pattern } => matcher.regex(pattern, &text)?,
        Assertion::IsJson { schema } => match parsed(value) {
            Some(value) => conforms(schema.as_ref(), &value, matcher)?,
            None => false,
        },
        Assertion::ContainsJson { schema } => {
            let mut any = false;
            for value in embedded(value) {
                any = any || conforms(schema.as_ref(), &value, matcher)?;
            }
            any
        }
        Assertion::Length { min, max } => {
            let length = length(value, &text);
            min.is_none_or(|min| length >= min) && max.is_none_or(|max| length <= max)
        }
        Assertion::Levenshtein { value: wanted, max } => within(wanted, &text, *max),
        Assertion::Number { value: wanted, tolerance } => {
            Decimal::parse(&text).is_some_and(|number| number.distance(*wanted) <= *tolerance)
        }
        Assertion::Latency { max } => usage.latency <= *max,
        Assertion::Cost { max } => usage.cost <= *max,
    })
}

/// Whether two texts are at most `max` edits apart. The work grows with the product of their lengths,
/// so a text over the limit is too far from any other.
fn within(wanted: &str, found: &str, max: u64) -> bool {
    let (long, short) = (wanted.chars().count(), found.chars().count());
    let fits = long.max(short) <= LEVENSHTEIN_CHARS_MAX;
    let least = u64::try_from(long.abs_diff(short)).unwrap_or(u64::MAX);
    fits && least <= max
        && u64::try_from(strsim::levenshtein(wanted, found)).is_ok_and(|edits| edits <= max)
}

/// The text of a value: itself, or the canonical JSON of what is no text.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(String::from_utf8_lossy(&canonical::bytes(other)).into_owned()),
    }
}

/// Equal values; numbers by value, so that `1` equals `1.0`.
fn same(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Number(a), Value::Number(b)) => {
            a == b
                || Digits::parse(&a.to_string())
                    .is_some_and(|a| Digits::parse(&b.to_string()) == Some(a))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => wanted == found,
    }
}

/// A value that is JSON: itself, or what its text holds.
pub(crate) fn parsed(value: &Value) -> Option<Cow<'_, Value>> {
    match value {
        Value::String(text) => serde_json::from_str(text).ok().map(Cow::Owned),
        other => Some(Cow::Borrowed(other)),
    }
}

/// The JSON objects and lists in a value: itself, or those in its text, from left to right, until
/// brackets that lead nowhere have used up what they may cost.
fn embedded(value: &Value) -> Vec<Value> {
    let Value::String(text) = value else {
        return vec![value.clone()];
    };
    let mut found = Vec::new();
    let mut rest = text.as_str();
    let mut budget = text.len().saturating_mul(FOLLOWED_TIMES).saturating_add(FOLLOWED_BYTES);
    while let Some(start) = rest.find(['{', '[']).filter(|_| budget > 0) {
        let Some(candidate) = rest.get(start..) else {
            break;
        };
        let mut stream = serde_json::Deserializer::from_str(candidate).into_iter::<Value>();
        let end = match stream.next() {
            Some(Ok(value)) => {
                found.push(value);
                stream.byte_offset()
            }
            Some(Err(error)) => {
                budget = budget.saturating_sub(followed(candidate, &error));
                1
            }
            None => 1,
        };
        rest = candidate.get(end.max(1)..).unwrap_or("");
    }
    found
}

/// The bytes of `text` up to where `error` is.
fn followed(text: &str, error: &serde_json::Error) -> usize {
    let before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    before.map(str::len).sum::<usize>() + error.column()
}

fn conforms(schema: Option<&Value>, value: &Value, matcher: &dyn Matcher) -> Result<bool, String> {
    schema.map_or(Ok(true), |schema| {
        matcher.schema(schema, value).map(|violations| violations.is_empty())
    })
}

fn length(value: &Value, text: &str) -> u64 {
    let length = match value {
        Value::Array(items) => items.len(),
        Value::Object(entries) => entries.len(),
        _ => text.chars().count(),
    };
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if text.chars().count() > SHOWN_CHARS {
        shown.push('…');
    }
    shown
}

fn wanted(assertion: &Assertion) -> String {
    match assertion {
        Assertion::Equals { value } => shown(&value.to_string()),
        Assertion::Contains { value, case_sensitive: true } => {
            format!("text that contains {value:?}")
        }
        Assertion::Contains { value, case_sensitive: false } => {
            format!("text that contains {value:?} in any case")
        }
        Assertion::ContainsAny { values } => format!("text that contains one of {values:?}"),
        Assertion::ContainsAll { values } => format!("text that contains all of {values:?}"),
        Assertion::StartsWith { value } => format!("text that starts with {value:?}"),
        Assertion::Regex { pattern } => format!("text that matches /{pattern}/"),
        Assertion::IsJson { schema: None } => "JSON".to_owned(),
        Assertion::IsJson { schema: Some(_) } => "JSON that conforms to the schema".to_owned(),
        Assertion::ContainsJson { schema: None } => "text that holds JSON".to_owned(),
        Assertion::ContainsJson { schema: Some(_) } => {
            "text that holds JSON that conforms to the schema".to_owned()
        }
        Assertion::Length { min, max } => {
            let bound =
                |bound: &Option<u64>| bound.map(|bound| bound.to_string()).unwrap_or_default();
            format!("a length of {}..{}", bound(min), bound(max))
        }
        Assertion::Levenshtein { value, max } => format!("text at most {max} edits from {value:?}"),
        Assertion::Number { value, tolerance } => format!("a number within {tolerance} of {value}"),
        Assertion::Latency { max } => format!("at most {} ms", max.0),
        Assertion::Cost { max } => format!("at most {max}"),
    }
}

fn found(expectation: &Expectation, value: &Value, usage: &Usage) -> String {
    match expectation.assertion {
        Assertion::Latency { .. } => format!("{} ms", usage.latency.0),
        Assertion::Cost { .. } => usage.cost.to_string(),
        _ => shown(&value.to_string()),
    }
}
