//! Metrics of an evaluation: integer counts over the *expected* outcomes.

pub mod baseline;
#[cfg(test)]
mod tests;
pub mod wire;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::CaseId;
use crate::outcome::{CaseOutcome, Measured, Outcome, Usage};
use crate::pack::Case;
use crate::policy::Score;
use crate::quantity::Fraction;
use crate::run::RunReport;
use crate::workflow::Workflow;

/// What one or several evaluations of one definition showed, as exact counts.
///
/// Denominators are what the baseline is expected to produce, not what a run happened to produce.
/// A void case run is in no count but its own: it says nothing about the definition.
/// Counts of several replicates are added, so a mean is never rounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Evaluations that were added.
    pub replicates: u32,
    /// Cases whose every check passed, of the cases expected.
    pub cases: Fraction,
    /// Checks that passed, of the checks expected: the wire's `artifact_validator_pass_rate`.
    pub checks: Fraction,
    /// Requirements that were not met, in all replicates together.
    pub unmet: u64,
    /// Blocked nodes, of all nodes in all cases.
    pub blocked: Fraction,
    /// Whether no case run broke a limit of the workflow.
    pub within_limits: bool,
    /// Case runs that the outside failed until their retries were used up.
    pub void: u32,
    /// What the measured case runs consumed together, without what faults of the outside did: what the
    /// definition costs.
    pub usage: Usage,
}

/// What an evaluation is expected to produce: the denominators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Checks of each case: the baseline's validators and the case's expectations.
    checks: BTreeMap<CaseId, u64>,
    nodes: u64,
}

impl Expected {
    /// The expectations of `baseline` on `cases`.
    #[must_use]
    pub fn new<'a>(baseline: &Workflow, cases: impl Iterator<Item = &'a Case>) -> Self {
        let validators = baseline.nodes().iter().filter(|node| node.validator().is_some()).count();
        let checks =
            cases.map(|case| (case.id.clone(), count(validators + case.expect.len()))).collect();
        Self { checks, nodes: count(baseline.nodes().len()) }
    }
}

impl Metrics {
    /// Counts the reports of one evaluation. A case without a report, and a check without an outcome,
    /// count as failed; a void case is counted apart.
    #[must_use]
    pub fn of(expected: &Expected, reports: &BTreeMap<&CaseId, &RunReport>) -> Self {
        let mut metrics = Self { replicates: 1, within_limits: true, ..Self::default() };
        for (case, checks) in &expected.checks {
            let report = reports.get(case);
            let measured = match report.map(|report| &report.outcome) {
                Some(CaseOutcome::Void { .. }) => {
                    metrics.void += 1;
                    continue;
                }
                Some(CaseOutcome::Measured(measured)) => Some(measured),
                None => None,
            };
            metrics.usage = metrics.usage.plus(
                report
                    .map_or(Usage::default(), |report| report.usage.minus(report.spent_on_faults)),
            );
            metrics.cases.den += 1;
            metrics.checks.den += checks;
            metrics.blocked.den += expected.nodes;
            match measured {
                Some(measured) => metrics.add_case(measured, *checks),
                None => metrics.unmet += checks,
            }
        }
        metrics
    }

    fn add_case(&mut self, measured: &Measured, expected: u64) {
        let passed = measured.checks.iter().filter(|check| check.outcome.passes());
        let passed = count(passed.count()).min(expected);
        self.checks.num += passed;
        self.cases.num += u64::from(passed == expected && measured.passes());
        self.unmet += measured
            .checks
            .iter()
            .map(|check| unmet(check.outcome, check.unmet.len()))
            .sum::<u64>();
        self.unmet += expected.saturating_sub(count(measured.checks.len()));
        self.blocked.num += count(measured.blocked.len());
        self.within_limits &= measured.over_limit.is_none();
    }

    /// Both together, as replicates of one definition on the same cases.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |a: Fraction, b: Fraction| Fraction::new(a.num + b.num, a.den + b.den);
        Self {
            replicates: self.replicates + other.replicates,
            cases: sum(self.cases, other.cases),
            checks: sum(self.checks, other.checks),
            unmet: self.unmet + other.unmet,
            blocked: sum(self.blocked, other.blocked),
            within_limits: self.within_limits && other.within_limits,
            void: self.void + other.void,
            usage: self.usage.plus(other.usage),
        }
    }

    /// The share that decides first.
    #[must_use]
    pub fn primary(&self, score: Score) -> Fraction {
        match score {
            Score::AllOrNothing => self.cases,
            Score::Fraction => self.checks,
        }
    }

    /// Unmet requirements for each check that was expected: comparable whatever the number of
    /// replicates and of void cases.
    #[must_use]
    pub fn unmet_share(&self) -> Fraction {
        Fraction::new(self.unmet, self.checks.den)
    }

    /// Void case runs, of all.
    #[must_use]
    pub fn void_share(&self) -> Fraction {
        let void = u64::from(self.void);
        Fraction::new(void, self.cases.den.saturating_add(void))
    }

    /// Unmet requirements of one replicate, exactly.
    #[must_use]
    pub fn unmet_mean(&self) -> Fraction {
        Fraction::new(self.unmet, self.replicates.into())
    }
}

/// A check that did not pass has at least one unmet requirement.
fn unmet(outcome: Outcome, listed: usize) -> u64 {
    if outcome.passes() { 0 } else { count(listed).max(1) }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
