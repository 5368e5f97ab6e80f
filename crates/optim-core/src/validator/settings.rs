//! The settings of a validator: the contract's `enforcement`.

use serde_json::{Map, Value};

/// Reads settings by name; a setting of the wrong type counts as absent.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a>(Option<&'a Map<String, Value>>);

impl<'a> Settings<'a> {
    pub(super) fn new(enforcement: Option<&'a Map<String, Value>>) -> Self {
        Self(enforcement)
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.and_then(|map| map.get(key))
    }

    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
    }

    pub(super) fn count(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(Value::as_u64)
    }

    /// A list of texts; empty when absent.
    pub(super) fn texts(&self, key: &str) -> Vec<&'a str> {
        let items = self.get(key).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).collect()
    }
}
