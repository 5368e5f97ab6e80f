//! Hours of virtual time in which everything goes wrong: the real loops over a store that fails before and
//! after its commits, providers that fail, processes that die, wake-ups that get lost, workers that lose
//! their lease, people who do anything at any moment. The same seed gives the same trace.

mod act;
mod seen;

use std::sync::Arc;
use std::time::Duration;

use optim_core::campaign::Campaign;
use optim_core::campaign::location::Location;
use optim_core::campaign::work::{Work, work};
use optim_core::invariants::{Snapshot, check_invariants};
use optim_core::quantity::Timestamp;
use optim_core::run::Run;
use optim_runtime::clock::{ManualClock, Steady};
use optim_runtime::testing::ANY_BASELINE;
use optim_store::Store;
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::draw::Draw;
use crate::tally::{Tally, kept};
use crate::world::{Backend, Opened, Process, Project, World, pass};

use seen::Seen;

/// How much is simulated, unless other numbers are asked for: 100 hours.
const HOURS: u64 = 100;
const SEEDS: u64 = 200;
/// Operations of the store that fail, of 1000.
const FAULTS: u16 = 25;
/// The longest that nothing happens, in milliseconds.
const QUIET_MS: u64 = 40_000;
/// So long nobody is at work and nothing happens: longer than any wait of the loops.
const CALM: Duration = Duration::from_secs(60 * 60);
/// After so many such hours without faults and people nothing is open any more.
const CALM_HOURS: u32 = 24;
/// Every seed of so many is on LMDB, whose threads keep a time of their own: its trace is not compared.
const LMDB_EVERY: u64 = 8;
/// How much of a line is shown where two traces part, in characters.
const PARTING: usize = 600;

/// Replays the seeds that have failed once, then as many as are asked for.
pub(crate) fn run(arguments: &Arguments) -> Outcome<Tally> {
    let mut tally = Tally::of("sim");
    let begun = std::time::Instant::now();
    let hours = arguments.get("--hours").unwrap_or(HOURS);
    let seeds = arguments.get("--seeds").unwrap_or(SEEDS);
    let minutes = (hours * 60).div_ceil(seeds.max(1));
    let first = arguments.get("--seed").unwrap_or(1);
    let mut seen = Seen::default();
    let known = kept("sim").into_iter().filter_map(|seed| seed.parse().ok());
    for seed in known.chain(first..first + seeds) {
        tally.count(&seed.to_string(), twice(seed, minutes, &mut seen))?;
    }
    println!("{seen}");
    for never in seen.never() {
        tally.count("", Err(format!("{never} never happened: this shows nothing")))?;
    }
    let took = begun.elapsed().as_secs_f64();
    tally.more =
        format!("; {} simulated hours over {seeds} seeds in {took:.0} s", minutes * seeds / 60);
    Ok(tally)
}

/// Lives a seed twice: both have the same trace.
fn twice(seed: u64, minutes: u64, seen: &mut Seen) -> Result<(), String> {
    let mut lives = || live(seed, minutes, seen).map_err(|error| error.to_string());
    let (first, second) = (lives()?, lives()?);
    match first == second || seed.is_multiple_of(LMDB_EVERY) {
        true => Ok(()),
        false => Err(format!("the same seed has another trace: {}", parting(&first, &second))),
    }
}

/// One life of a seed; its trace.
fn live(seed: u64, minutes: u64, seen: &mut Seen) -> Outcome<Vec<String>> {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let minutes = Duration::from_secs(minutes * 60);
    let ended = runtime.block_on(async {
        let mut life = Life::begin(seed).await?;
        while life.begun.elapsed() < minutes {
            let quiet = life.draw.below(QUIET_MS);
            pass(Duration::from_millis(quiet)).await;
            act::any(&mut life, seen).await?;
            life.is_sound().await?;
        }
        life.calm_down(seen).await
    });
    drop(runtime);
    ended
}

/// A world with a process in it.
struct Life {
    world: World,
    opened: Opened,
    process: Option<Process>,
    clock: Steady,
    begun: Instant,
    draw: Draw,
    /// Processes so far.
    processes: u64,
    /// Campaigns and workflow runs so far.
    campaigns: u64,
    runs: u64,
    /// Case runs that another worker has claimed, and under which process.
    stolen: Vec<(Run, u64)>,
}

impl Life {
    async fn begin(seed: u64) -> Outcome<Self> {
        let mut draw = Draw::new(seed);
        let backend = if seed.is_multiple_of(LMDB_EVERY) { Backend::Lmdb } else { Backend::Memory };
        let paired = "{rule: sequential, n_max: 16, n_min: 8, batch: 4}";
        let project = Project {
            decision: if draw.happens(500) { ANY_BASELINE } else { paired },
            experiments: 4,
            tokens: if draw.happens(400) { Some(150 + draw.below(900)) } else { None },
            latency_ms: 5_000 + draw.below(25_000),
            fault_per_mille: if draw.happens(300) { 250 } else { 30 },
            stored: draw.happens(400),
            capacity: 1 + u32::try_from(draw.below(3))?,
            ..Project::PLAIN
        };
        let world = World::new(backend, project)?;
        let opened = world.open()?;
        opened.fail_now_and_then(seed, FAULTS);
        let clock = Steady::starting_at(&ManualClock::at(Timestamp(1)));
        let (process, begun, stolen) = (None, Instant::now(), Vec::new());
        let (processes, campaigns, runs) = (0, 0, 0);
        let mut life =
            Self { world, opened, process, clock, begun, draw, processes, campaigns, runs, stolen };
        life.start().await?;
        Ok(life)
    }

    /// Starts a process; again until the store lets it.
    async fn start(&mut self) -> Outcome<()> {
        for _ in 0..1_000 {
            let clock = Arc::new(self.clock);
            if let Ok(process) = Process::start_at(&self.world, &self.opened, clock).await {
                (self.process, self.processes) = (Some(process), self.processes + 1);
                return Ok(());
            }
            pass(Duration::from_secs(1)).await;
        }
        Err("no process can be started".into())
    }

    /// The process dies without notice, and another one takes over.
    async fn restart(&mut self) -> Outcome<()> {
        drop(self.process.take());
        // What was dropped is gone before the next one comes.
        pass(Duration::from_millis(1)).await;
        self.start().await
    }

    fn process(&self) -> Outcome<&Process> {
        self.process.as_ref().ok_or_else(|| "no process is at work".into())
    }

    /// What is stored, read past the faults.
    async fn snapshot(&self) -> Outcome<Snapshot> {
        let store: &dyn Store = match &self.opened {
            Opened::Memory(store) => store.inner(),
            Opened::Lmdb(store) => store.inner(),
        };
        Ok(optim_store::snapshot(store).await?)
    }

    async fn is_sound(&self) -> Outcome<()> {
        // While LMDB is read the loops go on, and what is read is not of one moment.
        if self.world.backend == Backend::Lmdb {
            return Ok(());
        }
        match check_invariants(&self.snapshot().await?).first() {
            None => Ok(()),
            Some(violation) => Err(violation.to_string().into()),
        }
    }

    /// What is stored when nothing goes on any more, or after the longest that this may take.
    async fn come_to_rest(&self) -> Outcome<Snapshot> {
        let mut before = self.snapshot().await?;
        for _ in 0..CALM_HOURS {
            pass(CALM).await;
            let after = self.snapshot().await?;
            if after.events.len() == before.events.len() && after.campaigns.iter().all(is_at_rest) {
                return Ok(after);
            }
            before = after;
        }
        Ok(before)
    }

    /// Nothing fails any more and nobody does anything: everything comes to its end, and another process
    /// changes nothing of it. The trace of the whole life.
    async fn calm_down(mut self, seen: &mut Seen) -> Outcome<Vec<String>> {
        seen.count_store(&self.world, &self.opened);
        self.opened.heal();
        self.restart().await?;
        let ended = self.come_to_rest().await?;
        seen.count_events(&ended);
        if let Some(violation) = check_invariants(&ended).first() {
            return Err(format!("in the end: {violation}").into());
        }
        if let Some(open) = ended.runs.iter().find(|run| !run.state.is_terminal()) {
            return Err(
                format!("I21: in the end case run {} is {}", open.id, open.state.name()).into()
            );
        }
        if let Some(campaign) = ended.campaigns.iter().find(|campaign| !is_at_rest(campaign)) {
            return Err(format!("I21: in the end campaign {} has work left", campaign.id).into());
        }
        let trace = trace(&ended)?;
        self.restart().await?;
        pass(CALM).await;
        let after = self::trace(&self.snapshot().await?)?;
        if trace != after {
            let parting = parting(&trace, &after);
            return Err(format!(
                "I23: a process without anything to do changes something: {parting}"
            )
            .into());
        }
        Ok(trace)
    }
}

/// Whether `campaign` waits for a person or for nothing.
fn is_at_rest(campaign: &Campaign) -> bool {
    matches!(work(campaign), Work::AwaitOperator | Work::Nothing)
}

/// All that was told and all that is stored, line by line.
fn trace(snapshot: &Snapshot) -> Outcome<Vec<String>> {
    let Snapshot { campaigns, experiments, runs, workflows, workflow_runs, events, .. } = snapshot;
    let mut campaigns = campaigns.clone();
    for campaign in &mut campaigns {
        // The folder of the world is another one each time.
        campaign.frozen.files.clear();
        campaign.source.location = Location::Stored(campaign.source.workflow.clone());
    }
    let states = workflow_runs.iter().map(|run| (run.id, run.epoch, &run.state, &run.nodes));
    let mut lines = lines(events)?;
    lines.extend(self::lines(&campaigns)?);
    lines.extend(self::lines(experiments)?);
    lines.extend(self::lines(runs)?);
    lines.extend(self::lines(workflows)?);
    lines.extend(self::lines(states)?);
    Ok(lines)
}

fn lines<T: serde::Serialize>(records: impl IntoIterator<Item = T>) -> Outcome<Vec<String>> {
    let lines = records.into_iter().map(|record| serde_json::to_string(&record));
    Ok(lines.collect::<Result<_, _>>()?)
}

/// Where two traces part: the line, and what each has from a little before the first difference on.
fn parting(one: &[String], other: &[String]) -> String {
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let line = |lines: &[String]| lines.get(same).cloned().unwrap_or_else(|| "nothing".to_owned());
    let (one, other) = (line(one), line(other));
    let equal = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let around = |line: &str| -> String {
        line.chars().skip(equal.saturating_sub(PARTING / 2)).take(PARTING).collect()
    };
    format!("line {same}, from {equal} on, is {}, then {}", around(&one), around(&other))
}
