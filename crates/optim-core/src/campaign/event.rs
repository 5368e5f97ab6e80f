//! What is told about a campaign: one event at least for each change of state, in the same commit.

use serde::{Deserialize, Serialize};

use crate::id::{Actor, CampaignId, EvaluationId, ExperimentId};
use crate::quantity::Timestamp;
use crate::verdict::Verdict;
use crate::workflow::Fingerprint;

use super::live::LiveWriteKind;
use super::{Ending, Hold, Purpose};

/// An event with who and when. The store adds its sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The campaign.
    pub campaign: CampaignId,
    /// Who caused it.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum EventKind {
    /// The campaign was created.
    CampaignCreated,
    /// The campaign was started.
    CampaignStarted,
    /// Nothing new starts.
    CampaignHeld {
        /// Why.
        reason: Hold,
    },
    /// The hold ended.
    CampaignResumed,
    /// The campaign is over.
    CampaignClosed {
        /// How it ended.
        ending: Ending,
    },
    /// Case runs were queued.
    EvaluationQueued {
        /// The evaluation.
        evaluation: EvaluationId,
        /// What it is for.
        purpose: Purpose,
    },
    /// All case runs of an evaluation are over.
    EvaluationFinished {
        /// The evaluation.
        evaluation: EvaluationId,
        /// What it was for.
        purpose: Purpose,
    },
    /// An evaluation was given up: its case runs are cancelled, its results are not used.
    EvaluationDropped {
        /// The evaluation.
        evaluation: EvaluationId,
    },
    /// Enough replays agree.
    BaselineEstablished {
        /// The baseline's version.
        version: u32,
    },
    /// A person handed in a candidate.
    CandidateSuggested {
        /// The change, in words.
        mutation: String,
    },
    /// A candidate that a person handed in does not fit the baseline any more.
    SuggestionRefused {
        /// The change, in words.
        mutation: String,
        /// Why.
        reason: String,
    },
    /// A candidate was proposed.
    CandidateProposed {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// A candidate was judged.
    CandidateJudged {
        /// The experiment.
        experiment: ExperimentId,
        /// The verdict.
        verdict: Verdict,
    },
    /// A winner was measured on the holdout cases.
    CandidateConfirmed {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// A candidate gave no measurable result.
    CandidateFailed {
        /// The experiment.
        experiment: ExperimentId,
        /// Why.
        reason: String,
    },
    /// A candidate ended without a decision.
    CandidateSuperseded {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// A person approved a candidate; the baseline moved.
    CandidateApproved {
        /// The experiment.
        experiment: ExperimentId,
        /// The baseline's new version.
        version: u32,
        /// Why.
        reason: Option<String>,
    },
    /// A person rejected a candidate.
    CandidateRejected {
        /// The experiment.
        experiment: ExperimentId,
        /// Why.
        reason: String,
    },
    /// A write to the live workflow was announced.
    LiveWriteAnnounced {
        /// Apply or rollback.
        kind: LiveWriteKind,
        /// The live workflow before.
        from: Fingerprint,
        /// The live workflow after.
        to: Fingerprint,
        /// Why a live workflow that differs elsewhere was accepted.
        accepted_drift: Option<String>,
    },
    /// The write took effect.
    LiveWriteDone {
        /// The live workflow after.
        to: Fingerprint,
    },
    /// The write did not take effect.
    LiveWriteFailed {
        /// Why.
        reason: String,
    },
}
