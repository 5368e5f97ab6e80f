//! Whole campaigns whose provider or agent misbehaves, in virtual time: how they end, how often is
//! asked, what is paid.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use optim_core::campaign::command::Command;
use optim_core::campaign::{Campaign, SearchMode, Status};
use optim_core::experiment::Experiment;
use optim_core::id::{Actor, CampaignId};
use optim_core::mutation::{FieldValue, MutableField, Mutation};
use optim_core::quantity::{Millis, Timestamp};
use optim_store::Page;
use optim_store::memory::Memory;
use serde_json::json;

use super::exchange::{Exchange, ExchangeError, Post, Reply};
use super::http::Http;
use super::openai::OpenAi;
use super::*;
use crate::clock::{ManualClock, Steady};
use crate::dispatch::DispatchConfig;
use crate::engine::Engine;
use crate::project::{self, ProjectRefs, Setup};
use crate::proposer::built_in;
use crate::quote;
use crate::service::{Service, ServiceConfig};

const WORKFLOW: &str = "
automation_id: w
name: w
agents: [{agent_id: a, model_policy: acme/small}]
flow:
  nodes:
    - node_id: n
      agent_id: a
      objective: Answer with care and keep to the form that was asked for.
      timeout_ms: 60000
      retry_policy: {max_attempts: 1}
      output_contract: {kind: j, validator: structured_json, schema: {type: object, required: [ok]}}
";
const EVAL: &str = "
pack_ref: cases.jsonl
primary_metric: artifact_validator_pass_rate
secondary_metric: unmet_requirement_count
hard_guardrails: [blocked_node_rate, budget_ceilings]
campaign_start_baseline_runs: 2
baseline_replay_every_candidates: 5
baseline_replay_every_minutes: 30
decision: {rule: point}
";
const MUTATION: &str = "
max_nodes_changed_per_candidate: 1
max_field_families_changed_per_candidate: 1
allowed_text_fields: [objective]
allowed_knob_fields: [retry_policy_max_attempts]
max_text_delta_chars: 300
max_text_delta_ratio: 0.25
timeout_delta_percent: 0.15
timeout_delta_ms: 30000
timeout_min_ms: 30000
timeout_max_ms: 600000
retry_delta: 1
retry_min: 0
retry_max: 3
";
const SCOPE: &str = "
candidate_snapshot_only: true
allow_live_source_mutation: false
allow_external_side_effects_in_eval: false
promotion_requires_operator_approval: true
";
const BUDGET: &str = "
max_experiments: 1
max_runtime_minutes: 1440
max_consecutive_failures: 2
max_total_tokens: 100000000
max_total_cost_usd: 100
";

/// What a server does about a request.
enum Step {
    Replies(Reply),
    Fails(ExchangeError),
    Hangs,
}

type Script = fn() -> Step;

/// A server that does the same about every request, and counts what it was asked.
struct Server {
    step: Script,
    asked: AtomicU64,
    bytes: AtomicU64,
}

#[async_trait]
impl Exchange for Server {
    async fn post(&self, post: Post<'_>) -> Result<Reply, ExchangeError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(post.body.len().try_into().unwrap(), Ordering::SeqCst);
        match (self.step)() {
            Step::Replies(reply) => Ok(reply),
            Step::Fails(error) => Err(error),
            Step::Hangs => std::future::pending().await,
        }
    }
}

impl Server {
    fn new(step: Script) -> Arc<Self> {
        Arc::new(Self { step, asked: AtomicU64::new(0), bytes: AtomicU64::new(0) })
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// The price of so many requests with all their bytes and `completion` tokens each.
    fn price(&self, completion: u64) -> MicroUsd {
        MicroUsd(2 * self.bytes.load(Ordering::SeqCst) + 8 * completion * self.asked())
    }
}

fn status(status: u16, retry_after: Option<u64>) -> Step {
    let retry_after = retry_after.map(Millis);
    Step::Replies(Reply { status, retry_after, ..Reply::good(Vec::new()) })
}

fn reply(body: &str) -> Step {
    Step::Replies(Reply::good(body.as_bytes().to_vec()))
}

/// Tokens cost 2 dollars a million when they are sent, and 8 when they are received.
fn openai(server: &Arc<Server>) -> Arc<dyn NodeExecutor> {
    let prices = json!({"small": {"input_usd_per_million": 2.0, "output_usd_per_million": 8.0}});
    let acme = json!({"base_url": "http://acme/v1", "prices": prices});
    let config = json!({"providers": {"acme": acme}, "max_completion_tokens": 100});
    let exchange: Arc<dyn Exchange> = Arc::<Server>::clone(server);
    Arc::new(OpenAi::over(exchange, serde_json::from_value(config).unwrap()))
}

fn http(server: &Arc<Server>) -> Arc<dyn NodeExecutor> {
    let exchange: Arc<dyn Exchange> = Arc::<Server>::clone(server);
    Arc::new(Http::over(exchange, serde_json::from_value(json!({"url": "http://agent/"})).unwrap()))
}

/// A campaign on two cases, and the loops that work it off.
struct Running {
    engine: Arc<Engine>,
    service: Service,
    id: CampaignId,
}

impl Running {
    async fn start(executor: Arc<dyn NodeExecutor>, mode: SearchMode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cases = ["one", "another, which is longer"].map(|text| {
            json!({"id": text.split(',').next(), "inputs": {"text": text}}).to_string()
        });
        for (file, text) in [
            ("workflow.yaml", WORKFLOW),
            ("objective.md", "Answers keep to the form. Name the evidence."),
            ("eval.yaml", EVAL),
            ("mutation.yaml", MUTATION),
            ("scope.yaml", SCOPE),
            ("budget.yaml", BUDGET),
            ("cases.jsonl", &cases.join("\n")),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let refs = ProjectRefs {
            folder: folder.path().to_owned(),
            workflow: "workflow.yaml".to_owned(),
            objective: "objective.md".to_owned(),
            eval: "eval.yaml".to_owned(),
            mutation_policy: "mutation.yaml".to_owned(),
            scope: "scope.yaml".to_owned(),
            budget: "budget.yaml".to_owned(),
        };
        let project = project::read(&refs, executor.capabilities()).unwrap();
        let setup = Setup {
            id: CampaignId::new("c").unwrap(),
            name: None,
            seed: 1,
            executor: executor.name().to_owned(),
            simulated: false,
            executor_settings: executor.settings(),
            worst_case: quote::worst_case(executor.as_ref(), &project.workflow, &project.pack),
            model: None,
            mode,
        };
        // What waits for a time is to come to its end.
        let clock = Arc::new(Steady::starting_at(&ManualClock::at(Timestamp(1))));
        let engine = Arc::new(Engine::new(Arc::new(Memory::new()), clock));
        let created = engine.create(project.draft(setup, Timestamp(1)), actor()).await.unwrap();
        let dispatch = DispatchConfig { capacity: 2, ..DispatchConfig::default() };
        let proposers = vec![built_in("rules").unwrap()];
        let config = ServiceConfig { dispatch, proposers, ..ServiceConfig::default() };
        let service = Service::start(Arc::clone(&engine), executor, config).await.unwrap();
        Self { engine, service, id: created.id }
    }

    async fn command(&self, command: Command) -> Campaign {
        self.engine.submit(&self.id, &command, actor()).await.unwrap()
    }

    /// The campaign where it cannot go on by itself. It has a month of virtual time.
    async fn settled(&self) -> Campaign {
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        tokio::time::timeout(month, self.service.settled(&self.id)).await.unwrap().unwrap()
    }
}

fn actor() -> Actor {
    Actor::new("local:test").unwrap()
}

/// Works a campaign off that starts with a healthy ledger, and checks that it ends with one.
async fn campaign(executor: Arc<dyn NodeExecutor>) -> Campaign {
    let running = Running::start(executor, SearchMode::Proposers).await;
    running.command(Command::Start { reason: None }).await;
    let settled = running.settled().await;
    running.service.stop().await;
    assert!(settled.ledger.reserved.is_empty(), "all is settled: {:?}", settled.ledger);
    assert_eq!(settled.ledger.overdrawn, Default::default(), "the quote was a bound");
    settled
}

/// What is charged for the exchanges of a row.
#[derive(Debug, Clone, Copy)]
enum Charge {
    Nothing,
    /// Every byte that was sent and so many tokens that were received, for each request.
    Bytes(u64),
    /// A price for each request.
    Counted(u64),
}

#[tokio::test(start_paused = true)]
async fn threat_19_a_campaign_outlives_every_fault_of_its_provider_with_bounded_retries_and_exact_books()
 {
    const LOST: &str = r#"{"choices": ["#;
    const UNCOUNTED: &str = r#"{"choices": [{"message": {"content": "{\"ok\": 1}"}}],
        "usage": {"prompt_tokens": -5, "completion_tokens": 1e30}}"#;
    const OTHER_SCHEMA: &str = r#"{"choices": [{"message": {"content": "{\"ko\": 1}"}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10}}"#;
    // Two evaluations of two case runs, each of which is tried three times.
    let (storm, once) = (12 * 3, 12);
    let table: [(&str, Script, Status, Option<u64>, Charge); 12] = [
        ("429 storm", || status(429, None), Status::Failed, Some(storm), Charge::Nothing),
        (
            "a year",
            || status(429, Some(31_536_000_000)),
            Status::Failed,
            Some(once),
            Charge::Nothing,
        ),
        ("503", || status(503, None), Status::Failed, Some(storm), Charge::Nothing),
        ("504", || status(504, None), Status::Failed, Some(storm), Charge::Nothing),
        // A refusal is not tried again: one request for each case run.
        ("401", || status(401, None), Status::Failed, Some(4), Charge::Nothing),
        (
            "not there",
            || Step::Fails(ExchangeError::Unreachable("refused".to_owned())),
            Status::Failed,
            Some(storm),
            Charge::Nothing,
        ),
        (
            "truncated",
            || Step::Fails(ExchangeError::Broken("cut".to_owned())),
            Status::Failed,
            Some(storm),
            Charge::Bytes(100),
        ),
        (
            "endless",
            || Step::Fails(ExchangeError::TooLarge(9)),
            Status::Failed,
            Some(storm),
            Charge::Bytes(100),
        ),
        ("malformed", || reply(LOST), Status::Failed, Some(storm), Charge::Bytes(13)),
        // These are measured: by the candidate's own fault, or not at all a fault.
        ("absurd usage", || reply(UNCOUNTED), Status::Completed, None, Charge::Bytes(100)),
        ("other schema", || reply(OTHER_SCHEMA), Status::Completed, None, Charge::Counted(280)),
        ("hangs", || Step::Hangs, Status::Completed, None, Charge::Bytes(100)),
    ];
    for (name, step, wanted, asked, charge) in table {
        let server = Server::new(step);
        let campaign = campaign(openai(&server)).await;
        assert_eq!(campaign.status(), wanted, "{name}: {:?}", campaign.hold);
        assert_eq!(server.asked(), asked.unwrap_or(campaign.ledger.runs), "{name}");
        let charged = match charge {
            Charge::Nothing => MicroUsd(0),
            Charge::Bytes(completion) => server.price(completion),
            Charge::Counted(each) => MicroUsd(each * server.asked()),
        };
        let usage = campaign.ledger.usage;
        assert_eq!(usage.cost, charged, "{name}");
        assert_eq!(usage.estimated, matches!(charge, Charge::Bytes(_)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_campaign_outlives_an_agent_that_dies_hangs_or_answers_for_another_request() {
    let table: [(&str, Script, Status, Option<u64>); 7] = [
        (
            "gone",
            || Step::Fails(ExchangeError::Unreachable("refused".to_owned())),
            Status::Failed,
            Some(36),
        ),
        ("dies", || Step::Fails(ExchangeError::Broken("cut".to_owned())), Status::Failed, Some(36)),
        ("500", || status(500, None), Status::Failed, Some(36)),
        (
            "answers another request",
            || reply(r#"{"content": {"ok": 1}, "attempt_id": "other"}"#),
            Status::Failed,
            Some(36),
        ),
        ("malformed", || reply("{"), Status::Completed, None),
        ("endless", || Step::Fails(ExchangeError::TooLarge(9)), Status::Completed, None),
        ("hangs", || Step::Hangs, Status::Completed, None),
    ];
    for (name, step, wanted, asked) in table {
        let server = Server::new(step);
        let campaign = campaign(http(&server)).await;
        assert_eq!(campaign.status(), wanted, "{name}: {:?}", campaign.hold);
        assert_eq!(server.asked(), asked.unwrap_or(campaign.ledger.runs), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_evaluation_sets_aside_what_its_own_definition_can_use() {
    let server = Server::new(|| {
        reply(
            r#"{"choices": [{"message": {"content": "{}"}}],
               "usage": {"prompt_tokens": 100, "completion_tokens": 10}}"#,
        )
    });
    let running = Running::start(openai(&server), SearchMode::Suggestions).await;
    let mutation = Mutation {
        node: "n".parse().unwrap(),
        field: MutableField::RetryPolicyMaxAttempts,
        before: FieldValue::Integer(1),
        after: FieldValue::Integer(2),
    };
    running.command(Command::Suggest { mutation }).await;
    let started = running.command(Command::Start { reason: None }).await;
    let worst = started.baseline.worst_case.unwrap();
    let replay = started.in_flight().next().unwrap().allowance;
    assert_eq!((replay.tokens, replay.cost), (worst.tokens, worst.cost), "not all that is left");
    let settled = running.settled().await;
    let experiments = running.engine.store().experiments(&settled.id, Page::first()).await.unwrap();
    let [Experiment { worst_case: Some(raised), state, .. }] = &experiments.items[..] else {
        panic!("{experiments:?}")
    };
    // One attempt and two tries after faults; with two attempts there are four tries.
    let thirds = |cost: Option<MicroUsd>| cost.unwrap().0 / 3;
    assert_eq!(raised.cost.unwrap().0, 4 * thirds(worst.cost));
    let evaluation = state.judged().unwrap().evaluation.unwrap();
    for run in running.engine.runs_of(evaluation).await.unwrap() {
        assert_eq!((run.allowance.tokens, run.allowance.cost), (raised.tokens, raised.cost));
    }
    running.service.stop().await;
}
