//! A candidate against its baseline: the evidence of their pairs, and what follows at a look.

use serde::{Deserialize, Serialize};

use super::batch::{Batch, BatchError};
use super::difference::{Difference, Differences};
use super::error_budget::Stake;
use super::evalue::LogE;
use super::futility::{Goal, falls_short, is_futile};
use super::guardrail::Tallies;
use super::pair::{PairFigures, PairRecord};
use crate::policy::{Score, Sequential};
use crate::quantity::PerMillion;
use crate::verdict::Verdict;

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

/// What a look decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Another batch.
    Continue,
    /// Better, and nothing that must not be is worse.
    Promote,
    /// Not better, or harmful.
    Discard(Discarded),
    /// A person must decide.
    Review(Unsettled),
}

/// Why a candidate is discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discarded {
    /// A run broke a limit of the workflow.
    OverLimit,
    /// More nodes are blocked.
    GuardrailHarm,
    /// A gain worth finding is refuted.
    Futile,
    /// The pairs left are not expected to prove a gain.
    Shortfall,
    /// The pairs are used up, and show nothing.
    Inconclusive,
}

/// Why a person must decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsettled {
    /// The pairs are used up, and what they show is promising.
    InconclusivePromising,
    /// Better, but a guardrail is not proven to hold.
    GuardrailUnproven,
    /// The secondary metric is better, but the score is not proven to hold.
    PrimaryUnproven,
    /// Better, and dearer or slower.
    TradeOff,
    /// The outside fails too many runs, or the candidate's more often.
    EvaluatorUnstable,
}

/// Whether the campaign can pay for another batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funds {
    /// It can.
    Left,
    /// It cannot, so this look is the last.
    Spent,
}

impl Look {
    /// The verdict; `None` while the comparison goes on.
    #[must_use]
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Continue => None,
            Self::Promote => Some(Verdict::Promote),
            Self::Discard(_) => Some(Verdict::Discard),
            Self::Review(_) => Some(Verdict::NeedsOperatorReview),
        }
    }
}

impl Look {
    /// What it says, in a few words.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Continue => "undecided",
            Self::Promote => "better, and every guardrail holds",
            Self::Discard(Discarded::OverLimit) => "a case run broke a limit of the workflow",
            Self::Discard(Discarded::GuardrailHarm) => "a guardrail is broken",
            Self::Discard(Discarded::Futile) => "a gain worth finding is refuted",
            Self::Discard(Discarded::Shortfall) => "the pairs left will hardly prove a gain",
            Self::Discard(Discarded::Inconclusive) => "the pairs are used up",
            Self::Review(Unsettled::InconclusivePromising) => "promising, but not proven",
            Self::Review(Unsettled::GuardrailUnproven) => "a guardrail is not proven to hold",
            Self::Review(Unsettled::PrimaryUnproven) => "the pass rate is not proven to hold",
            Self::Review(Unsettled::TradeOff) => "something is worse by more than its margin",
            Self::Review(Unsettled::EvaluatorUnstable) => "the outside fails too many case runs",
        }
    }
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

    /// What the evidence decides.
    #[must_use]
    pub fn look(&self, funds: Funds) -> Look {
        RULES.iter().find_map(|rule| (rule.decide)(self, funds)).unwrap_or(Look::Continue)
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

    fn in_words(&self) -> String {
        let (won, lost) = self.gain.signs();
        let (pairs, evidence, bar) = (self.pairs(), self.evidence.combined, self.bar());
        let when = match self.crossing {
            Some(crossing) => format!(", reached after {} pairs", crossing.pairs),
            None => String::new(),
        };
        format!("{won} won and {lost} lost of {pairs} pairs: evidence {evidence}, bar {bar}{when}")
    }

    fn is_last(&self, funds: Funds) -> bool {
        funds == Funds::Spent || self.pairs() >= self.terms.rules.n_max
    }

    /// Whether the score is better by itself, or not worse by more than the margin.
    fn primary_holds(&self) -> bool {
        let rules = &self.terms.rules;
        let not_inferior = || self.gain.above(-rules.ni_primary.to_f64());
        self.has_primary_crossed
            || (self.gain.mean() >= 0.0 && not_inferior() >= LogE::bar(rules.alpha_guardrail))
    }

    /// Whether `stops` holds for each metric that counts.
    fn each_metric(&self, stops: impl Fn(&Differences, PerMillion) -> bool) -> bool {
        let rules = &self.terms.rules;
        stops(&self.gain, rules.mde)
            && (rules.secondary_weight.0 == 0 || stops(&self.fewer_unmet, rules.mde_secondary))
    }
}

/// One rule of a look.
pub(super) struct Rule {
    /// Its name in traces.
    pub(super) name: &'static str,
    /// What it decides; `None` to go on to the next one.
    pub(super) decide: fn(&Comparison, Funds) -> Option<Look>,
    /// The numbers it looked at, in words.
    pub(super) detail: fn(&Comparison) -> String,
}

/// The rules in their order; the first that decides is the last that is asked.
pub(super) const RULES: [Rule; 8] = [
    Rule {
        name: "budget_ceilings",
        decide: over_limit,
        detail: |seen| format!("case runs over a limit: {}", seen.guardrails.over_limit()),
    },
    Rule {
        name: "guardrail_harm",
        decide: guardrail_harm,
        detail: |seen| seen.guardrails.in_words(&seen.terms.rules),
    },
    Rule {
        name: "evaluator_unstable",
        decide: evaluator_unstable,
        detail: |seen| seen.guardrails.faults_in_words(),
    },
    Rule {
        name: "trade_off",
        decide: trade_off,
        detail: |seen| seen.guardrails.in_words(&seen.terms.rules),
    },
    Rule { name: "better_and_guardrails_hold", decide: better, detail: Comparison::in_words },
    Rule {
        name: "futile",
        decide: futile,
        detail: |seen| {
            let mde = seen.terms.rules.mde;
            let against = seen.gain.below(mde.to_f64());
            format!("evidence against a gain of {mde}: {against}")
        },
    },
    Rule { name: "shortfall", decide: shortfall, detail: Comparison::in_words },
    Rule {
        name: "pairs_used_up",
        decide: used_up,
        detail: |seen| format!("{} of {} pairs", seen.pairs(), seen.terms.rules.n_max),
    },
];

fn over_limit(comparison: &Comparison, _: Funds) -> Option<Look> {
    let broken = comparison.guardrails.over_limit() > 0;
    broken.then_some(Look::Discard(Discarded::OverLimit))
}

fn guardrail_harm(comparison: &Comparison, _: Funds) -> Option<Look> {
    let harmful = comparison.guardrails.is_harmful(&comparison.terms.rules);
    harmful.then_some(Look::Discard(Discarded::GuardrailHarm))
}

fn evaluator_unstable(comparison: &Comparison, _: Funds) -> Option<Look> {
    let unstable = comparison.guardrails.is_unstable(&comparison.terms.rules);
    unstable.then_some(Look::Review(Unsettled::EvaluatorUnstable))
}

fn trade_off(comparison: &Comparison, _: Funds) -> Option<Look> {
    comparison.crossing?;
    let dearer = comparison.guardrails.is_trade_off(&comparison.terms.rules);
    dearer.then_some(Look::Review(Unsettled::TradeOff))
}

fn better(comparison: &Comparison, _: Funds) -> Option<Look> {
    comparison.crossing?;
    let holds = comparison.guardrails.hold(&comparison.terms.rules) && comparison.primary_holds();
    holds.then_some(Look::Promote)
}

fn futile(comparison: &Comparison, _: Funds) -> Option<Look> {
    let rules = &comparison.terms.rules;
    let is_asked = comparison.crossing.is_none() && comparison.pairs() >= rules.n_min;
    let refuted = is_asked && comparison.each_metric(|seen, mde| is_futile(seen, mde, rules));
    refuted.then_some(Look::Discard(Discarded::Futile))
}

fn shortfall(comparison: &Comparison, funds: Funds) -> Option<Look> {
    let Terms { rules, score, .. } = &comparison.terms;
    let pairs = comparison.pairs();
    let goal = Goal { evidence: comparison.evidence.combined, bar: comparison.bar(), pairs };
    let is_asked =
        comparison.crossing.is_none() && pairs >= rules.n_min && !comparison.is_last(funds);
    let short = is_asked
        && comparison.each_metric(|seen, mde| falls_short(seen, mde, *score, &goal, rules));
    short.then_some(Look::Discard(Discarded::Shortfall))
}

fn used_up(comparison: &Comparison, funds: Funds) -> Option<Look> {
    if !comparison.is_last(funds) {
        return None;
    }
    let rules = &comparison.terms.rules;
    let is_promising = comparison.evidence.combined >= LogE::bar(rules.alpha_review);
    Some(match comparison.crossing {
        Some(_) if !comparison.guardrails.hold(rules) => Look::Review(Unsettled::GuardrailUnproven),
        Some(_) => Look::Review(Unsettled::PrimaryUnproven),
        None if is_promising => Look::Review(Unsettled::InconclusivePromising),
        None => Look::Discard(Discarded::Inconclusive),
    })
}
