//! `timeout_ms`: the longest that one attempt may take.

use std::borrow::Cow;

use super::{Current, FieldSpec, Step, Summary, Violation, as_integer};
use crate::mutation::{Family, FieldValue};
use crate::policy::MutationPolicy;
use crate::quantity::Millis;
use crate::workflow::Node;

pub(super) struct Timeout;

impl FieldSpec for Timeout {
    fn name(&self) -> &'static str {
        "timeout_ms"
    }

    fn path(&self) -> &'static [&'static str] {
        &["timeout_ms"]
    }

    fn family(&self) -> Family {
        Family::Knob
    }

    fn current<'a>(&self, node: &'a Node) -> Current<'a> {
        match node.timeout() {
            None => Current::Absent,
            Some(Millis(timeout)) => i64::try_from(timeout)
                .map_or_else(|_| Current::Opaque(Cow::Owned(timeout.into())), Current::Integer),
        }
    }

    fn set(&self, node: &mut Node, value: FieldValue) -> Result<(), Violation> {
        let Current::Integer(_) = self.current(node) else {
            return Err(Violation::Missing);
        };
        node.set_timeout(milliseconds(&value)?);
        Ok(())
    }

    fn accepts(&self, value: &FieldValue) -> Result<(), Violation> {
        milliseconds(value).map(drop)
    }

    fn check(
        &self,
        before: &FieldValue,
        after: &FieldValue,
        policy: &MutationPolicy,
    ) -> Result<Summary, Violation> {
        let (before, after) = (as_integer(before)?, as_integer(after)?);
        let (Millis(min), Millis(max)) = (policy.timeout_min, policy.timeout_max);
        let within = u64::try_from(after).is_ok_and(|after| (min..=max).contains(&after));
        if !within {
            return Err(Violation::TimeoutBounds { after, min, max });
        }
        if before == after {
            return Err(Violation::NothingChanged);
        }
        let max = largest_step(before, policy);
        if after.abs_diff(before) > max {
            return Err(Violation::TimeoutDelta { before, after, max });
        }
        Ok(Summary::Knob { before, after })
    }

    fn step(&self, node: &Node, step: Step, policy: &MutationPolicy) -> Result<i64, Violation> {
        let Current::Integer(before) = self.current(node) else {
            return Err(Violation::Missing);
        };
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let bounds = (whole(policy.timeout_min.0), whole(policy.timeout_max.0));
        step.within(before, whole(largest_step(before, policy)), bounds)
    }
}

fn milliseconds(value: &FieldValue) -> Result<Millis, Violation> {
    let value = as_integer(value)?;
    let milliseconds = u64::try_from(value).map_err(|_| Violation::Negative { value })?;
    Ok(Millis(milliseconds))
}

/// The smaller of the two limits on a step; the share is rounded up.
fn largest_step(before: i64, policy: &MutationPolicy) -> u64 {
    let share = policy.timeout_delta_percent.of_ceil(before.unsigned_abs());
    share.min(policy.timeout_delta.0)
}
