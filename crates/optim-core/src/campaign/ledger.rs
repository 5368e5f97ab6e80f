//! What a campaign has spent, what it has set aside for work in flight, and what is left.
//!
//! Nothing starts before the most that it may use is set aside, in the commit that creates the work.
//! The commit that takes in its end drops the reservation and adds what was really used.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::EvaluationId;
use crate::outcome::Usage;
use crate::quantity::{MicroUsd, Millis, Tokens};
use crate::run::{Run, RunState};

/// An amount of each thing that a budget limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Amount {
    /// Tokens sent and received.
    pub tokens: Tokens,
    /// Money.
    #[serde(rename = "cost_micro_usd")]
    pub cost: MicroUsd,
    /// Run time as the executor reports it.
    #[serde(rename = "time_ms")]
    pub time: Millis,
}

/// The most that may be used of each thing; absent means without a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Allowance {
    /// Tokens sent and received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Tokens>,
    /// Money.
    #[serde(rename = "cost_micro_usd", skip_serializing_if = "Option::is_none")]
    pub cost: Option<MicroUsd>,
    /// Run time as the executor reports it.
    #[serde(rename = "time_ms", skip_serializing_if = "Option::is_none")]
    pub time: Option<Millis>,
}

/// The books of a campaign. Replays, confirmations, fault retries and calls of proposers are in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Case runs that are settled.
    pub runs: u64,
    /// What they and the calls of proposers consumed.
    pub usage: Usage,
    /// What is set aside for evaluations that are not settled.
    #[serde(default)]
    pub reserved: BTreeMap<EvaluationId, Amount>,
    /// What is set aside for a call of the proposers that has no recorded end.
    #[serde(default)]
    pub call: Option<Amount>,
    /// The most that a case run has used of each thing.
    #[serde(default)]
    pub dearest: Amount,
    /// What was used beyond what was set aside, by an executor or proposer that kept no limit.
    #[serde(default)]
    pub overdrawn: Amount,
}

/// What case runs have consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Case runs.
    pub runs: u64,
    /// What they consumed.
    pub usage: Usage,
    /// The most that one of them used of each thing.
    pub dearest: Amount,
}

/// A limit that does not cover what comes next, with the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    what: Dimension,
    need: Need,
    left: u64,
    limit: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Runs { runs: u64, each: u64 },
    Call { most: u64 },
}

/// What a budget limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Tokens,
    Cost,
    Time,
}

impl Dimension {
    const ALL: [Self; 3] = [Self::Tokens, Self::Cost, Self::Time];

    fn of(self, amount: &Amount) -> u64 {
        match self {
            Self::Tokens => amount.tokens.0,
            Self::Cost => amount.cost.0,
            Self::Time => amount.time.0,
        }
    }

    fn limit(self, allowance: &Allowance) -> Option<u64> {
        match self {
            Self::Tokens => allowance.tokens.map(|tokens| tokens.0),
            Self::Cost => allowance.cost.map(|cost| cost.0),
            Self::Time => allowance.time.map(|time| time.0),
        }
    }

    fn words(self, amount: u64) -> String {
        match self {
            Self::Tokens => format!("{amount} tokens"),
            Self::Cost => MicroUsd(amount).to_string(),
            Self::Time => format!("{}.{:03} s", amount / 1000, amount % 1000),
        }
    }

    /// The key in `budget.yaml`.
    fn key(self) -> &'static str {
        match self {
            Self::Tokens => "max_total_tokens",
            Self::Cost => "max_total_cost_usd",
            Self::Time => "max_runtime_minutes",
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, need, left, limit } = self;
        match need {
            Need::Runs { runs, each } => write!(
                f,
                "{runs} case runs need up to {} each, {} together",
                what.words(*each),
                what.words(runs.saturating_mul(*each))
            )?,
            Need::Call { most } => write!(f, "the proposers need up to {}", what.words(*most))?,
        }
        write!(f, "; {} of {} are left ({})", what.words(*left), what.words(*limit), what.key())
    }
}

impl Amount {
    /// What `usage` comes to.
    #[must_use]
    pub fn of(usage: &Usage) -> Self {
        Self { tokens: usage.tokens(), cost: usage.cost, time: usage.latency }
    }

    fn map(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            tokens: Tokens(f(self.tokens.0, other.tokens.0)),
            cost: MicroUsd(f(self.cost.0, other.cost.0)),
            time: Millis(f(self.time.0, other.time.0)),
        }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.map(other, u64::saturating_add)
    }

    /// The difference of both, or zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.map(other, u64::saturating_sub)
    }

    /// The larger of both, each thing for itself.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.map(other, u64::max)
    }

    /// `times` of it.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        self.map(Self::default(), |amount, _| amount.saturating_mul(times))
    }

    /// The average of `runs` case runs that took this together, rounded up.
    #[must_use]
    pub fn per(self, runs: u64) -> Self {
        self.map(Self::default(), |amount, _| amount.div_ceil(runs.max(1)))
    }

    /// As the usage of what has told no figures. Which tokens were sent and which received is not
    /// known, so all count as sent.
    pub(super) fn usage(self) -> Usage {
        let Self { tokens, cost, time } = self;
        let estimated = self != Self::default();
        let completion_tokens = Tokens(0);
        Usage { prompt_tokens: tokens, completion_tokens, cost, latency: time, estimated }
    }
}

impl Allowance {
    /// How many case runs that take `each` it covers, and the key in `budget.yaml` that says so; `None`
    /// when no limit counts.
    #[must_use]
    pub fn runs_of(&self, each: &Amount) -> Option<(u64, &'static str)> {
        let covered =
            |what: Dimension| Some((what.limit(self)?.checked_div(what.of(each))?, what.key()));
        Dimension::ALL.into_iter().filter_map(covered).min()
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// What covers both: the larger limit of each thing, and none where one of them has none.
    #[must_use]
    pub fn covering(self, other: Self) -> Self {
        fn larger<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            Some(one?.max(other?))
        }
        Self {
            tokens: larger(self.tokens, other.tokens),
            cost: larger(self.cost, other.cost),
            time: larger(self.time, other.time),
        }
    }

    /// What is left of it after `used`.
    #[must_use]
    pub fn minus(self, used: Amount) -> Self {
        Self {
            tokens: self.tokens.map(|tokens| tokens.minus(used.tokens)),
            cost: self.cost.map(|cost| cost.minus(used.cost)),
            time: self.time.map(|time| time.minus(used.time)),
        }
    }

    /// The limits as an amount; zero where there is none.
    #[must_use]
    pub fn amount(self) -> Amount {
        Amount {
            tokens: self.tokens.unwrap_or_default(),
            cost: self.cost.unwrap_or_default(),
            time: self.time.unwrap_or_default(),
        }
    }

    /// `amount` without what is not limited.
    fn limited(&self, amount: Amount) -> Amount {
        Amount {
            tokens: self.tokens.map_or(Tokens(0), |_| amount.tokens),
            cost: self.cost.map_or(MicroUsd(0), |_| amount.cost),
            time: self.time.map_or(Millis(0), |_| amount.time),
        }
    }
}

impl Spent {
    /// What `runs` have consumed. A claim that was lost or cancelled reported nothing, and may have
    /// been paid all the same: it counts as the dearest run, of these and of `before`.
    #[must_use]
    pub fn on(runs: &[Run], before: Amount) -> Self {
        let known = runs.iter().map(Run::usage).fold(Usage::default(), Usage::plus);
        let dearest = runs.iter().map(|run| Amount::of(&run.usage())).fold(before, Amount::max);
        let lost = runs.iter().map(lost_claims).sum();
        let usage = known.plus(dearest.times(lost).usage());
        Self { runs: u64::try_from(runs.len()).unwrap_or(u64::MAX), usage, dearest }
    }
}

/// The claims of `run` that ended without word of what they have cost.
fn lost_claims(run: &Run) -> u64 {
    let ended = run.own_faults().saturating_add(u32::from(run.report().is_some()));
    let reported = ended.saturating_sub(run.unreported);
    let open = u32::from(matches!(run.state, RunState::Running { .. }));
    run.epoch.0.saturating_sub(reported).saturating_sub(open).into()
}

impl Ledger {
    /// What is used or set aside.
    #[must_use]
    pub fn taken(&self) -> Amount {
        let reserved = self.reserved.values().copied().fold(Amount::default(), Amount::plus);
        let call = self.call.unwrap_or_default();
        Amount::of(&self.usage).plus(reserved).plus(call)
    }

    /// Whether anything is set aside.
    #[must_use]
    pub fn reserves(&self) -> bool {
        !self.reserved.is_empty() || self.call.is_some()
    }

    /// What is left of `total`.
    #[must_use]
    pub fn left(&self, total: &Allowance) -> Allowance {
        total.minus(self.taken())
    }

    /// What each of `runs` case runs may use: an equal share of what is left of `total`, at most
    /// `worst`, where the executor knows its worst case.
    ///
    /// # Errors
    /// [`Shortage`] when a share is less than the dearest run so far has used, or nothing.
    pub fn share(
        &self,
        runs: u64,
        total: &Allowance,
        worst: Option<&Allowance>,
    ) -> Result<Allowance, Shortage> {
        let share = |what: Dimension| -> Result<Option<u64>, Shortage> {
            let Some(limit) = what.limit(total) else {
                return Ok(None);
            };
            let left = limit.saturating_sub(what.of(&self.taken()));
            let dearest = what.of(&self.dearest);
            let most = worst.and_then(|worst| what.limit(worst)).map(|worst| worst.max(dearest));
            let share = (left / runs.max(1)).min(most.unwrap_or(u64::MAX));
            let each = dearest.max(1).min(most.unwrap_or(u64::MAX));
            if share < each {
                return Err(Shortage { what, need: Need::Runs { runs, each }, left, limit });
            }
            Ok(Some(share))
        };
        Ok(Allowance {
            tokens: share(Dimension::Tokens)?.map(Tokens),
            cost: share(Dimension::Cost)?.map(MicroUsd),
            time: share(Dimension::Time)?.map(Millis),
        })
    }

    /// Sets aside what `runs` case runs of an evaluation may use, `each` of them.
    pub(super) fn reserve(&mut self, evaluation: EvaluationId, runs: u64, each: Allowance) {
        self.reserved.insert(evaluation, each.amount().times(runs));
    }

    /// Replaces what was set aside for an evaluation by what it has used. Settled once: `false` when
    /// nothing is set aside for it.
    pub(super) fn settle(
        &mut self,
        evaluation: EvaluationId,
        spent: &Spent,
        total: &Allowance,
    ) -> bool {
        let Some(reserved) = self.reserved.remove(&evaluation) else {
            return false;
        };
        self.runs = self.runs.saturating_add(spent.runs);
        self.dearest = self.dearest.max(spent.dearest);
        self.pay(spent.usage, reserved, total);
        true
    }

    /// Sets aside what a call of the proposers may use. A call before it that has no recorded end
    /// counts as paid.
    ///
    /// # Errors
    /// [`Shortage`] when that is more than what is left of `total`.
    pub(super) fn begin_call(&mut self, most: Amount, total: &Allowance) -> Result<(), Shortage> {
        if let Some(lost) = self.call.take() {
            self.pay(lost.usage(), lost, total);
        }
        let left = self.left(total);
        for what in Dimension::ALL {
            let (most, limit) = (what.of(&most), what.limit(total).unwrap_or(u64::MAX));
            if let Some(left) = what.limit(&left).filter(|left| *left < most) {
                return Err(Shortage { what, need: Need::Call { most }, left, limit });
            }
        }
        self.call = Some(total.limited(most));
        Ok(())
    }

    /// Takes in what a call of the proposers has used; `false` when that changes nothing.
    pub(super) fn end_call(&mut self, usage: Usage, total: &Allowance) -> bool {
        let reserved = self.call.take();
        self.pay(usage, reserved.unwrap_or_default(), total);
        reserved.is_some() || usage != Usage::default()
    }

    fn pay(&mut self, usage: Usage, reserved: Amount, total: &Allowance) {
        self.usage = self.usage.plus(usage);
        let beyond = Amount::of(&usage).minus(reserved);
        self.overdrawn = self.overdrawn.plus(total.limited(beyond));
    }

    /// Whether all that is taken is covered by `total`, but for what is recorded as overdrawn.
    pub(super) fn is_covered(&self, total: &Allowance) -> bool {
        Dimension::ALL.iter().all(|what| {
            let limit = what.limit(total).unwrap_or(u64::MAX);
            what.of(&self.taken()) <= limit.saturating_add(what.of(&self.overdrawn))
        })
    }
}
