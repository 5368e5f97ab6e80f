//! The contract of a store.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use optim_core::audit::entry::{Entry, Payload};
use optim_core::audit::head::Head;
use optim_core::campaign::event::Event;
use optim_core::campaign::{Campaign, Status};
use optim_core::digest::Digest;
use optim_core::experiment::Experiment;
use optim_core::id::{
    CampaignId, CaseId, EvaluationId, ExperimentId, ProviderId, RunId, WorkflowId, WorkflowRunId,
};
use optim_core::invariants::Violation;
use optim_core::quantity::Timestamp;
use optim_core::run::{Epoch, Run, RunState};
use optim_core::stored_workflow::{StoredWorkflow, VersionNumber};
use optim_core::throttle::Throttle;
use optim_core::workflow_run::state::WorkflowRunStatus;
use optim_core::workflow_run::{Wait, WorkflowRun};
use serde::{Deserialize, Serialize};

use crate::upkeep::Upkeep;

/// Counts the writes of one record, from 1. `0` stands for "there is none yet".
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A record with its revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// The revision that was read.
    pub revision: Revision,
    /// The record.
    pub value: T,
}

/// Numbers the events of a store, from 1, without gaps, in the order of the commits.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EventSeq(pub u64);

/// An event as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its number.
    pub seq: EventSeq,
    /// The event.
    pub event: Event,
}

/// The event of an entry of the audit chain; `None` when its payload was dropped.
pub(crate) fn recorded(entry: &Entry) -> Result<Option<Recorded>, StoreError> {
    let event = entry.event().map_err(|error| StoreError::Corrupt {
        what: format!("event {}", entry.seq),
        why: error.to_string(),
    })?;
    Ok(event.map(|event| Recorded { seq: EventSeq(entry.seq), event }))
}

/// `entry` as it is without its payload; `None` when it has none any more.
pub(crate) fn emptied(entry: Option<Entry>) -> Result<Option<Entry>, StoreError> {
    let Some(entry) = entry else {
        return Err(StoreError::Refused("a payload is to go of an entry that does not exist"));
    };
    if !entry.is_intact() {
        return Err(StoreError::Corrupt {
            what: format!("event {}", entry.seq),
            why: "its hash is not that of what it says".to_owned(),
        });
    }
    let is_kept = matches!(entry.payload, Payload::Kept(_));
    Ok(is_kept.then(|| entry.without_payload()))
}

/// A change of one record, valid only while the record has the expected revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Write<T> {
    /// The revision that the change was decided on; [`Revision`] 0 creates the record.
    pub expected: Revision,
    /// The new record.
    pub value: T,
}

/// Bytes stored once under their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    digest: Digest,
    bytes: Vec<u8>,
}

impl Blob {
    /// Digests `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), bytes }
    }

    /// The digest of the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the bytes away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The text of a new version of a stored workflow. It is kept as long as its workflow's record lists the
/// version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowText {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version.
    pub version: VersionNumber,
    /// The text, byte for byte.
    pub text: Blob,
}

/// An output of a workflow run. It is kept as long as the run's record lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOutput {
    /// The run.
    pub run: WorkflowRunId,
    /// The output, as canonical JSON.
    pub output: Blob,
}

/// Everything that changes together. All of it takes effect, or nothing.
///
/// Every store refuses, with [`StoreError::Refused`]: a record that is in the commit twice; an
/// experiment without a write of its campaign; an experiment that changes its campaign or number, or
/// takes the number of another one; a run that changes its campaign, evaluation, case or snapshot; a
/// run or an event of a campaign, workflow or workflow run that is neither stored nor in the commit; a
/// workflow run that changes what it executes, or knows less of its history than before; an output that
/// its run's record begins to list and that is not in the commit, or the other way round; a new version of
/// a workflow without its text, or a text without its new version; a throttle under the name of another
/// provider; payloads, outputs and texts of more than [`Commit::BLOB_BYTES_MAX`].
///
/// Every store refuses, with [`StoreError::Invariant`], what breaks an invariant that can be seen in one
/// commit: [`check_change`](optim_core::invariants::change::check_change).
///
/// Every store answers [`StoreError::Conflict`] when the one side of these was decided without knowing of
/// the other: after the commit an open campaign would be on a stored workflow that is not in use, or an
/// open workflow run on one that is deleted; a run would begin, or be open again, on a stored workflow
/// that is not in use.
///
/// Who writes a campaign, an experiment, a stored workflow or a throttle that is not removed tells of it in
/// an event: whoever compares records with the audit chain takes an untold change of one for damage.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// The campaigns that changed.
    pub campaigns: Vec<Write<Campaign>>,
    /// Experiments of those campaigns, new or changed. They have no revision of their own: only a
    /// commit that also moves their campaign may carry them.
    pub experiments: Vec<Experiment>,
    /// Case runs, new or changed.
    pub runs: Vec<Write<Run>>,
    /// Stored workflows, new or changed.
    pub workflows: Vec<Write<StoredWorkflow>>,
    /// The texts of their new versions.
    pub texts: Vec<WorkflowText>,
    /// Workflow runs, new or changed.
    pub workflow_runs: Vec<Write<WorkflowRun>>,
    /// The outputs that they begin to list.
    pub outputs: Vec<RunOutput>,
    /// Throttles of providers, which have no revision: the last one written holds, `None` removes it.
    pub throttles: BTreeMap<ProviderId, Option<Throttle>>,
    /// Payloads that the records refer to. A payload that is stored already is left as it is.
    pub blobs: Vec<Blob>,
    /// What is told about the change.
    pub events: Vec<Event>,
}

impl Commit {
    /// The most bytes that the payloads, outputs and texts of one commit may have together.
    pub const BLOB_BYTES_MAX: usize = 64 * 1024 * 1024;

    /// Its payloads, outputs and texts.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &Blob> {
        let outputs = self.outputs.iter().map(|output| &output.output);
        let texts = self.texts.iter().map(|text| &text.text);
        self.blobs.iter().chain(outputs).chain(texts)
    }
}

/// What a commit led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The number of the last event of the store, this commit's included.
    pub last_event: EventSeq,
}

/// Where a listing goes on. Opaque: only the store that made it can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub String);

/// Which part of a listing is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where to go on; from the start when absent.
    pub after: Option<Cursor>,
    /// Records at most; 1..=500. A number outside is read as the nearest one inside.
    pub limit: u32,
}

impl Page {
    /// The most records that a page may hold.
    pub const LIMIT_MAX: u32 = 500;

    /// The first page, as long as a page may be.
    #[must_use]
    pub fn first() -> Self {
        Self { after: None, limit: Self::LIMIT_MAX }
    }

    /// All records of a listing that `read` reads page by page.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn all<T, E, F>(read: impl Fn(Self) -> F) -> Result<Vec<T>, E>
    where
        F: Future<Output = Result<Paged<T>, E>>,
    {
        Self::readable(read, |_| {}).await
    }

    /// The same, with word of each record that cannot be read.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn readable<T, E, F>(
        read: impl Fn(Self) -> F,
        mut tell: impl FnMut(&Damaged),
    ) -> Result<Vec<T>, E>
    where
        F: Future<Output = Result<Paged<T>, E>>,
    {
        let (mut all, mut page) = (Vec::new(), Self::first());
        loop {
            let Paged { items, damaged, next } = read(page).await?;
            damaged.iter().for_each(&mut tell);
            all.extend(items);
            match next {
                Some(after) => page = Self { after: Some(after), ..Self::first() },
                None => return Ok(all),
            }
        }
    }

    /// How many records a page that was asked for with `limit` holds at most.
    #[must_use]
    pub fn size(limit: u32) -> usize {
        usize::try_from(limit.clamp(1, Self::LIMIT_MAX)).unwrap_or(1)
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Paged<T> {
    /// The records.
    pub items: Vec<T>,
    /// Records that belong here and cannot be read. Listings of what belongs together, such as the case
    /// runs of an evaluation, have none: they are whole, or an error.
    pub damaged: Vec<Damaged>,
    /// Where to go on; absent on the last page.
    pub next: Option<Cursor>,
}

/// A record that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The record.
    pub what: String,
    /// Why it cannot be read.
    pub why: String,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, why } = self;
        write!(f, "{what} cannot be read: {why}; restore it from a backup")
    }
}

/// An error that may say that one record is damaged.
pub(crate) trait OfOneRecord: Sized {
    /// The damaged record, or the error again.
    fn damaged(self) -> Result<Damaged, Self>;
}

impl OfOneRecord for StoreError {
    fn damaged(self) -> Result<Damaged, Self> {
        match self {
            Self::Corrupt { what, why } => Ok(Damaged { what, why }),
            other => Err(other),
        }
    }
}

/// A campaign in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignSummary {
    /// Its id.
    pub id: CampaignId,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// Its experiments so far.
    pub experiments: u32,
    /// Whether a measurement of what is live is wanted or in flight.
    pub measuring: bool,
    /// Whether a person took it out of the lists.
    pub archived: bool,
    /// Whether something of its budget is set aside.
    pub reserves: bool,
    /// When it was created.
    pub created_at: Timestamp,
}

impl CampaignSummary {
    /// Sums up `campaign`.
    #[must_use]
    pub fn of(campaign: &Campaign) -> Self {
        Self {
            id: campaign.id.clone(),
            name: campaign.name.clone(),
            status: campaign.status(),
            experiments: campaign.search.experiments,
            measuring: campaign.live.measuring.is_some(),
            archived: campaign.archived.is_some(),
            reserves: campaign.ledger.reserves(),
            created_at: campaign.created_at,
        }
    }

    /// Whether something may be to be done for it: it is not over, what it applied is to be measured, or
    /// the cost of what was cancelled is to be taken in.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.measuring || self.reserves || self.status.is_open()
    }
}

/// An experiment in a listing: all of it, since its snapshot is stored apart.
pub type ExperimentSummary = Experiment;

/// A run in a listing: without its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The campaign that pays for it.
    pub campaign: CampaignId,
    /// The evaluation that it is part of.
    pub evaluation: EvaluationId,
    /// The case.
    pub case: CaseId,
    /// The definition, by content digest.
    pub snapshot: Digest,
    /// How often it was claimed.
    pub epoch: Epoch,
    /// Faults of the outside so far.
    pub faults: u32,
    /// When it was created.
    pub queued_at: Timestamp,
}

impl RunSummary {
    /// Sums up `run`.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        Self {
            id: run.id,
            campaign: run.campaign.clone(),
            evaluation: run.evaluation,
            case: run.case.clone(),
            snapshot: run.snapshot,
            epoch: run.epoch,
            faults: run.faults,
            queued_at: run.queued_at,
        }
    }
}

/// A stored workflow in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowSummary {
    /// Its id.
    pub id: WorkflowId,
    /// The name in its current version.
    pub name: String,
    /// The word for its state.
    pub state: &'static str,
    /// Its current version.
    pub version: VersionNumber,
    /// When that was put.
    pub updated_at: Timestamp,
}

impl WorkflowSummary {
    /// Sums up `workflow`; `None` when nothing but its tombstone is left.
    #[must_use]
    pub fn of(workflow: &StoredWorkflow) -> Option<Self> {
        let current = workflow.current()?;
        Some(Self {
            id: workflow.id.clone(),
            name: current.definition.name.clone(),
            state: workflow.state(),
            version: current.number,
            updated_at: current.at,
        })
    }
}

/// Which stored workflows are listed, newest first. One whose history was purged is in no listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkflowFilter {
    /// Those that are not deleted.
    Kept,
    /// Those that are deleted and can be restored.
    Restorable,
}

impl WorkflowFilter {
    /// Whether `workflow` belongs to the listing.
    #[must_use]
    pub fn admits(self, workflow: &StoredWorkflow) -> bool {
        match self {
            Self::Kept => workflow.deleted.is_none(),
            Self::Restorable => workflow.is_restorable(),
        }
    }
}

/// Which runs are listed, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunFilter {
    /// Those that wait for a slot.
    Queued,
    /// Those that are claimed.
    Running,
    /// Those of an evaluation, whatever their state.
    Evaluation(EvaluationId),
    /// Those of an evaluation that are queued or running.
    Open(EvaluationId),
}

impl RunFilter {
    /// Whether `run` belongs to the listing.
    #[must_use]
    pub fn admits(&self, run: &Run) -> bool {
        match self {
            Self::Queued => matches!(run.state, RunState::Queued),
            Self::Running => matches!(run.state, RunState::Running { .. }),
            Self::Evaluation(evaluation) => run.evaluation == *evaluation,
            Self::Open(evaluation) => run.evaluation == *evaluation && !run.state.is_terminal(),
        }
    }
}

/// A workflow run in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRunSummary {
    /// Its id.
    pub id: WorkflowRunId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// Where it stands.
    pub status: WorkflowRunStatus,
    /// The definition, by content digest.
    pub snapshot: Digest,
    /// Whether nothing is executed.
    pub dry_run: bool,
    /// How often it was claimed.
    pub epoch: Epoch,
    /// The folder that it works in.
    pub workspace: String,
    /// Nodes that are done.
    pub nodes_done: usize,
    /// Nodes in all.
    pub nodes: usize,
    /// What it waits for, besides a slot and its workspace.
    pub wait: Option<Wait>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ended, once it has.
    pub ended_at: Option<Timestamp>,
    /// Whether its inputs and outputs were dropped.
    pub expired: bool,
}

impl WorkflowRunSummary {
    /// Sums up `run`.
    #[must_use]
    pub fn of(run: &WorkflowRun) -> Self {
        Self {
            id: run.id,
            workflow: run.workflow.clone(),
            status: run.state.status(),
            snapshot: run.snapshot,
            dry_run: run.dry_run,
            epoch: run.epoch,
            workspace: run.workspace.clone(),
            nodes_done: run.nodes.iter().filter(|node| node.is_done()).count(),
            nodes: run.nodes.len(),
            wait: run.wait(),
            created_at: run.created_at,
            ended_at: run.state.ended_at(),
            expired: run.expired,
        }
    }
}

/// Which workflow runs are listed, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowRunFilter {
    /// All of them.
    All,
    /// Those of a workflow.
    Workflow(WorkflowId),
    /// Those of a stored workflow that are not over.
    OpenOn(WorkflowId),
    /// Those with a status.
    Status(WorkflowRunStatus),
}

impl WorkflowRunFilter {
    /// Whether `run` belongs to the listing.
    #[must_use]
    pub fn admits(&self, run: &WorkflowRun) -> bool {
        match self {
            Self::All => true,
            Self::Workflow(workflow) => run.workflow == *workflow,
            Self::OpenOn(workflow) => run.is_open() && run.stored_workflow() == Some(workflow),
            Self::Status(status) => run.state.status() == *status,
        }
    }
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A record moved since it was read. Read again and decide again.
    #[error("{what} was changed by somebody else")]
    Conflict {
        /// Which record.
        what: String,
    },
    /// The commit breaks a rule of the contract; a fault of the caller.
    #[error("the commit is refused: {0}")]
    Refused(&'static str),
    /// The commit would break an invariant. Nothing changed.
    #[error("nothing was changed, because it would break an invariant: {0}")]
    Invariant(Box<Violation>),
    /// A cursor that this store did not make.
    #[error("the cursor is not one of this store's; begin again from the first page")]
    BadCursor,
    /// A record that cannot be trusted. Nothing of it is returned.
    #[error("{what} cannot be read: {why}; restore the store from a backup")]
    Corrupt {
        /// Which record.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store was written by a newer version.
    #[error("the store at {path} has format {found}, this version reads up to {supported}; use a newer optim", path = path.display())]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is understood.
        supported: u32,
    },
    /// Another process owns the store.
    #[error("the store at {path} is in use by process {holder}; stop that process, or ask it", path = path.display())]
    Owned {
        /// The store.
        path: PathBuf,
        /// The process that holds it, as it wrote it down.
        holder: String,
    },
    /// The store may not grow any further.
    #[error("the store at {path} is full at {limit_mib} MiB; raise its size limit", path = path.display())]
    Full {
        /// The store.
        path: PathBuf,
        /// Its size limit.
        limit_mib: u64,
    },
    /// The disk is full. Nothing changed; reads go on, and writes do when there is space again.
    #[error("the disk of the store at {path} is full; free some space and try again", path = path.display())]
    NoSpace {
        /// The store.
        path: PathBuf,
    },
    /// The store is on a file system whose locks and syncs cannot be relied on.
    #[error(
        "the store at {path} is on {kind}, where locks and syncs cannot be relied on; move it to a local disk",
        path = path.display()
    )]
    UnsafeFileSystem {
        /// The store.
        path: PathBuf,
        /// The kind of file system.
        kind: &'static str,
    },
    /// Only an empty store takes an export in.
    #[error("the store at {path} is not empty; import into a new one", path = path.display())]
    NotEmpty {
        /// The store.
        path: PathBuf,
    },
    /// The file is no export, or not as it was written. Nothing of it was taken in.
    #[error(
        "the file is no whole export of a store: line {line}: {why}; nothing was imported, take another copy"
    )]
    NotAnExport {
        /// The line, from 1; 0 for the file as a whole.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// The file of an export cannot be used.
    #[error("the file cannot be {what}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text names no store that can be opened.
    #[error("{url:?} names no store: {why}")]
    BadUrl {
        /// The text.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The disk or the file system failed. A store that failed at a commit answers nothing more:
    /// what the disk holds is known only after it was opened again.
    #[error("the store at {path} failed: {source}", path = path.display())]
    Io {
        /// The store.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StoreError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Refused(_) => "commit_refused",
            Self::Invariant(_) => "invariant_broken",
            Self::BadCursor => "bad_cursor",
            Self::Corrupt { .. } => "record_corrupt",
            Self::Newer { .. } => "schema_newer",
            Self::Owned { .. } => "store_owned",
            Self::Full { .. } | Self::NoSpace { .. } => "storage_full",
            Self::UnsafeFileSystem { .. } => "store_unsafe_file_system",
            Self::NotEmpty { .. } => "store_not_empty",
            Self::NotAnExport { .. } => "export_invalid",
            Self::File { .. } => "file_io",
            Self::BadUrl { .. } => "bad_store_url",
            Self::Io { .. } => "store_io",
        }
    }
}

/// The state of optim.
///
/// When [`Store::commit`] of a durable store returns `Ok`, everything in the commit survives a crash
/// of the process and a loss of power, and every later read sees it. When it returns an error other
/// than [`StoreError::Io`], nothing changed. After `Io`, and when the future is dropped before it is
/// done, whether the commit took effect is not known, but all of it did or nothing: read again.
///
/// Each read sees one state between two commits. Pages of a listing are separate reads; a record
/// that is added between them is in a later page or in none, and no record is in two.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Applies `commit`, or nothing of it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when an expected revision is not the current one.
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError>;

    /// Reads a campaign.
    ///
    /// # Errors
    /// The store fails, or the record cannot be trusted; so for every read below.
    async fn campaign(&self, id: &CampaignId) -> Result<Option<Versioned<Campaign>>, StoreError>;

    /// Lists campaigns, newest first.
    async fn campaigns(&self, page: Page) -> Result<Paged<CampaignSummary>, StoreError>;

    /// Lists the open campaigns on a stored workflow, oldest first.
    async fn campaigns_on(
        &self,
        workflow: &WorkflowId,
        page: Page,
    ) -> Result<Paged<CampaignSummary>, StoreError>;

    /// Reads an experiment.
    async fn experiment(&self, id: ExperimentId) -> Result<Option<Experiment>, StoreError>;

    /// Lists the experiments of a campaign by their number.
    async fn experiments(
        &self,
        campaign: &CampaignId,
        page: Page,
    ) -> Result<Paged<ExperimentSummary>, StoreError>;

    /// Reads a case run.
    async fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, StoreError>;

    /// Lists case runs, oldest first.
    async fn runs(&self, filter: &RunFilter, page: Page) -> Result<Paged<RunSummary>, StoreError>;

    /// Reads a stored workflow, also one that is deleted.
    async fn workflow(
        &self,
        id: &WorkflowId,
    ) -> Result<Option<Versioned<StoredWorkflow>>, StoreError>;

    /// Lists stored workflows, newest first.
    async fn workflows(
        &self,
        filter: WorkflowFilter,
        page: Page,
    ) -> Result<Paged<WorkflowSummary>, StoreError>;

    /// Reads the text of a version of a stored workflow.
    async fn workflow_text(
        &self,
        id: &WorkflowId,
        version: VersionNumber,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// Reads a workflow run.
    async fn workflow_run(
        &self,
        id: WorkflowRunId,
    ) -> Result<Option<Versioned<WorkflowRun>>, StoreError>;

    /// Lists workflow runs, newest first.
    async fn workflow_runs(
        &self,
        filter: &WorkflowRunFilter,
        page: Page,
    ) -> Result<Paged<WorkflowRunSummary>, StoreError>;

    /// Lists the workflow runs that ended at `by` or before and have not expired, those that ended first
    /// before the others, at most `limit` of them; 1..=500, as in [`Page`].
    async fn workflow_runs_ended(
        &self,
        by: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkflowRunId>, StoreError>;

    /// Reads an output that the record of a workflow run lists.
    async fn workflow_run_output(
        &self,
        id: WorkflowRunId,
        output: Digest,
    ) -> Result<Option<Vec<u8>>, StoreError>;

    /// Lists the events with a number above `after`, oldest first, at most `limit` of them; 1..=500,
    /// as in [`Page`]. Those whose payload was dropped are left out.
    async fn events(&self, after: EventSeq, limit: u32) -> Result<Vec<Recorded>, StoreError>;

    /// Lists the entries of the audit chain with a number above `after`, oldest first, at most `limit` of
    /// them; 1..=500, as in [`Page`]. There is one entry for each event, with its number.
    async fn audit(&self, after: EventSeq, limit: u32) -> Result<Vec<Entry>, StoreError>;

    /// The end of the audit chain.
    async fn audit_head(&self) -> Result<Head, StoreError>;

    /// Replaces the payloads of these entries of the audit chain by their digests, or of none; says how
    /// many payloads there were. Whatever the chain proves it still proves, and `events` leaves them out.
    /// Which ones nothing needs any more, [`Retention`](optim_core::audit::retention::Retention) says; the
    /// last word on a record is not among them.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when there is no such entry, [`StoreError::Corrupt`] when one is not what was
    /// written: it stays, as evidence.
    async fn drop_payloads(&self, entries: &[EventSeq]) -> Result<usize, StoreError>;

    /// What an operator can do with the store as a whole; `None` for one that forgets.
    fn upkeep(&self) -> Option<&dyn Upkeep> {
        None
    }

    /// Reads the throttles of all providers, by provider.
    async fn throttles(&self) -> Result<Vec<Throttle>, StoreError>;

    /// Reads a payload.
    async fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError>;
}
