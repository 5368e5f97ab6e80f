//! Guardrails: what a better candidate must not make worse.
//!
//! Each is a tally of differences for the worse. Harm is proven when the evidence that they are above
//! zero reaches its bar; a guardrail holds when the evidence that they are below the margin does. Amounts
//! have heavy tails, so only their signs count: whether the median stays within the margin.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::difference::{Difference, Differences};
use super::evalue::LogE;
use super::pair::{Faulted, Margin, PairFigures, PairRecord};
use crate::policy::Sequential;
use crate::quantity::{Fraction, PerMillion};

/// The most void pairs, of all, that an evaluator may have.
const VOID_MAX: PerMillion = PerMillion(100_000);
/// The pairs from which on their share is looked at: two of them are not too many by chance.
const VOID_LOOKS_FROM: u32 = 20;

/// The tallies of all guardrails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tallies {
    more_blocked: Differences,
    cost: Differences,
    tokens: Differences,
    latency: Differences,
    faults: Differences,
    measured: u32,
    void: u32,
    over_limit: u32,
}

/// One guardrail that is on.
pub(super) struct Guardrail<'a> {
    name: GuardrailName,
    worse: &'a Differences,
    /// The mean of `worse` that it must be below.
    margin: f64,
}

/// The guardrails of the sequential rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailName {
    /// The share of nodes that are blocked.
    BlockedNodeRate,
    /// The cost of a case.
    Cost,
    /// The tokens of a case.
    Tokens,
    /// The latency of a case.
    Latency,
}

impl GuardrailName {
    /// Whether harm to it discards; harm to another one is for a person to weigh.
    #[must_use]
    pub fn is_hard(self) -> bool {
        self == Self::BlockedNodeRate
    }

    /// The name in the policy file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlockedNodeRate => "blocked_node_rate",
            Self::Cost => "cost",
            Self::Tokens => "tokens",
            Self::Latency => "latency",
        }
    }
}

/// What is known of a guardrail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardrailState {
    /// Harm is proven.
    Broken,
    /// It is proven to hold.
    Holds,
    /// Neither is proven yet.
    Open,
    /// Neither side ever reported it, so it says nothing and stops nothing.
    NotMeasured,
}

/// What is known of one guardrail, with the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardrailFinding {
    /// The guardrail.
    pub name: GuardrailName,
    /// What is known.
    pub state: GuardrailState,
    /// The evidence of harm.
    pub harm: LogE,
    /// The evidence that it holds.
    pub holds: LogE,
}

impl fmt::Display for GuardrailFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, state, harm, holds } = self;
        let name = name.as_str();
        match state {
            GuardrailState::Broken => write!(f, "{name} is worse (evidence {harm})"),
            GuardrailState::Holds => write!(f, "{name} holds (evidence {holds})"),
            GuardrailState::Open => {
                write!(f, "{name} is open (evidence of harm {harm}, that it holds {holds})")
            }
            GuardrailState::NotMeasured => write!(f, "{name} is not measured"),
        }
    }
}

impl Guardrail<'_> {
    fn is_broken(&self, rules: &Sequential) -> bool {
        self.worse.above(0.0) >= LogE::bar(rules.alpha_harm)
    }

    fn holds(&self, rules: &Sequential) -> bool {
        self.worse.is_empty() || self.worse.below(self.margin) >= LogE::bar(rules.alpha_guardrail)
    }

    fn finding(&self, rules: &Sequential) -> GuardrailFinding {
        let state = match () {
            () if self.worse.is_empty() => GuardrailState::NotMeasured,
            () if self.is_broken(rules) => GuardrailState::Broken,
            () if self.holds(rules) => GuardrailState::Holds,
            () => GuardrailState::Open,
        };
        let (harm, holds) = (self.worse.above(0.0), self.worse.below(self.margin));
        GuardrailFinding { name: self.name, state, harm, holds }
    }
}

impl Tallies {
    /// Those of `measured` pairs that tell nothing about guardrails.
    pub(super) fn of_measured(measured: u32) -> Self {
        Self { measured, ..Self::default() }
    }

    pub(super) fn add(&mut self, pair: &PairRecord) {
        match pair.faulted {
            Faulted::Neither | Faulted::Both => {}
            Faulted::Baseline => self.faults.add(Difference::LESS),
            Faulted::Candidate => self.faults.add(Difference::MORE),
        }
        let Some(PairFigures { more_blocked, cost, tokens, latency, is_over_limit, .. }) =
            pair.figures
        else {
            self.void += 1;
            return;
        };
        self.measured += 1;
        self.over_limit += u32::from(is_over_limit);
        self.more_blocked.add(more_blocked);
        for (tally, margin) in
            [(&mut self.cost, cost), (&mut self.tokens, tokens), (&mut self.latency, latency)]
        {
            match margin {
                Some(Margin::Within) => tally.add(Difference::LESS),
                Some(Margin::Outside) => tally.add(Difference::MORE),
                None => {}
            }
        }
    }

    /// Pairs that were measured.
    pub(super) fn measured(&self) -> u32 {
        self.measured
    }

    /// Pairs without an outcome.
    pub(super) fn void(&self) -> u32 {
        self.void
    }

    /// Runs of the candidate that broke a limit of the workflow.
    pub(super) fn over_limit(&self) -> u32 {
        self.over_limit
    }

    /// The guardrail whose harm discards; `None` when it is off.
    fn hard(&self, rules: &Sequential) -> Option<Guardrail<'_>> {
        let margin = rules.guardrails.blocked_node_rate?.to_f64();
        Some(Guardrail { name: GuardrailName::BlockedNodeRate, worse: &self.more_blocked, margin })
    }

    /// The guardrails whose harm a person may accept. One that is off never gets a difference.
    fn soft(&self) -> [Guardrail<'_>; 3] {
        [
            (GuardrailName::Cost, &self.cost),
            (GuardrailName::Tokens, &self.tokens),
            (GuardrailName::Latency, &self.latency),
        ]
        .map(|(name, worse)| Guardrail { name, worse, margin: 0.0 })
    }

    /// Whether harm that discards is proven.
    pub(super) fn is_harmful(&self, rules: &Sequential) -> bool {
        self.hard(rules).is_some_and(|guardrail| guardrail.is_broken(rules))
    }

    /// Whether harm that a person may accept is proven.
    pub(super) fn is_trade_off(&self, rules: &Sequential) -> bool {
        self.soft().iter().any(|guardrail| guardrail.is_broken(rules))
    }

    /// Whether all guardrails are proven to hold.
    pub(super) fn hold(&self, rules: &Sequential) -> bool {
        self.hard(rules).is_none_or(|guardrail| guardrail.holds(rules))
            && self.soft().iter().all(|guardrail| guardrail.holds(rules))
    }

    /// Whether the outside fails the candidate's runs more often than the baseline's, or too often. A
    /// failing run that is passed off as a fault of the outside would otherwise never count.
    pub(super) fn is_unstable(&self, rules: &Sequential) -> bool {
        let pairs = self.measured.saturating_add(self.void);
        let voids = Fraction::new(self.void.into(), pairs.into());
        self.faults.above(0.0) >= LogE::bar(rules.alpha_harm)
            || (pairs >= VOID_LOOKS_FROM && !voids.is_at_most(VOID_MAX))
    }

    /// What the outside failed.
    pub(super) fn faults_in_words(&self) -> String {
        let (candidate, baseline) = self.faults.signs();
        let (void, pairs) = (self.void, self.measured.saturating_add(self.void));
        format!(
            "void pairs {void} of {pairs}; first attempts failed of the candidate only {candidate}, of the \
             baseline only {baseline}"
        )
    }

    /// What is known of each guardrail that is on.
    pub(super) fn findings(&self, rules: &Sequential) -> Vec<GuardrailFinding> {
        let [cost, tokens, latency] = self.soft();
        let margins = rules.guardrails;
        let soft = [(cost, margins.cost), (tokens, margins.tokens), (latency, margins.latency)];
        let soft = soft.into_iter().filter_map(|(guardrail, margin)| margin.map(|_| guardrail));
        self.hard(rules).into_iter().chain(soft).map(|one| one.finding(rules)).collect()
    }
}
