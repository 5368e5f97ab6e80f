//! `research_brief`: required sections and a number of sources.
//!
//! Settings: `required_sections`, default `summary`, `findings`, `sources`; `min_sources`, default 1.
//! A source is an http(s) address, each counted once, or an entry of a JSON list `sources` or
//! `citations`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Findings, Subject, sections};
use crate::assertion::parsed;

pub(super) fn check(subject: &Subject<'_>) -> Findings {
    let mut findings = Findings::default();
    let mut names = subject.settings.texts("required_sections");
    if names.is_empty() {
        names = vec!["summary", "findings", "sources"];
    }
    sections::require(&names, subject.output, &mut findings);
    let wanted = subject.settings.count("min_sources").unwrap_or(1);
    let found = sources(subject.output);
    findings.require(found >= wanted, || {
        format!("{found} sources are cited, wanted at least {wanted}")
    });
    findings
}

fn sources(output: &Value) -> u64 {
    let text = output.as_str().map_or_else(|| output.to_string(), ToOwned::to_owned);
    let ends = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '<' | '>' | ')' | ']' | '}' | '\\' | '`' | '|')
    };
    let mut cited = BTreeSet::new();
    for scheme in ["http://", "https://"] {
        for (start, _) in text.match_indices(scheme) {
            let address = text.get(start..).and_then(|rest| rest.split(ends).next()).unwrap_or("");
            let address = address.trim_end_matches(['.', ',', ';', ':', '\'']);
            if address.len() > scheme.len() {
                cited.insert(address.to_owned());
            }
        }
    }
    let json = parsed(output);
    let listed = ["sources", "citations"]
        .iter()
        .filter_map(|key| json.as_ref()?.get(key)?.as_array())
        .map(Vec::len)
        .max();
    u64::try_from(cited.len().max(listed.unwrap_or(0))).unwrap_or(u64::MAX)
}
