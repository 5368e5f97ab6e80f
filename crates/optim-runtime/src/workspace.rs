//! Scratch copies: the only folder that a case run may read and write.

use std::path::{Component, Path, PathBuf};

use optim_core::validator::Workspace;

/// The most bytes that a validator reads from one file of a scratch copy.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A folder of its own for one case run; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    /// An empty scratch folder.
    ///
    /// # Errors
    /// The system refuses.
    pub fn empty() -> std::io::Result<Self> {
        tempfile::Builder::new()
            .prefix("optim-run-")
            .tempdir()
            .map(|folder| Self { folder })
    }

    /// The folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The file `path` of the scratch copy, if it is a regular file inside it.
    fn resolve(&self, path: &str) -> Result<Option<PathBuf>, String> {
        let relative = Path::new(path);
        if !relative
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(format!(
                "{path:?} leads out of the workspace; use a relative path without `..`"
            ));
        }
        let io = |error: std::io::Error| format!("{path:?} cannot be read: {error}");
        let root = self.path().canonicalize().map_err(io)?;
        match root.join(relative).canonicalize() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(error)),
            Ok(found) if !found.starts_with(&root) => Err(format!(
                "{path:?} is a link that leads out of the workspace"
            )),
            Ok(found) if !found.is_file() => Err(format!("{path:?} is not a regular file")),
            Ok(found) => Ok(Some(found)),
        }
    }
}

impl Workspace for Scratch {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(found) = self.resolve(path)? else {
            return Ok(None);
        };
        let io = |error: std::io::Error| format!("{path:?} cannot be read: {error}");
        let size = found.metadata().map_err(io)?.len();
        if size > FILE_BYTES_MAX {
            return Err(format!(
                "{path:?} has {size} bytes, at most {FILE_BYTES_MAX} are read"
            ));
        }
        std::fs::read(found).map(Some).map_err(io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_inside_the_scratch_copy_are_read() {
        let scratch = Scratch::empty().unwrap();
        std::fs::write(scratch.path().join("a.txt"), "text").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", scratch.path().join("link")).unwrap();
        assert_eq!(scratch.read("./a.txt"), Ok(Some(b"text".to_vec())));
        assert_eq!(scratch.read("b.txt"), Ok(None));
        for out in ["../a.txt", "/etc/hostname", "link", "x/../../y"] {
            assert!(scratch.read(out).is_err(), "{out}");
        }
    }
}
