//! What the scheduler has done since the start of the process.

use std::collections::VecDeque;

use optim_core::quantity::Millis;

/// The waits that figures are made of: the last ones.
const WAITS_MAX: usize = 1000;

/// Counts since the start of the process, and what waits now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Jobs that have a slot.
    pub active: usize,
    /// Jobs that wait, whatever for.
    pub waiting: usize,
    /// Admissions, each counted once.
    pub admitted_total: u64,
    /// Admissions that were given back, each counted once.
    pub released_total: u64,
    /// Of those, the ones that had a worker: the others were not wanted any more.
    pub completed_total: u64,
    /// How long the last 1000 admitted jobs waited for their slot, on average.
    pub wait_mean: Millis,
    /// The wait that 95 of 100 of them did not exceed, exactly: the nearest rank.
    pub wait_p95: Millis,
}

/// How long the last admitted jobs waited.
#[derive(Debug, Default)]
pub(super) struct Waits(VecDeque<Millis>);

impl Waits {
    pub(super) fn record(&mut self, wait: Millis) {
        if self.0.len() >= WAITS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(wait);
    }

    pub(super) fn mean(&self) -> Millis {
        let sum: Millis = self.0.iter().copied().sum();
        let count = u64::try_from(self.0.len()).unwrap_or(u64::MAX);
        Millis(sum.0.checked_div(count).unwrap_or(0))
    }

    pub(super) fn p95(&self) -> Millis {
        let mut waits: Vec<_> = self.0.iter().copied().collect();
        waits.sort_unstable();
        let rank = waits.len().saturating_mul(95).div_ceil(100);
        waits.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(millis: impl IntoIterator<Item = u64>) -> Waits {
        let mut waits = Waits::default();
        millis.into_iter().for_each(|wait| waits.record(Millis(wait)));
        waits
    }

    #[test]
    fn the_percentile_is_the_nearest_rank() {
        for (count, p95) in
            [(0, 0), (1, 1), (2, 2), (19, 19), (20, 19), (21, 20), (100, 95), (101, 96)]
        {
            assert_eq!(waits((1..=count).rev()).p95(), Millis(p95), "{count}");
        }
    }

    #[test]
    fn only_the_last_thousand_waits_count() {
        let waits = waits((0..50).map(|_| 1_000_000).chain(1..=1000));
        assert_eq!((waits.mean(), waits.p95()), (Millis(500), Millis(950)));
    }
}
