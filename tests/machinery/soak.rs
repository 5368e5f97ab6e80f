//! Days of virtual time with the same to do each day: memory and open files stay as they are, and the store
//! grows by what is stored in it, byte for record.

use std::alloc::System;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use optim_core::campaign::command::Command;
use optim_core::quantity::{Millis, Timestamp};
use optim_runtime::clock::{ManualClock, Steady};
use optim_store::Store;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Builder;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::tally::Tally;
use crate::world::{Backend, Opened, Process, Project, World, campaign, operator, pass};

/// Counts what is allocated and given back: what the process holds of the system also depends on how its
/// allocator fills its pages.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many days, unless another number is asked for.
const DAYS: u64 = 30;
/// After so many days everything that is kept for a while has reached its size.
const WARM_DAYS: usize = 2;
/// The most that a figure may grow each day, of 1000 of its mean.
const GROWTH_PER_MILLE: f64 = 10.0;
/// A campaign begins every so many hours; a workflow run every hour.
const CAMPAIGN_HOURS: u64 = 6;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Lives the days and looks at what they leave behind.
pub(crate) fn run(arguments: &Arguments) -> Outcome<Tally> {
    let mut tally = Tally::of("soak");
    let begun = std::time::Instant::now();
    let days = arguments.get("--days").unwrap_or(DAYS);
    if usize::try_from(days)? < WARM_DAYS + 3 {
        return Err(format!("of fewer than {} days nothing can be said", WARM_DAYS + 3).into());
    }
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let samples = runtime.block_on(live(days))?;
    let warm = samples.get(WARM_DAYS..).unwrap_or_default();
    for (name, of) in FIGURES {
        let figures: Vec<f64> = warm.iter().map(of).collect();
        let growth = growth_per_mille(&figures);
        println!("{name}: {:.1} per mille of its mean more each day", growth);
        let flat = match growth <= GROWTH_PER_MILLE {
            true => Ok(()),
            false => Err(format!("{name} grows by {growth:.1} per mille each day")),
        };
        tally.count("", flat)?;
    }
    tally.more = format!("; {days} virtual days in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(tally)
}

/// What the process and the store take at the end of a day.
struct Sample {
    /// What is allocated and was not given back.
    heap_bytes: u64,
    /// Memory of the process that no file is behind: shown, and not judged.
    resident_bytes: u64,
    descriptors: u64,
    /// Bytes of the store's file that are in use.
    used_bytes: u64,
    /// Records in all its tables.
    records: u64,
}

/// A figure of a sample.
type Figure = fn(&Sample) -> f64;

/// What must not grow.
const FIGURES: [(&str, Figure); 3] = [
    ("heap", |sample| float(sample.heap_bytes)),
    ("descriptors", |sample| float(sample.descriptors)),
    ("bytes of the store a record", |sample| {
        float(sample.used_bytes) / float(sample.records.max(1))
    }),
];

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { heap_bytes, resident_bytes, descriptors, used_bytes, records } = self;
        let [heap, resident, used] = [heap_bytes, resident_bytes, used_bytes].map(|it| it / 1024);
        write!(
            f,
            "heap {heap} KiB, resident {resident} KiB, {descriptors} descriptors, store {used} KiB with \
             {records} records"
        )
    }
}

async fn live(days: u64) -> Outcome<Vec<Sample>> {
    let project = Project { keep_outputs: Millis::from_days(1), ..Project::PLAIN };
    let world = World::new(Backend::Lmdb, project)?;
    let opened = world.open()?;
    let clock = Arc::new(Steady::starting_at(&ManualClock::at(Timestamp(1))));
    let process = Process::start_at(&world, &opened, clock).await?;
    let mut samples = Vec::new();
    for day in 0..days {
        for hour in 0..24 {
            work(&world, &process, day * 24 + hour).await?;
            pass(HOUR).await;
        }
        let sample = sample(&opened).await?;
        println!("day {:2}: {sample}", day + 1);
        samples.push(sample);
    }
    Ok(samples)
}

/// What there is to do in this hour: a run each, and a campaign now and then, which is read and put away
/// before the next one.
async fn work(world: &World, process: &Process, hour: u64) -> Outcome<()> {
    process.order(world, hour).await?;
    if !hour.is_multiple_of(CAMPAIGN_HOURS) {
        return Ok(());
    }
    let engine = &process.engine;
    if let Some(last) = hour.checked_sub(CAMPAIGN_HOURS).map(campaign) {
        if !engine.campaign(&last).await?.value.is_closed() {
            let reason = Some("the next one".to_owned());
            Box::pin(engine.submit(&last, &Command::Cancel { reason }, operator())).await?;
        }
        Box::pin(engine.submit(&last, &Command::Archive { reason: None }, operator())).await?;
    }
    let mut new = world.draft();
    new.campaign.id = campaign(hour);
    engine.create(new, operator()).await?;
    let start = Command::Start { reason: None };
    Box::pin(engine.submit(&campaign(hour), &start, operator())).await?;
    Ok(())
}

/// What there is now. A backup is written first, so that a reader has been there each day.
async fn sample(opened: &Opened) -> Outcome<Sample> {
    let Opened::Lmdb(store) = opened else { return Err("only LMDB has a file".into()) };
    let upkeep = store.inner().upkeep().ok_or("LMDB can be looked after")?;
    upkeep.export(tempfile::tempfile()?).await?;
    upkeep.sweep().await?;
    let stat = upkeep.stat().await?;
    Ok(Sample {
        heap_bytes: heap(),
        resident_bytes: resident()?,
        descriptors: u64::try_from(std::fs::read_dir("/proc/self/fd")?.count())?,
        used_bytes: stat.used_bytes,
        records: stat.tables.values().sum(),
    })
}

/// Bytes that are allocated now. LMDB, which is C, is not in it.
fn heap() -> u64 {
    let stats = ALLOCATOR.stats();
    u64::try_from(stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)).unwrap_or(u64::MAX)
}

/// Bytes in memory that no file is behind: pages of the map are the system's to keep or to drop.
fn resident() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: u64 =
        line.and_then(|line| line.split_whitespace().next()).ok_or("RssAnon")?.parse()?;
    Ok(kib * 1024)
}

/// The slope of the line through `figures` with the least squares, of 1000 of their mean.
fn growth_per_mille(figures: &[f64]) -> f64 {
    let days = float(u64::try_from(figures.len()).unwrap_or(u64::MAX));
    let (middle, mean) = ((days - 1.0) / 2.0, figures.iter().sum::<f64>() / days);
    let (mut along, mut across) = (0.0, 0.0);
    for (day, figure) in (0_u32..).map(f64::from).zip(figures) {
        along += (day - middle) * (figure - mean);
        across += (day - middle) * (day - middle);
    }
    along / across / mean * 1000.0
}

/// The number: bytes below 4 TiB, or a count.
fn float(number: u64) -> f64 {
    const UNIT: u64 = 1024;
    let [whole, rest] =
        [number / UNIT, number % UNIT].map(|it| u32::try_from(it).unwrap_or(u32::MAX));
    f64::from(whole) * 1024.0 + f64::from(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_by_two_in_a_hundred_each_day_is_told_from_what_wavers() {
        let grows: Vec<_> = (0..28_u32).map(|day| 100.0 + 2.0 * f64::from(day)).collect();
        assert!(growth_per_mille(&grows) > GROWTH_PER_MILLE);
        let wavers: Vec<_> = (0..28_u32).map(|day| 100.0 + f64::from(day % 3)).collect();
        assert!(growth_per_mille(&wavers).abs() < GROWTH_PER_MILLE / 5.0);
    }
}
