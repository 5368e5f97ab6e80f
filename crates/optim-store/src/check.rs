//! The rules of a commit: checked by every backend with the same function, so that all give the
//! same answer.

use std::collections::BTreeSet;

use optim_core::campaign::event::Subject;
use optim_core::digest::Digest;
use optim_core::id::{CampaignId, ExperimentId, RunId, WorkflowId, WorkflowRunId};
use optim_core::run::Run;
use optim_core::stored_workflow::StoredWorkflow;
use optim_core::workflow_run::WorkflowRun;

use crate::store::{Commit, Revision, StoreError, Versioned, Write};

/// What is stored before a commit.
pub(crate) trait Present {
    /// What a failed read leads to.
    type Error: From<StoreError>;

    fn campaign_revision(&self, id: &CampaignId) -> Result<Option<Revision>, Self::Error>;
    fn experiment_place(&self, id: ExperimentId) -> Result<Option<(CampaignId, u32)>, Self::Error>;
    fn experiment_at(
        &self,
        campaign: &CampaignId,
        number: u32,
    ) -> Result<Option<ExperimentId>, Self::Error>;
    fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, Self::Error>;
    fn workflow(&self, id: &WorkflowId) -> Result<Option<Versioned<StoredWorkflow>>, Self::Error>;
    fn open_campaigns_on(&self, id: &WorkflowId) -> Result<Vec<CampaignId>, Self::Error>;
    fn open_runs_on(&self, id: &WorkflowId) -> Result<Vec<WorkflowRunId>, Self::Error>;
    fn workflow_run(
        &self,
        id: WorkflowRunId,
    ) -> Result<Option<Versioned<WorkflowRun>>, Self::Error>;
}

/// Whether `commit` may be applied to what is `present`.
pub(crate) fn check<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    campaigns(commit, present)?;
    experiments(commit, present)?;
    runs(commit, present)?;
    workflows(commit, present)?;
    workflow_runs(commit, present)?;
    for event in &commit.events {
        match &event.subject {
            Subject::Campaign(id) => {
                campaign_exists(id, commit, present, "an event is of an unknown campaign")?
            }
            Subject::Workflow(id) if workflow_after(id, commit, present)?.is_some() => {}
            Subject::Workflow(_) => return refuse("an event is of an unknown workflow"),
            Subject::WorkflowRun(id) if run_exists(*id, commit, present)? => {}
            Subject::WorkflowRun(_) => return refuse("an event is of an unknown workflow run"),
            Subject::Provider(_) => {}
        }
    }
    let mut throttles =
        commit.throttles.iter().flat_map(|(id, throttle)| Some((id, throttle.as_ref()?)));
    if throttles.any(|(id, throttle)| throttle.provider != *id) {
        return refuse("a throttle is under the name of another provider");
    }
    let blob_bytes = commit.payloads().map(|blob| blob.bytes().len()).sum::<usize>();
    if blob_bytes > Commit::BLOB_BYTES_MAX {
        return refuse("its payloads have more than 64 MiB");
    }
    Ok(())
}

fn campaigns<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    let mut ids = BTreeSet::new();
    for Write { expected, value } in &commit.campaigns {
        if !ids.insert(&value.id) {
            return refuse("a campaign is in it twice");
        }
        let found = present.campaign_revision(&value.id)?.unwrap_or_default();
        expect(*expected, found, || format!("campaign {}", value.id))?;
        if let (Revision(0), Some(workflow)) = (found, value.source.location.stored()) {
            is_in_use(workflow, commit, present)?;
        }
    }
    Ok(())
}

/// Campaigns and runs begin only on a workflow that is in use.
fn is_in_use<P: Present>(id: &WorkflowId, commit: &Commit, present: &P) -> Result<(), P::Error> {
    match workflow_after(id, commit, present)? {
        Some(workflow) if workflow.is_in_use() => Ok(()),
        Some(_) => conflict(format!("workflow {id}")),
        None => refuse("a campaign or a run is on a stored workflow that is unknown"),
    }
}

fn workflows<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    let mut ids = BTreeSet::new();
    let mut new_versions = BTreeSet::new();
    for Write { expected, value } in &commit.workflows {
        if !ids.insert(&value.id) {
            return refuse("a workflow is in it twice");
        }
        let before = present.workflow(&value.id)?;
        let found = before.as_ref().map(|before| before.revision).unwrap_or_default();
        expect(*expected, found, || format!("workflow {}", value.id))?;
        let before = before.map(|before| before.value.versions).unwrap_or_default();
        for version in value.versions.iter().filter(|version| !before.contains(version)) {
            new_versions.insert((&value.id, version.number, version.definition.snapshot));
        }
        if !value.is_in_use() {
            no_open_campaign_is_left_on(&value.id, commit, present)?;
        }
        if value.deleted.is_some() {
            no_open_run_is_left_on(&value.id, commit, present)?;
        }
    }
    let texts: BTreeSet<_> = commit
        .texts
        .iter()
        .map(|text| (&text.workflow, text.version, text.text.digest()))
        .collect();
    if texts == new_versions && texts.len() == commit.texts.len() {
        Ok(())
    } else {
        refuse("the texts are not those of the new versions of its workflows")
    }
}

fn no_open_campaign_is_left_on<P: Present>(
    id: &WorkflowId,
    commit: &Commit,
    present: &P,
) -> Result<(), P::Error> {
    for campaign in present.open_campaigns_on(id)? {
        let ends = commit
            .campaigns
            .iter()
            .any(|write| write.value.id == campaign && write.value.is_closed());
        if !ends {
            return conflict(format!("campaign {campaign}"));
        }
    }
    Ok(())
}

fn no_open_run_is_left_on<P: Present>(
    id: &WorkflowId,
    commit: &Commit,
    present: &P,
) -> Result<(), P::Error> {
    for run in present.open_runs_on(id)? {
        let mut writes = commit.workflow_runs.iter();
        if !writes.any(|write| write.value.id == run && !write.value.is_open()) {
            return conflict(format!("workflow run {run}"));
        }
    }
    Ok(())
}

/// The workflow as it is after the commit.
fn workflow_after<P: Present>(
    id: &WorkflowId,
    commit: &Commit,
    present: &P,
) -> Result<Option<StoredWorkflow>, P::Error> {
    match commit.workflows.iter().find(|write| write.value.id == *id) {
        Some(write) => Ok(Some(write.value.clone())),
        None => Ok(present.workflow(id)?.map(|found| found.value)),
    }
}

fn experiments<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    let mut ids = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for experiment in &commit.experiments {
        if !writes(commit, &experiment.campaign) {
            return refuse("an experiment comes without a write of its campaign");
        }
        if !ids.insert(experiment.id) || !numbers.insert((&experiment.campaign, experiment.number))
        {
            return refuse("an experiment, or its number, is in it twice");
        }
        match present.experiment_place(experiment.id)? {
            Some(place) if place != (experiment.campaign.clone(), experiment.number) => {
                return refuse("an experiment changes its campaign or its number");
            }
            Some(_) => {}
            None if present.experiment_at(&experiment.campaign, experiment.number)?.is_some() => {
                return refuse("an experiment takes the number of another one");
            }
            None => {}
        }
    }
    Ok(())
}

fn runs<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    let mut ids = BTreeSet::new();
    for Write { expected, value: run } in &commit.runs {
        if !ids.insert(run.id) {
            return refuse("a run is in it twice");
        }
        let before = present.run(run.id)?;
        let found = before.as_ref().map(|before| before.revision).unwrap_or_default();
        expect(*expected, found, || format!("run {}", run.id))?;
        match before {
            Some(before) if identity(&before.value) != identity(run) => {
                return refuse("a run changes its campaign, evaluation, case or snapshot");
            }
            Some(_) => {}
            None => {
                campaign_exists(&run.campaign, commit, present, "a run is of an unknown campaign")?
            }
        }
    }
    Ok(())
}

fn workflow_runs<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    let (mut ids, mut new_outputs) = (BTreeSet::new(), BTreeSet::new());
    for Write { expected, value: run } in &commit.workflow_runs {
        if !ids.insert(run.id) {
            return refuse("a workflow run is in it twice");
        }
        let before = present.workflow_run(run.id)?;
        let found = before.as_ref().map(|before| before.revision).unwrap_or_default();
        expect(*expected, found, || format!("workflow run {}", run.id))?;
        let before = before.map(|before| before.value);
        if let Some(before) = &before {
            follows(run, before)?;
        }
        let is_begun = before.as_ref().is_none_or(|before| run.is_open() && !before.is_open());
        if let (true, Some(workflow)) = (is_begun, run.stored_workflow()) {
            is_in_use(workflow, commit, present)?;
        }
        let known: BTreeSet<_> = before.iter().flat_map(WorkflowRun::outputs).collect();
        new_outputs.extend(run.outputs().filter(|it| !known.contains(it)).map(|it| (run.id, it)));
    }
    let outputs = commit.outputs.iter().map(|output| (output.run, output.output.digest()));
    let outputs: BTreeSet<(WorkflowRunId, Digest)> = outputs.collect();
    if outputs == new_outputs && outputs.len() == commit.outputs.len() {
        Ok(())
    } else {
        refuse("the outputs are not those that its workflow runs begin to list")
    }
}

/// Whether `run` may come after `before`.
fn follows<E: From<StoreError>>(run: &WorkflowRun, before: &WorkflowRun) -> Result<(), E> {
    let executed = |run: &WorkflowRun| (run.workflow.clone(), run.origin.clone(), run.snapshot);
    if executed(before) != executed(run) {
        return refuse("a workflow run changes its workflow, origin or snapshot");
    }
    if run.history.total() < before.history.total() {
        return refuse("a workflow run knows less of its history than before");
    }
    Ok(())
}

fn run_exists<P: Present>(
    id: WorkflowRunId,
    commit: &Commit,
    present: &P,
) -> Result<bool, P::Error> {
    let in_commit = commit.workflow_runs.iter().any(|write| write.value.id == id);
    Ok(in_commit || present.workflow_run(id)?.is_some())
}

fn identity(run: &Run) -> impl PartialEq + '_ {
    (&run.campaign, run.evaluation, &run.case, run.snapshot)
}

fn campaign_exists<P: Present>(
    id: &CampaignId,
    commit: &Commit,
    present: &P,
    otherwise: &'static str,
) -> Result<(), P::Error> {
    if writes(commit, id) || present.campaign_revision(id)?.is_some() {
        Ok(())
    } else {
        refuse(otherwise)
    }
}

/// Whether the campaign is among those that change.
fn writes(commit: &Commit, id: &CampaignId) -> bool {
    commit.campaigns.iter().any(|write| write.value.id == *id)
}

fn expect<E: From<StoreError>>(
    expected: Revision,
    found: Revision,
    what: impl FnOnce() -> String,
) -> Result<(), E> {
    if expected == found { Ok(()) } else { conflict(what()) }
}

fn conflict<E: From<StoreError>>(what: String) -> Result<(), E> {
    Err(StoreError::Conflict { what }.into())
}

fn refuse<E: From<StoreError>>(why: &'static str) -> Result<(), E> {
    Err(StoreError::Refused(why).into())
}
