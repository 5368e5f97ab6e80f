//! Why a look decided what it did: everything that was looked at, and the sentence a person would say.
//!
//! A trace is derived from the terms and the batches, like the decision itself; it is made again to
//! verify one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::batch::{Batch, BatchError};
use super::comparison::{Comparison, Crossing, Evidence, Terms};
use super::error_budget::Stake;
use super::evalue::LogE;
use super::guardrail::{GuardrailFinding, GuardrailState};
use super::interval::Interval;
use super::look::{Discarded, Funds, Look, RULES, Unsettled};
use crate::verdict::RuleTrace;

/// A decision with everything needed to understand it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// What was decided.
    pub look: Look,
    /// Whether the campaign could pay for another batch.
    #[serde(default, skip_serializing_if = "Funds::are_left")]
    pub funds: Funds,
    /// Pairs that were measured.
    pub pairs: u32,
    /// Pairs that the outside failed.
    pub void: u32,
    /// What the candidate risked.
    pub stake: Stake,
    /// The campaign's error budget around it.
    pub pool: Pool,
    /// The evidence that was needed.
    pub bar: LogE,
    /// The evidence at this look.
    pub evidence: Evidence,
    /// When the evidence first reached the bar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crossing: Option<Crossing>,
    /// Where the gain lies with a probability of 95 %, for this candidate alone.
    pub interval: Interval,
    /// What the intervals of all looks have in common; `None` when they contradict each other.
    pub intersection: Option<Interval>,
    /// What is known of the guardrails.
    pub guardrails: Vec<GuardrailFinding>,
    /// Every rule that was asked, in order; the last one decided, unless the comparison goes on.
    pub rules: Vec<RuleTrace>,
}

/// What of the error budget is not at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// When the candidate had its stake.
    pub before: Stake,
    /// After the candidate is closed.
    pub after: Stake,
}

impl Trace {
    /// Looks at `batches` under `terms`, one by one. `pool` is what is in the error budget now, while the
    /// candidate has its stake.
    ///
    /// # Errors
    /// [`BatchError`] when the batches are not 0, 1, 2 and so on.
    pub fn of(
        terms: Terms,
        batches: &[Batch],
        funds: Funds,
        pool: Stake,
    ) -> Result<Self, BatchError> {
        let mut comparison = Comparison::new(terms);
        let mut intersection = Some(Interval::of(comparison.gain()));
        for batch in batches {
            comparison.take(batch)?;
            intersection =
                intersection.and_then(|common| common.and(Interval::of(comparison.gain())));
        }
        let look = comparison.look(funds);
        Ok(Self {
            look,
            funds,
            pairs: comparison.pairs(),
            void: comparison.guardrails().void(),
            stake: terms.stake,
            pool: Pool { before: pool, after: pool.with(kept_or_back(&comparison, look)) },
            bar: comparison.bar(),
            evidence: comparison.evidence(),
            crossing: comparison.crossing(),
            interval: Interval::of(comparison.gain()),
            intersection,
            guardrails: comparison.guardrails().findings(&terms.rules),
            rules: rules(&comparison, funds),
        })
    }
}

/// What goes back to the pool. A review keeps its stake until a person closes it.
fn kept_or_back(comparison: &Comparison, look: Look) -> Stake {
    match look {
        Look::Promote | Look::Discard(_) => comparison.refund(),
        Look::Continue | Look::Review(_) => Stake::default(),
    }
}

/// The rules that were asked.
fn rules(comparison: &Comparison, funds: Funds) -> Vec<RuleTrace> {
    let mut asked = Vec::new();
    for rule in &RULES {
        let fired = (rule.decide)(comparison, funds).is_some();
        asked.push(RuleTrace {
            rule: rule.name.to_owned(),
            fired,
            detail: (rule.detail)(comparison),
        });
        if fired {
            break;
        }
    }
    asked
}

/// The sentence that a person would say.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, interval, .. } = self;
        write!(f, "{} after {pairs} pairs: ", verdict(self.look))?;
        write!(f, "{}; ", self.why())?;
        write!(f, "the gain lies {interval} (95 % sure); ")?;
        write!(f, "evidence {} of {} needed", self.evidence.combined, self.bar)
    }
}

impl Trace {
    fn why(&self) -> String {
        match self.look {
            Look::Continue => "nothing is decided yet".to_owned(),
            Look::Promote => format!("better than the baseline, and {}", self.guardrails_hold()),
            Look::Discard(Discarded::OverLimit) => {
                "a case run broke a limit of the workflow".to_owned()
            }
            Look::Discard(Discarded::GuardrailHarm) => {
                format!("it makes {} worse", self.named(GuardrailState::Broken))
            }
            Look::Discard(Discarded::Futile) => {
                "a gain that is worth finding is all but ruled out".to_owned()
            }
            Look::Discard(Discarded::Shortfall) => {
                "the pairs that are left will hardly prove a gain".to_owned()
            }
            Look::Discard(Discarded::Inconclusive) => {
                "the pairs are used up, and no gain shows".to_owned()
            }
            Look::Review(Unsettled::InconclusivePromising) => {
                "the pairs are used up; it looks better, but that is not proven".to_owned()
            }
            Look::Review(Unsettled::GuardrailUnproven) => {
                let open = self.named(GuardrailState::Open);
                format!("better than the baseline, but {open} is not proven to hold")
            }
            Look::Review(Unsettled::PrimaryUnproven) => {
                "fewer requirements are unmet, but the pass rate is not proven to hold".to_owned()
            }
            Look::Review(Unsettled::TradeOff) => {
                format!(
                    "better than the baseline, at a higher {}",
                    self.named(GuardrailState::Broken)
                )
            }
            Look::Review(Unsettled::EvaluatorUnstable) => {
                "the outside fails too many case runs, or those of the candidate more often"
                    .to_owned()
            }
        }
    }

    fn guardrails_hold(&self) -> String {
        match self.named(GuardrailState::Holds).as_str() {
            "" => "no guardrail is measured".to_owned(),
            holding => format!("{holding} within the margin"),
        }
    }

    fn named(&self, state: GuardrailState) -> String {
        let found = self.guardrails.iter().filter(|finding| finding.state == state);
        found.map(|finding| finding.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

fn verdict(look: Look) -> &'static str {
    match look {
        Look::Continue => "Undecided",
        Look::Promote => "Promote",
        Look::Discard(_) => "Discard",
        Look::Review(_) => "Review",
    }
}
