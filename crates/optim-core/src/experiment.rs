//! One candidate of a campaign, from its proposal to its decision.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::campaign::ledger::Allowance;
use crate::digest::Digest;
use crate::id::{Actor, CampaignId, EvaluationId, ExperimentId};
use crate::judge::gain::Gain;
use crate::judge::sample;
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
        /// What it means that the judge had not recommended it; absent when the judge had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        anyway: Option<Anyway>,
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

/// The id of experiment `number` of `campaign`, which compares `candidate` with `baseline`.
#[must_use]
pub fn experiment_id(
    campaign: &CampaignId,
    number: u32,
    baseline: Fingerprint,
    candidate: Fingerprint,
) -> ExperimentId {
    ExperimentId::derive(&[
        campaign.as_str().as_bytes(),
        &number.to_be_bytes(),
        baseline.0.as_bytes(),
        candidate.0.as_bytes(),
    ])
}

impl Experiment {
    /// Whether it is being measured.
    #[must_use]
    pub fn is_compared(&self) -> bool {
        matches!(self.state, ExperimentState::Evaluating)
    }

    /// What its next pairs are for; absent under the point rule.
    #[must_use]
    pub fn next_pairs(&self) -> Option<sample::Purpose> {
        let trial = self.trial.as_ref()?;
        Some(match self.state {
            ExperimentState::Evaluating if trial.is_anchored() => sample::Purpose::Anchor,
            ExperimentState::Evaluating if trial.extended > 0 => sample::Purpose::Extension,
            ExperimentState::Evaluating => sample::Purpose::Comparison,
            _ => sample::Purpose::Confirmation,
        })
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

    /// What a person is to decide on, while nobody has.
    #[must_use]
    pub fn undecided(&self) -> Option<&Judged> {
        match self {
            Self::Recommended(judged) | Self::NeedsReview(judged) => Some(judged),
            _ => None,
        }
    }

    /// A person's decision, once there is one.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Self::Approved { by, .. } | Self::Rejected { by, .. } => Some(by),
            _ => None,
        }
    }

    /// What an approval means that the judge had not recommended.
    #[must_use]
    pub fn anyway(&self) -> Option<Anyway> {
        match self {
            Self::Approved { anyway, .. } => *anyway,
            _ => None,
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
    /// What their pairs say about the gain; absent under the point rule, which has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<Gain>,
}

/// What an approval that the judge did not recommend means for the campaign's error guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anyway {
    /// The evidence had reached its bar: the guarantee covers it.
    InsideGuarantee,
    /// It had not: the guarantee says nothing about it.
    OutsideGuarantee,
}

impl Anyway {
    /// What an approval after `judgement` would mean; `None` when the judge recommends it.
    #[must_use]
    pub fn of(judgement: &Judgement) -> Option<Self> {
        let Judgement { verdict, evidence, .. } = judgement;
        let has_crossed = evidence.as_ref().is_some_and(|evidence| evidence.crossing.is_some());
        match (verdict, has_crossed) {
            (Verdict::Promote, _) => None,
            (_, true) => Some(Self::InsideGuarantee),
            (_, false) => Some(Self::OutsideGuarantee),
        }
    }
}

/// The words for people.
impl fmt::Display for Anyway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("against the judge's recommendation, ")?;
        f.write_str(match self {
            Self::InsideGuarantee => "inside the error guarantee",
            Self::OutsideGuarantee => "outside the error guarantee",
        })
    }
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
