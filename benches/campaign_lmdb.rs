//! A campaign of a hundred experiments over an executor that does nothing, on LMDB, through the real
//! engine and loops: what a case run costs, with little and with much history.
//!
//! Counted, not timed: commits by the engine's own counter, syncs by LMDB's transaction number (two for
//! each), bytes by what the process hands to the system to write. Processor time is the whole process's.

use std::sync::Arc;

use async_trait::async_trait;
use optim_benches::measure::{cpu_ns, float, sizes};
use optim_benches::workload;
use optim_core::campaign::Campaign;
use optim_core::campaign::command::Command;
use optim_core::id::{Actor, CampaignId, EvaluationId, RunId};
use optim_core::node_io::{NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_core::quantity::Millis;
use optim_core::run::Run;
use optim_runtime::clock::SystemClock;
use optim_runtime::dispatch::DispatchConfig;
use optim_runtime::engine::{Engine, NewCampaign};
use optim_runtime::executor::{Capabilities, NodeExecutor};
use optim_runtime::proposer::built_in;
use optim_runtime::reaper::ReaperConfig;
use optim_runtime::service::{Service, ServiceConfig};
use optim_runtime::testing::{ANY_BASELINE, SmallProject};
use optim_store::lmdb::{Lmdb, Options};
use optim_store::{Commit, Page, Revision, RunFilter, Store, Write};
use serde_json::{Value, json};

const EXPERIMENTS: u32 = 100;
const CASES: u32 = 8;
/// Fields that may change: five for each node, so that the proposer has enough to offer.
const NODES: usize = 24;
/// Case runs in the store before the campaign.
const HISTORY: [usize; 3] = [1_000, 10_000, 100_000];
const CAPACITIES: [u32; 3] = [1, 4, 16];

/// Answers at once what every contract of the workload accepts.
struct NoOp(Value);

impl NoOp {
    fn new() -> Self {
        let sections = ["decision", "owner", "deadline", "figures", "sources", "open questions"];
        Self(sections.iter().map(|name| ((*name).to_owned(), json!("x"))).collect())
    }
}

#[async_trait]
impl NodeExecutor for NoOp {
    fn name(&self) -> &str {
        "no-op"
    }

    fn capabilities(&self) -> &Capabilities {
        &Capabilities { tools: false, mcp: false, waits: false }
    }

    fn simulated(&self) -> bool {
        true
    }

    async fn execute(&self, _: NodeRequest) -> NodeResponse {
        NodeResponse { result: Ok(self.0.clone()), usage: Usage::default() }
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A campaign on the workload.
fn draft(id: &str) -> NewCampaign {
    let mut workflow = workload::document(NODES);
    // Its files are those of its folder.
    if let Some(workflow) = workflow.as_object_mut() {
        workflow.remove("workspace_root");
    }
    let case =
        |index| format!("{}\n", json!({"id": format!("c{index}"), "inputs": {"text": index}}));
    let project = SmallProject {
        workflow: &workflow.to_string(),
        cases: &(0..CASES).map(case).collect::<String>(),
        text_fields: "[objective, output_contract_summary_guidance]",
        knob_fields: "[timeout_ms, retry_policy_max_attempts]",
        decision: ANY_BASELINE,
        max_experiments: EXPERIMENTS,
    };
    project.draft(id, 7, "no-op")
}

/// Works a campaign off; the campaign at its end.
async fn campaign(store: &Arc<Lmdb>, id: &str, capacity: u32) -> Outcome<Row> {
    let engine = Arc::new(Engine::new(Arc::<Lmdb>::clone(store), Arc::new(SystemClock)));
    let actor = Actor::new("local:bench")?;
    let new = draft(id);
    let id = new.campaign.id.clone();
    engine.create(new, actor.clone()).await?;
    engine.submit(&id, &Command::Start { reason: None }, actor).await?;
    let before = Row::now(store, &engine).await?;
    let dispatch = DispatchConfig { capacity, ..DispatchConfig::default() };
    let config = ServiceConfig {
        dispatch,
        proposers: built_in("rules").into_iter().collect(),
        reaper: ReaperConfig::default(),
        retention: Millis::from_minutes(60),
        ..ServiceConfig::default()
    };
    let service = Service::start(Arc::clone(&engine), Arc::new(NoOp::new()), config).await?;
    let ended: Campaign = service.settled(&id).await?;
    service.stop().await;
    let mut row = Row::now(store, &engine).await?.since(&before);
    assert_eq!(ended.search.experiments, EXPERIMENTS, "the campaign is as long as it should be");
    row.runs = usize::try_from(ended.ledger.runs)?;
    Ok(row)
}

/// Counters: as they stand, or what they grew by.
#[derive(Debug, Clone, Copy)]
struct Row {
    runs: usize,
    commits: u64,
    transactions: u64,
    bytes: u64,
    cpu_ns: f64,
}

impl Row {
    async fn now(store: &Lmdb, engine: &Engine) -> Outcome<Self> {
        let commits = *engine.changes().borrow();
        let (transactions, bytes) = (store.transactions().await?, written()?);
        Ok(Self { runs: 0, commits, transactions, bytes, cpu_ns: cpu_ns() })
    }

    fn since(self, before: &Self) -> Self {
        Self {
            runs: self.runs,
            commits: self.commits - before.commits,
            transactions: self.transactions - before.transactions,
            bytes: self.bytes - before.bytes,
            cpu_ns: self.cpu_ns - before.cpu_ns,
        }
    }

    #[expect(clippy::print_stdout, reason = "the report is the purpose")]
    fn print(&self, history: usize, capacity: u32) {
        let each = |count: u64| float(usize::try_from(count).unwrap_or(0)) / float(self.runs);
        println!(
            "{history:>8} {capacity:>6} {:>6} {:>9.2} {:>8.2} {:>12.0} {:>10.0}",
            self.runs,
            each(self.commits),
            each(self.transactions * 2),
            each(self.bytes),
            self.cpu_ns / 1e3 / float(self.runs),
        );
    }
}

/// Bytes that this process has handed to the system to write.
fn written() -> Outcome<u64> {
    let counters = std::fs::read_to_string("/proc/self/io")?;
    let line = counters.lines().find_map(|line| line.strip_prefix("wchar: "));
    Ok(line.ok_or("the system does not count what is written")?.trim().parse()?)
}

/// Fills the store with copies of the runs of a campaign until it holds `wanted`.
async fn fill(store: &Lmdb, campaign: &str, mut have: usize, wanted: usize) -> Outcome<usize> {
    let id = CampaignId::new(campaign)?;
    let template = templates(store, &id).await?;
    while have < wanted {
        let evaluation = EvaluationId::derive(&[&have.to_be_bytes()]);
        let copies = template.iter().take(wanted - have).map(|run| {
            let id = RunId::derive(&[evaluation.as_bytes(), run.case.as_str().as_bytes()]);
            Write { expected: Revision(0), value: Run { id, evaluation, ..run.clone() } }
        });
        let runs: Vec<_> = copies.collect();
        have += runs.len();
        store.commit(Commit { runs, ..Commit::default() }).await?;
    }
    Ok(have)
}

/// The runs of a campaign's last replay.
async fn templates(store: &Lmdb, id: &CampaignId) -> Outcome<Vec<Run>> {
    let campaign = store.campaign(id).await?.ok_or("the campaign is gone")?.value;
    let replay = campaign.baseline.replays.last().ok_or("there was no replay")?.evaluation;
    let mut runs = Vec::new();
    for run in store.runs(&RunFilter::Evaluation(replay), Page::first()).await?.items {
        runs.extend(store.run(run.id).await?.map(|found| found.value));
    }
    Ok(runs)
}

#[expect(clippy::print_stdout, reason = "the report is the purpose")]
async fn report() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let options = Options { allow_unsafe_file_system: true, ..Options::default() };
    let store = Arc::new(Lmdb::open(directory.path().join("store"), &options)?);
    println!(
        "\n history  slots   runs   commits    syncs        bytes   CPU (us)   for each case run"
    );
    let mut have = 0;
    for (round, capacity) in sizes(&CAPACITIES).iter().copied().enumerate() {
        let row = Box::pin(campaign(&store, &format!("warm-{round}"), capacity)).await?;
        row.print(have, capacity);
        have += row.runs;
    }
    for &history in sizes(&HISTORY) {
        have = fill(&store, "warm-0", have, history).await?.max(have);
        let row = Box::pin(campaign(&store, &format!("after-{history}"), 4)).await?;
        row.print(have, 4);
        have += row.runs;
    }
    Ok(())
}

fn main() -> Outcome<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(report())
}
