//! The process that the power is cut under: it commits without end and tells of each commit that was
//! acknowledged; and the look at what is left.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::Context as _;
use optim_core::campaign::event::EventKind;
use optim_core::judge::split_mix::SplitMix64;
use optim_store::lmdb::{Lmdb, Options};
use optim_store::testing::sample;
use optim_store::{Blob, Commit, EventSeq, Page, Revision, RunFilter, Store, Write};

/// The first argument of the process that commits.
pub(crate) const WRITE: &str = "write";
/// The first argument of the process that looks at what is left.
pub(crate) const LOOK: &str = "look";
/// How many commit at once.
const WRITERS: u32 = 4;
/// The longest payload of a commit, in bytes: some need pages of their own.
const PAYLOAD_MAX: usize = 20_000;

/// The last commit of each writer that was acknowledged.
pub(crate) type Acknowledged = BTreeMap<u32, u64>;

fn name(writer: u32) -> String {
    format!("writer-{writer}")
}

fn open(directory: &Path) -> anyhow::Result<Lmdb> {
    // A small map, so that it grows under the writers.
    let options =
        Options { map_initial: 1 << 20, allow_unsafe_file_system: true, ..Options::default() };
    Ok(Lmdb::open(directory, &options)?)
}

fn payload(writer: u32, revision: u64) -> Blob {
    let mut random = SplitMix64::new(revision * 31 + u64::from(writer));
    let length = random.below(PAYLOAD_MAX);
    Blob::new(std::iter::repeat_with(|| random.next_u64().to_le_bytes()[0]).take(length).collect())
}

/// The commit that moves a writer's campaign on from `revision`: with a run, a payload and an event.
fn step(writer: u32, revision: u64) -> anyhow::Result<Commit> {
    let id = name(writer);
    let evaluation = sample::evaluation(&id, "replay");
    let run = sample::run(&id, evaluation, u32::try_from(revision)?);
    let campaign = sample::funded(sample::campaign(&id), &[evaluation]);
    let what = match revision {
        0 => EventKind::CampaignCreated,
        _ => EventKind::CampaignStarted { reason: None },
    };
    Ok(Commit {
        campaigns: vec![Write { expected: Revision(revision), value: campaign }],
        runs: vec![Write { expected: Revision(0), value: run }],
        events: vec![sample::event(&id, what)],
        blobs: vec![payload(writer, revision)],
        ..Commit::default()
    })
}

async fn revision(store: &Lmdb, writer: u32) -> anyhow::Result<u64> {
    let campaign = store.campaign(&sample::campaign(&name(writer)).id).await?;
    Ok(campaign.map_or(0, |campaign| campaign.revision.0))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?)
}

/// Commits until it is killed.
pub(crate) fn write(directory: &Path) -> anyhow::Result<()> {
    let store = Arc::new(open(directory)?);
    runtime()?.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(commit_on_and_on(Arc::clone(&store), writer));
        }
        writers.join_next().await.context("there are no writers")??
    })
}

async fn commit_on_and_on(store: Arc<Lmdb>, writer: u32) -> anyhow::Result<()> {
    let mut at = revision(&store, writer).await?;
    loop {
        store.commit(step(writer, at)?).await?;
        at += 1;
        // In one piece, and not held back.
        std::io::stdout().lock().write_all(format!("{writer} {at}\n").as_bytes())?;
    }
}

/// Takes a line of the process in.
pub(crate) fn hear(line: &str, acknowledged: &mut Acknowledged) -> anyhow::Result<()> {
    let (writer, revision) = line.split_once(' ').context("no acknowledgement")?;
    let (writer, revision) = (writer.parse()?, revision.parse()?);
    let last = acknowledged.insert(writer, revision).unwrap_or_default();
    anyhow::ensure!(revision > last, "writer {writer} tells of {revision} after {last}");
    Ok(())
}

/// The same in a process of its own, which a store that is none may end.
pub(crate) fn look_from_outside(
    directory: &Path,
    acknowledged: &Acknowledged,
) -> anyhow::Result<()> {
    let told = acknowledged.iter().map(|(writer, revision)| format!("{writer} {revision}"));
    let mut looking = Command::new(std::env::current_exe()?);
    looking.arg(LOOK).arg(directory).args(told).env("RUST_BACKTRACE", "0");
    let ended = looking.output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    anyhow::ensure!(ended.status.success(), "{}: {}", ended.status, said.trim());
    Ok(())
}

/// Opens what is left and compares it with what was acknowledged: all of that is there, nothing by halves,
/// and the next commit works.
pub(crate) fn look(directory: &Path, acknowledged: &Acknowledged) -> anyhow::Result<()> {
    let store = open(directory).context("the store does not open")?;
    runtime()?.block_on(async {
        let damage = store.verify().await?;
        anyhow::ensure!(
            damage.is_empty(),
            "{} damaged records: {:?}",
            damage.len(),
            damage.first()
        );
        let mut commits = 0;
        for writer in 0..WRITERS {
            let found = revision(&store, writer).await?;
            let told = acknowledged.get(&writer).copied().unwrap_or_default();
            anyhow::ensure!(found >= told, "writer {writer} was told {told}, there is {found}");
            let runs = RunFilter::Evaluation(sample::evaluation(&name(writer), "replay"));
            let runs = Page::all(|page| store.runs(&runs, page)).await?.len();
            anyhow::ensure!(u64::try_from(runs)? == found, "{runs} runs of {found} commits");
            if let Some(last) = found.checked_sub(1) {
                let wanted = payload(writer, last);
                let there = store.blob(wanted.digest()).await?;
                anyhow::ensure!(there.is_some(), "the payload of commit {found} is gone");
            }
            commits += found;
        }
        let mut events = EventSeq(0);
        while let Some(last) = store.events(events, Page::LIMIT_MAX).await?.last() {
            events = last.seq;
        }
        anyhow::ensure!(events.0 == commits, "{} events of {commits} commits", events.0);
        let next = revision(&store, 0).await?;
        store.commit(step(0, next)?).await.context("the next commit")?;
        Ok(())
    })
}
