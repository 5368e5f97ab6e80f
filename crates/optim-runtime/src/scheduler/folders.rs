//! Workspaces: who holds them, who waits for them.
//!
//! Two folders conflict if they are one, or if one is inside the other. A folder goes to whoever has
//! waited longest for it, production first: a job that waits for a folder keeps younger ones from it,
//! from all that is inside and from all that contains it, so that a stream of jobs that want parts of
//! a folder cannot keep it from the job that wants the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Included, Unbounded};

use super::Age;
use super::entry::{Class, Job};
use super::workspace::CanonicalPath;

/// Who is before whom at a folder.
pub(super) type Rank = (Class, Age);

/// The folders that are held or wanted. A change costs as much as there are wanted folders that
/// conflict with the one that changed.
#[derive(Debug, Default)]
pub(super) struct Folders {
    held: BTreeMap<CanonicalPath, Job>,
    wanted: BTreeMap<CanonicalPath, Wanted>,
}

/// A folder that somebody waits for.
#[derive(Debug, Default)]
struct Wanted {
    waiters: BTreeSet<Rank>,
    /// The one of them that may have the folder now.
    free: Option<Rank>,
}

/// Who is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The job that holds a folder.
    Holder(Job),
    /// The job that has waited longer.
    Waiter(Age),
}

/// Who may have its folder from now on, or may not any more.
pub(super) type Changes = Vec<(Age, bool)>;

impl Folders {
    /// A job waits for `path`.
    pub(super) fn want(&mut self, path: &CanonicalPath, rank: Rank) -> Changes {
        self.wanted.entry(path.clone()).or_default().waiters.insert(rank);
        self.look_again(path)
    }

    /// A job does not wait for `path` any more. It is not among the changes.
    pub(super) fn leave(&mut self, path: &CanonicalPath, rank: Rank) -> Changes {
        let Some(wanted) = self.wanted.get_mut(path) else {
            return Changes::new();
        };
        wanted.waiters.remove(&rank);
        wanted.free = wanted.free.filter(|free| *free != rank);
        let changes = self.look_again(path);
        if self.wanted.get(path).is_some_and(|wanted| wanted.waiters.is_empty()) {
            self.wanted.remove(path);
        }
        changes
    }

    /// The job that waited with this rank has `path` now.
    pub(super) fn hold(&mut self, path: &CanonicalPath, rank: Rank, job: Job) -> Changes {
        self.held.insert(path.clone(), job);
        self.leave(path, rank)
    }

    /// Nobody has `path` any more.
    pub(super) fn release(&mut self, path: &CanonicalPath) -> Changes {
        self.held.remove(path);
        self.look_again(path)
    }

    /// All who wait for a folder, or may have it.
    pub(super) fn waiters(&self) -> impl Iterator<Item = Age> {
        self.wanted.values().flat_map(|wanted| wanted.waiters.iter().map(|(_, age)| *age))
    }

    /// What keeps a job with this rank from `path`: the job that has it, the first one by path if
    /// several have parts of it, else the first one in waiting.
    pub(super) fn obstacle(&self, path: &CanonicalPath, rank: Rank) -> Option<Obstacle> {
        if let Some((_, holder)) = conflicting(&self.held, path).next() {
            return Some(Obstacle::Holder(*holder));
        }
        let waiters =
            conflicting(&self.wanted, path).filter_map(|(_, wanted)| wanted.waiters.first());
        let first = waiters.min().filter(|first| **first < rank)?;
        Some(Obstacle::Waiter(first.1))
    }

    /// Decides again who may have a folder that conflicts with `path`.
    fn look_again(&mut self, path: &CanonicalPath) -> Changes {
        let found: Vec<_> = conflicting(&self.wanted, path)
            .map(|(path, wanted)| {
                let first = wanted.waiters.first().copied();
                (path.clone(), first.filter(|rank| self.obstacle(path, *rank).is_none()))
            })
            .collect();
        let mut changes = Changes::new();
        for (path, free) in found {
            let Some(wanted) = self.wanted.get_mut(&path) else {
                continue;
            };
            let before = std::mem::replace(&mut wanted.free, free);
            if before != free {
                changes.extend(before.map(|(_, age)| (age, false)));
                changes.extend(free.map(|(_, age)| (age, true)));
            }
        }
        changes
    }
}

/// The folders of `map` that conflict with `path`: those that contain it, then it and those inside,
/// which lie together as paths are ordered by their components.
fn conflicting<'a, T>(
    map: &'a BTreeMap<CanonicalPath, T>,
    path: &CanonicalPath,
) -> impl Iterator<Item = (&'a CanonicalPath, &'a T)> {
    let above: Vec<_> = path.ancestors().filter_map(|above| map.get_key_value(&above)).collect();
    let inside = map.range((Included(path.clone()), Unbounded));
    let path = path.clone();
    above.into_iter().chain(inside.take_while(move |(inside, _)| inside.conflicts_with(&path)))
}
