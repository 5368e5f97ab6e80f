//! The one write path: load, decide, commit.
//!
//! Nobody else writes campaigns, experiments, runs or stored workflows. A decision is made on a state that was read
//! with its revision; when somebody else moved the record meanwhile, it is read and decided again.

mod audit;
mod decisions;
mod pairs;
mod stored;

pub mod turn;
mod workflow_runs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use optim_core::campaign::command::{Command, Context, Rejection, ReplayRecord};
use optim_core::campaign::observation::{EvaluationResult, Observation};
use optim_core::campaign::recheck::recheck;
use optim_core::campaign::transition::{self, Decision, Effect};
use optim_core::campaign::{Campaign, CaseMark, Spent};
use optim_core::digest::Digest;
use optim_core::id::{
    Actor, CampaignId, CaseId, EvaluationId, ExperimentId, RequestKey, RunId, WorkerId, WorkflowId,
    WorkflowRunId,
};
use optim_core::metrics::{Expected, Metrics};
use optim_core::outcome::CaseOutcome;
use optim_core::pack::{self, Pack, Split};
use optim_core::policy::Objective;
use optim_core::run::Run;
use optim_core::run::faults::Faults;
use optim_core::run::transition::{self as run_transition, Ignored, RunCommand, RunObservation};
use optim_core::stored_workflow::VersionNumber;
use optim_core::stored_workflow::transition::{WorkflowRejection, ensure_in_use};
use optim_core::suspicion::{Suspicion, suspicions_of};
use optim_core::workflow::Workflow;
use optim_core::workflow_run::command::WorkflowRunRejection;
use optim_core::workflow_run::node::PlanError;
use optim_store::{
    Blob, CampaignSummary, Commit, Page, Revision, RunFilter, RunSummary, Store, StoreError,
    Versioned, Write,
};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::head_file::HeadFileError;
use crate::listing;
use crate::wake::{JobChange, Wakes};

pub use self::stored::StoredDefinition;
pub use self::workflow_runs::Brought;

/// How often a decision is made again because somebody else moved the record.
const CONFLICT_RETRIES_MAX: u32 = 32;

/// The engine: the store, the clock, and caches of what never changes.
pub struct Engine {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    worker: WorkerId,
    workflows: Cache<Workflow>,
    packs: Cache<Pack>,
    wakes: Wakes,
    changes: watch::Sender<u64>,
    workflow_run_changes: watch::Sender<u64>,
}

/// Payloads by digest; they never change, so they are parsed once.
type Cache<T> = Mutex<BTreeMap<Digest, Arc<T>>>;

/// How many parsed payloads of a kind are kept.
const CACHED_MAX: usize = 64;

/// A campaign to be created, with the payloads that it refers to.
#[derive(Debug, Clone)]
pub struct NewCampaign {
    /// The draft.
    pub campaign: Campaign,
    /// Definition, pack and objective text.
    pub blobs: Vec<Blob>,
}

/// Why the engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// There is no such campaign.
    #[error("there is no campaign {0}; `optim list` shows those that exist")]
    NotFound(CampaignId),
    /// The id is taken.
    #[error("a campaign {0} exists already; choose another id")]
    Exists(CampaignId),
    /// The campaign does not allow it now.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// There never was such a stored workflow.
    #[error("there is no stored workflow {0}; `optim workflow list` shows those that exist")]
    WorkflowNotFound(WorkflowId),
    /// The version is not kept, or not there yet.
    #[error("workflow {id} has no version {version} any more or yet; the current one is {current}")]
    VersionNotFound {
        /// The workflow.
        id: WorkflowId,
        /// The version that was asked for.
        version: VersionNumber,
        /// The current one.
        current: VersionNumber,
    },
    /// The stored workflow does not allow it now.
    #[error(transparent)]
    Workflow(#[from] WorkflowRejection),
    /// Others moved the stored workflow, or campaigns on it, again and again.
    #[error("workflow {0} keeps being changed by others; try again")]
    WorkflowContended(WorkflowId),
    /// There is no such workflow run.
    #[error("there is no workflow run {0}; `optim runs list` shows those that exist")]
    WorkflowRunNotFound(WorkflowRunId),
    /// The id is that of another run.
    #[error("workflow run {0} exists already and does something else; choose another id")]
    WorkflowRunExists(WorkflowRunId),
    /// The workflow run does not allow it now.
    #[error(transparent)]
    WorkflowRunRejected(#[from] WorkflowRunRejection),
    /// The workflow cannot be executed as a run.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Others moved the workflow run again and again.
    #[error("workflow run {0} keeps being changed by others; try again")]
    WorkflowRunContended(WorkflowRunId),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A payload that a record refers to is missing or cannot be read.
    #[error("the {what} {digest} of the campaign is missing or unreadable in the store: {why}")]
    Payload {
        /// What it is.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// What is wrong.
        why: String,
    },
    /// The head of the audit chain cannot be noted, or the noted one is not on the chain.
    #[error(transparent)]
    HeadFile(#[from] HeadFileError),
    /// Others moved the record again and again.
    #[error("campaign {0} keeps being changed by others; try again")]
    Contended(CampaignId),
}

impl EngineError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "campaign_not_found",
            Self::Exists(_) => "campaign_exists",
            Self::Rejected(rejection) => rejection.code(),
            Self::WorkflowNotFound(_) => "workflow_not_found",
            Self::VersionNotFound { .. } => "workflow_version_not_found",
            Self::Workflow(rejection) => rejection.code(),
            Self::WorkflowRunNotFound(_) => "workflow_run_not_found",
            Self::WorkflowRunExists(_) => "workflow_run_exists",
            Self::WorkflowRunRejected(rejection) => rejection.code(),
            Self::Plan(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Payload { .. } => "payload_missing",
            Self::HeadFile(error) => error.code(),
            Self::Contended(_) | Self::WorkflowContended(_) | Self::WorkflowRunContended(_) => {
                "contended"
            }
        }
    }
}

impl Engine {
    /// An engine over `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let (workflows, packs) = (Mutex::default(), Mutex::default());
        let worker = WorkerId::process(std::process::id());
        Self {
            store,
            clock,
            worker,
            workflows,
            packs,
            wakes: Wakes::default(),
            changes: watch::Sender::new(0),
            workflow_run_changes: watch::Sender::new(0),
        }
    }

    /// The store, for reading.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The bells that ring after each commit.
    #[must_use]
    pub fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    fn context(&self, actor: Actor) -> Context {
        Context { now: self.clock.now(), actor }
    }

    /// Changes after each commit, for those who follow.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Changes after each commit that writes a workflow run, for those who execute them.
    #[must_use]
    pub fn workflow_run_changes(&self) -> watch::Receiver<u64> {
        self.workflow_run_changes.subscribe()
    }

    /// An id for a campaign whose caller has not named it: its time of creation comes first.
    #[must_use]
    pub fn new_campaign_id(&self) -> CampaignId {
        CampaignId::generated(uuid::Uuid::now_v7())
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        // That a run starts, or starts again, is nothing to its campaign.
        let ended = commit.runs.iter().filter(|write| write.value.state.is_terminal());
        let campaigns: BTreeSet<_> = (commit.campaigns.iter().map(|write| &write.value.id))
            .chain(ended.map(|write| &write.value.campaign))
            .cloned()
            .collect();
        let workflow_runs = commit.workflow_runs.iter();
        let throttles = commit.throttles.values().flatten();
        let jobs: Vec<_> = (throttles.cloned().map(JobChange::Throttled))
            .chain(commit.runs.iter().filter_map(|write| turn::job_change(&write.value)))
            .chain(workflow_runs.filter_map(|write| workflow_runs::job_change(&write.value)))
            .collect();
        let runs_of_workflows = !commit.workflow_runs.is_empty();
        let committed = self.store.commit(commit).await;
        if let Err(StoreError::Refused(_) | StoreError::Invariant(_)) = committed {
            // Nothing changed, and nothing will by another look.
            return committed.map(drop);
        }
        // After a failure whether the commit took effect may be unknown, and a look costs little.
        if !matches!(committed, Err(StoreError::Conflict { .. })) {
            self.wakes.jobs_changed(jobs);
        }
        campaigns.iter().for_each(|id| self.wakes.campaign_changed(id));
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        if runs_of_workflows {
            self.workflow_run_changes.send_modify(|count| *count = count.wrapping_add(1));
        }
        committed.map(drop)
    }

    /// Whether `commit` took effect: not when somebody else was faster.
    async fn tried(&self, commit: Commit) -> Result<bool, StoreError> {
        match self.commit(commit).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    // --- campaigns --------------------------------------------------------------------------

    /// Creates a campaign.
    ///
    /// # Errors
    /// [`EngineError::Exists`] when its id is taken.
    pub async fn create(&self, new: NewCampaign, actor: Actor) -> Result<Campaign, EngineError> {
        let Decision { next, events, .. } = transition::create(new.campaign, &self.context(actor));
        let write = Write { expected: Revision(0), value: next.clone() };
        let commit =
            Commit { campaigns: vec![write], blobs: new.blobs, events, ..Commit::default() };
        match self.commit(commit).await {
            Ok(()) => Ok(next),
            Err(StoreError::Conflict { .. }) => Err(self.why_not_created(next).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// Why the store could not take in a new campaign.
    async fn why_not_created(&self, campaign: Campaign) -> Result<EngineError, EngineError> {
        if self.store.campaign(&campaign.id).await?.is_none()
            && let Some(workflow) = campaign.source.location.stored()
        {
            ensure_in_use(&self.stored_workflow(workflow).await?.value)?;
        }
        Ok(EngineError::Exists(campaign.id))
    }

    /// Reads a campaign.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when there is none.
    pub async fn campaign(&self, id: &CampaignId) -> Result<Versioned<Campaign>, EngineError> {
        self.store.campaign(id).await?.ok_or_else(|| EngineError::NotFound(id.clone()))
    }

    /// Submits a command. An approval that fails the check before it is a decision too: it demotes the
    /// experiment, and the campaign goes on.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] when the campaign does not allow it now.
    pub async fn submit(
        &self,
        id: &CampaignId,
        command: &Command,
        actor: Actor,
    ) -> Result<Campaign, EngineError> {
        self.submit_once(id, command, None, actor).await
    }

    /// The same, once for each key of the caller's own: asked again, it changes nothing.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] also when the key was given for something else.
    pub async fn submit_once(
        &self,
        id: &CampaignId,
        command: &Command,
        key: Option<&RequestKey>,
        actor: Actor,
    ) -> Result<Campaign, EngineError> {
        let cx = self.context(actor);
        let refused = match command {
            Command::Approve { experiment, .. } | Command::ApproveAnyway { experiment, .. } => {
                Box::pin(self.refusal(id, *experiment)).await?
            }
            _ => None,
        };
        let step = |campaign: &Campaign| {
            let decision = transition::decide_once(campaign, command, key, &cx)?;
            Ok(match &refused {
                Some(refused) => transition::observe(campaign, refused, &cx),
                None => decision,
            })
        };
        // On the heap: it holds several campaigns, and is in the future of every verb.
        Box::pin(self.transition(id, Vec::new(), step)).await
    }

    /// Announces a write to the live workflow, whose `texts` before and after are kept: for a rollback,
    /// and to tell what was edited since.
    ///
    /// # Errors
    /// [`EngineError::Rejected`] when the campaign does not allow it now.
    pub(crate) async fn announce(
        &self,
        id: &CampaignId,
        command: &Command,
        texts: Vec<Blob>,
        actor: Actor,
    ) -> Result<Campaign, EngineError> {
        let cx = self.context(actor);
        let step = |campaign: &Campaign| transition::decide(campaign, command, &cx);
        Box::pin(self.transition(id, texts, step)).await
    }

    /// Why the pending experiment must not be approved, if it must not.
    async fn refusal(
        &self,
        id: &CampaignId,
        asked: ExperimentId,
    ) -> Result<Option<Observation>, EngineError> {
        let campaign = self.campaign(id).await?.value;
        let Some(experiment) = campaign.current_experiment().filter(|open| open.id == asked) else {
            return Ok(None);
        };
        let baseline = self.workflow(campaign.baseline.snapshot).await?;
        let judged = experiment.state.judged().and_then(|judged| judged.evaluation);
        let result = match judged {
            Some(evaluation) => self.whole_result(&campaign, evaluation).await?,
            None => None,
        };
        let checked = recheck(&campaign, experiment, &baseline, result.as_ref());
        let refused = |reason| Observation::ApprovalRefused { experiment: asked, reason };
        Ok(checked.err().map(refused))
    }

    /// What an evaluation on the search cases showed; `None` unless all its runs are on record.
    async fn whole_result(
        &self,
        campaign: &Campaign,
        evaluation: EvaluationId,
    ) -> Result<Option<EvaluationResult>, EngineError> {
        let runs = self.runs_of(evaluation).await?;
        let ended = runs.iter().filter(|run| run.report().is_some()).count();
        if u32::try_from(ended).ok() != Some(campaign.frozen.search_cases) {
            return Ok(None);
        }
        self.result(campaign, Split::Search, &runs).await.map(Some)
    }

    /// Takes in a finished replay that nobody has taken in yet.
    ///
    /// # Errors
    /// [`Rejection::NoReplay`] says what is wrong with it.
    pub async fn record_replay(
        &self,
        id: &CampaignId,
        evaluation: EvaluationId,
        actor: Actor,
    ) -> Result<Campaign, EngineError> {
        let campaign = self.campaign(id).await?.value;
        let runs = self.runs_of(evaluation).await?;
        let count = |runs: usize| u32::try_from(runs).unwrap_or(u32::MAX);
        let open = runs.iter().filter(|run| !run.state.is_terminal()).count();
        let baseline = campaign.baseline.fingerprint;
        let foreign = runs.iter().filter(|run| {
            run.fingerprint != baseline
                || run.report().is_some_and(|report| report.executed != baseline)
        });
        let record = ReplayRecord {
            evaluation,
            runs: count(runs.len()),
            open: count(open),
            foreign: count(foreign.count()),
            result: self.result(&campaign, Split::Search, &runs).await?,
        };
        self.submit(id, &Command::RecordReplay(record), actor).await
    }

    /// Records a fact, with the payloads that it brings along.
    ///
    /// # Errors
    /// The store fails.
    pub async fn record(
        &self,
        id: &CampaignId,
        observation: &Observation,
        blobs: Vec<Blob>,
    ) -> Result<Campaign, EngineError> {
        let cx = self.context(Actor::engine());
        let step = |campaign: &Campaign| Ok(transition::observe(campaign, observation, &cx));
        Box::pin(self.transition(id, blobs, step)).await
    }

    /// Load, decide, commit; again when somebody else was faster. What the decision cancelled is
    /// settled.
    async fn transition(
        &self,
        id: &CampaignId,
        blobs: Vec<Blob>,
        step: impl Fn(&Campaign) -> Result<Decision, Rejection>,
    ) -> Result<Campaign, EngineError> {
        let campaign = self.step(id, blobs, step).await?;
        Ok(self.settle_now(&campaign).await.unwrap_or(campaign))
    }

    /// Settles what a commit has cancelled. A failure is made good by whoever looks at it next.
    async fn settle_now(&self, campaign: &Campaign) -> Option<Campaign> {
        let settled = self.settle(campaign).await;
        if let Err(error) = &settled {
            let id = &campaign.id;
            tracing::warn!(campaign = %id, %error, "the cost of what was cancelled is not known yet");
        }
        settled.ok().flatten()
    }

    async fn step(
        &self,
        id: &CampaignId,
        blobs: Vec<Blob>,
        step: impl Fn(&Campaign) -> Result<Decision, Rejection>,
    ) -> Result<Campaign, EngineError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let Versioned { revision, value } = self.campaign(id).await?;
            let decision = step(&value)?;
            if decision.events.is_empty() {
                return Ok(value);
            }
            let next = decision.next.clone();
            let commit = self.commit_of(revision, decision).await?;
            if self.tried(Commit { blobs: blobs.clone(), ..commit }).await? {
                return Ok(next);
            }
        }
        Err(EngineError::Contended(id.clone()))
    }

    /// Takes in what the cancelled evaluations of a campaign have cost; `None` when none waits for it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn settle(&self, campaign: &Campaign) -> Result<Option<Campaign>, EngineError> {
        let mut settled = None;
        for evaluation in campaign.unsettled() {
            let runs = self.runs_of(evaluation).await?;
            let spent = Spent::on(&runs, campaign.ledger.dearest);
            let fact = Observation::EvaluationSettled { evaluation, spent };
            let cx = self.context(Actor::engine());
            let observe = |campaign: &Campaign| Ok(transition::observe(campaign, &fact, &cx));
            settled = Some(Box::pin(self.step(&campaign.id, Vec::new(), observe)).await?);
        }
        Ok(settled)
    }

    /// The commit of a decision on a campaign that was read at `expected`.
    async fn commit_of(
        &self,
        expected: Revision,
        decision: Decision,
    ) -> Result<Commit, EngineError> {
        let Decision { next, experiments, effects, events } = decision;
        let runs = self.expand(&next, &effects).await?;
        let campaigns = vec![Write { expected, value: next }];
        Ok(Commit { campaigns, experiments, runs, events, ..Commit::default() })
    }

    /// The run records that the effects of a decision stand for.
    async fn expand(
        &self,
        campaign: &Campaign,
        effects: &[Effect],
    ) -> Result<Vec<Write<Run>>, EngineError> {
        let mut writes = Vec::new();
        for effect in effects {
            match effect {
                Effect::QueueRuns(evaluation) => {
                    let pack = self.pack(campaign.frozen.pack).await?;
                    let recorded = match evaluation.requeued {
                        0 => BTreeSet::new(),
                        _ => self.recorded_cases(evaluation.id).await?,
                    };
                    let cases = pairs::cases_of_evaluation(&pack, evaluation);
                    let missing = cases.filter(|(case, _)| !recorded.contains(&case.id));
                    let of = (&campaign.id, campaign.seed);
                    writes.extend(missing.map(|case| Write {
                        expected: Revision(0),
                        value: Run::queued(of, evaluation, case),
                    }));
                }
                Effect::QueuePairs { evaluations, order } => {
                    let pack = self.pack(campaign.frozen.pack).await?;
                    writes.extend(pairs::runs(campaign, &pack, evaluations, order));
                }
                Effect::CancelRuns { evaluation, reason } => {
                    writes.extend(self.cancellations(*evaluation, reason).await?);
                }
            }
        }
        Ok(writes)
    }

    async fn recorded_cases(
        &self,
        evaluation: EvaluationId,
    ) -> Result<BTreeSet<CaseId>, StoreError> {
        let runs = self.list_runs(&RunFilter::Evaluation(evaluation)).await?;
        Ok(runs.into_iter().map(|run| run.case).collect())
    }

    async fn cancellations(
        &self,
        evaluation: EvaluationId,
        reason: &str,
    ) -> Result<Vec<Write<Run>>, EngineError> {
        let mut writes = Vec::new();
        for open in self.list_runs(&RunFilter::Open(evaluation)).await? {
            let Some(Versioned { revision, value }) = self.store.run(open.id).await? else {
                continue;
            };
            let command = RunCommand::Cancel { reason: reason.to_owned() };
            if let Ok(value) = run_transition::decide(&value, &command, self.clock.now()) {
                writes.push(Write { expected: revision, value });
            }
        }
        Ok(writes)
    }

    // --- runs -------------------------------------------------------------------------------

    /// All runs of `filter`, page by page.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list_runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        listing::readable(|page| self.store.runs(filter, page)).await
    }

    /// Takes in what happened to a run.
    ///
    /// # Errors
    /// The store fails.
    pub async fn observe_run(
        &self,
        id: RunId,
        observation: RunObservation,
    ) -> Result<Result<Run, Ignored>, EngineError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let Some(Versioned { revision, value }) = self.store.run(id).await? else {
                return Ok(Err(Ignored::NotRunning));
            };
            let next = match run_transition::observe(&value, observation.clone()) {
                Ok(next) => next,
                Err(ignored) => return Ok(Err(ignored)),
            };
            let write = Write { expected: revision, value: next.clone() };
            if self.tried(Commit { runs: vec![write], ..Commit::default() }).await? {
                return Ok(Ok(next));
            }
        }
        Ok(Err(Ignored::StaleEpoch))
    }

    /// Gives back every claimed run, goes on waiting for the evaluations that are in flight, and settles
    /// what ended campaigns have still set aside. Called once at the start of the process that owns the
    /// store: whoever was at work is gone.
    ///
    /// # Errors
    /// The store fails.
    pub async fn recover(&self) -> Result<usize, EngineError> {
        let recovered = self.give_back().await? + self.recover_workflow_runs().await?;
        for campaign in self.campaigns_at_work().await? {
            self.record(&campaign, &Observation::Continued, Vec::new()).await?;
        }
        Ok(recovered)
    }

    /// The campaigns that are not over, or measure what is live, newest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn campaigns_at_work(&self) -> Result<Vec<CampaignId>, StoreError> {
        let all = listing::readable(|page| self.store.campaigns(page)).await?.into_iter();
        Ok(all.filter(CampaignSummary::is_at_work).map(|campaign| campaign.id).collect())
    }

    // --- evaluations ------------------------------------------------------------------------

    /// The runs of an evaluation, all of them terminal; `None` while some are open.
    ///
    /// # Errors
    /// The store fails.
    pub async fn finished_runs(
        &self,
        evaluation: EvaluationId,
    ) -> Result<Option<Vec<Run>>, EngineError> {
        if !self.is_over(evaluation).await? {
            return Ok(None);
        }
        self.runs_of(evaluation).await.map(Some)
    }

    /// Whether no run of the evaluation is open.
    async fn is_over(&self, evaluation: EvaluationId) -> Result<bool, StoreError> {
        let first = Page { after: None, limit: 1 };
        Ok(self.store.runs(&RunFilter::Open(evaluation), first).await?.items.is_empty())
    }

    /// The runs of an evaluation, whatever their state.
    ///
    /// # Errors
    /// The store fails.
    pub async fn runs_of(&self, evaluation: EvaluationId) -> Result<Vec<Run>, EngineError> {
        let mut runs = Vec::new();
        for run in self.list_runs(&RunFilter::Evaluation(evaluation)).await? {
            runs.extend(self.store.run(run.id).await?.map(|versioned| versioned.value));
        }
        Ok(runs)
    }

    /// What the runs of a finished evaluation on the cases of `split` showed together.
    ///
    /// # Errors
    /// A payload of the campaign is missing.
    pub async fn result(
        &self,
        campaign: &Campaign,
        split: Split,
        runs: &[Run],
    ) -> Result<EvaluationResult, EngineError> {
        let baseline = self.workflow(campaign.baseline.snapshot).await?;
        let pack = self.pack(campaign.frozen.pack).await?;
        let expected = Expected::new(&baseline, pack.split(split));
        let outcomes: BTreeMap<_, _> =
            runs.iter().filter_map(|run| Some((&run.case, run.report()?))).collect();
        let metrics = Metrics::of(&expected, &outcomes);
        let cases = pack.split(split).map(|case| {
            let mark = match outcomes.get(&case.id).map(|report| &report.outcome) {
                Some(CaseOutcome::Measured(measured)) if measured.passes() => CaseMark::Passed,
                Some(CaseOutcome::Measured(_)) => CaseMark::Failed,
                Some(CaseOutcome::Void { .. }) | None => CaseMark::Void,
            };
            (case.id.clone(), mark)
        });
        let spent = Spent::on(runs, campaign.ledger.dearest);
        let (cases, faults) = (cases.collect(), Faults::of(runs));
        Ok(EvaluationResult { metrics, cases, faults, spent })
    }

    /// Why case runs of an evaluation gave no outcome; `None` when none of them is void.
    ///
    /// # Errors
    /// The store fails.
    pub async fn faults(&self, evaluation: EvaluationId) -> Result<Option<Faults>, EngineError> {
        Ok(Faults::of(&self.runs_of(evaluation).await?))
    }

    /// What is suspicious about the outputs of the runs of `evaluation`. It decides nothing.
    ///
    /// # Errors
    /// The store fails.
    pub async fn suspicions(
        &self,
        evaluation: EvaluationId,
    ) -> Result<BTreeSet<Suspicion>, EngineError> {
        let runs = self.runs_of(evaluation).await?;
        let nodes = runs.iter().filter_map(Run::report).flat_map(|report| &report.nodes);
        Ok(nodes.filter_map(|node| node.result.as_ref().ok()).flat_map(suspicions_of).collect())
    }

    // --- payloads ---------------------------------------------------------------------------

    /// The definition stored under `digest`.
    ///
    /// # Errors
    /// [`EngineError::Payload`] when it is missing or unreadable.
    pub async fn workflow(&self, digest: Digest) -> Result<Arc<Workflow>, EngineError> {
        self.payload(&self.workflows, "workflow", digest, |bytes| {
            serde_json::from_slice(bytes).map_err(|error| error.to_string())
        })
        .await
    }

    /// The eval pack stored under `digest`.
    ///
    /// # Errors
    /// [`EngineError::Payload`] when it is missing or unreadable.
    pub async fn pack(&self, digest: Digest) -> Result<Arc<Pack>, EngineError> {
        self.payload(&self.packs, "eval pack", digest, |bytes| match bytes {
            [] => Ok(Pack::implicit()),
            _ => pack::read("the frozen eval pack", bytes).map_err(|findings| findings.to_string()),
        })
        .await
    }

    /// The objective stored under `digest`.
    ///
    /// # Errors
    /// [`EngineError::Payload`] when it is missing or unreadable.
    pub async fn objective(&self, digest: Digest) -> Result<Objective, EngineError> {
        let bytes = self.bytes("objective", digest).await?;
        let unreadable = |why: String| EngineError::Payload { what: "objective", digest, why };
        let text = String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
        Objective::new(&text).ok_or_else(|| unreadable("it is blank".to_owned()))
    }

    async fn bytes(&self, what: &'static str, digest: Digest) -> Result<Vec<u8>, EngineError> {
        let found = self.store.blob(digest).await?;
        found.ok_or_else(|| EngineError::Payload {
            what,
            digest,
            why: "it is not there".to_owned(),
        })
    }

    async fn payload<T>(
        &self,
        cache: &Cache<T>,
        what: &'static str,
        digest: Digest,
        parse: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<Arc<T>, EngineError> {
        let known = cache.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let bytes = self.bytes(what, digest).await?;
        let parsed = parse(&bytes).map_err(|why| EngineError::Payload { what, digest, why })?;
        let parsed = Arc::new(parsed);
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHED_MAX {
            cache.clear();
        }
        cache.insert(digest, Arc::clone(&parsed));
        Ok(parsed)
    }
}
