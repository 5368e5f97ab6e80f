//! Sections of an output: Markdown headings, bold titles and `Title:` lines of a text, or the keys of
//! a JSON object.

use serde_json::{Map, Value};

use super::Findings;
use crate::assertion::parsed;

/// The level of a title that is no Markdown heading: below all six of those.
const TITLE_LEVEL: usize = 7;

/// Requires each section of `names` to be there with something in it.
pub(super) fn require(names: &[&str], output: &Value, findings: &mut Findings) {
    for name in names {
        let found = section(output, name).is_some_and(|content| !content.trim().is_empty());
        findings.require(found, || format!("the section {name:?} is missing or empty"));
    }
}

/// What `output` says in its section `name`; `None` when it has none.
pub(super) fn section(output: &Value, name: &str) -> Option<String> {
    match parsed(output).as_deref() {
        Some(Value::Object(map)) => in_object(map, name),
        _ => in_text(output.as_str()?, name),
    }
}

/// A name as it is compared: upper and lower case, `_`, `-` and emphasis do not matter.
pub(super) fn normal(name: &str) -> String {
    name.trim_matches(|c: char| c.is_whitespace() || "*_`\"#:.".contains(c))
        .to_lowercase()
        .replace(['_', '-'], " ")
}

fn in_object(map: &Map<String, Value>, name: &str) -> Option<String> {
    let own = map.iter().find(|(key, _)| normal(key) == normal(name));
    own.map(|(_, value)| content(value)).or_else(|| {
        let texts = map.values().filter_map(Value::as_str);
        texts.filter_map(|text| in_text(text, name)).next()
    })
}

fn content(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => String::new(),
        Value::Object(entries) if entries.is_empty() => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// The lines of every section `name`. A section ends at the next heading of its own level or above;
/// the headings below it are no content.
fn in_text(text: &str, name: &str) -> Option<String> {
    let mut content: Option<String> = None;
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let kept = match heading(line) {
            Some(Heading { level, title, rest }) if normal(title) == normal(name) => {
                open = Some(level);
                content.get_or_insert_default();
                rest
            }
            Some(Heading { level, .. }) if open.is_some_and(|opened| level <= opened) => {
                open = None;
                continue;
            }
            Some(Heading { level, .. }) if level < TITLE_LEVEL => continue,
            _ => line,
        };
        if let (Some(_), Some(content)) = (open, &mut content) {
            content.push_str(kept);
            content.push('\n');
        }
    }
    content
}

/// A line that opens a section.
struct Heading<'a> {
    level: usize,
    title: &'a str,
    rest: &'a str,
}

fn heading(line: &str) -> Option<Heading<'_>> {
    let line = line.trim();
    let title = line.trim_start_matches('#');
    if title.len() < line.len() {
        let level = line.len() - title.len();
        return Some(Heading { level: level.min(TITLE_LEVEL - 1), title, rest: "" });
    }
    let level = TITLE_LEVEL;
    let bold = line.strip_prefix("**").and_then(|rest| rest.split_once("**"));
    if let Some((title, rest)) = bold {
        let rest = rest.trim_start_matches(':');
        return Some(Heading { level, title, rest });
    }
    let (title, rest) = line.split_once(':')?;
    let short = title.split_whitespace().count() <= 4
        && title.chars().next().is_some_and(char::is_alphabetic);
    (short && !rest.starts_with("//")).then_some(Heading { level, title, rest })
}
