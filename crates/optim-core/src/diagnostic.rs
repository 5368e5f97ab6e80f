//! What is wrong with a file, where, and how to put it right.
//!
//! Readers of documents collect [`Diagnostics`] instead of stopping at the first fault, so that a
//! person corrects a file once. The same value is printed by the CLI and serialized by the API.

use std::fmt;

use serde::Serialize;

/// A place in a text: what an editor calls line and column, and the byte that a splice needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// Offset in bytes from the start of the file, from 0.
    pub byte: u32,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters (not bytes), from 1.
    pub column: u32,
}

/// Whether a diagnostic stops the file from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is used; a person should look at it.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Which file, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The name of the file as the caller gave it.
    pub file: String,
    /// Where in the text; absent when the fault is in no single place, as for a missing file.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Where in the value, as a JSON pointer such as `/flow/nodes/2/timeout_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Place {
    /// The file as a whole.
    pub fn file(name: impl Into<String>) -> Self {
        Self { file: name.into(), position: None, path: None }
    }

    /// The same file, at `position`.
    #[must_use]
    pub fn at(self, position: Position) -> Self {
        Self { position: Some(position), ..self }
    }

    /// The same place, with the JSON pointer of the value it is about.
    #[must_use]
    pub fn path(self, pointer: impl Into<String>) -> Self {
        Self { path: Some(pointer.into()), ..self }
    }
}

impl fmt::Display for Place {
    /// `file:line:column`; where no line is known, `file` and the pointer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match (self.position, &self.path) {
            (Some(Position { line, column, .. }), _) => write!(f, ":{line}:{column}"),
            (None, Some(path)) => write!(f, " {path}"),
            (None, None) => Ok(()),
        }
    }
}

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable snake_case word that programs may match on.
    pub code: &'static str,
    /// Whether the file is refused.
    pub severity: Severity,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong, in the user's words: a lowercase fragment without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic that refuses the file.
    pub fn error(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, place, message: message.into(), help: None }
    }

    /// A diagnostic that lets the file pass.
    pub fn warning(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// The same diagnostic with the way out.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, severity, place, message, help } = self;
        write!(f, "{place}: {severity}[{code}]: {message}")?;
        match help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

/// All that was found wrong with a file, in the order of discovery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Whether any of them refuses the file.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A value with the warnings about what it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked<T> {
    /// What was read.
    pub value: T,
    /// What a person should look at.
    pub warnings: Diagnostics,
}

impl<T> Checked<T> {
    /// `value` with what was found on the way to it.
    ///
    /// # Errors
    /// All of `found`, when there is no value or one of it is an error.
    pub fn new(value: Option<T>, found: Diagnostics) -> Result<Self, Diagnostics> {
        match value {
            Some(value) if !found.has_errors() => Ok(Self { value, warnings: found }),
            _ => Err(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown_key() -> Diagnostic {
        let place = Place::file("policy/eval.yaml")
            .at(Position { byte: 90, line: 6, column: 35 })
            .path("/timeout_scale/max");
        Diagnostic::error("unknown_key", place, "`maxx` is no key of `timeout_scale`")
            .help("did you mean `max`?")
    }

    #[test]
    fn prints_like_a_compiler() {
        let file = Diagnostic::warning("unpriced", Place::file("budget.yaml"), "no price");
        let value = Diagnostic::error("gone", Place::file("body").path("/flow"), "no such node");
        let all = Diagnostics(vec![unknown_key(), file, value]);
        assert_eq!(
            all.to_string(),
            "policy/eval.yaml:6:35: error[unknown_key]: `maxx` is no key of `timeout_scale`\n\
             help: did you mean `max`?\n\
             budget.yaml: warning[unpriced]: no price\n\
             body /flow: error[gone]: no such node"
        );
        assert!(all.has_errors());
    }

    #[test]
    fn serializes_flat_and_without_what_is_unknown() {
        let json = serde_json::to_value(Diagnostics::from(unknown_key())).unwrap();
        assert_eq!(
            json,
            serde_json::json!([{
                "code": "unknown_key", "severity": "error", "file": "policy/eval.yaml",
                "byte": 90, "line": 6, "column": 35, "path": "/timeout_scale/max",
                "message": "`maxx` is no key of `timeout_scale`", "help": "did you mean `max`?",
            }])
        );
        let bare = Diagnostic::warning("x", Place::file("f"), "m");
        assert_eq!(
            serde_json::to_value(bare).unwrap(),
            serde_json::json!({"code": "x", "severity": "warning", "file": "f", "message": "m"})
        );
    }
}
