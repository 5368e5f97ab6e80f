//! The one thread that writes.
//!
//! A commit costs two syncs, whatever is in it. So the thread takes all commits that wait, within
//! bounds, and applies them in one transaction: each is checked against what the ones before it in
//! the group left, and one that is refused leaves no trace. Nobody is answered before the
//! transaction is on disk.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;
use std::thread::JoinHandle;

use heed::{PutFlags, RwTxn};
use optim_core::audit::entry::Entry;
use optim_core::campaign::Campaign;
use optim_core::experiment::Experiment;
use optim_core::id::ProviderId;
use optim_core::run::{Run, RunState};
use optim_core::stored_workflow::{StoredWorkflow, WorkflowVersion};
use optim_core::workflow_run::WorkflowRun;
use tokio::sync::{mpsc, oneshot};

use crate::check::check;
use crate::encoded::Encoded;
use crate::store::{
    Commit, Committed, EventSeq, RunOutput, StoreError, Versioned, WorkflowFilter, emptied,
};

use super::envelope::{Codec, seal};
use super::environment::Environment;
use super::tables::Tables;
use super::view::{
    View, ended_key, entry_of, evaluation_key, last, number_key, output_key, source_key,
    status_key, workflow_key,
};
use super::{Error, corrupt, io_failed};

/// Commits that may wait for the thread; whoever comes later waits to be let in.
const QUEUE: usize = 256;
/// Commits in one transaction at most.
const GROUP_COMMITS_MAX: usize = 256;
/// Bytes after which no further commit joins a transaction.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The thread, until it is dropped: that waits for the commits that are queued.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Job {
    /// Encoded before it was queued.
    commit: Encoded,
    reply: oneshot::Sender<Result<Committed, StoreError>>,
}

impl Writer {
    pub(super) fn start(environment: Arc<Environment>) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let path = environment.path().to_owned();
        let thread = std::thread::Builder::new()
            .name("optim-store-writer".to_owned())
            .spawn(move || serve(&environment, jobs))
            .map_err(|source| io_failed(&path, source))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues `commit` and waits until it is on disk. A caller that stops waiting changes nothing of
    /// what becomes of a queued commit.
    pub(super) async fn commit(
        &self,
        commit: Commit,
    ) -> Result<Result<Committed, StoreError>, Gone> {
        let commit = match Encoded::new(commit) {
            Ok(commit) => commit,
            Err(error) => return Ok(Err(error)),
        };
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(Gone)?;
        queue.send(Job { commit, reply }).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }
}

/// The thread has died.
#[derive(Debug)]
pub(super) struct Gone;

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened; there is nobody to tell here.
            drop(thread.join());
        }
    }
}

fn serve(environment: &Environment, mut jobs: mpsc::Receiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        let mut bytes = first.commit.bytes();
        let mut group = vec![first];
        while group.len() < GROUP_COMMITS_MAX && bytes < GROUP_BYTES_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            bytes = bytes.saturating_add(job.commit.bytes());
            group.push(job);
        }
        commit(environment, group);
    }
}

/// Commits `group` in one transaction. When that fails, each commit is tried alone, so that one
/// that does not fit takes no other down; after a failed sync the environment refuses them all.
fn commit(environment: &Environment, group: Vec<Job>) {
    let answers = environment
        .write(|tables, txn| group.iter().map(|job| admit(tables, txn, &job.commit)).collect());
    match answers {
        Ok(answers) => {
            let answers: Vec<_> = answers;
            group.into_iter().zip(answers).for_each(|(job, answer)| answer_to(job, answer));
        }
        Err(error) => match <[Job; 1]>::try_from(group) {
            Ok([job]) => answer_to(job, Err(error)),
            Err(group) => group.into_iter().for_each(|job| commit(environment, vec![job])),
        },
    }
}

fn answer_to(job: Job, answer: Result<Committed, StoreError>) {
    // Who does not wait any more is not told.
    drop(job.reply.send(answer));
}

/// Checks and applies one commit of a group. The inner error is that commit's own and leaves no trace.
fn admit(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    commit: &Encoded,
) -> Result<Result<Committed, StoreError>, Error> {
    match check(&commit.commit, &View { tables, txn }) {
        Ok(()) => apply(tables, txn, commit).map(Ok),
        Err(Error::Store(refused)) => Ok(Err(refused)),
        Err(error) => Err(error),
    }
}

fn apply(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    encoded: &Encoded,
) -> Result<Committed, Error> {
    let commit = &encoded.commit;
    // Before anything is written: an entry tells what was there.
    let view = View { tables, txn };
    let entries = encoded.entries(view.audit_head()?, |id| view.digest(id))?;
    for (write, payload) in commit.campaigns.iter().zip(&encoded.campaigns) {
        put_campaign(tables, txn, &write.value, payload)?;
    }
    for (experiment, payload) in commit.experiments.iter().zip(&encoded.experiments) {
        put_experiment(tables, txn, experiment, payload)?;
    }
    for (write, payload) in commit.runs.iter().zip(&encoded.runs) {
        put_run(tables, txn, &write.value, payload)?;
    }
    for (write, payload) in commit.workflows.iter().zip(&encoded.workflows) {
        let seq = put_workflow(tables, txn, &write.value, payload)?;
        put_texts(tables, txn, commit, &write.value, seq)?;
    }
    for (write, payload) in commit.workflow_runs.iter().zip(&encoded.workflow_runs) {
        let seq = put_workflow_run(tables, txn, &write.value, payload)?;
        put_outputs(tables, txn, commit, &write.value, seq)?;
    }
    for (provider, payload) in commit.throttles.keys().zip(&encoded.throttles) {
        match payload {
            Some(payload) => put_throttle(tables, txn, provider, payload)?,
            None => drop(tables.throttles.delete(txn, provider.as_str())?),
        }
    }
    for entry in &entries {
        put_entry(tables, txn, entry)?;
    }
    for blob in &commit.blobs {
        let digest = blob.digest();
        let key = digest.as_bytes();
        if tables.blobs.get(txn, key)?.is_none() {
            tables.blobs.put(txn, key, &seal("blobs", key, Codec::Raw, blob.bytes())?)?;
        }
    }
    Ok(Committed { last_event: View { tables, txn }.last_event()? })
}

/// Stores a campaign, encoded as `payload`, with its indexes; so for the other records below.
pub(super) fn put_campaign(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    campaign: &Campaign,
    payload: &[u8],
) -> Result<(), Error> {
    let id = campaign.id.as_str();
    let known = tables.campaign_ids.get(txn, id)?;
    let place = place(known, last(txn, tables.campaigns)?);
    put(tables.campaigns, "campaigns", txn, place, payload)?;
    if let Place::New(seq) = place {
        tables.campaign_ids.put(txn, id, &seq)?;
    }
    index_campaign(tables, txn, campaign, place.seq())
}

pub(super) fn put_experiment(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    experiment: &Experiment,
    payload: &[u8],
) -> Result<(), Error> {
    let known = tables.experiment_ids.get(txn, experiment.id.as_bytes())?;
    let place = place(known, last(txn, tables.experiments)?);
    put(tables.experiments, "experiments", txn, place, payload)?;
    if let Place::New(new) = place {
        tables.experiment_ids.put(txn, experiment.id.as_bytes(), &new)?;
        let campaign = tables.campaign_ids.get(txn, experiment.campaign.as_str())?;
        let campaign = campaign.ok_or_else(|| {
            corrupt(&format!("campaign {}", experiment.campaign), "it is in no index")
        })?;
        let key = number_key(campaign, experiment.number);
        tables.experiments_by_number.put(txn, &key, &new)?;
    }
    Ok(())
}

pub(super) fn put_run(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    run: &Run,
    payload: &[u8],
) -> Result<(), Error> {
    let known = tables.run_ids.get(txn, run.id.as_bytes())?;
    let place = place(known, last(txn, tables.runs)?);
    put(tables.runs, "runs", txn, place, payload)?;
    index_run(tables, txn, run, place)
}

/// Its sequence, under which its texts are kept.
pub(super) fn put_workflow(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    workflow: &StoredWorkflow,
    payload: &[u8],
) -> Result<u64, Error> {
    let key = workflow_key(&workflow.id);
    let known = tables.workflow_ids.get(txn, &key)?;
    let place = place(known, last(txn, tables.workflows)?);
    put(tables.workflows, "workflows", txn, place, payload)?;
    if let Place::New(seq) = place {
        tables.workflow_ids.put(txn, &key, &seq)?;
    }
    index_workflow(tables, txn, workflow, place.seq())?;
    Ok(place.seq())
}

/// Its sequence, under which its outputs are kept.
pub(super) fn put_workflow_run(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    run: &WorkflowRun,
    payload: &[u8],
) -> Result<u64, Error> {
    let known = tables.workflow_run_ids.get(txn, run.id.as_bytes())?;
    let place = place(known, last(txn, tables.workflow_runs)?);
    let before = View { tables, txn }.workflow_run(run.id)?;
    if let Some(Versioned { value: before, .. }) = before {
        unindex_workflow_run(tables, txn, &before, place.seq())?;
    }
    put(tables.workflow_runs, "workflow_runs", txn, place, payload)?;
    index_workflow_run(tables, txn, run, place.seq())?;
    Ok(place.seq())
}

pub(super) fn put_throttle(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    provider: &ProviderId,
    payload: &[u8],
) -> Result<(), Error> {
    let key = provider.as_str();
    let value = seal("throttles", key.as_bytes(), Codec::Json, payload)?;
    Ok(tables.throttles.put(txn, key, &value)?)
}

pub(super) fn put_entry(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    entry: &Entry,
) -> Result<(), Error> {
    put(tables.events, "events", txn, Place::New(entry.seq), &entry.to_bytes())
}

/// Replaces payloads of entries by their digests; how many there were.
pub(super) fn drop_payloads(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    entries: &[EventSeq],
) -> Result<usize, Error> {
    let mut dropped = 0;
    for EventSeq(seq) in entries {
        let value = tables.events.get(txn, seq)?;
        let entry = value.map(|value| entry_of(*seq, value)).transpose()?;
        if let Some(entry) = emptied(entry)? {
            put(tables.events, "events", txn, Place::Known(*seq), &entry.to_bytes())?;
            dropped += 1;
        }
    }
    Ok(dropped)
}

/// Where a record lies.
#[derive(Debug, Clone, Copy)]
enum Place {
    New(u64),
    Known(u64),
}

impl Place {
    fn seq(self) -> u64 {
        match self {
            Self::New(seq) | Self::Known(seq) => seq,
        }
    }
}

fn place(known: Option<u64>, last: u64) -> Place {
    known.map_or(Place::New(last.saturating_add(1)), Place::Known)
}

fn put(
    table: heed::Database<'static, super::tables::Seq, heed::types::Bytes>,
    name: &str,
    txn: &mut RwTxn<'_>,
    place: Place,
    payload: &[u8],
) -> Result<(), Error> {
    let seq = place.seq();
    let value = seal(name, &seq.to_be_bytes(), Codec::Json, payload)?;
    let flags = match place {
        // Appended records fill their pages.
        Place::New(_) => PutFlags::APPEND,
        Place::Known(_) => PutFlags::empty(),
    };
    Ok(table.put_with_flags(txn, flags, &seq, &value)?)
}

fn index_campaign(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    campaign: &Campaign,
    seq: u64,
) -> Result<(), Error> {
    let Some(workflow) = campaign.source.location.stored() else {
        return Ok(());
    };
    let key = source_key(workflow, seq);
    if campaign.is_closed() {
        tables.campaigns_on.delete(txn, &key)?;
    } else {
        tables.campaigns_on.put(txn, &key, &())?;
    }
    Ok(())
}

fn index_workflow(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    workflow: &StoredWorkflow,
    seq: u64,
) -> Result<(), Error> {
    for (filter, index) in [
        (WorkflowFilter::Kept, tables.workflows_kept),
        (WorkflowFilter::Restorable, tables.workflows_restorable),
    ] {
        if filter.admits(workflow) {
            index.put(txn, &seq, &())?;
        } else {
            index.delete(txn, &seq)?;
        }
    }
    Ok(())
}

/// Takes a workflow run out of the indexes that follow its state.
fn unindex_workflow_run(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    before: &WorkflowRun,
    seq: u64,
) -> Result<(), Error> {
    tables.workflow_runs_by_status.delete(txn, &status_key(before.state.status(), seq))?;
    tables.workflow_runs_on.delete(txn, &source_key(&before.workflow, seq))?;
    if let Some(at) = before.state.ended_at() {
        tables.workflow_runs_ended.delete(txn, &ended_key(at, seq))?;
    }
    Ok(())
}

pub(super) fn index_workflow_run(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    run: &WorkflowRun,
    seq: u64,
) -> Result<(), Error> {
    tables.workflow_run_ids.put(txn, run.id.as_bytes(), &seq)?;
    tables.workflow_runs_by_workflow.put(txn, &source_key(&run.workflow, seq), &())?;
    tables.workflow_runs_by_status.put(txn, &status_key(run.state.status(), seq), &())?;
    match (run.stored_workflow(), run.state.ended_at()) {
        (Some(workflow), None) => {
            tables.workflow_runs_on.put(txn, &source_key(workflow, seq), &())?;
        }
        (_, Some(at)) if !run.expired => {
            tables.workflow_runs_ended.put(txn, &ended_key(at, seq), &())?;
        }
        _ => {}
    }
    Ok(())
}

/// Stores the outputs that a workflow run begins to list, and removes those that it lists no more.
fn put_outputs(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    commit: &Commit,
    run: &WorkflowRun,
    seq: u64,
) -> Result<(), Error> {
    for RunOutput { output, .. } in commit.outputs.iter().filter(|output| output.run == run.id) {
        let key = output_key(seq, output.digest());
        let value = seal("workflow_run_outputs", &key, Codec::Raw, output.bytes())?;
        tables.workflow_run_outputs.put(txn, &key, &value)?;
    }
    let listed: BTreeSet<_> = run.outputs().map(|it| output_key(seq, it).to_vec()).collect();
    let stored = tables.workflow_run_outputs.prefix_iter(txn, &seq.to_be_bytes())?;
    let keys = stored.map(|entry| Ok(entry?.0.to_vec())).collect::<Result<Vec<_>, Error>>()?;
    for key in keys.iter().filter(|key| !listed.contains(*key)) {
        tables.workflow_run_outputs.delete(txn, key)?;
    }
    Ok(())
}

/// Stores the texts of new versions, and removes those of versions that are not kept any more.
fn put_texts(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    commit: &Commit,
    workflow: &StoredWorkflow,
    seq: u64,
) -> Result<(), Error> {
    for text in commit.texts.iter().filter(|text| text.workflow == workflow.id) {
        let key = number_key(seq, text.version.0);
        let value = seal("workflow_texts", &key, Codec::Raw, text.text.bytes())?;
        tables.workflow_texts.put(txn, &key, &value)?;
    }
    let (all, end) = (number_key(seq, 0), number_key(seq, u32::MAX));
    let key = |version: &WorkflowVersion| number_key(seq, version.number.0);
    let bounds = workflow.versions.first().map(key).zip(workflow.versions.last().map(key));
    // The versions of a record are without gaps, so what is before and behind them is not kept.
    let Some((oldest, newest)) = bounds else {
        tables.workflow_texts.delete_range(txn, &(Included(&all[..]), Included(&end[..])))?;
        return Ok(());
    };
    tables.workflow_texts.delete_range(txn, &(Included(&all[..]), Excluded(&oldest[..])))?;
    tables.workflow_texts.delete_range(txn, &(Excluded(&newest[..]), Included(&end[..])))?;
    Ok(())
}

fn index_run(
    tables: &Tables<'static>,
    txn: &mut RwTxn<'_>,
    run: &Run,
    place: Place,
) -> Result<(), Error> {
    let seq = place.seq();
    let key = evaluation_key(run.evaluation, seq);
    match place {
        Place::New(_) => {
            tables.run_ids.put(txn, run.id.as_bytes(), &seq)?;
            tables.runs_by_evaluation.put(txn, &key, &())?;
        }
        Place::Known(_) => {
            tables.runs_queued.delete(txn, &seq)?;
            tables.runs_running.delete(txn, &seq)?;
            tables.runs_open.delete(txn, &key)?;
        }
    }
    match run.state {
        RunState::Queued => tables.runs_queued.put(txn, &seq, &())?,
        RunState::Running { .. } => tables.runs_running.put(txn, &seq, &())?,
        RunState::Finished(_) | RunState::Cancelled { .. } => return Ok(()),
    }
    Ok(tables.runs_open.put(txn, &key, &())?)
}
