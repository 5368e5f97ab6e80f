//! What a person does, one step after the other.

use optim_core::campaign::command::Command;
use optim_core::campaign::{Campaign, Hold};
use optim_core::experiment::ExperimentState;
use optim_core::id::RequestKey;
use optim_core::mutation::{FieldValue, MutableField, Mutation};
use optim_core::policy::Extension;
use optim_core::quantity::Tokens;
use optim_core::stored_workflow::VersionNumber;
use optim_core::stored_workflow::transition::WorkflowCommand;
use optim_core::workflow_run::command::WorkflowRunCommand;
use optim_runtime::engine::EngineError;
use optim_runtime::live::{self, DefinitionText, LiveError, LiveRequest};
use optim_store::{RunFilter, StoreError};

use crate::Outcome;
use crate::world::{Process, World, campaign_id, operator, run_id, workflow, workflow_id};

/// A step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Stores the workflow.
    Put,
    /// Stores another version of it.
    PutAgain,
    /// Deletes the stored workflow.
    Delete,
    Create,
    Start,
    /// Waits until the campaign cannot go on by itself.
    Settled,
    /// Waits until a case run is at work.
    AtWork,
    /// Another worker, which does nothing, claims a queued case run.
    Steal,
    /// Approves what awaits a decision, whatever the judge says.
    Approve,
    Reject,
    Apply,
    Rollback,
    Measure,
    /// Pauses, and cancels what runs.
    Pause,
    Resume,
    Cancel,
    Close,
    Archive,
    /// Adds to the budget, and goes on.
    Extend,
    Replay,
    Suggest,
    /// Asks for a workflow run.
    Order,
    RunAtWork,
    RunPause,
    RunResume,
    RunCancel,
    /// Waits until the workflow run cannot go on by itself.
    RunSettled,
}

impl Step {
    /// Takes the step. One that was under way at a crash may be refused, because it had taken effect.
    pub(super) async fn take(
        self,
        world: &World,
        process: &Process,
        may_be_refused: bool,
    ) -> Outcome<()> {
        match Box::pin(self.attempt(world, process)).await {
            Err(error) if may_be_refused && is_refusal(error.as_ref()) => Ok(()),
            Err(error) => Err(format!("{self:?}: {error}").into()),
            Ok(()) => Ok(()),
        }
    }

    /// Whether it may find a workflow run that is over after a crash: one whose only attempt was interrupted
    /// has failed.
    pub(super) fn may_come_too_late(self) -> bool {
        matches!(self, Self::RunPause | Self::RunResume | Self::RunCancel)
    }

    async fn attempt(self, world: &World, process: &Process) -> Outcome<()> {
        let Process { engine, service } = process;
        let (id, actor) = (campaign_id(), operator());
        let request = LiveRequest::by(actor.clone());
        match self {
            Self::Put | Self::PutAgain => {
                let (text, expected) = match self {
                    Self::Put => (workflow(), 0),
                    _ => (format!("{}# again\n", workflow()), 1),
                };
                let definition = DefinitionText::read("w", text.into_bytes())?;
                engine.put_workflow(&definition, Some(VersionNumber(expected)), actor).await?;
            }
            Self::Delete => {
                let delete = WorkflowCommand::Delete { reason: "it is not needed".to_owned() };
                engine.change_workflow(&workflow_id(), &delete, actor).await?;
            }
            Self::Create => drop(engine.create(world.draft(), actor).await?),
            Self::Settled => drop(service.settled(&id).await?),
            Self::AtWork => at_work(process).await?,
            Self::Steal => steal(process).await?,
            Self::Apply => drop(live::apply(engine, &id, request).await?),
            Self::Rollback => drop(live::rollback(engine, &id, request).await?),
            Self::Measure => drop(live::measure(engine, &id, actor, None, None).await?),
            Self::Order => process.order(world, 0).await?,
            Self::RunAtWork => loop {
                let mut changes = engine.workflow_run_changes();
                let status = engine.workflow_run(run_id(0)).await?.value.state.status();
                if status.is_at_work() || status.is_terminal() {
                    break;
                }
                changes.changed().await?;
            },
            Self::RunPause => run(process, WorkflowRunCommand::Pause { reason: None }).await?,
            Self::RunResume => run(process, WorkflowRunCommand::Resume { reason: None }).await?,
            Self::RunCancel => run(process, WorkflowRunCommand::Cancel { reason: None }).await?,
            Self::RunSettled => drop(service.workflow_run_settled(run_id(0)).await?),
            Self::Extend => {
                // Asked for again after a crash, it is still one.
                let key = RequestKey::new("more-1")?;
                let campaign = engine.campaign(&id).await?.value;
                let command = self.command(&campaign)?;
                engine.submit_once(&id, &command, Some(&key), actor.clone()).await?;
                let held = engine.campaign(&id).await?.value.hold;
                if matches!(held, Some(Hold::Budget { .. })) {
                    engine.submit(&id, &Command::Resume { reason: None }, actor).await?;
                }
            }
            _ => {
                let campaign = engine.campaign(&id).await?.value;
                engine.submit(&id, &self.command(&campaign)?, actor).await?;
            }
        }
        Ok(())
    }

    /// The command on the campaign that the step stands for.
    fn command(self, campaign: &Campaign) -> Outcome<Command> {
        let reason = || "that is how it is".to_owned();
        let pending = || campaign.current_experiment().ok_or(Refused("nothing awaits a decision"));
        Ok(match self {
            Self::Start => Command::Start { reason: None },
            Self::Pause => Command::Pause { reason: None, cancel_runs: true },
            Self::Resume => Command::Resume { reason: None },
            Self::Cancel => Command::Cancel { reason: None },
            Self::Close => Command::Close { reason: None },
            Self::Archive => Command::Archive { reason: None },
            Self::Replay => Command::QueueReplay { reason: None },
            Self::Extend => {
                let by = Extension { tokens: Tokens(1_000_000), ..Extension::default() };
                Command::Extend { by, reason: reason() }
            }
            Self::Suggest => Command::Suggest { mutation: suggestion()? },
            Self::Reject => Command::Reject { experiment: pending()?.id, reason: reason() },
            Self::Approve => {
                let pending = pending()?;
                let experiment = pending.id;
                match pending.state {
                    ExperimentState::Recommended(_) => {
                        Command::Approve { experiment, reason: None }
                    }
                    _ => Command::ApproveAnyway { experiment, reason: reason() },
                }
            }
            other => return Err(format!("{other:?} is no command").into()),
        })
    }
}

/// A step that is not possible any more, because it was taken.
#[derive(Debug)]
struct Refused(&'static str);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

/// Whether a step was refused, and not failed.
fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    let of_engine = |error: &EngineError| {
        !matches!(
            error,
            EngineError::Store(_)
                | EngineError::Payload { .. }
                | EngineError::Contended(_)
                | EngineError::WorkflowContended(_)
                | EngineError::WorkflowRunContended(_)
        )
    };
    if let Some(error) = error.downcast_ref::<EngineError>() {
        return of_engine(error);
    }
    match error.downcast_ref::<LiveError>() {
        Some(LiveError::Engine(error)) => of_engine(error),
        Some(_) => false,
        None => error.is::<Refused>(),
    }
}

async fn run(process: &Process, command: WorkflowRunCommand) -> Outcome<()> {
    process.engine.command_workflow_run(run_id(0), &command, operator()).await?;
    Ok(())
}

async fn at_work(process: &Process) -> Outcome<()> {
    let mut changes = process.engine.changes();
    while process.engine.list_runs(&RunFilter::Running).await?.is_empty() {
        if process.engine.campaign(&campaign_id()).await?.value.is_closed() {
            return Ok(());
        }
        changes.changed().await?;
    }
    Ok(())
}

/// Claims a queued case run behind the back of the loops.
async fn steal(process: &Process) -> Outcome<()> {
    let queued = process.engine.list_runs(&RunFilter::Queued).await?;
    let Some(last) = queued.last() else { return Err(Refused("nothing is queued").into()) };
    match process.engine.turn(&[], &[last.id]).await {
        Ok(_) | Err(EngineError::Store(StoreError::Conflict { .. })) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn suggestion() -> Outcome<Mutation> {
    let before = "Answer with care and keep to the form that was asked for.";
    let node = "n".parse()?;
    let after = format!("{before} Be brief.");
    let text = |text: &str| FieldValue::Text(text.to_owned());
    let (before, after) = (text(before), text(&after));
    Ok(Mutation { node, field: MutableField::Objective, before, after })
}
