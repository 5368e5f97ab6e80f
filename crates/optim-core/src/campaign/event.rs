//! What is told about a campaign, a stored workflow, a workflow run or a provider: one event at least for
//! each change of state, in the same commit.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::experiment::Anyway;
use crate::id::{
    Actor, CampaignId, EvaluationId, ExperimentId, ProviderId, WorkflowId, WorkflowRunId,
};
use crate::judge::evalue::LogE;
use crate::outcome::Usage;
use crate::policy::Extension;
use crate::quantity::Timestamp;
use crate::stored_workflow::VersionNumber;
use crate::verdict::Verdict;
use crate::workflow::Fingerprint;
use crate::workflow_run::event::WorkflowRunEvent;

use super::ledger::{Amount, Spent};
use super::live::LiveWriteKind;
use super::measurement::Measured;
use super::{Ending, Hold, Purpose};

/// An event with who and when. The store adds its sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// What it is about; a field of its own in JSON, such as `"campaign": "c"`.
    #[serde(flatten)]
    pub subject: Subject,
    /// Who caused it.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: EventKind,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A campaign.
    Campaign(CampaignId),
    /// A stored workflow.
    Workflow(WorkflowId),
    /// A workflow run.
    WorkflowRun(WorkflowRunId),
    /// A provider.
    Provider(ProviderId),
}

impl Subject {
    /// The campaign, if it is one.
    #[must_use]
    pub fn campaign(&self) -> Option<&CampaignId> {
        match self {
            Self::Campaign(id) => Some(id),
            Self::Workflow(_) | Self::WorkflowRun(_) | Self::Provider(_) => None,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum EventKind {
    /// The campaign was created.
    CampaignCreated,
    /// The campaign was started.
    CampaignStarted {
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Nothing new starts.
    CampaignHeld {
        /// Why.
        reason: Hold,
    },
    /// The hold ended.
    CampaignResumed {
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// A person added to the budget.
    BudgetExtended {
        /// What was added.
        by: Extension,
        /// Why.
        reason: String,
    },
    /// A person let the campaign go on after too many failures.
    FailuresReset {
        /// How many there had been in a row.
        failures: u32,
        /// Why.
        reason: String,
    },
    /// A person wants the campaign to end as soon as nothing is in flight.
    CampaignClosing {
        /// Why.
        reason: Option<String>,
    },
    /// The campaign was taken out of the lists.
    CampaignArchived {
        /// Why.
        reason: Option<String>,
    },
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
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// An evaluation gave no result, so the next one waits.
    BackOffBegun {
        /// Evaluations in a row without a result.
        failures: u32,
        /// When the campaign goes on.
        until: Timestamp,
    },
    /// The campaign goes on after that wait.
    BackOffEnded,
    /// What a cancelled evaluation has cost is known.
    EvaluationSettled {
        /// The evaluation.
        evaluation: EvaluationId,
        /// Its cost.
        spent: Spent,
    },
    /// A process has taken up the wait for an evaluation after the one before ended.
    EvaluationContinued {
        /// The evaluation.
        evaluation: EvaluationId,
    },
    /// A person asked for another replay of the baseline.
    ReplayWanted {
        /// Why.
        reason: Option<String>,
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
    /// Proposers that cost something are about to be asked.
    ProposersAsked {
        /// The most that the call may use.
        at_most: Amount,
    },
    /// The call of the proposers has ended.
    ProposersPaid {
        /// What it has cost.
        usage: Usage,
    },
    /// A candidate was proposed.
    CandidateProposed {
        /// The experiment.
        experiment: ExperimentId,
    },
    /// Another batch of a candidate's pairs is over.
    CandidateCompared {
        /// The experiment.
        experiment: ExperimentId,
        /// Its measured pairs so far.
        pairs: u32,
        /// Pairs in which it scored higher.
        better: u32,
        /// Pairs in which it scored lower.
        worse: u32,
        /// The evidence for it.
        evidence: LogE,
        /// The evidence that is needed.
        bar: LogE,
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
        /// What it means that the judge had not recommended it; absent when the judge had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        anyway: Option<Anyway>,
    },
    /// A person added pairs to a candidate under review; its comparison goes on.
    PairsAdded {
        /// The experiment.
        experiment: ExperimentId,
        /// How many more it may have.
        pairs: NonZeroU32,
        /// Why.
        reason: String,
    },
    /// A person approved a candidate, and the check before it found that it must not be.
    ApprovalRefused {
        /// The experiment.
        experiment: ExperimentId,
        /// What was found.
        reason: String,
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
        /// Why it is written.
        #[serde(default)]
        reason: Option<String>,
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
    /// A measurement of what was applied is wanted.
    MeasurementWanted {
        /// The baseline's version that is live.
        version: u32,
        /// Why; absent when the policy asks for it.
        reason: Option<String>,
    },
    /// What was applied is measured.
    LiveMeasured {
        /// The baseline's version that is live.
        version: u32,
        /// What was found. The apply's own record of it goes with a rollback.
        measured: Box<Measured>,
    },
    /// A measurement of what was applied ended without figures.
    MeasurementGivenUp {
        /// Why.
        reason: String,
    },
    /// A stored workflow has a new version.
    WorkflowPut {
        /// The version.
        version: VersionNumber,
        /// What it means.
        fingerprint: Fingerprint,
    },
    /// A stored workflow is out of use.
    WorkflowRetired {
        /// Why.
        reason: String,
    },
    /// A stored workflow was deleted.
    WorkflowDeleted {
        /// Why.
        reason: String,
        /// Until when it can be restored.
        restore_until: Timestamp,
    },
    /// A delete or a retirement was taken back.
    WorkflowRestored {
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// The history of a deleted workflow is gone.
    WorkflowPurged,
    /// Something happened to a workflow run.
    WorkflowRun {
        /// What.
        change: WorkflowRunEvent,
    },
    /// A provider asked to be left alone, and is.
    ProviderThrottled {
        /// Until then.
        until: Timestamp,
    },
}

impl EventKind {
    /// Whether something is worked out from it as long as the campaign is on record: its decisions, which
    /// can be made again, or what invariants compare with its state.
    #[must_use]
    pub fn is_evidence(&self) -> bool {
        match self {
            Self::CampaignCreated
            | Self::CampaignClosed { .. }
            | Self::BudgetExtended { .. }
            | Self::EvaluationQueued { .. }
            | Self::CandidateProposed { .. }
            | Self::CandidateJudged { .. }
            | Self::CandidateFailed { .. }
            | Self::CandidateSuperseded { .. }
            | Self::CandidateApproved { .. }
            | Self::CandidateRejected { .. }
            | Self::PairsAdded { .. }
            | Self::ApprovalRefused { .. }
            | Self::LiveWriteAnnounced { .. }
            | Self::LiveWriteDone { .. }
            | Self::LiveWriteFailed { .. } => true,
            Self::CampaignStarted { .. }
            | Self::CampaignHeld { .. }
            | Self::CampaignResumed { .. }
            | Self::FailuresReset { .. }
            | Self::CampaignClosing { .. }
            | Self::CampaignArchived { .. }
            | Self::EvaluationFinished { .. }
            | Self::EvaluationDropped { .. }
            | Self::BackOffBegun { .. }
            | Self::BackOffEnded
            | Self::EvaluationSettled { .. }
            | Self::EvaluationContinued { .. }
            | Self::ReplayWanted { .. }
            | Self::BaselineEstablished { .. }
            | Self::CandidateSuggested { .. }
            | Self::SuggestionRefused { .. }
            | Self::ProposersAsked { .. }
            | Self::ProposersPaid { .. }
            | Self::CandidateCompared { .. }
            | Self::CandidateConfirmed { .. }
            | Self::MeasurementWanted { .. }
            | Self::LiveMeasured { .. }
            | Self::MeasurementGivenUp { .. }
            | Self::WorkflowPut { .. }
            | Self::WorkflowRetired { .. }
            | Self::WorkflowDeleted { .. }
            | Self::WorkflowRestored { .. }
            | Self::WorkflowPurged
            | Self::WorkflowRun { .. }
            | Self::ProviderThrottled { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_its_subject_and_one_of_an_older_store_is_read() {
        let older =
            r#"{"campaign":"c","actor":"engine","at":7,"what":{"event":"campaign_created"}}"#;
        let event: Event = serde_json::from_str(older).unwrap();
        assert_eq!(event.subject, Subject::Campaign(CampaignId::new("c").unwrap()));
        assert_eq!(serde_json::to_string(&event).unwrap(), older);
        let of_workflow = older.replace("campaign\":\"c", "workflow\":\"w");
        let event: Event = serde_json::from_str(&of_workflow).unwrap();
        assert_eq!(event.subject.campaign(), None);
        for wrong in [
            older.replace("campaign\":", "x\":"),
            older.replace("\"c\"", "\"\""),
            older.replace("{\"camp", "{\"x\":1,\"camp"),
        ] {
            assert!(serde_json::from_str::<Event>(&wrong).is_err(), "{wrong}");
        }
    }
}
