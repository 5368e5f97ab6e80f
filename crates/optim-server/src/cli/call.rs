//! One call of a verb: on which project, by whom, and where what it says goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use optim_core::id::Actor;

use super::output::Output;
use crate::session::{Session, actor};

/// What a verb works with.
pub(super) struct Call {
    /// The open project.
    pub(super) session: Arc<Session>,
    /// Who asks.
    pub(super) actor: Actor,
    /// Where the answer goes.
    pub(super) out: Output,
    /// Whether the answer is one JSON document.
    pub(super) json: bool,
    /// The project's folder as the caller wrote it.
    pub(super) folder: PathBuf,
}

impl Call {
    /// A call from this process's own command line.
    pub(super) fn local(session: Session, folder: PathBuf, json: bool) -> Self {
        Self { session: Arc::new(session), actor: actor(), out: Output::Terminal, json, folder }
    }

    /// How the commands of `next` begin.
    pub(super) fn prefix(&self) -> String {
        if self.folder == Path::new(".") {
            "optim".to_owned()
        } else {
            format!("optim -C {}", self.folder.display())
        }
    }
}
