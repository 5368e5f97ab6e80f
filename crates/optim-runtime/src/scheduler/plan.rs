//! Who may start now, and why the others wait. Pure: equal inputs give equal plans.
//!
//! Production goes before evaluation. A workspace goes to whoever has waited longest for it, slots go
//! to the campaigns in turn, one run each. A run that waits holds nobody back but those that want its
//! workspace, so that a stream of runs that want parts of a folder cannot keep it from the folder.

use std::collections::BTreeMap;

use optim_core::id::{CampaignId, RunId};

use super::workspace::CanonicalPath;

/// A run that waits for a slot, or has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The run.
    pub run: RunId,
    /// The campaign that pays for it: turns are given to campaigns.
    pub campaign: CampaignId,
    /// How urgent it is.
    pub class: Class,
    /// The folder that nobody else may work in meanwhile; a run in a scratch copy locks none.
    pub workspace: Option<CanonicalPath>,
}

/// How urgent a run is; the first one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Somebody waits for its effect.
    Production,
    /// A case run: its result is evidence, and evidence can wait.
    Evaluation,
}

/// Why a run waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocked {
    /// Every slot is taken.
    Capacity,
    /// Its workspace is locked, or promised to a run that waits for it longer.
    Workspace {
        /// By this run.
        holder: RunId,
    },
}

/// What is known when a plan is made.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    /// Slots, those that are taken included.
    pub capacity: usize,
    /// The runs that have a slot.
    pub admitted: &'a [&'a Entry],
    /// Whose turn it is: the campaigns, those that were served last at the end. One that is not
    /// listed comes after all that are.
    pub turns: &'a [CampaignId],
}

/// What is to be done with a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Places in the queue of the runs that start, in the order of their admission.
    pub start: Vec<usize>,
    /// Places in the queue of those that wait, in the order of queueing.
    pub wait: Vec<(usize, Blocked)>,
}

/// Decides about every entry of `queue`, which is in the order of queueing.
#[must_use]
pub fn plan(queue: &[Entry], room: Room<'_>) -> Plan {
    let mut by_age: Vec<_> = queue.iter().enumerate().collect();
    by_age.sort_by_key(|(_, entry)| entry.class);
    let (eligible, mut wait) = workspaces(&by_age, room.admitted);
    let mut start = in_turn(&eligible, room.turns);
    let free = room.capacity.saturating_sub(room.admitted.len()).min(start.len());
    wait.extend(start.split_off(free).into_iter().map(|place| (place, Blocked::Capacity)));
    wait.sort_unstable_by_key(|(place, _)| *place);
    Plan { start, wait }
}

/// An entry, and its place in the queue.
type Placed<'a> = (usize, &'a Entry);

/// Parts those whose workspace is free from those that wait for it. Among runs that want the same
/// folder, age decides and not the turn: a turn is lost whenever another run of the campaign starts.
fn workspaces<'a>(
    by_age: &[Placed<'a>],
    admitted: &[&'a Entry],
) -> (Vec<Placed<'a>>, Vec<(usize, Blocked)>) {
    let mut locks: Vec<_> = admitted.iter().filter_map(|entry| lock(entry)).collect();
    let (mut eligible, mut wait) = (Vec::with_capacity(by_age.len()), Vec::new());
    for (place, entry) in by_age.iter().copied() {
        match holder(entry, &locks) {
            Some(holder) => wait.push((place, Blocked::Workspace { holder })),
            None => eligible.push((place, entry)),
        }
        locks.extend(lock(entry));
    }
    (eligible, wait)
}

/// A run, and the folder that it holds or waits for.
type Lock<'a> = (RunId, &'a CanonicalPath);

fn lock(entry: &Entry) -> Option<Lock<'_>> {
    entry.workspace.as_ref().map(|path| (entry.run, path))
}

/// The run that keeps `entry` from its workspace.
fn holder(entry: &Entry, locks: &[Lock<'_>]) -> Option<RunId> {
    let wanted = entry.workspace.as_ref()?;
    locks.iter().find(|(_, held)| held.conflicts_with(wanted)).map(|(holder, _)| *holder)
}

/// The places of `entries` in the order of their right to a slot.
fn in_turn(entries: &[Placed<'_>], turns: &[CampaignId]) -> Vec<usize> {
    let turn: BTreeMap<_, _> = turns.iter().enumerate().map(|(turn, id)| (id, turn)).collect();
    let mut rounds = BTreeMap::<_, usize>::new();
    let mut keyed = Vec::with_capacity(entries.len());
    for (place, entry) in entries {
        let round = rounds.entry((entry.class, &entry.campaign)).or_default();
        let turn = turn.get(&entry.campaign).copied().unwrap_or(usize::MAX);
        keyed.push((entry.class, *round, turn, *place));
        *round += 1;
    }
    keyed.sort_unstable();
    keyed.into_iter().map(|(.., place)| place).collect()
}
