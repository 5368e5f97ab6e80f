//! Campaigns: one optimization effort over one workflow under five frozen policies.
//!
//! A campaign is a value. [`decide`](transition::decide) answers a command, which may be refused;
//! [`observe`](transition::observe) takes in a fact, which never is; [`work`](work::work) says what
//! the outside should do now. All three are pure: the same state and input give the same answer.

pub mod back_off;
pub mod check;
pub mod command;
pub mod estimate;
pub mod event;
pub mod ledger;
pub mod live;
pub mod location;
pub mod measurement;
pub mod observation;
pub mod pairing;
pub mod recheck;
pub mod request;
pub mod transition;
pub mod work;

#[cfg(test)]
mod grid;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::experiment::{Decision, Experiment};
use crate::id::{Actor, CampaignId, CaseId, EvaluationId, ExperimentId, WorkflowId};
use crate::judge::error_budget::ErrorBudget;
use crate::judge::sample;
use crate::metrics::Metrics;
use crate::mutation::MutationKey;
use crate::mutation::patch::Patch;
use crate::pack::{CaseCounts, Split};
use crate::policy::{BudgetPolicy, EvalPolicy, Extension, FrozenFile, Policies, Rule};
use crate::proposal::prospect::Prospect;
use crate::proposal::refusals::Refusals;
use crate::quantity::{Millis, Timestamp};
use crate::verdict::Verdict;
use crate::workflow::{Fingerprint, ModelRef};

use self::back_off::BackOff;
use self::ledger::{Allowance, Ledger};
use self::live::Live;
use self::location::Location;
use self::pairing::Pairing;
use self::request::Requests;

pub use self::ledger::Spent;

/// A campaign: everything that its decisions depend on. Big payloads (definitions, the objective
/// text, the pack) are stored once by digest and referred to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// Its name, for people.
    pub name: String,
    /// Feeds everything that is drawn at random in it.
    pub seed: u64,
    /// What it optimizes.
    pub source: Source,
    /// The model that every agent runs on instead of its own, for the whole campaign. The source and
    /// everything that is written to the live workflow know nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_override: Option<ModelRef>,
    /// The rules, frozen at creation.
    pub frozen: Frozen,
    /// What candidates are compared with.
    pub baseline: Baseline,
    /// Where it stands.
    pub phase: Phase,
    /// Why nothing new starts; work in flight still lands.
    pub hold: Option<Hold>,
    /// How the search for candidates goes.
    pub search: Search,
    /// What is left of the error probability that the sequential rule may risk; absent under another
    /// rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<ErrorBudget>,
    /// What people added to the budget of the frozen policies.
    #[serde(default)]
    pub extension: Extension,
    /// What it has spent, and what is set aside.
    #[serde(alias = "spent")]
    pub ledger: Ledger,
    /// Its dealings with the live workflow.
    pub live: Live,
    /// A person's wish that it ends as soon as nothing is in flight.
    #[serde(default)]
    pub closing: Option<Decision>,
    /// A person's wish not to see it in lists any more; it is over then.
    #[serde(default)]
    pub archived: Option<Decision>,
    /// What people asked for with a key of their own.
    #[serde(default, skip_serializing_if = "Requests::is_empty")]
    pub requests: Requests,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The workflow that a campaign optimizes, as it was at creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The workflow's id.
    pub workflow: WorkflowId,
    /// The workflow's name.
    pub name: String,
    /// Where the live workflow is.
    pub location: Location,
    /// The absolute path of the folder where relative paths of the definition begin; absent means the
    /// folder of the live file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The definition, by content digest.
    pub snapshot: Digest,
    /// The definition's fingerprint.
    pub fingerprint: Fingerprint,
}

impl Source {
    /// The absolute path of the folder where relative paths of the definition begin.
    #[must_use]
    pub fn folder(&self) -> &str {
        match (&self.workspace, &self.location) {
            (Some(workspace), _) => workspace,
            (None, Location::File(path)) => match path.rsplit_once('/') {
                Some((folder, _)) if !folder.is_empty() => folder,
                Some(_) | None => "/",
            },
            (None, Location::Stored(_)) => "/",
        }
    }
}

/// The rules of a campaign, frozen at creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// The four policies with rules in them.
    pub policies: Policies,
    /// `objective.md`, by content digest.
    pub objective: Digest,
    /// The eval pack, by content digest.
    pub pack: Digest,
    /// Search cases in the pack; at least one.
    pub search_cases: u32,
    /// Holdout cases in the pack.
    pub holdout_cases: u32,
    /// Tune cases in the pack.
    #[serde(default)]
    pub tune_cases: u32,
    /// The files that all this was read from.
    pub files: Vec<FrozenFile>,
    /// Who executes nodes, as configured, for instance `lexical`.
    pub executor: String,
    /// Whether the executor simulates; shown wherever its numbers are.
    pub simulated: bool,
    /// The most that one case run of the first baseline can use, where the executor knows it.
    #[serde(default)]
    pub worst_case: Option<Allowance>,
    /// The executor's settings, as a digest; absent in campaigns that were created without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executor_settings: Option<Digest>,
}

/// What candidates are compared with. Version 0 is the source; each approval makes the next one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Counts the approvals that led here.
    pub version: u32,
    /// The definition, by content digest.
    pub snapshot: Digest,
    /// The definition's fingerprint.
    pub fingerprint: Fingerprint,
    /// The definition of version 0 with its fingerprint, for later versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<(Digest, Fingerprint)>,
    /// The most that one case run of it can use, where the executor knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_case: Option<Allowance>,
    /// The difference from the source to here.
    pub patch: Patch,
    /// The replays of this version that count, oldest first.
    pub replays: Vec<Replay>,
    /// The metrics that candidates are compared with; absent until enough replays agree.
    pub established: Option<Metrics>,
}

/// One replay of the baseline on the search cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The evaluation.
    pub evaluation: EvaluationId,
    /// What it showed.
    pub metrics: Metrics,
    /// How many experiments the campaign had when it was recorded.
    pub experiments: u32,
    /// When it was recorded.
    pub at: Timestamp,
    /// What each case showed, for flakiness: its outcomes in one digest, keyed by case.
    pub cases: BTreeMap<CaseId, CaseMark>,
}

/// A case's outcome in a replay, condensed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseMark {
    /// Every check passed.
    Passed,
    /// Some check failed.
    Failed,
    /// There was no measurable outcome.
    Void,
}

/// The case runs of one frozen definition for one purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Derived from campaign and purpose.
    pub id: EvaluationId,
    /// What it is for.
    pub purpose: Purpose,
    /// The definition, by content digest.
    pub snapshot: Digest,
    /// The definition's fingerprint.
    pub fingerprint: Fingerprint,
    /// The cases it runs on.
    pub split: Split,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// What each of its case runs may use of the campaign's budget.
    #[serde(default)]
    pub allowance: Allowance,
    /// When a process last took up the wait for it; absent while that is the one that queued it.
    #[serde(default)]
    pub continued_at: Option<Timestamp>,
    /// How often runs of it were missing and queued again.
    #[serde(default)]
    pub requeued: u32,
    /// The places among the cases of the split of those that it runs on; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Vec<u32>>,
}

/// What an evaluation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "purpose")]
pub enum Purpose {
    /// Measures the baseline.
    Replay {
        /// Counts the replays of the campaign from 1.
        number: u32,
    },
    /// Measures a candidate on the search cases.
    Candidate {
        /// The candidate.
        experiment: ExperimentId,
    },
    /// Measures the baseline on the holdout cases, beside a winner.
    ConfirmBaseline {
        /// The winner.
        experiment: ExperimentId,
    },
    /// Measures a winner on the holdout cases.
    ConfirmCandidate {
        /// The winner.
        experiment: ExperimentId,
    },
    /// Measures what is live after an apply.
    MeasureLive {
        /// Counts the measurements of the campaign from 1.
        number: u32,
        /// The cases; each split is an evaluation of its own.
        split: Split,
    },
    /// Measures one side of a batch of pairs.
    Paired {
        /// The candidate, or the first of a group of candidates, whose batch it is.
        experiment: ExperimentId,
        /// What the pairs are for.
        pairs: sample::Purpose,
        /// The side.
        side: Side,
        /// The batch, from 0.
        batch: u32,
        /// The round of the batch, from 1: what a fault or a hold has stopped is measured in another.
        round: u32,
        /// Faults of the outside that ended these pairs before, 0 at first.
        attempt: u32,
    },
}

/// A side of pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "side")]
pub enum Side {
    /// What candidates are compared with.
    Control,
    /// A candidate.
    Candidate {
        /// Which.
        candidate: ExperimentId,
    },
}

impl Side {
    /// Both sides of a pair of `candidate`: the control first.
    #[must_use]
    pub fn of_pair(candidate: ExperimentId) -> [Self; 2] {
        [Self::Control, Self::Candidate { candidate }]
    }
}

/// Where a campaign stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    /// Created; nothing runs before `start`.
    Draft,
    /// Measures the baseline.
    Replaying {
        /// The replay in flight.
        evaluation: Option<Evaluation>,
    },
    /// The baseline stands; the next candidate is wanted.
    Searching,
    /// Measures a candidate.
    Evaluating {
        /// The candidate.
        experiment: Box<Experiment>,
        /// Its evaluation in flight; none while it waits for a hold to end.
        evaluation: Option<Evaluation>,
    },
    /// Compares candidates with the baseline, batch by batch of pairs; or confirms one that is decided on
    /// the holdout cases, pass by pass.
    Comparing {
        /// The group: at least one candidate that is being compared; they share the control side. A
        /// candidate that a person must decide waits here until the others are over. One alone that is
        /// decided is being confirmed.
        candidates: Vec<Experiment>,
        /// The batch that is not over; none when the next one is to be drawn.
        batch: Option<Pairing>,
    },
    /// Measures baseline and winner on the holdout cases, under the point rule.
    Confirming {
        /// The winner.
        experiment: Box<Experiment>,
        /// The evaluations in flight: both, one, or none when they wait for a hold to end.
        evaluations: Vec<Evaluation>,
        /// What has landed.
        baseline: Option<Metrics>,
        /// What has landed.
        candidate: Option<Metrics>,
    },
    /// A person must decide.
    AwaitingApproval {
        /// The one pending experiment.
        experiment: Box<Experiment>,
    },
    /// Over.
    Closed {
        /// How it ended.
        ending: Ending,
        /// When.
        at: Timestamp,
    },
}

/// How a campaign ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ending")]
pub enum Ending {
    /// The number of experiments is used up.
    ExperimentsUsedUp,
    /// No proposer has a further mutation.
    NoFurtherMutation {
        /// Proposals that were refused.
        refused: Refusals,
    },
    /// The operator's own candidate is judged, and nothing else was asked for.
    SuggestionsDone,
    /// The baseline was compared with itself.
    HealthChecked,
    /// Too many evaluations in a row gave no measurable result. Read from older stores only: it has
    /// become [`Hold::Failures`], which loses nothing.
    TooManyFailures {
        /// How many.
        failures: u32,
        /// The last one's reason.
        last: String,
    },
    /// A person ended it early, as completed.
    ClosedByOperator {
        /// Who, when and why.
        by: Decision,
    },
    /// A person ended it.
    Cancelled {
        /// Who.
        actor: Actor,
        /// Why.
        reason: Option<String>,
    },
    /// The workflow was deleted or retired: there is nothing left to improve.
    SourceGone {
        /// What became of it.
        reason: String,
    },
}

/// Why nothing new starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "hold")]
pub enum Hold {
    /// A person paused it.
    Operator {
        /// Who.
        actor: Actor,
        /// Why.
        reason: Option<String>,
    },
    /// The replays of the baseline do not agree.
    BaselineUnstable {
        /// What disagrees, with figures.
        reason: String,
    },
    /// The budget does not cover what comes next.
    Budget {
        /// Which limit, with figures.
        reason: String,
    },
    /// Too many evaluations in a row gave no measurable result.
    Failures {
        /// How many.
        failures: u32,
        /// The last one's reason.
        last: String,
    },
}

/// How the search for candidates goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Where candidates come from.
    pub mode: SearchMode,
    /// Experiments so far; the next one has this number plus one.
    pub experiments: u32,
    /// Replays so far.
    pub replays: u32,
    /// Experiments of the next group to be compared; always empty under the point rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gathered: Vec<Experiment>,
    /// Candidates that a person handed in and that wait for their turn.
    pub suggestions: Vec<crate::mutation::Mutation>,
    /// Mutations that may not come again, with what became of them.
    pub tried: BTreeMap<MutationKey, Fate>,
    /// Evaluations in a row without a measurable result.
    pub consecutive_failures: u32,
    /// Why the last of them had none.
    #[serde(default)]
    pub last_failure: Option<String>,
    /// The wait after the last of them, until the next evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_off: Option<BackOff>,
    /// A person wants another replay of the baseline, due or not.
    #[serde(default)]
    pub replay_wanted: bool,
    /// Evaluations that ended without a result and whose purpose is queued again, so far.
    #[serde(default)]
    pub retries: u32,
    /// Proposals that were refused on this baseline.
    pub refused: Refusals,
    /// What the proposers could offer, as counted before the campaign began; absent in campaigns that were
    /// created without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prospect: Option<Box<Prospect>>,
}

/// Where candidates come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMode {
    /// From the proposers, and from people before them.
    #[default]
    Proposers,
    /// From people only; the campaign ends when their candidates are judged.
    Suggestions,
    /// The baseline is its own one candidate: a check of the evaluator, which promotes nothing.
    Health,
}

/// What became of a mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// The judge discarded it.
    Discarded,
    /// A person rejected it.
    Rejected,
    /// A person approved it.
    Approved,
    /// It is being evaluated or awaits a decision.
    Pending,
}

impl Evaluation {
    /// Whether it runs on the case at this place of its split.
    #[must_use]
    pub fn runs_on(&self, case: u32) -> bool {
        self.drawn.as_ref().is_none_or(|drawn| drawn.contains(&case))
    }

    /// Whether it measures what candidates are compared with.
    #[must_use]
    pub fn is_control(&self) -> bool {
        matches!(self.purpose, Purpose::Paired { side: Side::Control, .. })
    }

    /// When it is given up if it has not ended.
    #[must_use]
    pub fn deadline(&self, eval: &EvalPolicy) -> Timestamp {
        let since = self.continued_at.unwrap_or(self.queued_at);
        since.after(Millis::from_minutes(eval.evaluation_deadline_minutes))
    }
}

impl Purpose {
    /// The id of the evaluation of `campaign` for this purpose, after as many `retries` in the whole
    /// campaign. Asked twice, it is the same.
    #[must_use]
    pub fn evaluation_id(&self, campaign: &CampaignId, retries: u32) -> EvaluationId {
        let (kind, subject): (&[u8], Vec<u8>) = match self {
            Self::Replay { number } => (b"replay", number.to_be_bytes().to_vec()),
            Self::Candidate { experiment } => (b"candidate", experiment.as_bytes().to_vec()),
            Self::ConfirmBaseline { experiment } => {
                (b"confirm-baseline", experiment.as_bytes().to_vec())
            }
            Self::ConfirmCandidate { experiment } => {
                (b"confirm-candidate", experiment.as_bytes().to_vec())
            }
            Self::MeasureLive { number, split: Split::Search } => {
                (b"measure-live", number.to_be_bytes().to_vec())
            }
            Self::MeasureLive { number, split: Split::Holdout } => {
                (b"measure-live-holdout", number.to_be_bytes().to_vec())
            }
            Self::Paired { experiment, pairs, side, batch, round, attempt } => {
                let mut subject = experiment.as_bytes().to_vec();
                subject.push(match pairs {
                    sample::Purpose::Comparison => 0,
                    sample::Purpose::Anchor => 1,
                    sample::Purpose::Extension => 2,
                    sample::Purpose::Confirmation => 3,
                });
                subject.extend(batch.to_be_bytes());
                subject.extend(round.to_be_bytes());
                subject.extend(attempt.to_be_bytes());
                if let Side::Candidate { candidate } = side {
                    subject.extend(candidate.as_bytes());
                }
                (b"paired", subject)
            }
        };
        let mut intent = vec![campaign.as_str().as_bytes(), kind, &subject];
        let retries = retries.to_be_bytes();
        // The first try has the id that it had before there were others.
        if retries != [0; 4] {
            intent.push(&retries);
        }
        EvaluationId::derive(&intent)
    }
}

impl Purpose {
    /// Whether it runs the tune cases, too: proposers learn from replays.
    #[must_use]
    pub fn shows_proposers(&self) -> bool {
        matches!(self, Self::Replay { .. })
    }

    /// Faults of the outside that ended the same measurement before.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        match self {
            Self::Paired { attempt, .. } => *attempt,
            Self::Replay { .. }
            | Self::Candidate { .. }
            | Self::ConfirmBaseline { .. }
            | Self::ConfirmCandidate { .. }
            | Self::MeasureLive { .. } => 0,
        }
    }
}

impl Baseline {
    /// The definition of version 0, with its fingerprint.
    #[must_use]
    pub fn origin(&self) -> (Digest, Fingerprint) {
        self.origin.unwrap_or((self.snapshot, self.fingerprint))
    }
}

impl Frozen {
    /// The case runs of `evaluation`.
    #[must_use]
    pub fn runs(&self, evaluation: &Evaluation) -> u32 {
        match &evaluation.drawn {
            Some(drawn) => u32::try_from(drawn.len()).unwrap_or(u32::MAX),
            None => self.runs_for(&evaluation.purpose, evaluation.split),
        }
    }

    /// The case runs of an evaluation of all cases of `split` for `purpose`.
    #[must_use]
    pub fn runs_for(&self, purpose: &Purpose, split: Split) -> u32 {
        self.cases(split).saturating_add(if purpose.shows_proposers() {
            self.tune_cases
        } else {
            0
        })
    }

    /// The cases in the pack.
    #[must_use]
    pub fn case_counts(&self) -> CaseCounts {
        let Self { search_cases: search, tune_cases: tune, holdout_cases: holdout, .. } = *self;
        CaseCounts { search, tune, holdout }
    }

    /// The cases of `split`.
    #[must_use]
    pub fn cases(&self, split: Split) -> u32 {
        match split {
            Split::Search => self.search_cases,
            Split::Holdout => self.holdout_cases,
        }
    }
}

impl Fate {
    /// The word for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Discarded => "discarded",
            Self::Rejected => "rejected",
            Self::Approved => "approved",
            Self::Pending => "proposed and not decided",
        }
    }
}

impl Phase {
    /// The evaluations in flight that the phase waits for.
    #[must_use]
    pub fn in_flight(&self) -> &[Evaluation] {
        match self {
            Self::Replaying { evaluation } | Self::Evaluating { evaluation, .. } => {
                evaluation.as_slice()
            }
            Self::Confirming { evaluations, .. } => evaluations,
            Self::Comparing { batch, .. } => batch.as_ref().map_or(&[], |batch| &batch.open),
            Self::Draft | Self::Searching | Self::AwaitingApproval { .. } | Self::Closed { .. } => {
                &[]
            }
        }
    }

    /// The same, to be changed.
    pub(crate) fn in_flight_mut(&mut self) -> &mut [Evaluation] {
        match self {
            Self::Replaying { evaluation } | Self::Evaluating { evaluation, .. } => {
                evaluation.as_mut_slice()
            }
            Self::Confirming { evaluations, .. } => evaluations,
            Self::Comparing { batch, .. } => {
                batch.as_mut().map_or(&mut [], |batch| &mut batch.open)
            }
            Self::Draft | Self::Searching | Self::AwaitingApproval { .. } | Self::Closed { .. } => {
                &mut []
            }
        }
    }
}

impl Campaign {
    /// A new draft: nothing runs before it is started.
    #[must_use]
    pub fn draft(
        id: CampaignId,
        name: String,
        seed: u64,
        source: Source,
        frozen: Frozen,
        now: Timestamp,
    ) -> Self {
        let baseline = Baseline {
            version: 0,
            snapshot: source.snapshot,
            fingerprint: source.fingerprint,
            origin: None,
            worst_case: frozen.worst_case,
            patch: Patch::default(),
            replays: Vec::new(),
            established: None,
        };
        let live = Live::new(source.fingerprint);
        let errors = match &frozen.policies.eval.rule {
            Rule::Sequential(rule) => {
                Some(ErrorBudget::new(rule.alpha, frozen.policies.budget.max_experiments))
            }
            Rule::Point { .. } => None,
        };
        Self {
            id,
            name,
            seed,
            source,
            execution_override: None,
            frozen,
            baseline,
            phase: Phase::Draft,
            hold: None,
            search: Search::default(),
            errors,
            extension: Extension::default(),
            ledger: Ledger::default(),
            live,
            closing: None,
            archived: None,
            requests: Requests::default(),
            created_at: now,
        }
    }

    /// The same draft with `model` for every agent. `baseline` is the source with that model: its
    /// content digest and its fingerprint.
    #[must_use]
    pub fn overridden(mut self, model: ModelRef, baseline: (Digest, Fingerprint)) -> Self {
        self.execution_override = Some(model);
        (self.baseline.snapshot, self.baseline.fingerprint) = baseline;
        self
    }

    /// The evaluations whose case runs are queued or running: those of its phase, and those of a
    /// measurement of what is live.
    pub fn in_flight(&self) -> impl Iterator<Item = &Evaluation> {
        self.phase.in_flight().iter().chain(self.live.in_flight())
    }

    /// Whether a measurement waits for nothing but to be told what is live now.
    #[must_use]
    pub fn wants_live(&self) -> bool {
        self.live.waiting().is_some()
            && self.hold.is_none()
            && self.live.intent.is_none()
            && self.in_flight().next().is_none()
            && self.unsettled().next().is_none()
    }

    /// The batch of pairs whose runs are queued or running.
    #[must_use]
    pub fn open_batch(&self) -> Option<&Pairing> {
        match &self.phase {
            Phase::Comparing { batch, .. } => batch.as_ref().filter(|batch| !batch.open.is_empty()),
            _ => None,
        }
    }

    /// The experiments that are being measured or await a decision.
    #[must_use]
    pub fn current_experiments(&self) -> &[Experiment] {
        match &self.phase {
            Phase::Evaluating { experiment, .. }
            | Phase::Confirming { experiment, .. }
            | Phase::AwaitingApproval { experiment } => std::slice::from_ref(experiment),
            Phase::Comparing { candidates, .. } => candidates,
            Phase::Searching | Phase::Replaying { .. } => &self.search.gathered,
            Phase::Draft | Phase::Closed { .. } => &[],
        }
    }

    /// The experiment that is judged and not decided by a person yet, if nothing else goes on.
    #[must_use]
    pub fn winner(&self) -> Option<&Experiment> {
        match &self.phase {
            Phase::Confirming { experiment, .. } | Phase::AwaitingApproval { experiment } => {
                Some(experiment)
            }
            Phase::Comparing { candidates, .. } => match candidates.as_slice() {
                [winner] if !winner.is_compared() => Some(winner),
                _ => None,
            },
            Phase::Draft
            | Phase::Replaying { .. }
            | Phase::Searching
            | Phase::Evaluating { .. }
            | Phase::Closed { .. } => None,
        }
    }

    /// The first experiment that is being measured or awaits a decision.
    #[must_use]
    pub fn current_experiment(&self) -> Option<&Experiment> {
        self.current_experiments().first()
    }

    /// The evaluations that were cancelled and whose cost is not taken in yet.
    pub fn unsettled(&self) -> impl Iterator<Item = EvaluationId> {
        let open: Vec<_> = self.in_flight().map(|evaluation| evaluation.id).collect();
        self.ledger.reserved.keys().copied().filter(move |id| !open.contains(id))
    }

    /// The budget that counts: that of the frozen policies with what people added.
    #[must_use]
    pub fn budget(&self) -> BudgetPolicy {
        self.frozen.policies.budget.plus(&self.extension)
    }

    /// Whether the campaign is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    /// The status in the spelling of the wire.
    #[must_use]
    pub fn status(&self) -> Status {
        match (&self.phase, &self.hold) {
            (Phase::Closed { ending, .. }, _) => match ending {
                Ending::Cancelled { .. }
                | Ending::SourceGone { .. }
                | Ending::TooManyFailures { .. } => Status::Cancelled,
                Ending::ClosedByOperator { .. }
                | Ending::ExperimentsUsedUp
                | Ending::NoFurtherMutation { .. }
                | Ending::HealthChecked
                | Ending::SuggestionsDone => Status::Completed,
            },
            (_, Some(Hold::Operator { .. })) => Status::PausedManual,
            (_, Some(Hold::BaselineUnstable { .. })) => Status::PausedEvaluatorUnstable,
            (_, Some(Hold::Budget { .. })) => Status::PausedBudget,
            (_, Some(Hold::Failures { .. })) => Status::Failed,
            (Phase::AwaitingApproval { .. }, None) => Status::AwaitingPromotionApproval,
            (Phase::Draft, None) => Status::Draft,
            (_, None) => Status::Running,
        }
    }
}

/// The status of a campaign on the wire; `cancelled` is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not started.
    Draft,
    /// At work.
    Running,
    /// A person must decide.
    AwaitingPromotionApproval,
    /// A person paused it.
    PausedManual,
    /// The budget does not cover what comes next.
    PausedBudget,
    /// The replays of the baseline do not agree.
    PausedEvaluatorUnstable,
    /// Over, as planned.
    Completed,
    /// Too many evaluations in a row gave no measurable result; a person must look.
    Failed,
    /// Over, because a person ended it or its workflow is gone.
    Cancelled,
}

impl Status {
    /// Whether the campaign is not over.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Completed | Self::Cancelled => false,
            Self::Draft
            | Self::Failed
            | Self::Running
            | Self::AwaitingPromotionApproval
            | Self::PausedManual
            | Self::PausedBudget
            | Self::PausedEvaluatorUnstable => true,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::AwaitingPromotionApproval => "awaiting_promotion_approval",
            Self::PausedManual => "paused_manual",
            Self::PausedBudget => "paused_budget",
            Self::PausedEvaluatorUnstable => "paused_evaluator_unstable",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The verdicts that lead to a person.
#[must_use]
pub fn needs_a_person(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Promote | Verdict::NeedsOperatorReview => true,
        Verdict::Discard => false,
    }
}
