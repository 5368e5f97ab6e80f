//! Folders that runs lock: compared as what they are, not as they are spelled.

use std::io;
use std::path::{Path, PathBuf};

/// An absolute path without links, `.`, `..` and trailing slashes: two spellings of a folder are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CanonicalPath(PathBuf);

impl CanonicalPath {
    /// The canonical path of a file or folder that exists.
    ///
    /// # Errors
    /// It does not exist, or the system refuses to look at it.
    pub fn resolve(path: &Path) -> io::Result<Self> {
        path.canonicalize().map(Self)
    }

    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The folders that contain this one, the innermost first.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = Self> {
        self.0.ancestors().skip(1).map(|above| Self(above.to_owned()))
    }

    /// Whether two runs may not hold both at once: they are one folder, or one is inside the other.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0) || other.0.starts_with(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_folder_is_one_path() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("w/sub")).unwrap();
        std::os::unix::fs::symlink(root.path().join("w"), root.path().join("link")).unwrap();
        let resolve = |path: &str| CanonicalPath::resolve(&root.path().join(path)).unwrap();
        for spelling in ["w", "w/", "./w/.", "w/sub/..", "link", "link/sub/../"] {
            assert_eq!(resolve(spelling), resolve("w"), "{spelling}");
        }
        let missing = CanonicalPath::resolve(&root.path().join("nowhere"));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn nested_folders_conflict_and_neighbours_do_not() {
        let path = |path: &str| CanonicalPath(PathBuf::from(path));
        for (one, other, conflict) in [
            ("/w", "/w", true),
            ("/w", "/w/sub", true),
            ("/w", "/w/sub/deep", true),
            ("/", "/w", true),
            ("/w", "/w2", false),
            ("/w/a", "/w/b", false),
            ("/v", "/w", false),
        ] {
            assert_eq!(path(one).conflicts_with(&path(other)), conflict, "{one} {other}");
            assert_eq!(path(other).conflicts_with(&path(one)), conflict, "{other} {one}");
        }
    }
}
