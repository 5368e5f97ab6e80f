//! A row of the report: campaigns of one kind, and what they have in common.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use optim_benches::measure::{share, wilson_upper};
use optim_core::judge::pair::Arm;

use crate::agent::Start;
use crate::campaign::{Ended, Outcome, Setting, run};
use crate::world::World;

/// The campaigns of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) world: World,
    /// Case runs at once.
    pub(crate) capacity: u32,
    /// The seed of the first campaign; the others follow.
    pub(crate) seed: u64,
    pub(crate) campaigns: u64,
    pub(crate) restart_every: Option<Duration>,
    /// Whether a campaign ends with its first false promotion.
    pub(crate) first_only: bool,
    /// Where the stores are.
    pub(crate) directory: &'a Path,
}

/// What became of them, by number.
pub(crate) struct Done(pub(crate) Vec<Ended>);

impl Row<'_> {
    /// Runs the campaigns on all processors.
    pub(crate) fn run(&self) -> Outcome<Done> {
        let next = AtomicU64::new(0);
        let done: Mutex<Vec<(u64, Ended)>> = Mutex::default();
        let work = || -> Outcome<()> {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= self.campaigns {
                    return Ok(());
                }
                let ended = self.campaign(number)?;
                done.lock().map_err(|_| "a worker panicked")?.push((number, ended));
            }
        };
        std::thread::scope(|scope| -> Outcome<()> {
            let threads = available_parallelism().map_or(1, usize::from);
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
        })?;
        let mut done = done.into_inner().map_err(|_| "a worker panicked")?;
        done.sort_by_key(|(number, _)| *number);
        Ok(Done(done.into_iter().map(|(_, ended)| ended).collect()))
    }

    fn campaign(&self, number: u64) -> Outcome<Ended> {
        let directory = tempfile::tempdir_in(self.directory)?;
        let setting = Setting {
            world: self.world,
            seed: self.seed + number,
            capacity: self.capacity,
            restart_every: self.restart_every,
            first_only: self.first_only,
            directory: directory.path(),
        };
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build()?;
        runtime.block_on(Box::pin(run(setting)))
    }
}

impl Done {
    fn sum(&self, of: impl Fn(&Ended) -> u64) -> u64 {
        self.0.iter().map(of).sum()
    }

    /// Campaigns with a false promotion.
    pub(crate) fn any_false(&self) -> u64 {
        self.sum(|ended| u64::from(ended.false_promotions > 0))
    }

    /// The upper end of the 99 % interval for the share of such campaigns.
    pub(crate) fn any_false_at_most(&self) -> f64 {
        wilson_upper(self.any_false(), self.sum(|_| 1))
    }

    /// How each candidate of each campaign ended.
    pub(crate) fn fates(&self) -> Vec<Vec<&'static str>> {
        let fates = |ended: &Ended| {
            ended.experiments.iter().map(|experiment| experiment.state.name()).collect()
        };
        self.0.iter().map(fates).collect()
    }

    /// The two sides of pairs as they were started.
    pub(crate) fn starts(&self) -> Starts {
        let mut starts = Starts::default();
        self.0.iter().for_each(|ended| starts.add(ended));
        starts.gaps.sort_unstable();
        starts
    }

    /// The figures of the row, but for its name.
    pub(crate) fn figures(&self) -> String {
        let (any, campaigns) = (self.any_false(), self.sum(|_| 1));
        let all_false = self.sum(|ended| ended.false_promotions.into());
        let reviews = self.sum(|ended| ended.reviews.into());
        let runs = self.sum(|ended| ended.campaign.ledger.runs);
        format!(
            "{:>9} {:5.1} % <= {:5.1} % {all_false:6} {reviews:8} {:8.0}",
            format!("{any}/{campaigns}"),
            100.0 * share(any, campaigns),
            100.0 * self.any_false_at_most(),
            share(runs, campaigns),
        )
    }
}

/// How pairs were started.
#[derive(Default)]
pub(crate) struct Starts {
    /// Runs of candidates.
    pub(crate) candidates: u64,
    /// Those between whose start and that of their other side nothing else was started.
    pub(crate) adjacent: u64,
    /// Pairs on record.
    pub(crate) pairs: u64,
    /// Of those, the ones that began with the baseline.
    pub(crate) baseline_first: u64,
    /// The times between the sides, sorted.
    gaps: Vec<Duration>,
}

impl Starts {
    fn add(&mut self, ended: &Ended) {
        let trials = ended.experiments.iter().filter_map(|experiment| experiment.trial.as_ref());
        for pair in trials.flat_map(|trial| &trial.pairs) {
            self.pairs += 1;
            self.baseline_first += u64::from(pair.first == Arm::Baseline);
        }
        let mut waiting: BTreeMap<usize, Start> = BTreeMap::new();
        for start in &ended.starts {
            self.candidates += u64::from(start.is_candidate);
            match waiting.remove(&start.case) {
                Some(other) if other.is_candidate != start.is_candidate => {
                    let between = |time: &Start| time.at > other.at && time.at < start.at;
                    let first = ended.starts.partition_point(|time| time.at <= other.at);
                    let next = ended.starts.get(first);
                    self.adjacent += u64::from(!next.is_some_and(between));
                    self.gaps.push(start.at - other.at);
                }
                // Its other side was never started, or is started again.
                _ => drop(waiting.insert(start.case, *start)),
            }
        }
    }

    /// The time between the sides that this share of the pairs stays below.
    pub(crate) fn gap(&self, percent: usize) -> Duration {
        self.gaps.get(self.gaps.len() * percent / 100).copied().unwrap_or_default()
    }
}
