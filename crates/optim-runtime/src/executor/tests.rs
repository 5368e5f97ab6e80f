//! The contract of every executor: whoever adds one adds it to [`executors`].

use std::collections::BTreeSet;
use std::future::Future as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use optim_core::node_io::{Attempt, ErrorClass, Limits, RETRY_AFTER_MAX};
use optim_core::outcome::CaseOutcome;
use optim_core::quantity::Millis;
use optim_core::run::{RunReport, Throttled};
use optim_store::testing::sample;
use serde_json::{Map, json};

use super::exchange::server::{Server, Step};
use super::http::Http;
use super::lexical::Lexical;
use super::openai::OpenAi;
use super::process::{Process, ProcessConfig};
use super::scripted::{Scripted, ScriptedConfig};
use super::walls::Walls;
use super::*;
use crate::clock::ManualClock;
use crate::matcher::Engines;
use crate::runner::{Job, Runner};

fn shell(script: &str, folder: &Path) -> Process {
    let command = ["sh", "-c", script].map(ToOwned::to_owned).to_vec();
    Process::new(ProcessConfig { command, env: Vec::new(), walls: Walls::default() }, folder)
        .unwrap()
}

/// Executors, and the servers that some of them ask.
struct Executors {
    all: Vec<Box<dyn NodeExecutor>>,
    _servers: [Server; 2],
}

async fn executors(folder: &Path) -> Executors {
    let models = Server::start(vec![Step::json(COMPLETION)]).await;
    let agent = Server::start(vec![Step::json(r#"{"content": "billing"}"#)]).await;
    let all: Vec<Box<dyn NodeExecutor>> = vec![
        Box::new(Lexical),
        Box::new(Scripted::new(ScriptedConfig::default())),
        Box::new(shell(r#"printf '{"content": '; cat; printf '}'"#, folder)),
        Box::new(openai(&models)),
        Box::new(http(&agent)),
    ];
    Executors { all, _servers: [models, agent] }
}

const COMPLETION: &str = r#"{"choices": [{"message": {"content": "\"billing\""}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1}}"#;

fn openai(server: &Server) -> OpenAi {
    let acme = json!({"base_url": server.url("/v1"), "prices": "free"});
    let config = json!({"providers": {"acme": acme}, "model": "acme/small"});
    OpenAi::new(serde_json::from_value(config).unwrap(), Path::new("/")).unwrap()
}

fn http(server: &Server) -> Http {
    let config = serde_json::from_value(json!({"url": server.url("/")})).unwrap();
    Http::new(config, Path::new("/")).unwrap()
}

fn request(folder: &Path, seed: u64) -> NodeRequest {
    let schema = json!({"properties": {"queue": {"enum": ["billing", "bug"]}}});
    NodeRequest {
        objective: "Choose a queue.\n- billing: invoices\n- bug: crashes".to_owned(),
        inputs: json!({"text": "the app crashes"}).as_object().unwrap().clone(),
        upstream: Map::new(),
        contract: Some(json!({"kind": "k", "schema": schema})),
        attempt: Attempt { id: format!("attempt {seed}"), number: 1, seed },
        limits: Limits { timeout_ms: 10_000, max_output_bytes: 100_000, max_tokens: None },
        working_directory: folder.display().to_string(),
        for_effect: false,
        agent: json!({"agent_id": "x"}).as_object().unwrap().clone(),
    }
}

#[tokio::test]
async fn the_same_attempt_asked_again_gets_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    for executor in &executors(folder.path()).await.all {
        let mut answers = Vec::new();
        for _ in 0..2 {
            let mut answer = executor.execute(request(folder.path(), 7)).await;
            // What is real takes as long as it takes.
            if ["process", "openai", "http"].contains(&executor.name()) {
                answer.usage.latency = Millis(0);
            }
            answers.push(answer);
        }
        assert!(answers[0].result.is_ok(), "{}", executor.name());
        assert_eq!(answers[0], answers[1], "{}", executor.name());
    }
}

#[tokio::test]
async fn an_attempt_that_is_dropped_at_any_time_leaves_the_executor_usable() {
    let folder = tempfile::tempdir().unwrap();
    for executor in &executors(folder.path()).await.all {
        {
            let mut attempt = pin!(executor.execute(request(folder.path(), 1)));
            let mut context = Context::from_waker(Waker::noop());
            drop(attempt.as_mut().poll(&mut context));
        }
        assert!(
            executor.execute(request(folder.path(), 1)).await.result.is_ok(),
            "{}",
            executor.name()
        );
    }
}

#[tokio::test]
async fn names_are_unique_and_only_the_simulation_says_that_it_is_one() {
    let executors = executors(Path::new("/")).await.all;
    let names: Vec<_> =
        executors.iter().map(|executor| (executor.name(), executor.simulated())).collect();
    assert_eq!(
        names,
        [
            ("lexical", false),
            ("scripted", true),
            ("process", false),
            ("openai", false),
            ("http", false)
        ]
    );
    let settings: BTreeSet<_> = executors.iter().map(|executor| executor.settings()).collect();
    assert_eq!(settings.len(), executors.len());
}

/// A run of one node through `executor`.
async fn run(executor: impl NodeExecutor + 'static) -> RunReport {
    let node = json!({"node_id": "a", "agent_id": "x", "objective": "o", "timeout_ms": 100});
    let workflow = json!({
        "automation_id": "w", "agents": [{"agent_id": "x"}], "flow": {"nodes": [node]},
    });
    let workflow = Arc::new(Workflow::from_json(workflow).unwrap());
    let run = sample::run("campaign", sample::evaluation("campaign", "replay 1"), 0);
    let case = serde_json::from_value(json!({"id": "c", "inputs": {}})).unwrap();
    let clock = Arc::new(ManualClock::default());
    let runner = Runner::new(Arc::new(executor), Arc::new(Engines::default()), clock);
    runner.run(Job { run: &run, workflow, case: &case, folder: Path::new("/") }).await
}

#[tokio::test]
async fn a_server_that_hangs_takes_the_nodes_timeout_and_no_more() {
    let server = Server::start(vec![Step::Hang]).await;
    for report in [run(openai(&server)).await, run(http(&server)).await] {
        let error = report.nodes[0].result.as_ref().unwrap_err();
        assert_eq!(error.class, ErrorClass::Timeout, "{error}");
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_provider_that_asks_for_a_year_is_reported_as_asking_for_an_hour() {
    let busy = Step::status("429 Too Many Requests", "retry-after: 31536000\r\n", "");
    let server = Server::start(vec![busy]).await;
    for (report, provider) in
        [(run(openai(&server)).await, "acme"), (run(http(&server)).await, "http")]
    {
        assert!(matches!(report.outcome, CaseOutcome::Void { .. }), "{:?}", report.outcome);
        let Throttled { provider: throttled, retry_after } = report.throttled.unwrap();
        assert_eq!((throttled.as_str(), retry_after), (provider, RETRY_AFTER_MAX));
    }
    assert_eq!(server.requests().len(), 2, "nobody waits within the run");
}

#[tokio::test]
async fn a_refused_key_is_one_request_and_says_what_to_do() {
    let server = Server::start(vec![Step::status("401 Unauthorized", "", "")]).await;
    let report = run(openai(&server)).await;
    assert!(report.is_lasting_fault() && report.throttled.is_none());
    let CaseOutcome::Void { fault } = report.outcome else { panic!("measured") };
    assert!(fault.contains("provider acme") && fault.contains("wants a key"), "{fault}");
    assert_eq!(server.requests().len(), 1);
}
