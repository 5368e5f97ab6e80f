//! Gives slots to jobs that wait, and takes them back.
//!
//! A value: no I/O, no clock, no task. The time is passed in; it must not jump, so the caller measures
//! it with a steady clock. Whatever changes costs the logarithm of what waits.
//!
//! The rules, in their plainest form, are `specification.rs`, which tests compare with this:
//!
//! - A job can start when its time has come, its workspace is free, every provider that it needs is
//!   open, and a slot is free. One that cannot holds back nobody but those that want its workspace.
//! - Production goes before evaluation, but of [`PRODUCTION_IN_A_ROW_MAX`] + 1 starts one is an
//!   evaluation's, if one can start: production alone may fill every slot for ever, and a campaign
//!   must end.
//! - Within a class the parties take turns, one job each, and each keeps the order of its own.
//! - A workspace goes to whoever waits longest for it: age decides there and not the turn, as a turn is
//!   lost whenever another job of the party starts. Who waits for a throttled provider, or for its
//!   time, waits for no workspace meanwhile.
//! - A slot is given back by admission, never by job, once the worker has ended. A job that is queued
//!   again before that waits for its former worker.

pub mod entry;
mod folders;
mod lines;
pub mod metrics;
mod providers;
#[cfg(test)]
mod specification;
pub mod workspace;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use optim_core::id::ProviderId;
use optim_core::quantity::Timestamp;
use optim_core::rate::RatePerMinute;

use self::entry::{Blocked, Class, Entry, Job};
use self::folders::{Changes, Folders, Obstacle};
use self::lines::{Head, LineKey, Lines, PartyNo};
use self::metrics::{Metrics, Waits};
use self::providers::Providers;
use self::workspace::CanonicalPath;

/// Starts of production in a row, while evaluation waits.
pub const PRODUCTION_IN_A_ROW_MAX: u32 = 7;

/// One admission of one job: what is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AdmissionId(u64);

/// A job that may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// To be released when the job's worker has ended, not before.
    pub id: AdmissionId,
    /// The job.
    pub job: Job,
}

/// How an admission ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Its worker has ended.
    Worked,
    /// It never had a worker: the job was not wanted any more.
    Unused,
}

/// Numbers jobs in the order in which they were enqueued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Age(u64);

/// Jobs that wait for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Why.
    pub why: Blocked,
    /// How many.
    pub jobs: usize,
    /// Since when the first of them has waited.
    pub since: Timestamp,
}

/// The slots, and who has or wants one.
#[derive(Debug)]
pub struct Scheduler {
    capacity: usize,
    providers: Providers,
    lines: Lines,
    folders: Folders,
    waiting: HashMap<Age, Waiter>,
    ages: HashMap<Job, Age>,
    /// Those whose time has not come, by that time.
    later: BTreeSet<(Timestamp, Age)>,
    admitted: BTreeMap<AdmissionId, Holder>,
    at_work: HashMap<Job, AdmissionId>,
    enqueued_total: u64,
    production_in_a_row: u32,
    metrics: Metrics,
    waits: Waits,
}

/// A job that waits.
#[derive(Debug)]
struct Waiter {
    job: Job,
    party: PartyNo,
    line: LineKey,
    workspace: Option<CanonicalPath>,
    since: Timestamp,
    place: Place,
}

/// Where a job waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nowhere yet.
    Door,
    /// In line: for a slot and its providers.
    Line,
    /// For its workspace.
    Folder,
    /// For a time.
    Later(Timestamp),
    /// For its former worker.
    Worker,
}

/// A job that has a slot.
#[derive(Debug)]
struct Holder {
    job: Job,
    workspace: Option<CanonicalPath>,
}

impl Scheduler {
    /// A scheduler with `capacity` slots, at least one, that keeps `rates`.
    #[must_use]
    pub fn new(capacity: u32, rates: BTreeMap<ProviderId, RatePerMinute>, now: Timestamp) -> Self {
        Self {
            capacity: usize::try_from(capacity.max(1)).unwrap_or(usize::MAX),
            providers: Providers::new(rates, now),
            lines: Lines::default(),
            folders: Folders::default(),
            waiting: HashMap::new(),
            ages: HashMap::new(),
            later: BTreeSet::new(),
            admitted: BTreeMap::new(),
            at_work: HashMap::new(),
            enqueued_total: 0,
            production_in_a_row: 0,
            metrics: Metrics::default(),
            waits: Waits::default(),
        }
    }

    /// Takes a job into the queue; says whether it was new there. One that waits already stays as it
    /// is.
    pub fn enqueue(&mut self, entry: Entry, now: Timestamp) -> bool {
        let Entry { job, party, class, workspace, needs, not_before } = entry;
        if self.ages.contains_key(&job) {
            return false;
        }
        self.enqueued_total = self.enqueued_total.saturating_add(1);
        let age = Age(self.enqueued_total);
        let party = self.lines.join(class, party);
        let (line, place) = ((class, needs), Place::Door);
        self.ages.insert(job, age);
        self.waiting.insert(age, Waiter { job, party, line, workspace, since: now, place });
        match not_before.filter(|time| *time > now) {
            Some(time) => self.postpone(age, time),
            None => self.settle(age, now),
        }
        true
    }

    /// Takes a job out of the queue; says whether it was there. One that has a slot keeps it.
    pub fn withdraw(&mut self, job: Job) -> bool {
        let Some(age) = self.ages.get(&job).copied() else {
            return false;
        };
        self.step_out(age);
        self.forget(age);
        true
    }

    /// Gives the free slots to those who can start `now`.
    pub fn admit(&mut self, now: Timestamp) -> Vec<Admission> {
        self.providers.expire(now);
        while let Some((time, age)) = self.later.first().copied()
            && time <= now
        {
            self.later.remove(&(time, age));
            self.settle(age, now);
        }
        let mut admissions = Vec::new();
        while self.admitted.len() < self.capacity
            && let Some(head) = self.next(now)
            && let Some(admission) = self.start(&head, now)
        {
            admissions.push(admission);
        }
        admissions
    }

    /// Takes a slot and its lock back; says whether there was one. A second release is none.
    pub fn release(&mut self, id: AdmissionId, how: Release, now: Timestamp) -> bool {
        let Some(Holder { job, workspace }) = self.admitted.remove(&id) else {
            return false;
        };
        self.at_work.remove(&job);
        self.metrics.released_total = self.metrics.released_total.saturating_add(1);
        if how == Release::Worked {
            self.metrics.completed_total = self.metrics.completed_total.saturating_add(1);
        }
        if let Some(path) = workspace {
            let changes = self.folders.release(&path);
            self.apply(changes);
        }
        if let Some(age) = self.ages.get(&job).copied() {
            self.settle(age, now);
        }
        true
    }

    /// Leaves `provider` alone until then, or longer if it asked for that before.
    pub fn throttle(&mut self, provider: &ProviderId, until: Timestamp, now: Timestamp) {
        self.providers.throttle(provider.clone(), until);
        let waiting = self.folders.waiters().filter_map(|age| Some((age, self.waiting.get(&age)?)));
        let ages: Vec<_> = waiting
            .filter(|(_, waiter)| waiter.line.1.contains_key(provider))
            .map(|(age, _)| age)
            .collect();
        for age in ages {
            self.step_out(age);
            self.settle(age, now);
        }
    }

    /// When somebody can start although nothing happens; absent when something must happen first.
    #[must_use]
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.admitted.len() >= self.capacity {
            return None;
        }
        let later = self.later.first().map(|(time, _)| *time);
        let lines = self.in_order(now).into_iter();
        lines.filter_map(|(_, why)| why?.until()).chain(later).min()
    }

    /// Whether an admission of `job` is not released yet.
    #[must_use]
    pub fn holds(&self, job: Job) -> bool {
        self.at_work.contains_key(&job)
    }

    /// Why `job` waits, and since when; absent when it does not.
    #[must_use]
    pub fn why(&self, job: Job, now: Timestamp) -> Option<(Blocked, Timestamp)> {
        let age = self.ages.get(&job)?;
        let waiter = self.waiting.get(age)?;
        Some((self.reason((*age, waiter), &self.line_reasons(now), now), waiter.since))
    }

    /// What waits, by reason. Looks at everything that waits.
    #[must_use]
    pub fn waiting(&self, now: Timestamp) -> Vec<Waiting> {
        let lines = self.line_reasons(now);
        let mut reasons: BTreeMap<Blocked, (usize, Timestamp)> = BTreeMap::new();
        for (age, waiter) in &self.waiting {
            let why = self.reason((*age, waiter), &lines, now);
            let (jobs, since) = reasons.entry(why).or_insert((0, waiter.since));
            (*jobs, *since) = (jobs.saturating_add(1), waiter.since.min(*since));
        }
        reasons.into_iter().map(|(why, (jobs, since))| Waiting { why, jobs, since }).collect()
    }

    /// The counts as they are.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics {
            active: self.admitted.len(),
            waiting: self.waiting.len(),
            wait_mean: self.waits.mean(),
            wait_p95: self.waits.p95(),
            ..self.metrics
        }
    }

    /// Lets a job that is nowhere wait where it has to.
    fn settle(&mut self, age: Age, now: Timestamp) {
        let Some(Waiter { job, line, workspace, .. }) = self.waiting.get(&age) else {
            return;
        };
        if self.at_work.contains_key(job) {
            return self.put(age, Place::Worker);
        }
        let Some(path) = workspace else {
            return self.put(age, Place::Line);
        };
        if let Some(until) = self.providers.throttled(&line.1, now).and_then(|why| why.until()) {
            return self.postpone(age, until);
        }
        let (path, rank) = (path.clone(), (line.0, age));
        self.put(age, Place::Folder);
        let changes = self.folders.want(&path, rank);
        self.apply(changes);
    }

    fn postpone(&mut self, age: Age, time: Timestamp) {
        self.later.insert((time, age));
        self.put(age, Place::Later(time));
    }

    /// Moves a job between its line and any other place.
    fn put(&mut self, age: Age, place: Place) {
        let Some(waiter) = self.waiting.get_mut(&age) else {
            return;
        };
        let before = std::mem::replace(&mut waiter.place, place);
        match (before == Place::Line, place == Place::Line) {
            (false, true) => self.lines.insert(waiter.party, &waiter.line, age),
            (true, false) => self.lines.remove(waiter.party, &waiter.line, age),
            (true, true) | (false, false) => {}
        }
    }

    fn apply(&mut self, changes: Changes) {
        for (age, free) in changes {
            self.put(age, if free { Place::Line } else { Place::Folder });
        }
    }

    /// Takes a job from where it waits.
    fn step_out(&mut self, age: Age) {
        let Some(Waiter { place, line, workspace, .. }) = self.waiting.get(&age) else {
            return;
        };
        match (*place, workspace) {
            (Place::Later(time), _) => drop(self.later.remove(&(time, age))),
            (Place::Line | Place::Folder, Some(path)) => {
                let changes = self.folders.leave(&path.clone(), (line.0, age));
                self.apply(changes);
            }
            (Place::Line | Place::Folder | Place::Door | Place::Worker, _) => {}
        }
        self.put(age, Place::Door);
    }

    /// Strikes a job that is nowhere off the list.
    fn forget(&mut self, age: Age) -> Option<Waiter> {
        let waiter = self.waiting.remove(&age)?;
        self.ages.remove(&waiter.job);
        self.lines.leave(waiter.party);
        Some(waiter)
    }

    /// The job that starts next.
    fn next(&self, now: Timestamp) -> Option<Head> {
        let mut lines = self.in_order(now).into_iter();
        lines.find(|(_, why)| why.is_none()).map(|(head, _)| head)
    }

    /// The first job of each line, the one with the best right to a slot first, and why it cannot
    /// start though a slot be free.
    fn in_order(&self, now: Timestamp) -> Vec<(Head, Option<Blocked>)> {
        let first = if self.production_in_a_row < PRODUCTION_IN_A_ROW_MAX {
            Class::Production
        } else {
            Class::Evaluation
        };
        let mut heads: Vec<_> = self.lines.heads().collect();
        heads.sort_unstable_by_key(|head| (head.line.0 != first, head.turn, head.age));
        let mut kept: BTreeMap<ProviderId, Timestamp> = BTreeMap::new();
        let judged = heads.into_iter().map(|head| {
            let needs = &head.line.1;
            let why = self.providers.closed(needs, now);
            if let Some(Blocked::RateLimit { until, .. }) = why {
                for id in self.providers.kept(needs, until, now) {
                    kept.entry(id.clone()).or_insert(until);
                }
            }
            let kept = || {
                let (provider, until) = needs.keys().find_map(|id| kept.get_key_value(id))?;
                Some(Blocked::RateLimit { provider: provider.clone(), until: *until })
            };
            let why = why.or_else(kept);
            (head, why)
        });
        judged.collect()
    }

    fn start(&mut self, head: &Head, now: Timestamp) -> Option<Admission> {
        self.put(head.age, Place::Door);
        let waiter = self.forget(head.age)?;
        let (class, needs) = &waiter.line;
        self.lines.served(waiter.party);
        self.providers.begin(needs, now);
        self.production_in_a_row = match class {
            Class::Production => self.production_in_a_row.saturating_add(1),
            Class::Evaluation => 0,
        };
        self.waits.record(now.since(waiter.since));
        self.metrics.admitted_total = self.metrics.admitted_total.saturating_add(1);
        let admission = Admission { id: AdmissionId(self.metrics.admitted_total), job: waiter.job };
        if let Some(path) = &waiter.workspace {
            let changes = self.folders.hold(path, (*class, head.age), waiter.job);
            self.apply(changes);
        }
        let holder = Holder { job: waiter.job, workspace: waiter.workspace };
        self.admitted.insert(admission.id, holder);
        self.at_work.insert(admission.job, admission.id);
        Some(admission)
    }

    fn line_reasons(&self, now: Timestamp) -> BTreeMap<LineKey, Blocked> {
        let lines = self.in_order(now).into_iter();
        lines.filter_map(|(head, why)| Some((head.line, why?))).collect()
    }

    fn reason(
        &self,
        (age, waiter): (Age, &Waiter),
        lines: &BTreeMap<LineKey, Blocked>,
        now: Timestamp,
    ) -> Blocked {
        match (waiter.place, &waiter.workspace) {
            (Place::Later(until), _) => {
                let throttled = self.providers.throttled(&waiter.line.1, now);
                throttled.unwrap_or(Blocked::Delayed { until })
            }
            (Place::Worker, _) => Blocked::Worker,
            (Place::Folder, Some(path)) => self.holder(path, (waiter.line.0, age)),
            (Place::Line | Place::Folder | Place::Door, _) => {
                lines.get(&waiter.line).cloned().unwrap_or(Blocked::Capacity)
            }
        }
    }

    fn holder(&self, path: &CanonicalPath, rank: folders::Rank) -> Blocked {
        let holder = match self.folders.obstacle(path, rank) {
            Some(Obstacle::Holder(holder)) => Some(holder),
            Some(Obstacle::Waiter(age)) => self.waiting.get(&age).map(|waiter| waiter.job),
            None => None,
        };
        holder.map_or(Blocked::Capacity, |holder| Blocked::Workspace { holder })
    }
}
