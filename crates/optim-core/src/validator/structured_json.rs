//! `structured_json`: JSON that conforms to the contract's schema.

use super::{Findings, Subject};
use crate::assertion::parsed;

/// Violations that are listed; the rest is counted.
const LISTED_MAX: usize = 20;

pub(super) fn check(subject: &Subject<'_>) -> Findings {
    let mut findings = Findings::default();
    let Some(value) = parsed(subject.output) else {
        findings.unmet.push("the output is not JSON".to_owned());
        return findings;
    };
    let Some(schema) = &subject.contract.schema else {
        findings.warnings.push("the contract has no schema, so any JSON passes".to_owned());
        return findings;
    };
    match subject.matcher.schema(schema, &value) {
        Ok(mut violations) => {
            let more = violations.len().saturating_sub(LISTED_MAX);
            violations.truncate(LISTED_MAX);
            findings.unmet.extend(violations);
            findings.require(more == 0, || format!("and {more} more violations of the schema"));
        }
        Err(broken) => findings.unmet.push(format!("the contract's schema is not valid: {broken}")),
    }
    findings
}
