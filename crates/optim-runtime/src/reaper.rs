//! Finds runs whose worker shows no sign of life, and gives them up.
//!
//! No wall clock takes part: the reaper remembers what it saw, and by a clock that never jumps since when
//! it has been so. Whether a run has moved since is decided inside the update, on the record itself; so
//! each run is reaped once, and one that has just ended never.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use optim_core::lease::{Signal, Signs};
use optim_core::quantity::Millis;
use optim_core::run::transition::RunObservation;
use optim_core::workflow_run::observation::WorkflowRunObservation;
use optim_core::workflow_run::state::WorkflowRunStatus;
use optim_store::{RunFilter, WorkflowRunFilter};
use tokio::time::Instant;

use crate::engine::{Brought, Engine, EngineError};
use crate::lease::LEASE_LOST_AFTER;
use crate::scheduler::entry::Job;
use crate::tasks::Shutdown;

/// How often the reaper looks.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// No run is reaped for want of progress sooner.
const PROGRESS_MISSING_AFTER: Duration = Duration::from_secs(10 * 60);
/// What an attempt may take beyond its time limit before it counts as hanging.
const BEYOND_LIMIT: Duration = Duration::from_secs(60);

/// What the reaper does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaperConfig {
    /// Whether it reaps at all.
    pub enabled: bool,
    /// Whether workflow runs that it reaped go on by themselves, if they can.
    pub auto_resume: bool,
}

impl Default for ReaperConfig {
    /// It reaps, and what can go on does.
    fn default() -> Self {
        Self { enabled: true, auto_resume: true }
    }
}

/// What was seen of a run, and since when.
#[derive(Debug, Clone, Copy)]
struct Seen {
    signs: Signs,
    /// Since when all of it has been so.
    since: Instant,
    /// Since when its nodes have not moved.
    progress_since: Instant,
}

impl Seen {
    fn new(signs: Signs, now: Instant) -> Self {
        Self { signs, since: now, progress_since: now }
    }

    /// What is seen now.
    fn again(self, signs: Signs, now: Instant) -> Self {
        let unmoved = |signal: Signal| signal.is_missing(self.signs, signs);
        let kept = |unmoved, since| if unmoved { since } else { now };
        Self {
            signs,
            since: kept(unmoved(Signal::Lease), self.since),
            progress_since: kept(unmoved(Signal::Progress), self.progress_since),
        }
    }

    /// The sign that has been missing for too long, and for how long that is. `longest_attempt` is the
    /// longest that an attempt under way may take; `None` for a run that does not tell what its nodes do.
    fn missing(&self, longest_attempt: Option<Millis>, now: Instant) -> Option<(Signal, Duration)> {
        let longest = longest_attempt.map(|limit| {
            PROGRESS_MISSING_AFTER.max(Duration::from_millis(limit.0).saturating_add(BEYOND_LIMIT))
        });
        let lost = now.duration_since(self.since) >= LEASE_LOST_AFTER;
        let hangs = longest.filter(|after| now.duration_since(self.progress_since) >= *after);
        match (lost, hangs) {
            (true, _) => Some((Signal::Lease, LEASE_LOST_AFTER)),
            (false, Some(after)) => Some((Signal::Progress, after)),
            (false, None) => None,
        }
    }
}

/// The reaper.
pub struct Reaper {
    engine: Arc<Engine>,
    config: ReaperConfig,
}

impl Reaper {
    /// A reaper over the runs of `engine`.
    #[must_use]
    pub fn new(engine: Arc<Engine>, config: ReaperConfig) -> Self {
        Self { engine, config }
    }

    /// Looks again and again until shut down.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        if !self.config.enabled {
            return;
        }
        let mut seen = BTreeMap::new();
        loop {
            if let Err(error) = self.look(&mut seen).await {
                tracing::warn!(%error, "the runs at work cannot be looked at now");
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shutdown.requested() => return,
            }
        }
    }

    /// Looks once. What is not at work any more is forgotten.
    async fn look(&self, seen: &mut BTreeMap<Job, Seen>) -> Result<(), EngineError> {
        let before = std::mem::take(seen);
        let mut see = |job, signs| {
            let now = Instant::now();
            let known = before.get(&job).map(|seen: &Seen| seen.again(signs, now));
            *seen.entry(job).or_insert(known.unwrap_or(Seen::new(signs, now)))
        };
        for run in self.engine.list_runs(&RunFilter::Running).await? {
            let Some(run) = self.engine.store().run(run.id).await?.map(|run| run.value) else {
                continue;
            };
            let Some(signs) = run.signs() else { continue };
            let seen = see(Job::Case(run.id), signs);
            if seen.missing(None, Instant::now()).is_some() {
                let at = self.engine.clock().now();
                let stalled = RunObservation::Stalled { signs: seen.signs, at };
                let reaped = self.engine.observe_run(run.id, stalled).await?;
                tracing::warn!(run = %run.id, reaped = reaped.is_ok(), "a worker shows no sign of life");
            }
        }
        for status in [WorkflowRunStatus::Running, WorkflowRunStatus::Pausing] {
            for run in self.engine.list_workflow_runs(&WorkflowRunFilter::Status(status)).await? {
                let run = self.engine.workflow_run(run.id).await?.value;
                let Some(signs) = run.signs() else { continue };
                let seen = see(Job::Workflow(run.id), signs);
                let missing = seen.missing(Some(run.longest_attempt()), Instant::now());
                let Some((signal, after)) = missing else { continue };
                let stalled = WorkflowRunObservation::Stalled {
                    signs: seen.signs,
                    signal,
                    stale_after: Millis(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
                };
                let reaped =
                    self.engine.observe_workflow_run(run.id, &stalled, &Brought::default()).await?;
                tracing::warn!(run = %run.id, ?signal, reaped = reaped.is_ok(), "a worker shows no sign of life");
            }
        }
        if self.config.auto_resume { self.resume().await } else { Ok(()) }
    }

    /// Lets the reaped runs go on that can.
    async fn resume(&self) -> Result<(), EngineError> {
        let paused = WorkflowRunFilter::Status(WorkflowRunStatus::Paused);
        for run in self.engine.list_workflow_runs(&paused).await? {
            let due = WorkflowRunObservation::AutoResumeDue;
            if self.engine.observe_workflow_run(run.id, &due, &Brought::default()).await?.is_ok() {
                tracing::info!(run = %run.id, "a run that was reaped goes on");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
