//! What a search could find: counted at the beginning, before anything is paid.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::refusals::Refusals;
use super::{Offer, Prepared, Refusal};
use crate::mutation::MutableField;

/// The count stops at so many candidates.
pub const CANDIDATES_MAX: usize = 1000;
/// The count stops after so many options, whatever became of them.
pub const OPTIONS_MAX: usize = 100_000;

/// How many candidates there are for a baseline under its policies, and what the policies refuse.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prospect {
    /// Different candidates that were counted.
    pub candidates: u32,
    /// Whether there may be more: the count stopped, or a proposer has to see a measurement first.
    pub more: bool,
    /// Options that were refused on the way.
    pub refused: Refusals,
}

impl Prospect {
    /// Nothing is known before the proposer is asked.
    #[must_use]
    pub fn unknown() -> Self {
        Self { more: true, ..Self::default() }
    }

    /// Counts `offers` as far as the bounds let it.
    #[must_use]
    pub fn count(offers: impl Iterator<Item = Offer>) -> Self {
        let (mut found, mut refused, mut options) = (BTreeSet::new(), Refusals::default(), 0);
        let mut more = false;
        for offer in offers {
            if found.len() >= CANDIDATES_MAX || options >= OPTIONS_MAX {
                more = true;
                break;
            }
            options += 1;
            match offer {
                Offer::Proposal(proposal) => drop(found.insert(proposal.mutation.key())),
                Offer::Refusal(Refusal { node, field, error }) => {
                    refused.note(&node, field, &error);
                }
            }
        }
        Self { candidates: u32::try_from(found.len()).unwrap_or(u32::MAX), more, refused }
    }

    /// Whether some node lets one of `fields` change: then a measurement may lead to candidates. As for
    /// every proposer, a field that the policy does not list is not tried.
    #[must_use]
    pub fn after_a_measurement(prepared: &Prepared, fields: &[MutableField]) -> Self {
        let mut prospect = Self::default();
        for node in prepared.baseline().nodes() {
            for field in fields.iter().filter(|field| prepared.policy().allowed.contains(field)) {
                match prepared.check_field(node, *field) {
                    Ok(()) => return Self::unknown(),
                    Err(error) => prospect.refused.note(node.id(), *field, &error),
                }
            }
        }
        prospect
    }

    /// Both together, as counted by two proposers.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.refused.merge(other.refused);
        let candidates = self.candidates.saturating_add(other.candidates);
        Self { candidates, more: self.more || other.more, ..self }
    }

    /// Whether it is certain that no proposer has a candidate.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        self.candidates == 0 && !self.more
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Cursor;
    use super::super::rules::Rules;
    use super::*;
    use crate::mutation::sample;
    use crate::policy::{FieldPattern, ScopePolicy};

    const TEXTS: [MutableField; 2] =
        [MutableField::Objective, MutableField::OutputContractSummaryGuidance];

    fn prepared(nodes: usize, allowed: &[MutableField], scope: ScopePolicy) -> Prepared {
        let mut policy = sample::policy();
        policy.allowed = allowed.iter().copied().collect();
        Prepared::new(Arc::new(sample::workflow(nodes)), policy, scope).unwrap()
    }

    fn by_rules(prepared: &Prepared) -> Prospect {
        let objective = serde_json::from_value("Name the source. Never guess.".into()).unwrap();
        Prospect::count(Rules::new(&objective, 1).stream(prepared, Cursor::default()))
    }

    /// Forbids every field of every node.
    fn closed() -> ScopePolicy {
        let pattern = |field| FieldPattern { node: None, field: Some(field) };
        let forbidden_fields = MutableField::ALL.map(pattern).to_vec();
        ScopePolicy { forbidden_fields, ..sample::scope() }
    }

    #[test]
    fn candidates_are_counted_each_once_and_up_to_the_bound() {
        let knob = [MutableField::TimeoutMs];
        let few = by_rules(&prepared(4, &knob, sample::scope()));
        assert_eq!((few.candidates, few.more), (16, false));
        let offers = prepared(4, &knob, sample::scope());
        let objective = serde_json::from_value("x".into()).unwrap();
        let rules = Rules::new(&objective, 1);
        let stream = || rules.stream(&offers, Cursor::default());
        assert_eq!(Prospect::count(stream().chain(stream())).candidates, 16);
        let many = by_rules(&prepared(300, &knob, sample::scope()));
        assert_eq!((many.candidates, many.more), (1000, true));
        assert!(!few.is_hopeless() && !many.is_hopeless());
    }

    #[test]
    fn where_everything_is_forbidden_there_is_no_hope_and_every_refusal_is_named() {
        let prepared = prepared(2, &MutableField::ALL, closed());
        let prospect = by_rules(&prepared).plus(Prospect::after_a_measurement(&prepared, &TEXTS));
        assert!(prospect.is_hopeless(), "{prospect:?}");
        let refused = prospect.refused.kept();
        assert!(refused.iter().all(|refused| refused.code == "field_forbidden"), "{refused:?}");
        let places: BTreeSet<_> =
            refused.iter().map(|refused| (refused.node.as_str(), refused.field)).collect();
        assert_eq!(places.len(), 2 * MutableField::ALL.len());
    }

    #[test]
    fn a_text_that_may_change_leaves_hope_for_the_measured_cases() {
        let texts = |scope| Prospect::after_a_measurement(&prepared(2, &TEXTS, scope), &TEXTS);
        assert_eq!(texts(sample::scope()), Prospect::unknown());
        assert!(texts(closed()).is_hopeless());
        assert!(!by_rules(&prepared(2, &TEXTS, closed())).plus(Prospect::unknown()).is_hopeless());
    }
}
