//! What a campaign takes, before it begins. For people; the ledger decides what may start.

use crate::judge::plan::Forecast;
use crate::pack::CaseCounts;
use crate::policy::{Policies, Sequential};

/// The case runs of a campaign by the sequential rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Candidates at most.
    pub experiments: u32,
    /// Those of the replays at the start.
    pub replays: u64,
    /// Those of a candidate that changes nothing, on average; `None` when that is not known.
    pub idle: Option<u64>,
    /// Those of one candidate at most, up to its decision.
    pub candidate: u64,
    /// Those of the confirmation of a winner on the holdout cases.
    pub confirmation: u64,
    group: u32,
}

impl Estimate {
    /// For `policies`, compared by `rules`, on `cases`. `idle` is what becomes of a
    /// candidate that changes nothing.
    #[must_use]
    pub fn new(
        policies: &Policies,
        rules: &Sequential,
        cases: CaseCounts,
        idle: Option<Forecast>,
    ) -> Self {
        let replays = policies.eval.campaign_start_baseline_runs.max(1);
        let group = rules.group.max(1);
        let CaseCounts { search, tune, holdout } = cases;
        // A batch that was begun is finished, and so is a pass over the holdout cases.
        let batch = rules.batch.min(search);
        Self {
            experiments: policies.budget.max_experiments,
            replays: u64::from(replays) * (u64::from(search) + u64::from(tune)),
            idle: idle.map(|idle| runs(idle.pairs_rounded_up().into(), group)),
            candidate: runs(in_whole(rules.n_max, batch), group),
            confirmation: 2 * in_whole(rules.confirm_pairs.max(1), holdout),
            group,
        }
    }

    /// Those of a campaign of which no candidate changes anything, on average.
    #[must_use]
    pub fn idle_campaign(&self) -> Option<u64> {
        Some(self.replays.saturating_add(self.idle?.saturating_mul(self.experiments.into())))
    }

    /// Those of a campaign at most, without what faults of the outside and anchor checks add.
    #[must_use]
    pub fn campaign(&self) -> u64 {
        let each = self.candidate.saturating_add(self.confirmation);
        self.replays.saturating_add(each.saturating_mul(self.experiments.into()))
    }

    /// The pairs that one candidate can have when there are `runs` case runs for it and the replays.
    #[must_use]
    pub fn pairs_within(&self, runs: u64) -> u32 {
        let group = u64::from(self.group);
        let pairs = u128::from(runs.saturating_sub(self.replays)) * u128::from(group);
        u32::try_from(pairs / u128::from(group + 1)).unwrap_or(u32::MAX)
    }
}

/// The pairs of as many batches of `size` as hold `pairs`; none when there are no cases.
fn in_whole(pairs: u32, size: u32) -> u64 {
    u64::from(pairs).checked_next_multiple_of(size.into()).unwrap_or(0)
}

/// The case runs of `pairs` of one candidate: its own, and its share of the baseline's in its group.
fn runs(pairs: u64, group: u32) -> u64 {
    pairs.saturating_add(pairs.div_ceil(group.max(1).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::comparison::Terms;
    use crate::judge::error_budget::Stake;
    use crate::judge::plan::forecast;
    use crate::mutation::MutableField;
    use crate::policy::{
        BudgetPolicy, DecisionProfile, EvalPolicy, MutationPolicy, PackRef, Profile, ScopePolicy,
        Score,
    };
    use crate::quantity::PerMillion;

    fn estimate(group: u32, idle: Option<Forecast>) -> Estimate {
        estimate_of(|rules| rules.group = group, 10, idle)
    }

    fn estimate_of(
        change: impl Fn(&mut Sequential),
        holdout: u32,
        idle: Option<Forecast>,
    ) -> Estimate {
        let policies = Policies {
            eval: EvalPolicy::strict(PackRef::Implicit),
            mutation: MutationPolicy::strict(MutableField::ALL),
            scope: ScopePolicy::default(),
            budget: BudgetPolicy {
                profile: Profile::Strict,
                max_experiments: 20,
                max_runtime_minutes: 600,
                max_consecutive_failures: 3,
                max_total_tokens: None,
                max_total_cost: None,
            },
        };
        let mut rules = Sequential::of(DecisionProfile::Standard);
        change(&mut rules);
        let cases = CaseCounts { search: 64, tune: 0, holdout };
        Estimate::new(&policies, &rules, cases, idle)
    }

    #[test]
    fn a_campaign_takes_replays_pairs_and_confirmations() {
        let alone = estimate(1, None);
        assert_eq!((alone.replays, alone.candidate, alone.confirmation), (128, 480, 80));
        assert_eq!(alone.campaign(), 128 + 20 * 560);
        assert_eq!(alone.idle_campaign(), None);
        assert_eq!(estimate(4, None).candidate, 240 + 60, "a group shares the baseline's side");
    }

    #[test]
    fn what_is_begun_is_finished() {
        let of_all = estimate_of(|rules| rules.batch = 108, 60, None);
        assert_eq!(of_all.candidate, 2 * 4 * 64, "240 pairs are four passes over 64 cases");
        assert_eq!(of_all.confirmation, 120, "one pass over the holdout cases at least");
        assert_eq!(estimate_of(|_| {}, 0, None).confirmation, 0, "there is nothing to confirm on");
    }

    #[test]
    fn a_candidate_that_changes_nothing_is_given_up_long_before_its_pairs_are_used() {
        let rules = Sequential::of(DecisionProfile::Standard);
        let stake = Stake::whole(PerMillion(2500));
        let terms = Terms { rules, score: Score::AllOrNothing, stake };
        let idle = estimate(1, forecast(terms, 0.1, 0.0)).idle.unwrap();
        assert!((40..200).contains(&idle), "{idle}");
    }

    #[test]
    fn the_budget_pays_for_the_replays_first() {
        assert_eq!(estimate(1, None).pairs_within(100), 0);
        assert_eq!(estimate(1, None).pairs_within(128 + 7), 3);
        assert_eq!(estimate(4, None).pairs_within(128 + 50), 40);
        assert_eq!(estimate(1, None).pairs_within(u64::MAX), u32::MAX);
    }
}
