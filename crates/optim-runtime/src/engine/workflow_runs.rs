//! Workflow runs: the same one write path as for campaigns.

use std::collections::BTreeMap;

use optim_core::campaign::command::Context;
use optim_core::campaign::event::{Event, EventKind, Subject};
use optim_core::id::{Actor, ProviderId, WorkflowId, WorkflowRunId};
use optim_core::quantity::Millis;
use optim_core::run::Throttled;
use optim_core::stored_workflow::transition::ensure_in_use;
use optim_core::throttle::{AnsweredRun, Throttle};
use optim_core::workflow::Workflow;
use optim_core::workflow_run::WorkflowRun;
use optim_core::workflow_run::command::{WorkflowRunCommand, WorkflowRunRejection};
use optim_core::workflow_run::observation::{WorkflowRunIgnored, WorkflowRunObservation};
use optim_core::workflow_run::state::WorkflowRunStatus;
use optim_core::workflow_run::transition::{self, Decision, Order};
use optim_store::{
    Blob, Commit, Page, Revision, RunOutput, StoreError, Versioned, WorkflowRunFilter,
    WorkflowRunSummary, Write,
};

use super::{CONFLICT_RETRIES_MAX, Engine, EngineError};
use crate::listing;
use crate::scheduler::entry::Job;
use crate::wake::JobChange;

/// What a fact about a workflow run brings along.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Brought {
    /// Outputs that are kept apart from the record.
    pub outputs: Vec<Blob>,
    /// The provider that asked to be left alone, if one did.
    pub throttled: Option<Throttled>,
}

impl Engine {
    /// An id for a workflow run whose caller has not named it.
    #[must_use]
    pub fn new_workflow_run_id(&self) -> WorkflowRunId {
        WorkflowRunId::derive(&[uuid::Uuid::now_v7().as_bytes()])
    }

    /// Creates the workflow run that `order` asks for, with the definition that it executes, or finds
    /// the one that the same order has created before.
    ///
    /// # Errors
    /// The workflow cannot be executed; [`EngineError::WorkflowRunExists`] when another order has the id.
    pub async fn create_workflow_run(
        &self,
        order: Order,
        workflow: &Workflow,
        definition: Blob,
        actor: Actor,
    ) -> Result<WorkflowRun, EngineError> {
        let Decision { next, events } =
            transition::create(order, workflow, &self.context(actor.clone()))?;
        let commit = Commit {
            workflow_runs: vec![Write { expected: Revision(0), value: next.clone() }],
            blobs: vec![definition],
            events: self.told(&next, events, &actor),
            ..Commit::default()
        };
        match self.commit(commit).await {
            Ok(()) => Ok(next),
            Err(StoreError::Conflict { .. }) => self.already_created(next).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The run that is in the way of `run`, if it is the same one; else why `run` cannot begin.
    async fn already_created(&self, run: WorkflowRun) -> Result<WorkflowRun, EngineError> {
        let asked = |run: &WorkflowRun| {
            (run.snapshot, run.inputs.clone(), run.workspace.clone(), run.dry_run)
        };
        match self.store.workflow_run(run.id).await? {
            Some(Versioned { value: found, .. }) if asked(&found) == asked(&run) => Ok(found),
            Some(_) => Err(EngineError::WorkflowRunExists(run.id)),
            None => {
                self.ensure_source_in_use(&run).await?;
                Err(EngineError::WorkflowContended(run.workflow))
            }
        }
    }

    /// Whether the stored workflow of a run, if it has one, is in use.
    async fn ensure_source_in_use(&self, run: &WorkflowRun) -> Result<(), EngineError> {
        if let Some(workflow) = run.stored_workflow() {
            ensure_in_use(&self.stored_workflow(workflow).await?.value)?;
        }
        Ok(())
    }

    /// Reads a workflow run.
    ///
    /// # Errors
    /// [`EngineError::WorkflowRunNotFound`] when there is none.
    pub async fn workflow_run(
        &self,
        id: WorkflowRunId,
    ) -> Result<Versioned<WorkflowRun>, EngineError> {
        self.store.workflow_run(id).await?.ok_or(EngineError::WorkflowRunNotFound(id))
    }

    /// All workflow runs of `filter`, newest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list_workflow_runs(
        &self,
        filter: &WorkflowRunFilter,
    ) -> Result<Vec<WorkflowRunSummary>, StoreError> {
        listing::readable(|page| self.store.workflow_runs(filter, page)).await
    }

    /// Submits a command to a workflow run.
    ///
    /// # Errors
    /// [`EngineError::WorkflowRunRejected`] when the run does not allow it now.
    pub async fn command_workflow_run(
        &self,
        id: WorkflowRunId,
        command: &WorkflowRunCommand,
        actor: Actor,
    ) -> Result<WorkflowRun, EngineError> {
        self.step_workflow_run(id, &Brought::default(), actor, |run, cx| {
            transition::decide(run, command, cx).map_err(EngineError::from)
        })
        .await
    }

    /// Claims a queued workflow run; `None` when it is not queued any more.
    ///
    /// # Errors
    /// The store fails.
    pub async fn claim_workflow_run(
        &self,
        id: WorkflowRunId,
    ) -> Result<Option<WorkflowRun>, EngineError> {
        let claim = WorkflowRunCommand::Claim { worker: self.worker.clone() };
        match self.command_workflow_run(id, &claim, Actor::engine()).await {
            Ok(run) => Ok(Some(run)),
            Err(EngineError::WorkflowRunRejected(WorkflowRunRejection::WrongStatus { .. })) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes in what happened to a workflow run, with what that brings along. A fact that comes too late
    /// is ignored, but not that a provider asked to be left alone.
    ///
    /// # Errors
    /// The store fails.
    pub async fn observe_workflow_run(
        &self,
        id: WorkflowRunId,
        observation: &WorkflowRunObservation,
        brought: &Brought,
    ) -> Result<Result<WorkflowRun, WorkflowRunIgnored>, EngineError> {
        let observed = self.step_workflow_run(id, brought, Actor::engine(), |run, cx| {
            transition::observe(run, observation, cx).map_err(Ignored::Run)
        });
        match observed.await {
            Ok(run) => Ok(Ok(run)),
            Err(Ignored::Run(ignored)) => {
                let (throttles, events) = self.wished(id, brought).await?;
                if !throttles.is_empty() {
                    self.commit(Commit { throttles, events, ..Commit::default() }).await?;
                }
                Ok(Err(ignored))
            }
            Err(Ignored::Engine(error)) => Err(error),
        }
    }

    /// The throttles that follow from what a fact brings along, and what is told about them.
    async fn wished(
        &self,
        id: WorkflowRunId,
        brought: &Brought,
    ) -> Result<(BTreeMap<ProviderId, Option<Throttle>>, Vec<Event>), EngineError> {
        let wish = brought.throttled.iter().map(|wish| (wish, AnsweredRun::Workflow(id)));
        Ok(self.throttled(wish).await?)
    }

    /// Load, decide, commit; again when somebody else was faster.
    async fn step_workflow_run<E: From<EngineError>>(
        &self,
        id: WorkflowRunId,
        brought: &Brought,
        actor: Actor,
        step: impl Fn(&WorkflowRun, &Context) -> Result<Decision, E>,
    ) -> Result<WorkflowRun, E> {
        let cx = self.context(actor.clone());
        for _ in 0..CONFLICT_RETRIES_MAX {
            let Versioned { revision, value } = self.workflow_run(id).await?;
            let Decision { next, events } = step(&value, &cx)?;
            let (throttles, mut told) = self.wished(id, brought).await?;
            told.extend(self.told(&next, events, &actor));
            let commit = Commit {
                workflow_runs: vec![Write { expected: revision, value: next.clone() }],
                outputs: begun(&value, &next, &brought.outputs),
                throttles,
                events: told,
                ..Commit::default()
            };
            match self.commit(commit).await {
                Ok(()) => return Ok(next),
                Err(StoreError::Conflict { .. }) if next.is_open() && !value.is_open() => {
                    self.ensure_source_in_use(&next).await?;
                }
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(EngineError::from(error).into()),
            }
        }
        Err(EngineError::WorkflowRunContended(id).into())
    }

    fn told(
        &self,
        run: &WorkflowRun,
        events: Vec<optim_core::workflow_run::event::WorkflowRunEvent>,
        actor: &Actor,
    ) -> Vec<Event> {
        let at = self.clock.now();
        let subject = Subject::WorkflowRun(run.id);
        let event = |change| Event {
            subject: subject.clone(),
            actor: actor.clone(),
            at,
            what: EventKind::WorkflowRun { change },
        };
        events.into_iter().map(event).collect()
    }

    /// Takes in that whoever had claimed workflow runs is gone; how many there were.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn recover_workflow_runs(&self) -> Result<usize, EngineError> {
        let mut recovered = 0;
        for status in [WorkflowRunStatus::Running, WorkflowRunStatus::Pausing] {
            for run in self.list_workflow_runs(&WorkflowRunFilter::Status(status)).await? {
                let lost = WorkflowRunObservation::Lost { epoch: run.epoch };
                // A run that has moved on meanwhile needs no help.
                drop(self.observe_workflow_run(run.id, &lost, &Brought::default()).await?);
                recovered += 1;
            }
        }
        Ok(recovered)
    }

    /// Drops the inputs and outputs of the workflow runs that ended at least `age` ago. What is left is
    /// the record with its history; how many were dropped.
    ///
    /// # Errors
    /// The store fails.
    pub async fn retain_workflow_runs(&self, age: Millis) -> Result<usize, EngineError> {
        let (by, mut dropped) = (self.clock.now().before(age), 0);
        loop {
            // Those that were dropped are not listed any more.
            let ended = self.store.workflow_runs_ended(by, Page::LIMIT_MAX).await?;
            let now = self.expire(ended).await?;
            if now == 0 {
                return Ok(dropped);
            }
            dropped += now;
        }
    }

    /// Drops the inputs and outputs of the runs of a stored workflow that is purged.
    pub(super) async fn expire_runs_of(&self, workflow: &WorkflowId) -> Result<(), EngineError> {
        let mut own = Vec::new();
        let filter = WorkflowRunFilter::Workflow(workflow.clone());
        for run in self.list_workflow_runs(&filter).await?.into_iter().filter(|run| !run.expired) {
            let run = self.workflow_run(run.id).await?.value;
            own.extend(run.stored_workflow().is_some().then_some(run.id));
        }
        self.expire(own).await?;
        Ok(())
    }

    /// How many of these runs still had something to drop.
    async fn expire(&self, runs: Vec<WorkflowRunId>) -> Result<usize, EngineError> {
        let mut dropped = 0;
        for run in runs {
            let expired = WorkflowRunObservation::Expired;
            let nothing = Brought::default();
            let observed = self.observe_workflow_run(run, &expired, &nothing).await?;
            dropped += usize::from(observed.is_ok());
        }
        Ok(dropped)
    }

    /// What ends every open run of a stored workflow: for the commit that deletes the workflow.
    ///
    /// # Errors
    /// The store fails.
    pub async fn workflow_run_cancellations(
        &self,
        workflow: &WorkflowId,
        reason: &str,
        actor: &Actor,
    ) -> Result<(Vec<Write<WorkflowRun>>, Vec<Event>), EngineError> {
        let cancel = WorkflowRunCommand::Cancel { reason: Some(reason.to_owned()) };
        let cx = self.context(actor.clone());
        let (mut writes, mut events) = (Vec::new(), Vec::new());
        for open in self.list_workflow_runs(&WorkflowRunFilter::OpenOn(workflow.clone())).await? {
            let Versioned { revision, value } = self.workflow_run(open.id).await?;
            // One that has ended meanwhile needs no end.
            if let Ok(decision) = transition::decide(&value, &cancel, &cx) {
                events.extend(self.told(&decision.next, decision.events, actor));
                writes.push(Write { expected: revision, value: decision.next });
            }
        }
        Ok((writes, events))
    }
}

/// Those of `outputs` that the record of a run begins to list.
fn begun(before: &WorkflowRun, run: &WorkflowRun, outputs: &[Blob]) -> Vec<RunOutput> {
    let lists = |run: &WorkflowRun, output: &Blob| run.outputs().any(|it| it == output.digest());
    let begun = outputs.iter().filter(|output| lists(run, output) && !lists(before, output));
    begun.map(|output| RunOutput { run: run.id, output: output.clone() }).collect()
}

/// Why a fact was not recorded.
enum Ignored {
    Run(WorkflowRunIgnored),
    Engine(EngineError),
}

impl From<EngineError> for Ignored {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// What the dispatcher must know of a run that changed to this.
pub(super) fn job_change(run: &WorkflowRun) -> Option<JobChange> {
    let status = run.state.status();
    match status {
        WorkflowRunStatus::Queued => {
            Some(JobChange::WorkflowQueued(Box::new(WorkflowRunSummary::of(run))))
        }
        WorkflowRunStatus::Running | WorkflowRunStatus::Pausing => None,
        WorkflowRunStatus::Paused
        | WorkflowRunStatus::AwaitingApproval
        | WorkflowRunStatus::Completed
        | WorkflowRunStatus::Blocked
        | WorkflowRunStatus::Failed
        | WorkflowRunStatus::Cancelled => Some(JobChange::Over(Job::Workflow(run.id))),
    }
}
