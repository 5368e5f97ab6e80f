//! Sections of a text: Markdown headings and `Name:` lines, or the keys of a JSON object.

use serde_json::{Map, Value};

/// Whether `output` has a section `name` that is not empty. Upper and lower case do not differ.
pub(super) fn has_section(output: &Value, name: &str) -> bool {
    match output {
        Value::Object(map) => in_object(map, name),
        Value::String(text) => in_text(text, name),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    }
}

fn in_object(map: &Map<String, Value>, name: &str) -> bool {
    let named = |key: &str| normal(key) == normal(name);
    let direct = map
        .iter()
        .any(|(key, value)| named(key) && !is_empty(value));
    direct
        || map
            .values()
            .any(|value| value.as_str().is_some_and(|text| in_text(text, name)))
}

fn in_text(text: &str, name: &str) -> bool {
    let mut inside = false;
    for line in text.lines() {
        match heading(line) {
            Some((title, rest)) if normal(title) == normal(name) => {
                if !rest.trim().is_empty() {
                    return true;
                }
                inside = true;
            }
            Some(_) => inside = false,
            None if inside && !line.trim().is_empty() => return true,
            None => {}
        }
    }
    false
}

/// The title of a line that opens a section, and what follows it on the line.
fn heading(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    if let Some(title) = line.strip_prefix('#') {
        return Some((
            title.trim_start_matches('#').trim().trim_end_matches(':'),
            "",
        ));
    }
    let bold = line
        .strip_prefix("**")
        .and_then(|rest| rest.split_once("**"));
    if let Some((title, rest)) = bold {
        return Some((
            title.trim().trim_end_matches(':'),
            rest.trim_start_matches(':'),
        ));
    }
    let (title, rest) = line.split_once(':')?;
    let short = title.split_whitespace().count() <= 4
        && title.chars().next().is_some_and(char::is_alphabetic);
    (short && !rest.starts_with("//")).then_some((title, rest))
}

fn normal(name: &str) -> String {
    name.trim().to_lowercase().replace(['_', '-'], " ")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
