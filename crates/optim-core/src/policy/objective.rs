//! `objective.md`: what better means, in words.

use serde::{Deserialize, Serialize};

use super::PolicyFile;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::document;

/// The largest objective file, in bytes.
pub const OBJECTIVE_BYTES_MAX: usize = 256 << 10;

/// The trimmed, non-blank text of `objective.md`. Proposers treat it as untrusted data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Objective(pub(super) String);

impl Objective {
    /// The trimmed `text`; `None` when it is blank.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(super) fn read(file: &PolicyFile<'_>) -> Result<Objective, Diagnostics> {
    let place = Place::file(file.name);
    let size = file.bytes.len();
    if size > OBJECTIVE_BYTES_MAX {
        let message = format!("the file has {size} bytes, at most {OBJECTIVE_BYTES_MAX} are read");
        return Err(Diagnostic::error("too_large", place, message).help("say it shorter").into());
    }
    let text = document::utf8(file.name, file.bytes)?;
    Objective::new(text).ok_or_else(|| {
        let message = "the objective is blank";
        let help = "say in a few sentences what a better result is";
        Diagnostic::error("blank", place, message).help(help).into()
    })
}
