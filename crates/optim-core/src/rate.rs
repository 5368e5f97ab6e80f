//! Rate limits of providers, kept by spacing requests evenly.
//!
//! The generic cell rate algorithm without a burst: all that is remembered of a provider is when it
//! is free again. Pure: the time is passed in.

use serde::{Deserialize, Serialize};

use crate::quantity::{Millis, Timestamp};

const MICROS_PER_MINUTE: u64 = 60_000_000;

/// Requests a minute that a provider allows; 1..=60 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct RatePerMinute(u32);

/// A number of requests that is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} requests a minute are no rate limit; give 1 to {max}, or leave the limit out", max = RatePerMinute::MAX)]
pub struct RateError(u32);

impl RateError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(self) -> &'static str {
        "invalid_rate"
    }
}

impl RatePerMinute {
    /// One request each millisecond, the finest step of time here.
    pub const MAX: u32 = 60_000;

    /// `requests` a minute.
    ///
    /// # Errors
    /// [`RateError`] when there are none, or more than [`RatePerMinute::MAX`].
    pub fn new(requests: u32) -> Result<Self, RateError> {
        if (1..=Self::MAX).contains(&requests) {
            Ok(Self(requests))
        } else {
            Err(RateError(requests))
        }
    }

    /// How long `requests` keep a provider busy, rounded up.
    #[must_use]
    pub fn span(self, requests: u32) -> Millis {
        Millis(self.micros(requests).div_ceil(1000))
    }

    fn micros(self, requests: u32) -> u64 {
        u64::from(requests).saturating_mul(MICROS_PER_MINUTE).div_ceil(u64::from(self.0))
    }
}

impl TryFrom<u32> for RatePerMinute {
    type Error = RateError;
    fn try_from(requests: u32) -> Result<Self, RateError> {
        Self::new(requests)
    }
}

impl From<RatePerMinute> for u32 {
    fn from(rate: RatePerMinute) -> Self {
        rate.0
    }
}

/// When a provider is free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meter {
    /// In microseconds since the Unix epoch, so that fractions of a millisecond add up.
    free_at: i64,
}

impl Meter {
    /// A provider that is free from `at` on.
    #[must_use]
    pub fn free_from(at: Timestamp) -> Self {
        Self { free_at: at.0.saturating_mul(1000) }
    }

    /// The first millisecond at which it is free.
    #[must_use]
    pub fn free_at(self) -> Timestamp {
        let millis = self.free_at.div_euclid(1000);
        Timestamp(millis.saturating_add(i64::from(self.free_at.rem_euclid(1000) > 0)))
    }

    /// The provider after `requests` more are begun `now`.
    #[must_use]
    pub fn after(self, requests: u32, rate: RatePerMinute, now: Timestamp) -> Self {
        let busy = i64::try_from(rate.micros(requests)).unwrap_or(i64::MAX);
        Self { free_at: self.free_at.max(now.0.saturating_mul(1000)).saturating_add(busy) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(requests: u32) -> RatePerMinute {
        RatePerMinute::new(requests).unwrap()
    }

    #[test]
    fn a_rate_is_one_to_sixty_thousand() {
        for (requests, allowed) in [(0, false), (1, true), (60_000, true), (60_001, false)] {
            assert_eq!(RatePerMinute::new(requests).is_ok(), allowed, "{requests}");
            assert_eq!(
                serde_json::from_str::<RatePerMinute>(&requests.to_string()).is_ok(),
                allowed
            );
        }
        let error = RatePerMinute::new(0).unwrap_err();
        assert_eq!(error.code(), "invalid_rate");
        assert_eq!(
            error.to_string(),
            "0 requests a minute are no rate limit; give 1 to 60000, or leave the limit out"
        );
    }

    #[test]
    fn requests_are_spaced_evenly() {
        let meter = Meter::free_from(Timestamp(5000));
        for (requests, per_minute, now, free_at) in [
            (1, 60, 5000, 6000),
            (3, 60, 5000, 8000),
            // What was not used up is not saved.
            (1, 60, 9000, 10_000),
            // Begun before it was free: it is busy for longer.
            (1, 60, 4000, 6000),
            (1, 7000, 5000, 5009),
        ] {
            let found = meter.after(requests, rate(per_minute), Timestamp(now)).free_at();
            assert_eq!(found, Timestamp(free_at), "{requests} of {per_minute} at {now}");
        }
        assert_eq!(rate(7000).span(1), Millis(9));
    }

    proptest! {
        #[test]
        fn no_minute_has_more_requests_than_the_rate_and_one_run(
            per_minute in 1_u32..5000,
            asked in prop::collection::vec((1_u32..5, 0_u64..3000), 1..200),
        ) {
            let (mut meter, mut now) = (Meter::free_from(Timestamp(0)), Timestamp(0));
            let mut begun: Vec<(Timestamp, u32)> = Vec::new();
            for (requests, pause) in asked {
                now = now.after(Millis(pause)).max(meter.free_at());
                meter = meter.after(requests, rate(per_minute), now);
                begun.push((now, requests));
                let minute = begun.iter().filter(|(at, _)| now.since(*at) < Millis(60_000));
                let sum: u32 = minute.map(|(_, requests)| requests).sum();
                prop_assert!(sum <= per_minute + requests, "{sum} of {per_minute}");
            }
        }
    }
}
