//! The dispatcher on a store in memory, in virtual time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use optim_core::assertion::Matcher;
use optim_core::campaign::Campaign;
use optim_core::campaign::event::{EventKind, Subject};
use optim_core::node_io::{ErrorClass, NodeError, NodeRequest, NodeResponse};
use optim_core::quantity::Timestamp;
use optim_core::run::RunState;
use optim_core::workflow::{Agent, Workflow};
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
        pass(Duration::from_millis(5)).await;
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

const PACK: &str = r#"{"id": "one", "inputs": {}, "expect": [{"type": "regex", "value": "done"}]}"#;

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
        let evaluation = sample::evaluation(id, "replay 1");
        let mut campaign: Campaign = sample::funded(sample::campaign(id), &[evaluation]);
        campaign.frozen.pack = pack.digest();
        let runs = (0..count).map(|index| {
            let run = sample::run(id, evaluation, index);
            let value = Run { case_index: 0, snapshot: definition.digest(), fingerprint, ..run };
            Write { expected: Revision(0), value }
        });
        let (runs, blobs) = (runs.collect(), vec![definition.clone(), pack.clone()]);
        let campaigns = vec![Write { expected: Revision(0), value: campaign }];
        let events = vec![sample::event(id, EventKind::CampaignCreated)];
        let commit = Commit { campaigns, runs, blobs, events, ..Commit::default() };
        store.commit(commit).await.unwrap();
    }
    store
}

/// Lets virtual time pass.
async fn pass(time: Duration) {
    drop(tokio::time::timeout(time, std::future::pending::<()>()).await);
}

/// A dispatcher at work.
struct Running {
    engine: Arc<Engine>,
    dispatcher: Arc<Dispatcher>,
    tasks: TaskSet,
}

impl Running {
    fn start(store: Arc<dyn Store>, runner: Runner, clock: Arc<ManualClock>) -> Self {
        let engine = Arc::new(Engine::new(store, clock));
        let config = DispatchConfig { capacity: 3, ..DispatchConfig::default() };
        let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&engine), Arc::new(runner), config));
        let mut tasks = TaskSet::new();
        tasks.supervise("dispatcher", {
            let dispatcher = Arc::clone(&dispatcher);
            move |shutdown| Arc::clone(&dispatcher).run(shutdown)
        });
        Self { engine, dispatcher, tasks }
    }

    /// Waits until every run of a campaign is over, in virtual time; the runs.
    async fn finished(&self, campaign: &str) -> Vec<Run> {
        let evaluation = sample::evaluation(campaign, "replay 1");
        let mut changes = self.engine.changes();
        let done = async {
            loop {
                match self.engine.finished_runs(evaluation).await {
                    Ok(Some(done)) => return done,
                    Ok(None) => changes.changed().await.unwrap(),
                    Err(_) => {}
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(3600), done).await.expect("all runs end")
    }

    async fn stop(self) -> Metrics {
        self.tasks.shutdown().await;
        self.dispatcher.metrics()
    }
}

/// Works until every run of the campaigns is over; the runs.
async fn worked_off(
    store: Arc<dyn Store>,
    runner: Runner,
    campaigns: &[&str],
) -> (Vec<Run>, Metrics) {
    let running = Running::start(store, runner, Arc::new(ManualClock::at(Timestamp(0))));
    let mut runs = Vec::new();
    for id in campaigns {
        runs.extend(running.finished(id).await);
    }
    (runs, running.stop().await)
}

fn runner(
    executor: &Arc<impl NodeExecutor + 'static>,
    matcher: Arc<dyn Matcher + Send + Sync>,
) -> Runner {
    let executor = Arc::clone(executor);
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
        assert!(runs.iter().all(|run| matches!(run.state, RunState::Finished(_))), "seed {seed}");
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

/// What an executor does at its first attempt; later ones succeed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum First {
    /// The provider asks for so many milliseconds of rest.
    Busy(u64),
    /// It never ends.
    Hang,
    /// It ends; whom the workflow calls cannot be told at first.
    Confused,
}

/// Counts the attempts, and those that were stopped.
struct Moody {
    first: First,
    asked: AtomicUsize,
    attempts: AtomicUsize,
    stopped: AtomicUsize,
}

impl Moody {
    fn new(first: First) -> Arc<Self> {
        let [asked, attempts, stopped] = [0, 0, 0].map(AtomicUsize::new);
        Arc::new(Self { first, asked, attempts, stopped })
    }

    fn counts(&self) -> (usize, usize) {
        (self.attempts.load(Ordering::SeqCst), self.stopped.load(Ordering::SeqCst))
    }

    /// Waits, in virtual time, until so many attempts were begun and stopped.
    async fn reached(&self, counts: (usize, usize)) {
        let reached = async {
            while self.counts() != counts {
                pass(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), reached).await;
        in_time.unwrap_or_else(|_| panic!("{:?} instead of {counts:?}", self.counts()));
    }
}

/// Counts itself as stopped when it is dropped.
struct Attempt<'a>(&'a Moody);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.stopped.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl NodeExecutor for Moody {
    fn name(&self) -> &str {
        "moody"
    }

    fn capabilities(&self) -> &Capabilities {
        &Capabilities { tools: false, mcp: false, waits: false }
    }

    fn simulated(&self) -> bool {
        true
    }

    fn provider(&self, _: &Agent) -> Option<ProviderId> {
        Some(ProviderId::new("p").unwrap())
    }

    fn providers(&self, _: &Workflow) -> BTreeSet<ProviderId> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(self.first != First::Confused || asked != 1, "it cannot think now");
        BTreeSet::from([ProviderId::new("p").unwrap()])
    }

    async fn execute(&self, _: NodeRequest) -> NodeResponse {
        let number = self.attempts.fetch_add(1, Ordering::SeqCst);
        let answer = |result| NodeResponse { result, usage: Usage::default() };
        match self.first {
            First::Busy(rest) if number == 0 => {
                let busy = NodeError::new(ErrorClass::Provider, "busy");
                answer(Err(NodeError { retry_after: Some(Millis(rest)), ..busy }))
            }
            First::Hang if number == 0 => {
                let _attempt = Attempt(self);
                std::future::pending().await
            }
            First::Confused => {
                pass(Duration::from_secs(30)).await;
                answer(Ok(json!("done")))
            }
            First::Busy(_) | First::Hang => answer(Ok(json!("done"))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_wants_rest_gets_it_from_the_next_process_too() {
    let executor = Moody::new(First::Busy(600_000));
    let store: Arc<dyn Store> = Arc::new(filled(&["a"], 1).await);
    let clock = Arc::new(ManualClock::at(sample::NOW));
    let start = || {
        let runner = runner(&executor, Arc::new(Engines::default()));
        Running::start(Arc::clone(&store), runner, Arc::clone(&clock))
    };
    let first = start();
    executor.reached((1, 0)).await;
    let mut changes = first.engine.changes();
    while store.throttles().await.unwrap().is_empty() {
        changes.changed().await.unwrap();
    }
    let provider = ProviderId::new("p").unwrap();
    let until = sample::NOW.after(Millis(600_000));
    let [waiting] = &first.dispatcher.waiting()[..] else { panic!("one run waits") };
    assert_eq!(waiting.why.name(), "throttled");
    first.stop().await;
    let events = store.events(optim_store::EventSeq(0), 10).await.unwrap();
    assert!(
        events.iter().any(|recorded| recorded.event.subject == Subject::Provider(provider.clone())
            && recorded.event.what == EventKind::ProviderThrottled { until }),
        "{events:?}"
    );

    clock.advance(Millis(240_000));
    let (second, begun) = (start(), tokio::time::Instant::now());
    let runs = second.finished("a").await;
    let waited = begun.elapsed();
    assert!((360_000..360_100).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!((runs[0].epoch, executor.counts().0), (Epoch(2), 2));

    clock.advance(Millis(360_000));
    assert_eq!(second.engine.throttles().await.unwrap(), []);
    assert_eq!(store.throttles().await.unwrap(), [], "what is over is removed");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_given_back_is_executed_once_its_worker_is_stopped() {
    let executor = Moody::new(First::Hang);
    let store: Arc<dyn Store> = Arc::new(filled(&["a"], 1).await);
    let runner = runner(&executor, Arc::new(Engines::default()));
    let running = Running::start(store, runner, Arc::new(ManualClock::at(Timestamp(0))));
    executor.reached((1, 0)).await;
    let [claimed] = &running.engine.list_runs(&RunFilter::Running).await.unwrap()[..] else {
        panic!("one run is claimed")
    };
    let lost = RunObservation::Lost { epoch: claimed.epoch };
    running.engine.observe_run(claimed.id, lost).await.unwrap().unwrap();
    let runs = running.finished("a").await;
    assert_eq!((runs[0].epoch, executor.counts()), (Epoch(2), (2, 1)));
    let metrics = running.stop().await;
    assert_eq!((metrics.active, metrics.completed_total), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_renew_its_lease_stops_before_that_ends_and_starts_nothing_more() {
    let executor = Moody::new(First::Hang);
    let store = Arc::new(FaultyStore::planned(filled(&["a"], 1).await, []));
    let runner = runner(&executor, Arc::new(Engines::default()));
    let clock = Arc::new(ManualClock::at(Timestamp(0)));
    let running = Running::start(Arc::<FaultyStore<_>>::clone(&store), runner, clock);
    executor.reached((1, 0)).await;
    // Nothing can be read or written any more.
    store.fail_now_and_then(0, 1000);
    pass(lease::STOPS_AFTER - Duration::from_secs(1)).await;
    assert_eq!(executor.counts(), (1, 0), "it may be a short outage");
    pass(Duration::from_secs(1)).await;
    assert_eq!(executor.counts(), (1, 1));
    assert!(lease::STOPS_AFTER < lease::LEASE_LOST_AFTER);
    pass(10 * lease::LEASE_LOST_AFTER).await;
    assert_eq!(executor.counts(), (1, 1), "nothing is started meanwhile");
    store.heal();
    let runs = running.finished("a").await;
    assert_eq!((runs[0].epoch, executor.counts().0), (Epoch(2), 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_nobody_wants_any_more_gives_its_slot_back() {
    let executor = Moody::new(First::Hang);
    let store: Arc<dyn Store> = Arc::new(filled(&["a"], 1).await);
    let runner = runner(&executor, Arc::new(Engines::default()));
    let running = Running::start(store, runner, Arc::new(ManualClock::at(Timestamp(0))));
    executor.reached((1, 0)).await;
    let [claimed] = &running.engine.list_runs(&RunFilter::Running).await.unwrap()[..] else {
        panic!("one run is claimed")
    };
    running.engine.wakes().jobs_changed([JobChange::Over(Job::Case(claimed.id))]);
    executor.reached((1, 1)).await;
    tokio::task::yield_now().await;
    assert_eq!(running.dispatcher.metrics().active, 0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_from_before_the_claim_queues_no_run_again() {
    let executor = Moody::new(First::Hang);
    let store: Arc<dyn Store> = Arc::new(filled(&["a"], 1).await);
    let runner = runner(&executor, Arc::new(Engines::default()));
    let running = Running::start(store, runner, Arc::new(ManualClock::at(Timestamp(0))));
    executor.reached((1, 0)).await;
    let [claimed] = &running.engine.list_runs(&RunFilter::Running).await.unwrap()[..] else {
        panic!("one run is claimed")
    };
    let late = RunSummary { epoch: Epoch(0), ..claimed.clone() };
    running.engine.wakes().jobs_changed([JobChange::CaseQueued(late)]);
    pass(Duration::from_millis(1)).await;
    assert_eq!(running.dispatcher.waiting(), [], "it is at work");
    assert_eq!(executor.counts(), (1, 0), "and goes on");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_no_case_run_and_the_next_process_has_it_again() {
    let executor = Moody::new(First::Hang);
    let store: Arc<dyn Store> = Arc::new(filled(&["a"], 8).await);
    let start = || {
        let runner = runner(&executor, Arc::new(Engines::default()));
        Running::start(Arc::clone(&store), runner, Arc::new(ManualClock::at(Timestamp(0))))
    };
    let first = start();
    executor.reached((8, 0)).await;
    let begun = tokio::time::Instant::now();
    let metrics = first.stop().await;
    assert_eq!((begun.elapsed(), executor.counts()), (Duration::ZERO, (8, 1)));
    assert_eq!((metrics.active, metrics.completed_total), (0, 8));
    let second = start();
    let runs = second.finished("a").await;
    assert_eq!(executor.counts().0, 9, "only the one that was stopped is executed again");
    assert!(runs.iter().all(|run| run.report().is_some()));
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_loop_ends_no_worker() {
    let executor = Moody::new(First::Confused);
    let store: Arc<dyn Store> = Arc::new(filled(&["a"], 2).await);
    let runner = runner(&executor, Arc::new(Engines::default()));
    let running = Running::start(store, runner, Arc::new(ManualClock::at(Timestamp(0))));
    executor.reached((2, 0)).await;
    // Another definition comes, and whom it calls cannot be told.
    let run = &running.engine.list_runs(&RunFilter::Running).await.unwrap()[0];
    let other = optim_store::RunSummary { snapshot: unused(&running.engine).await, ..run.clone() };
    running.engine.wakes().jobs_changed([JobChange::CaseQueued(RunSummary {
        id: optim_core::id::RunId::derive(&[b"other"]),
        ..other
    })]);
    let runs = running.finished("a").await;
    assert_eq!(running.tasks.status()["dispatcher"].panics, 1);
    assert!(runs.iter().all(|run| run.epoch == Epoch(1)), "each was executed once");
    assert_eq!(executor.counts().0, 2);
    running.stop().await;
}

/// The digest of a definition that no run has yet.
async fn unused(engine: &Engine) -> Digest {
    let node = json!({"node_id": "b", "agent_id": "x", "objective": "o"});
    let workflow =
        json!({"automation_id": "v", "agents": [{"agent_id": "x"}], "flow": {"nodes": [node]}});
    let definition = Blob::new(serde_json::to_vec(&workflow).unwrap());
    let commit = Commit { blobs: vec![definition.clone()], ..Commit::default() };
    engine.store().commit(commit).await.unwrap();
    definition.digest()
}

#[tokio::test(start_paused = true)]
async fn what_ends_together_is_committed_together_with_what_starts_then() {
    let executor = Arc::new(Counting::default());
    let store: Arc<dyn Store> = Arc::new(filled(&["a"], 30).await);
    let runner = runner(&executor, Arc::new(Engines::default()));
    let running = Running::start(store, runner, Arc::new(ManualClock::at(Timestamp(0))));
    running.finished("a").await;
    let commits = *running.engine.changes().borrow();
    assert!(commits <= 1 + 30 / 3 + 2, "{commits} commits for 30 runs, three at once");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_many_pages_is_worked_off() {
    let executor = Arc::new(Counting::default());
    let count = 2 * Page::LIMIT_MAX + 1;
    let store: Arc<dyn Store> = Arc::new(filled(&["a"], count).await);
    let runner = runner(&executor, Arc::new(Engines::default()));
    let (runs, metrics) = worked_off(store, runner, &["a"]).await;
    assert_eq!((runs.len(), metrics.completed_total), (1001, 1001));
}
