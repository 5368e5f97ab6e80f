//! `retry_policy.retries`: attempts after the first.

use super::{Current, FieldSpec, Step, Summary, Violation, retry};
use crate::mutation::{Family, FieldValue};
use crate::policy::MutationPolicy;
use crate::workflow::Node;

pub(super) struct Retries;

impl FieldSpec for Retries {
    fn name(&self) -> &'static str {
        "retry_policy_retries"
    }

    fn path(&self) -> &'static [&'static str] {
        &["retry_policy", "retries"]
    }

    fn family(&self) -> Family {
        Family::Knob
    }

    fn current<'a>(&self, node: &'a Node) -> Current<'a> {
        retry::current(node.retries())
    }

    fn set(&self, node: &mut Node, value: FieldValue) -> Result<(), Violation> {
        let retries = retry::settable(node.retries(), &value)?;
        node.set_retries(retries);
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
        if node.max_attempts().integer().is_some() {
            let why = "retry_policy.max_attempts is set and wins";
            return Err(Violation::NoEffect { why });
        }
        let bounds = (policy.retry_min.into(), policy.retry_max.into());
        step.within(before, policy.retry_delta.into(), bounds)
    }
}
