//! Gives queued case runs to workers while there is room.
//!
//! The queue is the store's; what is held here is a window of it and the runs in flight. Who may
//! start is decided by the pure [`plan`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use optim_core::id::RunId;
use optim_core::run::Epoch;
use optim_store::{Page, RunFilter, RunSummary};
use tokio::task::JoinSet;

use crate::engine::{Engine, EngineError};
use crate::runner::{Job, Runner};
use crate::tasks::Shutdown;

/// How long the dispatcher leaves a failing store alone.
const BACK_OFF: Duration = Duration::from_secs(1);

/// The dispatch loop.
pub struct Dispatcher {
    engine: Arc<Engine>,
    runner: Arc<Runner>,
    capacity: usize,
}

/// The dispatcher's state while it runs.
#[derive(Default)]
struct Desk {
    /// The oldest queued runs, as last listed.
    window: VecDeque<RunSummary>,
    /// Whether the store may hold queued runs beyond the window.
    more: bool,
    workers: JoinSet<Result<(), EngineError>>,
}

impl Dispatcher {
    /// A loop with room for `capacity` runs at once; at least one.
    #[must_use]
    pub fn new(engine: Arc<Engine>, runner: Arc<Runner>, capacity: u32) -> Self {
        Self {
            engine,
            runner,
            capacity: usize::try_from(capacity.max(1)).unwrap_or(1),
        }
    }

    /// Works the queue off until shut down. Runs in flight then are dropped, with their processes.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut desk = Desk {
            more: true,
            ..Desk::default()
        };
        loop {
            if let Err(error) = self.fill(&mut desk).await {
                tracing::warn!(%error, "the queue could not be read");
                self.pause(&shutdown).await;
            }
            tokio::select! {
                () = self.engine.wakes().runs() => desk.more = true,
                Some(ended) = desk.workers.join_next() => self.ended(ended, &mut desk),
                () = shutdown.requested() => return,
            }
        }
    }

    async fn pause(&self, shutdown: &Shutdown) {
        tokio::select! {
            () = tokio::time::sleep(BACK_OFF) => {}
            () = shutdown.requested() => {}
        }
        self.engine.wakes().runs_waiting();
    }

    fn ended(
        &self,
        ended: Result<Result<(), EngineError>, tokio::task::JoinError>,
        desk: &mut Desk,
    ) {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the result of a run could not be recorded"),
            Err(panic) => tracing::error!(%panic, "a worker panicked"),
        }
        // A run that could not be recorded, or that went back to the queue, is found by looking again.
        desk.more = true;
    }

    /// Starts runs while there is room.
    async fn fill(&self, desk: &mut Desk) -> Result<(), EngineError> {
        while desk.workers.len() < self.capacity {
            let Some(next) = desk.window.pop_front() else {
                if !std::mem::take(&mut desk.more) {
                    return Ok(());
                }
                desk.window = self
                    .engine
                    .store()
                    .runs(&RunFilter::Queued, Page::first())
                    .await?
                    .items
                    .into();
                continue;
            };
            self.start(next.id, &mut desk.workers).await?;
        }
        Ok(())
    }

    /// Claims a run and hands it to a worker. Nothing happens when it is not queued any more.
    async fn start(
        &self,
        id: RunId,
        workers: &mut JoinSet<Result<(), EngineError>>,
    ) -> Result<(), EngineError> {
        let Some(run) = self.engine.claim(id).await? else {
            return Ok(());
        };
        let (engine, runner) = (Arc::clone(&self.engine), Arc::clone(&self.runner));
        workers.spawn(async move {
            let epoch = run.epoch;
            let worked = work(&engine, &runner, run).await;
            if worked.is_err() {
                give_back(&engine, id, epoch).await;
            }
            worked
        });
        Ok(())
    }
}

/// Executes a claimed run and records its result.
async fn work(
    engine: &Engine,
    runner: &Runner,
    run: optim_core::run::Run,
) -> Result<(), EngineError> {
    let campaign = engine.campaign(&run.campaign).await?.value;
    let workflow = engine.workflow(run.snapshot).await?;
    let pack = engine.pack(campaign.frozen.pack).await?;
    let index = usize::try_from(run.case_index).unwrap_or(usize::MAX);
    let Some(case) = pack.cases.get(index) else {
        return Err(EngineError::Payload {
            what: "eval pack",
            digest: campaign.frozen.pack,
            why: format!("it has no case number {index}"),
        });
    };
    let report = runner
        .run(Job {
            run: &run,
            workflow,
            case,
        })
        .await;
    if let Err(ignored) = engine.finish(run.id, run.epoch, report).await? {
        tracing::info!(run = %run.id, ?ignored, "a result came too late");
    }
    Ok(())
}

/// Puts a run back into the queue whose worker cannot go on. When that fails too, the next start of
/// the process finds it.
async fn give_back(engine: &Engine, id: RunId, epoch: Epoch) {
    let lost = optim_core::run::transition::RunObservation::Lost { epoch };
    if let Err(error) = engine.observe_run(id, lost).await {
        tracing::warn!(run = %id, %error, "a run could not be given back");
    }
}
