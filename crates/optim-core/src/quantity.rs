//! Quantities with their units: time, tokens, money, exact fractions.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The point `delay` after this one.
    #[must_use]
    pub fn after(self, delay: Millis) -> Self {
        Self(self.0.saturating_add(i64::try_from(delay.0).unwrap_or(i64::MAX)))
    }

    /// The point `age` before this one.
    #[must_use]
    pub fn before(self, age: Millis) -> Self {
        Self(self.0.saturating_sub(i64::try_from(age.0).unwrap_or(i64::MAX)))
    }
}

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The sum; the largest value when it does not fit, so that a limit still trips.
            #[must_use]
            pub fn plus(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference, or zero.
            #[must_use]
            pub fn minus(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }

        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
                amounts.fold(Self(0), Self::plus)
            }
        }
    };
}

amount!(
    /// A duration in milliseconds.
    Millis
);
amount!(
    /// A number of model tokens.
    Tokens
);
amount!(
    /// Money in millionths of a US dollar.
    MicroUsd
);

impl Millis {
    /// `minutes` as milliseconds.
    #[must_use]
    pub fn from_minutes(minutes: u32) -> Self {
        Self(u64::from(minutes) * 60_000)
    }

    /// `days` of 24 hours as milliseconds.
    #[must_use]
    pub fn from_days(days: u32) -> Self {
        Self(u64::from(days) * 24 * 60 * 60 * 1000)
    }
}

impl MicroUsd {
    /// Dollars as written, to the nearest millionth; `None` outside 0..=1e9.
    #[must_use]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked"
    )]
    pub fn from_usd(usd: f64) -> Option<Self> {
        (0.0..=1e9).contains(&usd).then(|| Self((usd * 1e6).round() as u64))
    }
}

/// A text that is no amount of dollars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no amount of dollars; write digits and up to six decimals, for instance 2.50")]
pub struct NotDollars(String);

impl FromStr for MicroUsd {
    type Err = NotDollars;

    fn from_str(text: &str) -> Result<Self, NotDollars> {
        millionths(text).map(Self).ok_or_else(|| NotDollars(text.chars().take(40).collect()))
    }
}

/// The millionths of a number with up to six decimals; `None` for another text.
fn millionths(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(1_000_000)?;
    whole.checked_add(format!("{decimals:0<6}").parse().ok()?)
}

impl fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// An exact fraction of counts. Compared by cross-multiplication, never as a float.
///
/// A denominator of zero means "nothing was expected"; such a fraction equals 0.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Fraction {
    /// How many.
    pub num: u64,
    /// Of how many.
    pub den: u64,
}

impl Fraction {
    /// `num` of `den`.
    #[must_use]
    pub const fn new(num: u64, den: u64) -> Self {
        Self { num, den }
    }

    /// The counts of both together: the share in the union of what they were counted on.
    #[must_use]
    pub const fn pooled(self, other: Self) -> Self {
        Self::new(self.num + other.num, self.den + other.den)
    }

    fn parts(self) -> (u128, u128) {
        if self.den == 0 { (0, 1) } else { (self.num.into(), self.den.into()) }
    }

    /// Whether `self` and `other` lie at most `limit` apart.
    #[must_use]
    pub fn is_within(self, other: Self, limit: PerMillion) -> bool {
        // |a/b - c/d| <= l/1e6  <=>  |ad - cb| * 1e6 <= l * bd; counts are far below 2^48, so 128 bits hold it.
        let ((a, b), (c, d)) = (self.parts(), other.parts());
        let distance = (a.saturating_mul(d)).abs_diff(c.saturating_mul(b));
        distance.saturating_mul(1_000_000)
            <= u128::from(limit.0).saturating_mul(b.saturating_mul(d))
    }

    /// Whether `self` is `limit` or less.
    #[must_use]
    pub fn is_at_most(self, limit: PerMillion) -> bool {
        self <= Self::new(limit.0.into(), 1_000_000)
    }

    /// Percent with one decimal, rounded half up, for people.
    #[must_use]
    pub fn percent(self) -> String {
        let (num, den) = self.parts();
        let tenths = (num.saturating_mul(2000) / den).div_ceil(2);
        format!("{}.{}%", tenths / 10, tenths % 10)
    }

    /// The nearest float, for the wire and for people; never for a decision.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "a display value; the counts are far below 2^53")]
    pub fn to_f64(self) -> f64 {
        let (num, den) = self.parts();
        num as f64 / den as f64
    }
}

impl PartialEq for Fraction {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Fraction {}
impl PartialOrd for Fraction {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Fraction {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((a, b), (c, d)) = (self.parts(), other.parts());
        a.saturating_mul(d).cmp(&c.saturating_mul(b))
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

/// A decimal share written in a policy file, held exactly as millionths: `0.25` is 250 000.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PerMillion(pub u32);

/// A text that is no share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no share; write a number from 0 to 1 with up to six decimals, for instance 0.18")]
pub struct NotShare(String);

impl FromStr for PerMillion {
    type Err = NotShare;

    /// A share from 0 to 1.
    fn from_str(text: &str) -> Result<Self, NotShare> {
        let share = millionths(text).filter(|share| *share <= 1_000_000);
        let share = share.and_then(|share| u32::try_from(share).ok());
        share.map(Self).ok_or_else(|| NotShare(text.chars().take(40).collect()))
    }
}

impl PerMillion {
    /// As a share of a million.
    #[must_use]
    pub fn fraction(self) -> Fraction {
        Fraction::new(self.0.into(), 1_000_000)
    }

    /// In percentage points, for people: `7.5`.
    #[must_use]
    pub fn points(self) -> String {
        let tenths = (u64::from(self.0) + 500) / 1000;
        match tenths % 10 {
            0 => format!("{}", tenths / 10),
            tenth => format!("{}.{tenth}", tenths / 10),
        }
    }

    /// The nearest float.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// `self` of `amount`, rounded up.
    #[must_use]
    pub fn of_ceil(self, amount: u64) -> u64 {
        let product = u128::from(self.0) * u128::from(amount);
        u64::try_from(product.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// `self` of `amount`, rounded down.
    #[must_use]
    pub fn of_floor(self, amount: u64) -> u64 {
        match u64::from(self.0).checked_mul(amount) {
            Some(product) => product / 1_000_000,
            None => {
                let product = u128::from(self.0) * u128::from(amount);
                u64::try_from(product / 1_000_000).unwrap_or(u64::MAX)
            }
        }
    }
}

impl fmt::Display for PerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.0 % 1_000_000);
        let decimals = decimals.trim_end_matches('0');
        write!(f, "{}.{}", self.0 / 1_000_000, if decimals.is_empty() { "0" } else { decimals })
    }
}

/// Whether a count is left out where it is written down.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
pub(crate) fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_compare_exactly() {
        let f = Fraction::new;
        assert_eq!(f(1, 2), f(50, 100));
        assert!(f(1, 3) < f(34, 100));
        assert_eq!(f(0, 0), f(0, 5));
        // The seed refused a spread of exactly five points and accepted the same spread elsewhere (D22).
        let five = PerMillion(50_000);
        assert!(f(100, 100).is_within(f(95, 100), five));
        assert!(f(90, 100).is_within(f(85, 100), five));
        assert!(!f(100, 100).is_within(f(949, 1000), five));
        assert!(
            f(1, 20).is_at_most(five) && !f(51, 1000).is_at_most(five) && f(0, 0).is_at_most(five)
        );
    }

    #[test]
    fn dollars_are_read_exactly() {
        for (text, micros) in [("0", 0), ("2.5", 2_500_000), ("0.000001", 1), ("007.10", 7_100_000)]
        {
            assert_eq!(text.parse(), Ok(MicroUsd(micros)), "{text}");
        }
        for bad in ["", ".5", "1.", "-1", "+1", "1e3", "0.0000001", "1.2.3", "18446744073710"] {
            assert!(bad.parse::<MicroUsd>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_read_exactly_and_nothing_beyond_one_is_a_share() {
        for (text, millionths) in [("0", 0), ("0.18", 180_000), ("1", 1_000_000), ("0.000001", 1)] {
            assert_eq!(text.parse(), Ok(PerMillion(millionths)), "{text}");
        }
        for bad in ["", "1.000001", "-0.1", "NaN", "1e400", "18 %", "18"] {
            assert!(bad.parse::<PerMillion>().is_err(), "{bad}");
        }
        assert_eq!(PerMillion(75_000).points(), "7.5");
        assert_eq!(PerMillion(200_000).points(), "20");
    }

    #[test]
    fn percent_rounds_half_up() {
        assert_eq!(Fraction::new(2, 3).percent(), "66.7%");
        assert_eq!(Fraction::new(1, 1).percent(), "100.0%");
        assert_eq!(Fraction::new(1, 8).percent(), "12.5%");
        assert_eq!(Fraction::new(0, 0).percent(), "0.0%");
        assert_eq!(PerMillion(250_000).to_string(), "0.25");
        assert_eq!(PerMillion(1_000_000).to_string(), "1.0");
    }
}
