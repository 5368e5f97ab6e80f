//! A live workflow in a file.

use std::path::{Path, PathBuf};

use super::definition::DefinitionText;
use super::{LiveError, WORKFLOW_BYTES_MAX};
use crate::artifact::Artifact;
use crate::replacement::Replacement;

/// A workflow file as it is now.
#[derive(Debug, Clone)]
pub struct WorkflowFile {
    /// Its canonical path.
    pub path: PathBuf,
    /// Its content.
    pub definition: DefinitionText,
}

impl WorkflowFile {
    /// Reads the workflow file at `path`, which must lie inside `root`.
    ///
    /// # Errors
    /// It cannot be read, or is not a valid workflow.
    pub fn read(root: &Path, path: &str) -> Result<Self, LiveError> {
        let artifact = Artifact::read(root, path, WORKFLOW_BYTES_MAX)?;
        let definition = DefinitionText::read(&artifact.reference, artifact.bytes)?;
        Ok(Self { path: artifact.path, definition })
    }

    /// Replaces the file by `text` in one step, if it still holds what was read.
    pub(super) fn replace(&self, text: &str) -> Result<(), LiveError> {
        let io = |source| LiveError::Io { path: self.path.clone(), source };
        let permissions = std::fs::metadata(&self.path).map_err(io)?.permissions();
        let replacement =
            Replacement::write(&self.path, text.as_bytes(), Some(permissions)).map_err(io)?;
        if std::fs::read(&self.path).map_err(io)? != self.definition.text.as_bytes() {
            return Err(LiveError::Changed { path: self.path.clone() });
        }
        replacement.take_place().map_err(io)
    }
}
