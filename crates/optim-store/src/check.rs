//! The rules of a commit: checked by every backend with the same function, so that all give the
//! same answer. First those of the store, then the invariants, as far as one commit shows them.

use std::collections::BTreeSet;

use optim_core::campaign::Campaign;
use optim_core::campaign::event::Subject;
use optim_core::digest::Digest;
use optim_core::experiment::Experiment;
use optim_core::id::{CampaignId, EvaluationId, ExperimentId, RunId, WorkflowId, WorkflowRunId};
use optim_core::invariants::change::{Change, Changed, check_change};
use optim_core::run::Run;
use optim_core::stored_workflow::StoredWorkflow;
use optim_core::workflow_run::WorkflowRun;

use crate::store::{Commit, Revision, StoreError, Versioned, Write};

/// What is stored before a commit.
pub(crate) trait Present {
    /// What a failed read leads to.
    type Error: From<StoreError>;

    fn campaign(&self, id: &CampaignId) -> Result<Option<Versioned<Campaign>>, Self::Error>;
    fn experiment(&self, id: ExperimentId) -> Result<Option<Experiment>, Self::Error>;
    fn experiment_at(
        &self,
        campaign: &CampaignId,
        number: u32,
    ) -> Result<Option<ExperimentId>, Self::Error>;
    fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, Self::Error>;
    fn open_runs(&self, id: EvaluationId) -> Result<usize, Self::Error>;
    fn workflow(&self, id: &WorkflowId) -> Result<Option<Versioned<StoredWorkflow>>, Self::Error>;
    fn open_campaigns_on(&self, id: &WorkflowId) -> Result<Vec<CampaignId>, Self::Error>;
    fn open_runs_on(&self, id: &WorkflowId) -> Result<Vec<WorkflowRunId>, Self::Error>;
    fn workflow_runs_at_work(&self) -> Result<Vec<WorkflowRun>, Self::Error>;
    fn workflow_run(
        &self,
        id: WorkflowRunId,
    ) -> Result<Option<Versioned<WorkflowRun>>, Self::Error>;
}

/// Whether `commit` may be applied to what is `present`.
pub(crate) fn check<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    let change = Change {
        campaigns: campaigns(commit, present)?,
        experiments: experiments(commit, present)?,
        runs: runs(commit, present)?,
        workflows: workflows(commit, present)?,
        workflow_runs: workflow_runs(commit, present)?,
        events: &commit.events,
        ..Change::default()
    };
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
    invariants(change, present)
}

/// Whether `change` keeps the invariants that can be seen in it. What else is stored is asked for only where
/// something ends or begins: the number of case runs of an evaluation, and the workflow runs at work.
fn invariants<P: Present>(mut change: Change<'_>, present: &P) -> Result<(), P::Error> {
    let dropped: Vec<_> = change.dropped().collect();
    for evaluation in dropped {
        change.open_runs.insert(evaluation, present.open_runs(evaluation)?);
    }
    if change.begins_to_work() {
        change.at_work = present.workflow_runs_at_work()?;
    }
    match check_change(&change).into_iter().next() {
        None => Ok(()),
        Some(violation) => Err(StoreError::Invariant(Box::new(violation)).into()),
    }
}

/// A record that is written, with what it replaces.
fn changed<T>(before: Option<Versioned<T>>, after: &T) -> Changed<'_, T> {
    Changed { before: before.map(|before| before.value), after }
}

fn campaigns<'a, P: Present>(
    commit: &'a Commit,
    present: &P,
) -> Result<Vec<Changed<'a, Campaign>>, P::Error> {
    let (mut ids, mut all) = (BTreeSet::new(), Vec::new());
    for Write { expected, value } in &commit.campaigns {
        if !ids.insert(&value.id) {
            return refuse("a campaign is in it twice");
        }
        let before = present.campaign(&value.id)?;
        expect(*expected, revision(before.as_ref()), || format!("campaign {}", value.id))?;
        if let (None, Some(workflow)) = (&before, value.source.location.stored()) {
            is_in_use(workflow, commit, present)?;
        }
        all.push(changed(before, value));
    }
    Ok(all)
}

fn revision<T>(found: Option<&Versioned<T>>) -> Revision {
    found.map(|found| found.revision).unwrap_or_default()
}

/// Campaigns and runs begin only on a workflow that is in use.
fn is_in_use<P: Present>(id: &WorkflowId, commit: &Commit, present: &P) -> Result<(), P::Error> {
    match workflow_after(id, commit, present)? {
        Some(workflow) if workflow.is_in_use() => Ok(()),
        Some(_) => conflict(format!("workflow {id}")),
        None => refuse("a campaign or a run is on a stored workflow that is unknown"),
    }
}

fn workflows<'a, P: Present>(
    commit: &'a Commit,
    present: &P,
) -> Result<Vec<Changed<'a, StoredWorkflow>>, P::Error> {
    let (mut ids, mut all) = (BTreeSet::new(), Vec::new());
    let mut new_versions = BTreeSet::new();
    for Write { expected, value } in &commit.workflows {
        if !ids.insert(&value.id) {
            return refuse("a workflow is in it twice");
        }
        let before = present.workflow(&value.id)?;
        expect(*expected, revision(before.as_ref()), || format!("workflow {}", value.id))?;
        let known = before.as_ref().map_or(&[][..], |before| &before.value.versions);
        for version in value.versions.iter().filter(|version| !known.contains(version)) {
            new_versions.insert((&value.id, version.number, version.definition.snapshot));
        }
        if !value.is_in_use() {
            no_open_campaign_is_left_on(&value.id, commit, present)?;
        }
        if value.deleted.is_some() {
            no_open_run_is_left_on(&value.id, commit, present)?;
        }
        all.push(changed(before, value));
    }
    let texts: BTreeSet<_> = commit
        .texts
        .iter()
        .map(|text| (&text.workflow, text.version, text.text.digest()))
        .collect();
    if texts == new_versions && texts.len() == commit.texts.len() {
        Ok(all)
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

fn experiments<'a, P: Present>(
    commit: &'a Commit,
    present: &P,
) -> Result<Vec<Changed<'a, Experiment>>, P::Error> {
    let (mut ids, mut all) = (BTreeSet::new(), Vec::new());
    let mut numbers = BTreeSet::new();
    for experiment in &commit.experiments {
        if !writes(commit, &experiment.campaign) {
            return refuse("an experiment comes without a write of its campaign");
        }
        if !ids.insert(experiment.id) || !numbers.insert((&experiment.campaign, experiment.number))
        {
            return refuse("an experiment, or its number, is in it twice");
        }
        let place = |one: &Experiment| (one.campaign.clone(), one.number);
        let before = present.experiment(experiment.id)?;
        match &before {
            Some(before) if place(before) != place(experiment) => {
                return refuse("an experiment changes its campaign or its number");
            }
            Some(_) => {}
            None if present.experiment_at(&experiment.campaign, experiment.number)?.is_some() => {
                return refuse("an experiment takes the number of another one");
            }
            None => {}
        }
        all.push(Changed { before, after: experiment });
    }
    Ok(all)
}

fn runs<'a, P: Present>(
    commit: &'a Commit,
    present: &P,
) -> Result<Vec<Changed<'a, Run>>, P::Error> {
    let (mut ids, mut all) = (BTreeSet::new(), Vec::new());
    for Write { expected, value: run } in &commit.runs {
        if !ids.insert(run.id) {
            return refuse("a run is in it twice");
        }
        let before = present.run(run.id)?;
        expect(*expected, revision(before.as_ref()), || format!("run {}", run.id))?;
        match &before {
            Some(before) if identity(&before.value) != identity(run) => {
                return refuse("a run changes its campaign, evaluation, case or snapshot");
            }
            Some(_) => {}
            None => {
                campaign_exists(&run.campaign, commit, present, "a run is of an unknown campaign")?
            }
        }
        all.push(changed(before, run));
    }
    Ok(all)
}

fn workflow_runs<'a, P: Present>(
    commit: &'a Commit,
    present: &P,
) -> Result<Vec<Changed<'a, WorkflowRun>>, P::Error> {
    let (mut ids, mut new_outputs) = (BTreeSet::new(), BTreeSet::new());
    let mut all = Vec::new();
    for Write { expected, value: run } in &commit.workflow_runs {
        if !ids.insert(run.id) {
            return refuse("a workflow run is in it twice");
        }
        let before = present.workflow_run(run.id)?;
        expect(*expected, revision(before.as_ref()), || format!("workflow run {}", run.id))?;
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
        all.push(Changed { before, after: run });
    }
    let outputs = commit.outputs.iter().map(|output| (output.run, output.output.digest()));
    let outputs: BTreeSet<(WorkflowRunId, Digest)> = outputs.collect();
    if outputs == new_outputs && outputs.len() == commit.outputs.len() {
        Ok(all)
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
    if writes(commit, id) || present.campaign(id)?.is_some() { Ok(()) } else { refuse(otherwise) }
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

fn conflict<T, E: From<StoreError>>(what: String) -> Result<T, E> {
    Err(StoreError::Conflict { what }.into())
}

fn refuse<T, E: From<StoreError>>(why: &'static str) -> Result<T, E> {
    Err(StoreError::Refused(why).into())
}
