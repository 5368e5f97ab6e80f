//! One process owns a store: whoever holds the lock on its `owner.lock`.
//!
//! The lock is one of `flock`, which the system gives back when the process ends, however it ends.
//! The file also holds the owner's process id, for the message to others; it is never removed.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::store::StoreError;

use super::io_failed;

/// Holds the ownership until it is dropped.
#[derive(Debug)]
pub(super) struct Owner {
    lock: File,
}

impl Owner {
    /// Takes the ownership of the store at `path`, without waiting.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| io_failed(path, source);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("owner.lock"))
            .map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                lock.take(32).read_to_string(&mut holder).map_err(failed)?;
                let holder = match holder.trim() {
                    "" => "(it has not written its id yet)".to_owned(),
                    pid => pid.to_owned(),
                };
                return Err(StoreError::Owned { path: path.to_owned(), holder });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        lock.set_len(0).map_err(failed)?;
        writeln!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { lock })
    }
}

impl Drop for Owner {
    /// Closing the file is not enough: a child that is just being started has a copy of it.
    fn drop(&mut self) {
        // Without an unlock the lock ends with the last copy, which is soon.
        flock(&self.lock, FlockOperation::Unlock).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ownership_ends_though_a_child_still_has_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner::take(directory.path()).unwrap();
        let of_child = owner.lock.try_clone().unwrap();
        assert!(Owner::take(directory.path()).is_err());
        drop(owner);
        assert!(Owner::take(directory.path()).is_ok());
        drop(of_child);
    }
}
