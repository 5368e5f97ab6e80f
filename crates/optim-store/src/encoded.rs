//! A commit whose records are encoded, and what it changes: the same for every backend.

use optim_core::audit::change::{Change, RecordKind};
use optim_core::audit::entry::Entry;
use optim_core::audit::head::Head;
use optim_core::digest::Digest;
use optim_core::id::{CampaignId, ExperimentId, ProviderId, RunId, WorkflowId, WorkflowRunId};
use serde::Serialize;
use serde_json::Value;

use crate::store::{Commit, StoreError, Versioned, Write};

/// A commit with its records as JSON.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) commit: Commit,
    pub(crate) campaigns: Vec<Vec<u8>>,
    pub(crate) experiments: Vec<Vec<u8>>,
    pub(crate) runs: Vec<Vec<u8>>,
    pub(crate) workflows: Vec<Vec<u8>>,
    pub(crate) workflow_runs: Vec<Vec<u8>>,
    pub(crate) throttles: Vec<Option<Vec<u8>>>,
    /// The events, which are encoded once more as entries of the audit chain.
    pub(crate) events: Vec<Value>,
}

/// A record by its id.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RecordId<'a> {
    Campaign(&'a CampaignId),
    Experiment(ExperimentId),
    Run(RunId),
    Workflow(&'a WorkflowId),
    WorkflowRun(WorkflowRunId),
    Throttle(&'a ProviderId),
}

impl RecordId<'_> {
    fn kind(self) -> RecordKind {
        match self {
            Self::Campaign(_) => RecordKind::Campaign,
            Self::Experiment(_) => RecordKind::Experiment,
            Self::Run(_) => RecordKind::Run,
            Self::Workflow(_) => RecordKind::Workflow,
            Self::WorkflowRun(_) => RecordKind::WorkflowRun,
            Self::Throttle(_) => RecordKind::Throttle,
        }
    }

    fn text(self) -> String {
        match self {
            Self::Campaign(id) => id.to_string(),
            Self::Experiment(id) => id.to_string(),
            Self::Run(id) => id.to_string(),
            Self::Workflow(id) => id.to_string(),
            Self::WorkflowRun(id) => id.to_string(),
            Self::Throttle(id) => id.to_string(),
        }
    }
}

impl Encoded {
    pub(crate) fn new(commit: Commit) -> Result<Self, StoreError> {
        let throttles = commit.throttles.values().map(|it| it.as_ref().map(encode).transpose());
        let events = commit.events.iter().map(serde_json::to_value);
        Ok(Self {
            campaigns: commit.campaigns.iter().map(encode_write).collect::<Result<_, _>>()?,
            experiments: commit.experiments.iter().map(encode).collect::<Result<_, _>>()?,
            runs: commit.runs.iter().map(encode_write).collect::<Result<_, _>>()?,
            workflows: commit.workflows.iter().map(encode_write).collect::<Result<_, _>>()?,
            workflow_runs: commit
                .workflow_runs
                .iter()
                .map(encode_write)
                .collect::<Result<_, _>>()?,
            throttles: throttles.collect::<Result<_, _>>()?,
            events: events.collect::<Result<_, _>>().map_err(|_| UNWRITABLE)?,
            commit,
        })
    }

    /// About how many bytes it has.
    #[cfg(feature = "lmdb")]
    pub(crate) fn bytes(&self) -> usize {
        let records =
            [&self.campaigns, &self.experiments, &self.runs, &self.workflows, &self.workflow_runs];
        let records = records.into_iter().flatten();
        let blobs = self.commit.payloads().map(|blob| blob.bytes().len());
        records.map(Vec::len).chain(blobs).sum()
    }

    /// The entries that follow `head` when it is applied: one for each event. `before` gives the digest of
    /// a record as it is stored; it is not asked when there is no event.
    pub(crate) fn entries<E: From<StoreError>>(
        &self,
        mut head: Head,
        before: impl FnMut(RecordId<'_>) -> Result<Option<Digest>, E>,
    ) -> Result<Vec<Entry>, E> {
        let Some(last) = self.events.len().checked_sub(1) else {
            return Ok(Vec::new());
        };
        let changes = self.changes(before)?;
        let entries = self.events.iter().enumerate().map(|(index, event)| {
            let changes = if index == last { &changes[..] } else { &[] };
            let entry = Entry::after(head, event, changes).map_err(|_| UNWRITABLE)?;
            head = entry.head();
            Ok(entry)
        });
        entries.collect()
    }

    fn changes<E>(
        &self,
        mut before: impl FnMut(RecordId<'_>) -> Result<Option<Digest>, E>,
    ) -> Result<Vec<Change>, E> {
        let commit = &self.commit;
        let campaigns = commit
            .campaigns
            .iter()
            .map(|write| (RecordId::Campaign(&write.value.id), Some(write.expected)));
        let experiments = commit.experiments.iter().map(|it| (RecordId::Experiment(it.id), None));
        let runs =
            commit.runs.iter().map(|write| (RecordId::Run(write.value.id), Some(write.expected)));
        let workflows = commit
            .workflows
            .iter()
            .map(|write| (RecordId::Workflow(&write.value.id), Some(write.expected)));
        let workflow_runs = commit
            .workflow_runs
            .iter()
            .map(|write| (RecordId::WorkflowRun(write.value.id), Some(write.expected)));
        let throttles = commit.throttles.keys().map(|id| (RecordId::Throttle(id), None));
        let written =
            [&self.campaigns, &self.experiments, &self.runs, &self.workflows, &self.workflow_runs];
        let written = written.into_iter().flatten().map(Some);
        let after = written.chain(self.throttles.iter().map(Option::as_ref));
        let ids = campaigns
            .chain(experiments)
            .chain(runs)
            .chain(workflows)
            .chain(workflow_runs)
            .chain(throttles);
        let changes = ids.zip(after).map(|((id, expected), after)| {
            Ok(Change {
                kind: id.kind(),
                id: id.text(),
                revision: expected.map(|expected| expected.next().0),
                before: before(id)?,
                after: after.map(|bytes| Digest::of(bytes)),
            })
        });
        changes.collect()
    }
}

/// A record as it is stored.
pub(crate) fn encode(record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(|_| UNWRITABLE)
}

/// A record as it was before it was encoded, or why it is none.
#[cfg(feature = "lmdb")]
pub(crate) fn decode<'j, T: serde::Deserialize<'j>>(json: &'j [u8]) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_slice(json);
    // What was written must be readable. Its depth is bounded where text comes in.
    json.disable_recursion_limit();
    let decoded = T::deserialize(&mut json).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    Ok(decoded)
}

const UNWRITABLE: StoreError = StoreError::Refused("a record cannot be written as JSON");

fn encode_write<T: Serialize>(write: &Write<T>) -> Result<Vec<u8>, StoreError> {
    encode(&Versioned { revision: write.expected.next(), value: &write.value })
}
