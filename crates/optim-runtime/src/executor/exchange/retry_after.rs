//! For how long a server wants to be left alone.

use std::time::SystemTime;

use optim_core::quantity::Millis;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Beside the standard header, which counts seconds, some providers send one that counts
/// milliseconds.
const RETRY_AFTER_MS: &str = "retry-after-ms";

/// What the headers of a reply ask for; `None` when they ask for nothing that can be read.
///
/// A date is compared with the date of the reply, as the clocks of two machines differ, and with
/// `now` when that is missing.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Millis> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(millis) = text(RETRY_AFTER_MS).and_then(|text| text.parse().ok()) {
        return Some(Millis(millis));
    }
    let asked = text(RETRY_AFTER.as_str())?;
    if asked.bytes().all(|byte| byte.is_ascii_digit()) && !asked.is_empty() {
        // More seconds than can be counted are as good as for ever.
        return Some(Millis(asked.parse().unwrap_or(u64::MAX).saturating_mul(1000)));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let since = text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok());
    let rest = until.duration_since(since.unwrap_or(now)).unwrap_or_default();
    Some(Millis(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn asked(headers: &[(&'static str, &str)]) -> Option<u64> {
        let headers = headers.iter().map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())
        });
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        retry_after(&headers.collect(), now).map(|rest| rest.0)
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_understood() {
        let (one, two) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT");
        for (headers, wanted) in [
            (&[][..], None),
            (&[("retry-after", "2")], Some(2000)),
            (&[("retry-after", " 0 ")], Some(0)),
            (&[("retry-after", "31536000")], Some(31_536_000_000)),
            (&[("retry-after", "99999999999999999999999")], Some(u64::MAX)),
            (&[("retry-after", "2"), ("retry-after-ms", "150")], Some(150)),
            (&[("retry-after", two), ("date", one)], Some(30_000)),
            (&[("retry-after", one), ("date", two)], Some(0)),
            (&[("retry-after", "Thu, 01 Jan 1970 00:00:40 GMT")], Some(30_000)),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "")], None),
        ] {
            assert_eq!(asked(headers), wanted, "{headers:?}");
        }
    }
}
