//! Decimal numbers, compared without floats.

use std::fmt;

/// A decimal number held as billionths: rounded to nine decimals, a half away from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(i128);

/// The decimal places that are kept.
const PLACES: usize = 9;
/// The most digits before the point.
const WHOLE_DIGITS_MAX: i64 = 20;

/// A written number in its one form: 0.`digits` × 10^`point`, the first and last digit not 0.
#[derive(PartialEq, Eq)]
pub(super) struct Digits {
    negative: bool,
    digits: String,
    point: i64,
}

impl Digits {
    /// Reads `[-]digits[.digits][e[±]digits]`; `None` when the text is anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        if !plain(whole) || !plain(decimals) {
            return None;
        }
        let written = format!("{whole}{decimals}");
        let digits = written.trim_start_matches('0');
        let zeros = written.len() - digits.len();
        let point = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()?;
        let digits = digits.trim_end_matches('0').to_owned();
        Some(match digits.is_empty() {
            true => Self { negative: false, digits, point: 0 },
            false => Self { negative, digits, point: point + i64::from(exponent) },
        })
    }
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads a JSON number, or text that is one. `None` when it is no number, or has more than 20
    /// digits before the point.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Digits { negative, digits, point } = Digits::parse(text.trim())?;
        if point > WHOLE_DIGITS_MAX {
            return None;
        }
        let Ok(kept) = usize::try_from(point + i64::try_from(PLACES).ok()?) else {
            return Some(Self::ZERO);
        };
        let mut padded = digits.chars().chain(std::iter::repeat('0'));
        let billionths: String = std::iter::once('0').chain(padded.by_ref().take(kept)).collect();
        let round_up = padded.next().is_some_and(|next| next >= '5');
        let amount = billionths.parse::<i128>().ok()? + i128::from(round_up);
        Some(Self(if negative { -amount } else { amount }))
    }

    /// The distance to `other`.
    #[must_use]
    pub fn distance(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).saturating_abs())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, decimals) =
            (self.0.unsigned_abs() / 1_000_000_000, self.0.unsigned_abs() % 1_000_000_000);
        if decimals == 0 {
            return write!(f, "{sign}{whole}");
        }
        write!(f, "{sign}{whole}.{}", format!("{decimals:09}").trim_end_matches('0'))
    }
}
