//! How soon a store with much history is at work again after its process was killed: opened, its orphaned
//! case runs back in the queue. `cargo bench -p optim-benches --bench recovery`; figures over size.
//!
//! The store is on a file system in memory: what is measured is what is read, not the disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use optim_benches::measure::sizes;
use optim_core::campaign::command::Command;
use optim_core::id::{Actor, CampaignId, CaseId, EvaluationId, RunId};
use optim_core::quantity::Timestamp;
use optim_core::run::{Run, RunState};
use optim_runtime::clock::SystemClock;
use optim_runtime::engine::Engine;
use optim_runtime::testing::{ANY_BASELINE, SmallProject};
use optim_store::lmdb::{Lmdb, Options};
use optim_store::testing::sample;
use optim_store::{Commit, Page, Revision, RunFilter, Store, Write};
use serde_json::json;

/// Case runs in the store that are over.
const HISTORY: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Case runs that were in flight when the process was killed.
const IN_FLIGHT: u32 = 500;
/// Records of a commit while the store is filled.
const COMMIT: u64 = 5_000;
const MEMORY: &str = "/dev/shm";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn open(directory: &Path) -> Outcome<Arc<Lmdb>> {
    let options = Options { allow_unsafe_file_system: true, ..Options::default() };
    Ok(Arc::new(Lmdb::open(directory.join("store"), &options)?))
}

/// Adds case runs that are over until there are `wanted`.
async fn fill(store: &Lmdb, have: u64, wanted: u64) -> Outcome<()> {
    let template = sample::finished(&sample::claimed(&sample::run(
        "history",
        sample::evaluation("history", "replay"),
        0,
    )));
    for first in (have..wanted).step_by(usize::try_from(COMMIT)?) {
        let numbers = first..wanted.min(first + COMMIT);
        let evaluation = EvaluationId::derive(&[&first.to_be_bytes()]);
        let copy = |number: u64| -> Outcome<_> {
            let case = CaseId::new(number.to_string())?;
            let id = RunId::derive(&[evaluation.as_bytes(), case.as_str().as_bytes()]);
            let value = Run { id, evaluation, case, ..template.clone() };
            Ok(Write { expected: Revision(0), value })
        };
        let runs = numbers.map(copy).collect::<Outcome<_>>()?;
        store.commit(Commit { runs, ..Commit::default() }).await?;
    }
    Ok(())
}

/// Creates a campaign whose pack has [`IN_FLIGHT`] cases.
async fn create(engine: &Engine, id: &str) -> Outcome<CampaignId> {
    let workflow = json!({
        "automation_id": "w",
        "name": "w",
        "agents": [{"agent_id": "a"}],
        "flow": {"nodes": [{"node_id": "n", "agent_id": "a", "objective": "Answer.",
            "output_contract": {"kind": "json", "validator": "structured_json", "schema": {"type": "object"}}}]},
    });
    let case = |case| format!("{}\n", json!({"id": format!("c{case}"), "inputs": {}}));
    let project = SmallProject {
        workflow: &workflow.to_string(),
        cases: &(0..IN_FLIGHT).map(case).collect::<String>(),
        text_fields: "[objective]",
        knob_fields: "[]",
        decision: ANY_BASELINE,
        max_experiments: 5,
    };
    Ok(engine.create(project.draft(id, 1, "no-op"), actor()?).await?.id)
}

fn actor() -> Outcome<Actor> {
    Ok(Actor::new("local:bench")?)
}

/// A campaign whose replay is in flight, in a process that is gone.
async fn interrupted(store: &Arc<Lmdb>, id: &str) -> Outcome<()> {
    let engine = Engine::new(Arc::<Lmdb>::clone(store), Arc::new(SystemClock));
    let campaign = create(&engine, id).await?;
    engine.submit(&campaign, &Command::Start { reason: None }, actor()?).await?;
    let queued = Page::all(|page| store.runs(&RunFilter::Queued, page)).await?;
    let mut runs = Vec::new();
    for run in queued {
        let found = store.run(run.id).await?.ok_or("a queued run is gone")?;
        let value = sample::claimed(&found.value);
        runs.push(Write { expected: found.revision, value });
    }
    assert_eq!(runs.len(), usize::try_from(IN_FLIGHT)?, "all its case runs are in flight");
    store.commit(Commit { runs, ..Commit::default() }).await?;
    Ok(())
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

#[expect(clippy::print_stdout, reason = "the report is the purpose")]
async fn report() -> Outcome<()> {
    let directory = tempfile::tempdir_in(MEMORY)?;
    println!("\n    runs   open (ms)   recover (ms)   ready (ms)   verify, in the background (ms)");
    let mut have = 0;
    for &history in sizes(&HISTORY) {
        {
            let store = open(directory.path())?;
            if have == 0 {
                let engine = Engine::new(Arc::<Lmdb>::clone(&store), Arc::new(SystemClock));
                create(&engine, "history").await?;
            }
            fill(&store, have, history).await?;
            interrupted(&store, &format!("after-{history}")).await?;
            have = history;
        }
        let begun = Instant::now();
        let store = open(directory.path())?;
        let opened = millis(begun);
        let engine = Engine::new(Arc::<Lmdb>::clone(&store), Arc::new(SystemClock));
        let recovering = Instant::now();
        let recovered = engine.recover().await?;
        let (recover, ready) = (millis(recovering), millis(begun));
        assert_eq!(recovered, usize::try_from(IN_FLIGHT)?, "every orphan is queued again");
        let begun = Instant::now();
        let damage = store.verify().await?;
        assert!(damage.is_empty(), "{damage:?}");
        let verified = millis(begun);
        println!("{history:>8} {opened:>11.1} {recover:>14.1} {ready:>12.1} {verified:>12.0}");
        end(&store).await?;
    }
    Ok(())
}

/// Ends what was recovered, so that the next size has its own alone.
async fn end(store: &Lmdb) -> Outcome<()> {
    let mut runs = Vec::new();
    for run in Page::all(|page| store.runs(&RunFilter::Queued, page)).await? {
        let found = store.run(run.id).await?.ok_or("a queued run is gone")?;
        let state =
            RunState::Cancelled { reason: "the bench goes on".to_owned(), at: Timestamp(0) };
        let value = Run { state, ..found.value };
        runs.push(Write { expected: found.revision, value });
    }
    store.commit(Commit { runs, ..Commit::default() }).await?;
    Ok(())
}

fn main() -> Outcome<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(report())
}
