//! The scheduler: a claim, the end of a worker and a new job, with many jobs waiting, beside a queue
//! that is cloned and sorted for each claim. The last lines are ratios.

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use optim_benches::measure::{exponent, float, is_tried_out, median_ns};
use optim_core::id::{CampaignId, RunId};
use optim_core::quantity::Timestamp;
use optim_runtime::scheduler::entry::{Class, Entry, Job, Party};
use optim_runtime::scheduler::{AdmissionId, Release, Scheduler};

const SIZES: [u32; 3] = [1_000, 10_000, 100_000];
/// Jobs at once.
const CAPACITY: u32 = 8;
/// Campaigns that the jobs belong to.
const CAMPAIGNS: u32 = 50;
/// Rounds in one timed run.
const ROUNDS: u32 = 1000;
const NOW: Timestamp = Timestamp(1_750_000_000_000);

fn entry(number: u32) -> Entry {
    let campaign = format!("campaign-{}", number % CAMPAIGNS);
    let campaign = CampaignId::new(campaign).unwrap_or_else(|error| unreachable!("{error}"));
    Entry {
        job: Job::Case(RunId::derive(&[&number.to_be_bytes()])),
        party: Party::Campaign(campaign),
        class: Class::Evaluation,
        workspace: None,
        needs: Arc::default(),
        not_before: None,
    }
}

/// A scheduler with every slot taken, and jobs to come.
struct Loaded {
    scheduler: Scheduler,
    at_work: VecDeque<AdmissionId>,
    coming: std::vec::IntoIter<Entry>,
}

impl Loaded {
    fn new(queued: u32, rounds: u32) -> Self {
        let mut scheduler = Scheduler::new(CAPACITY, BTreeMap::new(), NOW);
        for number in 0..queued + CAPACITY {
            scheduler.enqueue(entry(number), NOW);
        }
        let at_work = scheduler.admit(NOW).into_iter().map(|admission| admission.id).collect();
        let coming = (queued + CAPACITY..queued + CAPACITY + rounds).map(entry).collect::<Vec<_>>();
        Self { scheduler, at_work, coming: coming.into_iter() }
    }

    /// A worker ends, another one starts, a job comes.
    fn round(&mut self) {
        if let Some(id) = self.at_work.pop_front() {
            self.scheduler.release(id, Release::Worked, NOW);
        }
        self.at_work.extend(self.scheduler.admit(NOW).iter().map(|admission| admission.id));
        if let Some(entry) = self.coming.next() {
            self.scheduler.enqueue(entry, NOW);
        }
    }
}

/// The plain way: all that waits is cloned and sorted, and the first one is taken.
fn plain_round(queue: &mut Vec<(u64, Entry)>, next: &mut u64, coming: Entry) {
    let mut candidates = queue.clone();
    candidates.sort_by_key(|(age, entry)| (entry.class, *age));
    if let Some((age, _)) = candidates.first() {
        queue.retain(|(other, _)| other != age);
    }
    *next += 1;
    queue.push((*next, coming));
}

fn benchmarks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scheduler");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    for queued in SIZES {
        group.bench_with_input(BenchmarkId::new("round", queued), &queued, |bencher, queued| {
            bencher.iter_batched_ref(
                || Loaded::new(*queued, 1),
                Loaded::round,
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// Nanoseconds for a round.
fn round_ns(queued: u32) -> f64 {
    const RUNS: u32 = 21;
    let mut loaded = Loaded::new(queued, ROUNDS * (RUNS + 1));
    let runs = usize::try_from(RUNS).unwrap_or(1);
    median_ns(runs, || (0..ROUNDS).for_each(|_| loaded.round())) / f64::from(ROUNDS)
}

fn plain_ns(queued: u32) -> f64 {
    let mut queue: Vec<_> = (0..).zip((0..queued).map(entry)).collect();
    let mut next = u64::from(queued);
    median_ns(5, || plain_round(black_box(&mut queue), &mut next, entry(queued)))
}

/// Nanoseconds for a look at a queue in which nothing has changed.
fn quiet_ns(queued: u32) -> f64 {
    let mut loaded = Loaded::new(queued, 0);
    median_ns(21, || {
        for _ in 0..ROUNDS {
            black_box(loaded.scheduler.admit(black_box(NOW)));
            black_box(loaded.scheduler.next_due(NOW));
        }
    }) / f64::from(ROUNDS)
}

#[expect(clippy::print_stdout, reason = "the report is the purpose")]
fn report() {
    println!("\n  queued  round (ns)  quiet look (ns)  clone and sort (ns)       ratio");
    let rows = SIZES.map(|queued| {
        let (round, quiet, plain) = (round_ns(queued), quiet_ns(queued), plain_ns(queued));
        println!("{queued:>8} {round:>11.0} {quiet:>16.1} {plain:>20.0} {:>10.0}x", plain / round);
        (usize::try_from(queued).unwrap_or(0), round)
    });
    let [small, _, large] = rows;
    println!("\ngrowth from {} to {} queued: n^{:.2}", small.0, large.0, exponent(small, large));
    let million = memory_of(1_000_000);
    println!("memory of a million queued jobs: {:.0} MB", float(million) / 1e6);
}

/// Bytes that the process grows by with so many queued jobs.
fn memory_of(queued: u32) -> usize {
    let before = resident();
    let loaded = Loaded::new(queued, 0);
    let bytes = resident().saturating_sub(before);
    drop(black_box(loaded));
    bytes
}

/// The resident memory of this process in bytes; 0 where the system does not tell.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.unwrap_or(0) * 1024
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    benchmarks(&mut criterion);
    criterion.final_summary();
    if !is_tried_out() {
        report();
    }
}
