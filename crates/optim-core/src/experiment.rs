//! One candidate of a campaign, from its proposal to its decision.

use serde::{Deserialize, Serialize};

use crate::campaign::ledger::Allowance;
use crate::digest::Digest;
use crate::id::{Actor, CampaignId, EvaluationId, ExperimentId};
use crate::metrics::Metrics;
use crate::mutation::Mutation;
use crate::quantity::Timestamp;
use crate::trial::Trial;
use crate::verdict::{Judgement, Verdict};
use crate::workflow::Fingerprint;

/// A candidate with its evaluation and its decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Derived from campaign, number, baseline and mutation.
    pub id: ExperimentId,
    /// The campaign it belongs to.
    pub campaign: CampaignId,
    /// Its number in the campaign, from 1; people write `#3`.
    pub number: u32,
    /// Who proposed it.
    pub proposer: Proposer,
    /// The change.
    pub mutation: Mutation,
    /// The baseline's version that it was derived from.
    pub baseline_version: u32,
    /// The baseline it is compared with.
    pub baseline: Fingerprint,
    /// The candidate: the baseline with the mutation.
    pub candidate: Fingerprint,
    /// The candidate's definition, by content digest.
    pub snapshot: Digest,
    /// The most that one case run of it can use, where the executor knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_case: Option<Allowance>,
    /// Where it stands.
    pub state: ExperimentState,
    /// Its comparison with the baseline under the sequential rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Box<Trial>>,
    /// When it was proposed.
    pub created_at: Timestamp,
}

/// Who proposed a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposer {
    /// `rules`, `examples`, `operator`, or the name of one's own.
    pub name: String,
    /// Its version; raised when it proposes other candidates for the same input.
    pub version: u32,
}

/// Where an experiment stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum ExperimentState {
    /// Its case runs are queued or running, or its winner is being confirmed.
    Evaluating,
    /// The judge says promote; a person must decide.
    Recommended(Judged),
    /// The judge cannot decide; a person must.
    NeedsReview(Judged),
    /// The judge says no.
    Discarded(Judged),
    /// It gave no measurable result.
    Failed {
        /// Why.
        reason: String,
    },
    /// A person approved it; it is, or was, the baseline.
    Approved {
        /// What the person saw.
        judged: Judged,
        /// The decision.
        by: Decision,
    },
    /// A person rejected it.
    Rejected {
        /// What the person saw.
        judged: Judged,
        /// The decision.
        by: Decision,
    },
    /// It ended without a decision: the campaign ended or the baseline moved.
    Superseded {
        /// Why.
        reason: String,
    },
}

impl Experiment {
    /// Whether it is being measured.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        matches!(self.state, ExperimentState::Evaluating)
    }
}

impl ExperimentState {
    /// The word for the state.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Evaluating => "evaluating",
            Self::Recommended(_) => "recommended",
            Self::NeedsReview(_) => "needs_review",
            Self::Discarded(_) => "discarded",
            Self::Failed { .. } => "failed",
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Superseded { .. } => "superseded",
        }
    }

    /// What the experiment was judged on, once it was.
    #[must_use]
    pub fn judged(&self) -> Option<&Judged> {
        match self {
            Self::Recommended(judged) | Self::NeedsReview(judged) | Self::Discarded(judged) => {
                Some(judged)
            }
            Self::Approved { judged, .. } | Self::Rejected { judged, .. } => Some(judged),
            Self::Evaluating | Self::Failed { .. } | Self::Superseded { .. } => None,
        }
    }
}

/// A judged candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// The evaluation that was judged; absent in records of older versions.
    #[serde(default)]
    pub evaluation: Option<EvaluationId>,
    /// The verdict on the search cases.
    pub judgement: Judgement,
    /// Cases that the candidate fixed, broke, or left as they were, with the ids of those that changed.
    pub flips: Flips,
    /// The same comparison on cases that took no part in the selection; absent without a holdout.
    pub confirmation: Option<Confirmation>,
}

impl Judged {
    /// The same, of a candidate that can never be promoted because it is its own baseline. What the rule
    /// says stays in the trace.
    #[must_use]
    pub fn without_promotion(mut self) -> Self {
        let judgement = &mut self.judgement;
        if judgement.verdict != Verdict::Discard {
            judgement.reason = format!("nothing was changed; {}", judgement.reason);
            judgement.verdict = Verdict::Discard;
        }
        self
    }
}

/// How cases changed between baseline and candidate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flips {
    /// Cases that fail on every replay of the baseline and pass on the candidate.
    pub fixed: Vec<crate::id::CaseId>,
    /// Cases that pass on every replay of the baseline and fail on the candidate.
    pub broken: Vec<crate::id::CaseId>,
}

/// Fresh runs of baseline and winner on the holdout cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The baseline on the holdout cases.
    pub baseline: Metrics,
    /// The candidate on the holdout cases.
    pub candidate: Metrics,
}

/// A decision by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// Why; a rejection needs it.
    pub reason: Option<String>,
}
