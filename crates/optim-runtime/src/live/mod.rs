//! The live workflow: apply and rollback with drift detection.
//!
//! For a file the order is: announce the write in the store, write the file, record what is live. After
//! a crash anywhere in between, [`settle`] looks at the file and records what is true. A stored
//! workflow is in the store of its campaign, so all of that is one commit.

mod definition;
mod file;
pub(crate) mod measurement;

use std::path::{Path, PathBuf};

use optim_core::campaign::Campaign;
use optim_core::campaign::command::{Command, LiveChange, Rejection};
use optim_core::campaign::live::{LiveWriteKind, Texts, plan_apply, plan_rollback};
use optim_core::campaign::location::Location;
use optim_core::campaign::observation::Observation;
use optim_core::diagnostic::Diagnostics;
use optim_core::document::EditError;
use optim_core::id::{Actor, CampaignId};
use optim_core::mutation::patch::{Drift, Patch};
use optim_core::mutation::validate::{self, MutationError};
use optim_core::workflow::{Workflow, differences};

use crate::artifact::ArtifactError;
use crate::engine::{Engine, EngineError, StoredDefinition};

pub use self::definition::DefinitionText;
pub use self::file::WorkflowFile;
pub use self::measurement::measure;

/// The most bytes that a workflow may have.
pub const WORKFLOW_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Paths that a message names at most.
const DIFFERENCES_SHOWN: usize = 8;

/// Why a live workflow could not be read or written. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The file cannot be read.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// What is live is not a valid workflow.
    #[error("the live workflow is not valid: {} finding(s)", .0.0.len())]
    Invalid(Diagnostics),
    /// The live workflow was edited since the campaign last knew it.
    #[error("{rejection}; it differs in {}", shown(differences))]
    Edited {
        /// What the campaign says.
        rejection: Rejection,
        /// The paths of what differs.
        differences: Vec<String>,
    },
    /// Fields that the patch changes are not what it expects.
    #[error("the live workflow has drifted: {0}")]
    Drift(Drift),
    /// The policies do not let a field change.
    #[error("the approved baseline cannot be applied: {0}")]
    NotAllowed(#[from] MutationError),
    /// The text cannot be edited at a field.
    #[error("{name} cannot be edited at {field}: {source}; nothing was written")]
    Edit {
        /// The workflow.
        name: String,
        /// The field.
        field: String,
        /// Why.
        source: EditError,
    },
    /// The edited text does not define what it should.
    #[error("{name}: the edited text would not define the approved workflow; nothing was written")]
    Verification {
        /// The workflow.
        name: String,
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
            Self::Edited { .. } | Self::Drift(_) => "live_drift",
            Self::NotAllowed(error) => error.code(),
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

/// Who wants a write, and why.
#[derive(Debug, Clone)]
pub struct LiveRequest {
    /// Who.
    pub actor: Actor,
    /// Why; kept in the audit log.
    pub reason: Option<String>,
    /// Why a live workflow that was edited elsewhere is accepted; absent means that it is not.
    pub accept_drift: Option<String>,
    /// The baseline's version that must be live, so that a request that is made again after a crash takes
    /// back, or goes on to, nothing further; absent for whichever is.
    pub if_live: Option<u32>,
}

impl LiveRequest {
    /// A write on a live workflow that nobody has edited.
    #[must_use]
    pub fn by(actor: Actor) -> Self {
        Self { actor, reason: None, accept_drift: None, if_live: None }
    }
}

/// What a write did.
#[derive(Debug, Clone)]
pub struct LiveOutcome {
    /// The campaign after it.
    pub campaign: Campaign,
    /// What was written.
    pub location: Location,
    /// Its text before.
    pub before: String,
    /// Its text after.
    pub after: String,
}

/// Writes the approved baseline to the live workflow.
///
/// # Errors
/// The campaign has nothing to apply, the live workflow has drifted, or it cannot be written.
pub async fn apply(
    engine: &Engine,
    id: &CampaignId,
    request: LiveRequest,
) -> Result<LiveOutcome, LiveError> {
    write(engine, id, LiveWriteKind::Apply, request).await
}

/// Takes back the last apply.
///
/// # Errors
/// No apply is in effect, the live workflow has drifted, or it cannot be written.
pub async fn rollback(
    engine: &Engine,
    id: &CampaignId,
    request: LiveRequest,
) -> Result<LiveOutcome, LiveError> {
    write(engine, id, LiveWriteKind::Rollback, request).await
}

async fn write(
    engine: &Engine,
    id: &CampaignId,
    kind: LiveWriteKind,
    request: LiveRequest,
) -> Result<LiveOutcome, LiveError> {
    let LiveRequest { actor, reason, accept_drift, if_live } = request;
    let campaign = settle(engine, id).await?;
    let live = campaign.live.version();
    if let Some(asked) = if_live.filter(|asked| *asked != live) {
        return Err(Rejection::LiveVersion { live, asked }.into());
    }
    let patch = match kind {
        LiveWriteKind::Apply => plan_apply(&campaign)?,
        LiveWriteKind::Rollback => plan_rollback(&campaign)?,
    };
    let live = Live::of(engine, &campaign).await?;
    let before = live.definition().clone();
    let after = match kind {
        LiveWriteKind::Apply => {
            check_fields(&campaign, &before.workflow, &patch)?;
            before.patched(&patch)?
        }
        LiveWriteKind::Rollback => rolled_back(engine, &campaign, &before, &patch).await?,
    };
    let change = LiveChange {
        from: before.workflow.fingerprint(),
        to: after.workflow.fingerprint(),
        texts: texts(&before, &after),
        patch,
        accept_drift,
        reason,
    };
    let command = match kind {
        LiveWriteKind::Apply => Command::Apply(change),
        LiveWriteKind::Rollback => Command::Rollback(change),
    };
    let texts = vec![before.blob(), after.blob()];
    let announced = match &live {
        Live::File(_) => engine.announce(id, &command, texts, actor).await,
        Live::Stored(read) => {
            let read = (read.version, texts);
            Box::pin(engine.write_stored(id, &command, read, &after, actor)).await
        }
    };
    let announced = match announced {
        Err(EngineError::Rejected(rejection @ Rejection::LiveDrift { .. })) => {
            return Err(edited(engine, &campaign, rejection, &before.workflow).await);
        }
        announced => announced?,
    };
    let campaign = match live {
        Live::File(file) => {
            let written = file.replace(&after.text);
            let campaign = settle(engine, id).await?;
            written?;
            campaign
        }
        Live::Stored(_) => announced,
    };
    let (before, after) = (before.text, after.text);
    Ok(LiveOutcome { location: campaign.source.location.clone(), campaign, before, after })
}

pub(crate) fn texts(before: &DefinitionText, after: &DefinitionText) -> Texts {
    Texts { before: before.digest(), after: after.digest() }
}

/// What a rollback writes: what the last apply replaced, to the byte, while the live workflow is as that
/// apply left it. After an edit elsewhere it is the edited text without the patch.
async fn rolled_back(
    engine: &Engine,
    campaign: &Campaign,
    live: &DefinitionText,
    patch: &Patch,
) -> Result<DefinitionText, LiveError> {
    let patched = live.patched(patch)?;
    let texts = campaign.live.applied.last().and_then(|write| write.texts);
    let Some(texts) = texts.filter(|texts| texts.after == live.digest()) else {
        return Ok(patched);
    };
    let former = engine.store().blob(texts.before).await.map_err(EngineError::Store)?;
    let former = former.map(|text| DefinitionText::read(&live.name, text)).transpose()?;
    let same =
        |former: &DefinitionText| former.workflow.fingerprint() == patched.workflow.fingerprint();
    Ok(former.filter(same).unwrap_or(patched))
}

/// A refusal because of drift, with its places. Without the text that the campaign knows, it stands all
/// the same.
async fn edited(
    engine: &Engine,
    campaign: &Campaign,
    rejection: Rejection,
    live: &Workflow,
) -> LiveError {
    match known(engine, campaign).await {
        Ok(known) => LiveError::Edited { rejection, differences: differences(&known, live) },
        Err(_) => rejection.into(),
    }
}

/// The live workflow as the campaign knows it: what it wrote last, else the source.
async fn known(engine: &Engine, campaign: &Campaign) -> Result<Workflow, LiveError> {
    let written = campaign.live.applied.last().and_then(|write| write.texts);
    if let Some(texts) = written
        && let Some(text) = engine.store().blob(texts.after).await.map_err(EngineError::Store)?
    {
        return Ok(DefinitionText::read("what was applied", text)?.workflow);
    }
    Ok(engine.workflow(campaign.source.snapshot).await?.as_ref().clone())
}

/// The first paths of `differences`.
fn shown(differences: &[String]) -> String {
    let first: Vec<_> = differences.iter().take(DIFFERENCES_SHOWN).cloned().collect();
    match differences.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more places", first.join(", ")),
    }
}

/// What the policies do not let change is not written either. A rollback undoes whatever there is.
fn check_fields(campaign: &Campaign, live: &Workflow, patch: &Patch) -> Result<(), LiveError> {
    let policies = &campaign.frozen.policies;
    for change in patch.changes() {
        let missing = || MutationError::NodeMissing { node: change.node.clone() };
        let (_, node) = live.node(&change.node).ok_or_else(missing)?;
        validate::check_field(node, change.field, &policies.mutation, &policies.scope)?;
    }
    Ok(())
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
    let found = Live::of(engine, &campaign).await?.definition().workflow.fingerprint();
    Ok(engine.record(id, &Observation::LiveWriteEnded { found }, Vec::new()).await?)
}

/// The live workflow of a campaign as it is now.
enum Live {
    File(WorkflowFile),
    Stored(StoredDefinition),
}

impl Live {
    async fn of(engine: &Engine, campaign: &Campaign) -> Result<Self, LiveError> {
        match &campaign.source.location {
            Location::File(path) => {
                let folder = Path::new(path).parent().unwrap_or(Path::new("/"));
                WorkflowFile::read(folder, path).map(Self::File)
            }
            Location::Stored(id) => Ok(Self::Stored(engine.definition(id, None).await?)),
        }
    }

    fn definition(&self) -> &DefinitionText {
        match self {
            Self::File(file) => &file.definition,
            Self::Stored(stored) => &stored.definition,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use optim_core::campaign::live::Live as Known;
    use optim_core::id::NodeId;
    use optim_core::mutation::{FieldValue, MutableField, Mutation};
    use optim_core::quantity::Timestamp;
    use optim_store::memory::Memory;
    use optim_store::testing::sample;

    use super::*;
    use crate::clock::ManualClock;
    use crate::engine::NewCampaign;

    const PLAIN: &str = "automation_id: w
agents: [{agent_id: a}]
flow:
  nodes:
    - node_id: n
      agent_id: a
      objective: Name the day # in words
";

    /// A live file with [`PLAIN`], and an engine with a campaign whose approved text needs quotation marks.
    pub(super) async fn applied() -> (tempfile::TempDir, PathBuf, Engine, CampaignId) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap().join("workflow.yaml");
        std::fs::write(&path, PLAIN).unwrap();
        let source = DefinitionText::read("w", PLAIN.as_bytes().to_vec()).unwrap().workflow;
        let better = Mutation {
            node: NodeId::new("n").unwrap(),
            field: MutableField::Objective,
            before: FieldValue::Text("Name the day".to_owned()),
            after: FieldValue::Text("Aim: name the day".to_owned()),
        };
        let mut campaign = sample::campaign("c");
        campaign.source.location = Location::File(path.display().to_string());
        campaign.live = Known::new(source.fingerprint());
        campaign.baseline.version = 1;
        campaign.baseline.patch = Patch::default().then(&better).unwrap();
        let engine = Engine::new(Arc::new(Memory::new()), Arc::new(ManualClock::at(Timestamp(0))));
        let id = campaign.id.clone();
        let new = NewCampaign { campaign, blobs: Vec::new() };
        engine.create(new, Actor::engine()).await.unwrap();
        apply(&engine, &id, LiveRequest::by(Actor::engine())).await.unwrap();
        (folder, path, engine, id)
    }

    #[tokio::test]
    async fn a_rollback_gives_the_former_text_back_to_the_byte() {
        let (_folder, path, engine, id) = applied().await;
        assert!(std::fs::read_to_string(&path).unwrap().contains("\"Aim: name the day\""));
        rollback(&engine, &id, LiveRequest::by(Actor::engine())).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), PLAIN);
    }

    #[tokio::test]
    async fn a_rollback_keeps_what_was_edited_since() {
        let (_folder, path, engine, id) = applied().await;
        let edited = format!("# Ours.\n{}", std::fs::read_to_string(&path).unwrap());
        std::fs::write(&path, edited).unwrap();
        rollback(&engine, &id, LiveRequest::by(Actor::engine())).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# Ours.\n") && text.contains("Name the day"), "{text}");
        assert!(!text.contains("Aim"), "{text}");
    }

    #[tokio::test]
    async fn an_edit_of_what_was_applied_is_refused_with_its_places() {
        let (_folder, path, engine, id) = applied().await;
        let edited = std::fs::read_to_string(&path).unwrap();
        let edited = edited.replace("{agent_id: a}", "{agent_id: a, skills: [s]}");
        std::fs::write(&path, &edited).unwrap();
        let refused = rollback(&engine, &id, LiveRequest::by(Actor::engine())).await.unwrap_err();
        let LiveError::Edited { differences, .. } = &refused else { panic!("{refused}") };
        assert_eq!(differences, &["agents[0].skills"]);
        assert!(refused.to_string().ends_with("it differs in agents[0].skills"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), edited);
    }
}
