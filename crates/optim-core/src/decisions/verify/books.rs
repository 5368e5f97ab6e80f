//! The books: what became of the experiments, step by step, and of the error budget between them.

use std::collections::BTreeMap;

use super::Check;
use crate::decisions::{ExperimentLine, Risk, StateName, StepLine};
use crate::experiment::Anyway;
use crate::judge::error_budget::{ErrorBudget, Stake};
use crate::judge::look::{Funds, Look};
use crate::judge::{Evidence, judge_by};
use crate::verdict::{Judgement, Verdict};
use crate::workflow::Fingerprint;

/// The books of a campaign, as far as its steps were taken again.
pub(super) struct Books<'c, 'a> {
    check: &'c mut Check<'a>,
    errors: Option<ErrorBudget>,
    planned: u32,
    opened: u32,
    /// The version of the baseline, and the definition.
    baseline: (u32, Fingerprint),
    states: BTreeMap<u32, StateName>,
    judgements: BTreeMap<u32, Judgement>,
    refunds: BTreeMap<u32, Stake>,
    /// Pairs that people added.
    added: BTreeMap<u32, u32>,
}

impl<'c, 'a> Books<'c, 'a> {
    /// Nothing has happened yet.
    pub(super) fn of(check: &'c mut Check<'a>) -> Self {
        let campaign = &check.of.campaign;
        let planned = campaign.max_experiments;
        let errors = check.sequential().map(|(rules, _)| ErrorBudget::new(rules.alpha, planned));
        let baseline = (0, campaign.baseline);
        let (states, judgements, refunds, added) = Default::default();
        Self { check, errors, planned, opened: 0, baseline, states, judgements, refunds, added }
    }

    /// Takes every step again, and compares with what is on record in the end.
    pub(super) fn balance(mut self) {
        let of = self.check.of;
        for (place, step) in (1..).zip(&of.steps) {
            self.step(step, of.steps.get(place..).unwrap_or(&[]));
        }
        for line in &of.experiments {
            self.compare(line);
        }
        let pool = self.errors.as_ref().map(ErrorBudget::pool);
        self.check.expect(None, "pool", &of.campaign.pool, &pool);
    }

    fn step(&mut self, step: &StepLine, later: &[StepLine]) {
        use StateName::{Evaluating, NeedsReview, Recommended};
        match step {
            StepLine::Opened { experiment } => self.open(*experiment),
            StepLine::Extended { experiments } => {
                self.planned = self.planned.saturating_add(*experiments);
            }
            StepLine::Judged { experiment, verdict } => {
                let goes_on = |step: &StepLine| matches!(step, StepLine::PairsAdded { experiment: of, .. } if of == experiment);
                self.judged(*experiment, *verdict, !later.iter().any(goes_on));
            }
            StepLine::PairsAdded { experiment, pairs } => {
                self.enter(*experiment, &[NeedsReview], Evaluating);
                let added = self.added.entry(*experiment).or_default();
                *added = added.saturating_add(pairs.get());
            }
            StepLine::Failed { experiment } => {
                self.enter(*experiment, &[Evaluating], StateName::Failed);
            }
            StepLine::Superseded { experiment } => {
                let from = [Evaluating, Recommended, NeedsReview];
                self.enter(*experiment, &from, StateName::Superseded);
                self.close(*experiment);
            }
            StepLine::Approved { experiment } => {
                self.enter(*experiment, &[Recommended, NeedsReview], StateName::Approved);
                self.close(*experiment);
                if let Some(line) = self.check.experiments.get(experiment) {
                    self.baseline = (self.baseline.0.saturating_add(1), line.candidate);
                }
            }
            StepLine::Rejected { experiment } => {
                self.enter(*experiment, &[Recommended, NeedsReview], StateName::Rejected);
                self.close(*experiment);
            }
            StepLine::ApprovalRefused { experiment, reason } => {
                self.enter(*experiment, &[Recommended, NeedsReview], StateName::Discarded);
                self.close(*experiment);
                if let Some(judgement) = self.judgements.get_mut(experiment) {
                    judgement.verdict = Verdict::Discard;
                    judgement.reason = format!("the approval was refused: {reason}");
                }
            }
        }
    }

    /// Takes the stake of the next experiment from the pool.
    fn open(&mut self, number: u32) {
        self.opened = self.opened.saturating_add(1);
        self.check.expect(Some(number), "number", &number, &self.opened);
        self.states.insert(number, StateName::Evaluating);
        let Some(line) = self.check.experiments.get(&number).copied() else { return };
        let recorded = (line.baseline_version, line.baseline);
        self.check.expect(Some(number), "baseline", &recorded, &self.baseline);
        let Some(errors) = &mut self.errors else { return };
        errors.plan(self.planned);
        let (pool, shares) = (errors.pool(), errors.shares());
        let stake = errors.open().unwrap_or_default();
        let risk = line.risk.map(|risk| Risk { pool, shares, stake, ..risk });
        self.check.expect(Some(number), "risk", &line.risk, &risk);
        if let Some(trial) = self.check.trials.get_mut(&number) {
            trial.stake = stake;
        } else {
            self.check.expect(Some(number), "risk", &line.risk.is_some(), &true);
        }
    }

    fn enter(&mut self, number: u32, from: &[StateName], to: StateName) {
        let before = self.states.insert(number, to);
        if before.is_none_or(|before| !from.contains(&before)) {
            self.check.expect(Some(number), "state before its next step", &before, &from);
        }
    }

    /// Decides again. What was on the way to more pairs is not on record any more.
    fn judged(&mut self, number: u32, verdict: Verdict, is_final: bool) {
        let state = match verdict {
            Verdict::Promote => StateName::Recommended,
            Verdict::NeedsOperatorReview => StateName::NeedsReview,
            Verdict::Discard => StateName::Discarded,
        };
        self.enter(number, &[StateName::Evaluating], state);
        if is_final && let Some(judgement) = self.decided_again(number) {
            self.check.expect(Some(number), "verdict", &verdict, &judgement.verdict);
            self.judgements.insert(number, judgement);
        }
        if verdict == Verdict::Discard {
            self.close(number);
        }
    }

    /// What is decided on the pairs of an experiment, or under the point rule on its sums.
    fn decided_again(&mut self, number: u32) -> Option<Judgement> {
        let campaign = &self.check.of.campaign;
        let Some((rules, score)) = self.check.sequential() else {
            let recorded = self.check.experiments.get(&number)?.judgement.as_ref()?;
            let (baseline, candidate) = (recorded.baseline, recorded.candidate);
            let evidence = Evidence { cases: Vec::new(), baseline, candidate };
            return Some(judge_by(&campaign.rule, campaign.score, &evidence));
        };
        let trial = self.check.trials.get(&number)?;
        let pool = self.errors.as_ref().map(ErrorBudget::pool).unwrap_or_default();
        let (comparison, look, funds) = trial.last_look(&rules, score).ok()?;
        // When the budget did not cover another batch, only what is promising is decided, by a person.
        if funds == Funds::Left || matches!(look, Look::Review(_)) {
            return Some(trial.judgement(&comparison, look, funds, pool));
        }
        self.check.expect(Some(number), "look", &"decided", &Look::Continue);
        None
    }

    /// Gives back what is left of a stake.
    fn close(&mut self, number: u32) {
        let Some((rules, score)) = self.check.sequential() else { return };
        let trial = self.check.trials.get(&number);
        let comparison = trial.and_then(|trial| trial.comparison(&rules, score).ok());
        if let (Some(comparison), Some(errors)) = (comparison, &mut self.errors) {
            let refund = comparison.refund();
            errors.give_back(refund);
            self.refunds.insert(number, refund);
        }
    }

    /// Compares what is on record of an experiment with what became of it here.
    fn compare(&mut self, line: &ExperimentLine) {
        let number = Some(line.number);
        let state = self.states.get(&line.number);
        self.check.expect(number, "state", &Some(line.state), &state);
        let mut judgement = self.judgements.remove(&line.number);
        // An experiment that ended without a decision keeps no judgement.
        judgement = judgement.filter(|_| state != Some(&StateName::Superseded));
        match (&line.judgement, &judgement) {
            (Some(recorded), Some(decided)) => {
                self.check.expect(number, "judgement", recorded, decided);
            }
            (recorded, decided) => {
                self.check.expect(number, "judgement", &recorded.is_some(), &decided.is_some());
            }
        }
        let recorded = line.risk.and_then(|risk| risk.refund);
        self.check.expect(number, "risk.refund", &recorded, &self.refunds.get(&line.number));
        if let Some(Risk { extended, .. }) = line.risk {
            let added = self.added.get(&line.number).copied().unwrap_or(0);
            self.check.expect(number, "risk.extended", &extended, &added);
        }
        let is_approved = line.state == StateName::Approved;
        let anyway = judgement.as_ref().filter(|_| is_approved).and_then(Anyway::of);
        self.check.expect(number, "anyway", &line.anyway, &anyway);
        if anyway.is_some() {
            let has_reason = line.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
            self.check.expect(number, "reason of the person is given", &has_reason, &true);
        }
    }
}
