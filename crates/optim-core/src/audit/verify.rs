//! Whether a chain is whole.

use crate::digest::Digest;

use super::entry::{Entry, EntryError, Payload};
use super::head::Head;

/// Where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq}: {why}")]
pub struct Broken {
    /// The first number at which it is not what was written.
    pub seq: u64,
    /// Why.
    pub why: Why,
}

/// Why a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The bytes are no entry.
    #[error(transparent)]
    Unreadable(#[from] EntryError),
    /// Another entry is in its place.
    #[error("entry {found} stands in its place; entries are missing or in another order")]
    Misplaced {
        /// Its number.
        found: u64,
    },
    /// It follows another entry.
    #[error("it follows an entry with another hash; that one, or what is before it, was changed")]
    Detached,
    /// It says something else than its hash.
    #[error("its hash is not that of what it says; it was changed")]
    Edited,
    /// The chain ends before the pinned head.
    #[error("it is missing: the chain ends before the pinned head {pinned}")]
    Truncated {
        /// The head that was noted.
        pinned: Head,
    },
    /// The chain is not the one of the pinned head.
    #[error("its hash is {found}, the pinned head says {pinned}; the chain was written anew")]
    Rewritten {
        /// The hash in the chain.
        found: Digest,
        /// The head that was noted.
        pinned: Head,
    },
}

impl Why {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "audit_unreadable",
            Self::Misplaced { .. } => "audit_misplaced",
            Self::Detached => "audit_detached",
            Self::Edited => "audit_edited",
            Self::Truncated { .. } => "audit_truncated",
            Self::Rewritten { .. } => "audit_rewritten",
        }
    }
}

/// Whether a chain that ends with `end` goes through the `pinned` head, where it has `entry`. That the
/// chain is whole is not looked at.
///
/// # Errors
/// It does not.
pub fn goes_through(pinned: Head, end: Head, entry: Option<&Entry>) -> Result<(), Broken> {
    let found = match pinned.seq {
        0 => Some(Head::default().hash),
        _ => entry.filter(|entry| entry.seq == pinned.seq).map(|entry| entry.hash),
    };
    match found {
        Some(found) if found == pinned.hash => Ok(()),
        Some(found) => Err(Broken { seq: pinned.seq, why: Why::Rewritten { found, pinned } }),
        None => {
            let seq = end.seq.saturating_add(1).min(pinned.seq);
            Err(Broken { seq, why: Why::Truncated { pinned } })
        }
    }
}

/// Verifies a chain entry by entry, in constant space.
#[derive(Debug, Clone, Default)]
pub struct Verifier {
    head: Head,
    pinned: Vec<Head>,
    dropped: u64,
}

/// What is known of a chain that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Its last entry.
    pub head: Head,
    /// Entries without their payload.
    pub dropped: u64,
}

impl Verifier {
    /// Begins with the first entry. The chain must go through each of the `pinned` heads.
    pub fn new(pinned: impl IntoIterator<Item = Head>) -> Self {
        Self { pinned: pinned.into_iter().collect(), ..Self::default() }
    }

    /// How far the chain is whole.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Takes the next entry as it is written down.
    ///
    /// # Errors
    /// The chain breaks here.
    pub fn take_bytes(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let entry = Entry::from_bytes(bytes).map_err(|error| self.broken(error.into()))?;
        self.take(&entry)
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// The chain breaks here.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Broken> {
        if self.head.seq.checked_add(1) != Some(entry.seq) {
            return Err(self.broken(Why::Misplaced { found: entry.seq }));
        }
        if entry.previous != self.head.hash {
            return Err(self.broken(Why::Detached));
        }
        if !entry.is_intact() {
            return Err(self.broken(Why::Edited));
        }
        for pinned in self.pinned.iter().filter(|pinned| pinned.seq == entry.seq) {
            goes_through(*pinned, entry.head(), Some(entry))?;
        }
        self.head = entry.head();
        self.dropped = self.dropped.saturating_add(match entry.payload {
            Payload::Kept(_) => 0,
            Payload::Dropped(_) => 1,
        });
        Ok(())
    }

    /// Ends the chain.
    ///
    /// # Errors
    /// It ends before the pinned head.
    pub fn finish(self) -> Result<Whole, Broken> {
        let is_unseen = |pinned: &&Head| pinned.seq == 0 || pinned.seq > self.head.seq;
        for pinned in self.pinned.iter().filter(is_unseen) {
            goes_through(*pinned, self.head, None)?;
        }
        Ok(Whole { head: self.head, dropped: self.dropped })
    }

    fn broken(&self, why: Why) -> Broken {
        Broken { seq: self.head.seq.saturating_add(1), why }
    }
}
