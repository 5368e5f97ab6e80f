//! One campaign through the engine, with a person who approves what is recommended.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use optim_core::campaign::command::Command;
use optim_core::campaign::{Campaign, Phase};
use optim_core::decisions::Decisions;
use optim_core::decisions::read::read;
use optim_core::decisions::verify::Verified;
use optim_core::experiment::{Experiment, ExperimentState};
use optim_core::id::Actor;
use optim_core::mutation::FieldValue;
use optim_core::quantity::Timestamp;
use optim_runtime::clock::{ManualClock, Steady};
use optim_runtime::dispatch::DispatchConfig;
use optim_runtime::engine::{Engine, NewCampaign};
use optim_runtime::service::{Service, ServiceConfig};
use optim_runtime::testing::SmallProject;
use optim_store::lmdb::{Lmdb, Options};
use optim_store::testing::faulty::FaultyStore;
use optim_store::{Page, Store};
use serde_json::json;

use crate::agent::{Agent, OBJECTIVE, Start};
use crate::proposer::Numbering;
use crate::world::World;

/// The candidates of a campaign.
pub(crate) const CANDIDATES: u32 = 20;
/// A campaign that has not ended after so much virtual time hangs.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How a campaign is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub(crate) world: World,
    pub(crate) seed: u64,
    /// Case runs at once.
    pub(crate) capacity: u32,
    /// The virtual time after which the process ends without notice and another takes over; each
    /// further one lasts as long again.
    pub(crate) restart_every: Option<Duration>,
    /// Whether it ends with the first false promotion.
    pub(crate) first_only: bool,
    /// An empty directory.
    pub(crate) directory: &'a Path,
}

/// What became of a campaign.
pub(crate) struct Ended {
    pub(crate) campaign: Campaign,
    pub(crate) experiments: Vec<Experiment>,
    /// What was found when all was decided again.
    pub(crate) verified: Verified,
    pub(crate) starts: Vec<Start>,
    pub(crate) false_promotions: u32,
    pub(crate) reviews: u32,
    pub(crate) restarts: u32,
}

fn draft(setting: &Setting<'_>) -> NewCampaign {
    let workflow = json!({
        "automation_id": "w",
        "name": "w",
        "agents": [{"agent_id": "a"}],
        "flow": {"nodes": [{
            "node_id": "n",
            "agent_id": "a",
            "objective": OBJECTIVE,
            "timeout_ms": 60_000,
            "retry_policy": {"max_attempts": 1},
            "output_contract": {
                "kind": "j",
                "validator": "structured_json",
                "schema": {"type": "object", "required": ["ok"]},
            },
        }]},
    });
    let case = |case| format!("{}\n", json!({"id": format!("c{case}"), "inputs": {"case": case}}));
    let project = SmallProject {
        workflow: &workflow.to_string(),
        cases: &(0..setting.world.cases.count()).map(case).collect::<String>(),
        text_fields: "[objective]",
        knob_fields: "[]",
        decision: "{rule: sequential}",
        max_experiments: CANDIDATES,
    };
    project.draft("c", setting.seed, "scripted")
}

/// A process that works on the campaign.
struct Process {
    engine: Arc<Engine>,
    service: Service,
}

impl Process {
    async fn start(setting: &Setting<'_>, agent: &Arc<Agent>, clock: Steady) -> Outcome<Self> {
        let options = Options { allow_unsafe_file_system: true, ..Options::default() };
        let store = Lmdb::open(setting.directory.join("store"), &options)?;
        // Without faults: what is wanted is that virtual time waits for commits.
        let store: Arc<dyn Store> = Arc::new(FaultyStore::planned(store, []));
        let engine = Arc::new(Engine::new(store, Arc::new(clock)));
        let config = ServiceConfig {
            dispatch: DispatchConfig { capacity: setting.capacity, ..DispatchConfig::default() },
            proposers: vec![Arc::new(Numbering(Arc::clone(agent)))],
            ..ServiceConfig::default()
        };
        let executor = Arc::<Agent>::clone(agent);
        let service = Service::start(Arc::clone(&engine), executor, config).await?;
        Ok(Self { engine, service })
    }

    /// Stops the loops and closes the store.
    async fn stop(self) {
        self.service.stop().await;
    }
}

/// The decisions after a way through their export.
fn as_others_read(decisions: &[Decisions]) -> Outcome<Vec<Decisions>> {
    let lines = decisions.iter().flat_map(Decisions::lines);
    let lines = lines.map(|line| serde_json::to_string(&line)).collect::<Result<Vec<_>, _>>()?;
    Ok(read(lines.join("\n").as_bytes())?)
}

/// Runs a campaign to its end.
pub(crate) async fn run(setting: Setting<'_>) -> Outcome<Ended> {
    let agent = Arc::new(Agent::new(setting.world, setting.seed));
    let clock = Steady::starting_at(&ManualClock::at(Timestamp(0)));
    let actor = Actor::new("local:bench")?;
    let mut process = Process::start(&setting, &agent, clock).await?;
    let new = draft(&setting);
    let id = new.campaign.id.clone();
    process.engine.create(new, actor.clone()).await?;
    process.engine.submit(&id, &Command::Start { reason: None }, actor.clone()).await?;
    let (mut false_promotions, mut reviews, mut restarts) = (0, 0, 0);
    let campaign = loop {
        let patience = setting.restart_every.map_or(YEAR, |every| every * (restarts + 1));
        let settled = tokio::time::timeout(patience, process.service.settled(&id)).await;
        let Ok(settled) = settled else {
            if setting.restart_every.is_none() {
                return Err("the campaign hangs".into());
            }
            process.stop().await;
            restarts += 1;
            process = Process::start(&setting, &agent, clock).await?;
            continue;
        };
        let campaign = settled?;
        let experiment = match &campaign.phase {
            Phase::AwaitingApproval { experiment } => experiment,
            Phase::Closed { .. } => break campaign,
            phase => return Err(format!("it is held in {phase:?}: {:?}", campaign.hold).into()),
        };
        let command = if matches!(experiment.state, ExperimentState::Recommended(_)) {
            false_promotions += 1;
            if setting.first_only {
                break campaign;
            }
            if let FieldValue::Text(text) = &experiment.mutation.after {
                agent.moved_to(text.clone());
            }
            Command::Approve { experiment: experiment.id, reason: None }
        } else {
            reviews += 1;
            let reason = "it stays as it is".to_owned();
            Command::Reject { experiment: experiment.id, reason }
        };
        process.engine.submit(&id, &command, actor.clone()).await?;
    };
    let store = process.engine.store();
    let experiments = Page::all(|page| store.experiments(&id, page)).await?;
    let decisions = process.engine.decisions(std::slice::from_ref(&id)).await?;
    let verified = as_others_read(&decisions)?.first().ok_or("nothing is on record")?.verify();
    process.stop().await;
    let starts = agent.starts();
    Ok(Ended { campaign, experiments, verified, starts, false_promotions, reviews, restarts })
}
