//! Metrics of an evaluation: integer counts over the *expected* outcomes.

pub mod baseline;
pub mod measure;
#[cfg(test)]
mod tests;
pub mod wire;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::CaseId;
use crate::outcome::Usage;
use crate::pack::Case;
use crate::policy::Score;
use crate::quantity::Fraction;
use crate::run::RunReport;
use crate::workflow::Workflow;

use self::measure::CaseMeasure;

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
        let mut metrics = Self::nothing();
        for case in expected.checks.keys() {
            let report = reports.get(case).copied();
            match expected.measure(case, report) {
                Some(measure) => metrics.add_case(&measure),
                None => metrics.void += 1,
            }
        }
        metrics
    }

    /// One replicate of no cases.
    #[must_use]
    pub fn nothing() -> Self {
        Self { replicates: 1, within_limits: true, ..Self::default() }
    }

    /// Counts one more case run.
    pub fn add_case(&mut self, case: &CaseMeasure) {
        self.cases.num += u64::from(case.passes);
        self.cases.den += 1;
        self.checks = self.checks.pooled(case.checks);
        self.blocked = self.blocked.pooled(case.blocked);
        self.unmet += case.unmet;
        self.within_limits &= case.within_limits;
        self.usage = self.usage.plus(case.usage);
    }

    /// Both together, as replicates of one definition on the same cases.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            replicates: self.replicates + other.replicates,
            cases: self.cases.pooled(other.cases),
            checks: self.checks.pooled(other.checks),
            unmet: self.unmet + other.unmet,
            blocked: self.blocked.pooled(other.blocked),
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

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
