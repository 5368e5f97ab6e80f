//! `optim audit`: everything that happened, and whether the chain of it is whole.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use optim_core::audit::head::Head;
use optim_core::audit::verify::{Broken, Verifier, Whole};
use optim_runtime::engine::EngineError;
use optim_store::{EventSeq, Page, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Outcome;
use super::call::Call;
use super::file::{self, Replacement};
use super::output::Output;
use crate::error::{CliError, Exit};

/// What is done with the audit chain.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    /// Whether the chain is whole, and the records what it says; the first entry that is not what was
    /// written is named, and each record.
    Verify(VerifyArgs),
    /// Print the chain's end, SEQ:HASH, to be noted elsewhere.
    Head,
    /// Write the chain as JSON lines.
    Export(ExportArgs),
}

/// The flags of `optim audit verify`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyArgs {
    /// A file of an export, `-` for stdin, or the folder of a copy of a store; no project is needed then.
    /// The project's store when absent.
    pub(super) from: Option<PathBuf>,
    /// A head that was noted: the chain must go through it.
    #[arg(long, value_name = "SEQ:HASH")]
    pub(super) head: Option<Head>,
}

/// The flags of `optim audit export`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportArgs {
    /// Write digests instead of payloads: the chain can be verified, and tells nothing else.
    #[arg(long)]
    without_payloads: bool,
    /// The file that is written, or replaced; stdout when absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn audit(call: &Call, verb: Verb) -> Outcome {
    match verb {
        Verb::Verify(VerifyArgs { from: Some(from), head }) => {
            verify_elsewhere(&call.directory.join(from), head, &call.out, call.json).await
        }
        Verb::Verify(VerifyArgs { from: None, head }) => verify(call, head).await,
        Verb::Head => head(call).await,
        Verb::Export(args) => export(call, args).await,
    }
}

/// Verifies the chain in the project's store, which must go through the head that is noted for it too.
async fn verify(call: &Call, pinned: Option<Head>) -> Outcome {
    let mut noted = None;
    if let Some(file) = call.session.head_file() {
        noted = file.read().await.map_err(EngineError::from)?;
        if noted.is_none() {
            call.out.error_line(&format!("note: no head is in {} yet", file.path().display()));
        }
    }
    let store = call.session.engine.store().as_ref();
    let found = verify_store(store, pinned.into_iter().chain(noted)).await?;
    Ok(tell(&call.out, call.json, &found))
}

/// Verifies the chain in a file, or in a copy of a store.
pub(super) async fn verify_elsewhere(
    from: &Path,
    pinned: Option<Head>,
    out: &Output,
    json: bool,
) -> Outcome {
    let found = if from.is_dir() {
        // Opening another folder would make a store of it.
        if !from.join("data.mdb").exists() {
            return Err(CliError::NotFound {
                code: "store_not_found",
                message: format!("{} is no copy of a store: it has no data.mdb", from.display()),
            });
        }
        let store = optim_store::url::open(&format!("lmdb:{}", from.display()))?;
        verify_store(store.as_ref(), pinned).await?
    } else {
        let lines = file::open(from, "audit export --out FILE")?;
        verify_lines(lines, pinned)
            .map_err(|source| CliError::Io { path: from.to_owned(), source })?
            .into()
    };
    Ok(tell(out, json, &found))
}

fn verify_lines(
    mut lines: impl BufRead,
    pinned: Option<Head>,
) -> std::io::Result<Result<Whole, Broken>> {
    let (mut verifier, mut line) = (Verifier::new(pinned), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        if let Err(broken) = verifier.take_bytes(line.strip_suffix(b"\n").unwrap_or(&line)) {
            return Ok(Err(broken));
        }
        line.clear();
    }
    Ok(verifier.finish())
}

/// What was found about a chain and, in a store, about the records that it tells of.
struct Found {
    chain: Result<Whole, Broken>,
    /// Records that are not what a whole chain says.
    changed: Vec<String>,
}

impl From<Result<Whole, Broken>> for Found {
    /// Of a chain alone.
    fn from(chain: Result<Whole, Broken>) -> Self {
        Self { chain, changed: Vec::new() }
    }
}

async fn verify_store(
    store: &dyn Store,
    pinned: impl IntoIterator<Item = Head>,
) -> Result<Found, CliError> {
    let mut verifier = Verifier::new(pinned);
    loop {
        let entries = store.audit(EventSeq(verifier.head().seq), Page::LIMIT_MAX).await?;
        if entries.is_empty() {
            break;
        }
        if let Err(broken) = entries.iter().try_for_each(|entry| verifier.take(entry)) {
            return Ok(Err(broken).into());
        }
    }
    let mut found = Found::from(verifier.finish());
    if let (Ok(_), Some(upkeep)) = (&found.chain, store.upkeep()) {
        let changed = upkeep.against_the_chain().await?;
        found.changed = changed.iter().map(StoreError::to_string).collect();
    }
    Ok(found)
}

fn tell(out: &Output, json: bool, found: &Found) -> Exit {
    let Found { chain, changed } = found;
    match chain {
        Ok(Whole { head, dropped }) if json => out.document(&json!({
            "schema": "optim/v1/audit-verified",
            "whole": true,
            "head": head,
            "entries": head.seq,
            "dropped": dropped,
            "changed": changed,
        })),
        Ok(Whole { head, dropped }) => {
            let without = match dropped {
                0 => String::new(),
                some => format!(", {some} of them without their payload"),
            };
            out.line(&format!("the chain of {} entries is whole{without}: {head}", head.seq));
            changed.iter().for_each(|record| out.line(&format!("changed: {record}")));
        }
        Err(Broken { seq, why }) if json => out.document(&json!({
            "schema": "optim/v1/audit-verified",
            "whole": false,
            "broken": {"seq": seq, "code": why.code(), "why": why.to_string()},
        })),
        Err(broken) => out.line(&format!("broken[{}]: {broken}", broken.why.code())),
    }
    if chain.is_ok() && changed.is_empty() { Exit::Success } else { Exit::Different }
}

async fn head(call: &Call) -> Outcome {
    let head = call.session.engine.store().audit_head().await?;
    if call.json {
        call.out.document(&json!({"schema": "optim/v1/audit-head", "head": head}));
    } else {
        call.out.line(&head.to_string());
    }
    Ok(Exit::Success)
}

async fn export(call: &Call, args: ExportArgs) -> Outcome {
    let ExportArgs { without_payloads, out } = args;
    let mut file = out.map(|out| Replacement::new(call.directory.join(out))).transpose()?;
    let mut head = Head::default();
    loop {
        let store = call.session.engine.store();
        let entries = store.audit(EventSeq(head.seq), Page::LIMIT_MAX).await?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            head = entry.head();
            let entry = if without_payloads { entry.without_payload() } else { entry };
            let line = String::from_utf8_lossy(&entry.to_bytes()).into_owned();
            match &mut file {
                Some(file) => file.line(&line)?,
                None => call.out.line(&line),
            }
        }
    }
    let Some(file) = file else {
        return Ok(Exit::Success);
    };
    let path = file.finish()?;
    let verify = format!("{} audit verify {} --head {head}", call.prefix(), path.display());
    if call.json {
        call.out.document(&json!({
            "schema": "optim/v1/audit-export",
            "file": path,
            "entries": head.seq,
            "head": head,
            "next": [verify],
        }));
    } else {
        call.out.line(&format!("{} entries are in {}", head.seq, path.display()));
        call.out.next(&[verify]);
    }
    Ok(Exit::Success)
}
