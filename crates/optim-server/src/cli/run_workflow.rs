//! `optim run-workflow`: executes the project's workflow for its effect, in its real workspace.

use std::path::Path;

use optim_core::campaign::location::Location;
use optim_core::id::WorkflowRunId;
use optim_core::stored_workflow::transition::ensure_in_use;
use optim_core::workflow_run::transition::Order;
use optim_core::workflow_run::{Origin, Trigger};
use optim_runtime::artifact::Artifact;
use optim_runtime::engine::EngineError;
use optim_runtime::live::{LiveError, WORKFLOW_BYTES_MAX};
use optim_runtime::workflow_order;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Outcome;
use super::call::Call;
use super::runs;
use crate::error::{CliError, Exit};

/// The most bytes of the inputs.
const INPUTS_BYTES_MAX: u64 = 1024 * 1024;

/// The flags of `optim run-workflow`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// What the root nodes get: a JSON object, or @FILE with one.
    #[arg(long, value_name = "JSON|@FILE", default_value = "{}")]
    inputs: String,
    /// A text of your own that stands for this run: asking again with it executes nothing again.
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// Record what would be executed, and execute nothing.
    #[arg(long)]
    dry_run: bool,
    /// Only queue it; whoever works runs off next executes it.
    #[arg(long, conflicts_with = "follow")]
    queue: bool,
    /// Print each step as it happens.
    #[arg(long)]
    follow: bool,
}

pub(super) async fn run_workflow(call: &Call, args: Args) -> Outcome {
    let session = &call.session;
    let (name, bytes, folder, origin) = match &session.config.workflow {
        Location::File(file) => {
            let artifact = Artifact::read(&session.folder, file, WORKFLOW_BYTES_MAX)
                .map_err(LiveError::Artifact)?;
            let folder = artifact.path.parent().unwrap_or(Path::new("/")).to_owned();
            let origin = Origin::File { path: artifact.path.display().to_string() };
            (file.clone(), artifact.bytes, folder, origin)
        }
        Location::Stored(id) => {
            let stored = session.engine.definition(id, None).await?;
            let origin = Origin::Stored { version: stored.version };
            ensure_in_use(&stored.workflow).map_err(EngineError::from)?;
            let text = stored.definition.text.into_bytes();
            (format!("stored:{id}"), text, session.folder.clone(), origin)
        }
    };
    let capabilities = session.executor.capabilities();
    let executable =
        workflow_order::read(&name, &bytes, &folder, capabilities).map_err(CliError::Project)?;
    for warning in &executable.warnings.0 {
        call.out.finding(warning);
    }
    let workflow_order::Executable { workflow, definition, workspace } = executable.value;
    let key = args.key.as_deref();
    let order = Order {
        id: key.map_or_else(
            || session.engine.new_workflow_run_id(),
            |key| WorkflowRunId::derive(&[b"key", key.as_bytes()]),
        ),
        origin,
        snapshot: definition.digest(),
        trigger: Trigger::Manual,
        dry_run: args.dry_run,
        inputs: inputs(call, &args.inputs)?,
        workspace: workspace.as_path().display().to_string(),
    };
    let created =
        session.engine.create_workflow_run(order, &workflow, definition, call.actor.clone());
    let run = created.await?;
    if args.queue {
        runs::print(call, &run);
        return Ok(Exit::Success);
    }
    runs::work_off(call, run.id, args.follow).await
}

/// The JSON object that is given, or that is in the file that is named.
fn inputs(call: &Call, given: &str) -> Result<Map<String, Value>, CliError> {
    let refused = |why: String| CliError::Usage {
        code: "inputs_invalid",
        message: format!("--inputs: {why}; give a JSON object, or @FILE with one"),
    };
    let text = match given.strip_prefix('@') {
        None => given.to_owned(),
        Some(file) => {
            let path = call.directory.join(file);
            let io = |error: std::io::Error| refused(format!("{file}: {error}"));
            let bytes = std::fs::metadata(&path).map_err(io)?.len();
            if bytes > INPUTS_BYTES_MAX {
                return Err(refused(format!(
                    "{file} has {bytes} bytes, at most {INPUTS_BYTES_MAX} are allowed"
                )));
            }
            std::fs::read_to_string(path).map_err(io)?
        }
    };
    serde_json::from_str(&text).map_err(|error| refused(error.to_string()))
}
