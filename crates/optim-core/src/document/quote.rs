//! A string as a scalar on one line, in each of the three styles.

use std::fmt::Write as _;

use super::schema::resolve;

/// Words that are strings in YAML 1.2 and something else in YAML 1.1.
const YAML_1_1_WORDS: [&str; 10] =
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "<<"];

/// The string without quotes, if every reader takes that for the same string.
pub(super) fn plain(text: &str, in_flow: bool) -> Option<String> {
    let first = text.chars().next()?;
    let safe = text.trim() == text
        && text.chars().all(is_printable)
        && !"-?:,[]{}#&*!|>'\"%@`=".contains(first)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !(in_flow && text.contains([',', '[', ']', '{', '}']))
        && resolve(text).is_none()
        && !YAML_1_1_WORDS.contains(&text.to_ascii_lowercase().as_str())
        && !looks_numeric(text);
    safe.then(|| text.to_owned())
}

/// Whether it could be a number or a date of YAML 1.1: `1_000`, `12:30`, `2026-11-23`.
fn looks_numeric(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || "+.".contains(c))
        && text.chars().all(|c| c.is_ascii_hexdigit() || "_+-.: oxTtZz".contains(c))
}

/// The string in single quotes, if it can be in them on one line.
pub(super) fn single_quoted(text: &str) -> Option<String> {
    text.chars().all(is_printable).then(|| format!("'{}'", text.replace('\'', "''")))
}

/// The string in double quotes, as YAML and as JSON.
pub(super) fn double_quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if is_printable(c) => quoted.push(c),
            // None of them is outside the basic plane. Writing to a string cannot fail.
            c => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a character may stand on a line as it is, for old and new readers of YAML alike.
pub(super) fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}
