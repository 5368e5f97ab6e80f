//! The text of a workflow, and what it becomes with a patch.

use optim_core::diagnostic::{Checked, Diagnostic, Diagnostics, Place, Severity};
use optim_core::digest::Digest;
use optim_core::document::{Scalar, Step, set_scalar};
use optim_core::mutation::patch::Patch;
use optim_core::mutation::{FieldValue, Mutation};
use optim_core::secret;
use optim_core::stored_workflow::{Definition, WorkflowStatus};
use optim_core::workflow::check::{Finding, check};
use optim_core::workflow::{Workflow, load};
use optim_store::Blob;

use super::{LiveError, WORKFLOW_BYTES_MAX};

/// The text of a workflow with what it defines.
#[derive(Debug, Clone)]
pub struct DefinitionText {
    /// What people call it: a path, or `stored:ID`.
    pub name: String,
    /// The text.
    pub text: String,
    /// What it defines.
    pub workflow: Workflow,
}

impl DefinitionText {
    /// Reads a definition as far as that a patch can be applied to it.
    ///
    /// # Errors
    /// It is not a valid workflow.
    pub fn read(name: &str, bytes: Vec<u8>) -> Result<Self, LiveError> {
        let (workflow, _) = load::load(name, &bytes).map_err(LiveError::Invalid)?;
        Ok(Self::of(name, bytes, workflow))
    }

    /// Reads a definition that is to be stored.
    ///
    /// # Errors
    /// Every finding that would stop a run of it, and a `status` that is unknown.
    pub fn check(name: &str, bytes: Vec<u8>) -> Result<Checked<Self>, Diagnostics> {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > WORKFLOW_BYTES_MAX {
            let message = format!("has {size} bytes, at most {WORKFLOW_BYTES_MAX} are allowed");
            return Err(Diagnostic::error("file_too_large", Place::file(name), message).into());
        }
        let (workflow, document) = load::load(name, &bytes)?;
        let mut findings = check(&workflow, None);
        findings.extend(unknown_status(&workflow));
        let mut findings = load::locate(name, &document, findings);
        findings.0.extend(secret::findings(name, &bytes));
        if findings.has_errors() {
            return Err(findings);
        }
        Ok(Checked { value: Self::of(name, bytes, workflow), warnings: findings })
    }

    fn of(name: &str, bytes: Vec<u8>, workflow: Workflow) -> Self {
        // `load` has refused what is not UTF-8.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self { name: name.to_owned(), text, workflow }
    }

    /// The text as it is stored.
    #[must_use]
    pub fn blob(&self) -> Blob {
        Blob::new(self.text.clone().into_bytes())
    }

    /// What a stored workflow's record says of it; a status that is unknown counts as a draft.
    #[must_use]
    pub fn summary(&self) -> Definition {
        Definition {
            name: self.workflow.name().to_owned(),
            status: WorkflowStatus::of(&self.workflow).unwrap_or(WorkflowStatus::Draft),
            snapshot: self.digest(),
            fingerprint: self.workflow.fingerprint(),
        }
    }

    /// The text's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// The definition with `patch`.
    ///
    /// # Errors
    /// A field is not what the patch expects, or the text cannot be edited there.
    pub fn patched(&self, patch: &Patch) -> Result<Self, LiveError> {
        let next = patch.apply(&self.workflow).map_err(LiveError::Drift)?;
        let mut text = self.text.clone();
        for change in patch.changes() {
            text = self.edit(&text, change)?;
        }
        let (written, _) =
            load::load("the edited workflow", text.as_bytes()).map_err(LiveError::Invalid)?;
        if written.fingerprint() == next.fingerprint() {
            Ok(Self { name: self.name.clone(), text, workflow: written })
        } else {
            Err(LiveError::Verification { name: self.name.clone() })
        }
    }

    fn edit(&self, text: &str, change: &Mutation) -> Result<String, LiveError> {
        let index = self.workflow.node(&change.node).map_or(0, |(index, _)| index);
        let mut steps = vec![Step::Key("flow"), Step::Key("nodes"), Step::Index(index)];
        steps.extend(change.field.spec().path().iter().map(|key| Step::Key(key)));
        let value = match &change.after {
            FieldValue::Text(text) => Scalar::String(text.clone()),
            FieldValue::Integer(number) => Scalar::Int(*number),
        };
        set_scalar(text, &steps, &value).map_err(|source| LiveError::Edit {
            name: self.name.clone(),
            field: format!("{}.{}", change.node, change.field),
            source,
        })
    }
}

fn unknown_status(workflow: &Workflow) -> Option<Finding> {
    WorkflowStatus::of(workflow).is_none().then(|| Finding {
        code: "unknown_status",
        severity: Severity::Error,
        path: "/status".to_owned(),
        message: "the status says nothing that is known".to_owned(),
        help: "write active, paused or draft".to_owned(),
    })
}
