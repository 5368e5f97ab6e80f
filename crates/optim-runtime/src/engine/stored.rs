//! Stored workflows on the write path.

use optim_core::campaign::Campaign;
use optim_core::campaign::command::{Command, Context};
use optim_core::campaign::observation::Observation;
use optim_core::campaign::transition as campaign_transition;
use optim_core::id::{Actor, CampaignId, WorkflowId};
use optim_core::stored_workflow::transition::{
    Decision, WorkflowCommand, WorkflowRejection, decide, observe,
};
use optim_core::stored_workflow::{CampaignWrite, StoredWorkflow, VersionNumber};
use optim_store::{
    Blob, Commit, Page, Revision, StoreError, Versioned, WorkflowFilter, WorkflowText, Write,
};

use super::{CONFLICT_RETRIES_MAX, Engine, EngineError};
use crate::listing;
use crate::live::DefinitionText;

/// One version of a stored workflow, read.
#[derive(Debug, Clone)]
pub struct StoredDefinition {
    /// The workflow's record.
    pub workflow: StoredWorkflow,
    /// The version.
    pub version: VersionNumber,
    /// Its text.
    pub definition: DefinitionText,
}

impl Engine {
    /// Reads a stored workflow, also one that is deleted.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`] when there never was one.
    pub async fn stored_workflow(
        &self,
        id: &WorkflowId,
    ) -> Result<Versioned<StoredWorkflow>, EngineError> {
        let found = self.store.workflow(id).await?;
        found.ok_or_else(|| EngineError::WorkflowNotFound(id.clone()))
    }

    /// Reads a version of a stored workflow; the current one when none is named.
    ///
    /// # Errors
    /// The workflow is deleted, or the version is not kept.
    pub async fn definition(
        &self,
        id: &WorkflowId,
        version: Option<VersionNumber>,
    ) -> Result<StoredDefinition, EngineError> {
        let workflow = self.stored_workflow(id).await?.value;
        if workflow.deleted.is_some() {
            return Err(WorkflowRejection::Deleted { id: id.clone() }.into());
        }
        let current = workflow.current().map(|current| current.number).unwrap_or_default();
        let version = version.unwrap_or(current);
        let not_kept = || EngineError::VersionNotFound { id: id.clone(), version, current };
        let text = self.store.workflow_text(id, version).await?.ok_or_else(not_kept)?;
        let name = format!("stored:{id}");
        let definition = DefinitionText::read(&name, text).map_err(|error| {
            let what = format!("version {version} of workflow {id}");
            StoreError::Corrupt { what, why: error.to_string() }
        })?;
        Ok(StoredDefinition { workflow, version, definition })
    }

    /// Makes `definition` the current version of the workflow that it defines.
    ///
    /// # Errors
    /// [`EngineError::Workflow`] when the current version is not the `expected` one, or the workflow is
    /// not in use.
    pub async fn put_workflow(
        &self,
        definition: &DefinitionText,
        expected: Option<VersionNumber>,
        actor: Actor,
    ) -> Result<StoredWorkflow, EngineError> {
        let id = definition.workflow.id();
        let cx = self.context(actor);
        let put = WorkflowCommand::Put { definition: definition.summary(), expected, write: None };
        for _ in 0..CONFLICT_RETRIES_MAX {
            let Versioned { revision, value } = self.workflow_or_new(id).await?;
            let decision = decide(&value, &put, &cx)?;
            let mut commit = Commit::default();
            add(&mut commit, (revision, &decision), Some(definition));
            if self.commit_or_again(commit).await? {
                return Ok(decision.next);
            }
        }
        Err(EngineError::WorkflowContended(id.clone()))
    }

    /// Retires, deletes or restores a stored workflow. What works on it ends in the same commit.
    ///
    /// # Errors
    /// [`EngineError::Workflow`] when the workflow does not allow it now.
    pub async fn change_workflow(
        &self,
        id: &WorkflowId,
        command: &WorkflowCommand,
        actor: Actor,
    ) -> Result<StoredWorkflow, EngineError> {
        let cx = self.context(actor);
        self.workflow_step(id, &cx, |workflow| decide(workflow, command, &cx)).await
    }

    /// Purges the history of the deleted workflows whose window is over, and what their runs took in and
    /// put out; says how many workflows there were.
    ///
    /// # Errors
    /// The store fails.
    pub async fn purge_workflows(&self) -> Result<usize, EngineError> {
        let cx = self.context(Actor::engine());
        let deleted = |page| self.store.workflows(WorkflowFilter::Restorable, page);
        let mut purged = 0;
        for workflow in listing::readable(deleted).await? {
            let stored = self.stored_workflow(&workflow.id).await?.value;
            if observe(&stored, &cx).events.is_empty() {
                continue;
            }
            // Before the purge: once that is done, nobody looks at the workflow again.
            self.expire_runs_of(&workflow.id).await?;
            let next = self.workflow_step(&workflow.id, &cx, |it| Ok(observe(it, &cx))).await?;
            purged += usize::from(next.versions.is_empty());
        }
        Ok(purged)
    }

    /// Writes `definition`, made from version `read`, to the stored workflow of a campaign. Both are
    /// in this store, so the write is announced, made and recorded in one commit.
    ///
    /// # Errors
    /// The campaign refuses, or the workflow was changed since it was read. Nothing has changed then.
    pub(crate) async fn write_stored(
        &self,
        campaign: &CampaignId,
        command: &Command,
        (read, texts): (VersionNumber, Vec<Blob>),
        definition: &DefinitionText,
        actor: Actor,
    ) -> Result<Campaign, EngineError> {
        let cx = self.context(actor);
        let landed = Observation::LiveWriteEnded { found: definition.workflow.fingerprint() };
        for _ in 0..CONFLICT_RETRIES_MAX {
            let Versioned { revision, value } = self.campaign(campaign).await?;
            let announced = campaign_transition::decide(&value, command, &cx)?;
            let write = announced.next.live.intent.clone();
            let write = write.map(|write| CampaignWrite { campaign: campaign.clone(), write });
            let decision = announced.then(|next| campaign_transition::observe(next, &landed, &cx));
            let put = WorkflowCommand::Put {
                definition: definition.summary(),
                expected: Some(read),
                write: write.map(Box::new),
            };
            let workflow = self.stored_workflow(definition.workflow.id()).await?;
            let put = decide(&workflow.value, &put, &cx)?;
            let next = decision.next.clone();
            let mut commit = self.commit_of(revision, decision).await?;
            commit.blobs.extend(texts.iter().cloned());
            add(&mut commit, (workflow.revision, &put), Some(definition));
            if self.commit_or_again(commit).await? {
                return Ok(next);
            }
        }
        Err(EngineError::Contended(campaign.clone()))
    }

    async fn workflow_or_new(
        &self,
        id: &WorkflowId,
    ) -> Result<Versioned<StoredWorkflow>, EngineError> {
        Ok(self.store.workflow(id).await?.unwrap_or_else(|| Versioned {
            revision: Revision(0),
            value: StoredWorkflow::new(id.clone()),
        }))
    }

    /// Load, decide, commit; again when somebody else was faster.
    async fn workflow_step(
        &self,
        id: &WorkflowId,
        cx: &Context,
        step: impl Fn(&StoredWorkflow) -> Result<Decision, WorkflowRejection>,
    ) -> Result<StoredWorkflow, EngineError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let Versioned { revision, value } = self.stored_workflow(id).await?;
            let decision = step(&value)?;
            let mut commit = match &decision.ends_work {
                Some(reason) => self.end_work(&decision.next, reason, cx).await?,
                None => Commit::default(),
            };
            add(&mut commit, (revision, &decision), None);
            let ended: Vec<_> = commit.campaigns.iter().map(|write| write.value.clone()).collect();
            if self.commit_or_again(commit).await? {
                for campaign in &ended {
                    self.settle_now(campaign).await;
                }
                return Ok(decision.next);
            }
        }
        Err(EngineError::WorkflowContended(id.clone()))
    }

    /// What ends the work on a workflow that is not in use any more: its campaigns and, when it is
    /// deleted, its own runs.
    async fn end_work(
        &self,
        workflow: &StoredWorkflow,
        reason: &str,
        cx: &Context,
    ) -> Result<Commit, EngineError> {
        let mut commit = self.end_campaigns(&workflow.id, reason, cx).await?;
        if workflow.deleted.is_some() {
            let (runs, events) =
                self.workflow_run_cancellations(&workflow.id, reason, &cx.actor).await?;
            commit.workflow_runs = runs;
            commit.events.extend(events);
        }
        Ok(commit)
    }

    /// What ends the open campaigns on a stored workflow.
    async fn end_campaigns(
        &self,
        id: &WorkflowId,
        reason: &str,
        cx: &Context,
    ) -> Result<Commit, EngineError> {
        let gone = Observation::SourceGone { reason: reason.to_owned() };
        let mut commit = Commit::default();
        for campaign in Page::all(|page| self.store.campaigns_on(id, page)).await? {
            let Versioned { revision, value } = self.campaign(&campaign.id).await?;
            let decision = campaign_transition::observe(&value, &gone, cx);
            let ended = self.commit_of(revision, decision).await?;
            commit.campaigns.extend(ended.campaigns);
            commit.experiments.extend(ended.experiments);
            commit.runs.extend(ended.runs);
            commit.events.extend(ended.events);
        }
        Ok(commit)
    }

    /// Commits; `false` when somebody else was faster.
    async fn commit_or_again(&self, commit: Commit) -> Result<bool, EngineError> {
        if commit.events.is_empty() {
            return Ok(true);
        }
        match self.commit(commit).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Adds a step of a workflow to a commit, with the text of the version that it brings.
fn add(
    commit: &mut Commit,
    (expected, decision): (Revision, &Decision),
    definition: Option<&DefinitionText>,
) {
    if decision.events.is_empty() {
        return;
    }
    let value = decision.next.clone();
    let version = value.current().map(|current| current.number).unwrap_or_default();
    commit.texts.extend(definition.map(|definition| WorkflowText {
        workflow: value.id.clone(),
        version,
        text: definition.blob(),
    }));
    commit.workflows.push(Write { expected, value });
    commit.events.extend(decision.events.clone());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use optim_core::campaign::command::LiveChange;
    use optim_core::campaign::live::{Live, plan_apply};
    use optim_core::id::NodeId;
    use optim_core::mutation::patch::Patch;
    use optim_core::mutation::{FieldValue, MutableField, Mutation};
    use optim_core::quantity::Timestamp;
    use optim_store::memory::Memory;
    use optim_store::testing::{render, sample};

    use super::*;
    use crate::clock::ManualClock;
    use crate::live::texts;

    fn definition(objective: &str, other: &str) -> DefinitionText {
        let node = |id: &str, text: &str| {
            format!("    - {{node_id: {id}, agent_id: a, objective: {text}}}\n")
        };
        let nodes = node("n", objective) + &node("m", other);
        let text = format!("automation_id: w\nagents: [{{agent_id: a}}]\nflow:\n  nodes:\n{nodes}");
        DefinitionText::check("w.yaml", text.into_bytes()).unwrap().value
    }

    #[tokio::test]
    async fn an_edit_between_the_read_and_the_write_of_an_apply_is_kept_and_the_apply_refused() {
        let engine = Engine::new(Arc::new(Memory::new()), Arc::new(ManualClock::at(Timestamp(1))));
        let source = definition("old", "same");
        engine.put_workflow(&source, None, Actor::engine()).await.unwrap();
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let node = NodeId::new("n").unwrap();
        let (before, after, field) = (text("old"), text("new"), MutableField::Objective);
        let patch = Patch::default().then(&Mutation { node, field, before, after }).unwrap();
        let mut campaign = sample::campaign_on("c", "w");
        campaign.live = Live::new(source.workflow.fingerprint());
        campaign.baseline.version = 1;
        campaign.baseline.patch = patch;
        let new = super::super::NewCampaign { campaign: campaign.clone(), blobs: Vec::new() };
        engine.create(new, Actor::engine()).await.unwrap();

        let read = engine.definition(source.workflow.id(), None).await.unwrap();
        let patch = plan_apply(&campaign).unwrap();
        let written = read.definition.patched(&patch).unwrap();
        let change = LiveChange {
            from: read.definition.workflow.fingerprint(),
            to: written.workflow.fingerprint(),
            texts: texts(&read.definition, &written),
            patch,
            accept_drift: None,
            reason: None,
        };
        // Somebody else edits the other node now.
        engine.put_workflow(&definition("old", "edited"), None, Actor::engine()).await.unwrap();
        let before = render(&**engine.store()).await.unwrap();
        let refused = engine
            .write_stored(
                &campaign.id,
                &Command::Apply(change),
                (read.version, vec![read.definition.blob(), written.blob()]),
                &written,
                Actor::engine(),
            )
            .await
            .unwrap_err();
        assert_eq!(refused.code(), "workflow_version_moved");
        assert_eq!(render(&**engine.store()).await.unwrap(), before);
    }
}
