//! What was refused on the way to a candidate: where, why and how often, within bounds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::mutation::MutableField;
use crate::mutation::validate::MutationError;

/// Different refusals that are kept with their place; of further ones only the codes are counted.
pub const KEPT_MAX: usize = 20;

/// Refused options, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Refusals {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kept: Vec<Refused>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    others: BTreeMap<String, u32>,
}

/// Options of one field of one node that were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The node.
    pub node: NodeId,
    /// The field.
    pub field: MutableField,
    /// The stable code of the reason.
    pub code: String,
    /// The first such refusal as a sentence.
    pub reason: String,
    /// How many there were; at least 1.
    pub count: u32,
}

/// Refusals in a store. Older ones hold the codes with their counts and nothing else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Placed(Placed),
    Codes(BTreeMap<String, u32>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Placed {
    #[serde(default)]
    kept: Vec<Refused>,
    #[serde(default)]
    others: BTreeMap<String, u32>,
}

impl From<Stored> for Refusals {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Placed(Placed { kept, others }) => Self { kept, others },
            Stored::Codes(others) => Self { kept: Vec::new(), others },
        }
    }
}

impl Refusals {
    /// Counts the refusal of an option for `field` of `node`.
    pub fn note(&mut self, node: &NodeId, field: MutableField, error: &MutationError) {
        self.add(node, field, error.code(), || error.to_string());
    }

    /// Counts a refusal for a reason that is no [`MutationError`].
    pub fn add(
        &mut self,
        node: &NodeId,
        field: MutableField,
        code: &str,
        reason: impl FnOnce() -> String,
    ) {
        self.add_many(node, field, code, 1, reason);
    }

    /// Takes in all that `other` has counted.
    pub fn merge(&mut self, other: Self) {
        for Refused { node, field, code, reason, count } in other.kept {
            self.add_many(&node, field, &code, count, || reason);
        }
        for (code, count) in other.others {
            self.count(code, count);
        }
    }

    fn add_many(
        &mut self,
        node: &NodeId,
        field: MutableField,
        code: &str,
        count: u32,
        reason: impl FnOnce() -> String,
    ) {
        let same = |one: &&mut Refused| one.node == *node && one.field == field && one.code == code;
        if let Some(known) = self.kept.iter_mut().find(same) {
            known.count = known.count.saturating_add(count);
        } else if self.kept.len() < KEPT_MAX {
            let (node, code, reason) = (node.clone(), code.to_owned(), reason());
            self.kept.push(Refused { node, field, code, reason, count });
        } else {
            self.count(code.to_owned(), count);
        }
    }

    fn count(&mut self, code: String, count: u32) {
        let sum = self.others.entry(code).or_default();
        *sum = sum.saturating_add(count);
    }

    /// The refusals that are kept with their place, in the order in which they first came.
    #[must_use]
    pub fn kept(&self) -> &[Refused] {
        &self.kept
    }

    /// Further refusals, by code.
    #[must_use]
    pub fn others(&self) -> &BTreeMap<String, u32> {
        &self.others
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u32 {
        let kept = self.kept.iter().map(|refused| refused.count);
        kept.chain(self.others.values().copied()).fold(0, u32::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> NodeId {
        NodeId::new(format!("n{number}")).unwrap()
    }

    fn missing(number: usize) -> MutationError {
        MutationError::NodeMissing { node: node(number) }
    }

    #[test]
    fn a_refusal_is_kept_with_its_place_and_counted_however_often_it_comes() {
        let mut refusals = Refusals::default();
        let field = MutableField::TimeoutMs;
        for number in [1, 2, 1, 1] {
            refusals.note(&node(number), field, &missing(number));
        }
        refusals.note(&node(1), MutableField::Objective, &missing(1));
        let found = refusals.kept().iter().map(|one| (one.node.as_str(), one.count));
        assert_eq!(found.collect::<Vec<_>>(), [("n1", 3), ("n2", 1), ("n1", 1)]);
        assert_eq!(refusals.kept()[0].code, "node_missing");
        assert!(refusals.kept()[0].reason.contains("\"n1\""), "{refusals:?}");
        assert_eq!((refusals.total(), refusals.others().len()), (5, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_and_nothing_is_left_uncounted() {
        let mut refusals = Refusals::default();
        for number in 0..3 * KEPT_MAX {
            refusals.note(&node(number), MutableField::Objective, &missing(number));
        }
        refusals.note(&node(0), MutableField::Objective, &missing(0));
        assert_eq!(refusals.kept().len(), KEPT_MAX);
        assert_eq!(refusals.others(), &BTreeMap::from([("node_missing".to_owned(), 40)]));
        assert_eq!(refusals.total(), 61);
        let mut twice = refusals.clone();
        twice.merge(refusals);
        assert_eq!((twice.kept().len(), twice.total()), (KEPT_MAX, 122));
    }

    #[test]
    fn counts_by_code_of_an_older_store_are_read() {
        let older: Refusals = serde_json::from_str(r#"{"no_room": 3, "kept": 1}"#).unwrap();
        assert_eq!((older.total(), older.kept().len()), (4, 0));
        assert_eq!(serde_json::to_string(&Refusals::default()).unwrap(), "{}");
        let mut refusals = Refusals::default();
        refusals.note(&node(1), MutableField::Objective, &missing(1));
        refusals.merge(older);
        let text = serde_json::to_string(&refusals).unwrap();
        assert_eq!(serde_json::from_str::<Refusals>(&text).unwrap(), refusals);
        assert!(serde_json::from_str::<Refusals>(r#"{"no_room": "many"}"#).is_err());
    }
}
