//! What happens next: anything that a person, a machine or the outside may do.

use optim_core::campaign::command::Command;
use optim_core::campaign::{Campaign, Phase};
use optim_core::experiment::ExperimentState;
use optim_core::id::{CampaignId, WorkflowRunId};
use optim_core::outcome::{CaseOutcome, Usage};
use optim_core::policy::Extension;
use optim_core::quantity::Tokens;
use optim_core::run::transition::{Ignored, RunObservation};
use optim_core::run::{Run, RunReport};
use optim_core::stored_workflow::transition::WorkflowCommand;
use optim_core::workflow_run::command::WorkflowRunCommand;
use optim_runtime::engine::EngineError;
use optim_runtime::live::{self, DefinitionText, LiveRequest};
use optim_store::{RunFilter, StoreError};

use super::Life;
use super::seen::Seen;
use crate::Outcome;
use crate::world::{Process, campaign, operator, run_id, workflow, workflow_id};

/// Something happens. That it is refused, or that the store fails, is part of life.
pub(super) async fn any(life: &mut Life, seen: &mut Seen) -> Outcome<()> {
    match life.draw.below(100) {
        0..8 => restart(life, seen).await?,
        8..16 => steal(life).await,
        16..24 => deliver(life, seen).await,
        24..30 => ring(life).await?,
        30..36 => miss(life, seen).await?,
        36..42 => edit(life).await,
        42..50 => create(life).await?,
        50..58 => runs(life, seen).await?,
        58..62 => store(life).await,
        62..72 => write(life, seen).await,
        72..76 => both(life).await,
        _ => command(life, seen).await,
    }
    Ok(())
}

async fn restart(life: &mut Life, seen: &mut Seen) -> Outcome<()> {
    let at_work = life.snapshot().await?;
    let at_work = at_work.runs.iter().any(|run| run.state.name() == "running");
    seen.add("Process died with a run in flight", u64::from(at_work));
    life.restart().await
}

/// Another worker, which does nothing, claims a queued case run.
async fn steal(life: &mut Life) {
    let Ok(Process { engine, .. }) = life.process() else { return };
    let Ok(queued) = engine.list_runs(&RunFilter::Queued).await else { return };
    let Some(last) = queued.last() else { return };
    let claimed = engine.turn(&[], &[last.id]).await.unwrap_or_default();
    let process = life.processes;
    life.stolen.extend(claimed.into_iter().map(|run| (run, process)));
}

/// A worker that was taken for dead brings its result.
async fn deliver(life: &mut Life, seen: &mut Seen) {
    let Some((run, process)) = life.stolen.pop() else { return };
    let Ok(Process { engine, .. }) = life.process() else { return };
    let Ok(Some(now)) = engine.store().run(run.id).await else { return };
    let is_lost = now.value.epoch != run.epoch || now.value.signs().is_none();
    seen.add(
        "Lease lost",
        u64::from(is_lost && process == life.processes && now.value.faults > run.faults),
    );
    let report = Box::new(report(&run));
    let finished = RunObservation::Finished { epoch: run.epoch, report };
    if let Ok(Err(ignored)) = engine.observe_run(run.id, finished).await {
        seen.add("Late result refused", 1);
        seen.add("Stale epoch refused", u64::from(ignored == Ignored::StaleEpoch));
    }
}

fn report(run: &Run) -> RunReport {
    RunReport {
        executed: run.fingerprint,
        outcome: CaseOutcome::Void { fault: "it came too late".to_owned() },
        nodes: Vec::new(),
        usage: Usage::default(),
        spent_on_faults: Usage::default(),
        started_at: run.queued_at,
        finished_at: run.queued_at,
        denied: Vec::new(),
        throttled: None,
    }
}

/// Wake-ups that nobody needs.
async fn ring(life: &Life) -> Outcome<()> {
    for number in 0..=life.campaigns {
        life.process()?.engine.wakes().campaign_changed(&campaign(number));
    }
    tokio::task::yield_now().await;
    Ok(())
}

/// Wake-ups that get lost.
async fn miss(life: &Life, seen: &mut Seen) -> Outcome<()> {
    let wakes = life.process()?.engine.wakes();
    wakes.campaign_changed(&campaign(0));
    tokio::select! {
        biased;
        _lost = wakes.changed_campaign() => seen.add("Wake-up lost", 1),
        () = std::future::ready(()) => {}
    }
    tokio::select! {
        biased;
        _lost = wakes.changed_jobs() => seen.add("Wake-up lost", 1),
        () = std::future::ready(()) => {}
    }
    Ok(())
}

/// Somebody edits the live workflow by hand.
async fn edit(life: &mut Life) {
    let file = life.world.file();
    let Ok(text) = std::fs::read_to_string(&file) else { return };
    let edited = match life.draw.below(3) {
        0 => workflow(),
        1 => format!("# by hand\n{text}"),
        _ => text.replace("timeout_ms: 60000", "timeout_ms: 61000"),
    };
    if life.world.project.stored {
        let Ok(Process { engine, .. }) = life.process() else { return };
        let Ok(definition) = DefinitionText::read("w", edited.into_bytes()) else { return };
        drop(engine.put_workflow(&definition, None, operator()).await);
    } else {
        drop(std::fs::write(file, edited));
    }
}

async fn create(life: &mut Life) -> Outcome<()> {
    if life.campaigns >= 6 {
        return Ok(());
    }
    if life.world.project.stored {
        store(life).await;
    }
    let mut new = life.world.draft();
    new.campaign.id = campaign(life.campaigns);
    let id = new.campaign.id.clone();
    let engine = &life.process()?.engine;
    if engine.create(new, operator()).await.is_ok() {
        drop(engine.submit(&id, &Command::Start { reason: None }, operator()).await);
        life.campaigns += 1;
    }
    Ok(())
}

/// A stored workflow is put, taken out of use, or taken back.
async fn store(life: &mut Life) {
    let draw = life.draw.below(10);
    let Ok(Process { engine, .. }) = life.process() else { return };
    let reason = "because".to_owned();
    let command = match draw {
        0 => WorkflowCommand::Delete { reason },
        1 => WorkflowCommand::Retire { reason },
        2..4 => WorkflowCommand::Restore { reason: None },
        _ => {
            let Ok(definition) = DefinitionText::read("w", workflow().into_bytes()) else { return };
            drop(engine.put_workflow(&definition, None, operator()).await);
            return;
        }
    };
    drop(engine.change_workflow(&workflow_id(), &command, operator()).await);
}

/// A workflow run is ordered, or told something.
async fn runs(life: &mut Life, seen: &mut Seen) -> Outcome<()> {
    let (draw, number) = (life.draw.below(8), life.draw.below(life.runs.max(1)));
    let process = life.process()?;
    let reason = None;
    let command = match draw {
        0 => WorkflowRunCommand::Pause { reason },
        1..3 => WorkflowRunCommand::Resume { reason },
        3 => WorkflowRunCommand::Cancel { reason },
        4 => WorkflowRunCommand::Recover { reason },
        _ => {
            if process.order(&life.world, life.runs).await.is_ok() {
                life.runs += 1;
            }
            return Ok(());
        }
    };
    let id: WorkflowRunId = run_id(number);
    let told = process.engine.command_workflow_run(id, &command, operator()).await;
    refused(told.err().as_ref(), seen);
    Ok(())
}

/// What is approved goes live, or back, or is measured.
async fn write(life: &mut Life, seen: &mut Seen) {
    let (draw, id) = (life.draw.below(4), any_campaign(life));
    let Ok(Process { engine, .. }) = life.process() else { return };
    let request = LiveRequest::by(operator());
    let written = match draw {
        0 => live::apply(engine, &id, request).await.err(),
        1 => match live::apply(engine, &id, request).await {
            Ok(_) => live::measure(engine, &id, operator(), None, None).await.err(),
            Err(error) => Some(error),
        },
        2 => live::rollback(engine, &id, request).await.err(),
        _ => live::measure(engine, &id, operator(), None, None).await.err(),
    };
    let code = written.map(|error| error.code());
    seen.add("Drift found", u64::from(code == Some("live_drift")));
}

/// Two people at once.
async fn both(life: &mut Life) {
    let id = any_campaign(life);
    let Ok(Process { engine, .. }) = life.process() else { return };
    let pause = Command::Pause { reason: None, cancel_runs: false };
    let replay = Command::QueueReplay { reason: None };
    let (one, other) = tokio::join!(
        Box::pin(engine.submit(&id, &pause, operator())),
        Box::pin(engine.submit(&id, &replay, operator())),
    );
    drop((one, other));
}

async fn command(life: &mut Life, seen: &mut Seen) {
    let id = any_campaign(life);
    let (draw, tokens) = (life.draw.below(40), life.draw.below(3_000));
    let Ok(Process { engine, .. }) = life.process() else { return };
    let Ok(found) = engine.campaign(&id).await else { return };
    let Some(command) = chosen(draw, tokens, &found.value) else { return };
    let done = Box::pin(engine.submit(&id, &command, operator())).await;
    refused(done.err().as_ref(), seen);
}

fn refused(error: Option<&EngineError>, seen: &mut Seen) {
    let failed = |error: &EngineError| matches!(error, EngineError::Store(StoreError::Io { .. }));
    seen.add("Command refused", u64::from(error.is_some_and(|error| !failed(error))));
}

fn any_campaign(life: &mut Life) -> CampaignId {
    campaign(life.draw.below(life.campaigns.max(1)))
}

fn chosen(draw: u64, tokens: u64, campaign: &Campaign) -> Option<Command> {
    let reason = || "because".to_owned();
    let extension = || {
        let by = Extension { tokens: Tokens(tokens), ..Extension::default() };
        Command::Extend { by, reason: reason() }
    };
    let is_pending = matches!(campaign.phase, Phase::AwaitingApproval { .. });
    let pending = campaign.current_experiment().filter(|_| is_pending);
    Some(match (draw, pending) {
        (0..2, _) => Command::Pause { reason: None, cancel_runs: true },
        (2..4, _) => Command::Pause { reason: None, cancel_runs: false },
        (4..14, _) => Command::Resume { reason: None },
        (14, _) => Command::Cancel { reason: None },
        (15, _) => Command::Close { reason: None },
        (16, _) => Command::Archive { reason: None },
        (17..20, _) => extension(),
        (20..22, _) => Command::ResetFailures { reason: reason() },
        (22, _) => Command::QueueReplay { reason: None },
        (23, _) => Command::Start { reason: None },
        (24..28, Some(pending)) => Command::Reject { experiment: pending.id, reason: reason() },
        (_, Some(pending)) => {
            let experiment = pending.id;
            match pending.state {
                ExperimentState::Recommended(_) => Command::Approve { experiment, reason: None },
                _ => Command::ApproveAnyway { experiment, reason: reason() },
            }
        }
        _ => return None,
    })
}
