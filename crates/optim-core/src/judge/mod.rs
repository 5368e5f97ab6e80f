//! The judge: a rule over paired per-case outcomes. Pure, and the only place that decides.
//!
//! The point rule compares sums. The sequential rule looks at [`pair`]s, [`batch`] by batch: a
//! [`comparison`] weighs their [`difference`]s as [`evalue`]s, against a bar from the campaign's
//! [`error_budget`]. [`guardrail`]s, an [`anchor`] check and the futility rules stand beside. [`sample`]
//! draws the cases, [`plan`] tells beforehand what can be proven, and a [`trace`] says why. [`health`] is
//! what pairs show whose sides are the same.

pub mod anchor;
pub mod batch;
pub mod comparison;
mod cost;
pub mod difference;
pub mod error_budget;
pub mod evalue;
mod futility;
pub mod gain;
pub mod guardrail;
pub mod health;
pub mod interval;
pub mod look;
pub mod pair;
pub mod plan;
mod point;
pub mod sample;
pub mod split_mix;
#[cfg(test)]
mod tests;
pub mod trace;

use crate::campaign::observation::EvaluationResult;
use crate::campaign::{CaseMark, Replay};
use crate::experiment::Flips;
use crate::id::CaseId;
use crate::metrics::Metrics;
use crate::metrics::baseline::counting;
use crate::policy::{EvalPolicy, Rule, Score};
use crate::verdict::{ErrorControl, Judgement, Verdict};

/// What a verdict may depend on: baseline and candidate, case by case and in sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// One entry for each case that either side has.
    pub cases: Vec<PairedCase>,
    /// The baseline over its counting replays.
    pub baseline: Metrics,
    /// The candidate.
    pub candidate: Metrics,
}

/// One case on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairedCase {
    /// The case.
    pub case: CaseId,
    /// Its outcomes on the baseline.
    pub baseline: Tally,
    /// Its outcomes on the candidate.
    pub candidate: Tally,
}

/// Outcomes of one case, counted over replicates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Every check passed.
    pub passed: u32,
    /// Some check failed.
    pub failed: u32,
    /// There was no outcome.
    pub void: u32,
}

impl Tally {
    fn add(&mut self, mark: Option<CaseMark>) {
        match mark {
            Some(CaseMark::Passed) => self.passed += 1,
            Some(CaseMark::Failed) => self.failed += 1,
            Some(CaseMark::Void) | None => self.void += 1,
        }
    }

    fn always_passes(self) -> bool {
        self.passed > 0 && self.failed == 0
    }

    fn always_fails(self) -> bool {
        self.failed > 0 && self.passed == 0
    }
}

impl Evidence {
    /// Pairs the counting replays of the baseline with the candidate's evaluation.
    #[must_use]
    pub fn new(
        replays: &[Replay],
        baseline: Metrics,
        candidate: &EvaluationResult,
        eval: &EvalPolicy,
    ) -> Self {
        let replays = counting(replays, eval);
        let pair = |(case, mark): (&CaseId, &CaseMark)| {
            let mut paired = PairedCase {
                case: case.clone(),
                baseline: Tally::default(),
                candidate: Tally::default(),
            };
            paired.candidate.add(Some(*mark));
            replays.iter().for_each(|replay| paired.baseline.add(replay.cases.get(case).copied()));
            paired
        };
        Self {
            cases: candidate.cases.iter().map(pair).collect(),
            baseline,
            candidate: candidate.metrics,
        }
    }
}

/// Judges a candidate by the policy's rule.
#[must_use]
pub fn judge(eval: &EvalPolicy, evidence: &Evidence) -> Judgement {
    judge_by(&eval.rule, eval.score, evidence)
}

/// Judges a candidate by `rule`, for callers without a policy file.
#[must_use]
pub fn judge_by(rule: &Rule, score: Score, evidence: &Evidence) -> Judgement {
    match rule {
        Rule::Point { max_flaky, cost_margin, .. } => {
            point::judge(score, *max_flaky, *cost_margin, evidence)
        }
        Rule::Sequential(_) => undecided(evidence),
    }
}

/// Sums say nothing to the sequential rule, which decides on [`pair`]s.
fn undecided(evidence: &Evidence) -> Judgement {
    Judgement {
        verdict: Verdict::NeedsOperatorReview,
        reason: "the sequential rule decides on pairs, and there are only sums".to_owned(),
        trace: Vec::new(),
        evidence: None,
        error_control: ErrorControl::None,
        baseline: evidence.baseline,
        candidate: evidence.candidate,
    }
}

/// The cases that changed from always failing to passing, and the other way round.
#[must_use]
pub fn flips(evidence: &Evidence) -> Flips {
    let changed = |from: fn(Tally) -> bool, to: fn(Tally) -> bool| {
        let changed =
            evidence.cases.iter().filter(|pair| from(pair.baseline) && to(pair.candidate));
        changed.map(|pair| pair.case.clone()).collect()
    };
    Flips {
        fixed: changed(Tally::always_fails, Tally::always_passes),
        broken: changed(Tally::always_passes, Tally::always_fails),
    }
}
