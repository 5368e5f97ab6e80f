//! What a pack and a budget can prove, before money is spent.
//!
//! The figures are for people and decide nothing. They take the cases as equally flaky: of pairs with
//! two runs of one definition, the share `flips` differs.

use std::collections::BTreeSet;
use std::fmt;

use super::comparison::{Comparison, Terms};
use super::difference::{Difference, Differences};
use super::error_budget::Stake;
use super::evalue::LogE;
use super::look::{Funds, Look};
use crate::policy::{Margins, Score, Sequential};
use crate::quantity::{Fraction, PerMillion};

/// The most pairs of a candidate that a forecast goes through; beyond, it would take too long.
const FORECAST_PAIRS_MAX: u32 = 1000;
/// Probabilities below this are left out of a forecast.
const NEGLIGIBLE: f64 = 1e-13;
/// Nats that the evidence overshoots its bar by, on average; measured.
const OVERSHOOT: f64 = 1.2;
/// The pairs for a power of 80 %, over the expected ones; measured.
const FOR_80_PERCENT: f64 = 1.5;
/// The gains of the table, in percentage points.
const GAINS: [PerMillion; 3] = [PerMillion(50_000), PerMillion(100_000), PerMillion(200_000)];

/// What becomes of a candidate with a certain gain, whose guardrails hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// The probability that its evidence reaches the bar.
    pub power: f64,
    /// The pairs until it is decided, on average.
    pub pairs: f64,
}

impl Forecast {
    /// The pairs until it is decided, on average, as a whole number.
    #[must_use]
    pub fn pairs_rounded_up(&self) -> u32 {
        whole(self.pairs)
    }
}

/// What a campaign can prove.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Cases of the pack's search split.
    pub cases: u32,
    /// Pairs of one candidate at most.
    pub pairs: u32,
    /// What the first candidate risks.
    pub stake: Stake,
    /// Pairs that it takes to prove that no node is blocked more often, even if none ever is; `None` where
    /// that is not looked at.
    pub floor: Option<u32>,
    /// Whether the gain that the rules look for is in reach.
    pub goal: Goal,
    /// For a candidate that changes nothing; `None` when the pairs are too many to go through.
    pub idle: Option<Forecast>,
    /// For a gain of 5, 10 and 20 points, and for the one that the rules look for.
    pub rows: Vec<PlanRow>,
}

/// What becomes of one gain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanRow {
    /// The gain.
    pub gain: PerMillion,
    /// What is expected within the pairs; `None` when they are too many to go through.
    pub forecast: Option<Forecast>,
    /// The pairs that would prove it with a probability of 80 %.
    pub needed: u32,
}

/// The smallest gain that the rules look for, against the pairs that there are to prove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goal {
    /// The gain: `mde`.
    pub gain: PerMillion,
    /// The pairs that prove it on average.
    pub expected: u32,
    /// The pairs that a candidate can have.
    pub pairs: u32,
    /// The smallest gain, in whole points, that those pairs prove on average; `None` when there is none.
    pub reach: Option<PerMillion>,
}

impl Goal {
    /// The goal of `rules` for a candidate with `stake` and `pairs`, when the share `flips` of the pairs
    /// of one definition differs.
    #[must_use]
    pub fn new(rules: &Sequential, stake: Stake, flips: Fraction, pairs: u32) -> Self {
        let expected =
            |gain: PerMillion| whole(pairs_to_promote(stake, flips.to_f64(), gain.to_f64()));
        let reach = (1..=100).map(|points| PerMillion(points * 10_000));
        let reach = reach.into_iter().find(|gain| expected(*gain) <= pairs);
        Self { gain: rules.mde, expected: expected(rules.mde), pairs, reach }
    }

    /// Whether a candidate can have the pairs that prove it on average, which is about every second time.
    #[must_use]
    pub fn is_in_reach(&self) -> bool {
        self.expected <= self.pairs
    }

    /// The pairs that prove it with a probability of 80 %.
    #[must_use]
    pub fn needed(&self) -> u32 {
        whole(f64::from(self.expected) * FOR_80_PERCENT)
    }
}

/// What is out of reach, and what is not.
impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gain, expected, pairs, reach } = self;
        write!(
            f,
            "a gain of {} points (`mde: {gain}`) takes about {expected} pairs, and a candidate can have \
             {pairs}, which prove ",
            gain.points()
        )?;
        match reach {
            Some(reach) => write!(f, "+{} points at best", reach.points()),
            None => f.write_str("nothing"),
        }
    }
}

/// The least pairs, in whole batches, that prove the guardrail against blocked nodes.
fn floor(rules: &Sequential) -> Option<u32> {
    let margin = rules.guardrails.blocked_node_rate?.to_f64();
    let proves = |pairs: &u32| seen(*pairs, 0, 0).below(margin) >= LogE::bar(rules.alpha_guardrail);
    let pairs = (1..=FORECAST_PAIRS_MAX).find(proves)?;
    pairs.checked_next_multiple_of(rules.batch.max(1))
}

/// A number of pairs, rounded up.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is cut to what fits first"
)]
fn whole(pairs: f64) -> u32 {
    pairs.ceil().clamp(0.0, 1e9) as u32
}

/// What `rules` can prove on a pack of `cases`, of which the share `flips` differs between two replays,
/// for a campaign of `experiments` candidates.
#[must_use]
pub fn plan(
    rules: Sequential,
    score: Score,
    cases: u32,
    flips: Fraction,
    experiments: u32,
) -> Plan {
    let rules = Sequential { batch: rules.batch.min(cases), ..rules };
    let stake = Stake::whole(rules.alpha).shared_by(experiments);
    let terms = Terms { rules, score, stake };
    let share = flips.to_f64();
    let row = |gain: PerMillion| PlanRow {
        gain,
        forecast: forecast(terms, share, gain.to_f64()),
        needed: whole(FOR_80_PERCENT * pairs_to_promote(stake, share, gain.to_f64())),
    };
    let gains: BTreeSet<_> = GAINS.into_iter().chain([rules.mde]).collect();
    Plan {
        cases,
        pairs: rules.n_max,
        stake,
        floor: floor(&rules),
        goal: Goal::new(&rules, stake, flips, rules.n_max),
        idle: forecast(terms, share, 0.0),
        rows: gains.into_iter().map(row).collect(),
    }
}

/// The pairs that it takes to promote a candidate with the gain `gain`, on average, if nothing stops it:
/// the bar over the growth of the best bet.
#[must_use]
pub fn pairs_to_promote(stake: Stake, flips: f64, gain: f64) -> f64 {
    let (more, less) = outcomes(flips, gain);
    let bet = (gain / (more + less)).min(0.95);
    let growth = more * libm::log1p(bet) + less * libm::log1p(-bet);
    (stake.bar().ln() + OVERSHOOT) / growth
}

/// The shares of pairs that a candidate with this gain wins and loses. A gain makes half as many pairs
/// differ on top, as it is won mostly where the baseline fails.
fn outcomes(flips: f64, gain: f64) -> (f64, f64) {
    let differ = (flips + gain.abs() / 2.0).max(gain.abs()).min(1.0);
    (f64::midpoint(differ, gain), f64::midpoint(differ, -gain))
}

/// What the rule does with a candidate with the gain `gain`: exact, by going through all numbers of pairs
/// won and lost. Guardrails and the secondary metric are left out. `None` for more than 1000 pairs.
#[must_use]
pub fn forecast(terms: Terms, flips: f64, gain: f64) -> Option<Forecast> {
    if terms.rules.n_max > FORECAST_PAIRS_MAX {
        return None;
    }
    let guardrails = Margins { blocked_node_rate: None, cost: None, tokens: None, latency: None };
    let rules = Sequential { secondary_weight: PerMillion(0), guardrails, ..terms.rules };
    let terms = Terms { rules, ..terms };
    let (more, less) = outcomes(flips, gain);
    let mut states = States::start();
    let mut forecast = Forecast { power: 0.0, pairs: 0.0 };
    let batch = rules.batch.max(1);
    let mut pairs = 0;
    while !states.is_empty() {
        (0..batch).for_each(|_| states.add_pair(more, less));
        pairs += batch;
        states.keep(|won, lost, probability| {
            let comparison = Comparison::of_gain(terms, seen(pairs, won, lost));
            let look = comparison.look(Funds::Left);
            if look == Look::Continue {
                return true;
            }
            forecast.pairs += probability * f64::from(pairs);
            if look == Look::Promote {
                forecast.power += probability;
            }
            false
        });
    }
    Some(forecast)
}

fn seen(pairs: u32, won: u32, lost: u32) -> Differences {
    let mut seen = Differences::default();
    seen.add_many(Difference::MORE, won);
    seen.add_many(Difference::NONE, pairs.saturating_sub(won.saturating_add(lost)));
    seen.add_many(Difference::LESS, lost);
    seen
}

/// The probability of each number of pairs won and lost, of comparisons that go on: in the row of the pairs
/// won, at the place of the pairs lost.
struct States(Vec<Vec<f64>>);

impl States {
    fn start() -> Self {
        Self(vec![vec![1.0]])
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }

    fn add_pair(&mut self, more: f64, less: f64) {
        let at = |row: &[f64], lost: usize| row.get(lost).copied().unwrap_or_default();
        let mut one_won_less: &[f64] = &[];
        let mut next = Vec::with_capacity(self.0.len() + 1);
        for row in self.0.iter().map(Vec::as_slice).chain([[].as_slice()]) {
            let lost = 0..(row.len() + 1).max(one_won_less.len());
            let state = lost.map(|lost| {
                let one_lost_less = lost.checked_sub(1).map_or(0.0, |lost| at(row, lost));
                at(row, lost) * (1.0 - more - less)
                    + at(one_won_less, lost) * more
                    + one_lost_less * less
            });
            next.push(state.collect());
            one_won_less = row;
        }
        self.0 = next;
    }

    /// Leaves the states out for which `goes_on` says no, and those that hardly occur.
    fn keep(&mut self, mut goes_on: impl FnMut(u32, u32, f64) -> bool) {
        for (won, row) in (0..).zip(&mut self.0) {
            for (lost, probability) in (0..).zip(row.iter_mut()) {
                if *probability < NEGLIGIBLE || !goes_on(won, lost, *probability) {
                    *probability = 0.0;
                }
            }
            let used = row.iter().rposition(|probability| *probability > 0.0);
            row.truncate(used.map_or(0, |last| last + 1));
        }
    }
}

/// The sentence that a person would say.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with {} cases and {} pairs a candidate:", self.cases, self.pairs)?;
        for PlanRow { gain, forecast, needed } in &self.rows {
            write!(f, "\n  +{} points: ", gain.points())?;
            if let Some(Forecast { power, pairs }) = forecast {
                let percent = power * 100.0;
                write!(
                    f,
                    "proven with a probability of {percent:.0} %, after {pairs:.0} pairs on average; "
                )?;
            }
            write!(f, "80 % takes about {needed} pairs")?;
            // Smaller gains than the rules look for are given up, however many pairs there are.
            let mde = PerMillion(gain.0 / 4 * 3);
            if mde < self.goal.gain {
                write!(f, " and `mde: {mde}`")?;
            }
        }
        Ok(())
    }
}
