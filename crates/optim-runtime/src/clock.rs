//! The wall clock as a port.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use optim_core::quantity::{Millis, Timestamp};
use tokio::time::Instant;

/// The longest wait at a stretch.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Tells the time. For the record only: durations are measured with tokio's clock.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let millis =
            |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => millis(after),
            Err(before) => -millis(before.duration()),
        })
    }
}

/// Time that never jumps: the wall clock as it once was, moved on by tokio's clock. For durations that
/// are told as points in time.
#[derive(Debug, Clone, Copy)]
pub struct Steady {
    wall: Timestamp,
    since: Instant,
}

impl Steady {
    /// Begins with the time that `clock` tells now.
    #[must_use]
    pub fn starting_at(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), since: Instant::now() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.wall.after(Millis(u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)))
    }

    /// Waits until it is `time`; for ever when there is none.
    pub async fn reached(&self, time: Option<Timestamp>) {
        let Some(time) = time else {
            return std::future::pending().await;
        };
        // A far future is cut short: who waits looks again then.
        let wait = Duration::from_millis(time.since(self.now()).0);
        tokio::time::sleep(wait.min(WAIT_MAX)).await;
    }
}

impl Clock for Steady {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }
}

/// A clock that a test moves.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Millis) {
        let next = self.now().after(by);
        self.0.store(next.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
