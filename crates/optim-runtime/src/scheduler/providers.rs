//! When providers may be called: throttles that they asked for, rate limits that were set.

use std::collections::BTreeMap;

use optim_core::id::ProviderId;
use optim_core::quantity::Timestamp;
use optim_core::rate::{Meter, RatePerMinute};

use super::entry::{Blocked, Needs};

/// The providers that are not always open.
#[derive(Debug)]
pub(super) struct Providers {
    rates: BTreeMap<ProviderId, RatePerMinute>,
    meters: BTreeMap<ProviderId, Meter>,
    throttles: BTreeMap<ProviderId, Timestamp>,
    /// Nothing is known of what was begun before; see [`Providers::free_at`].
    began: Timestamp,
}

impl Providers {
    pub(super) fn new(rates: BTreeMap<ProviderId, RatePerMinute>, now: Timestamp) -> Self {
        Self { rates, meters: BTreeMap::new(), throttles: BTreeMap::new(), began: now }
    }

    /// Closes `provider` until then. A throttle that lasts longer stays.
    pub(super) fn throttle(&mut self, provider: ProviderId, until: Timestamp) {
        let end = self.throttles.entry(provider).or_insert(until);
        *end = until.max(*end);
    }

    /// Forgets the throttles that are over.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.throttles.retain(|_, until| *until > now);
    }

    /// Why a job with these needs cannot start `now`: of several reasons the one that lasts longest.
    pub(super) fn closed(&self, needs: &Needs, now: Timestamp) -> Option<Blocked> {
        self.throttled(needs, now).or_else(|| self.limited(needs, now))
    }

    pub(super) fn throttled(&self, needs: &Needs, now: Timestamp) -> Option<Blocked> {
        let throttles = needs.keys().filter_map(|id| Some((*self.throttles.get(id)?, id)));
        let (until, provider) = throttles.filter(|(until, _)| *until > now).max()?;
        Some(Blocked::Throttled { provider: provider.clone(), until })
    }

    fn limited(&self, needs: &Needs, now: Timestamp) -> Option<Blocked> {
        let limits =
            needs.iter().filter_map(|(id, requests)| Some((self.free_at(id, *requests)?, id)));
        let (until, provider) = limits.filter(|(until, _)| *until > now).max()?;
        Some(Blocked::RateLimit { provider: provider.clone(), until })
    }

    /// When `provider` is free for a job that sends so many requests; absent without a limit.
    ///
    /// Meters are not stored, which would cost a write for each start. Instead a process begins as
    /// if it had just started the job that it is asked for first: one that is restarted again and
    /// again keeps the limit all the same.
    fn free_at(&self, provider: &ProviderId, requests: u32) -> Option<Timestamp> {
        let rate = self.rates.get(provider)?;
        let meter = self.meters.get(provider).map(|meter| meter.free_at());
        Some(meter.unwrap_or_else(|| self.began.after(rate.span(requests))))
    }

    /// The limited providers of a job that waits until then, which are kept for it meanwhile: those
    /// that it makes wait no longer than it will use them itself. So a job that needs several is not
    /// passed for ever by those that need one, and costs each provider one turn at most.
    pub(super) fn kept<'a>(
        &'a self,
        needs: &'a Needs,
        until: Timestamp,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a ProviderId> {
        let kept = move |(id, requests): (&'a ProviderId, &u32)| {
            let rate = self.rates.get(id)?;
            (until.since(now) <= rate.span(*requests)).then_some(id)
        };
        needs.iter().filter_map(kept)
    }

    /// A job with these needs starts `now`.
    pub(super) fn begin(&mut self, needs: &Needs, now: Timestamp) {
        for (provider, requests) in needs {
            if let Some(rate) = self.rates.get(provider) {
                let meter = self.meters.entry(provider.clone()).or_insert(Meter::free_from(now));
                *meter = meter.after(*requests, *rate, now);
            }
        }
    }
}
