//! The rules of the scheduler in their plainest form: for each start, everything that waits is looked
//! at and sorted again.

use std::collections::BTreeMap;

use optim_core::id::ProviderId;
use optim_core::quantity::Timestamp;
use optim_core::rate::{Meter, RatePerMinute};

use super::PRODUCTION_IN_A_ROW_MAX;
use super::entry::{Blocked, Class, Entry, Job, Needs, Party};

/// A scheduler that forgets nothing and orders nothing.
pub(super) struct Plain {
    pub(super) capacity: usize,
    pub(super) rates: BTreeMap<ProviderId, RatePerMinute>,
    pub(super) began: Timestamp,
    /// What waits, in the order of queueing.
    pub(super) queue: Vec<Entry>,
    pub(super) admitted: Vec<Entry>,
    throttles: BTreeMap<ProviderId, Timestamp>,
    meters: BTreeMap<ProviderId, Meter>,
    /// Who has jobs waiting; the one that was served last at the end.
    turns: Vec<(Class, Party)>,
    production_in_a_row: u32,
}

impl Plain {
    pub(super) fn new(
        capacity: usize,
        rates: BTreeMap<ProviderId, RatePerMinute>,
        began: Timestamp,
    ) -> Self {
        let (queue, admitted, turns) = (Vec::new(), Vec::new(), Vec::new());
        let (throttles, meters) = (BTreeMap::new(), BTreeMap::new());
        let production_in_a_row = 0;
        Self {
            capacity,
            rates,
            began,
            queue,
            admitted,
            throttles,
            meters,
            turns,
            production_in_a_row,
        }
    }

    pub(super) fn enqueue(&mut self, entry: Entry) {
        if self.queue.iter().any(|waiting| waiting.job == entry.job) {
            return;
        }
        let party = (entry.class, entry.party.clone());
        if !self.turns.contains(&party) {
            self.turns.push(party);
        }
        self.queue.push(entry);
    }

    pub(super) fn withdraw(&mut self, job: Job) {
        self.queue.retain(|entry| entry.job != job);
        self.line_up();
    }

    pub(super) fn release(&mut self, job: Job) {
        self.admitted.retain(|entry| entry.job != job);
    }

    pub(super) fn throttle(&mut self, provider: &ProviderId, until: Timestamp) {
        let end = self.throttles.entry(provider.clone()).or_insert(until);
        *end = until.max(*end);
    }

    pub(super) fn admit(&mut self, now: Timestamp) -> Vec<Job> {
        let mut started = Vec::new();
        while self.admitted.len() < self.capacity {
            let reasons = self.reasons(now);
            let free = reasons.iter().filter(|(_, why)| *why == Blocked::Capacity);
            let Some(place) = free.map(|(place, _)| *place).next() else {
                break;
            };
            started.push(self.queue[place].job);
            self.start(place, now);
        }
        started
    }

    fn start(&mut self, place: usize, now: Timestamp) {
        let entry = self.queue.remove(place);
        self.production_in_a_row = match entry.class {
            Class::Production => self.production_in_a_row + 1,
            Class::Evaluation => 0,
        };
        let party = (entry.class, entry.party.clone());
        self.turns.retain(|turn| *turn != party);
        self.turns.push(party);
        for (provider, requests) in entry.needs.as_ref() {
            if let Some(rate) = self.rates.get(provider) {
                let meter = self.meters.entry(provider.clone()).or_insert(Meter::free_from(now));
                *meter = meter.after(*requests, *rate, now);
            }
        }
        self.admitted.push(entry);
        self.line_up();
    }

    fn line_up(&mut self) {
        let queue = &self.queue;
        self.turns.retain(|(class, party)| {
            queue.iter().any(|entry| (entry.class, &entry.party) == (*class, party))
        });
    }

    /// Why each entry waits, those with the best right to a slot first: who waits for nothing but
    /// capacity can start if there is a slot.
    pub(super) fn reasons(&self, now: Timestamp) -> Vec<(usize, Blocked)> {
        let mut reasons: Vec<_> = (0..self.queue.len())
            .filter_map(|place| Some((place, self.aside(place, now)?)))
            .collect();
        let aside: Vec<_> = reasons.iter().map(|(place, _)| *place).collect();
        let mut in_line: Vec<_> =
            (0..self.queue.len()).filter(|place| !aside.contains(place)).collect();
        in_line.sort_by_key(|place| self.right(*place));
        // The reason of the first of those that are of one class and need the same is that of all.
        let mut lines: BTreeMap<(Class, &Needs), Option<Blocked>> = BTreeMap::new();
        let mut kept: BTreeMap<&ProviderId, Timestamp> = BTreeMap::new();
        for place in in_line {
            let Entry { class, needs, .. } = &self.queue[place];
            let line = lines.entry((*class, needs)).or_insert_with(|| {
                let own = self.throttled(needs, now).or_else(|| self.limited(needs, now));
                if let Some(Blocked::RateLimit { until, .. }) = own {
                    for (provider, requests) in needs.as_ref() {
                        let rate = self.rates.get(provider);
                        if rate.is_some_and(|rate| until.since(now) <= rate.span(*requests)) {
                            kept.entry(provider).or_insert(until);
                        }
                    }
                }
                let kept = needs
                    .keys()
                    .find(|provider| kept.contains_key(provider))
                    .map(|id| Blocked::RateLimit { provider: id.clone(), until: kept[id] });
                own.or(kept)
            });
            reasons.push((place, line.clone().unwrap_or(Blocked::Capacity)));
        }
        reasons
    }

    /// The lower, the better.
    fn right(&self, place: usize) -> (bool, usize, usize) {
        let Entry { class, party, .. } = &self.queue[place];
        let first = if self.production_in_a_row < PRODUCTION_IN_A_ROW_MAX {
            Class::Production
        } else {
            Class::Evaluation
        };
        let turn = self.turns.iter().position(|turn| (turn.0, &turn.1) == (*class, party)).unwrap();
        (*class != first, turn, place)
    }

    /// Why an entry is not in line.
    fn aside(&self, place: usize, now: Timestamp) -> Option<Blocked> {
        self.absent(place, now).or_else(|| {
            let entry = &self.queue[place];
            let path = entry.workspace.as_ref()?;
            let conflicts = |other: &&Entry| {
                other.workspace.as_ref().is_some_and(|other| other.conflicts_with(path))
            };
            let holder = self.admitted.iter().filter(conflicts).min_by_key(|held| &held.workspace);
            // All that contain the folder come before those in it.
            let rank = |place: usize| (self.queue[place].class, place);
            let waiters = (0..self.queue.len())
                .filter(|other| self.absent(*other, now).is_none() && rank(*other) < rank(place))
                .filter(|other| conflicts(&&self.queue[*other]));
            let waiter = waiters.min_by_key(|other| rank(*other)).map(|other| &self.queue[other]);
            Some(Blocked::Workspace { holder: holder.or(waiter)?.job })
        })
    }

    /// Why an entry does not even wait for its workspace.
    fn absent(&self, place: usize, now: Timestamp) -> Option<Blocked> {
        let entry = &self.queue[place];
        let throttled = self.throttled(&entry.needs, now);
        if let Some(until) = entry.not_before.filter(|time| *time > now) {
            return Some(throttled.unwrap_or(Blocked::Delayed { until }));
        }
        if self.admitted.iter().any(|admitted| admitted.job == entry.job) {
            return Some(Blocked::Worker);
        }
        throttled.filter(|_| entry.workspace.is_some())
    }

    fn throttled(&self, needs: &Needs, now: Timestamp) -> Option<Blocked> {
        let ends = needs.keys().filter_map(|id| Some((*self.throttles.get(id)?, id.clone())));
        let (until, provider) = ends.filter(|(until, _)| *until > now).max()?;
        Some(Blocked::Throttled { provider, until })
    }

    fn limited(&self, needs: &Needs, now: Timestamp) -> Option<Blocked> {
        let ends = needs.iter().filter_map(|(id, requests)| {
            let rate = self.rates.get(id)?;
            let free = self.meters.get(id).map(|meter| meter.free_at());
            Some((free.unwrap_or(self.began.after(rate.span(*requests))), id.clone()))
        });
        let (until, provider) = ends.filter(|(until, _)| *until > now).max()?;
        Some(Blocked::RateLimit { provider, until })
    }
}
