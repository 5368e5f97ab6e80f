//! LMDB: the store of one machine, in a directory that one process owns.
//!
//! Reads run on tokio's blocking pool, each in a short transaction of its own. Writes go through one
//! thread that commits in groups. Every value carries a checksum.

pub(crate) mod envelope;
mod environment;
mod export;
mod file;
mod filesystem;
mod import;
mod owner;
mod sweep;
mod tables;
mod verify;
mod view;
mod writer;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use heed::MdbError;
use optim_core::audit::entry::Entry;
use optim_core::audit::head::Head;
use optim_core::campaign::Campaign;
use optim_core::digest::Digest;
use optim_core::experiment::Experiment;
use optim_core::id::{CampaignId, ExperimentId, RunId, WorkflowId, WorkflowRunId};
use optim_core::quantity::Timestamp;
use optim_core::run::Run;
use optim_core::stored_workflow::{StoredWorkflow, VersionNumber};
use optim_core::throttle::Throttle;
use optim_core::workflow_run::WorkflowRun;

use crate::store::{
    CampaignSummary, Commit, Committed, Damaged, EventSeq, ExperimentSummary, OfOneRecord, Page,
    Paged, Recorded, RunFilter, RunSummary, Store, StoreError, Versioned, WorkflowFilter,
    WorkflowRunFilter, WorkflowRunSummary, WorkflowSummary,
};
use crate::upkeep::{Exported, Stat, Swept, Upkeep};

use self::environment::{Environment, is_no_space};
use self::owner::Owner;
use self::view::View;
use self::writer::{Writer, drop_payloads};

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The size of the map at first, in bytes. The data file is as long as the map, and sparse.
    pub map_initial: u64,
    /// The size in bytes up to which the map may grow; then the store is full.
    pub map_max: u64,
    /// Whether a remote or foreign file system is accepted, on which a crash may lose data.
    pub allow_unsafe_file_system: bool,
}

impl Default for Options {
    /// 64 MiB that grow to 64 GiB, on a local file system.
    fn default() -> Self {
        Self { map_initial: 64 << 20, map_max: 64 << 30, allow_unsafe_file_system: false }
    }
}

/// A store in LMDB. Dropping it waits for the commits that are queued and the reads that run.
#[derive(Debug)]
pub struct Lmdb {
    // The fields are dropped in this order.
    writer: Writer,
    environment: Closing,
    _owner: Owner,
}

/// Closes the environment when it is dropped, also if a read still holds it.
#[derive(Debug)]
struct Closing(Arc<Environment>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Lmdb {
    /// Opens the store in the directory `path`, or makes a new one there. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Owned`] when another process, or this one, has opened it;
    /// [`StoreError::UnsafeFileSystem`]; [`StoreError::Newer`]; [`StoreError::Corrupt`] when it
    /// cannot be trusted as a whole.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let failed = |source| io_failed(path, source);
        create_directory(path).map_err(failed)?;
        if !options.allow_unsafe_file_system
            && let Some(kind) = filesystem::unsafe_kind(path).map_err(failed)?
        {
            return Err(StoreError::UnsafeFileSystem { path: path.to_owned(), kind });
        }
        let owner = Owner::take(path)?;
        let environment = Closing(Arc::new(Environment::open(path, options)?));
        sync_directory(path).map_err(failed)?;
        let writer = Writer::start(Arc::clone(&environment.0))?;
        Ok(Self { writer, environment, _owner: owner })
    }

    /// Reads everything and compares each index with the records behind it; the findings, at most
    /// 100 of them, are what is damaged. Takes as long as reading the whole store, and the space
    /// that commits free meanwhile is not used again before it ends.
    ///
    /// # Errors
    /// The store fails, or its tables cannot be walked.
    pub async fn verify(&self) -> Result<Vec<StoreError>, StoreError> {
        self.read(|view| verify::verify(&view)).await
    }

    /// How many transactions were committed since the store was made. Each one costs two syncs, whatever
    /// is in it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn transactions(&self) -> Result<u64, StoreError> {
        let last = self.read(|view| Ok(view.txn.id())).await?;
        Ok(u64::try_from(last).unwrap_or(u64::MAX))
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(View<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.blocking(|environment| environment.read(read)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Environment) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let environment = Arc::clone(&self.environment.0);
        let task = tokio::task::spawn_blocking(move || work(&environment));
        task.await.unwrap_or_else(|error| {
            Err(io_failed(self.environment.0.path(), std::io::Error::other(error)))
        })
    }
}

#[async_trait]
impl Upkeep for Lmdb {
    async fn verify(&self) -> Result<Vec<StoreError>, StoreError> {
        Self::verify(self).await
    }

    async fn against_the_chain(&self) -> Result<Vec<StoreError>, StoreError> {
        self.read(|view| verify::against_the_chain(&view)).await
    }

    async fn stat(&self) -> Result<Stat, StoreError> {
        self.blocking(|environment| environment.stat()).await
    }

    async fn export(&self, to: File) -> Result<Exported, StoreError> {
        self.read(move |view| export::export(&view, &mut BufWriter::new(to))).await
    }

    async fn import(&self, mut from: File) -> Result<Exported, StoreError> {
        self.blocking(move |environment| {
            let path = environment.path();
            environment.write(|tables, txn| import::import(tables, txn, path, &mut from))
        })
        .await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.blocking(|environment| environment.write(sweep::sweep)).await
    }
}

#[async_trait]
impl Store for Lmdb {
    fn upkeep(&self) -> Option<&dyn Upkeep> {
        Some(self)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.writer.commit(commit).await.unwrap_or_else(|writer::Gone| {
            Err(io_failed(self.environment.0.path(), std::io::Error::other("its writer has died")))
        })
    }

    async fn campaign(&self, id: &CampaignId) -> Result<Option<Versioned<Campaign>>, StoreError> {
        let id = id.clone();
        self.read(move |view| view.campaign(&id)).await
    }

    async fn campaigns(&self, page: Page) -> Result<Paged<CampaignSummary>, StoreError> {
        self.read(move |view| view.campaigns(&page)).await
    }

    async fn campaigns_on(
        &self,
        workflow: &WorkflowId,
        page: Page,
    ) -> Result<Paged<CampaignSummary>, StoreError> {
        let workflow = workflow.clone();
        self.read(move |view| view.campaigns_on(&workflow, &page)).await
    }

    async fn experiment(&self, id: ExperimentId) -> Result<Option<Experiment>, StoreError> {
        self.read(move |view| view.experiment(id)).await
    }

    async fn experiments(
        &self,
        campaign: &CampaignId,
        page: Page,
    ) -> Result<Paged<ExperimentSummary>, StoreError> {
        let campaign = campaign.clone();
        self.read(move |view| view.experiments(&campaign, &page)).await
    }

    async fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, StoreError> {
        self.read(move |view| view.run(id)).await
    }

    async fn runs(&self, filter: &RunFilter, page: Page) -> Result<Paged<RunSummary>, StoreError> {
        let filter = filter.clone();
        self.read(move |view| view.runs(&filter, &page)).await
    }

    async fn workflow(
        &self,
        id: &WorkflowId,
    ) -> Result<Option<Versioned<StoredWorkflow>>, StoreError> {
        let id = id.clone();
        self.read(move |view| view.workflow(&id)).await
    }

    async fn workflows(
        &self,
        filter: WorkflowFilter,
        page: Page,
    ) -> Result<Paged<WorkflowSummary>, StoreError> {
        self.read(move |view| view.workflows(filter, &page)).await
    }

    async fn workflow_text(
        &self,
        id: &WorkflowId,
        version: VersionNumber,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let id = id.clone();
        self.read(move |view| view.workflow_text(&id, version)).await
    }

    async fn workflow_run(
        &self,
        id: WorkflowRunId,
    ) -> Result<Option<Versioned<WorkflowRun>>, StoreError> {
        self.read(move |view| view.workflow_run(id)).await
    }

    async fn workflow_runs(
        &self,
        filter: &WorkflowRunFilter,
        page: Page,
    ) -> Result<Paged<WorkflowRunSummary>, StoreError> {
        let filter = filter.clone();
        self.read(move |view| view.workflow_runs(&filter, &page)).await
    }

    async fn workflow_runs_ended(
        &self,
        by: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkflowRunId>, StoreError> {
        self.read(move |view| view.workflow_runs_ended(by, limit)).await
    }

    async fn workflow_run_output(
        &self,
        id: WorkflowRunId,
        output: Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |view| view.workflow_run_output(id, output)).await
    }

    async fn events(&self, after: EventSeq, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        self.read(move |view| view.events(after, limit)).await
    }

    async fn audit(&self, after: EventSeq, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.read(move |view| view.audit(after, limit)).await
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        self.read(|view| view.audit_head()).await
    }

    async fn drop_payloads(&self, entries: &[EventSeq]) -> Result<usize, StoreError> {
        let entries = entries.to_vec();
        self.blocking(move |environment| {
            environment.write(|tables, txn| drop_payloads(tables, txn, &entries))
        })
        .await
    }

    async fn throttles(&self) -> Result<Vec<Throttle>, StoreError> {
        self.read(|view| view.throttles()).await
    }

    async fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(move |view| view.blob(digest)).await
    }
}

/// What goes wrong inside, before it is known at which store. LMDB's own errors stay apart, since
/// a full map is an order to enlarge it.
#[derive(Debug)]
enum Error {
    Lmdb(heed::Error),
    Store(StoreError),
}

impl OfOneRecord for Error {
    fn damaged(self) -> Result<Damaged, Self> {
        match self {
            Self::Store(error) => error.damaged().map_err(Self::Store),
            Self::Lmdb(_) => Err(self),
        }
    }
}

impl From<heed::Error> for Error {
    fn from(error: heed::Error) -> Self {
        Self::Lmdb(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Lmdb(heed::Error::Io(error))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Error {
    fn into_store(self, path: &Path) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Lmdb(heed::Error::Io(error)) if is_no_space(path, &error) => {
                StoreError::NoSpace { path: path.to_owned() }
            }
            Self::Lmdb(heed::Error::Io(source)) => io_failed(path, source),
            Self::Lmdb(heed::Error::EnvAlreadyOpened) => {
                StoreError::Owned { path: path.to_owned(), holder: std::process::id().to_string() }
            }
            Self::Lmdb(heed::Error::Mdb(
                error @ (MdbError::PageNotFound
                | MdbError::Corrupted
                | MdbError::Invalid
                | MdbError::VersionMismatch
                | MdbError::Incompatible),
            )) => corrupt(&format!("the store at {}", path.display()), &error.to_string()),
            Self::Lmdb(error) => io_failed(path, std::io::Error::other(error.to_string())),
        }
    }
}

fn io_failed(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), source }
}

fn corrupt(what: &str, why: &str) -> StoreError {
    StoreError::Corrupt { what: what.to_owned(), why: why.to_owned() }
}

/// Creates `path` for this user alone.
fn create_directory(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the names of the directory and its files durable.
fn sync_directory(path: &Path) -> std::io::Result<()> {
    let path: PathBuf = path.canonicalize()?;
    File::open(&path)?.sync_all()?;
    // A parent that may not be read was not made by this process, so its entry is old.
    match path.parent().map(File::open) {
        Some(Ok(parent)) => parent.sync_all(),
        Some(Err(_)) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
