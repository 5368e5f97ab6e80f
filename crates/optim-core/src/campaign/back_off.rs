//! The wait after an evaluation without a result, so that a failing outside is not paid again at once.

use serde::{Deserialize, Serialize};

use crate::backoff;
use crate::quantity::Timestamp;

/// A campaign in back-off: no evaluation is queued and no candidate is looked for before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackOff {
    /// When the evaluation ended that gave no result.
    pub since: Timestamp,
    /// When the campaign goes on.
    pub until: Timestamp,
}

impl BackOff {
    /// The back-off from `now` on after so many `failures` in a row: as long as
    /// [`backoff::delay`] says, so half a minute at most.
    #[must_use]
    pub fn begin(failures: u32, seed: u64, now: Timestamp) -> Self {
        Self { since: now, until: now.after(backoff::delay(failures, seed)) }
    }

    /// Whether it is over at `now`. A wall clock that was put back before its beginning ends it.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until || now < self.since
    }
}
