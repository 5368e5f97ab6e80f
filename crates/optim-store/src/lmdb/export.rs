//! Everything that is stored, line by line, in one transaction.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use heed::Database;
use heed::types::Bytes as Raw;
use optim_core::digest::Digest;
use optim_core::stored_workflow::{StoredWorkflow, VersionNumber};
use optim_core::workflow_run::WorkflowRun;

use crate::encoded::encode;
use crate::portable::{
    Bytes, Header, Kind, OutputRecord, PayloadRecord, Tally, TextRecord, Trailer, VERSION,
};
use crate::store::{StoreError, Versioned};
use crate::upkeep::Exported;

use super::envelope::{self, Codec};
use super::tables::Seq;
use super::view::{View, decode};
use super::{Error, corrupt};

/// Writes everything to `to`.
pub(super) fn export(view: &View<'_>, to: &mut dyn Write) -> Result<Exported, Error> {
    let created_by = concat!("optim ", env!("CARGO_PKG_VERSION")).to_owned();
    let header = encode(&Header { optim_store: VERSION, created_by })?;
    put_line(to, &header)?;
    let exported = records(view, &mut |line| put_line(to, line))?;
    let counted = exported.records.iter().map(|(kind, count)| ((*kind).to_owned(), *count));
    let (records, hash) = (counted.collect(), exported.hash);
    let trailer = Trailer { records, hash, header: Some(Digest::of(&header)) };
    put_line(to, &encode(&trailer)?)?;
    to.flush().map_err(unwritable)?;
    Ok(exported)
}

/// Hands the line of every record to `sink`.
pub(super) fn records(
    view: &View<'_>,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<Exported, Error> {
    let View { tables, txn } = *view;
    let mut lines = Lines { tally: Tally::new(), sink };
    lines.numbered(view, Kind::Campaign, (tables.campaigns, "campaigns"), |_, _| Ok(()))?;
    lines.numbered(view, Kind::Experiment, (tables.experiments, "experiments"), |_, _| Ok(()))?;
    lines.numbered(view, Kind::Run, (tables.runs, "runs"), |_, _| Ok(()))?;
    let mut workflows = BTreeMap::new();
    lines.numbered(view, Kind::Workflow, (tables.workflows, "workflows"), |seq, value| {
        let workflow: Versioned<StoredWorkflow> =
            decode("workflows", &seq.to_be_bytes(), value, || format!("workflow {seq}"))?;
        workflows.insert(seq, workflow.value.id);
        Ok(())
    })?;
    for entry in tables.workflow_texts.iter(txn)? {
        let (key, value) = entry?;
        let (owner, version) = key.split_first_chunk().ok_or_else(|| short("workflow_texts"))?;
        let version = version.first_chunk().ok_or_else(|| short("workflow_texts"))?;
        let workflow = workflows.get(&u64::from_be_bytes(*owner));
        let record = TextRecord {
            workflow: Cow::Borrowed(workflow.ok_or_else(|| orphan("workflow_texts"))?),
            version: VersionNumber(u32::from_be_bytes(*version)),
            bytes: Bytes::of(raw("workflow_texts", key, value)?),
        };
        lines.put(Kind::WorkflowText, &encode(&record)?)?;
    }
    let mut runs = BTreeMap::new();
    let table = (tables.workflow_runs, "workflow_runs");
    lines.numbered(view, Kind::WorkflowRun, table, |seq, value| {
        let run: Versioned<WorkflowRun> =
            decode("workflow_runs", &seq.to_be_bytes(), value, || format!("workflow run {seq}"))?;
        runs.insert(seq, run.value.id);
        Ok(())
    })?;
    for entry in tables.workflow_run_outputs.iter(txn)? {
        let (key, value) = entry?;
        let owner = key.first_chunk().ok_or_else(|| short("workflow_run_outputs"))?;
        let run = runs.get(&u64::from_be_bytes(*owner));
        let record = OutputRecord {
            run: *run.ok_or_else(|| orphan("workflow_run_outputs"))?,
            bytes: Bytes::of(raw("workflow_run_outputs", key, value)?),
        };
        lines.put(Kind::Output, &encode(&record)?)?;
    }
    for entry in tables.throttles.iter(txn)? {
        let (id, value) = entry?;
        lines.put(Kind::Throttle, json("throttles", id.as_bytes(), value)?)?;
    }
    lines.numbered(view, Kind::Entry, (tables.events, "events"), |_, _| Ok(()))?;
    for entry in tables.blobs.iter(txn)? {
        let (key, value) = entry?;
        let record = PayloadRecord { bytes: Bytes::of(raw("blobs", key, value)?) };
        lines.put(Kind::Payload, &encode(&record)?)?;
    }
    Ok(lines.tally.finish())
}

struct Lines<'s> {
    tally: Tally,
    sink: &'s mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
}

impl Lines<'_> {
    fn put(&mut self, kind: Kind, record: &[u8]) -> Result<(), Error> {
        let line = self.tally.line(kind, record);
        Ok((self.sink)(&line)?)
    }

    /// All records of a table, each of which `look` sees.
    fn numbered(
        &mut self,
        view: &View<'_>,
        kind: Kind,
        (table, name): (Database<'static, Seq, Raw>, &str),
        mut look: impl FnMut(u64, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for entry in table.iter(view.txn)? {
            let (seq, value) = entry?;
            look(seq, value)?;
            self.put(kind, json(name, &seq.to_be_bytes(), value)?)?;
        }
        Ok(())
    }
}

fn put_line(to: &mut dyn Write, line: &[u8]) -> Result<(), StoreError> {
    to.write_all(line).and_then(|()| to.write_all(b"\n")).map_err(unwritable)
}

fn unwritable(source: std::io::Error) -> StoreError {
    StoreError::File { what: "written", source }
}

fn json<'v>(table: &str, key: &[u8], value: &'v [u8]) -> Result<&'v [u8], StoreError> {
    unsealed(table, key, Codec::Json, value)
}

fn raw<'v>(table: &str, key: &[u8], value: &'v [u8]) -> Result<&'v [u8], StoreError> {
    unsealed(table, key, Codec::Raw, value)
}

fn unsealed<'v>(
    table: &str,
    key: &[u8],
    codec: Codec,
    value: &'v [u8],
) -> Result<&'v [u8], StoreError> {
    envelope::unseal(table, key, codec, value)
        .map_err(|why| corrupt(&format!("a record of {table}"), why))
}

fn short(table: &str) -> StoreError {
    corrupt(table, "a key is too short")
}

fn orphan(table: &str) -> StoreError {
    corrupt(table, "what a record belongs to is missing")
}
