//! What has happened in all the lives: a simulation in which a rare thing never did has shown nothing of it.

use std::collections::BTreeMap;
use std::fmt;

use optim_core::invariants::Snapshot;
use serde_json::Value;

use crate::world::{Opened, World};

/// What must have happened. Those in lower case are what was told; the others were seen from outside.
const SOMETIMES: &[&str] = &[
    "Commit unknown",
    "Commit lost to another (CAS)",
    "Store failed",
    "Map grown",
    "Process died with a run in flight",
    "Lease lost",
    "Stale epoch refused",
    "Late result refused",
    "Drift found",
    "Command refused",
    "Wake-up lost",
    "Held by the budget",
    "campaign_held",
    "campaign_resumed",
    "campaign_closed",
    "evaluation_dropped",
    "evaluation_settled",
    "evaluation_continued",
    "back_off_begun",
    "baseline_established",
    "candidate_compared",
    "candidate_judged",
    "candidate_approved",
    "candidate_rejected",
    "candidate_superseded",
    "live_write_done",
    "live_measured",
    "budget_extended",
    "run_interrupted",
    "workflow_put",
];

/// How often each thing has happened.
#[derive(Default)]
pub(super) struct Seen(BTreeMap<String, u64>);

impl Seen {
    pub(super) fn add(&mut self, what: &str, times: u64) {
        if times > 0 {
            *self.0.entry(what.to_owned()).or_default() += times;
        }
    }

    pub(super) fn count_store(&mut self, world: &World, opened: &Opened) {
        let [failed, unknown, conflicts] = opened.counts();
        self.add("Store failed", failed);
        self.add("Commit unknown", unknown);
        self.add("Commit lost to another (CAS)", conflicts);
        self.add("Map grown", u64::from(world.has_grown()));
    }

    /// Counts what was told, by its name on the wire.
    pub(super) fn count_events(&mut self, snapshot: &Snapshot) {
        for event in &snapshot.events {
            let Ok(what) = serde_json::to_value(&event.what) else { continue };
            let name = what.pointer("/change/event").or_else(|| what.get("event"));
            if let Some(name) = name.and_then(Value::as_str) {
                self.add(name, 1);
            }
            let is_budget = what.pointer("/reason/hold") == Some(&"budget".into());
            self.add("Held by the budget", u64::from(is_budget));
        }
    }

    /// What should have happened, and never did.
    pub(super) fn never(&self) -> Vec<&'static str> {
        SOMETIMES.iter().copied().filter(|what| !self.0.contains_key(*what)).collect()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sometimes:")?;
        self.0.iter().try_for_each(|(what, times)| write!(f, " {what} {times};"))
    }
}
