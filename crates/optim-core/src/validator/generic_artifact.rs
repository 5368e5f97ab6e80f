//! `generic_artifact`: a declared file, or content, that is not empty.
//!
//! Settings: `artifact_path`, a relative path (also the output's own `artifact_path`); `min_chars`,
//! default 1.

use serde_json::Value;

use super::{Findings, Subject};

pub(super) fn check(subject: &Subject<'_>) -> Findings {
    let mut findings = Findings::default();
    let wanted = subject.settings.count("min_chars").unwrap_or(1);
    let declared = subject
        .settings
        .text("artifact_path")
        .or_else(|| subject.output.get("artifact_path")?.as_str());
    let (what, chars) = match declared {
        Some(path) => match subject.workspace.read(path) {
            Ok(Some(bytes)) => {
                (format!("the file {path:?}"), count(&String::from_utf8_lossy(&bytes)))
            }
            Ok(None) => {
                findings.unmet.push(format!("the file {path:?} was not produced"));
                return findings;
            }
            Err(why) => {
                findings.unmet.push(why);
                return findings;
            }
        },
        None => ("the content".to_owned(), content(subject.output)),
    };
    findings.require(chars >= wanted, || {
        format!("{what} has {chars} characters, wanted at least {wanted}")
    });
    findings
}

fn content(output: &Value) -> u64 {
    match output {
        Value::Null => 0,
        Value::String(text) => count(text),
        Value::Array(items) if items.is_empty() => 0,
        Value::Object(map) if map.is_empty() => 0,
        Value::Object(map) => {
            map.get("content").map_or_else(|| count(&output.to_string()), content)
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => count(&output.to_string()),
    }
}

fn count(text: &str) -> u64 {
    u64::try_from(text.trim().chars().count()).unwrap_or(u64::MAX)
}
