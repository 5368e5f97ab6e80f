//! `review_decision`: a decision of the set, with a reason.
//!
//! Settings: `decisions`, default `approve`, `request_changes`, `reject`; `min_reason_chars`,
//! default 10. The output is a JSON object with `decision` and `reason`, or text with such sections.

use super::sections::{normal, section};
use super::{Findings, Subject};

/// The characters of a decision that a sentence shows.
const SHOWN_CHARS: usize = 60;

pub(super) fn check(subject: &Subject<'_>) -> Findings {
    let mut findings = Findings::default();
    let mut decisions = subject.settings.texts("decisions");
    if decisions.is_empty() {
        decisions = vec!["approve", "request_changes", "reject"];
    }
    let decision = section(subject.output, "decision").unwrap_or_default();
    match decision.lines().find(|line| !line.trim().is_empty()) {
        None => findings
            .unmet
            .push(format!("there is no decision; wanted one of {}", decisions.join(", "))),
        Some(decision) => {
            let known = |wanted: &&str| normal(wanted) == normal(decision);
            findings.require(decisions.iter().any(known), || {
                let shown: String = decision.trim().chars().take(SHOWN_CHARS).collect();
                format!("the decision {shown:?} is none of {}", decisions.join(", "))
            });
        }
    }
    let wanted = subject.settings.count("min_reason_chars").unwrap_or(10);
    let reason = section(subject.output, "reason")
        .or_else(|| section(subject.output, "rationale"))
        .unwrap_or_default();
    let found = u64::try_from(reason.trim().chars().count()).unwrap_or(u64::MAX);
    findings.require(found >= wanted, || {
        format!("the reason has {found} characters, wanted at least {wanted}")
    });
    findings
}
