//! The contract of every executor: whoever adds one adds it to [`executors`].

use std::future::Future as _;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};

use optim_core::node_io::{Attempt, Limits};
use optim_core::quantity::Millis;
use serde_json::{Map, json};

use super::lexical::Lexical;
use super::process::{Process, ProcessConfig};
use super::scripted::{Scripted, ScriptedConfig};
use super::*;

fn shell(script: &str, folder: &Path) -> Process {
    let command = ["sh", "-c", script].map(ToOwned::to_owned).to_vec();
    Process::new(ProcessConfig { command, env: Vec::new() }, folder).unwrap()
}

fn executors(folder: &Path) -> Vec<Box<dyn NodeExecutor>> {
    vec![
        Box::new(Lexical),
        Box::new(Scripted::new(ScriptedConfig::default())),
        Box::new(shell(r#"printf '{"content": '; cat; printf '}'"#, folder)),
    ]
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
        agent: Map::new(),
    }
}

#[tokio::test]
async fn the_same_attempt_asked_again_gets_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    for executor in executors(folder.path()) {
        let mut answers = Vec::new();
        for _ in 0..2 {
            let mut answer = executor.execute(request(folder.path(), 7)).await;
            // A real program takes as long as it takes.
            if executor.name() == "process" {
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
    for executor in executors(folder.path()) {
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

#[test]
fn names_are_unique_and_only_the_simulation_says_that_it_is_one() {
    let executors = executors(Path::new("/"));
    let names: Vec<_> =
        executors.iter().map(|executor| (executor.name(), executor.simulated())).collect();
    assert_eq!(names, [("lexical", false), ("scripted", true), ("process", false)]);
}
