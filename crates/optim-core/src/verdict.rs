//! Verdicts: what the judge says about a candidate, with the rules that led there.

use serde::{Deserialize, Serialize};

use crate::judge::trace::Trace;
use crate::metrics::Metrics;
use crate::quantity::PerMillion;

/// The three decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Better than the baseline; a person may approve it.
    Promote,
    /// Not better, or worse where it must not be.
    Discard,
    /// The evidence does not decide; a person must.
    NeedsOperatorReview,
}

/// A verdict with everything needed to understand it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The decision.
    pub verdict: Verdict,
    /// The sentence that a person would say.
    pub reason: String,
    /// Every rule that was asked, in order; the last one decided.
    pub trace: Vec<RuleTrace>,
    /// The evidence, where the sequential rule decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<Trace>>,
    /// What error control the rule gives.
    pub error_control: ErrorControl,
    /// The metrics of the baseline that the candidate was compared with.
    pub baseline: Metrics,
    /// The metrics of the candidate.
    pub candidate: Metrics,
}

/// One rule that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTrace {
    /// The rule's name, for instance `blocked_node_rate`.
    pub rule: String,
    /// Whether it decided.
    pub fired: bool,
    /// The numbers it looked at, in words.
    pub detail: String,
}

/// What is promised about false promotions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorControl {
    /// Nothing: a point estimate decided.
    None,
    /// The probability of any false promotion in the whole campaign is bounded.
    Fwer {
        /// By this.
        alpha: PerMillion,
    },
}
