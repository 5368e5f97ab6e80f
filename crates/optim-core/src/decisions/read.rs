//! Reads lines back.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{CampaignLine, Decisions, FORMAT};

/// The kinds of lines.
const KINDS: &str = "campaign, evaluation, step, experiment, pair";

/// Why text is no export. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not a JSON object.
    #[error(
        "line {line} is no JSON object: {why}; write one object a line, as `optim decisions export` does"
    )]
    NotJson {
        /// The line.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// An object without a kind, or of an unknown one.
    #[error("line {line}: kind: {found} is none of {KINDS}")]
    Kind {
        /// The line.
        line: usize,
        /// The kind, as JSON.
        found: Value,
    },
    /// A version that this reader does not know.
    #[error(
        "line {line}: format: {found} is not the version that is read here, {FORMAT}; verify it with the \
         optim that wrote it, or export it again"
    )]
    Format {
        /// The line.
        line: usize,
        /// The version, as JSON.
        found: Value,
    },
    /// A field that cannot be.
    #[error("line {line}: {kind}: {field}: {why}")]
    Field {
        /// The line.
        line: usize,
        /// The kind of the line.
        kind: &'static str,
        /// The path of the field; `.` for the whole line.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// A line before that of a campaign.
    #[error("line {line} belongs to no campaign; a line of kind campaign comes first")]
    NoCampaign {
        /// The line.
        line: usize,
    },
    /// No line at all.
    #[error("there is no line; `optim decisions export` writes some")]
    Empty,
}

impl ReadError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "decisions_not_json",
            Self::Kind { .. } => "decisions_unknown_kind",
            Self::Format { .. } => "decisions_unknown_format",
            Self::Field { .. } => "decisions_bad_field",
            Self::NoCampaign { .. } => "decisions_without_campaign",
            Self::Empty => "decisions_empty",
        }
    }
}

/// The campaigns in `bytes`, in their order. Blank lines are skipped.
///
/// # Errors
/// [`ReadError`] for the first line that cannot be read.
pub fn read(bytes: &[u8]) -> Result<Vec<Decisions>, ReadError> {
    let mut read: Vec<Decisions> = Vec::new();
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    for (line, text) in lines.filter(|(_, text)| !text.trim_ascii().is_empty()) {
        take(&mut read, line, text)?;
    }
    if read.is_empty() { Err(ReadError::Empty) } else { Ok(read) }
}

fn take(read: &mut Vec<Decisions>, line: usize, text: &[u8]) -> Result<(), ReadError> {
    let not_json = |error: serde_json::Error| ReadError::NotJson { line, why: error.to_string() };
    let mut fields: Map<String, Value> = serde_json::from_slice(text).map_err(not_json)?;
    let kind = fields.remove("kind").unwrap_or_default();
    if kind == "campaign" {
        read.push(begun(line, fields)?);
        return Ok(());
    }
    let last = read.last_mut().ok_or(ReadError::NoCampaign { line });
    match kind.as_str() {
        Some("evaluation") => last?.evaluations.push(fields_of(line, "evaluation", fields)?),
        Some("step") => last?.steps.push(fields_of(line, "step", fields)?),
        Some("experiment") => last?.experiments.push(fields_of(line, "experiment", fields)?),
        Some("pair") => last?.pairs.push(fields_of(line, "pair", fields)?),
        Some(_) | None => return Err(ReadError::Kind { line, found: kind }),
    }
    Ok(())
}

fn begun(line: usize, fields: Map<String, Value>) -> Result<Decisions, ReadError> {
    match fields.get("format") {
        // Another version may have other fields, which would be told otherwise.
        Some(found) if found.is_u64() && *found != FORMAT => {
            Err(ReadError::Format { line, found: found.clone() })
        }
        _ => {
            let campaign: CampaignLine = fields_of(line, "campaign", fields)?;
            let (evaluations, steps, experiments, pairs) = Default::default();
            Ok(Decisions { campaign, evaluations, steps, experiments, pairs })
        }
    }
}

fn fields_of<T: DeserializeOwned>(
    line: usize,
    kind: &'static str,
    fields: Map<String, Value>,
) -> Result<T, ReadError> {
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| ReadError::Field {
        line,
        kind,
        field: error.path().to_string(),
        why: error.inner().to_string(),
    })
}
