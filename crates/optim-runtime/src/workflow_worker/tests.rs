//! Workflow runs through the dispatcher, in virtual time and over a store that fails.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use optim_core::id::{Actor, ProviderId};
use optim_core::node_io::{NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_core::quantity::Timestamp;
use optim_core::throttle::AnsweredRun;
use optim_core::workflow::Agent;
use optim_core::workflow_run::command::WorkflowRunCommand;
use optim_core::workflow_run::state::{FailureKind, WorkflowRunState, WorkflowRunStatus};
use optim_core::workflow_run::transition::Order;
use optim_core::workflow_run::{Origin, Trigger, Wait};
use optim_store::memory::Memory;
use optim_store::testing::faulty::FaultyStore;
use optim_store::{Store, WorkflowRunSummary};
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::dispatch::{DispatchConfig, Dispatcher};
use crate::executor::{Capabilities, NodeExecutor};
use crate::matcher::Engines;
use crate::runner::sleep_for;
use crate::scheduler::entry::Job;
use crate::tasks::TaskSet;
use crate::wake::JobChange;

/// Takes a minute for each node, and counts them; panics at the node that says so. The provider of the
/// one that says `busy` asks for ten minutes of rest at first.
#[derive(Default)]
struct Slow {
    at_once: AtomicUsize,
    most: AtomicUsize,
    ended: Mutex<Vec<String>>,
    refused: AtomicBool,
}

#[async_trait]
impl NodeExecutor for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn capabilities(&self) -> &Capabilities {
        &Capabilities { tools: false, mcp: false, waits: false }
    }

    fn simulated(&self) -> bool {
        true
    }

    fn provider(&self, agent: &Agent) -> Option<ProviderId> {
        (agent.id.as_str() == "busy").then(provider)
    }

    fn providers(&self, workflow: &Workflow) -> BTreeSet<ProviderId> {
        workflow.agents().iter().filter_map(|agent| self.provider(agent)).collect()
    }

    async fn execute(&self, request: NodeRequest) -> NodeResponse {
        assert_ne!(request.objective, "panic", "as the test says");
        if request.objective == "busy" && !self.refused.swap(true, Ordering::SeqCst) {
            let busy = NodeError::new(ErrorClass::Provider, "too many requests");
            let result = Err(NodeError { retry_after: Some(Millis(600_000)), ..busy });
            return NodeResponse { result, usage: Usage::default() };
        }
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(at_once, Ordering::SeqCst);
        sleep_for(Some(Duration::from_secs(60))).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        self.ended.lock().unwrap().push(request.objective);
        NodeResponse { result: Ok(json!("done")), usage: Usage::default() }
    }
}

fn provider() -> ProviderId {
    ProviderId::new("p").unwrap()
}

struct Plant {
    dispatcher: Arc<Dispatcher>,
    engine: Arc<Engine>,
    executor: Arc<Slow>,
    tasks: TaskSet,
}

fn plant(store: Arc<dyn Store>) -> Plant {
    let engine = Arc::new(Engine::new(store, Arc::new(ManualClock::at(Timestamp(0)))));
    let executor = Arc::new(Slow::default());
    let port: Arc<dyn NodeExecutor> = Arc::<Slow>::clone(&executor);
    let runner = Runner::new(port, Arc::new(Engines::default()), Arc::clone(engine.clock()));
    let config = DispatchConfig { capacity: 8, ..DispatchConfig::default() };
    let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&engine), Arc::new(runner), config));
    let mut tasks = TaskSet::new();
    let looped = Arc::clone(&dispatcher);
    tasks.supervise("dispatcher", move |shutdown| Arc::clone(&looped).run(shutdown));
    Plant { dispatcher, engine, executor, tasks }
}

impl Plant {
    /// Queues a run of nodes with these objectives, one after the other.
    async fn queue(&self, key: &str, objectives: &[&str], folder: &Path) -> WorkflowRunId {
        let nodes: Vec<_> = (objectives.iter().enumerate())
            .map(|(place, objective)| {
                let needs: Vec<_> =
                    place.checked_sub(1).map(|place| format!("n{place}")).into_iter().collect();
                let agent = if *objective == "busy" { "busy" } else { "x" };
                json!({"node_id": format!("n{place}"), "agent_id": agent, "objective": objective,
                       "depends_on": needs, "retry_policy": {"max_attempts": 3}})
            })
            .collect();
        let agents: BTreeSet<_> = nodes.iter().map(|node| node["agent_id"].to_string()).collect();
        let agents: Vec<_> =
            (agents.iter()).map(|agent| json!({"agent_id": agent.trim_matches('"')})).collect();
        let json = json!({"automation_id": "w", "agents": agents, "flow": {"nodes": nodes}});
        let definition = Blob::new(json.to_string().into_bytes());
        let workflow = Workflow::from_json(json).unwrap();
        let order = Order {
            id: WorkflowRunId::derive(&[key.as_bytes()]),
            origin: Origin::File { path: "/w.yaml".to_owned() },
            snapshot: definition.digest(),
            trigger: Trigger::Program,
            dry_run: false,
            inputs: serde_json::Map::new(),
            workspace: folder.display().to_string(),
        };
        let id = order.id;
        let create = || async {
            let (order, definition) = (order.clone(), definition.clone());
            self.engine.create_workflow_run(order, &workflow, definition, Actor::engine()).await
        };
        patiently(create).await.unwrap();
        id
    }

    /// Waits, in virtual time, until there is enough of a run; the run.
    async fn until(&self, id: WorkflowRunId, enough: impl Fn(&WorkflowRun) -> bool) -> WorkflowRun {
        let reached = async {
            loop {
                if let Ok(run) = self.engine.workflow_run(id).await
                    && enough(&run.value)
                {
                    return run.value;
                }
                sleep_for(Some(Duration::from_millis(100))).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10_000), reached).await;
        in_time.expect("it comes to that")
    }

    async fn ended(&self, id: WorkflowRunId) -> WorkflowRun {
        self.until(id, |run| run.state.status().is_terminal()).await
    }
}

#[tokio::test(start_paused = true)]
async fn runs_in_one_workspace_take_turns_and_others_do_not_wait() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plant = plant(Arc::new(Memory::new()));
    let first = plant.queue("first", &["a", "b"], one.path()).await;
    let second = plant.queue("second", &["c", "d"], one.path()).await;
    let apart = plant.queue("apart", &["e", "f"], other.path()).await;
    for id in [first, second, apart] {
        assert_eq!(plant.ended(id).await.state.status(), WorkflowRunStatus::Completed);
    }
    assert_eq!(plant.executor.most.load(Ordering::SeqCst), 2, "one for each workspace");
    plant.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_often_repeats_no_node_that_is_done() {
    for seed in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(FaultyStore::seeded(Memory::new(), seed, 200));
        let plant = plant(Arc::<FaultyStore<_>>::clone(&store));
        let id = plant.queue("r", &["a", "b", "c"], folder.path()).await;
        let run = plant.ended(id).await;
        assert!(store.injected() > 0);
        assert_eq!(
            run.state.status(),
            WorkflowRunStatus::Completed,
            "seed {seed}: {:?}",
            run.state
        );
        assert_eq!(*plant.executor.ended.lock().unwrap(), ["a", "b", "c"], "seed {seed}");
        plant.tasks.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_wants_rest_gets_it_while_the_run_keeps_neither_slot_nor_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let first = plant(Arc::clone(&store));
    let id = first.queue("r", &["a", "busy", "b"], folder.path()).await;
    let waits = first.until(id, |run| run.wait().is_some()).await;
    let reason = "node n1: too many requests".to_owned();
    let not_before = Timestamp(600_000);
    assert_eq!(waits.wait(), Some(Wait { not_before, reason }));
    assert_eq!(waits.nodes[1].attempts, 0, "the provider's fault is not the node's");
    let throttle = &store.throttles().await.unwrap()[0];
    assert_eq!((&throttle.provider, throttle.until), (&provider(), not_before));
    assert_eq!(throttle.run, AnsweredRun::Workflow(id));
    let other = first.queue("other", &["c"], folder.path()).await;
    assert_eq!(first.ended(other).await.state.status(), WorkflowRunStatus::Completed);
    // Nobody else may ask that provider meanwhile either.
    first.queue("third", &["busy"], folder.path()).await;
    first.until(id, |_| first.dispatcher.metrics().waiting == 2).await;
    let why: Vec<_> = (first.dispatcher.waiting().iter())
        .map(|waiting| (waiting.why.name(), waiting.jobs))
        .collect();
    assert_eq!(why, [("throttled", 2)]);
    first.tasks.shutdown().await;

    // The next process keeps the wish too, and goes on where this one stopped.
    let (second, begun) = (plant(store), tokio::time::Instant::now());
    second.executor.refused.store(true, Ordering::SeqCst);
    assert_eq!(second.ended(id).await.state.status(), WorkflowRunStatus::Completed);
    assert!(begun.elapsed() >= Duration::from_secs(600), "{:?}", begun.elapsed());
    let ended = second.executor.ended.lock().unwrap().clone();
    assert!(ended.ends_with(&["busy".to_owned(), "b".to_owned()]), "{ended:?}");
    second.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn word_of_a_pause_that_comes_after_the_resume_keeps_no_run_from_going_on() {
    let folder = tempfile::tempdir().unwrap();
    let plant = plant(Arc::new(Memory::new()));
    let first = plant.queue("first", &["a"], folder.path()).await;
    plant.until(first, |run| run.nodes[0].is_running()).await;
    let second = plant.queue("second", &["a"], folder.path()).await;
    sleep_for(Some(Duration::from_millis(1))).await;
    assert_eq!(plant.dispatcher.waiting().len(), 1, "it waits for the folder");
    plant.engine.wakes().jobs_changed([JobChange::Over(Job::Workflow(second))]);
    assert_eq!(plant.ended(second).await.state.status(), WorkflowRunStatus::Completed);
    plant.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_from_before_the_claim_queues_no_workflow_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let plant = plant(Arc::new(Memory::new()));
    let id = plant.queue("r", &["a"], folder.path()).await;
    let claimed = plant.until(id, |run| run.nodes[0].is_running()).await;
    let late = WorkflowRunSummary { epoch: Epoch(0), ..WorkflowRunSummary::of(&claimed) };
    plant.engine.wakes().jobs_changed([JobChange::WorkflowQueued(Box::new(late))]);
    sleep_for(Some(Duration::from_millis(1))).await;
    assert_eq!(plant.dispatcher.waiting(), [], "it is at work");
    assert_eq!(plant.ended(id).await.state.status(), WorkflowRunStatus::Completed);
    plant.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn threat_45_a_node_that_panics_fails_its_run_and_frees_the_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let plant = plant(Arc::new(Memory::new()));
    let broken = plant.queue("broken", &["panic"], folder.path()).await;
    let next = plant.queue("next", &["a"], folder.path()).await;
    let WorkflowRunState::Failed { failure, .. } = plant.ended(broken).await.state else {
        panic!("it failed")
    };
    assert_eq!(failure.kind, FailureKind::Panic);
    assert_eq!(plant.ended(next).await.state.status(), WorkflowRunStatus::Completed);
    plant.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_stops_the_node_at_work_and_a_run_that_was_taken_away_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let plant = plant(Arc::new(Memory::new()));
    let id = plant.queue("r", &["a", "b"], folder.path()).await;
    plant.until(id, |run| run.nodes[0].is_running()).await;
    let cancel = WorkflowRunCommand::Cancel { reason: None };
    plant.engine.command_workflow_run(id, &cancel, Actor::engine()).await.unwrap();
    let next = plant.queue("next", &["c"], folder.path()).await;
    assert_eq!(plant.ended(next).await.state.status(), WorkflowRunStatus::Completed);
    assert_eq!(*plant.executor.ended.lock().unwrap(), ["c"], "what was cancelled did not end");
    assert_eq!(
        plant.engine.workflow_run(id).await.unwrap().value.state.status(),
        WorkflowRunStatus::Cancelled
    );
    plant.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_node_at_work_end_and_the_next_process_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let first = plant(Arc::clone(&store));
    let id = first.queue("r", &["a", "b"], folder.path()).await;
    // Forty seconds into the first node, so that it ends within the grace period.
    first.until(id, |run| run.nodes[0].is_running()).await;
    sleep_for(Some(Duration::from_secs(40))).await;
    first.tasks.shutdown().await;
    let left = first.engine.workflow_run(id).await.unwrap().value;
    assert!(left.nodes[0].is_done() && !left.nodes[1].is_running());
    assert_eq!(left.state.status(), WorkflowRunStatus::Running, "left for the next process");
    let second = plant(store);
    assert_eq!(second.ended(id).await.state.status(), WorkflowRunStatus::Completed);
    assert_eq!(*second.executor.ended.lock().unwrap(), ["b"], "the first node is not repeated");
    second.tasks.shutdown().await;
}
