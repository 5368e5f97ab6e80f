//! What happened to a run: the last entries, and how many there were.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::event::WorkflowRunEvent;
use crate::id::Actor;
use crate::quantity::Timestamp;

/// The entries that are kept.
pub const ENTRIES_MAX: usize = 200;

/// The history of a run. It only grows: entries are added at its end and forgotten at its begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    entries: VecDeque<Entry>,
    /// Older entries that are not kept.
    dropped: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: Actor,
    /// What.
    pub what: WorkflowRunEvent,
}

impl History {
    /// The entries that are kept, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many older ones there were.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many there were in all. It never falls, so it tells more history from less.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.dropped.saturating_add(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    pub(super) fn add(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        while self.entries.len() > ENTRIES_MAX {
            drop(self.entries.pop_front());
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}
