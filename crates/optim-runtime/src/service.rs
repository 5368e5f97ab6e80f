//! The loops that work campaigns off: the dispatcher gives case runs to workers, the reconciler
//! takes campaigns from one phase to the next. Both are driven by what is in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use optim_core::campaign::Campaign;
use optim_core::campaign::work::{Work, work};
use optim_core::id::{CampaignId, WorkflowRunId};
use optim_core::quantity::Millis;
use optim_core::workflow_run::WorkflowRun;
use optim_core::workflow_run::state::WorkflowRunStatus;

use crate::dispatch::{DispatchConfig, Dispatcher};
use crate::engine::{Engine, EngineError};
use crate::executor::NodeExecutor;
use crate::head_file::{self, HeadFile};
use crate::matcher::Engines;
use crate::proposer::Proposer;
use crate::reaper::{Reaper, ReaperConfig};
use crate::reconcile::Reconciler;
use crate::reconcile::rounds::Trouble;
use crate::runner::Runner;
use crate::scheduler::Waiting;
use crate::scheduler::metrics::Metrics;
use crate::tasks::{LoopStatus, Shutdown, TaskSet};
use crate::workspace::ScratchRoot;

/// How often deleted workflows are looked at.
const PURGE_EVERY: Duration = Duration::from_secs(60 * 60);

/// What a service needs to know.
pub struct ServiceConfig {
    /// How runs are given to workers.
    pub dispatch: DispatchConfig,
    /// Who finds candidates, asked in turn.
    pub proposers: Vec<Arc<dyn Proposer>>,
    /// What becomes of runs whose worker shows no sign of life.
    pub reaper: ReaperConfig,
    /// How long the outputs of workflow runs that are over are kept.
    pub retention: Millis,
    /// How long the payloads of audit entries are kept; for ever when absent.
    pub audit_retention: Option<Millis>,
    /// Where the head of the audit chain is noted, and how often at most.
    pub head_file: Option<(HeadFile, Duration)>,
}

impl Default for ServiceConfig {
    /// No proposers; outputs of workflow runs are kept for a week, audit entries for ever.
    fn default() -> Self {
        Self {
            dispatch: DispatchConfig::default(),
            proposers: Vec::new(),
            reaper: ReaperConfig::default(),
            retention: Millis::from_days(7),
            audit_retention: None,
            head_file: None,
        }
    }
}

/// Running loops.
pub struct Service {
    engine: Arc<Engine>,
    dispatcher: Arc<Dispatcher>,
    reconciler: Arc<Reconciler>,
    tasks: TaskSet,
}

/// How a service fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceStatus {
    /// The loops, by name.
    pub loops: BTreeMap<&'static str, LoopStatus>,
    /// The campaigns that cannot be taken further now.
    pub trouble: Trouble,
    /// What is at work, and how long it waited.
    pub metrics: Metrics,
    /// What waits, for what, and how long.
    pub waiting: Vec<Waiting>,
}

impl Service {
    /// Recovers what an earlier process left behind, and starts the loops.
    ///
    /// # Errors
    /// The store fails; [`EngineError::HeadFile`] when its audit chain is not the one that was noted.
    pub async fn start(
        engine: Arc<Engine>,
        executor: Arc<dyn NodeExecutor>,
        config: ServiceConfig,
    ) -> Result<Self, EngineError> {
        if let Some((file, _)) = &config.head_file {
            // Before anything is written on a chain that may have been cut.
            file.note(engine.store().as_ref()).await?;
        }
        let recovered = engine.recover().await?;
        if recovered > 0 {
            tracing::info!(runs = recovered, "runs of an earlier process are queued again");
        }
        let campaigns = config.dispatch.evaluation;
        if campaigns {
            wake_campaigns_at_work(&engine).await?;
        }
        let quoting = Arc::clone(&executor);
        let runner =
            Runner::new(executor, Arc::new(Engines::default()), Arc::clone(engine.clock()));
        let runner = Arc::new(match scratch_root().await {
            Ok(root) => runner.with_scratch(root),
            Err(error) => {
                let parent = ScratchRoot::of_user();
                tracing::warn!(%error, parent = %parent.display(), "scratch folders are made beside it");
                runner
            }
        });
        // No loop runs yet while threads are waited for, so that what comes first does not depend on them.
        let mut tasks = TaskSet::new();
        let purged = Arc::clone(&engine);
        tasks.supervise("purge", move |shutdown| purge(Arc::clone(&purged), shutdown));
        let dispatcher = Arc::new(Dispatcher::new(Arc::clone(&engine), runner, config.dispatch));
        let looped = Arc::clone(&dispatcher);
        tasks.supervise("dispatcher", move |shutdown| Arc::clone(&looped).run(shutdown));
        let reaper = Arc::new(Reaper::new(Arc::clone(&engine), config.reaper));
        tasks.supervise("reaper", move |shutdown| Arc::clone(&reaper).run(shutdown));
        let (kept, ages) = (Arc::clone(&engine), (config.retention, config.audit_retention));
        tasks.supervise("retention", move |shutdown| retain(Arc::clone(&kept), ages, shutdown));
        if let Some((file, every)) = config.head_file {
            let noted = Arc::clone(&engine);
            tasks.supervise("head", move |shutdown| {
                head_file::keep(Arc::clone(&noted), file.clone(), every, shutdown)
            });
        }
        let reconciler = Reconciler::new(Arc::clone(&engine), config.proposers).quoting(quoting);
        let reconciler = Arc::new(reconciler);
        if campaigns {
            let looped = Arc::clone(&reconciler);
            tasks.supervise("reconciler", move |shutdown| Arc::clone(&looped).run(shutdown));
        }
        Ok(Self { engine, dispatcher, reconciler, tasks })
    }

    /// How the loops fare, and what waits.
    #[must_use]
    pub fn status(&self) -> ServiceStatus {
        let mut loops = self.tasks.status();
        if let (Some(status), Some(error)) =
            (loops.get_mut("dispatcher"), self.dispatcher.last_error())
        {
            status.last_error = Some(error);
        }
        let trouble = self.reconciler.trouble();
        let (metrics, waiting) = (self.dispatcher.metrics(), self.dispatcher.waiting());
        ServiceStatus { loops, trouble, metrics, waiting }
    }

    /// Waits until the campaign cannot go on by itself: a person must decide, or it is over.
    ///
    /// # Errors
    /// The store fails.
    pub async fn settled(&self, id: &CampaignId) -> Result<Campaign, EngineError> {
        self.reached(id, settled).await
    }

    /// Waits until the campaign is as `until` says.
    ///
    /// # Errors
    /// The store fails.
    pub async fn reached(
        &self,
        id: &CampaignId,
        until: impl Fn(&Campaign) -> bool,
    ) -> Result<Campaign, EngineError> {
        let mut changes = self.engine.changes();
        loop {
            changes.borrow_and_update();
            let campaign = self.engine.campaign(id).await?.value;
            if until(&campaign) {
                return Ok(campaign);
            }
            if changes.changed().await.is_err() {
                return Ok(campaign);
            }
        }
    }

    /// Waits until the workflow run cannot go on by itself.
    ///
    /// # Errors
    /// The store fails.
    pub async fn workflow_run_settled(
        &self,
        id: WorkflowRunId,
    ) -> Result<WorkflowRun, EngineError> {
        let mut changes = self.engine.workflow_run_changes();
        loop {
            changes.borrow_and_update();
            let run = self.engine.workflow_run(id).await?.value;
            let status = run.state.status();
            let goes_on = status.is_at_work() || status == WorkflowRunStatus::Queued;
            if !goes_on || changes.changed().await.is_err() {
                return Ok(run);
            }
        }
    }

    /// Stops the loops. Runs in flight are stopped; the next start queues them again.
    pub async fn stop(self) {
        self.tasks.shutdown().await;
    }
}

/// Whether the campaign cannot go on by itself: a person must decide, or it is over.
#[must_use]
pub fn settled(campaign: &Campaign) -> bool {
    matches!(work(campaign), Work::AwaitOperator | Work::Nothing)
}

async fn scratch_root() -> std::io::Result<ScratchRoot> {
    let opened = tokio::task::spawn_blocking(|| ScratchRoot::open(&ScratchRoot::of_user())).await;
    opened.map_err(std::io::Error::other)?
}

/// Purges what was deleted long enough ago, again and again.
async fn purge(engine: Arc<Engine>, shutdown: Shutdown) {
    loop {
        match engine.purge_workflows().await {
            Ok(0) => {}
            Ok(workflows) => tracing::info!(workflows, "deleted workflows were purged"),
            Err(error) => tracing::warn!(%error, "deleted workflows cannot be purged now"),
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(PURGE_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

/// Drops the outputs of workflow runs that ended longer ago than they are kept, and the payloads of audit
/// entries that are older than those are kept, again and again.
async fn retain(
    engine: Arc<Engine>,
    (outputs, audit): (Millis, Option<Millis>),
    shutdown: Shutdown,
) {
    loop {
        match engine.retain_workflow_runs(outputs).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "the outputs of old workflow runs were dropped"),
            Err(error) => tracing::warn!(%error, "old workflow runs cannot be looked at now"),
        }
        if let Some(age) = audit {
            match engine.retain_audit(age).await {
                Ok(0) => {}
                Ok(entries) => tracing::info!(entries, "payloads of old entries were dropped"),
                Err(error) => tracing::warn!(%error, "old audit entries cannot be looked at now"),
            }
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(PURGE_EVERY) => {}
            () = shutdown.requested() => return,
        }
    }
}

async fn wake_campaigns_at_work(engine: &Engine) -> Result<(), EngineError> {
    for campaign in engine.campaigns_at_work().await? {
        engine.wakes().campaign_changed(&campaign);
    }
    Ok(())
}
