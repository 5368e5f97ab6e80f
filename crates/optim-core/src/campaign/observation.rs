//! What has happened outside: facts, never refused.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::experiment::Proposer;
use crate::id::{CaseId, EvaluationId, ExperimentId};
use crate::metrics::Metrics;
use crate::mutation::Mutation;
use crate::outcome::Usage;
use crate::proposal::refusals::Refusals;
use crate::run::faults::Faults;
use crate::workflow::Fingerprint;

use super::CaseMark;
use super::ledger::{Allowance, Amount, Spent};
use super::pairing::Landings;

/// Something that has happened. A fact about something that the campaign no longer waits for
/// changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// All case runs of an evaluation are over.
    EvaluationFinished {
        /// The evaluation.
        evaluation: EvaluationId,
        /// What they showed.
        result: EvaluationResult,
    },
    /// No case run of a batch of pairs is open.
    BatchLanded {
        /// The batch.
        batch: u32,
        /// What became of its case runs, in all its rounds.
        landed: Landings,
        /// Why case runs gave no outcome, if some did not.
        faults: Option<Faults>,
        /// What the evaluations in flight have cost.
        spent: BTreeMap<EvaluationId, Spent>,
    },
    /// Runs of an evaluation that should be there are not on record.
    RunsMissing {
        /// The evaluation.
        evaluation: EvaluationId,
    },
    /// An evaluation that was cancelled has cost this.
    EvaluationSettled {
        /// The evaluation.
        evaluation: EvaluationId,
        /// What its runs have consumed.
        spent: Spent,
    },
    /// A process has taken up the work after the one before ended.
    Continued,
    /// Proposers that cost something are about to be asked. The call may only be made when the
    /// campaign is not held after this.
    ProposersAsked {
        /// The most that the call may use.
        at_most: Amount,
    },
    /// A candidate for the current baseline was found.
    Proposed {
        /// The baseline that it was derived from.
        baseline: Fingerprint,
        /// Who proposed it.
        proposer: Proposer,
        /// The candidate.
        candidate: Candidate,
        /// Proposals that were refused on the way.
        refused: Refusals,
        /// What finding it has cost.
        usage: Usage,
    },
    /// No proposer has a further candidate for the current baseline.
    NothingToPropose {
        /// The baseline that was asked about.
        baseline: Fingerprint,
        /// Proposals that were refused.
        refused: Refusals,
        /// What asking has cost.
        usage: Usage,
    },
    /// The check before an approval found that the pending experiment must not be approved.
    ApprovalRefused {
        /// The experiment.
        experiment: ExperimentId,
        /// What was found.
        reason: String,
    },
    /// A candidate that a person handed in no longer fits the baseline.
    SuggestionRefused {
        /// The change.
        mutation: Mutation,
        /// Why.
        reason: String,
    },
    /// An announced write to the live workflow is over, or was interrupted.
    LiveWriteEnded {
        /// What is live now.
        found: Fingerprint,
    },
    /// The live workflow was read for the measurement that waits for it, or why it could not be.
    LiveRead(Result<LiveRead, String>),
    /// The workflow that the campaign optimizes is not there any more.
    SourceGone {
        /// What became of it.
        reason: String,
    },
    /// Time has passed; something may be due.
    Woke,
}

/// The live workflow as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRead {
    /// What is live.
    pub found: Fingerprint,
    /// The same with the campaign's model, if it has one: what is executed.
    pub fingerprint: Fingerprint,
    /// Its definition, by content digest.
    pub snapshot: Digest,
}

/// A candidate, its definition stored under `snapshot`.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The change.
    pub mutation: Mutation,
    /// The baseline with the change.
    pub fingerprint: Fingerprint,
    /// Its definition, by content digest.
    pub snapshot: Digest,
    /// The most that one case run of it can use, where the executor knows it.
    pub worst_case: Option<Allowance>,
}

/// What the case runs of an evaluation showed together.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationResult {
    /// Counts over the expected outcomes.
    pub metrics: Metrics,
    /// Case by case.
    pub cases: BTreeMap<CaseId, CaseMark>,
    /// Why case runs gave no outcome, if some did not.
    pub faults: Option<Faults>,
    /// What it cost, faults included.
    pub spent: Spent,
}

impl EvaluationResult {
    /// Whether any case gave an outcome.
    #[must_use]
    pub fn is_measurable(&self) -> bool {
        self.cases.values().any(|mark| *mark != CaseMark::Void)
    }

    /// That `what` gave no measurable result, and why.
    #[must_use]
    pub fn without_result(&self, what: &str) -> String {
        without_result(what, self.faults.as_ref())
    }
}

/// That `what` gave no measurable result, with the most frequent cause where there is one.
pub(super) fn without_result(what: &str, faults: Option<&Faults>) -> String {
    let faults = faults.map(|faults| format!(": {faults}")).unwrap_or_default();
    format!("{what} gave no measurable result{faults}")
}
