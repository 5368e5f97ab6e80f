//! A store that fails as planned, and during whose commits tokio's paused clock stands still.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use optim_core::audit::entry::Entry;
use optim_core::audit::head::Head;
use optim_core::campaign::Campaign;
use optim_core::digest::{Digest, Hasher};
use optim_core::experiment::Experiment;
use optim_core::id::{CampaignId, ExperimentId, RunId, WorkflowId, WorkflowRunId};
use optim_core::quantity::Timestamp;
use optim_core::run::Run;
use optim_core::stored_workflow::{StoredWorkflow, VersionNumber};
use optim_core::throttle::Throttle;
use optim_core::workflow_run::WorkflowRun;
use tokio::sync::watch;

use crate::store::{
    CampaignSummary, Commit, Committed, EventSeq, ExperimentSummary, Page, Paged, Recorded,
    RunFilter, RunSummary, Store, StoreError, Versioned, WorkflowFilter, WorkflowRunFilter,
    WorkflowRunSummary, WorkflowSummary,
};
use crate::upkeep::Upkeep;

/// When an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Before it took effect.
    Before,
    /// After it took effect, so that the caller cannot know: a commit holds, its answer is lost.
    After,
}

/// Which operations fail.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    Listed(BTreeMap<u64, Fault>),
    Drawn { seed: u64, per_mille: u16 },
    Stops { at: u64, fault: Fault },
}

/// What becomes of an operation.
enum Fate {
    Answered,
    Failed(Fault),
    /// Nobody lives to see its answer.
    Stopped(Fault),
}

/// A store whose operations fail by a plan, with [`StoreError::Io`]. Operations, reads and
/// commits alike, are counted from 1 in the order in which they are begun.
///
/// A paused clock moves on when nothing is left to do but wait for it, and it takes a commit that another
/// thread is writing for nothing. Here it waits for the commit: in virtual time a commit takes no time.
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: S,
    plan: Mutex<Plan>,
    begun: AtomicU64,
    injected: AtomicU64,
    unknown: AtomicU64,
    conflicts: AtomicU64,
    stopped: watch::Sender<bool>,
}

impl<S> FaultyStore<S> {
    /// Fails the operations with these numbers.
    #[must_use]
    pub fn planned(inner: S, faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self::new(inner, Plan::Listed(faults.into_iter().collect()))
    }

    /// Fails about `per_mille` of 1000 operations, half of them after they took effect. The same
    /// seed fails the same numbers.
    #[must_use]
    pub fn seeded(inner: S, seed: u64, per_mille: u16) -> Self {
        Self::new(inner, Plan::Drawn { seed, per_mille })
    }

    fn new(inner: S, plan: Plan) -> Self {
        let [begun, injected, unknown, conflicts] = [0; 4].map(AtomicU64::new);
        let (plan, stopped) = (Mutex::new(plan), watch::Sender::new(false));
        Self { inner, plan, begun, injected, unknown, conflicts, stopped }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store that does the work.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Operations that were begun.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Operations that failed by the plan. A simulation in which none did has shown nothing.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::SeqCst)
    }

    /// Commits that took effect and failed all the same.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::SeqCst)
    }

    /// Commits that somebody else was faster than.
    #[must_use]
    pub fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::SeqCst)
    }

    /// Fails nothing any more.
    pub fn heal(&self) {
        *self.plan() = Plan::Listed(BTreeMap::new());
        self.stopped.send_replace(false);
    }

    /// From now on fails about `per_mille` of 1000 operations, as one that was made `seeded`.
    pub fn fail_now_and_then(&self, seed: u64, per_mille: u16) {
        *self.plan() = Plan::Drawn { seed, per_mille };
    }

    /// Stops the world at the operation that is the `count`th from now: neither it nor a later one is
    /// answered, as for a process that is killed.
    pub fn stop(&self, count: u64, fault: Fault) {
        *self.plan() = Plan::Stops { at: self.begun().saturating_add(count), fault };
    }

    /// Waits until the world has stopped.
    pub async fn stopped(&self) {
        // The sender lives as long as the store.
        drop(self.stopped.subscribe().wait_for(|stopped| *stopped).await);
    }

    async fn attempt<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let number = self.begun.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let (fate, is_drawn) = {
            let plan = self.plan();
            (plan.fate(number), matches!(*plan, Plan::Drawn { .. }))
        };
        if is_drawn {
            // Others may go first, so that the operations of several callers interleave.
            tokio::task::yield_now().await;
        }
        match fate {
            Fate::Answered => return operation.await,
            Fate::Failed(Fault::Before) => {}
            Fate::Failed(Fault::After) => drop(operation.await?),
            Fate::Stopped(fault) => {
                if fault == Fault::After {
                    drop(operation.await);
                }
                self.injected.fetch_add(1, Ordering::SeqCst);
                self.stopped.send_replace(true);
                return std::future::pending().await;
            }
        }
        self.injected.fetch_add(1, Ordering::SeqCst);
        let source = std::io::Error::other(format!("the fault planned for operation {number}"));
        Err(StoreError::Io { path: "faulty".into(), source })
    }
}

/// While it lives, tokio's paused clock stands still.
struct Still {
    _end: Sender<()>,
}

impl Still {
    fn begin() -> Self {
        let (end, ended) = channel();
        // The clock waits for blocking tasks. This one ends when the sender is gone.
        drop(tokio::task::spawn_blocking(move || ended.recv()));
        Self { _end: end }
    }
}

impl Plan {
    fn fate(&self, number: u64) -> Fate {
        let fault = match self {
            Self::Stops { at, .. } if number < *at => None,
            Self::Stops { at, fault } if number == *at => return Fate::Stopped(*fault),
            Self::Stops { .. } => return Fate::Stopped(Fault::Before),
            Self::Listed(faults) => faults.get(&number).copied(),
            Self::Drawn { seed, per_mille } => {
                let mut hasher = Hasher::new("optim/fault/1");
                hasher.part(&seed.to_be_bytes()).part(&number.to_be_bytes());
                let [a, b, c, ..] = *hasher.finish().as_bytes();
                let hit = u16::from_be_bytes([a, b]) % 1000 < *per_mille;
                hit.then_some(if c % 2 == 0 { Fault::Before } else { Fault::After })
            }
        };
        fault.map_or(Fate::Answered, Fate::Failed)
    }
}

#[async_trait]
impl<S: Store> Store for FaultyStore<S> {
    fn upkeep(&self) -> Option<&dyn Upkeep> {
        self.inner.upkeep()
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let _still = Still::begin();
        let mut took_effect = false;
        let committed = self.attempt(async {
            let committed = self.inner.commit(commit).await;
            took_effect = committed.is_ok();
            committed
        });
        let committed = committed.await;
        let count =
            |counter: &AtomicU64, is_so| counter.fetch_add(u64::from(is_so), Ordering::SeqCst);
        count(&self.unknown, took_effect && committed.is_err());
        count(&self.conflicts, matches!(committed, Err(StoreError::Conflict { .. })));
        committed
    }

    async fn campaign(&self, id: &CampaignId) -> Result<Option<Versioned<Campaign>>, StoreError> {
        self.attempt(self.inner.campaign(id)).await
    }

    async fn campaigns(&self, page: Page) -> Result<Paged<CampaignSummary>, StoreError> {
        self.attempt(self.inner.campaigns(page)).await
    }

    async fn campaigns_on(
        &self,
        workflow: &WorkflowId,
        page: Page,
    ) -> Result<Paged<CampaignSummary>, StoreError> {
        self.attempt(self.inner.campaigns_on(workflow, page)).await
    }

    async fn experiment(&self, id: ExperimentId) -> Result<Option<Experiment>, StoreError> {
        self.attempt(self.inner.experiment(id)).await
    }

    async fn experiments(
        &self,
        campaign: &CampaignId,
        page: Page,
    ) -> Result<Paged<ExperimentSummary>, StoreError> {
        self.attempt(self.inner.experiments(campaign, page)).await
    }

    async fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, StoreError> {
        self.attempt(self.inner.run(id)).await
    }

    async fn runs(&self, filter: &RunFilter, page: Page) -> Result<Paged<RunSummary>, StoreError> {
        self.attempt(self.inner.runs(filter, page)).await
    }

    async fn workflow(
        &self,
        id: &WorkflowId,
    ) -> Result<Option<Versioned<StoredWorkflow>>, StoreError> {
        self.attempt(self.inner.workflow(id)).await
    }

    async fn workflows(
        &self,
        filter: WorkflowFilter,
        page: Page,
    ) -> Result<Paged<WorkflowSummary>, StoreError> {
        self.attempt(self.inner.workflows(filter, page)).await
    }

    async fn workflow_text(
        &self,
        id: &WorkflowId,
        version: VersionNumber,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.attempt(self.inner.workflow_text(id, version)).await
    }

    async fn workflow_run(
        &self,
        id: WorkflowRunId,
    ) -> Result<Option<Versioned<WorkflowRun>>, StoreError> {
        self.attempt(self.inner.workflow_run(id)).await
    }

    async fn workflow_runs(
        &self,
        filter: &WorkflowRunFilter,
        page: Page,
    ) -> Result<Paged<WorkflowRunSummary>, StoreError> {
        self.attempt(self.inner.workflow_runs(filter, page)).await
    }

    async fn workflow_runs_ended(
        &self,
        by: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkflowRunId>, StoreError> {
        self.attempt(self.inner.workflow_runs_ended(by, limit)).await
    }

    async fn workflow_run_output(
        &self,
        id: WorkflowRunId,
        output: Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.attempt(self.inner.workflow_run_output(id, output)).await
    }

    async fn events(&self, after: EventSeq, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        self.attempt(self.inner.events(after, limit)).await
    }

    async fn audit(&self, after: EventSeq, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.attempt(self.inner.audit(after, limit)).await
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        self.attempt(self.inner.audit_head()).await
    }

    async fn drop_payloads(&self, entries: &[EventSeq]) -> Result<usize, StoreError> {
        let _still = Still::begin();
        self.attempt(self.inner.drop_payloads(entries)).await
    }

    async fn throttles(&self) -> Result<Vec<Throttle>, StoreError> {
        self.attempt(self.inner.throttles()).await
    }

    async fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.attempt(self.inner.blob(digest)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::store::{Blob, Page};
    use crate::testing::conformance::{Fixture, block_on};

    crate::conformance_tests!(|| Fixture::volatile(FaultyStore::planned(Memory::new(), [])));

    #[test]
    fn a_commit_that_fails_afterwards_holds_and_one_that_fails_before_does_not() {
        block_on(async {
            let faults = [(1, Fault::Before), (2, Fault::After), (4, Fault::After)];
            let store = FaultyStore::planned(Memory::new(), faults);
            let blobs = [b"one", b"two"].map(|bytes| Blob::new(bytes.to_vec()));
            for blob in &blobs {
                let commit = Commit { blobs: vec![blob.clone()], ..Commit::default() };
                assert_eq!(store.commit(commit).await.unwrap_err().code(), "store_io");
            }
            assert_eq!(store.blob(blobs[0].digest()).await.unwrap(), None);
            assert!(store.blob(blobs[1].digest()).await.is_err());
            assert_eq!(store.blob(blobs[1].digest()).await.unwrap().unwrap(), b"two");
            assert_eq!((store.begun(), store.injected(), store.unknown()), (5, 3, 1));
        });
    }

    #[test]
    fn a_world_that_stops_answers_nothing_more_and_keeps_what_it_had_taken_in() {
        block_on(async {
            for (fault, kept) in [(Fault::Before, None), (Fault::After, Some(b"two".to_vec()))] {
                let store = FaultyStore::planned(Memory::new(), []);
                let blobs = [b"one", b"two"].map(|bytes| Blob::new(bytes.to_vec()));
                store.stop(2, fault);
                for blob in &blobs {
                    let commit = Commit { blobs: vec![blob.clone()], ..Commit::default() };
                    tokio::select! {
                        answer = store.commit(commit) => assert_eq!(blob, &blobs[0], "{answer:?}"),
                        () = store.stopped() => assert_eq!(blob, &blobs[1]),
                    }
                }
                tokio::select! {
                    biased;
                    _answer = store.blob(blobs[0].digest()) => panic!("nobody answers"),
                    () = store.stopped() => store.heal(),
                }
                assert_eq!(store.blob(blobs[1].digest()).await.unwrap(), kept);
            }
        });
    }

    #[test]
    fn a_seed_fails_the_same_operations_each_time_until_the_store_is_healed() {
        block_on(async {
            let failures = async |store: &FaultyStore<Memory>| {
                let mut failures = Vec::new();
                for number in 0..1000 {
                    if store.campaigns(Page::first()).await.is_err() {
                        failures.push(number);
                    }
                }
                failures
            };
            let store = FaultyStore::seeded(Memory::new(), 7, 100);
            let first = failures(&store).await;
            assert!((60..140).contains(&first.len()), "{}", first.len());
            assert_eq!(failures(&FaultyStore::seeded(Memory::new(), 7, 100)).await, first);
            assert_ne!(failures(&FaultyStore::seeded(Memory::new(), 8, 100)).await, first);
            store.heal();
            assert!(failures(&store).await.is_empty());
        });
    }
}
