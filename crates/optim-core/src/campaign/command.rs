//! What may be asked of a campaign, and why it may be refused.

use std::num::NonZeroU32;

use crate::id::{Actor, EvaluationId, ExperimentId, RequestKey};
use crate::mutation::Mutation;
use crate::mutation::patch::Patch;
use crate::policy::{Extension, ExtensionError};
use crate::quantity::Timestamp;
use crate::workflow::Fingerprint;

use super::live::Texts;
use super::observation::EvaluationResult;
use super::{Fate, Status};

/// Asked by a person or a caller: may be refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begins the work of a draft.
    Start {
        /// Why.
        reason: Option<String>,
    },
    /// Stops new work; what runs still lands, unless it is cancelled.
    Pause {
        /// Why.
        reason: Option<String>,
        /// Whether the case runs in flight are cancelled; their evaluation begins again on resume.
        cancel_runs: bool,
    },
    /// Ends a hold.
    Resume {
        /// Why.
        reason: Option<String>,
    },
    /// Ends the campaign.
    Cancel {
        /// Why.
        reason: Option<String>,
    },
    /// Ends the campaign as completed, as soon as nothing is in flight. What is approved stays so.
    Close {
        /// Why.
        reason: Option<String>,
    },
    /// Takes a campaign that is over out of the lists. Nothing of it is deleted.
    Archive {
        /// Why.
        reason: Option<String>,
    },
    /// Adds to the budget. The frozen policies stay as they are.
    Extend {
        /// What is added.
        by: Extension,
        /// Why.
        reason: String,
    },
    /// Lets a campaign that was held for too many failures go on.
    ResetFailures {
        /// Why they should not happen again.
        reason: String,
    },
    /// Asks for another replay of the baseline, due or not. Asked again while one waits or runs, it
    /// changes nothing.
    QueueReplay {
        /// Why.
        reason: Option<String>,
    },
    /// Takes in a replay whose runs are all over, without waiting for the loops to do it.
    RecordReplay(ReplayRecord),
    /// Hands in a candidate of one's own.
    Suggest {
        /// The change, already validated against the baseline and the policies.
        mutation: Mutation,
    },
    /// Accepts the pending experiment, which the judge recommends; the baseline moves.
    Approve {
        /// The experiment that the person has seen.
        experiment: ExperimentId,
        /// Why.
        reason: Option<String>,
    },
    /// Accepts the pending experiment though the judge does not recommend it; the baseline moves.
    ApproveAnyway {
        /// The experiment that the person has seen.
        experiment: ExperimentId,
        /// Why.
        reason: String,
    },
    /// Goes on with the comparison of the experiment under review.
    AddPairs {
        /// The pairs that are added to the most that it may have.
        pairs: NonZeroU32,
        /// Why.
        reason: String,
    },
    /// Turns the pending experiment down.
    Reject {
        /// The experiment that the person has seen.
        experiment: ExperimentId,
        /// Why.
        reason: String,
    },
    /// Asks for a measurement of what was applied. Asked again while one waits or runs, it changes
    /// nothing.
    Measure {
        /// What is live now.
        live: Fingerprint,
        /// Why.
        reason: Option<String>,
    },
    /// Announces a write of the approved baseline to the live workflow.
    Apply(LiveChange),
    /// Announces a write of the inverse of the last apply.
    Rollback(LiveChange),
}

/// What is on record about an evaluation that is to count as a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayRecord {
    /// The evaluation.
    pub evaluation: EvaluationId,
    /// Its case runs, whatever their state.
    pub runs: u32,
    /// Those of them that are not over.
    pub open: u32,
    /// Those of them that executed another definition than the current baseline.
    pub foreign: u32,
    /// What they showed together.
    pub result: EvaluationResult,
}

/// A write to the live workflow, as prepared against what is live now.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveChange {
    /// What is live now.
    pub from: Fingerprint,
    /// What will be live.
    pub to: Fingerprint,
    /// The texts of both.
    pub texts: Texts,
    /// The changes; they must be the ones that the campaign plans.
    pub patch: Patch,
    /// Why a live workflow that differs elsewhere is accepted; absent means that it is not.
    pub accept_drift: Option<String>,
    /// Why it is written.
    pub reason: Option<String>,
}

/// All that a decision may depend on besides the state. Passed in, never fetched.
#[derive(Debug, Clone)]
pub struct Context {
    /// The time of the decision.
    pub now: Timestamp,
    /// Who caused it.
    pub actor: Actor,
}

/// A command that is not allowed now. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The campaign's status does not allow the command.
    #[error("the campaign is {}, so it cannot {command}; {help}", status.name())]
    WrongStatus {
        /// What was asked, as a verb.
        command: &'static str,
        /// The status.
        status: Status,
        /// What can be done instead.
        help: &'static str,
    },
    /// The experiment is not the one that awaits a decision.
    #[error("experiment {asked} does not await a decision; {}", pending_text(pending.as_ref()))]
    NotPending {
        /// The experiment that was named.
        asked: ExperimentId,
        /// The one that does.
        pending: Option<ExperimentId>,
    },
    /// The experiment was measured against another baseline.
    #[error("experiment {experiment} was measured against another baseline; run it again")]
    BaselineMoved {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// The judge does not recommend the experiment.
    #[error(
        "the judge does not recommend experiment {experiment}: {why}; `--anyway` with a --reason \
         approves it all the same"
    )]
    NotRecommended {
        /// The experiment.
        experiment: ExperimentId,
        /// What the judge says.
        why: String,
    },
    /// There is no comparison that pairs could be added to.
    #[error("there is no candidate to add pairs to: {why}")]
    NothingUnderReview {
        /// What there is instead.
        why: String,
    },
    /// A decision that needs words came without.
    #[error("{what} needs a reason; give one with --reason")]
    ReasonRequired {
        /// The decision.
        what: &'static str,
    },
    /// The budget cannot be extended so.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// The evaluation cannot count as a replay of the baseline.
    #[error("evaluation {evaluation} cannot be recorded as a replay: {why}")]
    NoReplay {
        /// The evaluation.
        evaluation: EvaluationId,
        /// What is wrong with it.
        why: String,
    },
    /// The same change had its turn.
    #[error("this change was {} in this campaign before", fate.name())]
    AlreadyTried {
        /// What became of it.
        fate: Fate,
    },
    /// Too many candidates wait.
    #[error("{waiting} candidates wait already, which is the most; let the campaign work them off")]
    TooManySuggestions {
        /// How many.
        waiting: usize,
    },
    /// The live workflow holds what is approved.
    #[error(
        "there is nothing to apply: the live workflow holds baseline version {version}, the newest that is approved"
    )]
    NothingToApply {
        /// The version.
        version: u32,
    },
    /// No apply is in effect.
    #[error("there is nothing to roll back: no apply of this campaign is in effect")]
    NothingToRollBack,
    /// Another version is live than the one on which the write was asked for.
    #[error(
        "baseline version {live} is live, not {asked} as you asked for; nothing was written: look at `optim status`"
    )]
    LiveVersion {
        /// The version that is live.
        live: u32,
        /// The version that should be.
        asked: u32,
    },
    /// An earlier write has no recorded end.
    #[error(
        "an earlier write to the live workflow has no recorded end; run the command again to settle it"
    )]
    WriteInProgress,
    /// The live workflow is not what the campaign knows.
    #[error(
        "the live workflow is {found}, this campaign knows {expected}: it was edited since; start a new campaign, or accept it with --accept-drift REASON"
    )]
    LiveDrift {
        /// What the campaign knows.
        expected: Fingerprint,
        /// What was found.
        found: Fingerprint,
    },
    /// Nothing that this campaign wrote is live.
    #[error("there is nothing to measure: no apply of this campaign is in effect")]
    NothingToMeasure,
    /// The live workflow is not what was applied.
    #[error(
        "the live workflow is {found}, and what was applied is {expected}: it was edited since, so a measurement would say nothing about the apply; undo the edit, or start a new campaign on it"
    )]
    MeasuresDrift {
        /// What was applied.
        expected: Fingerprint,
        /// What was found.
        found: Fingerprint,
    },
    /// The budget does not cover it.
    #[error(
        "the budget does not cover {what}: {shortage}; `optim extend` adds to it while the campaign is open"
    )]
    Unaffordable {
        /// What was asked for.
        what: &'static str,
        /// Which limit, with figures.
        shortage: String,
    },
    /// The key stands for another request.
    #[error(
        "key {key} was given for something else before; ask for that again, or use another key"
    )]
    KeyReused {
        /// The key.
        key: RequestKey,
    },
    /// The prepared changes are not the planned ones.
    #[error("the changes were prepared for another state of the campaign; prepare them again")]
    StalePatch,
}

fn pending_text(pending: Option<&ExperimentId>) -> String {
    match pending {
        Some(id) => format!("{id} does"),
        None => "none does".to_owned(),
    }
}

impl Rejection {
    /// The stable code of this refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongStatus { .. } => "campaign_wrong_status",
            Self::NotPending { .. } => "not_pending",
            Self::BaselineMoved { .. } => "baseline_moved",
            Self::NotRecommended { .. } => "not_recommended",
            Self::NothingUnderReview { .. } => "nothing_under_review",
            Self::ReasonRequired { .. } => "reason_required",
            Self::Extension(error) => error.code(),
            Self::NoReplay { .. } => "not_a_replay",
            Self::AlreadyTried { .. } => "already_tried",
            Self::TooManySuggestions { .. } => "too_many_suggestions",
            Self::NothingToApply { .. } => "nothing_to_apply",
            Self::NothingToRollBack => "nothing_to_roll_back",
            Self::LiveVersion { .. } => "live_version_differs",
            Self::WriteInProgress => "write_in_progress",
            Self::LiveDrift { .. } | Self::MeasuresDrift { .. } => "live_drift",
            Self::NothingToMeasure => "nothing_to_measure",
            Self::Unaffordable { .. } => "budget_too_small",
            Self::KeyReused { .. } => "key_reused",
            Self::StalePatch => "stale_patch",
        }
    }
}
