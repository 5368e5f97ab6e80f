//! `optim workflow`: the workflows that optim keeps itself.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use optim_core::id::WorkflowId;
use optim_core::stored_workflow::transition::WorkflowCommand;
use optim_core::stored_workflow::{StoredWorkflow, VersionNumber, WorkflowVersion};
use optim_runtime::artifact::Artifact;
use optim_runtime::engine::StoredDefinition;
use optim_runtime::listing;
use optim_runtime::live::{DefinitionText, LiveError, WORKFLOW_BYTES_MAX};
use optim_store::{WorkflowFilter, WorkflowSummary};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Outcome;
use super::call::Call;
use crate::error::{CliError, Exit};

/// What is done with stored workflows.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    /// Make the definition in a file the current version of the workflow that it defines.
    Put {
        /// The file, YAML or JSON. It is stored byte for byte.
        file: PathBuf,
        /// Only if this is the current version; 0 if there must be none yet.
        #[arg(long, value_name = "VERSION")]
        expect: Option<u32>,
    },
    /// List the workflows, newest first.
    List {
        /// Those that are deleted and can be restored.
        #[arg(long)]
        deleted: bool,
    },
    /// Print a workflow's text; with --json its record, versions and definition.
    #[command(disable_version_flag = true)]
    Get {
        /// The workflow.
        id: String,
        /// The version; the current one when absent.
        #[arg(long)]
        version: Option<u32>,
    },
    /// Take a workflow out of use. Campaigns on it end; it is kept.
    Retire(EndArgs),
    /// Delete a workflow. Campaigns on it end; it can be restored for seven days.
    Delete(EndArgs),
    /// Take back a delete within its seven days, or else a retirement.
    Restore {
        /// The workflow.
        id: String,
        /// Why; kept in the audit log.
        #[arg(long, value_name = "WHY")]
        reason: Option<String>,
    },
}

/// The flags of the verbs that end a workflow's use.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndArgs {
    /// The workflow.
    id: String,
    /// Why.
    #[arg(long)]
    reason: String,
}

pub(super) async fn workflow(call: &Call, verb: Verb) -> Outcome {
    match verb {
        Verb::Put { file, expect } => put(call, &file, expect).await,
        Verb::List { deleted } => list(call, deleted).await,
        Verb::Get { id, version } => get(call, &id, version).await,
        Verb::Retire(EndArgs { id, reason }) => {
            change(call, &id, WorkflowCommand::Retire { reason }).await
        }
        Verb::Delete(EndArgs { id, reason }) => {
            change(call, &id, WorkflowCommand::Delete { reason }).await
        }
        Verb::Restore { id, reason } => {
            change(call, &id, WorkflowCommand::Restore { reason }).await
        }
    }
}

async fn put(call: &Call, file: &Path, expect: Option<u32>) -> Outcome {
    let name = file.display().to_string();
    let path = call.directory.join(file);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let file_name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let artifact =
        Artifact::read(folder, &file_name, WORKFLOW_BYTES_MAX).map_err(LiveError::Artifact)?;
    let checked = DefinitionText::check(&name, artifact.bytes).map_err(CliError::Project)?;
    for warning in &checked.warnings.0 {
        call.out.finding(warning);
    }
    let expected = expect.map(VersionNumber);
    let stored =
        call.session.engine.put_workflow(&checked.value, expected, call.actor.clone()).await?;
    print_state(call, &stored);
    Ok(Exit::Success)
}

async fn change(call: &Call, id: &str, command: WorkflowCommand) -> Outcome {
    let stored =
        call.session.engine.change_workflow(&named(id)?, &command, call.actor.clone()).await?;
    print_state(call, &stored);
    Ok(Exit::Success)
}

fn named(id: &str) -> Result<WorkflowId, CliError> {
    WorkflowId::new(id)
        .map_err(|error| CliError::Usage { code: error.code(), message: error.to_string() })
}

/// One line, or the record.
fn print_state(call: &Call, stored: &StoredWorkflow) {
    if call.json {
        call.out.document(&record(stored));
        return;
    }
    let version = stored.current().map(|current| current.number).unwrap_or_default();
    let until = stored.deleted.as_ref().map(|tombstone| {
        format!(
            "; `optim workflow restore {}` is possible until {}",
            stored.id,
            time(tombstone.restore_until)
        )
    });
    call.out.line(&format!(
        "workflow {}  {}  version {version}{}",
        stored.id,
        stored.state(),
        until.unwrap_or_default()
    ));
}

fn record(stored: &StoredWorkflow) -> Value {
    json!({
        "schema": "optim/v1/workflow",
        "id": stored.id,
        "state": stored.state(),
        "version": stored.current().map(|current| current.number),
        "versions": stored.versions.iter().map(version).collect::<Vec<_>>(),
        "retired": stored.retired,
        "deleted": stored.deleted,
    })
}

fn version(version: &WorkflowVersion) -> Value {
    let WorkflowVersion { number, definition, actor, at } = version;
    json!({
        "number": number,
        "sha256": definition.snapshot,
        "fingerprint": definition.fingerprint,
        "actor": actor,
        "at_ms": at,
    })
}

async fn list(call: &Call, deleted: bool) -> Outcome {
    let filter = if deleted { WorkflowFilter::Restorable } else { WorkflowFilter::Kept };
    let store = call.session.engine.store();
    let workflows = listing::readable(|page| store.workflows(filter, page)).await?;
    if call.json {
        let items: Vec<_> = workflows.iter().map(summary).collect();
        call.out.document(
            &json!({"schema": "optim/v1/workflows", "workflows": items, "count": items.len()}),
        );
        return Ok(Exit::Success);
    }
    for WorkflowSummary { id, name, state, version, updated_at } in &workflows {
        call.out.line(&format!("{id}  {state}  version {version}  {}  {name}", time(*updated_at)));
    }
    if workflows.is_empty() {
        call.out.error_line("no stored workflow; `optim workflow put FILE` stores one");
    }
    Ok(Exit::Success)
}

fn summary(workflow: &WorkflowSummary) -> Value {
    json!({
        "id": workflow.id,
        "name": workflow.name,
        "state": workflow.state,
        "version": workflow.version,
        "updated_at_ms": workflow.updated_at,
    })
}

async fn get(call: &Call, id: &str, version: Option<u32>) -> Outcome {
    let StoredDefinition { workflow, version, definition } =
        call.session.engine.definition(&named(id)?, version.map(VersionNumber)).await?;
    if call.json {
        let mut document = record(&workflow);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("shown_version".to_owned(), json!(version));
            fields.insert("definition".to_owned(), workflow.with_history(&definition.workflow));
        }
        call.out.document(&document);
    } else {
        call.out.text(&definition.text);
    }
    Ok(Exit::Success)
}

fn time(at: optim_core::quantity::Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string()).unwrap_or_default()
}
