//! `optim try`: measure a change of one's own.

use std::path::{Path, PathBuf};

use optim_core::campaign::command::Command;
use optim_core::campaign::{Campaign, Fate, SearchMode};
use optim_core::id::NodeId;
use optim_core::mutation::validate::{self, MutationError};
use optim_core::mutation::{FieldValue, MutableField, Mutation};
use optim_core::workflow::Workflow;
use optim_runtime::artifact::Artifact;
use optim_runtime::live::{WORKFLOW_BYTES_MAX, WorkflowFile};
use optim_runtime::service::settled;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Outcome, run};
use crate::error::CliError;

/// The flags of `optim try`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(group = clap::ArgGroup::new("change").required(true).args(["candidate", "text_file", "value"]))]
pub(crate) struct Args {
    /// A whole workflow file that differs from the baseline in one field of one node.
    #[arg(value_name = "FILE")]
    candidate: Option<PathBuf>,
    /// The node to change.
    #[arg(long, requires = "field")]
    node: Option<String>,
    /// The field to change: objective, output_contract_summary_guidance, timeout_ms,
    /// retry_policy_max_attempts or retry_policy_retries.
    #[arg(long, requires = "node")]
    field: Option<String>,
    /// A file with the new text of a text field.
    #[arg(long, value_name = "FILE", requires = "field", conflicts_with = "candidate")]
    text_file: Option<PathBuf>,
    /// The new value of a number field.
    #[arg(long, value_name = "NUMBER", requires = "field", conflicts_with_all = ["candidate", "text_file"])]
    value: Option<i64>,
    /// Compare it in the open campaign though files that this froze were edited since.
    #[arg(long)]
    #[serde(default)]
    frozen: bool,
}

pub(super) async fn try_candidate(call: &Call, args: Args) -> Outcome {
    let campaign = match run::open_campaign(&call.session).await? {
        Some(open) => {
            if !args.frozen {
                run::unedited(&open)?;
            }
            open
        }
        None => {
            let project = call.session.project().await?;
            let mutation = args.mutation(&call.directory, &project.workflow)?;
            validate::check_mutation(
                &project.workflow,
                &mutation,
                &project.policies.mutation,
                &project.policies.scope,
            )
            .map_err(refused)?;
            call.create(call.session.draft(&project, None, None, SearchMode::Suggestions)?).await?
        }
    };
    let baseline = call.session.engine.workflow(campaign.baseline.snapshot).await?;
    let mutation = args.mutation(&call.directory, &baseline)?;
    let policies = &campaign.frozen.policies;
    validate::check_mutation(&baseline, &mutation, &policies.mutation, &policies.scope)
        .map_err(refused)?;
    let key = mutation.key();
    let campaign = call
        .session
        .engine
        .submit(&campaign.id, &Command::Suggest { mutation }, call.actor.clone())
        .await?;
    let decided = |campaign: &Campaign| {
        let search = &campaign.search;
        !search.suggestions.iter().any(|waiting| waiting.key() == key)
            && search.tried.get(&key) != Some(&Fate::Pending)
    };
    let campaign =
        run::follow(call, campaign, None, |campaign| settled(campaign) || decided(campaign))
            .await?;
    run::finish(call, &campaign).await
}

fn refused(error: MutationError) -> CliError {
    CliError::Usage { code: error.code(), message: format!("the change is refused: {error}") }
}

impl Args {
    fn mutation(&self, directory: &Path, baseline: &Workflow) -> Result<Mutation, CliError> {
        if let Some(file) = &self.candidate {
            let file = directory.join(file);
            let candidate = WorkflowFile::read(parent(&file), &file.display().to_string())?;
            return validate::diff(baseline, &candidate.definition.workflow).map_err(refused);
        }
        let usage = |code, message| CliError::Usage { code, message };
        let node = NodeId::new(self.node.clone().unwrap_or_default())
            .map_err(|error| usage("invalid_id", error.to_string()))?;
        let field = self.field()?;
        let nodes = || {
            baseline.nodes().iter().map(|node| node.id().as_str()).collect::<Vec<_>>().join(", ")
        };
        let Some((_, found)) = baseline.node(&node) else {
            return Err(usage(
                "unknown_node",
                format!("the workflow has no node {node}; it has {}", nodes()),
            ));
        };
        let Some(before) = field.spec().get(found) else {
            return Err(usage(
                "field_missing",
                format!("node {node} has no {field}; a field can be changed, not created"),
            ));
        };
        let after = match (&self.text_file, self.value, &before) {
            (Some(file), _, FieldValue::Text(before)) => {
                FieldValue::Text(ending_like(before, &read_text(&directory.join(file))?))
            }
            (_, Some(value), FieldValue::Integer(_)) => FieldValue::Integer(value),
            (_, _, FieldValue::Text(_)) => {
                return Err(usage(
                    "text_expected",
                    format!("{field} is text; give --text-file FILE"),
                ));
            }
            (_, _, FieldValue::Integer(_)) => {
                return Err(usage(
                    "number_expected",
                    format!("{field} is a number; give --value NUMBER"),
                ));
            }
        };
        Ok(Mutation { node, field, before, after })
    }

    fn field(&self) -> Result<MutableField, CliError> {
        let asked = self.field.clone().unwrap_or_default();
        let found = MutableField::ALL
            .into_iter()
            .find(|field| field.name() == asked || field.path() == asked);
        found.ok_or_else(|| CliError::Usage {
            code: "unknown_field",
            message: format!(
                "there is no mutable field {asked:?}; there are {}",
                MutableField::ALL.map(MutableField::name).join(", ")
            ),
        })
    }
}

fn parent(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn read_text(file: &Path) -> Result<String, CliError> {
    let usage = |code, message| CliError::Usage { code, message };
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let artifact = Artifact::read(parent(file), &name, WORKFLOW_BYTES_MAX)
        .map_err(|error| usage(error.code(), error.to_string()))?;
    let text = String::from_utf8(artifact.bytes)
        .map_err(|error| usage("not_utf8", format!("{}: is not UTF-8: {error}", file.display())))?;
    Ok(text)
}

/// `text` with the line ends of `before` behind it: how a file ends is no part of what it says, and a
/// change at the end would count all that lies between it and the real one.
fn ending_like(before: &str, text: &str) -> String {
    let bare = |text: &str| text.trim_end_matches(['\r', '\n']).len();
    let end = before.get(bare(before)..).unwrap_or("");
    format!("{}{end}", text.get(..bare(text)).unwrap_or(text))
}
