//! Whether a program fills its scratch copy.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long nobody looks between two measurements, which are work for the disk.
const PAUSE: Duration = Duration::from_millis(500);
/// The unit in which the system counts what a file takes.
const BLOCK: u64 = 512;

/// Returns when `folder` takes more than `limit` bytes on the disk. A file that is open and has no name any
/// more is not seen.
pub(in crate::executor) async fn outgrown(folder: PathBuf, limit: u64) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let folder = folder.clone();
        let measured = tokio::task::spawn_blocking(move || exceeds(&folder, limit));
        if measured.await.unwrap_or(false) {
            return;
        }
    }
}

/// Whether what is in `folder` takes more than `limit` bytes. Links are not followed; what vanishes meanwhile
/// counts nothing.
fn exceeds(folder: &Path, limit: u64) -> bool {
    let (mut folders, mut left) = (vec![folder.to_owned()], limit);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                folders.push(entry.path());
            }
            match left.checked_sub(found.blocks().saturating_mul(BLOCK)) {
                Some(rest) => left = rest,
                None => return true,
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_on_the_disk_counts_in_all_folders() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("c"), vec![1; 100_000]).unwrap();
        assert!(exceeds(folder.path(), 99_999));
        // Holes take nothing, and what a link names is elsewhere.
        std::fs::File::create(deep.join("sparse")).unwrap().set_len(1 << 30).unwrap();
        std::os::unix::fs::symlink("/usr", deep.join("link")).unwrap();
        assert!(!exceeds(folder.path(), 1_000_000));
    }
}
