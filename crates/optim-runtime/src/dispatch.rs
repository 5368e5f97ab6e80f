//! Gives queued case runs to workers while there is room.
//!
//! The queue is the store's; what is held here is a window of it and the runs in flight. Who may
//! start is decided by the [`Scheduler`].

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use optim_core::outcome::{CaseOutcome, Usage};
use optim_core::run::transition::RunObservation;
use optim_core::run::{Run, RunReport};
use optim_store::{Page, RunFilter, RunSummary, StoreError};
use tokio::task::JoinSet;

use crate::engine::{Engine, EngineError};
use crate::runner::{Job, Runner};
use crate::scheduler::plan::{Class, Entry};
use crate::scheduler::{Admission, Metrics, Scheduler};
use crate::tasks::Shutdown;

/// How long a failing store is left alone.
const BACK_OFF: Duration = Duration::from_secs(1);
/// The most queued runs that are looked at together; campaigns take turns among these.
const WINDOW_RUNS_MAX: usize = 4096;

/// The dispatch loop.
pub struct Dispatcher {
    engine: Arc<Engine>,
    runner: Arc<Runner>,
    scheduler: Arc<Mutex<Scheduler>>,
}

/// The dispatcher's state while it runs.
struct Desk {
    /// The oldest queued runs, as last listed, without those that were started since.
    window: Vec<Entry>,
    /// Whether runs were queued since.
    stale: bool,
    /// Whether the store holds queued runs that the window does not.
    beyond: bool,
    /// Whether an operation failed: a claim whose answer is lost may have taken effect.
    doubt: bool,
    workers: JoinSet<()>,
}

impl Dispatcher {
    /// A loop with room for `capacity` runs at once; at least one.
    #[must_use]
    pub fn new(engine: Arc<Engine>, runner: Arc<Runner>, capacity: u32) -> Self {
        Self { engine, runner, scheduler: Arc::new(Mutex::new(Scheduler::new(capacity))) }
    }

    /// What is at work, and what waits for what.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        locked(&self.scheduler).metrics()
    }

    /// Works the queue off until shut down. Runs in flight then are dropped, with their processes.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let (window, workers) = (Vec::new(), JoinSet::new());
        let mut desk = Desk { window, stale: true, beyond: false, doubt: false, workers };
        loop {
            if let Err(error) = self.fill(&mut desk).await {
                tracing::warn!(%error, "the queue cannot be worked off now");
                desk.doubt = true;
                tokio::select! {
                    () = tokio::time::sleep(BACK_OFF) => continue,
                    () = shutdown.requested() => return,
                }
            }
            tokio::select! {
                () = self.engine.wakes().runs() => desk.stale = true,
                Some(ended) = desk.workers.join_next() => desk.doubt |= ended.is_err(),
                () = shutdown.requested() => return,
            }
        }
    }

    /// Starts runs until there is no room, or nothing that may start.
    async fn fill(&self, desk: &mut Desk) -> Result<(), EngineError> {
        if desk.doubt {
            self.rescue().await?;
            (desk.doubt, desk.stale) = (false, true);
        }
        loop {
            if desk.stale || (desk.beyond && desk.window.is_empty()) {
                desk.beyond = self.look(&mut desk.window).await?;
                desk.stale = false;
            }
            let admissions = locked(&self.scheduler).admit(&mut desk.window);
            if admissions.is_empty() {
                return Ok(());
            }
            // Slots first: those that are not used for an error's sake are given back.
            let slots: Vec<_> =
                admissions.into_iter().map(|admission| self.slot(admission)).collect();
            for slot in slots {
                self.start(slot, &mut desk.workers).await?;
            }
        }
    }

    /// Gives back the claimed runs that nobody works on.
    async fn rescue(&self) -> Result<(), EngineError> {
        for run in self.engine.list_runs(&RunFilter::Running).await? {
            let has_worker = locked(&self.scheduler).holds(run.id);
            if !has_worker {
                // One that has moved on meanwhile needs no help.
                drop(
                    self.engine
                        .observe_run(run.id, RunObservation::Lost { epoch: run.epoch })
                        .await?,
                );
            }
        }
        Ok(())
    }

    /// Lists the oldest queued runs; says whether there are others.
    async fn look(&self, window: &mut Vec<Entry>) -> Result<bool, EngineError> {
        let mut page = Page::first();
        window.clear();
        loop {
            let listed = self.engine.store().runs(&RunFilter::Queued, page).await?;
            window.extend(listed.items.into_iter().map(entry));
            match listed.next {
                Some(after) if window.len() < WINDOW_RUNS_MAX => {
                    page = Page { after: Some(after), ..Page::first() };
                }
                next => return Ok(next.is_some()),
            }
        }
    }

    fn slot(&self, admission: Admission) -> Slot {
        Slot { admission, scheduler: Arc::clone(&self.scheduler) }
    }

    /// Claims a run and hands it to a worker. Nothing happens when it is not queued any more.
    async fn start(&self, slot: Slot, workers: &mut JoinSet<()>) -> Result<(), EngineError> {
        let Some(run) = self.engine.claim(slot.admission.run).await? else {
            return Ok(());
        };
        let (engine, runner) = (Arc::clone(&self.engine), Arc::clone(&self.runner));
        workers.spawn(async move {
            work(engine, runner, run).await;
            drop(slot);
        });
        Ok(())
    }
}

/// An admission that is released when it is dropped: with its worker, whatever that worker's end.
struct Slot {
    admission: Admission,
    scheduler: Arc<Mutex<Scheduler>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        locked(&self.scheduler).release(self.admission.id);
    }
}

fn locked(scheduler: &Mutex<Scheduler>) -> MutexGuard<'_, Scheduler> {
    scheduler.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A case run: it works in a scratch copy of its own, so it locks no workspace.
fn entry(run: RunSummary) -> Entry {
    Entry { run: run.id, campaign: run.campaign, class: Class::Evaluation, workspace: None }
}

/// Executes a claimed run and records its result. A store that fails is waited for, as the result
/// is paid for.
async fn work(engine: Arc<Engine>, runner: Arc<Runner>, run: Run) {
    let claimed = run.clone();
    let mut body = JoinSet::new();
    body.spawn({
        let engine = Arc::clone(&engine);
        async move { execute(&engine, &runner, &run).await }
    });
    let report = match body.join_next().await {
        Some(Ok(Ok(report))) => report,
        Some(Ok(Err(error))) => void(&engine, &claimed, error.to_string()),
        Some(Err(panic)) => void(&engine, &claimed, format!("the worker panicked: {panic}")),
        None => void(&engine, &claimed, "there was no worker".to_owned()),
    };
    let Run { id, epoch, .. } = claimed;
    match patiently(|| engine.finish(id, epoch, report.clone())).await {
        Ok(Ok(_)) => {}
        Ok(Err(ignored)) => tracing::info!(run = %id, ?ignored, "a result came too late"),
        Err(error) => tracing::error!(run = %id, %error, "a result cannot be recorded"),
    }
}

/// The report of a run that could not be executed, which is a fault of the outside.
fn void(engine: &Engine, run: &Run, fault: String) -> RunReport {
    tracing::error!(run = %run.id, fault, "a run could not be executed");
    let now = engine.clock().now();
    RunReport {
        executed: run.fingerprint,
        outcome: CaseOutcome::Void { fault },
        nodes: Vec::new(),
        usage: Usage::default(),
        started_at: now,
        finished_at: now,
        throttled: None,
    }
}

async fn execute(engine: &Engine, runner: &Runner, run: &Run) -> Result<RunReport, EngineError> {
    let campaign = patiently(|| engine.campaign(&run.campaign)).await?.value;
    let workflow = patiently(|| engine.workflow(run.snapshot)).await?;
    let pack = patiently(|| engine.pack(campaign.frozen.pack)).await?;
    let index = usize::try_from(run.case_index).unwrap_or(usize::MAX);
    let Some(case) = pack.cases.get(index) else {
        return Err(EngineError::Payload {
            what: "eval pack",
            digest: campaign.frozen.pack,
            why: format!("it has no case number {index}"),
        });
    };
    let folder = Path::new(campaign.source.folder());
    let job = Job { run, workflow, case, folder };
    Ok(runner.run(job).await)
}

/// Tries until the store answers, or cannot ever.
async fn patiently<T, F>(operation: impl Fn() -> F) -> Result<T, EngineError>
where
    F: Future<Output = Result<T, EngineError>>,
{
    loop {
        match operation().await {
            Err(EngineError::Store(error)) if !matches!(error, StoreError::Corrupt { .. }) => {
                tracing::warn!(%error, "the store fails; a run waits for it");
                tokio::time::sleep(BACK_OFF).await;
            }
            answered => return answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use optim_core::assertion::Matcher;
    use optim_core::campaign::Campaign;
    use optim_core::node_io::{NodeRequest, NodeResponse};
    use optim_core::quantity::Timestamp;
    use optim_core::run::RunState;
    use optim_core::workflow::Workflow;
    use optim_store::memory::Memory;
    use optim_store::testing::{faulty::FaultyStore, sample};
    use optim_store::{Blob, Commit, Revision, Store, Write};
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::ManualClock;
    use crate::executor::{Capabilities, NodeExecutor};
    use crate::matcher::Engines;
    use crate::tasks::TaskSet;

    /// Counts how many attempts are made at once.
    #[derive(Default)]
    struct Counting {
        now: AtomicUsize,
        most: AtomicUsize,
        attempts: AtomicUsize,
    }

    #[async_trait]
    impl NodeExecutor for Counting {
        fn name(&self) -> &str {
            "counting"
        }

        fn capabilities(&self) -> &Capabilities {
            &Capabilities { tools: false, mcp: false, waits: false }
        }

        fn simulated(&self) -> bool {
            true
        }

        async fn execute(&self, _: NodeRequest) -> NodeResponse {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.attempts.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            NodeResponse { result: Ok(json!("done")), usage: Usage::default() }
        }
    }

    /// A check that breaks down.
    struct Broken;

    impl Matcher for Broken {
        fn regex(&self, _: &str, _: &str) -> Result<bool, String> {
            panic!("a broken engine")
        }

        fn schema(&self, _: &Value, _: &Value) -> Result<Vec<String>, String> {
            panic!("a broken engine")
        }
    }

    const PACK: &str =
        r#"{"id": "one", "inputs": {}, "expect": [{"type": "regex", "value": "done"}]}"#;

    /// A store with `count` queued runs of each campaign.
    async fn filled(campaigns: &[&str], count: u32) -> Memory {
        let store = Memory::new();
        let node = json!({"node_id": "a", "agent_id": "x", "objective": "o"});
        let workflow =
            json!({"automation_id": "w", "agents": [{"agent_id": "x"}], "flow": {"nodes": [node]}});
        let definition = Blob::new(serde_json::to_vec(&workflow).unwrap());
        let pack = Blob::new(PACK.as_bytes().to_vec());
        let fingerprint = Workflow::from_json(workflow).unwrap().fingerprint();
        for id in campaigns {
            let mut campaign: Campaign = sample::campaign(id);
            campaign.frozen.pack = pack.digest();
            let evaluation = sample::evaluation(id, "replay 1");
            let runs = (0..count).map(|index| {
                let run = sample::run(id, evaluation, index);
                let value =
                    Run { case_index: 0, snapshot: definition.digest(), fingerprint, ..run };
                Write { expected: Revision(0), value }
            });
            let (runs, blobs) = (runs.collect(), vec![definition.clone(), pack.clone()]);
            let campaigns = vec![Write { expected: Revision(0), value: campaign }];
            store.commit(Commit { campaigns, runs, blobs, ..Commit::default() }).await.unwrap();
        }
        store
    }

    /// Works until every run of the campaigns is over; the runs.
    async fn worked_off(
        store: Arc<dyn Store>,
        runner: Runner,
        campaigns: &[&str],
    ) -> (Vec<Run>, Metrics) {
        let engine = Arc::new(Engine::new(store, Arc::new(ManualClock::at(Timestamp(0)))));
        let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&engine), Arc::new(runner), 3));
        let mut changes = engine.changes();
        let mut tasks = TaskSet::new();
        tasks.supervise("dispatcher", {
            let dispatcher = Arc::clone(&dispatcher);
            move |shutdown| Arc::clone(&dispatcher).run(shutdown)
        });
        let mut runs = Vec::new();
        for id in campaigns {
            let evaluation = sample::evaluation(id, "replay 1");
            let done = async {
                loop {
                    match engine.finished_runs(evaluation).await {
                        Ok(Some(done)) => return done,
                        Ok(None) => changes.changed().await.unwrap(),
                        Err(_) => {}
                    }
                }
            };
            // In virtual time.
            runs.extend(
                tokio::time::timeout(Duration::from_secs(3600), done).await.expect("all runs end"),
            );
        }
        tasks.shutdown().await;
        (runs, dispatcher.metrics())
    }

    fn runner(executor: &Arc<Counting>, matcher: Arc<dyn Matcher + Send + Sync>) -> Runner {
        let executor: Arc<dyn NodeExecutor> = Arc::<Counting>::clone(executor);
        Runner::new(executor, matcher, Arc::new(ManualClock::at(Timestamp(0))))
    }

    #[tokio::test(start_paused = true)]
    async fn every_run_is_executed_once_and_no_more_at_once_than_there_is_room() {
        let (executor, campaigns) = (Arc::new(Counting::default()), ["a", "b"]);
        let store = Arc::new(filled(&campaigns, 20).await);
        let (runs, metrics) =
            worked_off(store, runner(&executor, Arc::new(Engines::default())), &campaigns).await;
        assert!(runs.iter().all(
            |run| matches!(&run.report().unwrap().outcome, CaseOutcome::Measured(m) if m.passes())
        ));
        assert_eq!((runs.len(), executor.attempts.load(Ordering::SeqCst)), (40, 40));
        assert_eq!(executor.most.load(Ordering::SeqCst), 3);
        assert_eq!((metrics.active, metrics.admitted_total, metrics.released_total), (0, 40, 40));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_often_loses_no_run() {
        for seed in 0..20 {
            let (executor, campaigns) = (Arc::new(Counting::default()), ["a", "b"]);
            let store = Arc::new(FaultyStore::seeded(filled(&campaigns, 5).await, seed, 300));
            let runner = runner(&executor, Arc::new(Engines::default()));
            let (runs, metrics) =
                worked_off(Arc::<FaultyStore<_>>::clone(&store), runner, &campaigns).await;
            assert!(store.injected() > 0);
            assert!(
                runs.iter().all(|run| matches!(run.state, RunState::Finished(_))),
                "seed {seed}"
            );
            assert_eq!((runs.len(), metrics.active), (10, 0), "seed {seed}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_panics_is_a_fault_and_frees_its_slot() {
        let executor = Arc::new(Counting::default());
        let store = Arc::new(filled(&["a"], 4).await);
        let (runs, metrics) = worked_off(store, runner(&executor, Arc::new(Broken)), &["a"]).await;
        assert!(runs.iter().all(|run| matches!(&run.report().unwrap().outcome, CaseOutcome::Void { fault } if fault.contains("panicked"))));
        assert_eq!((metrics.active, metrics.released_total), (0, 12));
    }
}
