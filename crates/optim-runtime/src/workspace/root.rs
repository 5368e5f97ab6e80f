//! Where the scratch folders of a process are, and what becomes of those of dead ones.
//!
//! They are not in the project: tools that look for the repository or package around them would find
//! the real one there, and act on it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// What the folder of a process is called, before something that makes it unique.
const PROCESS: &str = "process-";
/// The file that a process holds a lock on as long as it lives.
const OWNER: &str = "owner.lock";
/// The file that is locked while folders are made and swept.
const SWEEP: &str = "sweep.lock";

/// The folder of this process, in which its scratch folders are made. Removed when dropped; when the
/// process dies before, the next one of the same user removes it.
#[derive(Debug)]
pub struct ScratchRoot {
    // The fields are dropped in this order.
    folder: tempfile::TempDir,
    _owner: File,
}

impl ScratchRoot {
    /// The folder of this user in the system's folder for temporary files.
    #[must_use]
    pub fn of_user() -> PathBuf {
        std::env::temp_dir().join(format!("optim-{}", rustix::process::geteuid().as_raw()))
    }

    /// Makes a folder for this process in `parent`, and removes those of processes that are dead.
    /// Blocks.
    ///
    /// # Errors
    /// `parent` cannot be made, or is not this user's alone.
    pub fn open(parent: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(parent) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => own_alone(parent)?,
        }
        // Until it is dropped, no folder is half made and nobody else sweeps.
        let sweep = lock_file(&parent.join(SWEEP))?;
        flock(&sweep, FlockOperation::LockExclusive)?;
        for entry in std::fs::read_dir(parent)? {
            let path = entry?.path();
            if is_of_a_dead_process(&path).unwrap_or(false)
                && let Err(error) = std::fs::remove_dir_all(&path)
            {
                tracing::warn!(%error, path = %path.display(), "a scratch folder stays behind");
            }
        }
        let folder = tempfile::Builder::new().prefix(PROCESS).tempdir_in(parent)?;
        let owner = lock_file(&folder.path().join(OWNER))?;
        flock(&owner, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { folder, _owner: owner })
    }

    /// The folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Whoever may write to the folder could have scratch copies made, or removed, elsewhere.
fn own_alone(folder: &Path) -> io::Result<()> {
    let found = std::fs::symlink_metadata(folder)?;
    let alone = found.permissions().mode() & 0o077 == 0;
    if found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && alone {
        return Ok(());
    }
    let why = "is not a folder of this user alone; remove it, or set TMPDIR to another folder";
    Err(io::Error::new(ErrorKind::PermissionDenied, why))
}

/// Whether `path` is the folder of a process that lives no more. The system gives its lock back then,
/// however it ended.
fn is_of_a_dead_process(path: &Path) -> io::Result<bool> {
    let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PROCESS));
    if !named || !std::fs::symlink_metadata(path)?.is_dir() {
        return Ok(false);
    }
    match flock(&lock_file(&path.join(OWNER))?, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parent: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(parent).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn folders_of_dead_processes_are_removed_and_nothing_else() {
        let temporary = tempfile::tempdir().unwrap();
        let parent = temporary.path().join("own");
        let living = ScratchRoot::open(&parent).unwrap();
        std::fs::write(living.path().join("work"), "in progress").unwrap();
        // A process that was killed: its files are there, its lock is not.
        let dead = parent.join("process-dead");
        std::fs::create_dir_all(dead.join("optim-run-x/deep")).unwrap();
        std::fs::write(dead.join(OWNER), "").unwrap();
        // Also one that was killed before it had its lock.
        std::fs::create_dir(parent.join("process-early")).unwrap();
        // What others may have put there.
        let foreign = temporary.path().join("foreign");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("kept"), "").unwrap();
        std::os::unix::fs::symlink(&foreign, parent.join("process-link")).unwrap();
        std::fs::create_dir(parent.join("other")).unwrap();

        let second = ScratchRoot::open(&parent).unwrap();
        let name =
            |root: &ScratchRoot| root.path().file_name().unwrap().to_string_lossy().into_owned();
        let mut expected = vec![
            "other".to_owned(),
            "process-link".to_owned(),
            SWEEP.to_owned(),
            name(&living),
            name(&second),
        ];
        expected.sort();
        assert_eq!(names(&parent), expected);
        assert!(living.path().join("work").exists() && foreign.join("kept").exists());
        drop((living, second));
        assert_eq!(names(&parent), ["other", "process-link", SWEEP]);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_not_used() {
        let temporary = tempfile::tempdir().unwrap();
        let shared = temporary.path().join("shared");
        DirBuilder::new().mode(0o700).create(&shared).unwrap();
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o770)).unwrap();
        let link = temporary.path().join("link");
        std::os::unix::fs::symlink(temporary.path(), &link).unwrap();
        for parent in [shared, link] {
            let refused = ScratchRoot::open(&parent).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{}", parent.display());
        }
    }
}
