//! Providers that asked to be left alone: for how long that is kept. Pure.

use serde::{Deserialize, Serialize};

use crate::id::{ProviderId, RunId, WorkflowRunId};
use crate::node_io::RETRY_AFTER_MAX;
use crate::quantity::{Millis, Timestamp};
use crate::run::Throttled;

/// A provider that is left alone for a while. Every throttle ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// The provider.
    pub provider: ProviderId,
    /// When it asked.
    pub since: Timestamp,
    /// When it may be called again; at most [`RETRY_AFTER_MAX`] after `since`.
    pub until: Timestamp,
    /// The run that it answered with its wish.
    pub run: AnsweredRun,
}

/// A run of either kind; ids of the one kind do not read as the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnsweredRun {
    /// A case run.
    Case(RunId),
    /// A workflow run.
    Workflow(WorkflowRunId),
}

impl Throttle {
    /// The throttle that follows from the report of `run` at `now`, whatever was asked for.
    #[must_use]
    pub fn asked(throttled: &Throttled, run: AnsweredRun, now: Timestamp) -> Self {
        let rest = throttled.retry_after.min(RETRY_AFTER_MAX);
        Self { provider: throttled.provider.clone(), since: now, until: now.after(rest), run }
    }

    /// How much of it is left at `now`. A wall clock that was put back makes it no longer than it was
    /// from the start, nor than any throttle may be.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Millis {
        self.until.since(now).min(self.until.since(self.since)).min(RETRY_AFTER_MAX)
    }

    /// Of two wishes of one provider the one that lasts longer.
    #[must_use]
    pub fn longer(self, other: Self) -> Self {
        if other.until > self.until { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000);
    const HOUR: u64 = 3_600_000;

    fn asked(retry_after: u64) -> Throttle {
        let provider = ProviderId::new("p").unwrap();
        let throttled = Throttled { provider, retry_after: Millis(retry_after) };
        Throttle::asked(&throttled, AnsweredRun::Case(RunId::derive(&[])), NOW)
    }

    #[test]
    fn a_wish_is_kept_for_an_hour_at_most_and_always_ends() {
        for (wish, kept) in
            [(0, 0), (1500, 1500), (HOUR, HOUR), (365 * 24 * HOUR, HOUR), (u64::MAX, HOUR)]
        {
            let throttle = asked(wish);
            assert_eq!(throttle.left(NOW), Millis(kept), "{wish}");
            assert_eq!(throttle.left(throttle.until), Millis(0), "{wish}");
        }
    }

    #[test]
    fn a_clock_that_was_put_back_makes_no_throttle_longer() {
        assert_eq!(asked(5000).left(Timestamp(0)), Millis(5000));
        let forged = Throttle { until: Timestamp(i64::MAX), ..asked(0) };
        assert_eq!(
            forged.left(NOW),
            Millis(HOUR),
            "a record from elsewhere does not last for ever"
        );
    }

    #[test]
    fn the_run_that_was_answered_reads_back_as_what_it_was() {
        let run = WorkflowRunId::derive(&[]);
        for run in [AnsweredRun::Case(RunId::derive(&[])), AnsweredRun::Workflow(run)] {
            let throttle = Throttle { run, ..asked(1) };
            let json = serde_json::to_string(&throttle).unwrap();
            assert_eq!(serde_json::from_str::<Throttle>(&json).unwrap(), throttle);
        }
    }

    #[test]
    fn of_two_wishes_the_longer_one_holds() {
        for (one, other) in [(asked(5), asked(7)), (asked(7), asked(5))] {
            assert_eq!(one.longer(other).left(NOW), Millis(7));
        }
    }
}
