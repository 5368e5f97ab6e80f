//! Whose turn it is: campaigns that changed or are due, in the order in which they did, one step each.
//!
//! A campaign has one step at a time, and several have theirs at once, so that one whose proposer
//! thinks for long holds up no other. When nothing has changed and nobody is due, nothing is done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use optim_core::campaign::work::next_wakeup;
use optim_core::id::CampaignId;
use optim_core::quantity::Timestamp;
use tokio::task::{Id, JoinError, JoinSet};

use super::Reconciler;
use crate::agenda::Agenda;
use crate::engine::EngineError;
use crate::tasks::Shutdown;

/// How long a campaign that failed is left alone at first; doubled each time, up to a minute.
const BACK_OFF: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);
/// Steps at once.
const STEPS_MAX: usize = 8;
/// The longest sleep until a time of the wall clock, which may be moved meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// How long steps may go on after a shutdown is wished. One that is stopped is taken again by the next
/// process.
const GRACE: Duration = Duration::from_secs(5);

/// The loop's state. It outlives a panic of the loop, and so do the steps.
#[derive(Default)]
pub(super) struct Rounds {
    desk: tokio::sync::Mutex<Desk>,
    trouble: Mutex<Trouble>,
}

#[derive(Default)]
struct Desk {
    steps: JoinSet<Result<Step, EngineError>>,
    at_work: HashMap<Id, CampaignId>,
    /// Campaigns that changed during their step.
    again: BTreeSet<CampaignId>,
    agenda: Agenda,
}

/// What a step led to.
enum Step {
    /// The campaign has moved, and may go further.
    Moved,
    /// It waits: for a change, and at the latest for this time.
    Waits(Option<Timestamp>),
}

/// Campaigns that cannot be taken further, and how often that was a panic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The campaigns that failed at their last step, which is tried again after a while.
    pub failing: BTreeMap<CampaignId, Failing>,
    /// Steps that panicked since the start of the process.
    pub panics: u32,
}

/// A campaign in back-off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failing {
    /// Failures in a row.
    pub failures: u32,
    /// The last one.
    pub error: String,
}

impl Reconciler {
    /// Takes campaigns further until shut down.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let desk = &mut *self.rounds.desk.lock().await;
        loop {
            let due = desk.agenda.next();
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                id = self.engine.wakes().changed_campaign(), if desk.steps.len() < STEPS_MAX => {
                    self.begin(desk, id);
                }
                Some(ended) = desk.steps.join_next_with_id() => self.end(desk, ended, &shutdown),
                () = self.reached(due) => {
                    for id in desk.agenda.due(self.engine.clock().now()) {
                        self.engine.wakes().campaign_changed(&id);
                    }
                }
            }
        }
        let ended = async { while desk.steps.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            desk.steps.shutdown().await;
        }
    }

    /// Which campaigns fail, and how.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.rounds.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn begin(self: &Arc<Self>, desk: &mut Desk, id: CampaignId) {
        if desk.at_work.values().any(|at_work| *at_work == id) {
            desk.again.insert(id);
            return;
        }
        let (reconciler, campaign) = (Arc::clone(self), id.clone());
        let step = desk.steps.spawn(async move { reconciler.one_step(&campaign).await });
        desk.at_work.insert(step.id(), id);
    }

    async fn one_step(&self, id: &CampaignId) -> Result<Step, EngineError> {
        let now = self.engine.clock().now();
        let campaign = self.engine.campaign(id).await?.value;
        // A time that has passed is looked at just now.
        let wakeup = next_wakeup(&campaign).filter(|time| *time > now);
        Ok(if self.step(campaign).await? { Step::Moved } else { Step::Waits(wakeup) })
    }

    fn end(
        &self,
        desk: &mut Desk,
        ended: Result<(Id, Result<Step, EngineError>), JoinError>,
        shutdown: &Shutdown,
    ) {
        let (task, step) = match ended {
            Ok((task, step)) => (task, step.map_err(|error| (error.to_string(), false))),
            Err(panic) => (panic.id(), Err((format!("panicked: {panic}"), true))),
        };
        let Some(id) = desk.at_work.remove(&task) else {
            return;
        };
        let mut trouble = self.rounds.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let mut again = desk.again.remove(&id);
        match step {
            Ok(step) => {
                trouble.failing.remove(&id);
                let (moved, wakeup) = match step {
                    Step::Moved => (true, None),
                    Step::Waits(time) => (false, time),
                };
                again |= moved;
                desk.agenda.set(&id, wakeup);
            }
            Err((error, panicked)) => {
                trouble.panics = trouble.panics.saturating_add(panicked.into());
                let failing = trouble.failing.entry(id.clone()).or_default();
                failing.failures = failing.failures.saturating_add(1);
                tracing::warn!(campaign = %id, failures = failing.failures, %error, "a campaign could not be taken further");
                failing.error = error;
                self.retry_later(id.clone(), failing.failures, shutdown);
            }
        }
        if again {
            self.engine.wakes().campaign_changed(&id);
        }
    }

    fn retry_later(&self, id: CampaignId, failures: u32, shutdown: &Shutdown) {
        let delay = BACK_OFF
            .saturating_mul(2u32.saturating_pow(failures.saturating_sub(1)))
            .min(BACK_OFF_MAX);
        let engine = Arc::clone(&self.engine);
        shutdown.detach(async move {
            tokio::time::sleep(delay).await;
            engine.wakes().campaign_changed(&id);
        });
    }

    /// Waits until the wall clock shows `time` or [`SLEEP_MAX`] is over; for ever without a time.
    async fn reached(&self, time: Option<Timestamp>) {
        let Some(time) = time else {
            return std::future::pending().await;
        };
        let rest = Duration::from_millis(time.since(self.engine.clock().now()).0);
        tokio::time::sleep(rest.min(SLEEP_MAX)).await;
    }
}

#[cfg(test)]
mod tests;
