//! What a case run costs on the baseline and on a candidate.

use std::fmt;

use crate::metrics::Metrics;
use crate::outcome::Usage;
use crate::quantity::{MicroUsd, PerMillion};

/// The costs of both sides over their measured case runs, in money where there is any, else in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Costs {
    in_money: bool,
    baseline: Cost,
    candidate: Cost,
}

/// The cost of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    total: u64,
    runs: u64,
}

impl Costs {
    /// The costs of both sides; `None` when neither side reports any, or nothing was measured.
    pub(super) fn of(baseline: &Metrics, candidate: &Metrics) -> Option<Self> {
        let by = |in_money: bool, total: fn(&Usage) -> u64| {
            let cost = |side: &Metrics| Cost { total: total(&side.usage), runs: side.cases.den };
            let costs = Self { in_money, baseline: cost(baseline), candidate: cost(candidate) };
            let Self { baseline, candidate, .. } = costs;
            let is_known = baseline.total.max(candidate.total) > 0;
            (is_known && baseline.runs.min(candidate.runs) > 0).then_some(costs)
        };
        by(true, |usage| usage.cost.0).or_else(|| by(false, |usage| usage.tokens().0))
    }

    /// Whether a case run of the candidate costs more than one of the baseline, and `margin` of that.
    pub(super) fn exceed(self, margin: PerMillion) -> bool {
        let (baseline, candidate) = self.on_as_many_runs();
        let accepted = baseline.saturating_mul(1_000_000 + u128::from(margin.0));
        candidate.saturating_mul(1_000_000) > accepted
    }

    /// What both would cost on as many case runs, exactly.
    fn on_as_many_runs(self) -> (u128, u128) {
        let Self { baseline, candidate, .. } = self;
        let times = |total: u64, runs: u64| u128::from(total).saturating_mul(runs.into());
        (times(baseline.total, candidate.runs), times(candidate.total, baseline.runs))
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |Cost { total, runs }: Cost| match self.in_money {
            true => format!("{} in {runs} case runs", MicroUsd(total)),
            false => format!("{total} tokens in {runs} case runs"),
        };
        write!(f, "{}, baseline {}", words(self.candidate), words(self.baseline))?;
        let (baseline, candidate) = self.on_as_many_runs();
        match candidate.saturating_mul(100).checked_div(baseline) {
            Some(hundredths) => {
                write!(f, ", {}.{:02} times as much each", hundredths / 100, hundredths % 100)
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::{Fraction, Tokens};

    fn side(runs: u64, cost: u64, tokens: u64) -> Metrics {
        let (cost, prompt_tokens) = (MicroUsd(cost), Tokens(tokens));
        let usage = Usage { cost, prompt_tokens, ..Usage::default() };
        Metrics { cases: Fraction::new(0, runs), usage, ..Metrics::default() }
    }

    #[test]
    fn a_case_run_may_cost_exactly_the_margin_more() {
        let quarter = PerMillion(250_000);
        for (baseline, candidate, margin, exceeds) in [
            (side(20, 200, 0), side(10, 125, 0), quarter, false),
            (side(20, 200, 0), side(10, 126, 0), quarter, true),
            (side(20, 200, 0), side(10, 101, 0), PerMillion(0), true),
            (side(20, 200, 0), side(10, 100, 0), PerMillion(0), false),
            // Money decides where there is any, whatever the tokens.
            (side(20, 200, 1), side(10, 100, 99), quarter, false),
            (side(20, 0, 200), side(10, 0, 126), quarter, true),
            (side(20, 0, 7), side(10, 1, 0), quarter, true),
            (side(1, u64::MAX, 0), side(u64::MAX, u64::MAX, 0), quarter, false),
        ] {
            let costs = Costs::of(&baseline, &candidate).unwrap();
            assert_eq!(costs.exceed(margin), exceeds, "{costs}");
        }
    }

    #[test]
    fn what_nobody_reports_is_not_measured() {
        assert_eq!(Costs::of(&side(20, 0, 0), &side(10, 0, 0)), None);
        assert_eq!(Costs::of(&side(20, 5, 0), &side(0, 0, 0)), None);
    }

    #[test]
    fn costs_are_shown_with_the_case_runs_that_they_are_of() {
        let words = |one, other| Costs::of(&one, &other).map(|costs| costs.to_string());
        assert_eq!(
            words(side(48, 9_600, 0), side(24, 6_888, 0)).unwrap(),
            "$0.006888 in 24 case runs, baseline $0.009600 in 48 case runs, 1.43 times as much each"
        );
        assert_eq!(
            words(side(2, 0, 0), side(1, 0, 5)).unwrap(),
            "5 tokens in 1 case runs, baseline 0 tokens in 2 case runs"
        );
    }
}
