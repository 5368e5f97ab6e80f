//! Gives slots to jobs, and their results to the engine.
//!
//! The queue is the store's; the [`Scheduler`] holds a copy of it that follows the commits, and decides
//! who starts. The loop goes round: it takes in what came and what ended, asks the scheduler, and
//! commits the results and the next claims together. What ends during a commit is in the next one, so
//! many workers cost few commits.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use optim_core::digest::Digest;
use optim_core::id::{ProviderId, WorkflowRunId};
use optim_core::node_io::RETRY_AFTER_MAX;
use optim_core::outcome::{CaseOutcome, Usage};
use optim_core::quantity::Millis;
use optim_core::run::transition::RunObservation;
use optim_core::run::{Epoch, Run, RunReport, Throttled, fault_delay};
use optim_store::{
    Cursor, Page, RunFilter, RunSummary, StoreError, WorkflowRunFilter, WorkflowRunSummary,
};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use crate::clock::Steady;
use crate::engine::turn::Ended;
use crate::engine::{Brought, Engine, EngineError};
use crate::lease;
use crate::listing;
use crate::runner::{self, Runner};
use crate::scheduler::entry::{Class, Entry, Job, Needs, Party};
use crate::scheduler::metrics::Metrics;
use crate::scheduler::workspace::CanonicalPath;
use crate::scheduler::{Admission, Release, Scheduler, Waiting};
use crate::tasks::Shutdown;
use crate::wake::{JobChange, JobChanges};
use crate::workflow_worker;
use optim_core::throttle::Throttle;
use optim_core::workflow_run::observation::WorkflowRunObservation;
use optim_core::workflow_run::state::WorkflowRunStatus;
use optim_core::workflow_run::{Wait, WorkflowRun};

/// How long a failing store is left alone.
const BACK_OFF: Duration = Duration::from_secs(1);
/// How many definitions are remembered with whom they call.
const NEEDS_MAX: usize = 1024;

/// How jobs are dispatched.
#[derive(Debug, Clone)]
pub struct DispatchConfig {
    /// Jobs at once; at least one.
    pub capacity: u32,
    /// Whether case runs are given to workers; workflow runs always are.
    pub evaluation: bool,
    /// How long jobs that cannot simply be stopped may go on after a shutdown is wished.
    pub grace: Duration,
}

impl Default for DispatchConfig {
    /// Four jobs at once, half a minute.
    fn default() -> Self {
        Self { capacity: 4, evaluation: true, grace: Duration::from_secs(30) }
    }
}

/// The dispatch loop.
pub struct Dispatcher {
    engine: Arc<Engine>,
    runner: Arc<Runner>,
    scheduler: Arc<Mutex<Scheduler>>,
    clock: Steady,
    evaluation: bool,
    grace: Duration,
    needs: Mutex<BTreeMap<Digest, Arc<Needs>>>,
    last_error: Mutex<Option<String>>,
    /// Whether nothing begins any more.
    draining: Arc<AtomicBool>,
    /// Outside of the loop, so that a panic of the loop ends no worker.
    desk: tokio::sync::Mutex<Desk>,
}

/// The jobs at work, and what is to be done about the others.
#[derive(Default)]
struct Desk {
    /// What of the store's queue has to be looked through.
    unseen: Unseen,
    /// Whether the store may hold what is not known here: an operation failed, so that a claim whose answer
    /// is lost may have taken effect, or there were more changes than are remembered.
    doubt: bool,
    workers: JoinSet<Done>,
    at_work: HashMap<Id, AtWork>,
    /// Results that are not recorded yet.
    ended: Vec<Ended>,
}

/// The part of the store's queue that was not looked through.
#[derive(Default)]
enum Unseen {
    /// All of it.
    #[default]
    All,
    /// What comes after this place.
    After(Cursor),
    /// Nothing.
    Nothing,
}

/// A job that has a worker.
struct AtWork {
    /// Released with it.
    slot: Slot,
    /// The claim that it works under.
    epoch: Epoch,
    /// The claimed case run; a workflow run writes its own log.
    case: Option<Run>,
    worker: AbortHandle,
}

/// What a worker brings back.
enum Done {
    /// The result of a case run.
    Case(Box<RunReport>),
    /// Nothing: everything is recorded.
    Workflow,
}

impl Dispatcher {
    /// A loop that executes runs with `runner`, within the rate limits that it knows.
    #[must_use]
    pub fn new(engine: Arc<Engine>, runner: Arc<Runner>, config: DispatchConfig) -> Self {
        let clock = Steady::starting_at(engine.clock().as_ref());
        let scheduler = Scheduler::new(config.capacity, runner.rate_limits(), clock.now());
        let (scheduler, needs) = (Arc::new(Mutex::new(scheduler)), Mutex::default());
        let (last_error, desk) = (Mutex::default(), tokio::sync::Mutex::default());
        let DispatchConfig { evaluation, grace, .. } = config;
        let draining = Arc::default();
        Self {
            engine,
            runner,
            scheduler,
            clock,
            evaluation,
            grace,
            needs,
            last_error,
            draining,
            desk,
        }
    }

    /// What is at work, and how long it waited.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        locked(&self.scheduler).metrics()
    }

    /// What waits, for what, and how long.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        locked(&self.scheduler).waiting(self.clock.now())
    }

    /// What failed last, since the start of the process.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        locked(&self.last_error).clone()
    }

    /// Works the queue off until shut down. It looks in a fixed order, here and in all loops: the same
    /// things lead to the same order of commits, so that what a simulation finds can be repeated.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let desk = &mut *self.desk.lock().await;
        // A loop that panicked may have left claimed runs without a worker.
        desk.doubt = true;
        loop {
            if let Err(error) = self.go_round(desk).await {
                self.doubt(desk, &error);
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(BACK_OFF) => continue,
                    () = shutdown.requested() => break,
                }
            }
            let due = locked(&self.scheduler).next_due(self.clock.now());
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                changes = self.engine.wakes().changed_jobs() => {
                    if let Err(error) = self.take_in(desk, changes).await {
                        self.doubt(desk, &error);
                    }
                }
                Some(ended) = desk.workers.join_next_with_id() => self.take_back(desk, ended),
                () = self.clock.reached(due) => {}
            }
        }
        self.close(desk).await;
    }

    fn doubt(&self, desk: &mut Desk, error: &EngineError) {
        tracing::warn!(%error, "the queue cannot be worked off now");
        *locked(&self.last_error) = Some(error.to_string());
        desk.doubt = true;
    }

    /// Starts jobs and records results until there is nothing to start and nothing to record.
    async fn go_round(&self, desk: &mut Desk) -> Result<(), EngineError> {
        if desk.doubt {
            self.rescue(desk).await?;
            self.remember_throttles().await?;
            (desk.doubt, desk.unseen) = (false, Unseen::All);
        }
        loop {
            self.look(desk).await?;
            while let Some(ended) = desk.workers.try_join_next_with_id() {
                self.take_back(desk, ended);
            }
            // Slots that are not used for an error's sake are given back.
            let admissions = locked(&self.scheduler).admit(self.clock.now()).into_iter();
            let slots: Vec<_> = admissions.map(|admission| self.slot(admission)).collect();
            if !slots.is_empty() || !desk.ended.is_empty() {
                self.turn(desk, slots).await?;
            } else if matches!(desk.unseen, Unseen::Nothing) {
                return Ok(());
            }
        }
    }

    /// Records what has ended and starts the jobs that have a slot now.
    async fn turn(&self, desk: &mut Desk, slots: Vec<Slot>) -> Result<(), EngineError> {
        let (mut cases, mut claims) = (Vec::new(), Vec::new());
        for slot in slots {
            match slot.admission.job {
                Job::Case(run) => {
                    claims.push(run);
                    cases.push(slot);
                }
                Job::Workflow(run) => {
                    if let Some(claimed) = self.engine.claim_workflow_run(run).await? {
                        self.start_workflow(desk, slot, claimed);
                    }
                }
            }
        }
        let claimed = self.engine.turn(&desk.ended, &claims).await?;
        desk.ended.clear();
        for run in claimed {
            let job = Job::Case(run.id);
            if let Some(place) = cases.iter().position(|slot| slot.admission.job == job) {
                self.start(desk, cases.swap_remove(place), run);
            }
        }
        Ok(())
    }

    /// Hands a claimed run to a worker.
    fn start(&self, desk: &mut Desk, mut slot: Slot, run: Run) {
        let (engine, runner) = (Arc::clone(&self.engine), Arc::clone(&self.runner));
        let (claimed, epoch) = (run.clone(), run.epoch);
        let worker = desk.workers.spawn(async move {
            let report = tokio::select! {
                biased;
                report = execute(&engine, &runner, &claimed) => report,
                () = lease::keep(&engine, &claimed) => {
                    Ok(void(&engine, &claimed, "its worker lost the lease".to_owned()))
                }
            };
            let report = report.unwrap_or_else(|error| void(&engine, &claimed, error.to_string()));
            Done::Case(Box::new(report))
        });
        slot.release = Release::Worked;
        desk.at_work.insert(worker.id(), AtWork { slot, epoch, case: Some(run), worker });
    }

    /// Hands a claimed workflow run to a worker.
    fn start_workflow(&self, desk: &mut Desk, mut slot: Slot, run: WorkflowRun) {
        let (engine, runner) = (Arc::clone(&self.engine), Arc::clone(&self.runner));
        let (draining, epoch) = (Arc::clone(&self.draining), run.epoch);
        let worker = desk.workers.spawn(async move {
            workflow_worker::work(engine, runner, run, draining).await;
            Done::Workflow
        });
        slot.release = Release::Worked;
        desk.at_work.insert(worker.id(), AtWork { slot, epoch, case: None, worker });
    }

    /// Takes in that a worker has ended: its slot is free from here on.
    fn take_back(&self, desk: &mut Desk, ended: Result<(Id, Done), JoinError>) {
        let (id, done) = match ended {
            Ok((id, done)) => (id, Ok(done)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(AtWork { case, .. }) = desk.at_work.remove(&id) else {
            return;
        };
        let Some(run) = case else {
            // One that could not write its log is found by its claim.
            desk.doubt |= done.is_err();
            return;
        };
        let report = match done {
            Ok(Done::Case(report)) => *report,
            Ok(Done::Workflow) => return,
            // It was stopped because nobody wants its result.
            Err(error) if error.is_cancelled() => return,
            Err(panic) => void(&self.engine, &run, format!("the worker panicked: {panic}")),
        };
        if let Some(Throttled { provider, retry_after }) = &report.throttled {
            self.throttle(provider, (*retry_after).min(RETRY_AFTER_MAX));
        }
        desk.ended.push(Ended { run: run.id, epoch: run.epoch, report });
    }

    async fn is_queued(&self, run: WorkflowRunId) -> Result<bool, EngineError> {
        let found = self.engine.store().workflow_run(run).await?;
        Ok(found.is_some_and(|run| run.value.state.status() == WorkflowRunStatus::Queued))
    }

    /// Takes in which jobs came and went.
    async fn take_in(&self, desk: &mut Desk, changes: JobChanges) -> Result<(), EngineError> {
        desk.doubt |= changes.more;
        for change in changes.known {
            match change {
                // It was queued before a worker took it.
                JobChange::CaseQueued(run) if desk.has_taken(Job::Case(run.id), run.epoch) => {}
                JobChange::WorkflowQueued(run)
                    if desk.has_taken(Job::Workflow(run.id), run.epoch) => {}
                JobChange::CaseQueued(run) => {
                    // Given back: what a worker finds out under that claim will be refused.
                    desk.stop(|claim| claim.id == run.id && claim.epoch <= run.epoch);
                    self.enqueue_case(run).await?;
                }
                JobChange::WorkflowQueued(run) => self.enqueue_workflow(*run).await?,
                JobChange::Throttled(throttle) => self.remember(&throttle),
                // Word of a pause may come after word of the resume that followed it.
                JobChange::Over(Job::Workflow(run)) if self.is_queued(run).await? => {}
                JobChange::Over(job) => {
                    // The worker of a workflow run looks for itself, and tidies up before it ends.
                    desk.stop(|claim| Job::Case(claim.id) == job);
                    locked(&self.scheduler).withdraw(job);
                }
            }
        }
        Ok(())
    }

    /// A case run works in a scratch copy of its own, so it locks no workspace.
    async fn enqueue_case(&self, run: RunSummary) -> Result<(), EngineError> {
        if !self.evaluation {
            return Ok(());
        }
        let needs = self.needs(run.snapshot).await?;
        let now = self.clock.now();
        let delayed = (run.faults > 0).then(|| now.after(fault_delay(run.faults)));
        let entry = Entry {
            job: Job::Case(run.id),
            party: Party::Campaign(run.campaign),
            class: Class::Evaluation,
            workspace: None,
            needs,
            not_before: delayed,
        };
        locked(&self.scheduler).enqueue(entry, now);
        Ok(())
    }

    /// A workflow run acts on a real workspace, which nobody else may work in meanwhile. One whose
    /// workspace is gone locks nothing: it ends as soon as it starts.
    async fn enqueue_workflow(&self, run: WorkflowRunSummary) -> Result<(), EngineError> {
        let needs = self.needs(run.snapshot).await?;
        let (now, wall_clock) = (self.clock.now(), self.engine.clock().now());
        // However the wall clock was moved, no wait is longer than any provider may ask for.
        let rest = |wait: Wait| wait.not_before.since(wall_clock).min(RETRY_AFTER_MAX);
        let entry = Entry {
            job: Job::Workflow(run.id),
            party: Party::Workflow(run.workflow),
            class: Class::Production,
            workspace: CanonicalPath::resolve(Path::new(&run.workspace)).ok(),
            needs,
            not_before: run.wait.map(|wait| now.after(rest(wait))),
        };
        locked(&self.scheduler).enqueue(entry, now);
        Ok(())
    }

    /// Whom a definition calls. One that cannot be read calls nobody: its runs fail when they start.
    async fn needs(&self, snapshot: Digest) -> Result<Arc<Needs>, EngineError> {
        let known = locked(&self.needs).get(&snapshot).cloned();
        if let Some(needs) = known {
            return Ok(needs);
        }
        let needs = match self.engine.workflow(snapshot).await {
            Ok(workflow) => Arc::new(self.runner.needs(&workflow)),
            Err(EngineError::Payload { .. }) => Arc::default(),
            Err(error) => return Err(error),
        };
        let mut known = locked(&self.needs);
        if known.len() >= NEEDS_MAX {
            known.clear();
        }
        known.insert(snapshot, Arc::clone(&needs));
        Ok(needs)
    }

    /// Gives back the claimed runs that nobody works on and nobody has finished.
    async fn rescue(&self, desk: &Desk) -> Result<(), EngineError> {
        for run in self.engine.list_runs(&RunFilter::Running).await? {
            let has_worker = locked(&self.scheduler).holds(Job::Case(run.id));
            if !has_worker && !desk.ended.iter().any(|ended| ended.run == run.id) {
                // One that has moved on meanwhile needs no help.
                let lost = RunObservation::Lost { epoch: run.epoch };
                drop(self.engine.observe_run(run.id, lost).await?);
            }
        }
        for status in [WorkflowRunStatus::Running, WorkflowRunStatus::Pausing] {
            let filter = WorkflowRunFilter::Status(status);
            for run in self.engine.list_workflow_runs(&filter).await? {
                if !locked(&self.scheduler).holds(Job::Workflow(run.id)) {
                    let lost = WorkflowRunObservation::Lost { epoch: run.epoch };
                    drop(
                        self.engine
                            .observe_workflow_run(run.id, &lost, &Brought::default())
                            .await?,
                    );
                }
            }
        }
        Ok(())
    }

    /// Leaves those providers alone that asked for it, of earlier processes too.
    async fn remember_throttles(&self) -> Result<(), EngineError> {
        self.engine.throttles().await?.iter().for_each(|throttle| self.remember(throttle));
        Ok(())
    }

    fn remember(&self, throttle: &Throttle) {
        self.throttle(&throttle.provider, throttle.left(self.engine.clock().now()));
    }

    fn throttle(&self, provider: &ProviderId, rest: Millis) {
        let now = self.clock.now();
        locked(&self.scheduler).throttle(provider, now.after(rest), now);
    }

    /// Takes in a page of the store's queue, unless all of it was looked through.
    async fn look(&self, desk: &mut Desk) -> Result<(), EngineError> {
        let after = match std::mem::replace(&mut desk.unseen, Unseen::All) {
            Unseen::All => {
                let queued = WorkflowRunFilter::Status(WorkflowRunStatus::Queued);
                let newest_first = self.engine.list_workflow_runs(&queued).await?;
                for run in newest_first.into_iter().rev() {
                    self.enqueue_workflow(run).await?;
                }
                None
            }
            Unseen::After(cursor) => Some(cursor),
            Unseen::Nothing => {
                desk.unseen = Unseen::Nothing;
                return Ok(());
            }
        };
        if !self.evaluation {
            desk.unseen = Unseen::Nothing;
            return Ok(());
        }
        let page = Page { after, ..Page::first() };
        let listed = self.engine.store().runs(&RunFilter::Queued, page).await?;
        listed.damaged.iter().for_each(listing::tell);
        for run in listed.items {
            self.enqueue_case(run).await?;
        }
        desk.unseen = listed.next.map_or(Unseen::Nothing, Unseen::After);
        Ok(())
    }

    fn slot(&self, admission: Admission) -> Slot {
        let scheduler = Arc::clone(&self.scheduler);
        Slot { admission, release: Release::Unused, scheduler, clock: self.clock }
    }

    /// Nothing starts any more. Case runs are stopped, as the next start queues them again; the nodes of
    /// workflow runs that are at work have a grace period. What has ended is recorded.
    async fn close(&self, desk: &mut Desk) {
        self.draining.store(true, Ordering::SeqCst);
        desk.stop(|_| true);
        let drained = async {
            while let Some(ended) = desk.workers.join_next_with_id().await {
                self.take_back(desk, ended);
            }
        };
        let in_time = tokio::time::timeout(self.grace, drained).await;
        if in_time.is_err() {
            tracing::warn!(jobs = desk.at_work.len(), "the grace period is over; jobs are stopped");
            desk.workers.shutdown().await;
        }
        if let Err(error) = self.engine.turn(&desk.ended, &[]).await {
            tracing::warn!(%error, runs = desk.ended.len(), "the last results are lost");
        }
    }
}

impl Desk {
    /// Whether a worker has `job` under a later claim than the one of `epoch`.
    fn has_taken(&self, job: Job, epoch: Epoch) -> bool {
        let mut at_work = self.at_work.values();
        at_work.any(|at_work| at_work.slot.admission.job == job && at_work.epoch > epoch)
    }

    /// Stops the workers of case runs. Their slots are given back when they have ended.
    fn stop(&self, which: impl Fn(&Run) -> bool) {
        let at_work = self.at_work.values();
        let stopped = at_work.filter(|at_work| at_work.case.as_ref().is_some_and(&which));
        stopped.for_each(|at_work| at_work.worker.abort());
    }
}

/// An admission that is released when it is dropped: with its worker, whatever that worker's end.
struct Slot {
    admission: Admission,
    release: Release,
    scheduler: Arc<Mutex<Scheduler>>,
    clock: Steady,
}

impl Drop for Slot {
    fn drop(&mut self) {
        locked(&self.scheduler).release(self.admission.id, self.release, self.clock.now());
    }
}

fn locked<T>(content: &Mutex<T>) -> MutexGuard<'_, T> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The report of a run that could not be executed, which is a fault of the outside.
fn void(engine: &Engine, run: &Run, fault: String) -> RunReport {
    tracing::error!(run = %run.id, fault, "a run could not be executed");
    let now = engine.clock().now();
    RunReport {
        executed: run.fingerprint,
        outcome: CaseOutcome::Void { fault },
        nodes: Vec::new(),
        usage: Usage::default(),
        started_at: now,
        finished_at: now,
        denied: Vec::new(),
        spent_on_faults: Usage::default(),
        throttled: None,
    }
}

async fn execute(engine: &Engine, runner: &Runner, run: &Run) -> Result<RunReport, EngineError> {
    let campaign = patiently(|| engine.campaign(&run.campaign)).await?.value;
    let workflow = patiently(|| engine.workflow(run.snapshot)).await?;
    let pack = patiently(|| engine.pack(campaign.frozen.pack)).await?;
    let index = usize::try_from(run.case_index).unwrap_or(usize::MAX);
    let Some(case) = pack.cases.get(index) else {
        return Err(EngineError::Payload {
            what: "eval pack",
            digest: campaign.frozen.pack,
            why: format!("it has no case number {index}"),
        });
    };
    let folder = Path::new(campaign.source.folder());
    let job = runner::Job { run, workflow, case, folder };
    Ok(runner.run(job).await)
}

/// Tries until the store answers, or cannot ever.
pub(crate) async fn patiently<T, F>(operation: impl Fn() -> F) -> Result<T, EngineError>
where
    F: Future<Output = Result<T, EngineError>>,
{
    loop {
        match operation().await {
            Err(EngineError::Store(error)) if !matches!(error, StoreError::Corrupt { .. }) => {
                tracing::warn!(%error, "the store fails; a run waits for it");
                tokio::time::sleep(BACK_OFF).await;
            }
            answered => return answered,
        }
    }
}

#[cfg(test)]
mod tests;
