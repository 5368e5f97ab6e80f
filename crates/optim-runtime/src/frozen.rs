//! Whether the files that a campaign froze are still what they were.

use std::fmt;
use std::path::Path;

use optim_core::digest::Digest;
use optim_core::policy::{FileRole, FrozenFile};

/// A frozen file that is not on disk any more as it was frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The reference as the project gives it.
    pub reference: String,
    /// The digest that the campaign froze.
    pub frozen: Digest,
    /// The digest of what is there now; `None` when it cannot be read.
    pub now: Option<Digest>,
}

impl fmt::Display for Edited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reference, frozen, now } = self;
        match now {
            Some(now) => write!(f, "{reference} is {now}, it was frozen as {frozen}"),
            None => write!(f, "{reference} cannot be read, it was frozen as {frozen}"),
        }
    }
}

/// Those of `files` that were edited. A file whose whole folder is out of reach, as of a project that was
/// moved, says nothing. The workflow is not among them: it may change while a campaign is open, and is
/// looked at before anything is written to it.
#[must_use]
pub fn edited(files: &[FrozenFile]) -> Vec<Edited> {
    let files = files.iter().filter(|file| file.role != FileRole::Workflow);
    let edited = files.filter_map(|file| {
        let path = Path::new(&file.resolved_path);
        let now = std::fs::read(path).ok().map(|bytes| Digest::of(&bytes));
        let is_in_reach = now.is_some() || path.parent().is_some_and(Path::is_dir);
        let (reference, frozen) = (file.artifact_ref.clone(), file.sha256);
        (is_in_reach && now != Some(frozen)).then_some(Edited { reference, frozen, now })
    });
    edited.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_edited_when_its_bytes_are_others_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let file = |role, name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, name).unwrap();
            FrozenFile {
                role,
                artifact_ref: name.to_owned(),
                resolved_path: path.display().to_string(),
                sha256: Digest::of(name.as_bytes()),
                size_bytes: 1,
            }
        };
        let files =
            [(FileRole::Pack, "pack"), (FileRole::Eval, "eval"), (FileRole::Workflow, "workflow")];
        let files = files.map(|(role, name)| file(role, name));
        assert_eq!(edited(&files), []);
        std::fs::write(folder.path().join("pack"), "other").unwrap();
        std::fs::write(folder.path().join("workflow"), "other").unwrap();
        std::fs::remove_file(folder.path().join("eval")).unwrap();
        let found = edited(&files).into_iter().map(|file| (file.reference, file.now));
        let other = Some(Digest::of(b"other"));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [("pack".to_owned(), other), ("eval".to_owned(), None)]
        );
        drop(folder);
        assert_eq!(edited(&files), [], "a folder that is out of reach says nothing");
    }
}
