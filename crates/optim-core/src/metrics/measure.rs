//! What one case run showed, in the figures that decisions are made of.

use crate::id::CaseId;
use crate::outcome::{CaseOutcome, Measured, Outcome, Usage};
use crate::policy::Score;
use crate::quantity::Fraction;
use crate::run::RunReport;

use super::{Expected, count};

/// One measured case run. Denominators are what the baseline is expected to produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaseMeasure {
    /// Whether every expected check passed, within the limits of the workflow.
    pub passes: bool,
    /// Checks that passed, of those expected.
    pub checks: Fraction,
    /// Requirements that were not met.
    pub unmet: u64,
    /// Blocked nodes, of all.
    pub blocked: Fraction,
    /// Whether it broke no limit of the workflow.
    pub within_limits: bool,
    /// What it consumed, faults of the outside left out.
    pub usage: Usage,
}

impl CaseMeasure {
    /// The share that decides first.
    #[must_use]
    pub fn primary(&self, score: Score) -> Fraction {
        match score {
            Score::AllOrNothing => Fraction::new(self.passes.into(), 1),
            Score::Fraction => self.checks,
        }
    }
}

impl Expected {
    /// What `report` shows of `case`; `None` when the outside failed. Without a report, and for each
    /// expected check without an outcome, the case has failed.
    #[must_use]
    pub fn measure(&self, case: &CaseId, report: Option<&RunReport>) -> Option<CaseMeasure> {
        let checks = self.checks.get(case).copied().unwrap_or(0);
        let usage =
            report.map_or(Usage::default(), |report| report.usage.minus(report.spent_on_faults));
        match report.map(|report| &report.outcome) {
            Some(CaseOutcome::Void { .. }) => None,
            Some(CaseOutcome::Measured(measured)) => Some(self.measured(measured, checks, usage)),
            None => Some(CaseMeasure {
                passes: false,
                checks: Fraction::new(0, checks),
                unmet: checks,
                blocked: Fraction::new(0, self.nodes),
                within_limits: true,
                usage,
            }),
        }
    }

    fn measured(&self, measured: &Measured, expected: u64, usage: Usage) -> CaseMeasure {
        let passed = measured.checks.iter().filter(|check| check.outcome.passes());
        let passed = count(passed.count()).min(expected);
        let listed = measured.checks.iter().map(|check| unmet(check.outcome, check.unmet.len()));
        let absent = expected.saturating_sub(count(measured.checks.len()));
        CaseMeasure {
            passes: passed == expected && measured.passes(),
            checks: Fraction::new(passed, expected),
            unmet: listed.sum::<u64>() + absent,
            blocked: Fraction::new(count(measured.blocked.len()), self.nodes),
            within_limits: measured.over_limit.is_none(),
            usage,
        }
    }
}

/// A check that did not pass has at least one unmet requirement.
fn unmet(outcome: Outcome, listed: usize) -> u64 {
    if outcome.passes() { 0 } else { count(listed).max(1) }
}
