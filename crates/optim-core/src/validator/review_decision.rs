//! `review_decision`: a decision of the set, with a reason.
//!
//! Settings: `decisions`, default `approve`, `request_changes`, `reject`; `min_reason_chars`,
//! default 10. The output is a JSON object with `decision` and `reason`, or text with such lines.

use serde_json::Value;

use super::{Findings, Subject};
use crate::assertion::parsed;

pub(super) fn check(subject: &Subject<'_>) -> Findings {
    let mut findings = Findings::default();
    let mut decisions = subject.settings.texts("decisions");
    if decisions.is_empty() {
        decisions = vec!["approve", "request_changes", "reject"];
    }
    let decision = field(subject.output, "decision");
    match decision.as_deref().map(str::trim) {
        None | Some("") => findings.unmet.push(format!(
            "there is no decision; wanted one of {}",
            decisions.join(", ")
        )),
        Some(decision) => findings.require(
            decisions
                .iter()
                .any(|known| known.eq_ignore_ascii_case(decision)),
            || {
                let shown: String = decision.chars().take(60).collect();
                format!("the decision {shown:?} is none of {}", decisions.join(", "))
            },
        ),
    }
    let wanted = subject.settings.count("min_reason_chars").unwrap_or(10);
    let reason = field(subject.output, "reason")
        .or_else(|| field(subject.output, "rationale"))
        .unwrap_or_default();
    let found = u64::try_from(reason.trim().chars().count()).unwrap_or(u64::MAX);
    findings.require(found >= wanted, || {
        format!("the reason has {found} characters, wanted at least {wanted}")
    });
    findings
}

/// A field of a JSON object, or of text with `field: value` lines.
fn field(output: &Value, name: &str) -> Option<String> {
    if let Some(Value::Object(map)) = parsed(output) {
        return map.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    }
    let lines = output.as_str()?.lines();
    let value = |line: &str| {
        let (key, value) = line.split_once(':')?;
        key.trim()
            .trim_matches('*')
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    };
    lines.filter_map(value).next()
}
