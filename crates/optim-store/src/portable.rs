//! A store as lines of JSON: a header, the records, a trailer that counts and hashes them.
//!
//! A record's line is `{"kind":"…","record":…}`, byte for byte. The JSON of records and entries is what is
//! stored, so that the digests in the audit chain hold for an import too.

use std::borrow::Cow;
use std::collections::BTreeMap;

use optim_core::digest::{Digest, Hasher};
use optim_core::id::{WorkflowId, WorkflowRunId};
use optim_core::stored_workflow::VersionNumber;
use serde::{Deserialize, Serialize};

use crate::upkeep::Exported;

/// The version of these lines.
pub(crate) const VERSION: u32 = 1;

/// The kinds of records, in the order of their lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Campaign,
    Experiment,
    Run,
    Workflow,
    WorkflowText,
    WorkflowRun,
    Output,
    Throttle,
    Entry,
    Payload,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Campaign,
        Self::Experiment,
        Self::Run,
        Self::Workflow,
        Self::WorkflowText,
        Self::WorkflowRun,
        Self::Output,
        Self::Throttle,
        Self::Entry,
        Self::Payload,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Campaign => "campaign",
            Self::Experiment => "experiment",
            Self::Run => "run",
            Self::Workflow => "workflow",
            Self::WorkflowText => "workflow_text",
            Self::WorkflowRun => "workflow_run",
            Self::Output => "output",
            Self::Throttle => "throttle",
            Self::Entry => "entry",
            Self::Payload => "payload",
        }
    }
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    /// [`VERSION`].
    pub(crate) optim_store: u32,
    /// The program that wrote it.
    pub(crate) created_by: String,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trailer {
    pub(crate) records: BTreeMap<String, u64>,
    pub(crate) hash: Digest,
    /// The digest of the first line, which is not in `hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<Digest>,
}

/// The text of a version of a stored workflow.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextRecord<'a> {
    pub(crate) workflow: Cow<'a, WorkflowId>,
    pub(crate) version: VersionNumber,
    pub(crate) bytes: Bytes<'a>,
}

/// An output of a workflow run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputRecord<'a> {
    pub(crate) run: WorkflowRunId,
    pub(crate) bytes: Bytes<'a>,
}

/// A payload.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PayloadRecord<'a> {
    pub(crate) bytes: Bytes<'a>,
}

/// Bytes, as text where they are text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bytes<'a> {
    Utf8(Cow<'a, str>),
    Hex(String),
}

impl<'a> Bytes<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Utf8(Cow::Borrowed(text)),
            Err(_) => Self::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }

    /// The bytes; `None` when they are not written in hexadecimal digits.
    pub(crate) fn into_vec(self) -> Option<Vec<u8>> {
        match self {
            Self::Utf8(text) => Some(text.into_owned().into_bytes()),
            Self::Hex(digits) => {
                let byte =
                    |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
                let is_even = digits.len().is_multiple_of(2);
                is_even.then(|| digits.as_bytes().chunks(2).map(byte).collect()).flatten()
            }
        }
    }
}

/// Counts and hashes the lines of records.
pub(crate) struct Tally {
    records: BTreeMap<&'static str, u64>,
    hasher: Hasher,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let records = Kind::ALL.map(|kind| (kind.name(), 0)).into();
        Self { records, hasher: Hasher::new("optim/store-export/1") }
    }

    /// The line of a record, which is counted.
    pub(crate) fn line(&mut self, kind: Kind, record: &[u8]) -> Vec<u8> {
        let line = [prefix(kind).as_bytes(), record, b"}"].concat();
        self.take(kind, &line);
        line
    }

    /// The record in `line`, which is counted; `None` when it is the line of none.
    pub(crate) fn record<'l>(&mut self, line: &'l [u8]) -> Option<(Kind, &'l [u8])> {
        let found = Kind::ALL.into_iter().find_map(|kind| {
            let record = line.strip_prefix(prefix(kind).as_bytes())?;
            Some((kind, record.strip_suffix(b"}")?))
        });
        let (kind, record) = found?;
        self.take(kind, line);
        Some((kind, record))
    }

    pub(crate) fn finish(self) -> Exported {
        Exported { records: self.records, hash: self.hasher.finish() }
    }

    fn take(&mut self, kind: Kind, line: &[u8]) {
        let count = self.records.entry(kind.name()).or_default();
        *count = count.saturating_add(1);
        self.hasher.part(line);
    }
}

fn prefix(kind: Kind) -> String {
    format!("{{\"kind\":\"{}\",\"record\":", kind.name())
}
