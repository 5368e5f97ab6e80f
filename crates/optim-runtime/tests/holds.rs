//! After an acknowledged pause, cancel or reject nothing of it starts, whatever goes on at that moment.
#![expect(clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use optim_core::campaign::command::Command;
use optim_core::campaign::event::EventKind;
use optim_core::campaign::{Campaign, Phase};
use optim_core::id::{Actor, CampaignId};
use optim_core::invariants::check_invariants;
use optim_core::node_io::{NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_core::quantity::Timestamp;
use optim_runtime::clock::ManualClock;
use optim_runtime::dispatch::DispatchConfig;
use optim_runtime::engine::Engine;
use optim_runtime::executor::scripted::{Scripted, ScriptedConfig};
use optim_runtime::executor::{Capabilities, NodeExecutor};
use optim_runtime::proposer::built_in;
use optim_runtime::service::{Service, ServiceConfig};
use optim_runtime::testing::{ANY_BASELINE, SmallProject};
use optim_store::memory::Memory;
use optim_store::testing::faulty::FaultyStore;
use optim_store::{EventSeq, Page};
use serde_json::json;

const WORKFLOW: &str = "
automation_id: w
name: w
agents: [{agent_id: a}]
flow:
  nodes:
    - {node_id: n, agent_id: a, objective: Answer with care and keep to the form that was asked for.}
    - node_id: m
      agent_id: a
      objective: Say the same once more.
      depends_on: [n]
      output_contract: {kind: j, validator: structured_json, schema: {type: object, required: [ok]}}
";
const INTERLEAVINGS: u64 = 60;

/// An agent that takes a while, and counts what it was asked to begin.
#[derive(Default)]
struct Slow {
    begun: AtomicUsize,
}

impl Slow {
    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
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

    async fn execute(&self, _: NodeRequest) -> NodeResponse {
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        pass(Duration::from_millis(3 + u64::try_from(number).unwrap() % 7)).await;
        NodeResponse { result: Ok(json!({"ok": true})), usage: Usage::default() }
    }
}

/// Lets virtual time pass.
async fn pass(time: Duration) {
    drop(tokio::time::timeout(time, std::future::pending::<()>()).await);
}

/// A campaign at work.
struct Running {
    engine: Arc<Engine>,
    service: Service,
    id: CampaignId,
}

impl Running {
    async fn start(seed: u64, executor: Arc<dyn NodeExecutor>) -> Self {
        // Nothing fails, but others may go first at every operation.
        let store = FaultyStore::seeded(Memory::new(), seed, 0);
        let clock = Arc::new(ManualClock::at(Timestamp(1)));
        let engine = Arc::new(Engine::new(Arc::new(store), clock));
        let case = |index: u32| format!("{}\n", json!({"id": format!("c{index}"), "inputs": {}}));
        let project = SmallProject {
            workflow: WORKFLOW,
            cases: &(0..6).map(case).collect::<String>(),
            text_fields: "[objective]",
            knob_fields: "[]",
            decision: ANY_BASELINE,
            max_experiments: 3,
        };
        let new = project.draft("c", seed, "slow");
        let id = new.campaign.id.clone();
        engine.create(new, actor()).await.unwrap();
        engine.submit(&id, &Command::Start { reason: None }, actor()).await.unwrap();
        let config = ServiceConfig {
            proposers: vec![built_in("rules").unwrap()],
            dispatch: DispatchConfig { capacity: 2, ..DispatchConfig::default() },
            ..ServiceConfig::default()
        };
        let service = Service::start(Arc::clone(&engine), executor, config).await.unwrap();
        Self { engine, service, id }
    }

    async fn submit(&self, command: Command) -> Option<Campaign> {
        self.engine.submit(&self.id, &command, actor()).await.ok()
    }

    /// How many evaluations were told of.
    async fn evaluations(&self) -> usize {
        let events = self.engine.store().events(EventSeq(0), Page::LIMIT_MAX).await.unwrap();
        let is_begin = |what: &EventKind| matches!(what, EventKind::EvaluationQueued { .. });
        events.iter().filter(|recorded| is_begin(&recorded.event.what)).count()
    }

    async fn stop(self, seed: u64) {
        self.service.stop().await;
        let all = optim_store::snapshot(self.engine.store().as_ref()).await.unwrap();
        assert_eq!(check_invariants(&all), [], "seed {seed}");
    }
}

fn actor() -> Actor {
    Actor::new("local:test").unwrap()
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_with_its_runs_or_a_cancel_no_node_begins_until_a_resume() {
    let mut stopped_at_work = 0;
    for seed in 0..INTERLEAVINGS {
        let executor = Arc::new(Slow::default());
        let running = Running::start(seed, Arc::<Slow>::clone(&executor)).await;
        pass(Duration::from_millis(seed)).await;
        let ends = seed % 3 == 0;
        let pause = Command::Pause { reason: None, cancel_runs: true };
        let command = if ends { Command::Cancel { reason: None } } else { pause };
        let Some(stopped) = running.submit(command).await else {
            running.stop(seed).await;
            continue;
        };
        let (begun, evaluations) = (executor.begun(), running.evaluations().await);
        stopped_at_work += usize::from(begun > 0);
        pass(Duration::from_secs(600)).await;
        assert_eq!(executor.begun(), begun, "seed {seed}: {:?}", stopped.phase);
        assert_eq!(running.evaluations().await, evaluations, "seed {seed}");
        if !ends {
            running.submit(Command::Resume { reason: None }).await.expect("it was paused");
            pass(Duration::from_secs(600)).await;
            assert!(executor.begun() > begun, "seed {seed}: it goes on");
        }
        running.stop(seed).await;
    }
    assert!(stopped_at_work > 30, "{stopped_at_work} were stopped at work");
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_what_is_queued_lands_and_no_further_evaluation_begins() {
    for seed in 0..INTERLEAVINGS {
        let executor = Arc::new(Slow::default());
        let running = Running::start(seed, Arc::<Slow>::clone(&executor)).await;
        pass(Duration::from_millis(seed)).await;
        let pause = Command::Pause { reason: None, cancel_runs: false };
        let stopped = running.submit(pause).await.expect("it is at work");
        let evaluations = running.evaluations().await;
        pass(Duration::from_secs(600)).await;
        assert_eq!(running.evaluations().await, evaluations, "seed {seed}: {:?}", stopped.phase);
        let idle = executor.begun();
        running.submit(Command::Resume { reason: None }).await.expect("it was paused");
        pass(Duration::from_secs(600)).await;
        assert!(executor.begun() > idle, "seed {seed}: it goes on");
        running.stop(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_reject_the_candidate_is_not_measured_again() {
    let mut rejected = 0;
    for seed in 0..INTERLEAVINGS / 4 {
        let script = ScriptedConfig { effect_per_mille: 500, ..ScriptedConfig::default() };
        let running = Running::start(seed, Arc::new(Scripted::new(script))).await;
        let settled = running.service.settled(&running.id).await.unwrap();
        if let Phase::AwaitingApproval { experiment } = &settled.phase {
            let reject = Command::Reject { experiment: experiment.id, reason: "no".to_owned() };
            running.submit(reject).await.expect("it awaits a decision");
            rejected += 1;
        }
        pass(Duration::from_secs(600)).await;
        // That nothing of it began is one of the invariants.
        running.stop(seed).await;
    }
    assert!(rejected > 0, "none awaited a decision");
}
