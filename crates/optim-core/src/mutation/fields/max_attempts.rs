//! `retry_policy.max_attempts`: attempts in total.

use super::{Current, FieldSpec, Step, Summary, Violation, retry};
use crate::mutation::{Family, FieldValue};
use crate::policy::MutationPolicy;
use crate::workflow::Node;

pub(super) struct MaxAttempts;

impl FieldSpec for MaxAttempts {
    fn name(&self) -> &'static str {
        "retry_policy_max_attempts"
    }

    fn path(&self) -> &'static [&'static str] {
        &["retry_policy", "max_attempts"]
    }

    fn family(&self) -> Family {
        Family::Knob
    }

    fn current<'a>(&self, node: &'a Node) -> Current<'a> {
        retry::current(node.max_attempts())
    }

    fn set(&self, node: &mut Node, value: FieldValue) -> Result<(), Violation> {
        let attempts = retry::settable(node.max_attempts(), &value)?;
        node.set_max_attempts(attempts);
        Ok(())
    }

    fn check(
        &self,
        before: &FieldValue,
        after: &FieldValue,
        policy: &MutationPolicy,
    ) -> Result<Summary, Violation> {
        retry::check(before, after, policy)
    }

    fn step(&self, node: &Node, step: Step, policy: &MutationPolicy) -> Result<i64, Violation> {
        let Current::Integer(before) = self.current(node) else {
            return Err(Violation::Missing);
        };
        // Fewer than one attempt behaves like one, so a step to 0 would measure nothing.
        let bounds = (i64::from(policy.retry_min.max(1)), policy.retry_max.into());
        step.within(before, policy.retry_delta.into(), bounds)
    }
}
