//! What it takes to execute a workflow for its effect: a definition that can be executed, and a folder.

use std::path::{Path, PathBuf};

use optim_core::canonical;
use optim_core::diagnostic::{Checked, Diagnostic, Diagnostics, Place};
use optim_core::secret;
use optim_core::workflow::check::check;
use optim_core::workflow::{Workflow, load};
use optim_store::Blob;

use crate::executor::{Capabilities, unmet_needs};
use crate::scheduler::workspace::CanonicalPath;

/// A definition that can be executed in a folder that is there.
#[derive(Debug, Clone)]
pub struct Executable {
    /// The definition.
    pub workflow: Workflow,
    /// The same, as it is frozen.
    pub definition: Blob,
    /// Where its nodes work.
    pub workspace: CanonicalPath,
}

/// Reads the definition in `bytes`, called `name`, for an executor with `capabilities`. A relative or
/// absent workspace begins in `folder`. Gates, which keep a workflow from being optimized, are fine here.
///
/// # Errors
/// Every finding that keeps the workflow from being executed.
pub fn read(
    name: &str,
    bytes: &[u8],
    folder: &Path,
    capabilities: &Capabilities,
) -> Result<Checked<Executable>, Diagnostics> {
    let (workflow, document) = load::load(name, bytes)?;
    let mut of_workflow = check(&workflow, None);
    of_workflow.retain(|finding| finding.code != "gate_present");
    of_workflow.extend(unmet_needs(&workflow, capabilities));
    let mut findings = load::locate(name, &document, of_workflow);
    findings.0.extend(secret::findings(name, bytes));
    let root = workflow.workspace_root().map_or(PathBuf::new(), |root| root.trim().into());
    let workspace = CanonicalPath::resolve(&folder.join(root));
    let workspace = workspace.map_err(|error| {
        let message =
            format!("workspace_root cannot be used: {error}; make the folder, or correct it");
        Diagnostic::error(
            "workspace_missing",
            Place::file(name).path("/workspace_root".to_owned()),
            message,
        )
    });
    match workspace {
        Ok(workspace) if !findings.has_errors() => {
            let definition = Blob::new(canonical::bytes(&workflow.to_json()));
            Ok(Checked {
                value: Executable { workflow, definition, workspace },
                warnings: findings,
            })
        }
        Ok(_) => Err(findings),
        Err(missing) => {
            findings.0.push(missing);
            Err(findings)
        }
    }
}
