//! Takes an export in, in one transaction.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::path::Path;

use heed::RwTxn;
use optim_core::audit::entry::Entry;
use optim_core::campaign::Campaign;
use optim_core::digest::Digest;
use optim_core::experiment::Experiment;
use optim_core::run::Run;
use optim_core::stored_workflow::StoredWorkflow;
use optim_core::throttle::Throttle;
use optim_core::workflow_run::WorkflowRun;
use serde::Deserialize;

use crate::encoded::{decode, encode};
use crate::portable::{
    Bytes, Header, Kind, OutputRecord, PayloadRecord, Tally, TextRecord, Trailer, VERSION,
};
use crate::store::{StoreError, Versioned};
use crate::upkeep::Exported;

use super::Error;
use super::envelope::{Codec, seal};
use super::export::records;
use super::tables::Tables;
use super::verify::verify;
use super::view::{View, number_key, output_key, workflow_key};
use super::writer::{
    put_campaign, put_entry, put_experiment, put_run, put_throttle, put_workflow, put_workflow_run,
};

/// The most bytes of a line: the largest payload, in hexadecimal digits, fits twice.
const LINE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How deep a record may be nested: whoever reads it recurses. What an executor answers is at most 128 deep.
const DEPTH_MAX: usize = 512;

/// Fills the empty store at `path` with what is in `from`. After an error the transaction must not be
/// committed.
pub(super) fn import(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    path: &Path,
    from: &mut File,
) -> Result<Exported, Error> {
    if tables.counts(txn)?.into_iter().any(|(name, entries)| name != "meta" && entries > 0) {
        return Err(StoreError::NotEmpty { path: path.to_owned() }.into());
    }
    let read = read(tables, txn, from)?;
    let view = View { tables, txn };
    if let Some(finding) = verify(&view)?.into_iter().next() {
        return Err(
            not_an_export(0, &format!("its records contradict each other: {finding}")).into()
        );
    }
    // Whatever the lines said twice, or in another order, shows here.
    let stored = records(&view, &mut |_| Ok(()))?;
    if stored != read {
        return Err(not_an_export(0, "its records are not in the order of an export").into());
    }
    Ok(read)
}

fn read(tables: &Tables<'static>, txn: &mut RwTxn<'_>, from: &mut File) -> Result<Exported, Error> {
    // A map that is too small makes the store begin again.
    from.rewind().map_err(unreadable)?;
    let (mut lines, mut line, mut number) = (BufReader::new(from), Vec::new(), 0_u64);
    let (mut tally, mut first) = (Tally::new(), Digest::of(&[]));
    loop {
        line.clear();
        number = number.saturating_add(1);
        let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let read = read.map_err(unreadable)?;
        if read == 0 {
            return Err(not_an_export(number, "it ends without its last line").into());
        }
        let Some(text) = line.strip_suffix(b"\n") else {
            let is_cut = u64::try_from(read) == Ok(LINE_BYTES_MAX);
            let why = if is_cut { "it is too long" } else { "it ends in the middle of a line" };
            return Err(not_an_export(number, why).into());
        };
        if depth(text) > DEPTH_MAX {
            return Err(not_an_export(number, "it is nested too deep").into());
        }
        if number == 1 {
            header(text)?;
            first = Digest::of(text);
        } else if let Some((kind, record)) = tally.record(text) {
            put(tables, txn, kind, record).map_err(|error| in_line(error, number))?;
        } else {
            let trailer: Trailer = decode(text).map_err(|why| not_an_export(number, &why))?;
            if encode(&trailer)? != text {
                return Err(not_an_export(number, "it is not as it was written").into());
            }
            if !lines.fill_buf().map_err(unreadable)?.is_empty() {
                return Err(not_an_export(number, "something follows its last line").into());
            }
            return Ok(agreed(tally.finish(), first, &trailer, number)?);
        }
    }
}

/// How deep lists and objects are nested in the JSON text `json`.
fn depth(json: &[u8]) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    let mut in_string = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => drop(bytes.next()),
            b'[' | b'{' if !in_string => open = open.saturating_add(1),
            b']' | b'}' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest
}

fn header(line: &[u8]) -> Result<(), StoreError> {
    let wrong = |why: &str| not_an_export(1, why);
    let Header { optim_store, created_by } = decode(line).map_err(|why| wrong(&why))?;
    if optim_store == VERSION {
        return Ok(());
    }
    Err(wrong(&format!("{created_by} wrote version {optim_store}, this optim reads {VERSION}")))
}

fn agreed(
    read: Exported,
    first: Digest,
    trailer: &Trailer,
    line: u64,
) -> Result<Exported, StoreError> {
    let Trailer { records, hash, header } = trailer;
    if header.is_some_and(|header| header != first) {
        return Err(not_an_export(1, "it is not as it was written"));
    }
    let counted = read.records.iter().map(|(kind, count)| (*kind, *count));
    if !counted.eq(records.iter().map(|(kind, count)| (kind.as_str(), *count))) {
        return Err(not_an_export(line, "lines are missing, or were added"));
    }
    if read.hash != *hash {
        let why = format!("its lines have the hash {}, and should have {hash}", read.hash);
        return Err(not_an_export(line, &why));
    }
    Ok(read)
}

/// Stores one record.
fn put(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    kind: Kind,
    record: &[u8],
) -> Result<(), Error> {
    match kind {
        Kind::Campaign => {
            let campaign: Versioned<Campaign> = typed(record)?;
            put_campaign(tables, txn, &campaign.value, record)
        }
        Kind::Experiment => {
            let experiment: Experiment = typed(record)?;
            put_experiment(tables, txn, &experiment, record)
        }
        Kind::Run => {
            let run: Versioned<Run> = typed(record)?;
            put_run(tables, txn, &run.value, record)
        }
        Kind::Workflow => {
            let workflow: Versioned<StoredWorkflow> = typed(record)?;
            put_workflow(tables, txn, &workflow.value, record).map(drop)
        }
        Kind::WorkflowText => {
            let TextRecord { workflow, version, bytes } = typed(record)?;
            let seq = tables.workflow_ids.get(txn, &workflow_key(&workflow))?;
            let key = number_key(seq.ok_or_else(|| refused("its workflow is missing"))?, version.0);
            let value = seal("workflow_texts", &key, Codec::Raw, &decoded(bytes)?)?;
            Ok(tables.workflow_texts.put(txn, &key, &value)?)
        }
        Kind::WorkflowRun => {
            let run: Versioned<WorkflowRun> = typed(record)?;
            put_workflow_run(tables, txn, &run.value, record).map(drop)
        }
        Kind::Output => {
            let OutputRecord { run, bytes } = typed(record)?;
            let bytes = decoded(bytes)?;
            let seq = tables.workflow_run_ids.get(txn, run.as_bytes())?;
            let seq = seq.ok_or_else(|| refused("its workflow run is missing"))?;
            let key = output_key(seq, Digest::of(&bytes));
            let value = seal("workflow_run_outputs", &key, Codec::Raw, &bytes)?;
            Ok(tables.workflow_run_outputs.put(txn, &key, &value)?)
        }
        Kind::Throttle => {
            let throttle: Throttle = typed(record)?;
            put_throttle(tables, txn, &throttle.provider, record)
        }
        Kind::Entry => {
            let entry = Entry::from_bytes(record).map_err(|error| refused(&error.to_string()))?;
            if (View { tables, txn }).last_event()?.0.saturating_add(1) != entry.seq {
                return Err(refused("entries before it are missing").into());
            }
            put_entry(tables, txn, &entry)
        }
        Kind::Payload => {
            let PayloadRecord { bytes } = typed(record)?;
            let bytes = decoded(bytes)?;
            let digest = Digest::of(&bytes);
            let key = digest.as_bytes();
            Ok(tables.blobs.put(txn, key, &seal("blobs", key, Codec::Raw, &bytes)?)?)
        }
    }
}

fn typed<'r, T: Deserialize<'r>>(record: &'r [u8]) -> Result<T, StoreError> {
    decode(record).map_err(|why| refused(&why))
}

fn decoded(bytes: Bytes<'_>) -> Result<Vec<u8>, StoreError> {
    bytes.into_vec().ok_or_else(|| refused("its bytes are no hexadecimal digits"))
}

fn refused(why: &str) -> StoreError {
    not_an_export(0, why)
}

fn not_an_export(line: u64, why: &str) -> StoreError {
    StoreError::NotAnExport { line, why: why.to_owned() }
}

/// Says in which line it was.
fn in_line(error: Error, line: u64) -> Error {
    match error {
        Error::Store(StoreError::NotAnExport { line: 0, why }) => not_an_export(line, &why).into(),
        Error::Store(StoreError::Corrupt { what, why }) => {
            not_an_export(line, &format!("{what}: {why}")).into()
        }
        other => other,
    }
}

fn unreadable(source: std::io::Error) -> StoreError {
    StoreError::File { what: "read", source }
}
