//! Jobs that wait for nothing but a slot and their providers, in the order of turns.
//!
//! Jobs of one class that need the same stand in one line, so that a provider which opens or closes
//! costs nothing for those that wait for it. Within a line the parties take turns, and each keeps its
//! own order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Age;
use super::entry::{Class, Needs, Party};

/// The number of a party that has jobs waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PartyNo(u64);

/// A turn: the lowest one is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn(u64);

/// Jobs of this class that need this stand in one line.
pub(super) type LineKey = (Class, Arc<Needs>);

/// The first job of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub line: LineKey,
    pub turn: Turn,
    pub age: Age,
}

/// The lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: BTreeMap<LineKey, BTreeMap<Turn, PartyNo>>,
    parties: HashMap<PartyNo, Waiters>,
    numbers: BTreeMap<(Class, Party), PartyNo>,
    given: u64,
}

/// The jobs of a party in one class.
#[derive(Debug)]
struct Waiters {
    name: (Class, Party),
    turn: Turn,
    /// How many of its jobs wait, those in no line included.
    count: usize,
    lanes: BTreeMap<LineKey, BTreeSet<Age>>,
}

impl Lines {
    /// Counts a job of `party` in. A party that had none waiting gets the last turn.
    pub(super) fn join(&mut self, class: Class, party: Party) -> PartyNo {
        let name = (class, party);
        let known = self.numbers.get(&name).copied();
        let number = known.unwrap_or_else(|| {
            let turn = self.next_turn();
            let number = PartyNo(turn.0);
            let waiters = Waiters { name: name.clone(), turn, count: 0, lanes: BTreeMap::new() };
            self.parties.insert(number, waiters);
            self.numbers.insert(name, number);
            number
        });
        if let Some(waiters) = self.parties.get_mut(&number) {
            waiters.count = waiters.count.saturating_add(1);
        }
        number
    }

    /// Counts a job of `party`, which stands in no line, out. With its last one a party loses its turn.
    pub(super) fn leave(&mut self, party: PartyNo) {
        let Some(waiters) = self.parties.get_mut(&party) else {
            return;
        };
        waiters.count = waiters.count.saturating_sub(1);
        if waiters.count == 0
            && let Some(gone) = self.parties.remove(&party)
        {
            self.numbers.remove(&gone.name);
        }
    }

    /// Puts a job of `party` in line, where its age says.
    pub(super) fn insert(&mut self, party: PartyNo, line: &LineKey, age: Age) {
        let Some(waiters) = self.parties.get_mut(&party) else {
            return;
        };
        let lane = waiters.lanes.entry(line.clone()).or_default();
        if lane.is_empty() {
            self.lines.entry(line.clone()).or_default().insert(waiters.turn, party);
        }
        lane.insert(age);
    }

    /// Takes a job of `party` out of its line.
    pub(super) fn remove(&mut self, party: PartyNo, line: &LineKey, age: Age) {
        let Some(waiters) = self.parties.get_mut(&party) else {
            return;
        };
        let Some(lane) = waiters.lanes.get_mut(line) else {
            return;
        };
        lane.remove(&age);
        if lane.is_empty() {
            waiters.lanes.remove(line);
            let turn = waiters.turn;
            self.withdraw(line, turn);
        }
    }

    /// The party has had its turn: it comes last now.
    pub(super) fn served(&mut self, party: PartyNo) {
        let turn = self.next_turn();
        let Some(waiters) = self.parties.get_mut(&party) else {
            return;
        };
        let before = std::mem::replace(&mut waiters.turn, turn);
        for line in waiters.lanes.keys() {
            if let Some(turns) = self.lines.get_mut(line) {
                turns.remove(&before);
                turns.insert(turn, party);
            }
        }
    }

    /// The first job of each line.
    pub(super) fn heads(&self) -> impl Iterator<Item = Head> {
        self.lines.iter().filter_map(|(line, turns)| {
            let (turn, party) = turns.first_key_value()?;
            let age = self.parties.get(party)?.lanes.get(line)?.first()?;
            Some(Head { line: line.clone(), turn: *turn, age: *age })
        })
    }

    fn next_turn(&mut self) -> Turn {
        self.given = self.given.saturating_add(1);
        Turn(self.given)
    }

    fn withdraw(&mut self, line: &LineKey, turn: Turn) {
        if let Some(turns) = self.lines.get_mut(line) {
            turns.remove(&turn);
            if turns.is_empty() {
                self.lines.remove(line);
            }
        }
    }
}
