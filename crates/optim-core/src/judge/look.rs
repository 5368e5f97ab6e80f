//! Looks: what the evidence decides after a batch.

use serde::{Deserialize, Serialize};

use super::comparison::{Comparison, Terms};
use super::difference::Differences;
use super::evalue::LogE;
use super::futility::{Goal, falls_short, hoped_for, is_futile};
use super::guardrail::GuardrailName;
use crate::quantity::PerMillion;
use crate::verdict::Verdict;

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Funds {
    /// It can.
    #[default]
    Left,
    /// It cannot, so this look is the last.
    Spent,
}

impl Funds {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    pub(super) fn are_left(&self) -> bool {
        *self == Self::Left
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

impl Comparison {
    /// What the evidence decides.
    #[must_use]
    pub fn look(&self, funds: Funds) -> Look {
        RULES.iter().find_map(|rule| (rule.decide)(self, funds)).unwrap_or(Look::Continue)
    }

    fn goal(&self) -> Goal {
        Goal { evidence: self.evidence().combined, bar: self.bar(), pairs: self.pairs() }
    }

    fn guardrails_in_words(&self, which: fn(GuardrailName) -> bool) -> String {
        let findings = self.guardrails().findings(&self.terms().rules);
        let words = findings.iter().filter(|finding| which(finding.name)).map(ToString::to_string);
        let words = words.collect::<Vec<_>>().join("; ");
        if words.is_empty() { "all are off".to_owned() } else { words }
    }

    fn in_words(&self) -> String {
        let (won, lost) = self.gain().signs();
        let (pairs, evidence, bar) = (self.pairs(), self.evidence().combined, self.bar());
        let when = match self.crossing() {
            Some(crossing) => format!(", reached after {} pairs", crossing.pairs),
            None => String::new(),
        };
        format!("{won} won and {lost} lost of {pairs} pairs: evidence {evidence}, bar {bar}{when}")
    }

    fn is_last(&self, funds: Funds) -> bool {
        funds == Funds::Spent || self.pairs() >= self.terms().rules.n_max
    }

    /// Whether the score is better by itself, or not worse by more than the margin.
    fn primary_holds(&self) -> bool {
        let rules = &self.terms().rules;
        let not_inferior = || self.gain().above(-rules.ni_primary.to_f64());
        self.has_primary_crossed()
            || (self.gain().mean() >= 0.0 && not_inferior() >= LogE::bar(rules.alpha_guardrail))
    }

    /// Whether `stops` holds for each metric that counts.
    fn each_metric(&self, stops: impl Fn(&Differences, PerMillion) -> bool) -> bool {
        let rules = &self.terms().rules;
        stops(self.gain(), rules.mde)
            && (rules.secondary_weight.0 == 0 || stops(self.fewer_unmet(), rules.mde_secondary))
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
        detail: |seen| format!("case runs over a limit: {}", seen.guardrails().over_limit()),
    },
    Rule {
        name: "guardrail_harm",
        decide: guardrail_harm,
        detail: |seen| seen.guardrails_in_words(|name| name.is_hard()),
    },
    Rule {
        name: "evaluator_unstable",
        decide: evaluator_unstable,
        detail: |seen| seen.guardrails().faults_in_words(),
    },
    Rule {
        name: "trade_off",
        decide: trade_off,
        detail: |seen| seen.guardrails_in_words(|name| !name.is_hard()),
    },
    Rule { name: "better_and_guardrails_hold", decide: better, detail: Comparison::in_words },
    Rule {
        name: "futile",
        decide: futile,
        detail: |seen| {
            let mde = seen.terms().rules.mde;
            let against = seen.gain().below(mde.to_f64());
            format!("evidence against a gain of {mde}: {against}")
        },
    },
    Rule {
        name: "shortfall",
        decide: shortfall,
        detail: |seen| {
            let Terms { rules, score, .. } = seen.terms();
            let hoped = hoped_for(seen.gain(), rules.mde, *score, &seen.goal(), rules);
            format!("evidence to hope for after {} pairs: {hoped}", rules.n_max)
        },
    },
    Rule {
        name: "pairs_used_up",
        decide: used_up,
        detail: |seen| format!("{} of {} pairs", seen.pairs(), seen.terms().rules.n_max),
    },
];

fn over_limit(comparison: &Comparison, _: Funds) -> Option<Look> {
    let broken = comparison.guardrails().over_limit() > 0;
    broken.then_some(Look::Discard(Discarded::OverLimit))
}

fn guardrail_harm(comparison: &Comparison, _: Funds) -> Option<Look> {
    let harmful = comparison.guardrails().is_harmful(&comparison.terms().rules);
    harmful.then_some(Look::Discard(Discarded::GuardrailHarm))
}

fn evaluator_unstable(comparison: &Comparison, _: Funds) -> Option<Look> {
    let unstable = comparison.guardrails().is_unstable(&comparison.terms().rules);
    unstable.then_some(Look::Review(Unsettled::EvaluatorUnstable))
}

fn trade_off(comparison: &Comparison, _: Funds) -> Option<Look> {
    comparison.crossing()?;
    let dearer = comparison.guardrails().is_trade_off(&comparison.terms().rules);
    dearer.then_some(Look::Review(Unsettled::TradeOff))
}

fn better(comparison: &Comparison, _: Funds) -> Option<Look> {
    comparison.crossing()?;
    let holds =
        comparison.guardrails().hold(&comparison.terms().rules) && comparison.primary_holds();
    holds.then_some(Look::Promote)
}

fn futile(comparison: &Comparison, _: Funds) -> Option<Look> {
    let rules = &comparison.terms().rules;
    let is_asked = comparison.crossing().is_none() && comparison.pairs() >= rules.n_min;
    let refuted = is_asked && comparison.each_metric(|seen, mde| is_futile(seen, mde, rules));
    refuted.then_some(Look::Discard(Discarded::Futile))
}

fn shortfall(comparison: &Comparison, funds: Funds) -> Option<Look> {
    let Terms { rules, score, .. } = comparison.terms();
    let is_asked = comparison.crossing().is_none()
        && comparison.pairs() >= rules.n_min
        && !comparison.is_last(funds);
    let goal = comparison.goal();
    let short = is_asked
        && comparison.each_metric(|seen, mde| falls_short(seen, mde, *score, &goal, rules));
    short.then_some(Look::Discard(Discarded::Shortfall))
}

fn used_up(comparison: &Comparison, funds: Funds) -> Option<Look> {
    if !comparison.is_last(funds) {
        return None;
    }
    let rules = &comparison.terms().rules;
    let is_promising = comparison.evidence().combined >= LogE::bar(rules.alpha_review);
    Some(match comparison.crossing() {
        Some(_) if !comparison.guardrails().hold(rules) => {
            Look::Review(Unsettled::GuardrailUnproven)
        }
        Some(_) => Look::Review(Unsettled::PrimaryUnproven),
        None if is_promising => Look::Review(Unsettled::InconclusivePromising),
        None => Look::Discard(Discarded::Inconclusive),
    })
}
