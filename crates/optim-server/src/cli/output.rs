//! What is printed, and where.
//!
//! Names and texts of others are in most of it. So no line holds a character that a terminal obeys, or one
//! that hides: such a character is shown as its number. Only [`Output::text`] is as it is.

use std::io::{IsTerminal as _, Write};

use optim_core::diagnostic::Diagnostic;
use optim_core::suspicion::{is_hidden, shown};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;

use crate::control::protocol::Answer;
use crate::error::{CliError, Exit};

/// Findings that are printed for people; a mistake that repeats in every case buries the others.
const FINDINGS_SHOWN: usize = 20;

/// Where the words of a verb go. A reader that went away is no error.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    /// To stdout and stderr of this process.
    Terminal,
    /// To the process that asked.
    Asker(mpsc::UnboundedSender<Answer>),
}

impl Output {
    /// Whether what goes to stderr is seen at once, so that it may move.
    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Self::Terminal => std::io::stderr().is_terminal(),
            Self::Asker(_) => false,
        }
    }

    /// Prints one line of data on stdout.
    pub(crate) fn line(&self, text: &str) {
        match self {
            Self::Terminal => {
                writeln!(std::io::stdout().lock(), "{}", shown(text)).unwrap_or_default()
            }
            Self::Asker(asker) => asker.send(Answer::Line(text.to_owned())).unwrap_or_default(),
        }
    }

    /// Prints `text` on stdout as it is.
    pub(crate) fn text(&self, text: &str) {
        match self {
            Self::Terminal => write!(std::io::stdout().lock(), "{text}").unwrap_or_default(),
            Self::Asker(asker) => asker.send(Answer::Text(text.to_owned())).unwrap_or_default(),
        }
    }

    /// Prints one line for people on stderr.
    pub(crate) fn error_line(&self, text: &str) {
        match self {
            Self::Terminal => {
                writeln!(std::io::stderr().lock(), "{}", shown(text)).unwrap_or_default();
            }
            Self::Asker(asker) => {
                asker.send(Answer::ErrorLine(text.to_owned())).unwrap_or_default();
            }
        }
    }

    /// Prints lines for people on stderr, where the words are of this program, and broken by it.
    pub(crate) fn error_lines(&self, text: &str) {
        text.lines().for_each(|line| self.error_line(line));
    }

    /// Prints what is wrong with a file on stderr, and what to do about it.
    pub(crate) fn finding(&self, finding: &Diagnostic) {
        self.error_line(&Diagnostic { help: None, ..finding.clone() }.to_string());
        if let Some(help) = &finding.help {
            self.error_line(&format!("help: {help}"));
        }
    }

    /// Prints one JSON document on stdout.
    pub(crate) fn document(&self, document: &impl Serialize) {
        match serde_json::to_string_pretty(document) {
            Ok(text) => self.text(&format!("{}\n", escaped(&text))),
            Err(error) => {
                self.error_line(&format!("error: the document cannot be written: {error}"))
            }
        }
    }

    /// Prints the commands that make sense next.
    pub(crate) fn next(&self, commands: &[String]) {
        let mut lead = "next:";
        for command in commands {
            self.line(&format!("{lead:6}{command}"));
            lead = "";
        }
    }

    /// Prints an error: text for people, an envelope with `--json`, both on stderr.
    pub(crate) fn error(&self, error: &CliError, json: bool) {
        if json {
            let findings = match error {
                CliError::Project(findings) => serde_json::to_value(findings).unwrap_or_default(),
                _ => json!([]),
            };
            let envelope = json!({"error": {
                "code": error.code(),
                "exit": error.exit().code(),
                "message": error.to_string(),
                "findings": findings,
            }});
            self.error_line(&escaped(&envelope.to_string()));
            return;
        }
        if let CliError::Project(findings) = error {
            for finding in findings.0.iter().take(FINDINGS_SHOWN) {
                self.finding(finding);
            }
            if let Some(more) =
                findings.0.len().checked_sub(FINDINGS_SHOWN).filter(|more| *more > 0)
            {
                self.error_line(&format!("… and {more} more; --json lists them all"));
            }
        }
        let text = format!("error[{}]: {error}", error.code());
        match error {
            // It shows the line of the settings, and points at it.
            CliError::Config { .. } => self.error_lines(&text),
            _ => self.error_line(&text),
        }
    }
}

/// A JSON text in which strings hold no character that a terminal obeys, or one that hides. Outside of its
/// strings it has none but ends of lines.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\n' => text.push(character),
            _ if is_hidden(character) => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    text.extend([format!("\\u{unit:04x}")]);
                }
            }
            _ => text.push(character),
        }
    }
    text
}

/// Makes each event of the log one line.
pub(crate) struct OneLine<W>(pub(crate) W);

impl<W: Write> Write for OneLine<W> {
    /// Takes a whole event.
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        writeln!(self.0, "{}", shown(text.trim_end_matches('\n')))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Exit {
    /// The number that the process exits with.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the discriminants are the codes, all below 256")]
    pub fn code(self) -> u8 {
        self as u8
    }
}
