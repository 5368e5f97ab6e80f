//! Reads the files that a campaign freezes: inside the workspace, regular, not too large, once.

use std::io::Read;
use std::path::{Path, PathBuf};

use optim_core::digest::Digest;
use optim_core::policy::{FileRole, FrozenFile};

use crate::beneath;

/// A file as it was read, once: the bytes that are hashed are the bytes that are parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The reference as it was given.
    pub reference: String,
    /// The canonical path.
    pub path: PathBuf,
    /// The content.
    pub bytes: Vec<u8>,
}

/// Why a file cannot be frozen.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The reference says nothing.
    #[error("a file reference is blank; name a file")]
    Blank,
    /// There is no such file.
    #[error("{reference}: there is no such file (looked for {path}); create it or correct the reference", path = path.display())]
    NotFound {
        /// The reference.
        reference: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The path leads out of the workspace, by itself or through a symbolic link.
    #[error("{reference}: leads to {path}, outside the workspace {root}; keep the file inside", path = path.display(), root = root.display())]
    OutsideRoot {
        /// The reference.
        reference: String,
        /// Where it leads.
        path: PathBuf,
        /// The workspace.
        root: PathBuf,
    },
    /// It is a directory, a pipe, a device.
    #[error("{reference}: {path} is not a regular file", path = path.display())]
    NotRegular {
        /// The reference.
        reference: String,
        /// The path.
        path: PathBuf,
    },
    /// It is larger than such a file may be.
    #[error("{reference}: has {size} bytes, at most {limit} are allowed; make it smaller")]
    TooLarge {
        /// The reference.
        reference: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The system refused.
    #[error("{reference}: cannot be read: {source}")]
    Unreadable {
        /// The reference.
        reference: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ArtifactError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Blank => "blank_reference",
            Self::NotFound { .. } => "file_not_found",
            Self::OutsideRoot { .. } => "artifact_outside_root",
            Self::NotRegular { .. } => "not_regular",
            Self::TooLarge { .. } => "file_too_large",
            Self::Unreadable { .. } => "file_unreadable",
        }
    }
}

impl Artifact {
    /// Reads the file that `reference` names, relative to `root` unless it is absolute.
    ///
    /// # Errors
    /// It is not a readable regular file of at most `limit` bytes inside `root`.
    pub fn read(root: &Path, reference: &str, limit: u64) -> Result<Self, ArtifactError> {
        let trimmed = reference.trim();
        if trimmed.is_empty() {
            return Err(ArtifactError::Blank);
        }
        let reference = trimmed.to_owned();
        let unreadable =
            |source| ArtifactError::Unreadable { reference: trimmed.to_owned(), source };
        let wanted = root.join(trimmed);
        let path = match wanted.canonicalize() {
            Ok(path) => path,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ArtifactError::NotFound { reference, path: wanted });
            }
            Err(error) => return Err(unreadable(error)),
        };
        let root = root.canonicalize().map_err(unreadable)?;
        if !path.starts_with(&root) {
            return Err(ArtifactError::OutsideRoot { reference, path, root });
        }
        // Opened once, and what is judged is what was opened.
        let inside = path.strip_prefix(&root).unwrap_or(&path);
        let file = match inside.as_os_str().is_empty() {
            true => return Err(ArtifactError::NotRegular { reference, path }),
            false => beneath::open(&root, inside).map_err(unreadable)?,
        };
        let found = file.metadata().map_err(unreadable)?;
        if !found.is_file() {
            return Err(ArtifactError::NotRegular { reference, path });
        }
        let size = found.len();
        if size > limit {
            return Err(ArtifactError::TooLarge { reference, size, limit });
        }
        let mut bytes = Vec::new();
        // One byte more than allowed tells a file that grew meanwhile from one that fits.
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        let read = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if read > limit {
            return Err(ArtifactError::TooLarge { reference, size: read, limit });
        }
        Ok(Self { reference, path, bytes })
    }

    /// The record of the file in a campaign.
    #[must_use]
    pub fn frozen(&self, role: FileRole) -> FrozenFile {
        FrozenFile {
            role,
            artifact_ref: self.reference.clone(),
            resolved_path: self.path.display().to_string(),
            sha256: Digest::of(&self.bytes),
            size_bytes: u64::try_from(self.bytes.len()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_16_only_regular_files_inside_the_workspace_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("policy")).unwrap();
        std::fs::write(root.join("policy/a.md"), "text").unwrap();
        std::fs::write(dir.path().join("secret"), "no").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        let read = |reference: &str| Artifact::read(&root, reference, 4);
        let code = |reference: &str| read(reference).unwrap_err().code();
        assert_eq!(read(" policy/../policy/a.md ").unwrap().bytes, b"text");
        assert_eq!(code(" "), "blank_reference");
        assert_eq!(code("policy/b.md"), "file_not_found");
        assert_eq!(code("../secret"), "artifact_outside_root");
        assert_eq!(code("link"), "artifact_outside_root");
        assert_eq!(code("/etc/hostname"), "artifact_outside_root");
        assert_eq!(code("policy"), "not_regular");
        std::fs::write(root.join("policy/a.md"), "texts").unwrap();
        assert_eq!(code("policy/a.md"), "file_too_large");
    }

    #[test]
    fn threat_15_pipes_sockets_and_devices_are_refused_and_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = root.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let code = |root: &Path, name: &str| Artifact::read(root, name, 9).unwrap_err().code();
        assert_eq!(code(root.path(), "pipe"), "not_regular");
        assert_eq!(code(root.path(), "."), "not_regular");
        assert_eq!(code(Path::new("/dev"), "zero"), "not_regular");
        drop(std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap());
        // A socket cannot be opened at all.
        assert!(["not_regular", "file_unreadable"].contains(&code(root.path(), "socket")));
    }

    #[test]
    fn threat_16_what_is_hashed_is_what_was_read() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("budget.yaml");
        std::fs::write(&path, "max_experiments: 5").unwrap();
        let artifact = Artifact::read(root.path(), "budget.yaml", 100).unwrap();
        std::fs::write(&path, "max_experiments: 9").unwrap();
        let frozen = artifact.frozen(FileRole::Budget);
        assert_eq!((frozen.sha256, frozen.size_bytes), (Digest::of(b"max_experiments: 5"), 18));
        assert_eq!(artifact.bytes, b"max_experiments: 5");
    }

    #[test]
    fn threat_16_what_is_read_counts_whatever_the_file_says_of_its_size() {
        // A file of the system that says it is empty.
        let proc = Path::new("/proc");
        if let Ok(read) = std::fs::read(proc.join("version")) {
            let limit = u64::try_from(read.len()).unwrap();
            let file = Artifact::read(proc, "version", limit).unwrap();
            assert_eq!(file.frozen(FileRole::Pack).sha256, Digest::of(&read));
            let error = Artifact::read(proc, "version", limit - 1).unwrap_err();
            assert_eq!(error.code(), "file_too_large");
        }
    }
}
