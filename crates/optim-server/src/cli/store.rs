//! `optim store`: the store as a whole.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use optim_core::invariants::{Violation, check_invariants};
use optim_core::quantity::Millis;
use optim_store::StoreError;
use optim_store::upkeep::{Exported, Stat, Swept, Upkeep};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Outcome;
use super::call::Call;
use super::file::Replacement;
use crate::error::{CliError, Exit};

/// What is done with a store.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    /// Read everything, compare it with everything else and with the audit chain, check the invariants, and
    /// name what is damaged.
    Verify,
    /// Sizes, counts, use of the map, readers, format.
    Stat,
    /// Write all of it to a file, as it is at one moment.
    Export {
        /// The file that is written, or replaced.
        file: PathBuf,
    },
    /// Fill an empty store from such a file: with all of it, or nothing.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Drop what old workflow runs took in and put out, what old audit entries say if that is wished, and
    /// the payloads that nothing refers to.
    Gc(GcArgs),
}

/// The flags of `optim store gc`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GcArgs {
    /// Days for which inputs and outputs of workflow runs are kept after their end; those of optim.toml
    /// when absent.
    #[arg(long, value_name = "DAYS")]
    keep_outputs_days: Option<u32>,
    /// Days for which all payloads of audit entries are kept; those of optim.toml when absent, and for ever
    /// when that has none. Older ones that nothing needs any more are replaced by their digests.
    #[arg(long, value_name = "DAYS")]
    #[serde(default)]
    keep_audit_days: Option<u32>,
}

pub(super) async fn store(call: &Call, verb: Verb) -> Outcome {
    let store = call.session.engine.store();
    let upkeep = store.upkeep().ok_or_else(|| CliError::Usage {
        code: "store_forgets",
        message: "this store is kept in memory, and ends with its process; there is nothing to look after"
            .to_owned(),
    })?;
    match verb {
        Verb::Verify => verify(call, upkeep).await,
        Verb::Stat => {
            let stat = upkeep.stat().await?;
            tell_stat(call, &stat);
            Ok(Exit::Success)
        }
        Verb::Export { file } => export(call, upkeep, call.directory.join(file)).await,
        Verb::Import { file } => import(call, upkeep, &call.directory.join(file)).await,
        Verb::Gc(args) => gc(call, upkeep, args).await,
    }
}

async fn verify(call: &Call, upkeep: &dyn Upkeep) -> Outcome {
    let mut findings: Vec<_> = upkeep.verify().await?.iter().map(StoreError::to_string).collect();
    // While somebody writes, what is read one after another need not fit together.
    if findings.is_empty() && call.service.is_none() {
        let all = optim_store::snapshot(call.session.engine.store().as_ref()).await?;
        findings.extend(check_invariants(&all).iter().map(Violation::to_string));
    }
    if call.json {
        call.out.document(&json!({
            "schema": "optim/v1/store-verified",
            "intact": findings.is_empty(),
            "findings": findings,
        }));
    } else if findings.is_empty() {
        call.out.line("the store is intact");
    }
    if findings.is_empty() {
        return Ok(Exit::Success);
    }
    if !call.json {
        findings.iter().for_each(|finding| call.out.line(finding));
        call.out.line(&format!("{} finding(s); see docs/store.md", findings.len()));
    }
    Ok(Exit::Different)
}

fn tell_stat(call: &Call, stat: &Stat) {
    if call.json {
        call.out.document(&json!({"schema": "optim/v1/store-stat", "store": stat}));
        return;
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let line = |text: String| call.out.line(&text);
    line(format!("format {}, {} transactions", stat.format, stat.transactions));
    line(format!("tables: {} bytes of {} bytes in use", stat.table_bytes, stat.used_bytes));
    line(format!(
        "map: {} of {} MiB; it grows up to {} MiB",
        mib(stat.used_bytes),
        mib(stat.map_bytes),
        mib(stat.map_bytes_max)
    ));
    line(format!("readers: {} of {} slots", stat.readers, stat.readers_max));
    for (table, entries) in stat.tables.iter().filter(|(_, entries)| **entries > 0) {
        line(format!("  {entries:>9}  {table}"));
    }
    line(format!("audit chain: {}", stat.head));
}

async fn export(call: &Call, upkeep: &dyn Upkeep, path: PathBuf) -> Outcome {
    let file = Replacement::new(path.clone())?;
    let exported = upkeep.export(file.handle()?).await.map_err(|error| of_file(&path, error))?;
    let path = file.finish()?;
    tell_exchange(call, ("store-export", "exported to"), &path, &exported);
    Ok(Exit::Success)
}

async fn import(call: &Call, upkeep: &dyn Upkeep, path: &Path) -> Outcome {
    let file = File::open(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => CliError::NotFound {
            code: "file_not_found",
            message: format!(
                "there is no file {}; `optim store export FILE` writes one",
                path.display()
            ),
        },
        _ => CliError::Io { path: path.to_owned(), source },
    })?;
    let imported = upkeep.import(file).await.map_err(|error| of_file(path, error))?;
    tell_exchange(call, ("store-import", "imported from"), path, &imported);
    Ok(Exit::Success)
}

/// Names the file that could not be used.
fn of_file(path: &Path, error: StoreError) -> CliError {
    match error {
        StoreError::File { source, .. } => CliError::Io { path: path.to_owned(), source },
        error => error.into(),
    }
}

fn tell_exchange(call: &Call, (schema, done): (&str, &str), path: &Path, exported: &Exported) {
    let Exported { records, hash } = exported;
    if call.json {
        call.out.document(&json!({
            "schema": format!("optim/v1/{schema}"),
            "file": path,
            "records": records,
            "hash": hash,
        }));
        return;
    }
    let count: u64 = records.values().sum();
    call.out.line(&format!("{count} records {done} {}: {hash}", path.display()));
}

async fn gc(call: &Call, upkeep: &dyn Upkeep, args: GcArgs) -> Outcome {
    let GcArgs { keep_outputs_days, keep_audit_days } = args;
    let config = &call.session.config;
    let days = keep_outputs_days.unwrap_or(config.run.keep_outputs_days);
    let engine = &call.session.engine;
    let runs = engine.retain_workflow_runs(Millis::from_days(days)).await?;
    let audit_days = keep_audit_days.or(config.audit.keep_days);
    let entries = match audit_days {
        Some(days) => engine.retain_audit(Millis::from_days(days)).await?,
        None => 0,
    };
    let Swept { payloads, bytes } = upkeep.sweep().await?;
    if call.json {
        call.out.document(&json!({
            "schema": "optim/v1/store-gc",
            "workflow_runs": runs,
            "audit_entries": entries,
            "payloads": payloads,
            "bytes": bytes,
        }));
        return Ok(Exit::Success);
    }
    call.out.line(&format!(
        "dropped: inputs and outputs of {runs} workflow run(s) that ended more than {days} day(s) ago"
    ));
    if let Some(days) = audit_days {
        call.out.line(&format!(
            "dropped: what {entries} audit entries say that are older than {days} day(s); the chain holds"
        ));
    }
    call.out.line(&format!("removed: {payloads} payload(s) that nothing refers to, {bytes} bytes"));
    Ok(Exit::Success)
}
