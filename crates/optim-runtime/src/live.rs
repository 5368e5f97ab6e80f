//! The live workflow file: apply and rollback with drift detection.
//!
//! The order is: announce the write in the store, write the file, record what is live. After a crash
//! anywhere in between, [`settle`] looks at the file and records what is true.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use optim_core::campaign::Campaign;
use optim_core::campaign::command::{Command, LiveChange, Rejection};
use optim_core::campaign::live::{LiveWriteKind, plan_apply, plan_rollback};
use optim_core::campaign::observation::Observation;
use optim_core::diagnostic::Diagnostics;
use optim_core::document::{EditError, Scalar, Step, set_scalar};
use optim_core::id::{Actor, CampaignId};
use optim_core::mutation::patch::{Drift, Patch};
use optim_core::mutation::{FieldValue, Mutation};
use optim_core::workflow::{Workflow, load};

use crate::artifact::{Artifact, ArtifactError};
use crate::engine::{Engine, EngineError};

/// The most bytes that a workflow file may have.
pub const WORKFLOW_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A workflow file as it is now.
#[derive(Debug, Clone)]
pub struct WorkflowFile {
    /// Its canonical path.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What it defines.
    pub workflow: Workflow,
}

/// Why a live workflow could not be read or written. The file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The file cannot be read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The file is not a valid workflow.
    #[error("the workflow file is not valid: {} finding(s)", .0.0.len())]
    Invalid(Diagnostics),
    /// Fields that the patch changes are not what it expects.
    #[error("the live workflow has drifted: {0}")]
    Drift(Drift),
    /// The text cannot be edited at a field.
    #[error("{path} cannot be edited at {field}: {source}; nothing was written", path = path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// The field.
        field: String,
        /// Why.
        source: EditError,
    },
    /// The edited text does not define what it should.
    #[error("{path}: the edited text would not define the approved workflow; nothing was written", path = path.display())]
    Verification {
        /// The file.
        path: PathBuf,
    },
    /// Somebody changed the file meanwhile.
    #[error("{path} was changed by somebody else meanwhile; nothing was written, run the command again", path = path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{path} cannot be written: {source}; it is as it was", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl LiveError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Artifact(error) => error.code(),
            Self::Invalid(_) => "workflow_invalid",
            Self::Drift(_) => "live_drift",
            Self::Edit { .. } => "live_edit",
            Self::Verification { .. } => "live_verification",
            Self::Changed { .. } => "live_changed",
            Self::Io { .. } => "live_io",
            Self::Engine(error) => error.code(),
        }
    }
}

impl From<Rejection> for LiveError {
    fn from(rejection: Rejection) -> Self {
        Self::Engine(rejection.into())
    }
}

/// What a write did.
#[derive(Debug, Clone)]
pub struct LiveOutcome {
    /// The campaign after it.
    pub campaign: Campaign,
    /// The file.
    pub path: PathBuf,
    /// Its text before.
    pub before: String,
    /// Its text after.
    pub after: String,
}

impl WorkflowFile {
    /// Reads the workflow file at `path`, which must lie inside `root`.
    ///
    /// # Errors
    /// It cannot be read, or is not a valid workflow.
    pub fn read(root: &Path, path: &str) -> Result<Self, LiveError> {
        let artifact = Artifact::read(root, path, WORKFLOW_BYTES_MAX)?;
        Self::parse(artifact.path, &artifact.reference, artifact.bytes)
    }

    fn parse(path: PathBuf, name: &str, bytes: Vec<u8>) -> Result<Self, LiveError> {
        let (workflow, _) = load::load(name, &bytes).map_err(LiveError::Invalid)?;
        // `load` has refused what is not UTF-8.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self { path, text, workflow })
    }

    /// The text with `patch`, and what it defines.
    fn patched(&self, patch: &Patch) -> Result<(String, Workflow), LiveError> {
        let next = patch.apply(&self.workflow).map_err(LiveError::Drift)?;
        let mut text = self.text.clone();
        for change in patch.changes() {
            text = self.edit(&text, change)?;
        }
        let (written, _) =
            load::load("the edited workflow", text.as_bytes()).map_err(LiveError::Invalid)?;
        if written.fingerprint() == next.fingerprint() {
            Ok((text, next))
        } else {
            Err(LiveError::Verification { path: self.path.clone() })
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
            path: self.path.clone(),
            field: format!("{}.{}", change.node, change.field),
            source,
        })
    }

    /// Replaces the file by `text` in one step, if it still holds what was read.
    fn replace(&self, text: &str) -> Result<(), LiveError> {
        let io = |source| LiveError::Io { path: self.path.clone(), source };
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let permissions = std::fs::metadata(&self.path).map_err(io)?.permissions();
        let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
        temporary.write_all(text.as_bytes()).map_err(io)?;
        temporary.as_file().set_permissions(permissions).map_err(io)?;
        temporary.as_file().sync_all().map_err(io)?;
        if std::fs::read(&self.path).map_err(io)? != self.text.as_bytes() {
            return Err(LiveError::Changed { path: self.path.clone() });
        }
        temporary.persist(&self.path).map_err(|error| io(error.error))?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
    }
}

/// Writes the approved baseline to the live workflow.
///
/// # Errors
/// The campaign has nothing to apply, the live workflow has drifted, or the file cannot be written.
pub async fn apply(
    engine: &Engine,
    id: &CampaignId,
    actor: Actor,
    accept_drift: Option<String>,
) -> Result<LiveOutcome, LiveError> {
    write(engine, id, actor, LiveWriteKind::Apply, accept_drift).await
}

/// Takes back the last apply.
///
/// # Errors
/// No apply is in effect, the live workflow has drifted, or the file cannot be written.
pub async fn rollback(
    engine: &Engine,
    id: &CampaignId,
    actor: Actor,
    accept_drift: Option<String>,
) -> Result<LiveOutcome, LiveError> {
    write(engine, id, actor, LiveWriteKind::Rollback, accept_drift).await
}

async fn write(
    engine: &Engine,
    id: &CampaignId,
    actor: Actor,
    kind: LiveWriteKind,
    accept_drift: Option<String>,
) -> Result<LiveOutcome, LiveError> {
    let campaign = settle(engine, id).await?;
    let patch = match kind {
        LiveWriteKind::Apply => plan_apply(&campaign)?,
        LiveWriteKind::Rollback => plan_rollback(&campaign)?,
    };
    let file = live_file(&campaign)?;
    let (text, next) = file.patched(&patch)?;
    let change = LiveChange {
        from: file.workflow.fingerprint(),
        to: next.fingerprint(),
        patch,
        accept_drift,
    };
    let command = match kind {
        LiveWriteKind::Apply => Command::Apply(change),
        LiveWriteKind::Rollback => Command::Rollback(change),
    };
    engine.submit(id, &command, actor).await?;
    let written = file.replace(&text);
    let campaign = settle(engine, id).await?;
    written?;
    Ok(LiveOutcome { campaign, path: file.path, before: file.text, after: text })
}

/// Records the end of an announced write, by looking at what is live.
///
/// # Errors
/// The live workflow cannot be read, or the store fails.
pub async fn settle(engine: &Engine, id: &CampaignId) -> Result<Campaign, LiveError> {
    let campaign = engine.campaign(id).await?.value;
    if campaign.live.intent.is_none() {
        return Ok(campaign);
    }
    let found = live_file(&campaign)?.workflow.fingerprint();
    Ok(engine.record(id, &Observation::LiveWriteEnded { found }, Vec::new()).await?)
}

fn live_file(campaign: &Campaign) -> Result<WorkflowFile, LiveError> {
    let path = Path::new(&campaign.source.location);
    WorkflowFile::read(path.parent().unwrap_or(Path::new("/")), &campaign.source.location)
}
