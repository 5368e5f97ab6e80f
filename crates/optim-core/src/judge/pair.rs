//! Pairs: baseline and candidate on the same case, in the same window of time.
//!
//! The records of its pairs are all that a decision depends on, beside the terms: they are what is
//! stored and exported, and everything else is derived from them.

use serde::{Deserialize, Serialize};

use super::difference::Difference;
use crate::id::CaseId;
use crate::metrics::Metrics;
use crate::policy::{Margins, Score};
use crate::quantity::PerMillion;

/// One pair, over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairRecord {
    /// The case.
    pub case: CaseId,
    /// The batch that it was drawn for, from 0.
    pub batch: u32,
    /// The arm that was started first, by the coin of [`super::sample`].
    pub first: Arm,
    /// The arms whose first attempt the outside failed. Both arms were then run again.
    #[serde(default, skip_serializing_if = "Faulted::is_neither")]
    pub faulted: Faulted,
    /// What was measured; `None` when the outside failed until the tries were used up, which counts
    /// for nobody.
    pub figures: Option<PairFigures>,
}

/// A side of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The baseline, or for an anchor check the source.
    Baseline,
    /// The candidate.
    Candidate,
}

/// The arms of a pair whose first attempt the outside failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Faulted {
    /// None.
    #[default]
    Neither,
    /// The baseline only.
    Baseline,
    /// The candidate only.
    Candidate,
    /// Both.
    Both,
}

impl Faulted {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
    fn is_neither(&self) -> bool {
        *self == Self::Neither
    }
}

/// What the measured arms of a pair differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairFigures {
    /// How much higher the candidate scores.
    pub gain: Difference,
    /// Whether the candidate leaves fewer requirements unmet: 1, 0 or -1.
    pub fewer_unmet: Difference,
    /// How much larger the share of the candidate's nodes is that are blocked.
    pub more_blocked: Difference,
    /// Whether the candidate's run cost is within the margin; `None` when neither run reports a cost.
    pub cost: Option<Margin>,
    /// The same for its tokens.
    pub tokens: Option<Margin>,
    /// The same for its latency, as the executor reports it.
    pub latency: Option<Margin>,
    /// Whether the candidate's run broke a limit of the workflow.
    pub is_over_limit: bool,
}

/// Where an amount of the candidate lies, compared with the baseline's on the same case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Margin {
    /// At most the baseline's and the margin on top.
    Within,
    /// More than that.
    Outside,
}

impl PairFigures {
    /// Compares the figures of one case run on each side; `None` when either is void.
    #[must_use]
    pub fn of(
        candidate: &Metrics,
        baseline: &Metrics,
        score: Score,
        margins: &Margins,
    ) -> Option<Self> {
        if candidate.void > 0 || baseline.void > 0 {
            return None;
        }
        let (new, old) = (candidate.usage, baseline.usage);
        Some(Self {
            gain: Difference::between(candidate.primary(score), baseline.primary(score)),
            fewer_unmet: Difference::sign(baseline.unmet.cmp(&candidate.unmet)),
            more_blocked: Difference::between(candidate.blocked, baseline.blocked),
            cost: Margin::of(new.cost.0, old.cost.0, margins.cost),
            tokens: Margin::of(new.tokens().0, old.tokens().0, margins.tokens),
            latency: Margin::of(new.latency.0, old.latency.0, margins.latency),
            is_over_limit: !candidate.within_limits,
        })
    }
}

impl Margin {
    /// Where `candidate` lies against `baseline` and `ratio` of it on top. `None` when the guardrail is
    /// off, and when both amounts are zero, which is what an executor reports that does not measure.
    #[must_use]
    pub fn of(candidate: u64, baseline: u64, ratio: Option<PerMillion>) -> Option<Self> {
        let ratio = ratio.filter(|_| candidate > 0 || baseline > 0)?;
        let most = u128::from(baseline) * (1_000_000 + u128::from(ratio.0));
        let is_within = u128::from(candidate) * 1_000_000 <= most;
        Some(if is_within { Self::Within } else { Self::Outside })
    }
}
