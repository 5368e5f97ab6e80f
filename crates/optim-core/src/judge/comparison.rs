//! A candidate against its baseline: the evidence of their pairs.

use serde::{Deserialize, Serialize};

use super::batch::{Batch, BatchError};
use super::difference::{Difference, Differences};
use super::error_budget::Stake;
use super::evalue::LogE;
use super::guardrail::Tallies;
use super::pair::{PairFigures, PairRecord};
use crate::policy::{Score, Sequential};

/// What is fixed before the first pair. Only `rules.n_max` may rise later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The rules.
    pub rules: Sequential,
    /// How a case becomes a score.
    pub score: Score,
    /// What the candidate risks of the campaign's error budget.
    pub stake: Stake,
}

/// The evidence about one candidate. It is derived from the terms and the pairs, and does not depend on
/// the order of the pairs within their batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    terms: Terms,
    batches: u32,
    evidence: Evidence,
    gain: Differences,
    fewer_unmet: Differences,
    guardrails: Tallies,
    crossing: Option<Crossing>,
    /// Whether the score alone ever reached the bar.
    has_primary_crossed: bool,
}

/// How strongly the pairs speak for the candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// That it scores higher.
    pub primary: LogE,
    /// That it leaves fewer requirements unmet.
    pub secondary: LogE,
    /// Both, as the secondary metric is weighted: what is held against the bar.
    pub combined: LogE,
}

/// The first look at which the evidence reached the bar. That is final: the bar is for all looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crossing {
    /// Pairs at that look.
    pub pairs: u32,
    /// The evidence at that look.
    pub evidence: LogE,
}

impl Comparison {
    /// A comparison without pairs.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            batches: 0,
            evidence: Evidence::default(),
            gain: Differences::default(),
            fewer_unmet: Differences::default(),
            guardrails: Tallies::default(),
            crossing: None,
            has_primary_crossed: false,
        }
    }

    /// Takes in the next batch.
    ///
    /// # Errors
    /// [`BatchError::OutOfTurn`] for another batch than the next one.
    pub fn take(&mut self, batch: &Batch) -> Result<(), BatchError> {
        batch.expect_number(self.batches)?;
        self.batches += 1;
        batch.pairs().iter().for_each(|pair| self.add(pair));
        self.weigh();
        Ok(())
    }

    fn add(&mut self, pair: &PairRecord) {
        self.guardrails.add(pair);
        if let Some(PairFigures { gain, fewer_unmet, .. }) = pair.figures {
            self.gain.add(gain);
            self.fewer_unmet.add(fewer_unmet);
        }
    }

    /// The evidence of what was taken in. It is held against the bar at the end of a batch only.
    fn weigh(&mut self) {
        self.evidence = self.evidence_now();
        let Evidence { primary, combined, .. } = self.evidence;
        let primary_share = 1.0 - self.terms.rules.secondary_weight.to_f64();
        self.has_primary_crossed |= primary.scaled(primary_share) >= self.bar();
        if self.crossing.is_none() && combined >= self.bar() {
            self.crossing = Some(Crossing { pairs: self.pairs(), evidence: combined });
        }
    }

    fn evidence_now(&self) -> Evidence {
        let weight = self.terms.rules.secondary_weight.to_f64();
        let (primary, secondary) = (self.gain.above(0.0), self.fewer_unmet.above(0.0));
        Evidence { primary, secondary, combined: primary.mixed_with(secondary, weight) }
    }

    /// What is left of the stake when the candidate is closed now, whatever the reason: all of it once
    /// the bar was reached, else the stake times the e-value.
    #[must_use]
    pub fn refund(&self) -> Stake {
        match self.crossing {
            Some(_) => self.terms.stake,
            None => self.terms.stake.left_with(self.evidence.combined),
        }
    }

    /// The same for a candidate that is closed inside a batch of `drawn` pairs, of which only `over` are
    /// over: each of the others counts as lost. So to stop because a batch looks bad gains nothing.
    #[must_use]
    pub fn refund_inside(&self, over: &[PairRecord], drawn: u32) -> Stake {
        let mut closed = self.clone();
        over.iter().for_each(|pair| closed.add(pair));
        let lost = drawn.saturating_sub(u32::try_from(over.len()).unwrap_or(u32::MAX));
        closed.gain.add_many(Difference::LESS, lost);
        closed.fewer_unmet.add_many(Difference::LESS, lost);
        closed.evidence = closed.evidence_now();
        closed.refund()
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The evidence that is needed.
    #[must_use]
    pub fn bar(&self) -> LogE {
        self.terms.stake.bar()
    }

    /// The evidence so far.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }

    /// When the evidence reached the bar.
    #[must_use]
    pub fn crossing(&self) -> Option<Crossing> {
        self.crossing
    }

    /// Pairs that were measured.
    #[must_use]
    pub fn pairs(&self) -> u32 {
        self.guardrails.measured()
    }

    /// Batches that were taken in.
    #[must_use]
    pub fn batches(&self) -> u32 {
        self.batches
    }

    /// By how much the candidate scores higher, pair by pair.
    #[must_use]
    pub fn gain(&self) -> &Differences {
        &self.gain
    }

    pub(super) fn fewer_unmet(&self) -> &Differences {
        &self.fewer_unmet
    }

    pub(super) fn has_primary_crossed(&self) -> bool {
        self.has_primary_crossed
    }

    pub(super) fn guardrails(&self) -> &Tallies {
        &self.guardrails
    }

    /// A comparison of `gain` alone, for the planner: it is `promoted` as soon as the evidence suffices.
    pub(super) fn of_gain(terms: Terms, gain: Differences) -> Self {
        let guardrails = Tallies::of_measured(gain.count());
        let mut comparison = Self { gain, guardrails, ..Self::new(terms) };
        comparison.weigh();
        comparison
    }
}
