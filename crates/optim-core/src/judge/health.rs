//! The health of an evaluator: what pairs show whose both sides are the same definition.
//!
//! Nothing differs between the sides, so whatever differs is noise, or a fault of the evaluation. The
//! figures say how much noise there is; findings say what must not be, each at a level that seldom errs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::comparison::Comparison;
use super::difference::{Difference, Differences};
use super::evalue::LogE;
use super::look::{Discarded, Look, Unsettled};
use super::pair::{Faulted, PairRecord};
use super::plan::Goal;
use crate::id::CaseId;
use crate::quantity::{Fraction, PerMillion};

/// The level of the drift between windows: one percent, a half of it on either side.
const DRIFT_LEVEL: PerMillion = PerMillion(5_000);

/// A case run of either side that has an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The case.
    pub case: CaseId,
    /// The batch, from 0.
    pub batch: u32,
    /// Whether every check passed.
    pub passes: bool,
}

/// What pairs of one definition show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Pairs whose sides differ in their score, of those that were measured.
    pub differing: Fraction,
    /// Pairs that the outside failed, of all.
    pub void: Fraction,
    /// Pairs whose first attempt the outside failed on the first side; on the second; the sides are the
    /// same definition.
    pub faults: [u32; 2],
    /// Case runs that passed, of those that were measured.
    pub passed: Fraction,
    /// Cases that passed sometimes and failed sometimes, by name.
    pub flaky: Vec<FlakyCase>,
    /// The later runs against the earlier ones.
    pub drift: Drift,
    /// The evidence that the second side is better: noise, as it is the same.
    pub evidence: LogE,
    /// The evidence that the first side is better.
    pub against: LogE,
    /// The evidence that a promotion needs.
    pub bar: LogE,
    /// What the rule would have decided.
    pub look: Look,
    /// What is wrong with the evaluator; empty for a healthy one.
    pub findings: Vec<Finding>,
}

/// A case whose runs do not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlakyCase {
    /// The case.
    pub case: CaseId,
    /// Runs that passed.
    pub passed: u32,
    /// Runs that failed.
    pub failed: u32,
}

/// The runs of the second half of the batches against those of the first half, on the same cases and as
/// many of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Cases that have runs in both halves.
    pub cases: u32,
    /// Those that pass more often later.
    pub better: u32,
    /// Those that pass less often later.
    pub worse: u32,
    /// Runs that passed in the first half.
    pub earlier: Fraction,
    /// Runs that passed in the second half.
    pub later: Fraction,
    /// The evidence of a difference, whichever way it points.
    pub evidence: LogE,
}

/// What is wrong with an evaluator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// No pair has an outcome on both sides.
    NothingMeasured,
    /// One side is proven to score higher than the other, which is the same.
    SidesDiffer,
    /// One side is proven to block more nodes than the other, which is the same.
    BlockedDiffer,
    /// Runs break a limit of the workflow.
    OverLimit,
    /// The outside fails too many runs, or one side's more often.
    Faults,
    /// Later runs pass more or less often than earlier ones.
    Drift,
    /// So many pairs differ that the gain that the rules look for is out of reach.
    Noise,
}

impl Health {
    /// What `pairs` of one definition, compared as in `comparison`, and their case `runs` show. `look` is
    /// what the rule decides, and `goal` what it could prove in a campaign.
    #[must_use]
    pub fn new(
        pairs: &[PairRecord],
        comparison: &Comparison,
        look: Look,
        runs: &[Observed],
        goal: impl FnOnce(Fraction) -> Goal,
    ) -> Self {
        let (better, worse) = comparison.gain().signs();
        let measured = comparison.pairs();
        let differing = Fraction::new((better + worse).into(), measured.into());
        let failed = |side: Faulted| {
            let of = |pair: &&PairRecord| pair.faulted == side || pair.faulted == Faulted::Both;
            count(pairs.iter().filter(of).count())
        };
        let void = pairs.iter().filter(|pair| pair.figures.is_none()).count();
        let passed = runs.iter().filter(|run| run.passes).count();
        let mut health = Self {
            differing,
            void: Fraction::new(count(void).into(), count(pairs.len()).into()),
            faults: [Faulted::Baseline, Faulted::Candidate].map(failed),
            passed: Fraction::new(count(passed).into(), count(runs.len()).into()),
            flaky: flaky(runs),
            drift: Drift::between_halves(runs),
            evidence: comparison.gain().above(0.0),
            against: comparison.gain().below(0.0),
            bar: comparison.bar(),
            look,
            findings: Vec::new(),
        };
        let is_noisy = measured > 0 && !goal(differing).is_in_reach();
        let found = [
            (measured == 0, Finding::NothingMeasured),
            (comparison.crossing().is_some() || health.against >= health.bar, Finding::SidesDiffer),
            (look == Look::Discard(Discarded::GuardrailHarm), Finding::BlockedDiffer),
            (look == Look::Discard(Discarded::OverLimit), Finding::OverLimit),
            (look == Look::Review(Unsettled::EvaluatorUnstable), Finding::Faults),
            (health.drift.evidence >= LogE::bar(DRIFT_LEVEL), Finding::Drift),
            (is_noisy, Finding::Noise),
        ];
        let found = found.into_iter().filter(|(is_so, _)| *is_so);
        health.findings = found.map(|(_, finding)| finding).collect();
        health
    }

    /// Whether nothing is wrong with the evaluator.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Passed and failed runs of each case, where there are both.
fn flaky(runs: &[Observed]) -> Vec<FlakyCase> {
    let mut seen: BTreeMap<&CaseId, [u32; 2]> = BTreeMap::new();
    for run in runs {
        let [passed, failed] = seen.entry(&run.case).or_default();
        *if run.passes { passed } else { failed } += 1;
    }
    let flaky = seen.into_iter().filter(|(_, [passed, failed])| *passed > 0 && *failed > 0);
    flaky.map(|(case, [passed, failed])| FlakyCase { case: case.clone(), passed, failed }).collect()
}

impl Drift {
    /// Compares, case by case, the runs of the first half of the batches with as many of the second half.
    /// If nothing drifts, each such difference is as likely to be above zero as below.
    fn between_halves(runs: &[Observed]) -> Self {
        let batches = runs.iter().map(|run| run.batch).max().map_or(0, |last| last + 1);
        let mut halves: BTreeMap<&CaseId, [Vec<bool>; 2]> = BTreeMap::new();
        for run in runs {
            let [earlier, later] = halves.entry(&run.case).or_default();
            let half = if run.batch < batches / 2 { earlier } else { later };
            half.push(run.passes);
        }
        let mut differences = Differences::default();
        let (mut before, mut after) = (Fraction::default(), Fraction::default());
        for [earlier, later] in halves.into_values() {
            let runs = earlier.len().min(later.len());
            if runs > 0 {
                let [earlier, later] = [earlier, later].map(|half| passing(&half, runs));
                differences.add(Difference::between(later, earlier));
                before = Fraction::new(before.num + earlier.num, before.den + earlier.den);
                after = Fraction::new(after.num + later.num, after.den + later.den);
            }
        }
        let (better, worse) = differences.signs();
        let evidence = differences.above(0.0).max(differences.below(0.0));
        let cases = differences.count();
        Self { cases, better, worse, earlier: before, later: after, evidence }
    }
}

fn passing(half: &[bool], runs: usize) -> Fraction {
    let passing = half.iter().take(runs).filter(|passes| **passes).count();
    Fraction::new(count(passing).into(), count(runs).into())
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// What a person would say.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingMeasured => "no pair has an outcome on both sides; see why runs fail",
            Self::SidesDiffer => {
                "one side scores higher than the other, which is the same: something tells the sides \
                 apart, or the pairs are not of one window"
            }
            Self::BlockedDiffer => "one side has more blocked nodes than the other, which is the same",
            Self::OverLimit => "case runs break a limit of the workflow; raise it in the workflow",
            Self::Faults => "the outside fails too many case runs, or those of one side more often",
            Self::Drift => {
                "later case runs pass more or less often than earlier ones on the same cases: the \
                 executor or what it uses has changed meanwhile"
            }
            Self::Noise => {
                "so many pairs differ that the gain that the rules look for is out of reach; make the \
                 flaky cases steadier, or see `optim plan`"
            }
        })
    }
}
