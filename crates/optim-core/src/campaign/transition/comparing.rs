//! Candidates under the sequential rule: gathered into a group, compared batch by batch, decided.

use std::collections::BTreeMap;

use crate::experiment::{Experiment, ExperimentState, Judged};
use crate::id::{EvaluationId, ExperimentId};
use crate::judge::comparison::Comparison;
use crate::judge::look::{Funds, Look};
use crate::judge::sample::{self, BatchSeed};
use crate::policy::{Rule, Score, Sequential};
use crate::run::faults::Faults;
use crate::trial::Trial;

use super::super::event::EventKind;
use super::super::ledger::{Allowance, Spent};
use super::super::observation::without_result;
use super::super::pairing::{Drawn, Landings, Missing, Pair, Pairing, Standing};
use super::super::{Evaluation, Hold, Phase, Purpose, SearchMode, Side};
use super::{Effect, Step};

/// A candidate with what its pairs say.
struct Looked {
    experiment: Experiment,
    comparison: Comparison,
    look: Look,
    funds: Funds,
}

impl Step<'_> {
    /// The sequential rule, if it is the campaign's.
    pub(super) fn sequential(&self) -> Option<(Sequential, Score)> {
        let eval = &self.next.frozen.policies.eval;
        match eval.rule {
            Rule::Sequential(rules) => Some((rules, eval.score)),
            Rule::Point { .. } => None,
        }
    }

    // --- a group is gathered ----------------------------------------------------------------

    /// The comparison of a candidate to come, with its stake; `None` when there is nothing to risk, and
    /// the campaign is held.
    pub(super) fn open_trial(&mut self) -> Option<Trial> {
        let planned = self.next.budget().max_experiments;
        let errors = self.next.errors.as_mut()?;
        errors.plan(planned);
        let (pool, shares) = (errors.pool(), errors.shares());
        match errors.open() {
            Ok(stake) => Some(Trial::new(stake, pool, shares)),
            Err(empty) => {
                self.hold(Hold::Budget { reason: empty.to_string() });
                None
            }
        }
    }

    /// Begins to compare what is gathered once the group is complete; whether it did.
    pub(super) fn begin_comparing(&mut self) -> bool {
        let Some((rules, _)) = self.sequential() else { return false };
        let search = &self.next.search;
        let is_last = search.mode == SearchMode::Health
            || search.experiments >= self.next.budget().max_experiments;
        let is_full =
            u32::try_from(search.gathered.len()).is_ok_and(|gathered| gathered >= rules.group);
        (is_full || is_last) && self.compare_gathered()
    }

    /// Compares what is gathered, whoever might still join; whether there is anything.
    pub(super) fn compare_gathered(&mut self) -> bool {
        let mut candidates = std::mem::take(&mut self.next.search.gathered);
        let Some(group) = candidates.first().map(|first| first.id) else {
            return false;
        };
        let trials = candidates.iter_mut().filter_map(|candidate| candidate.trial.as_mut());
        trials.for_each(|trial| trial.group = Some(group));
        self.enter(Phase::Comparing { candidates, batch: None });
        true
    }

    // --- batches ----------------------------------------------------------------------------

    pub(super) fn advance_comparing(&mut self) -> bool {
        let Phase::Comparing { candidates, batch } = &self.next.phase else {
            return false;
        };
        let (candidates, batch) = (measured(candidates), batch.clone());
        if batch.is_none() && self.ask_when_spent(&candidates) {
            return true;
        }
        let pairing = batch.or_else(|| self.draw(&candidates));
        let queued = pairing.and_then(|pairing| self.queue_round(&candidates, pairing));
        if let (Some(queued), Phase::Comparing { batch, .. }) = (queued, &mut self.next.phase) {
            *batch = Some(queued);
        }
        true
    }

    /// When the budget does not cover another batch, hands what looks promising to a person; whether
    /// there is anything. What does not stays open: an extension of the budget goes on with it.
    fn ask_when_spent(&mut self, candidates: &[Experiment]) -> bool {
        let Some((rules, score)) = self.sequential() else { return false };
        // What a person is to see anyway is confirmed once there is something to pay with.
        let is_compared = candidates.iter().any(Experiment::is_compared);
        if !is_compared || self.covers_batch(candidates).is_ok() {
            return false;
        }
        let funds = Funds::Spent;
        let looked = candidates.iter().filter_map(|candidate| {
            let trial = candidate.trial.as_ref()?;
            let (comparison, look) = trial.looked_at(&rules, score, funds).ok()?;
            Some(Looked { experiment: candidate.clone(), comparison, look, funds })
        });
        let (promising, others): (Vec<_>, Vec<_>) =
            looked.partition(|looked| matches!(looked.look, Look::Review(_)));
        if promising.is_empty() {
            return false;
        }
        for other in others {
            self.supersede(other.experiment, "the budget is spent");
        }
        let reviews = self.reviews();
        self.enter(Phase::Searching);
        self.conclude(promising, reviews);
        true
    }

    /// Whether the budget covers another batch of the search cases, or which limit is too small for it.
    pub(super) fn covers_batch(&self, candidates: &[Experiment]) -> Result<Allowance, String> {
        let batch = self.sequential().map_or(0, |(rules, _)| rules.batch);
        let pairs = u64::from(batch.min(self.next.frozen.search_cases));
        let sides = u64::try_from(candidates.len()).unwrap_or(u64::MAX).saturating_add(1);
        self.share(pairs.saturating_mul(sides), self.worst_case(candidates))
    }

    /// The most that one case run of a group can use, where that is known.
    fn worst_case(&self, candidates: &[Experiment]) -> Option<Allowance> {
        let worst = candidates.iter().map(|candidate| candidate.worst_case);
        let all = worst.chain([self.next.baseline.worst_case]);
        all.reduce(|one, other| Some(one?.covering(other?))).flatten()
    }

    /// The next batch of a group: drawn anew from all cases of the split. A confirmation takes all of them.
    fn draw(&self, candidates: &[Experiment]) -> Option<Pairing> {
        let (rules, _) = self.sequential()?;
        let first = candidates.first()?;
        let purpose = first.next_pairs()?;
        let batch = first.trial.as_ref()?.next_batch(purpose);
        let seed = BatchSeed::new(self.next.seed, drawn_for(first)?, purpose, batch);
        let cases = self.next.frozen.cases(purpose.split());
        let size = purpose.size(rules.batch, cases);
        let drawn = seed.draw(usize::try_from(cases).ok()?, usize::try_from(size).ok()?);
        let drawn = drawn.into_iter().filter_map(|draw| {
            Some(Drawn { case: u32::try_from(draw.case).ok()?, first: draw.first })
        });
        Some(Pairing::new(batch, drawn.collect(), &ids(candidates)))
    }

    /// Queues what is missing of the batch; `None` when the budget does not cover it.
    fn queue_round(&mut self, candidates: &[Experiment], mut pairing: Pairing) -> Option<Pairing> {
        let runs = pairing.missing.iter().map(Missing::runs).sum();
        let allowance = self.affordable(runs, self.worst_case(candidates))?;
        let round = pairing.next_round();
        for missing in std::mem::take(&mut pairing.missing) {
            let evaluation = self.queue_side(candidates, pairing.batch, round, missing, allowance);
            pairing.open.extend(evaluation);
        }
        let (evaluations, order) = (pairing.open.clone(), pairing.order());
        self.effects.push(Effect::QueuePairs { evaluations, order });
        Some(pairing)
    }

    fn queue_side(
        &mut self,
        candidates: &[Experiment],
        batch: u32,
        round: u32,
        missing: Missing,
        allowance: Allowance,
    ) -> Option<Evaluation> {
        let runs = missing.runs();
        let Missing { side, attempt, cases } = missing;
        let first = candidates.first()?;
        let (experiment, pairs) = (drawn_for(first)?, first.next_pairs()?);
        let (snapshot, fingerprint) = match side {
            Side::Control if pairs == sample::Purpose::Anchor => self.next.baseline.origin(),
            Side::Control => (self.next.baseline.snapshot, self.next.baseline.fingerprint),
            Side::Candidate { candidate } => {
                let candidate = candidates.iter().find(|experiment| experiment.id == candidate)?;
                (candidate.snapshot, candidate.candidate)
            }
        };
        let purpose = Purpose::Paired { experiment, pairs, side, batch, round, attempt };
        let id = purpose.evaluation_id(&self.next.id, 0);
        self.next.ledger.reserve(id, runs, allowance);
        self.tell(EventKind::EvaluationQueued { evaluation: id, purpose });
        Some(Evaluation {
            id,
            purpose,
            snapshot,
            fingerprint,
            split: pairs.split(),
            queued_at: self.cx.now,
            allowance,
            continued_at: None,
            requeued: 0,
            drawn: Some(cases),
        })
    }

    /// Takes in what became of the runs in flight: the pairs, if all of the batch are over.
    pub(super) fn batch_landed(
        &mut self,
        number: u32,
        landed: &Landings,
        faults: Option<&Faults>,
        spent: &BTreeMap<EvaluationId, Spent>,
    ) {
        let Phase::Comparing { candidates, batch: Some(batch) } = &self.next.phase else {
            return;
        };
        let (candidates, mut pairing) = (measured(candidates), batch.clone());
        // Pairs for something else have batches of the same numbers.
        let is_of_these = pairing.open.iter().all(|open| landed.contains_key(&open.id));
        if pairing.batch != number || pairing.open.is_empty() || !is_of_these {
            return;
        }
        for evaluation in std::mem::take(&mut pairing.open) {
            let spent = spent.get(&evaluation.id).copied().unwrap_or_default();
            self.settle(evaluation.id, &spent);
            let purpose = evaluation.purpose;
            self.tell(EventKind::EvaluationFinished { evaluation: evaluation.id, purpose });
            pairing.ended.push(evaluation);
        }
        let standing = pairing.standing(&ids(&candidates), landed);
        if let Standing::Incomplete(missing) = standing {
            pairing.missing = missing;
            if let Phase::Comparing { batch, .. } = &mut self.next.phase {
                *batch = Some(pairing);
            }
        } else if let Standing::Complete(pairs) = standing {
            self.batch_over(candidates, number, &pairs, faults);
        }
    }

    /// Those of the group that a person must decide.
    fn reviews(&self) -> Vec<Experiment> {
        let group = self.next.current_experiments().iter();
        group.filter(|experiment| !experiment.is_compared()).cloned().collect()
    }

    fn batch_over(
        &mut self,
        candidates: Vec<Experiment>,
        number: u32,
        pairs: &BTreeMap<ExperimentId, Vec<Pair>>,
        faults: Option<&Faults>,
    ) {
        if pairs.values().flatten().any(|pair| pair.sides.is_some()) {
            self.count_success();
        } else {
            let what = match self.next.winner() {
                Some(_) => "a confirmation",
                None => "a batch of pairs",
            };
            self.count_failure(without_result(what, faults));
        }
        let Some((rules, score)) = self.sequential() else { return };
        let reviews = self.reviews();
        self.enter(Phase::Searching);
        let mut looked = Vec::with_capacity(candidates.len());
        for mut experiment in candidates {
            let Some(purpose) = experiment.next_pairs() else { continue };
            let Some(trial) = &mut experiment.trial else { continue };
            let pairs = pairs.get(&experiment.id).map_or(&[][..], Vec::as_slice);
            trial.take_in(purpose, number, pairs, &rules, score);
            if purpose == sample::Purpose::Confirmation {
                return self.confirm_next(experiment);
            }
            let funds = Funds::Left;
            match trial.looked_at(&rules, score, funds) {
                Ok((comparison, look)) => {
                    self.tell_compared(&experiment, &comparison);
                    looked.push(Looked { experiment, comparison, look, funds });
                }
                // What is on record is no whole batch: nothing may be decided on it.
                Err(error) => self.fail(experiment, error.to_string()),
            }
        }
        self.conclude(looked, reviews);
    }

    // --- decisions --------------------------------------------------------------------------

    fn conclude(&mut self, looked: Vec<Looked>, mut reviews: Vec<Experiment>) {
        let (mut open, mut winners) = (Vec::new(), Vec::new());
        for looked in looked {
            match looked.look {
                Look::Continue => open.push(looked.experiment),
                Look::Discard(_) => drop(self.decide(looked)),
                Look::Promote | Look::Review(_) if self.next.search.mode == SearchMode::Health => {
                    let same = self.decide(looked);
                    self.supersede(same, "it is its own baseline: there is nothing to promote");
                }
                Look::Promote => winners.push(looked),
                Look::Review(_) => reviews.push(self.decide(looked)),
            }
        }
        winners.sort_by_key(|looked| looked.comparison.evidence().combined);
        if let Some(winner) = winners.pop() {
            let others = winners.into_iter().map(|other| other.experiment);
            let others = others.chain(open).chain(reviews);
            for other in others {
                self.supersede(other, "another candidate of its group won");
            }
            self.won(winner);
        } else if !open.is_empty() {
            let candidates = open.into_iter().chain(reviews).collect();
            self.enter(Phase::Comparing { candidates, batch: None });
        } else if !reviews.is_empty() {
            let pending = reviews.remove(0);
            for other in reviews {
                self.supersede(other, "another candidate of its group is under review");
            }
            self.confirm_next(pending);
        }
    }

    /// A candidate is better than the baseline. From the second promotion on it is compared with the
    /// source too, so that what guardrails allow at each step does not add up.
    fn won(&mut self, mut winner: Looked) {
        let version = self.next.baseline.version;
        let needs_source = self.sequential().is_some_and(|(rules, _)| rules.needs_source(version));
        let Looked { experiment, .. } = &mut winner;
        match &mut experiment.trial {
            Some(trial) if needs_source && !trial.is_anchored() => {
                trial.anchor = Some(Vec::new());
                let candidates = vec![winner.experiment];
                self.enter(Phase::Comparing { candidates, batch: None });
            }
            _ => {
                let winner = self.decide(winner);
                self.confirm_next(winner);
            }
        }
    }

    /// Writes down what a look has decided.
    fn decide(&mut self, looked: Looked) -> Experiment {
        let Looked { experiment, comparison, look, funds } = looked;
        let Some(trial) = &experiment.trial else { return experiment };
        let pool = self.next.errors.map(|errors| errors.pool()).unwrap_or_default();
        let judged = Judged {
            evaluation: None,
            judgement: trial.judgement(&comparison, look, funds, pool),
            flips: trial.flips(),
            confirmation: None,
        };
        self.record(experiment, judged)
    }

    fn fail(&mut self, mut experiment: Experiment, reason: String) {
        self.next.search.tried.remove(&experiment.mutation.key());
        self.tell(EventKind::CandidateFailed { experiment: experiment.id, reason: reason.clone() });
        experiment.state = ExperimentState::Failed { reason };
        self.keep(experiment);
    }

    /// Gives back what is left of the stake of an experiment that nobody compares any more.
    pub(super) fn close_trial(&mut self, experiment: &mut Experiment) {
        let Some((rules, score)) = self.sequential() else { return };
        let Some(trial) = &mut experiment.trial else { return };
        if let (Ok(comparison), Some(errors)) =
            (trial.comparison(&rules, score), &mut self.next.errors)
        {
            let refund = comparison.refund();
            errors.give_back(refund);
            trial.refund = Some(refund);
        }
    }

    fn tell_compared(&mut self, experiment: &Experiment, comparison: &Comparison) {
        let (better, worse) = comparison.gain().signs();
        self.tell(EventKind::CandidateCompared {
            experiment: experiment.id,
            pairs: comparison.pairs(),
            better,
            worse,
            evidence: comparison.evidence().combined,
            bar: comparison.bar(),
        });
    }
}

/// Those of a group that are being compared; the one that is being confirmed when there are none.
fn measured(group: &[Experiment]) -> Vec<Experiment> {
    let is_compared = group.iter().any(Experiment::is_compared);
    group.iter().filter(|one| !is_compared || one.is_compared()).cloned().collect()
}

/// The experiment whose batches a candidate has now.
fn drawn_for(candidate: &Experiment) -> Option<ExperimentId> {
    match candidate.next_pairs()? {
        sample::Purpose::Comparison => candidate.trial.as_ref()?.group,
        sample::Purpose::Extension | sample::Purpose::Anchor | sample::Purpose::Confirmation => {
            Some(candidate.id)
        }
    }
}

fn ids(candidates: &[Experiment]) -> Vec<ExperimentId> {
    candidates.iter().map(|experiment| experiment.id).collect()
}
