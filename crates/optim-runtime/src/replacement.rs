//! Files that take the place of others in one step.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file, on disk, that is to take the place of another one: nobody ever sees half of it, and until then what
/// was there stays.
pub(crate) struct Replacement {
    path: PathBuf,
    temporary: NamedTempFile,
}

impl Replacement {
    /// Writes what is to be at `path`; for this user alone when no `permissions` are given.
    pub(crate) fn write(
        path: &Path,
        content: &[u8],
        permissions: Option<Permissions>,
    ) -> io::Result<Self> {
        let mut temporary = NamedTempFile::new_in(folder(path))?;
        temporary.write_all(content)?;
        if let Some(permissions) = permissions {
            temporary.as_file().set_permissions(permissions)?;
        }
        temporary.as_file().sync_all()?;
        Ok(Self { path: path.to_owned(), temporary })
    }

    /// Puts it into its place.
    pub(crate) fn take_place(self) -> io::Result<()> {
        self.temporary.persist(&self.path)?;
        File::open(folder(&self.path))?.sync_all()
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}
