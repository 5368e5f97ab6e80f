//! `standup_update`: the configured sections of a status report.
//!
//! Settings: `required_sections`, default `yesterday`, `today`, `blockers`.

use super::sections::has_section;
use super::{Findings, Subject};

pub(super) fn check(subject: &Subject<'_>) -> Findings {
    let mut findings = Findings::default();
    let mut sections = subject.settings.texts("required_sections");
    if sections.is_empty() {
        sections = vec!["yesterday", "today", "blockers"];
    }
    for section in sections {
        findings.require(has_section(subject.output, section), || {
            format!("the section {section:?} is missing or empty")
        });
    }
    findings
}
