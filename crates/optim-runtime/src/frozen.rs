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

/// Those of `files` that were edited. The workflow is not among them: it may change while a campaign is
/// open, and is looked at before anything is written to it.
#[must_use]
pub fn edited(files: &[FrozenFile]) -> Vec<Edited> {
    let policies = files.iter().filter(|file| file.role != FileRole::Workflow);
    let edited = policies.map(|file| Edited {
        reference: file.artifact_ref.clone(),
        frozen: file.sha256,
        now: std::fs::read(Path::new(&file.resolved_path)).ok().map(|bytes| Digest::of(&bytes)),
    });
    edited.filter(|file| file.now != Some(file.frozen)).collect()
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
    }
}
