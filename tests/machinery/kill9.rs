//! The real binary under load, killed at a random moment again and again: what was acknowledged is there,
//! everything that is stored keeps the invariants, and the next process goes on.
//!
//! One process works campaigns off, another one stores version after version of a workflow through it. A
//! kill counts when a case run was in flight and a version had been acknowledged; the others are shown.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use optim_core::digest::Hasher;
use optim_core::id::WorkflowId;
use optim_core::invariants::{Snapshot, check_invariants};
use optim_core::run::RunState;
use optim_core::stored_workflow::VersionNumber;
use optim_store::Store as _;
use optim_store::lmdb::{Lmdb, Options};
use tempfile::TempDir;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::draw::Draw;
use crate::tally::Tally;
use crate::world::{copy, temporary, workflow};

/// Kills that count, unless another number is asked for.
const CYCLES: u64 = 200;
/// The longest time from the first acknowledged version to the kill, in milliseconds.
const KILL_WITHIN_MS: u64 = 300;
/// After so many kills that count the next ones are of a new store: all that is in one is read after each.
const KILLS_A_STORE: u64 = 25;
/// A process that has acknowledged nothing after so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kills until so many have counted.
pub(crate) fn run(arguments: &Arguments) -> Outcome<Tally> {
    let mut tally = Tally::of("kill9");
    let wanted = arguments.get("--cycles").unwrap_or(CYCLES);
    let seed = arguments.get("--seed").unwrap_or(1);
    let (begun, mut draw) = (Instant::now(), Draw::new(seed));
    let mut project = Project::new()?;
    let (mut counted, mut kills, mut survived) = (0, 0, Survived::default());
    while counted < wanted {
        if kills > wanted * 4 + 20 {
            return Err(format!("only {counted} of {kills} kills count: this shows nothing").into());
        }
        kills += 1;
        let cycle = project.cycle(&mut draw);
        let counts = matches!(cycle, Ok(true) | Err(_));
        if counts {
            counted += 1;
            tally.count(
                &format!("{seed} cycle {kills}"),
                cycle.map(drop).map_err(|it| it.to_string()),
            )?;
            if counted.is_multiple_of(KILLS_A_STORE) || counted == wanted {
                survived.add(&project.seen);
                project = Project::new()?;
            }
        }
    }
    tally.more = format!(
        "; {counted} of {kills} kills count, {survived}, {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    Ok(tally)
}

/// What all the stores kept.
#[derive(Default)]
struct Survived {
    versions: u64,
    runs: u64,
    events: usize,
}

impl Survived {
    fn add(&mut self, seen: &Seen) {
        self.versions += u64::from(seen.versions);
        self.runs += seen.runs;
        self.events += seen.events;
    }
}

impl fmt::Display for Survived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { versions, runs, events } = self;
        write!(
            f,
            "{versions} acknowledged versions, {runs} paid case runs and {events} events survived"
        )
    }
}

/// A project, and what is known to be in its store.
struct Project {
    folder: TempDir,
    optim: PathBuf,
    seen: Seen,
}

/// What must never be lost.
#[derive(Default)]
struct Seen {
    /// The last version of the workflow that was acknowledged.
    versions: u32,
    /// Case runs in the ledgers.
    runs: u64,
    events: usize,
    /// All events up to there, in one digest.
    history: Vec<u8>,
}

impl Project {
    fn new() -> Outcome<Self> {
        let folder = temporary()?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        copy(&root.join("examples/ticket-triage"), folder.path())?;
        let left = folder.path().join(".optim");
        if left.exists() {
            std::fs::remove_dir_all(left)?;
        }
        let settings = "workflow = \"workflow.yaml\"
[executor]
kind = \"scripted\"
waits = true
latency_ms = 15
[run]
capacity = 3
";
        std::fs::write(folder.path().join("optim.toml"), settings)?;
        let own = std::env::current_exe()?;
        let optim = own.parent().ok_or("the program is in no folder")?.join("optim");
        Ok(Self { folder, optim, seen: Seen::default() })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.optim);
        command.arg("-C").arg(self.folder.path()).args(words).env("USER", "operator");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// One life and one death; whether it counts.
    fn cycle(&mut self, draw: &mut Draw) -> Outcome<bool> {
        let mut owner =
            self.command(&["run", "--wait", "--frozen"]).stderr(Stdio::piped()).spawn()?;
        let stderr = owner.stderr.take().ok_or("stderr is piped")?;
        let wait = Duration::from_millis(draw.below(KILL_WITHIN_MS));
        let (acknowledged, done) = (AtomicU32::new(self.seen.versions), AtomicBool::new(false));
        let ended = std::thread::scope(|scope| {
            let ((spoke, speaks), (stored, stores)) = (channel(), channel());
            let (alive, dead) = channel();
            scope.spawn(move || listen(stderr, &spoke, alive));
            let client = scope.spawn(|| self.put_versions(speaks, stored, &acknowledged, &done));
            // It is dead when nobody listens to it any more.
            let has_acknowledged = stores.recv_timeout(PATIENCE).is_ok();
            let is_dead = dead.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected);
            owner.kill()?;
            owner.wait()?;
            done.store(true, Ordering::SeqCst);
            client.join().map_err(|_| "the client panicked")??;
            Outcome::Ok((has_acknowledged, is_dead))
        });
        let (has_acknowledged, is_dead) = ended?;
        self.seen.versions = acknowledged.load(Ordering::SeqCst);
        let in_flight = self.inspect()?;
        if is_dead {
            // The campaign is over: the next one begins.
            self.command(&["cancel", "--reason", "the next one"]).status()?;
        }
        Ok(has_acknowledged && !is_dead && in_flight > 0)
    }

    /// Stores version after version until `done`, from when the owner `speaks` on.
    fn put_versions(
        &self,
        speaks: Receiver<()>,
        stored: Sender<()>,
        acknowledged: &AtomicU32,
        done: &AtomicBool,
    ) -> Outcome<()> {
        let file = self.folder.path().join("other.yaml");
        if speaks.recv().is_err() {
            return Ok(());
        }
        while !done.load(Ordering::SeqCst) {
            let next = acknowledged.load(Ordering::SeqCst) + 1;
            std::fs::write(&file, version(next))?;
            let path = file.display().to_string();
            if self.command(&["workflow", "put", &path]).status()?.success() {
                acknowledged.store(next, Ordering::SeqCst);
                // Nobody asks any more once the owner is being killed.
                stored.send(()).ok();
            }
        }
        Ok(())
    }

    /// Reads all that is stored and compares it with what must be there; the case runs in flight.
    fn inspect(&mut self) -> Outcome<usize> {
        let options = Options { allow_unsafe_file_system: true, ..Options::default() };
        let store = Lmdb::open(self.folder.path().join(".optim/data"), &options)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (damaged, snapshot, text) = runtime.block_on(async {
            let damaged = store.verify().await?;
            let snapshot = optim_store::snapshot(&store).await?;
            let id = WorkflowId::new("w")?;
            let current = snapshot.workflows.iter().find(|it| it.id == id);
            let number = current.and_then(|it| it.current()).map(|it| it.number);
            let number = number.unwrap_or_default();
            let text = store.workflow_text(&id, number).await?;
            Outcome::Ok((damaged, snapshot, (number, text)))
        })?;
        if let Some(damage) = damaged.first() {
            return Err(format!("the store is damaged: {damage}").into());
        }
        if let Some(violation) = check_invariants(&snapshot).first() {
            return Err(violation.to_string().into());
        }
        self.has_versions(text)?;
        self.goes_on_from(&snapshot)?;
        let at_work = |run: &&optim_core::run::Run| matches!(run.state, RunState::Running { .. });
        Ok(snapshot.runs.iter().filter(at_work).count())
    }

    /// The last acknowledged version is there; the next one may be, whose answer was lost.
    fn has_versions(&self, (number, text): (VersionNumber, Option<Vec<u8>>)) -> Outcome<()> {
        let stored = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        let acknowledged = self.seen.versions;
        let is_there =
            [acknowledged, acknowledged + 1].iter().any(|it| stored == Some(version(*it)));
        match (is_there, acknowledged) {
            (true, _) | (false, 0) => Ok(()),
            _ => {
                Err(format!("version {acknowledged} was acknowledged and is lost, at {number}")
                    .into())
            }
        }
    }

    /// What was there before is still there.
    fn goes_on_from(&mut self, snapshot: &Snapshot) -> Outcome<()> {
        let runs = snapshot.campaigns.iter().map(|campaign| campaign.ledger.runs).sum();
        let history = digest(snapshot.events.get(..self.seen.events).ok_or("events are lost")?)?;
        if runs < self.seen.runs || (self.seen.events > 0 && history != self.seen.history) {
            return Err(format!("{runs} paid runs, there were {}", self.seen.runs).into());
        }
        let (events, history) = (snapshot.events.len(), digest(&snapshot.events)?);
        self.seen = Seen { versions: self.seen.versions, runs, events, history };
        Ok(())
    }
}

/// Says when the owner has said something, and drops `_alive` when it says nothing any more.
fn listen(stderr: ChildStderr, spoke: &Sender<()>, _alive: Sender<()>) {
    let (mut stderr, mut line) = (BufReader::new(stderr), String::new());
    if stderr.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        spoke.send(()).ok();
    }
    drop(std::io::copy(&mut stderr, &mut std::io::sink()));
}

/// The text of a version of the workflow that the client stores.
fn version(number: u32) -> String {
    format!("# {number}\n{}", workflow())
}

fn digest(events: &[optim_core::campaign::event::Event]) -> Outcome<Vec<u8>> {
    let mut hasher = Hasher::new("optim/machinery/events/1");
    for event in events {
        hasher.part(&serde_json::to_vec(event)?);
    }
    Ok(hasher.finish().as_bytes().to_vec())
}
