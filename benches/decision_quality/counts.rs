//! What happened in the campaigns of a scenario.

use optim_benches::measure::wilson_upper;
use optim_core::judge::look::Unsettled;

use crate::campaign::Candidate;
use crate::world::Change;

/// The counts that an independent simulation has as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Campaigns with a false promotion.
    pub(crate) any_false: u32,
    pub(crate) false_promotions: u32,
    /// Promoted candidates that are worse.
    pub(crate) regressions: u32,
    /// Promoted candidates that break a guardrail.
    pub(crate) violators: u32,
    /// Promoted candidates with a full gain.
    pub(crate) found: u32,
    /// All candidates with a full gain.
    pub(crate) good: u32,
    pub(crate) reviews: u32,
    /// Case runs.
    pub(crate) evaluations: u64,
}

/// These and what else is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) found: Found,
    pub(crate) campaigns: u32,
    pub(crate) promoted: u32,
    /// Candidates that were decided about.
    pub(crate) candidates: u32,
    /// Reviews for want of proof of a gain, of proof that guardrails or the score hold, for a
    /// trade-off, and for an unstable evaluator.
    pub(crate) reviews: [u32; 5],
    /// The change of the mean pass rate, summed over campaigns.
    pub(crate) change: f64,
    /// Campaigns that ended with a lower pass rate than they began with.
    pub(crate) worse: u32,
}

impl Counts {
    pub(crate) fn promote(&mut self, candidate: &Candidate) {
        self.promoted += 1;
        let found = &mut self.found;
        found.false_promotions += u32::from(candidate.change.is_no_better());
        found.regressions += u32::from(matches!(candidate.change, Change::Harm(_)));
        found.violators += u32::from(candidate.change.is_violator());
        found.found += u32::from(candidate.is_full);
    }

    /// Counts a review. The person behind it closes each at once.
    pub(crate) fn review(&mut self, why: Unsettled) {
        self.found.reviews += 1;
        let [promising, guardrail, primary, trade_off, unstable] = &mut self.reviews;
        *match why {
            Unsettled::InconclusivePromising => promising,
            Unsettled::GuardrailUnproven => guardrail,
            Unsettled::PrimaryUnproven => primary,
            Unsettled::TradeOff => trade_off,
            Unsettled::EvaluatorUnstable => unstable,
        } += 1;
    }

    pub(crate) fn power(&self) -> f64 {
        f64::from(self.found.found) / f64::from(self.found.good.max(1))
    }

    /// Case runs for each of `many`.
    #[expect(clippy::as_conversions, reason = "the counts are far below 2^53")]
    pub(crate) fn evaluations_per(&self, many: u32) -> f64 {
        self.found.evaluations as f64 / f64::from(many.max(1))
    }

    /// The upper end of the 99 % Wilson interval for the share of campaigns with a false promotion.
    pub(crate) fn any_false_at_most(&self) -> f64 {
        wilson_upper(self.found.any_false.into(), self.campaigns.into())
    }
}
