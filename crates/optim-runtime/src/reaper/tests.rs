//! In virtual time: who is reaped, and who is not.

use optim_core::campaign::event::EventKind;
use optim_core::id::{Actor, WorkflowRunId};
use optim_core::quantity::Timestamp;
use optim_core::run::RunState;
use optim_core::workflow::Workflow;
use optim_core::workflow_run::command::WorkflowRunCommand;
use optim_core::workflow_run::observation::NodeEnd;
use optim_core::workflow_run::state::{FailureKind, Stop, WorkflowRunState};
use optim_core::workflow_run::transition::Order;
use optim_core::workflow_run::{Origin, Trigger, WorkflowRun};
use optim_store::memory::Memory;
use optim_store::testing::sample;
use optim_store::{Blob, Commit, Revision, Write};
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::runner::sleep_for;
use crate::tasks::TaskSet;

/// The reaper at work over a store.
struct Watched {
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
    tasks: TaskSet,
}

fn watched(config: ReaperConfig) -> Watched {
    let clock = Arc::new(ManualClock::at(Timestamp(0)));
    let engine = Arc::new(Engine::new(Arc::new(Memory::new()), Arc::<ManualClock>::clone(&clock)));
    let reaper = Arc::new(Reaper::new(Arc::clone(&engine), config));
    let mut tasks = TaskSet::new();
    tasks.supervise("reaper", move |shutdown| Arc::clone(&reaper).run(shutdown));
    Watched { engine, clock, tasks }
}

const REAP_ONLY: ReaperConfig = ReaperConfig { enabled: true, auto_resume: false };

impl Watched {
    /// A run that a worker has claimed, with one node of `attempts` and `timeout_ms`, at work.
    async fn at_work(&self, attempts: u32, timeout_ms: u64) -> WorkflowRun {
        let node = json!({"node_id": "a", "agent_id": "x", "objective": "o", "timeout_ms": timeout_ms,
                          "retry_policy": {"max_attempts": attempts}});
        let json =
            json!({"automation_id": "w", "agents": [{"agent_id": "x"}], "flow": {"nodes": [node]}});
        let definition = Blob::new(json.to_string().into_bytes());
        let workflow = Workflow::from_json(json).unwrap();
        let order = Order {
            id: WorkflowRunId::derive(&[b"r"]),
            origin: Origin::File { path: "/w.yaml".to_owned() },
            snapshot: definition.digest(),
            trigger: Trigger::Manual,
            dry_run: false,
            inputs: serde_json::Map::new(),
            workspace: "/".to_owned(),
        };
        let id = order.id;
        self.engine
            .create_workflow_run(order, &workflow, definition, Actor::engine())
            .await
            .unwrap();
        self.begin(id).await
    }

    async fn begin(&self, id: WorkflowRunId) -> WorkflowRun {
        let run = self.engine.claim_workflow_run(id).await.unwrap().unwrap();
        let attempt = run.nodes[0].attempts + 1;
        let node = run.nodes[0].node.clone();
        self.tell(id, WorkflowRunObservation::NodeStarted { epoch: run.epoch, node, attempt })
            .await;
        self.run(id).await
    }

    async fn tell(&self, id: WorkflowRunId, fact: WorkflowRunObservation) {
        self.engine.observe_workflow_run(id, &fact, &Brought::default()).await.unwrap().unwrap();
    }

    async fn run(&self, id: WorkflowRunId) -> WorkflowRun {
        self.engine.workflow_run(id).await.unwrap().value
    }

    async fn renew_for(&self, run: &WorkflowRun, seconds: u64) {
        for _ in 0..seconds / 20 {
            sleep_for(Some(Duration::from_secs(20))).await;
            let _late = self
                .engine
                .observe_workflow_run(
                    run.id,
                    &WorkflowRunObservation::Renewed { epoch: run.epoch },
                    &Brought::default(),
                )
                .await
                .unwrap();
        }
    }
}

fn stop(run: &WorkflowRun) -> Option<Stop> {
    match &run.state {
        WorkflowRunState::Paused { pause, .. } => Some(pause.stop),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_gives_no_sign_is_given_up_and_one_that_renews_is_not() {
    let watched = watched(REAP_ONLY);
    let run = watched.at_work(2, 60_000).await;
    watched.renew_for(&run, 500).await;
    assert_eq!(stop(&watched.run(run.id).await), None, "a live worker");
    sleep_for(Some(Duration::from_secs(200))).await;
    let reaped = watched.run(run.id).await;
    assert_eq!(stop(&reaped), Some(Stop::StaleReaped));
    watched.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_renews_while_its_node_hangs_is_given_up_after_the_longest_attempt() {
    for (timeout_ms, alive_for, reaped_by) in [(60_000, 570, 700), (1_800_000, 1_800, 2_000)] {
        let watched = watched(REAP_ONLY);
        let run = watched.at_work(2, timeout_ms).await;
        watched.renew_for(&run, alive_for).await;
        assert_eq!(stop(&watched.run(run.id).await), None, "{timeout_ms} is allowed");
        watched.renew_for(&run, reaped_by - alive_for).await;
        assert_eq!(stop(&watched.run(run.id).await), Some(Stop::StaleReaped), "{timeout_ms}");
        watched.tasks.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn threat_44_a_clock_that_jumps_reaps_nobody() {
    let watched = watched(REAP_ONLY);
    let run = watched.at_work(2, 60_000).await;
    for day in [1, -3, 400] {
        watched.clock.advance(Millis(24 * 60 * 60 * 1000 * u64::try_from(i64::abs(day)).unwrap()));
        watched.renew_for(&run, 60).await;
    }
    assert_eq!(stop(&watched.run(run.id).await), None);
    watched.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_reaped_run_goes_on_by_itself_and_fails_when_no_attempt_is_left() {
    let watched = watched(ReaperConfig::default());
    let run = watched.at_work(2, 60_000).await;
    sleep_for(Some(Duration::from_secs(200))).await;
    let resumed = watched.run(run.id).await;
    assert_eq!((&resumed.state, resumed.auto_resumes), (&WorkflowRunState::Queued, 1));
    watched.begin(run.id).await;
    sleep_for(Some(Duration::from_secs(200))).await;
    let WorkflowRunState::Failed { failure, .. } = watched.run(run.id).await.state else {
        panic!("it failed")
    };
    assert_eq!(failure.kind, FailureKind::StaleReaped);
    watched.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_just_before_it_would_be_reaped_stays_ended() {
    let watched = watched(REAP_ONLY);
    let run = watched.at_work(1, 60_000).await;
    sleep_for(Some(Duration::from_secs(115))).await;
    let end = NodeEnd::Blocked("no access".to_owned());
    let (node, usage) = (run.nodes[0].node.clone(), optim_core::outcome::Usage::default());
    let (epoch, worked) = (run.epoch, Millis(1));
    watched
        .tell(run.id, WorkflowRunObservation::NodeEnded { epoch, node, end, usage, worked })
        .await;
    let end = optim_core::workflow_run::observation::WorkerEnd::Walked;
    watched.tell(run.id, WorkflowRunObservation::WorkerEnded { epoch, end, worked }).await;
    sleep_for(Some(Duration::from_secs(2000))).await;
    assert_eq!(watched.run(run.id).await.state.status(), WorkflowRunStatus::Blocked);
    watched.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_case_run_whose_worker_is_gone_goes_back_to_the_queue_as_a_fault() {
    let watched = watched(REAP_ONLY);
    let evaluation = sample::evaluation("c", "replay 1");
    let claimed = sample::claimed(&sample::run("c", evaluation, 0));
    let commit = Commit {
        campaigns: vec![Write {
            expected: Revision(0),
            value: sample::funded(sample::campaign("c"), &[evaluation]),
        }],
        runs: vec![Write { expected: Revision(0), value: claimed.clone() }],
        events: vec![sample::event("c", EventKind::CampaignCreated)],
        ..Commit::default()
    };
    watched.engine.store().commit(commit).await.unwrap();
    sleep_for(Some(Duration::from_secs(100))).await;
    let found = watched.engine.store().run(claimed.id).await.unwrap().unwrap().value;
    assert_eq!(found, claimed);
    sleep_for(Some(Duration::from_secs(100))).await;
    let found = watched.engine.store().run(claimed.id).await.unwrap().unwrap().value;
    assert_eq!((found.state, found.faults), (RunState::Queued, 1));
    watched.tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_reaper_that_is_switched_off_reaps_nobody() {
    let watched = watched(ReaperConfig { enabled: false, auto_resume: true });
    let run = watched.at_work(2, 60_000).await;
    sleep_for(Some(Duration::from_secs(100_000))).await;
    assert_eq!(stop(&watched.run(run.id).await), None);
    let cancel = WorkflowRunCommand::Cancel { reason: None };
    watched.engine.command_workflow_run(run.id, &cancel, Actor::engine()).await.unwrap();
    watched.tasks.shutdown().await;
}
