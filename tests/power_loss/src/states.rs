//! States that a disk may be left in: all that was synced, and of the rest anything, sector by sector.

use std::path::Path;

use optim_core::judge::split_mix::SplitMix64;

use crate::Found;
use crate::trace::{Record, Step};
use crate::workload::{self, Acknowledged};

/// What a disk writes as a whole, or not at all.
const SECTOR: usize = 512;

/// How the disk keeps its word.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Disk {
    /// What it says is on it is on it.
    Honest,
    /// What is written through, as the page with the root is, waits for the next sync. So it is with LMDB's
    /// `NO_META_SYNC`.
    LateMeta,
}

/// A file on a disk: what is sure to be there, and what may be.
struct File<'a> {
    disk: Disk,
    synced: Vec<u8>,
    pending: Vec<&'a Step>,
}

impl<'a> File<'a> {
    fn take(&mut self, step: &'a Step) {
        match step {
            Step::Write { through: true, .. } if self.disk == Disk::Honest => {
                apply(step, &mut self.synced, |_| true);
            }
            Step::Write { .. } | Step::Length(_) => self.pending.push(step),
            Step::Sync => {
                for step in self.pending.drain(..) {
                    apply(step, &mut self.synced, |_| true);
                }
            }
            Step::Told(_) => {}
        }
    }

    /// What may be left if the power goes while `step` is on its way.
    fn left(&self, step: &Step, random: &mut SplitMix64) -> Vec<u8> {
        let mut left = self.synced.clone();
        // In one state of three nothing or everything, else each write for itself.
        let of_all = match random.below(6) {
            0 => Some(true),
            1 => Some(false),
            _ => None,
        };
        for step in self.pending.iter().copied().chain([step]) {
            let of_this = match random.below(3) {
                0 => Some(true),
                1 => Some(false),
                _ => None,
            };
            apply(step, &mut left, |_| of_all.or(of_this).unwrap_or_else(|| random.below(2) == 0));
        }
        left
    }
}

/// Does to `file` what `step` did, in the sectors of which `lands` says so.
fn apply(step: &Step, file: &mut Vec<u8>, mut lands: impl FnMut(usize) -> bool) {
    match step {
        Step::Write { at, bytes, .. } => {
            let mut at = *at;
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (piece, others) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                if lands(at / SECTOR) {
                    let end = at + piece.len();
                    if file.len() < end {
                        file.resize(end, 0);
                    }
                    if let Some(sector) = file.get_mut(at..end) {
                        sector.copy_from_slice(piece);
                    }
                }
                at += piece.len();
                rest = others;
            }
        }
        Step::Length(length) if lands(0) => file.resize(*length, 0),
        Step::Length(_) | Step::Sync | Step::Told(_) => {}
    }
}

/// Looks at `count` states that the power may leave behind, at moments that are drawn.
pub(crate) fn enumerate(
    record: &Record,
    count: u64,
    seed: u64,
    disk: Disk,
) -> anyhow::Result<Found> {
    let mut random = SplitMix64::new(seed);
    // Before the first acknowledgement there is nothing to lose.
    let first = record.steps.iter().position(|step| matches!(step, Step::Told(_)));
    let first = first.unwrap_or_default();
    let mut moments: Vec<usize> =
        (0..count).map(|_| first + random.below(record.steps.len() - first)).collect();
    moments.sort_unstable();
    let mut moments = moments.into_iter().peekable();
    let mut file = File { disk, synced: Vec::new(), pending: Vec::new() };
    let (mut acknowledged, mut found) = (Acknowledged::new(), Found::default());
    for (moment, step) in record.steps.iter().enumerate() {
        while moments.next_if_eq(&moment).is_some() {
            let left = file.left(step, &mut random);
            let end = look(record.store.path(), &left, &acknowledged);
            found.add(&format!("seed {seed}, moment {moment}"), end);
        }
        file.take(step);
        if let Step::Told(line) = step {
            workload::hear(line, &mut acknowledged)?;
        }
    }
    Ok(found)
}

/// Puts `left` in place of the data file in a copy of `store`, and looks at that.
fn look(store: &Path, left: &[u8], acknowledged: &Acknowledged) -> anyhow::Result<()> {
    let copy = tempfile::tempdir_in("/dev/shm")?;
    for entry in std::fs::read_dir(store)? {
        let entry = entry?;
        if !["data.mdb", "lock.mdb"].map(Into::into).contains(&entry.file_name()) {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name()))?;
        }
    }
    std::fs::write(copy.path().join("data.mdb"), left)?;
    workload::look_from_outside(copy.path(), acknowledged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: usize, text: &str, through: bool) -> Step {
        Step::Write { at, bytes: text.as_bytes().to_vec(), through }
    }

    fn after(disk: Disk, steps: &[Step]) -> (String, usize) {
        let mut file = File { disk, synced: Vec::new(), pending: Vec::new() };
        steps.iter().for_each(|step| file.take(step));
        (String::from_utf8(file.synced).unwrap(), file.pending.len())
    }

    #[test]
    fn what_is_not_synced_is_not_sure() {
        let steps = [write(0, "ab", false), Step::Sync, write(1, "x", false), write(3, "m", true)];
        assert_eq!(after(Disk::Honest, &steps), ("ab\0m".to_owned(), 1));
        assert_eq!(after(Disk::LateMeta, &steps), ("ab".to_owned(), 2));
    }

    #[test]
    fn a_write_is_torn_between_sectors_only() {
        let mut file = vec![b'.'; 2 * SECTOR];
        let step = write(SECTOR - 2, "abcd", false);
        apply(&step, &mut file, |sector| sector == 1);
        assert_eq!(&file[SECTOR - 2..SECTOR + 3], b"..cd.");
        apply(&Step::Length(SECTOR), &mut file, |_| false);
        assert_eq!(file.len(), 2 * SECTOR);
    }
}
