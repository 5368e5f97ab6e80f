//! `standup_update`: the configured sections of a status report.
//!
//! Settings: `required_sections`, default `yesterday`, `today`, `blockers`.

use super::{Findings, Subject, sections};

pub(super) fn check(subject: &Subject<'_>) -> Findings {
    let mut findings = Findings::default();
    let mut names = subject.settings.texts("required_sections");
    if names.is_empty() {
        names = vec!["yesterday", "today", "blockers"];
    }
    sections::require(&names, subject.output, &mut findings);
    findings
}
