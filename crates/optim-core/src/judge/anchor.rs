//! The anchor check: from the second promotion on, the candidate against the campaign's source.
//!
//! A guardrail may become worse by its margin at each promotion, and the margins add up. So before a
//! later promotion fresh pairs with the source must show that every guardrail holds against it too. The
//! gain needs no such check, as it cannot add up to a loss; only where the secondary metric has a weight
//! may the score fall a little each time, and then it is checked as well.

use super::batch::{Batch, BatchError};
use super::difference::Differences;
use super::evalue::LogE;
use super::guardrail::{GuardrailFinding, Tallies};
use super::look::{Discarded, Funds, Look, Unsettled};
use crate::policy::Sequential;

/// The evidence about a candidate that has won, against the source. The `baseline` of its pairs is the
/// source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    rules: Sequential,
    is_score_checked: bool,
    batches: u32,
    gain: Differences,
    guardrails: Tallies,
}

impl Anchor {
    /// A check without pairs, by the rules of the comparison that was won.
    #[must_use]
    pub fn new(rules: Sequential) -> Self {
        Self { is_score_checked: rules.secondary_weight.0 > 0, ..Self::of_guardrails(rules) }
    }

    /// The same, without the score whatever the weight of the secondary metric.
    #[must_use]
    pub fn of_guardrails(rules: Sequential) -> Self {
        Self {
            rules,
            is_score_checked: false,
            batches: 0,
            gain: Differences::default(),
            guardrails: Tallies::default(),
        }
    }

    /// Takes in the next batch.
    ///
    /// # Errors
    /// [`BatchError::OutOfTurn`] for another batch than the next one.
    pub fn take(&mut self, batch: &Batch) -> Result<(), BatchError> {
        batch.expect_number(self.batches)?;
        self.batches += 1;
        for pair in batch.pairs() {
            self.guardrails.add(pair);
            pair.figures.iter().for_each(|figures| self.gain.add(figures.gain));
        }
        Ok(())
    }

    /// What the evidence decides: to promote, if everything holds against the source.
    #[must_use]
    pub fn look(&self, funds: Funds) -> Look {
        let rules = &self.rules;
        let is_last = funds == Funds::Spent || self.guardrails.measured() >= rules.n_max;
        match () {
            () if self.guardrails.over_limit() > 0 => Look::Discard(Discarded::OverLimit),
            () if self.guardrails.is_harmful(rules) => Look::Discard(Discarded::GuardrailHarm),
            () if self.guardrails.is_unstable(rules) => Look::Review(Unsettled::EvaluatorUnstable),
            () if self.guardrails.is_trade_off(rules) || self.is_score_lower() => {
                Look::Review(Unsettled::TradeOff)
            }
            () if self.guardrails.hold(rules) && self.score_holds() => Look::Promote,
            () if !is_last => Look::Continue,
            () if self.score_holds() => Look::Review(Unsettled::GuardrailUnproven),
            () => Look::Review(Unsettled::PrimaryUnproven),
        }
    }

    /// Pairs that were measured.
    #[must_use]
    pub fn pairs(&self) -> u32 {
        self.guardrails.measured()
    }

    /// What is known of each guardrail that is on.
    #[must_use]
    pub fn guardrails(&self) -> Vec<GuardrailFinding> {
        self.guardrails.findings(&self.rules)
    }

    fn is_score_lower(&self) -> bool {
        self.is_score_checked && self.gain.below(0.0) >= LogE::bar(self.rules.alpha_harm)
    }

    fn score_holds(&self) -> bool {
        let bar = LogE::bar(self.rules.alpha_guardrail);
        !self.is_score_checked || self.gain.above(-self.rules.ni_primary.to_f64()) >= bar
    }
}
