//! Gives slots to queued runs, and takes them back.
//!
//! [`plan()`] decides; [`Scheduler`] remembers what it decided. What is admitted is held here alone, by
//! admission: a run that is admitted again before its former worker has ended has two of them, and
//! the end of one gives back nothing of the other.

pub mod plan;
pub mod workspace;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use optim_core::id::{CampaignId, RunId};

use self::plan::{Blocked, Entry, Plan, Room, plan};

/// One admission of one run: what is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AdmissionId(u64);

/// A run that may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// To be released when the run's worker has ended, not before.
    pub id: AdmissionId,
    /// The run.
    pub run: RunId,
}

/// Counts since the start of the process, and what waits as of the last look at the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Runs that have a slot.
    pub active: usize,
    /// Admissions, each counted once.
    pub admitted_total: u64,
    /// Admissions that were given back, each counted once.
    pub released_total: u64,
    /// Runs that waited for a slot.
    pub waiting_for_capacity: usize,
    /// Runs that waited for a workspace.
    pub waiting_for_workspace: usize,
}

/// The slots, and who has them.
#[derive(Debug)]
pub struct Scheduler {
    capacity: usize,
    admitted: BTreeMap<AdmissionId, Entry>,
    /// Campaigns with queued runs, the one that was served last at the end.
    turns: Vec<CampaignId>,
    metrics: Metrics,
}

impl Scheduler {
    /// A scheduler with `capacity` slots; at least one.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        let capacity = usize::try_from(capacity.max(1)).unwrap_or(usize::MAX);
        Self { capacity, admitted: BTreeMap::new(), turns: Vec::new(), metrics: Metrics::default() }
    }

    /// Gives the free slots to runs of `queue`, which is in the order of queueing, and takes those
    /// runs out of it.
    pub fn admit(&mut self, queue: &mut Vec<Entry>) -> Vec<Admission> {
        self.line_up(queue);
        let admitted: Vec<_> = self.admitted.values().collect();
        let room = Room { capacity: self.capacity, admitted: &admitted, turns: &self.turns };
        let Plan { start, wait } = plan(queue, room);
        let for_capacity = wait.iter().filter(|(_, why)| *why == Blocked::Capacity).count();
        self.metrics.waiting_for_capacity = for_capacity;
        self.metrics.waiting_for_workspace = wait.len() - for_capacity;
        let started = start.iter().filter_map(|place| queue.get(*place).cloned());
        let admissions = started.map(|entry| self.record(entry)).collect();
        let mut places = 0..;
        queue.retain(|_| places.next().is_none_or(|place| !start.contains(&place)));
        admissions
    }

    /// Campaigns whose queue is empty lose their place in the order of turns, new ones come last.
    fn line_up(&mut self, queue: &[Entry]) {
        let mut queued: BTreeMap<_, _> =
            queue.iter().enumerate().rev().map(|(place, entry)| (&entry.campaign, place)).collect();
        self.turns.retain(|campaign| queued.remove(campaign).is_some());
        let mut new: Vec<_> =
            queued.into_iter().map(|(campaign, place)| (place, campaign)).collect();
        new.sort_unstable();
        self.turns.extend(new.into_iter().map(|(_, campaign)| campaign.clone()));
    }

    fn record(&mut self, entry: Entry) -> Admission {
        self.turns.retain(|campaign| *campaign != entry.campaign);
        self.turns.push(entry.campaign.clone());
        self.metrics.admitted_total = self.metrics.admitted_total.saturating_add(1);
        let admission = Admission { id: AdmissionId(self.metrics.admitted_total), run: entry.run };
        self.admitted.insert(admission.id, entry);
        admission
    }

    /// Takes a slot and its lock back; says whether there was one. A second release is none.
    pub fn release(&mut self, id: AdmissionId) -> bool {
        let released = self.admitted.remove(&id).is_some();
        self.metrics.released_total = self.metrics.released_total.saturating_add(released.into());
        released
    }

    /// Whether an admission of `run` is not released yet.
    #[must_use]
    pub fn holds(&self, run: RunId) -> bool {
        self.admitted.values().any(|entry| entry.run == run)
    }

    /// The counts as they are.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics { active: self.admitted.len(), ..self.metrics }
    }
}
