//! What the dispatcher brings back and takes along: results, claims, and wishes of providers.

use std::collections::BTreeMap;

use optim_core::campaign::event::{Event, EventKind, Subject};
use optim_core::id::{Actor, ProviderId, RunId};
use optim_core::quantity::Millis;
use optim_core::run::transition::{self, RunCommand, RunObservation};
use optim_core::run::{Epoch, Run, RunReport, RunState, Throttled};
use optim_core::throttle::{AnsweredRun, Throttle};
use optim_store::{Commit, RunFilter, RunSummary, StoreError, Versioned, Write};

use super::{CONFLICT_RETRIES_MAX, Engine, EngineError};
use crate::scheduler::entry::Job;
use crate::wake::JobChange;

/// The result of a case run whose worker has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The run.
    pub run: RunId,
    /// The epoch of its claim.
    pub epoch: Epoch,
    /// What the worker reports.
    pub report: RunReport,
}

impl Engine {
    /// Records the results of case runs and claims others, in one commit. The claimed runs are those
    /// that were still queued. A result that comes too late is ignored, but not that a provider asked
    /// to be left alone.
    ///
    /// # Errors
    /// The store fails. Then it is not known what of it took effect.
    pub async fn turn(&self, ended: &[Ended], claims: &[RunId]) -> Result<Vec<Run>, EngineError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let mut runs = Vec::with_capacity(ended.len() + claims.len());
            for Ended { run, epoch, report } in ended {
                let finished =
                    RunObservation::Finished { epoch: *epoch, report: Box::new(report.clone()) };
                let Some(Versioned { revision, value }) = self.readable_run(*run).await? else {
                    continue;
                };
                match transition::observe(&value, finished) {
                    Ok(value) => runs.push(Write { expected: revision, value }),
                    Err(ignored) => tracing::info!(%run, ?ignored, "a result came too late"),
                }
            }
            let mut claimed = Vec::with_capacity(claims.len());
            for run in claims {
                let Some(Versioned { revision, value }) = self.readable_run(*run).await? else {
                    continue;
                };
                let claim = RunCommand::Claim { worker: self.worker.clone() };
                let claim = transition::decide(&value, &claim, self.clock.now());
                if let Ok(value) = claim {
                    claimed.push(value.clone());
                    runs.push(Write { expected: revision, value });
                }
            }
            let asked = ended.iter().filter_map(|ended| {
                Some((ended.report.throttled.as_ref()?, AnsweredRun::Case(ended.run)))
            });
            let (throttles, events) = self.throttled(asked).await?;
            if runs.is_empty() && throttles.is_empty() {
                return Ok(claimed);
            }
            if self.tried(Commit { runs, throttles, events, ..Commit::default() }).await? {
                return Ok(claimed);
            }
        }
        Err(StoreError::Conflict { what: "each of several runs".to_owned() }.into())
    }

    /// Gives back every claimed run, in one commit; how many there were.
    pub(super) async fn give_back(&self) -> Result<usize, EngineError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let mut runs = Vec::new();
            for run in self.list_runs(&RunFilter::Running).await? {
                let Some(Versioned { revision, value }) = self.readable_run(run.id).await? else {
                    continue;
                };
                let lost = RunObservation::Lost { epoch: run.epoch };
                // One that has moved on meanwhile needs no help.
                let given = transition::observe(&value, lost).ok();
                runs.extend(given.map(|value| Write { expected: revision, value }));
            }
            let count = runs.len();
            if count == 0 {
                return Ok(0);
            }
            if self.tried(Commit { runs, ..Commit::default() }).await? {
                return Ok(count);
            }
        }
        Err(StoreError::Conflict { what: "each of several runs".to_owned() }.into())
    }

    /// The throttles that follow from the wishes of providers, those that are over by now, and what is
    /// told.
    pub(super) async fn throttled(
        &self,
        wishes: impl Iterator<Item = (&Throttled, AnsweredRun)>,
    ) -> Result<(BTreeMap<ProviderId, Option<Throttle>>, Vec<Event>), StoreError> {
        let now = self.clock.now();
        let asked: Vec<_> = wishes.map(|(wish, run)| Throttle::asked(wish, run, now)).collect();
        let (mut throttles, mut events) = (BTreeMap::new(), Vec::new());
        if asked.is_empty() {
            return Ok((throttles, events));
        }
        for throttle in self.store.throttles().await? {
            let lasting = (throttle.left(now) > Millis(0)).then(|| throttle.clone());
            throttles.insert(throttle.provider, lasting);
        }
        for throttle in asked {
            events.push(Event {
                subject: Subject::Provider(throttle.provider.clone()),
                actor: Actor::engine(),
                at: now,
                what: EventKind::ProviderThrottled { until: throttle.until },
            });
            let kept = throttles.entry(throttle.provider.clone()).or_default();
            *kept = Some(match kept.take() {
                Some(before) => before.longer(throttle),
                None => throttle,
            });
        }
        Ok((throttles, events))
    }

    /// The providers that are left alone now. Throttles that are over are removed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn throttles(&self) -> Result<Vec<Throttle>, EngineError> {
        let now = self.clock.now();
        let (lasting, over): (Vec<_>, Vec<_>) = self
            .store
            .throttles()
            .await?
            .into_iter()
            .partition(|throttle| throttle.left(now) > Millis(0));
        if !over.is_empty() {
            let throttles = over.into_iter().map(|throttle| (throttle.provider, None)).collect();
            self.commit(Commit { throttles, ..Commit::default() }).await?;
        }
        Ok(lasting)
    }

    /// A run, unless its record is damaged: then nothing can be done for it, and the others go on.
    async fn readable_run(&self, id: RunId) -> Result<Option<Versioned<Run>>, StoreError> {
        match self.store.run(id).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(run = %id, %error, "a run is left as it is");
                Ok(None)
            }
            read => read,
        }
    }
}

/// What the dispatcher must know of a run that changed to this.
pub(super) fn job_change(run: &Run) -> Option<JobChange> {
    match run.state {
        RunState::Queued => Some(JobChange::CaseQueued(RunSummary::of(run))),
        RunState::Cancelled { .. } => Some(JobChange::Over(Job::Case(run.id))),
        RunState::Running { .. } | RunState::Finished(_) => None,
    }
}
