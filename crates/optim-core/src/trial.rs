//! The comparison of one candidate with the baseline under the sequential rule: what it stakes, and what
//! its pairs have shown. All of its decision can be recomputed from this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::campaign::pairing::Pair;
use crate::experiment::{Confirmation, Flips};
use crate::id::{CaseId, ExperimentId};
use crate::judge::anchor::Anchor;
use crate::judge::batch::{Batch, BatchError};
use crate::judge::comparison::{Comparison, Terms};
use crate::judge::difference::Difference;
use crate::judge::error_budget::Stake;
use crate::judge::gain::Gain;
use crate::judge::look::{Funds, Look};
use crate::judge::pair::{Faulted, PairFigures, PairRecord};
use crate::judge::sample::Purpose;
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
    /// Its pairs on the holdout cases; absent before it is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<Holdout>,
}

/// What fresh pairs on the holdout cases show of a candidate that is decided. It decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holdout {
    /// The pairs, pass by pass over all the cases.
    pub pairs: Vec<PairRecord>,
    /// What the baseline's side showed.
    pub baseline: Metrics,
    /// What the candidate's side showed.
    pub candidate: Metrics,
}

impl Default for Holdout {
    fn default() -> Self {
        let (baseline, candidate) = (Metrics::nothing(), Metrics::nothing());
        Self { pairs: Vec::new(), baseline, candidate }
    }
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
            holdout: None,
        }
    }

    /// Whether its pairs are with the source now.
    #[must_use]
    pub fn is_anchored(&self) -> bool {
        self.anchor.is_some()
    }

    /// The number of the next batch for `purpose`, from 0.
    #[must_use]
    pub fn next_batch(&self, purpose: Purpose) -> u32 {
        let last = match purpose {
            Purpose::Comparison | Purpose::Extension => self.pairs.last(),
            Purpose::Anchor => self.anchor.iter().flatten().next_back(),
            Purpose::Confirmation => self.holdout.as_ref().and_then(|holdout| holdout.pairs.last()),
        };
        last.map_or(0, |last| last.batch.saturating_add(1))
    }

    /// What is fixed for it under `rules`.
    #[must_use]
    pub fn terms(&self, rules: &Sequential, score: Score) -> Terms {
        let n_max = rules.n_max.saturating_add(self.extended);
        Terms { rules: Sequential { n_max, ..*rules }, score, stake: self.stake }
    }

    /// Takes in a batch for `purpose` whose pairs are all over.
    pub fn take_in(
        &mut self,
        purpose: Purpose,
        batch: u32,
        pairs: &[Pair],
        rules: &Sequential,
        score: Score,
    ) {
        let records = pairs.iter().map(|pair| record(pair, batch, rules, score));
        match purpose {
            Purpose::Comparison | Purpose::Extension => {
                self.pairs.extend(records);
                add(pairs, [&mut self.baseline, &mut self.candidate]);
            }
            Purpose::Anchor => self.anchor.get_or_insert_default().extend(records),
            Purpose::Confirmation => {
                let Holdout { pairs: recorded, baseline, candidate } =
                    self.holdout.get_or_insert_default();
                recorded.extend(records);
                add(pairs, [baseline, candidate]);
            }
        }
    }

    /// What its pairs on the holdout cases show, once there are `wanted` of them at least. A pass in which
    /// the outside failed every pair does not count.
    #[must_use]
    pub fn confirmation(&self, wanted: u32) -> Option<Confirmation> {
        let Holdout { pairs, baseline, candidate } = self.holdout.as_ref()?;
        let passes = pairs.chunk_by(|one, next| one.batch == next.batch);
        let counting = passes.filter(|pass| pass.iter().any(|pair| pair.figures.is_some()));
        let pairs_that_count = counting.map(<[_]>::len).sum::<usize>();
        let is_over = u32::try_from(pairs_that_count).map_or(true, |pairs| pairs >= wanted);
        is_over.then(|| Confirmation {
            baseline: *baseline,
            candidate: *candidate,
            gain: Gain::of(pairs),
        })
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

    /// What its pairs decide where nothing more is to come: when they say to go on, the budget did not cover
    /// another batch.
    ///
    /// # Errors
    /// [`BatchError`] when the pairs on record are not whole batches.
    pub fn last_look(
        &self,
        rules: &Sequential,
        score: Score,
    ) -> Result<(Comparison, Look, Funds), BatchError> {
        let (comparison, look) = self.looked_at(rules, score, Funds::Left)?;
        if look != Look::Continue {
            return Ok((comparison, look, Funds::Left));
        }
        let (comparison, look) = self.looked_at(rules, score, Funds::Spent)?;
        Ok((comparison, look, Funds::Spent))
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

/// Adds what `pairs` show to the figures of baseline and candidate.
fn add(pairs: &[Pair], [baseline, candidate]: [&mut Metrics; 2]) {
    for pair in pairs {
        match &pair.sides {
            Some([old, new]) => {
                baseline.add_case(old);
                candidate.add_case(new);
            }
            None => {
                baseline.void += 1;
                candidate.void += 1;
            }
        }
    }
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
