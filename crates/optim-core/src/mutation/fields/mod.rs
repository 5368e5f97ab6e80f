//! One file for each mutable field, behind [`FieldSpec`].
//!
//! A new field is a new file here, a variant of [`MutableField`], and an arm of
//! [`MutableField::spec`]; the laws in `tests.rs` pick it up.

mod max_attempts;
mod objective;
mod retries;
mod retry;
mod summary_guidance;
mod text;
mod timeout;

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

pub(crate) use text::allowance as text_allowance;

use super::{Family, FieldValue, MutableField};
use crate::policy::MutationPolicy;
use crate::proposal::wording::Theme;
use crate::workflow::Node;

/// What a node holds in a mutable field.
#[derive(Debug, Clone, PartialEq)]
pub enum Current<'a> {
    /// The field is not there.
    Absent,
    /// A text.
    Text(&'a str),
    /// A number that a mutation can hold.
    Integer(i64),
    /// Anything else that the format lets through. It is kept and compared, never changed.
    Opaque(Cow<'a, Value>),
}

impl Current<'_> {
    /// The value as a mutation holds it; `None` when the field is absent or opaque.
    #[must_use]
    pub fn value(&self) -> Option<FieldValue> {
        match self {
            Self::Text(text) => Some(FieldValue::Text((*text).to_owned())),
            Self::Integer(number) => Some(FieldValue::Integer(*number)),
            Self::Absent | Self::Opaque(_) => None,
        }
    }

    /// Whether the field holds exactly `value`.
    #[must_use]
    pub fn is(&self, value: &FieldValue) -> bool {
        match (self, value) {
            (Self::Text(text), FieldValue::Text(value)) => text == value,
            (Self::Integer(number), FieldValue::Integer(value)) => number == value,
            _ => false,
        }
    }
}

impl fmt::Display for Current<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("nothing"),
            Self::Text(text) => write!(f, "{}", super::Quoted(text)),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Opaque(value) => write!(f, "{value}"),
        }
    }
}

/// All that is particular to one mutable field.
pub trait FieldSpec: Sync {
    /// The name on the wire, for instance `retry_policy_retries`.
    fn name(&self) -> &'static str;

    /// The path within a node.
    fn path(&self) -> &'static [&'static str];

    /// Text or knob.
    fn family(&self) -> Family;

    /// What the node holds, without a copy.
    fn current<'a>(&self, node: &'a Node) -> Current<'a>;

    /// The value that a mutation may start from; `None` when the node has none.
    fn get(&self, node: &Node) -> Option<FieldValue> {
        self.current(node).value()
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// The node does not have the field, or the field does not accept the value.
    fn set(&self, node: &mut Node, value: FieldValue) -> Result<(), Violation>;

    /// Whether the format can hold `value` in this field, whatever a policy says.
    ///
    /// # Errors
    /// [`Violation::NotAText`], [`Violation::NotAnInteger`] or [`Violation::Negative`].
    fn accepts(&self, value: &FieldValue) -> Result<(), Violation> {
        match self.family() {
            Family::Text => as_text(value).map(drop),
            Family::Knob => as_integer(value).map(drop),
        }
    }

    /// Checks the step from `before` to `after` against the bounds of `policy`.
    ///
    /// # Errors
    /// The first [`Violation`], in the order of the rules.
    fn check(
        &self,
        before: &FieldValue,
        after: &FieldValue,
        policy: &MutationPolicy,
    ) -> Result<Summary, Violation>;

    /// A text field's own clauses on `theme`, longest first; a knob has none.
    fn clauses(&self, theme: Theme) -> &'static [&'static str] {
        let _ = theme;
        &[]
    }

    /// How a text field leads in a phrase of the objective; a knob has none.
    fn lead(&self) -> &'static str {
        ""
    }

    /// Where `step` leads a knob of `node` within the bounds of `policy`; text fields stay.
    ///
    /// # Errors
    /// The bound that leaves no room, or why the step would have no effect.
    fn step(&self, node: &Node, step: Step, policy: &MutationPolicy) -> Result<i64, Violation> {
        let _ = (node, step, policy);
        Err(Violation::Missing)
    }
}

/// A step of a knob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Up or down.
    pub direction: Direction,
    /// All the way that the policy allows, or a third of it.
    pub stride: Stride,
}

/// Where a step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To a larger value.
    Up,
    /// To a smaller value.
    Down,
}

/// How far a step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stride {
    /// As far as the policy allows.
    Large,
    /// A third of that, rounded up.
    Small,
}

impl Step {
    /// All steps, in the order in which they are tried.
    pub const ALL: [Self; 4] = [
        Self::new(Direction::Up, Stride::Large),
        Self::new(Direction::Down, Stride::Large),
        Self::new(Direction::Up, Stride::Small),
        Self::new(Direction::Down, Stride::Small),
    ];

    const fn new(direction: Direction, stride: Stride) -> Self {
        Self { direction, stride }
    }

    /// From `before` by at most `largest`, into `min..=max`.
    ///
    /// A small step that would equal the large one is no step of its own.
    fn within(self, before: i64, largest: i64, (min, max): (i64, i64)) -> Result<i64, Violation> {
        let go = |distance: i64| {
            let (wanted, direction) = match self.direction {
                Direction::Up => (before.saturating_add(distance), "up"),
                Direction::Down => (before.saturating_sub(distance), "down"),
            };
            let after = wanted.min(max).max(min);
            let forward = match self.direction {
                Direction::Up => after > before,
                Direction::Down => after < before,
            };
            if min <= max && forward && after.abs_diff(before) <= largest.unsigned_abs() {
                Ok(after)
            } else {
                Err(Violation::NoRoom { before, direction, min, max })
            }
        };
        let large = go(largest)?;
        match self.stride {
            Stride::Large => Ok(large),
            Stride::Small => match go(largest.saturating_add(2) / 3)? {
                small if small == large => Err(Violation::NothingChanged),
                small => Ok(small),
            },
        }
    }
}

/// The rule of a field that a value or a step breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The node does not have the field.
    #[error("the node does not have it; a mutation changes a field that is there")]
    Missing,
    /// The new value equals the old one.
    #[error("the new value equals the old one; a mutation must change something")]
    NothingChanged,
    /// A knob that is, or would become, something else than an integer.
    #[error("{value} is not an integer of 64 bits; a knob changes from integer to integer only")]
    NotAnInteger {
        /// What was found.
        value: String,
    },
    /// A number for a text field.
    #[error("{value} is not a text; give the new text in quotation marks")]
    NotAText {
        /// What was given.
        value: i64,
    },
    /// A negative duration.
    #[error("{value} ms is negative; a duration is at least 0 ms")]
    Negative {
        /// What was given.
        value: i64,
    },
    /// A text without a visible character.
    #[error("the new text is blank; write at least one visible character")]
    TextBlank,
    /// More characters removed and added than allowed.
    #[error(
        "the text changes by {delta} characters; allowed are 1 to {max} (max_text_delta_chars)"
    )]
    TextDeltaChars {
        /// Characters removed plus characters added.
        delta: u64,
        /// The limit.
        max: u64,
    },
    /// Too large a share of the old text, and above the floor.
    #[error(
        "the text changes by {delta} of {old} characters; allowed are 1 to {max} \
         (max_text_delta_ratio {ratio}, at least {floor} by text_delta_floor_chars)"
    )]
    TextDeltaRatio {
        /// Characters removed plus characters added.
        delta: u64,
        /// Characters of the old text.
        old: u64,
        /// What ratio and floor allow for this text.
        max: u64,
        /// The limit as a share.
        ratio: crate::quantity::PerMillion,
        /// The delta that is allowed whatever the share.
        floor: u64,
    },
    /// A text with a secret in it.
    #[error(
        "the new text holds what looks like {kind}; an agent gets a secret from an environment variable"
    )]
    SecretLiteral {
        /// What it is a secret of.
        kind: &'static str,
    },
    /// A timeout outside its bounds.
    #[error("{after} ms is outside {min}..={max} ms (timeout_min_ms, timeout_max_ms)")]
    TimeoutBounds {
        /// The new value in milliseconds.
        after: i64,
        /// The lower bound.
        min: u64,
        /// The upper bound.
        max: u64,
    },
    /// Too large a step of a timeout.
    #[error(
        "the step from {before} to {after} ms is larger than {max} ms \
         (the smaller of timeout_delta_ms and timeout_delta_percent)"
    )]
    TimeoutDelta {
        /// The old value in milliseconds.
        before: i64,
        /// The new value in milliseconds.
        after: i64,
        /// The largest step.
        max: u64,
    },
    /// A retry setting outside its bounds.
    #[error("{after} is outside {min}..={max} (retry_min, retry_max)")]
    RetryBounds {
        /// The new value.
        after: i64,
        /// The lower bound.
        min: u32,
        /// The upper bound.
        max: u32,
    },
    /// Too large a step of a retry setting.
    #[error("the step from {before} to {after} is larger than {max} (retry_delta)")]
    RetryDelta {
        /// The old value.
        before: i64,
        /// The new value.
        after: i64,
        /// The largest step.
        max: u32,
    },
    /// The bounds leave no room for a step in this direction.
    #[error("{before} cannot move {direction}: the allowed range is {min}..={max}")]
    NoRoom {
        /// The value.
        before: i64,
        /// `up` or `down`.
        direction: &'static str,
        /// The lower bound.
        min: i64,
        /// The upper bound.
        max: i64,
    },
    /// The runtime would not behave differently.
    #[error("it has no effect: {why}")]
    NoEffect {
        /// What makes it so.
        why: &'static str,
    },
}

impl Violation {
    /// The stable code of this rule.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "field_missing",
            Self::NothingChanged => "nothing_changed",
            Self::NotAnInteger { .. } => "not_an_integer",
            Self::NotAText { .. } => "not_a_text",
            Self::Negative { .. } => "negative_duration",
            Self::TextBlank => "text_blank",
            Self::TextDeltaChars { .. } => "text_delta_chars",
            Self::TextDeltaRatio { .. } => "text_delta_ratio",
            Self::SecretLiteral { .. } => "secret_literal",
            Self::TimeoutBounds { .. } => "timeout_bounds",
            Self::TimeoutDelta { .. } => "timeout_delta",
            Self::RetryBounds { .. } => "retry_bounds",
            Self::RetryDelta { .. } => "retry_delta",
            Self::NoRoom { .. } => "no_room",
            Self::NoEffect { .. } => "no_effect",
        }
    }
}

/// What an accepted mutation does, in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// A change of a text.
    Text {
        /// Characters removed.
        removed: u64,
        /// Characters added.
        added: u64,
        /// Characters of the old text.
        old: u64,
    },
    /// A change of a number.
    Knob {
        /// The old value.
        before: i64,
        /// The new value.
        after: i64,
    },
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { removed, added, old } => {
                write!(f, "{removed} characters removed, {added} added, of {old}")
            }
            Self::Knob { before, after } => write!(f, "{before} to {after}"),
        }
    }
}

impl MutableField {
    /// The field's particulars.
    #[must_use]
    pub fn spec(self) -> &'static dyn FieldSpec {
        match self {
            Self::Objective => &objective::Objective,
            Self::OutputContractSummaryGuidance => &summary_guidance::SummaryGuidance,
            Self::TimeoutMs => &timeout::Timeout,
            Self::RetryPolicyMaxAttempts => &max_attempts::MaxAttempts,
            Self::RetryPolicyRetries => &retries::Retries,
        }
    }
}

/// The text in `value`.
fn as_text(value: &FieldValue) -> Result<&str, Violation> {
    match value {
        FieldValue::Text(text) => Ok(text),
        FieldValue::Integer(value) => Err(Violation::NotAText { value: *value }),
    }
}

/// The number in `value`.
fn as_integer(value: &FieldValue) -> Result<i64, Violation> {
    match value {
        FieldValue::Integer(number) => Ok(*number),
        FieldValue::Text(_) => Err(Violation::NotAnInteger { value: value.to_string() }),
    }
}

#[cfg(test)]
mod tests;
