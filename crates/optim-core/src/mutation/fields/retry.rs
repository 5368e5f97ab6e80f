//! What the two retry settings share.

use std::borrow::Cow;

use super::{Current, Summary, Violation, as_integer};
use crate::mutation::FieldValue;
use crate::policy::MutationPolicy;
use crate::workflow::Knob;

pub(super) fn current(knob: &Knob) -> Current<'_> {
    match knob {
        Knob::Absent => Current::Absent,
        Knob::Integer(number) => Current::Integer(*number),
        Knob::Other(value) => Current::Opaque(Cow::Borrowed(value)),
    }
}

/// The number to set, where the node holds one already.
pub(super) fn settable(knob: &Knob, value: &FieldValue) -> Result<i64, Violation> {
    match knob {
        Knob::Integer(_) => as_integer(value),
        Knob::Absent => Err(Violation::Missing),
        Knob::Other(other) => Err(Violation::NotAnInteger { value: other.to_string() }),
    }
}

/// The retry rule: within the bounds, changed, and not too far.
pub(super) fn check(
    before: &FieldValue,
    after: &FieldValue,
    policy: &MutationPolicy,
) -> Result<Summary, Violation> {
    let (before, after) = (as_integer(before)?, as_integer(after)?);
    let (min, max) = (policy.retry_min, policy.retry_max);
    if !(i64::from(min)..=i64::from(max)).contains(&after) {
        return Err(Violation::RetryBounds { after, min, max });
    }
    if before == after {
        return Err(Violation::NothingChanged);
    }
    let max = policy.retry_delta;
    if after.abs_diff(before) > u64::from(max) {
        return Err(Violation::RetryDelta { before, after, max });
    }
    Ok(Summary::Knob { before, after })
}
