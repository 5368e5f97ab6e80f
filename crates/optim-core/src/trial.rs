//! The comparison of one candidate with the baseline under the sequential rule: what it stakes, and what
//! its pairs have shown. All of its decision can be recomputed from this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::campaign::pairing::Pair;
use crate::experiment::Flips;
use crate::id::{CaseId, ExperimentId};
use crate::judge::anchor::Anchor;
use crate::judge::batch::{Batch, BatchError};
use crate::judge::comparison::{Comparison, Terms};
use crate::judge::difference::Difference;
use crate::judge::error_budget::Stake;
use crate::judge::look::{Funds, Look};
use crate::judge::pair::{Faulted, PairFigures, PairRecord};
use crate::judge::trace::Trace;
use crate::metrics::Metrics;
use crate::policy::{Score, Sequential};
use crate::verdict::{ErrorControl, Judgement, Verdict};

/// A candidate's comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// What it may risk of the campaign's error probability; fixed before its first pair.
    pub stake: Stake,
    /// What was not at stake before.
    pub pool: Stake,
    /// Among how many candidates that was divided: this one and those that were still planned.
    pub shares: u32,
    /// The first candidate of its group: their batches are drawn for it. Absent before the first batch.
    pub group: Option<ExperimentId>,
    /// Pairs that people added to the most that it may have.
    #[serde(default)]
    pub extended: u32,
    /// Its pairs, batch by batch.
    pub pairs: Vec<PairRecord>,
    /// The pairs of a winner with the campaign's source, of which only the guardrails count; absent
    /// unless the winner needs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Vec<PairRecord>>,
    /// What was given back of the stake when it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<Stake>,
    /// What the baseline's side of the pairs showed.
    pub baseline: Metrics,
    /// What its own side showed.
    pub candidate: Metrics,
}

impl Trial {
    /// A comparison without pairs.
    #[must_use]
    pub fn new(stake: Stake, pool: Stake, shares: u32) -> Self {
        Self {
            stake,
            pool,
            shares,
            group: None,
            extended: 0,
            pairs: Vec::new(),
            anchor: None,
            refund: None,
            baseline: Metrics::nothing(),
            candidate: Metrics::nothing(),
        }
    }

    /// Whether its pairs are with the source now.
    #[must_use]
    pub fn is_anchored(&self) -> bool {
        self.anchor.is_some()
    }

    /// The pairs that are added to now.
    #[must_use]
    pub fn current(&self) -> &[PairRecord] {
        self.anchor.as_ref().unwrap_or(&self.pairs)
    }

    /// The number of the next batch, from 0.
    #[must_use]
    pub fn next_batch(&self) -> u32 {
        self.current().last().map_or(0, |last| last.batch.saturating_add(1))
    }

    /// What is fixed for it under `rules`.
    #[must_use]
    pub fn terms(&self, rules: &Sequential, score: Score) -> Terms {
        let n_max = rules.n_max.saturating_add(self.extended);
        Terms { rules: Sequential { n_max, ..*rules }, score, stake: self.stake }
    }

    /// Takes in a batch whose pairs are all over.
    pub fn take_in(&mut self, batch: u32, pairs: &[Pair], rules: &Sequential, score: Score) {
        for pair in pairs {
            let record = record(pair, batch, rules, score);
            match &mut self.anchor {
                Some(anchor) => anchor.push(record),
                None => {
                    self.pairs.push(record);
                    match &pair.sides {
                        Some([baseline, candidate]) => {
                            self.baseline.add_case(baseline);
                            self.candidate.add_case(candidate);
                        }
                        None => {
                            self.baseline.void += 1;
                            self.candidate.void += 1;
                        }
                    }
                }
            }
        }
    }

    /// The evidence of its pairs with the baseline.
    ///
    /// # Errors
    /// [`BatchError`] when the pairs on record are not whole batches, each once and in order.
    pub fn comparison(&self, rules: &Sequential, score: Score) -> Result<Comparison, BatchError> {
        let mut comparison = Comparison::new(self.terms(rules, score));
        for batch in batches(&self.pairs) {
            comparison.take(&batch?)?;
        }
        Ok(comparison)
    }

    /// The evidence of its pairs with the baseline, and what its pairs decide: those with the source, if
    /// it has any.
    ///
    /// # Errors
    /// [`BatchError`] when the pairs on record are not whole batches.
    pub fn looked_at(
        &self,
        rules: &Sequential,
        score: Score,
        funds: Funds,
    ) -> Result<(Comparison, Look), BatchError> {
        let comparison = self.comparison(rules, score)?;
        let Some(pairs) = &self.anchor else {
            let look = comparison.look(funds);
            return Ok((comparison, look));
        };
        let mut anchor = Anchor::new(comparison.terms().rules);
        for batch in batches(pairs) {
            anchor.take(&batch?)?;
        }
        Ok((comparison, anchor.look(funds)))
    }

    /// What was decided on its pairs by a `look` at `comparison`, with everything needed to understand it.
    /// `pool` is what is not at stake now.
    #[must_use]
    pub fn judgement(
        &self,
        comparison: &Comparison,
        look: Look,
        funds: Funds,
        pool: Stake,
    ) -> Judgement {
        let terms = *comparison.terms();
        let batches: Result<Vec<_>, _> = batches(&self.pairs).collect();
        let trace = batches.and_then(|batches| Trace::of(terms, &batches, funds, pool)).ok();
        let reason = match &trace {
            Some(trace) if trace.look == look => trace.to_string(),
            Some(trace) => format!("{trace}; against the source: {}", look.reason()),
            None => look.reason().to_owned(),
        };
        Judgement {
            verdict: look.verdict().unwrap_or(Verdict::NeedsOperatorReview),
            reason,
            trace: trace.as_ref().map(|trace| trace.rules.clone()).unwrap_or_default(),
            evidence: trace.map(Box::new),
            error_control: ErrorControl::Fwer { alpha: terms.rules.alpha },
            baseline: self.baseline,
            candidate: self.candidate,
        }
    }

    /// The cases that the candidate won and never lost, and the other way round.
    #[must_use]
    pub fn flips(&self) -> Flips {
        let mut changed: BTreeMap<&CaseId, (bool, bool)> = BTreeMap::new();
        for pair in &self.pairs {
            let Some(PairFigures { gain, .. }) = pair.figures else { continue };
            let (won, lost) = changed.entry(&pair.case).or_default();
            *won |= gain > Difference::NONE;
            *lost |= gain < Difference::NONE;
        }
        let those = |wanted: (bool, bool)| {
            let those = changed.iter().filter(|(_, change)| **change == wanted);
            those.map(|(case, _)| (*case).clone()).collect()
        };
        Flips { fixed: those((true, false)), broken: those((false, true)) }
    }
}

/// The batches that `pairs` were drawn in.
pub fn batches(pairs: &[PairRecord]) -> impl Iterator<Item = Result<Batch, BatchError>> {
    pairs.chunk_by(|one, next| one.batch == next.batch).map(|pairs| {
        let number = pairs.first().map_or(0, |pair| pair.batch);
        Batch::new(number, pairs.iter().map(|pair| &pair.case), pairs.to_vec())
    })
}

fn record(pair: &Pair, batch: u32, rules: &Sequential, score: Score) -> PairRecord {
    let faulted = match pair.first_faults {
        [false, false] => Faulted::Neither,
        [true, false] => Faulted::Baseline,
        [false, true] => Faulted::Candidate,
        [true, true] => Faulted::Both,
    };
    let figures = pair.sides.as_ref().map(|[baseline, candidate]| {
        PairFigures::of(candidate, baseline, score, &rules.guardrails)
    });
    PairRecord { case: pair.case.clone(), batch, first: pair.first, faulted, figures }
}
