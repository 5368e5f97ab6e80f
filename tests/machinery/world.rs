//! What outlives a process: a store, the live workflow, the agent. And the processes that come and go.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use optim_core::campaign::location::Location;
use optim_core::id::{Actor, CampaignId, WorkflowId, WorkflowRunId};
use optim_core::quantity::{Millis, Timestamp, Tokens};
use optim_core::workflow_run::transition::Order;
use optim_core::workflow_run::{Origin, Trigger};
use optim_runtime::clock::Clock;
use optim_runtime::dispatch::DispatchConfig;
use optim_runtime::engine::{Engine, NewCampaign};
use optim_runtime::executor::Capabilities;
use optim_runtime::proposer::built_in;
use optim_runtime::service::{Service, ServiceConfig};
use optim_runtime::testing::{ANY_BASELINE, SmallProject};
use optim_runtime::workflow_order;
use optim_store::Store;
use optim_store::lmdb::{Lmdb, Options};
use optim_store::memory::Memory;
use optim_store::testing::faulty::{Fault, FaultyStore};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::Outcome;
use crate::agent::{Agent, SECOND_TRY};

/// A file system in memory: what is tested is not the disk.
const MEMORY: &str = "/dev/shm";

/// The first size of the map: small, so that it is copied quickly, and grows.
const MAP_INITIAL: u64 = 256 * 1024;

/// Where records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Memory,
    Lmdb,
}

impl Backend {
    pub(crate) const ALL: [Self; 2] = [Self::Memory, Self::Lmdb];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Lmdb => "lmdb",
        }
    }
}

/// What is optimized in a world, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Project {
    /// The decision rule, as YAML.
    pub(crate) decision: &'static str,
    pub(crate) experiments: u32,
    /// The most tokens of a campaign.
    pub(crate) tokens: Option<u64>,
    /// How long a node takes, in virtual time.
    pub(crate) latency_ms: u64,
    /// How often the provider fails.
    pub(crate) fault_per_mille: u32,
    /// Whether the live workflow is a stored one, and no file.
    pub(crate) stored: bool,
    pub(crate) capacity: u32,
    /// How long the outputs of workflow runs are kept.
    pub(crate) keep_outputs: Millis,
}

impl Project {
    /// By the point rule, one experiment, a file, two runs at once.
    pub(crate) const PLAIN: Self = Self {
        decision: ANY_BASELINE,
        experiments: 1,
        tokens: None,
        latency_ms: 1_000,
        fault_per_mille: 0,
        stored: false,
        capacity: 2,
        keep_outputs: Millis(7 * 24 * 60 * 60 * 1000),
    };
}

/// A store that can be made to fail.
pub(crate) enum Opened {
    Memory(Arc<FaultyStore<Memory>>),
    Lmdb(Arc<FaultyStore<Lmdb>>),
}

impl Opened {
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::<FaultyStore<Memory>>::clone(store),
            Self::Lmdb(store) => Arc::<FaultyStore<Lmdb>>::clone(store),
        }
    }

    /// The world stops at the `count`th operation from now.
    pub(crate) fn stop(&self, count: u64, fault: Fault) {
        match self {
            Self::Memory(store) => store.stop(count, fault),
            Self::Lmdb(store) => store.stop(count, fault),
        }
    }

    /// From now on `per_mille` of 1000 operations fail, half of them after they took effect.
    pub(crate) fn fail_now_and_then(&self, seed: u64, per_mille: u16) {
        match self {
            Self::Memory(store) => store.fail_now_and_then(seed, per_mille),
            Self::Lmdb(store) => store.fail_now_and_then(seed, per_mille),
        }
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        match self {
            Self::Memory(store) => store.heal(),
            Self::Lmdb(store) => store.heal(),
        }
    }

    /// Operations that failed, commits of them that took effect all the same, commits that came too late.
    pub(crate) fn counts(&self) -> [u64; 3] {
        match self {
            Self::Memory(store) => [store.injected(), store.unknown(), store.conflicts()],
            Self::Lmdb(store) => [store.injected(), store.unknown(), store.conflicts()],
        }
    }

    pub(crate) async fn stopped(&self) {
        match self {
            Self::Memory(store) => store.stopped().await,
            Self::Lmdb(store) => store.stopped().await,
        }
    }
}

/// A world.
pub(crate) struct World {
    pub(crate) backend: Backend,
    pub(crate) project: Project,
    pub(crate) agent: Arc<Agent>,
    folder: TempDir,
    memory: Arc<FaultyStore<Memory>>,
    draft: NewCampaign,
}

/// The seed of campaigns: with it the first candidate is a winner.
const SEED: u64 = 5;

/// A world as it was.
pub(crate) struct Saved {
    memory: Memory,
    folder: TempDir,
}

impl World {
    pub(crate) fn new(backend: Backend, project: Project) -> Outcome<Self> {
        let folder = temporary()?;
        std::fs::create_dir_all(folder.path().join("live"))?;
        std::fs::write(folder.path().join("live/workflow.yaml"), workflow())?;
        let memory = Arc::new(FaultyStore::planned(Memory::new(), []));
        let agent = Arc::new(Agent::new(project.latency_ms, project.fault_per_mille));
        let draft = draft(project, SEED, &folder.path().join("live/workflow.yaml"));
        Ok(Self { backend, project, agent, folder, memory, draft })
    }

    /// The file of the live workflow.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("live/workflow.yaml")
    }

    /// The folder in which workflow runs work.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.folder.path().join("live")
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Whether the store has outgrown its first map.
    pub(crate) fn has_grown(&self) -> bool {
        let data = self.store().join("data.mdb").metadata();
        data.is_ok_and(|data| data.len() > MAP_INITIAL)
    }

    /// Keeps the world as it is now. No process may have it open.
    pub(crate) fn save(&self) -> Outcome<Saved> {
        let folder = temporary()?;
        copy(self.folder.path(), folder.path())?;
        Ok(Saved { memory: self.memory.inner().copy(), folder })
    }

    /// Makes the world as it was.
    pub(crate) fn restore(&mut self, saved: &Saved) -> Outcome<()> {
        self.memory = Arc::new(FaultyStore::planned(saved.memory.copy(), []));
        for entry in self.folder.path().read_dir()? {
            std::fs::remove_dir_all(entry?.path())?;
        }
        copy(saved.folder.path(), self.folder.path())
    }

    /// Opens the store, as a process does that begins.
    pub(crate) fn open(&self) -> Outcome<Opened> {
        Ok(match self.backend {
            Backend::Memory => {
                self.memory.heal();
                Opened::Memory(Arc::clone(&self.memory))
            }
            Backend::Lmdb => {
                let options = Options {
                    allow_unsafe_file_system: true,
                    map_initial: MAP_INITIAL,
                    ..Options::default()
                };
                let store = Lmdb::open(self.store(), &options)?;
                Opened::Lmdb(Arc::new(FaultyStore::planned(store, [])))
            }
        })
    }

    /// A campaign on the live workflow, to be created.
    pub(crate) fn draft(&self) -> NewCampaign {
        self.draft.clone()
    }
}

fn draft(project: Project, seed: u64, file: &Path) -> NewCampaign {
    let small = SmallProject {
        workflow: &workflow(),
        cases: &cases(),
        text_fields: "[objective]",
        knob_fields: "[]",
        decision: project.decision,
        max_experiments: project.experiments,
    };
    let mut new = small.draft(campaign_id().as_str(), seed, "scripted");
    let source = &mut new.campaign.source;
    source.location = if project.stored {
        Location::Stored(source.workflow.clone())
    } else {
        Location::File(file.display().to_string())
    };
    new.campaign.frozen.policies.budget.max_total_tokens = project.tokens.map(Tokens);
    new
}

/// A process at work on a world.
pub(crate) struct Process {
    pub(crate) engine: Arc<Engine>,
    pub(crate) service: Service,
}

impl Process {
    /// Starts the loops, as the binary does.
    pub(crate) async fn start(world: &World, opened: &Opened) -> Outcome<Self> {
        Self::start_at(world, opened, Arc::new(Hours(Instant::now()))).await
    }

    /// The same with a clock of the caller's.
    pub(crate) async fn start_at(
        world: &World,
        opened: &Opened,
        clock: Arc<dyn Clock>,
    ) -> Outcome<Self> {
        let engine = Arc::new(Engine::new(opened.store(), clock));
        let Project { capacity, keep_outputs: retention, .. } = world.project;
        let config = ServiceConfig {
            dispatch: DispatchConfig { capacity, ..DispatchConfig::default() },
            proposers: built_in("rules").into_iter().collect(),
            retention,
            ..ServiceConfig::default()
        };
        let agent = Arc::<Agent>::clone(&world.agent);
        let service = Service::start(Arc::clone(&engine), agent, config).await?;
        Ok(Self { engine, service })
    }

    /// Orders the workflow run with this number.
    pub(crate) async fn order(&self, world: &World, number: u64) -> Outcome<()> {
        let folder = world.workspace();
        let capabilities = Capabilities::default();
        let read = workflow_order::read("w", workflow().as_bytes(), &folder, &capabilities);
        let read = read.map_err(|findings| findings.to_string())?.value;
        let order = Order {
            id: run_id(number),
            origin: Origin::File { path: world.file().display().to_string() },
            snapshot: read.definition.digest(),
            trigger: Trigger::Manual,
            dry_run: false,
            inputs: serde_json::Map::new(),
            workspace: folder.display().to_string(),
        };
        let (engine, actor) = (&self.engine, operator());
        engine.create_workflow_run(order, &read.workflow, read.definition, actor).await?;
        Ok(())
    }
}

/// Strikes the hours of virtual time, and stands still between them: how long something takes is in no
/// record, so that records of different lives can be compared.
struct Hours(Instant);

impl Clock for Hours {
    fn now(&self) -> Timestamp {
        let hours = self.0.elapsed().as_secs() / 3600;
        Timestamp(1).after(Millis(hours * 3_600_000))
    }
}

pub(crate) fn campaign_id() -> CampaignId {
    campaign(0)
}

pub(crate) fn campaign(number: u64) -> CampaignId {
    named(CampaignId::new(format!("c{number}")))
}

pub(crate) fn run_id(number: u64) -> WorkflowRunId {
    WorkflowRunId::derive(&[b"the run", &number.to_be_bytes()])
}

pub(crate) fn workflow_id() -> WorkflowId {
    named(WorkflowId::new("w"))
}

pub(crate) fn operator() -> Actor {
    named(Actor::new("local:operator"))
}

/// An id that is valid by its spelling.
#[expect(clippy::panic, reason = "the names above are constants")]
fn named<T, E: std::fmt::Display>(name: Result<T, E>) -> T {
    name.unwrap_or_else(|error| panic!("{error}"))
}

/// The definition that is optimized, and executed as a run.
pub(crate) fn workflow() -> String {
    format!(
        "automation_id: w
name: w
status: active
agents: [{{agent_id: a}}]
flow:
  nodes:
    - node_id: n
      agent_id: a
      objective: Answer with care and keep to the form that was asked for.
      timeout_ms: 60000
      retry_policy: {{max_attempts: 1}}
      output_contract: {{kind: j, validator: structured_json, schema: {{type: object, required: [ok]}}}}
    - node_id: m
      agent_id: a
      objective: {SECOND_TRY}
      depends_on: [n]
      timeout_ms: 60000
      retry_policy: {{max_attempts: 3}}
"
    )
}

fn cases() -> String {
    let splits = ["search", "search", "search", "holdout"];
    let case = |(index, split): (usize, &str)| {
        let case =
            serde_json::json!({"id": format!("c{index}"), "inputs": {"n": index}, "split": split});
        format!("{case}\n")
    };
    splits.into_iter().enumerate().map(case).collect()
}

pub(crate) fn temporary() -> Outcome<TempDir> {
    let memory = Path::new(MEMORY);
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    Ok(made?)
}

/// Lets virtual time pass.
pub(crate) async fn pass(time: Duration) {
    drop(tokio::time::timeout(time, std::future::pending::<()>()).await);
}

/// Copies the files below `from`.
pub(crate) fn copy(from: &Path, to: &Path) -> Outcome<()> {
    std::fs::create_dir_all(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
