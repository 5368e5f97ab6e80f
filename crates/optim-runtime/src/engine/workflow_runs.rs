//! Workflow runs: the same one write path as for campaigns.

use optim_core::campaign::command::Context;
use optim_core::campaign::event::{Event, EventKind, Subject};
use optim_core::id::{Actor, WorkflowId, WorkflowRunId};
use optim_core::quantity::Millis;
use optim_core::workflow::Workflow;
use optim_core::workflow_run::WorkflowRun;
use optim_core::workflow_run::command::{WorkflowRunCommand, WorkflowRunRejection};
use optim_core::workflow_run::observation::{WorkflowRunIgnored, WorkflowRunObservation};
use optim_core::workflow_run::state::WorkflowRunStatus;
use optim_core::workflow_run::transition::{self, Decision, Order};
use optim_store::{
    Blob, Commit, Page, Revision, StoreError, Versioned, WorkflowRunFilter, WorkflowRunSummary,
    Write,
};

use super::{CONFLICT_RETRIES_MAX, Engine, EngineError};
use crate::scheduler::entry::Job;
use crate::wake::JobChange;

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
        let id = order.id;
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
            Err(StoreError::Conflict { .. }) => {
                let found = self.workflow_run(id).await?.value;
                let asked = |run: &WorkflowRun| {
                    (run.snapshot, run.inputs.clone(), run.workspace.clone(), run.dry_run)
                };
                if asked(&found) == asked(&next) {
                    Ok(found)
                } else {
                    Err(EngineError::WorkflowRunExists(id))
                }
            }
            Err(error) => Err(error.into()),
        }
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
        Page::all(|page| self.store.workflow_runs(filter, page)).await
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
        self.step_workflow_run(id, &[], actor, |run, cx| {
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

    /// Takes in what happened to a workflow run, with the payloads that it brings along.
    ///
    /// # Errors
    /// The store fails.
    pub async fn observe_workflow_run(
        &self,
        id: WorkflowRunId,
        observation: &WorkflowRunObservation,
        blobs: &[Blob],
    ) -> Result<Result<WorkflowRun, WorkflowRunIgnored>, EngineError> {
        let observed = self.step_workflow_run(id, blobs, Actor::engine(), |run, cx| {
            transition::observe(run, observation, cx).map_err(Ignored::Run)
        });
        match observed.await {
            Ok(run) => Ok(Ok(run)),
            Err(Ignored::Run(ignored)) => Ok(Err(ignored)),
            Err(Ignored::Engine(error)) => Err(error),
        }
    }

    /// Load, decide, commit; again when somebody else was faster.
    async fn step_workflow_run<E: From<EngineError>>(
        &self,
        id: WorkflowRunId,
        blobs: &[Blob],
        actor: Actor,
        step: impl Fn(&WorkflowRun, &Context) -> Result<Decision, E>,
    ) -> Result<WorkflowRun, E> {
        let cx = self.context(actor.clone());
        for _ in 0..CONFLICT_RETRIES_MAX {
            let Versioned { revision, value } = self.workflow_run(id).await?;
            let Decision { next, events } = step(&value, &cx)?;
            let commit = Commit {
                workflow_runs: vec![Write { expected: revision, value: next.clone() }],
                blobs: blobs.to_vec(),
                events: self.told(&next, events, &actor),
                ..Commit::default()
            };
            match self.commit(commit).await {
                Ok(()) => return Ok(next),
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
                drop(self.observe_workflow_run(run.id, &lost, &[]).await?);
                recovered += 1;
            }
        }
        Ok(recovered)
    }

    /// Drops the inputs and outputs of the workflow runs that ended longer than `age` ago. What is left
    /// is the record with its history; how many were dropped.
    ///
    /// # Errors
    /// The store fails.
    pub async fn retain_workflow_runs(&self, age: Millis) -> Result<usize, EngineError> {
        let (now, mut dropped) = (self.clock.now(), 0);
        for status in WorkflowRunStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            for run in self.list_workflow_runs(&WorkflowRunFilter::Status(status)).await? {
                let old = run.ended_at.is_some_and(|ended| now.since(ended) >= age);
                if old && !run.expired {
                    let expired = WorkflowRunObservation::Expired;
                    dropped += usize::from(
                        self.observe_workflow_run(run.id, &expired, &[]).await?.is_ok(),
                    );
                }
            }
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
        for status in WorkflowRunStatus::ALL.into_iter().filter(|status| !status.is_terminal()) {
            for open in self.list_workflow_runs(&WorkflowRunFilter::Status(status)).await? {
                if open.workflow != *workflow {
                    continue;
                }
                let Versioned { revision, value } = self.workflow_run(open.id).await?;
                let stored =
                    matches!(value.origin, optim_core::workflow_run::Origin::Stored { .. });
                if let (true, Ok(decision)) = (stored, transition::decide(&value, &cancel, &cx)) {
                    events.extend(self.told(&decision.next, decision.events, actor));
                    writes.push(Write { expected: revision, value: decision.next });
                }
            }
        }
        Ok((writes, events))
    }
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
