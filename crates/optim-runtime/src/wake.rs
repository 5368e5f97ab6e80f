//! Who has to look at what: the campaigns that changed, and the jobs that came or went.
//!
//! What is to be done is always derived from the store. A wake-up that is lost delays work until the
//! next look at it, one that is doubled costs a look.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use optim_core::id::CampaignId;
use optim_core::throttle::Throttle;
use optim_store::{RunSummary, WorkflowRunSummary};
use tokio::sync::Notify;

use crate::scheduler::entry::Job;

/// Changes of jobs that are remembered one by one; with more of them the store is looked through.
const JOBS_MAX: usize = 65_536;

/// What a commit changed about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobChange {
    /// A case run waits for a slot.
    CaseQueued(RunSummary),
    /// A workflow run waits for a slot.
    WorkflowQueued(Box<WorkflowRunSummary>),
    /// A provider is left alone for a while, or longer than before.
    Throttled(Throttle),
    /// It will never want a slot again, and a worker that it has is of no use.
    Over(Job),
}

/// What has changed about jobs since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct JobChanges {
    /// What is known, oldest first.
    pub known: Vec<JobChange>,
    /// Whether there was more, so that the store has to be looked through.
    pub more: bool,
}

/// The bells of the engine.
#[derive(Debug, Default)]
pub struct Wakes {
    changed: Mutex<Changed>,
    campaigns: Notify,
    jobs: Mutex<JobChanges>,
    jobs_bell: Notify,
}

/// Campaigns in the order of their first change, each of them once.
#[derive(Debug, Default)]
struct Changed {
    order: VecDeque<CampaignId>,
    members: HashSet<CampaignId>,
}

impl Wakes {
    /// A campaign, or a run of it, has changed. It comes after all that changed before it.
    pub fn campaign_changed(&self, id: &CampaignId) {
        let mut changed = locked(&self.changed);
        if changed.members.insert(id.clone()) {
            changed.order.push_back(id.clone());
        }
        self.campaigns.notify_one();
    }

    /// Jobs have changed.
    pub fn jobs_changed(&self, changes: impl IntoIterator<Item = JobChange>) {
        let mut jobs = locked(&self.jobs);
        jobs.known.extend(changes);
        if jobs.known.len() > JOBS_MAX {
            *jobs = JobChanges { known: Vec::new(), more: true };
        }
        if !jobs.is_empty() {
            self.jobs_bell.notify_one();
        }
    }

    /// Waits until some campaign has changed, and takes the one that has waited longest.
    pub async fn changed_campaign(&self) -> CampaignId {
        loop {
            let bell = self.campaigns.notified();
            if let Some(id) = locked(&self.changed).take() {
                return id;
            }
            bell.await;
        }
    }

    /// Waits until some job has changed, and takes the changes.
    pub async fn changed_jobs(&self) -> JobChanges {
        loop {
            let bell = self.jobs_bell.notified();
            let changes = std::mem::take(&mut *locked(&self.jobs));
            if !changes.is_empty() {
                return changes;
            }
            bell.await;
        }
    }
}

impl JobChanges {
    fn is_empty(&self) -> bool {
        self.known.is_empty() && !self.more
    }
}

impl Changed {
    fn take(&mut self) -> Option<CampaignId> {
        let id = self.order.pop_front()?;
        self.members.remove(&id);
        Some(id)
    }
}

fn locked<T>(content: &Mutex<T>) -> MutexGuard<'_, T> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use optim_core::id::RunId;

    use super::*;

    #[tokio::test]
    async fn campaigns_are_taken_in_the_order_of_their_changes_once_each() {
        let (wakes, id) = (Wakes::default(), |id| CampaignId::new(id).unwrap());
        for changed in ["b", "c", "b", "a", "c"] {
            wakes.campaign_changed(&id(changed));
        }
        for wanted in ["b", "c"] {
            assert_eq!(wakes.changed_campaign().await, id(wanted));
        }
        wakes.campaign_changed(&id("b"));
        for wanted in ["a", "b"] {
            assert_eq!(wakes.changed_campaign().await, id(wanted), "b comes after a now");
        }
    }

    #[tokio::test]
    async fn more_changes_than_can_be_remembered_are_told_as_such() {
        let wakes = Wakes::default();
        let over =
            |number: usize| JobChange::Over(Job::Case(RunId::derive(&[&number.to_be_bytes()])));
        wakes.jobs_changed((0..JOBS_MAX).map(over));
        let changes = wakes.changed_jobs().await;
        assert_eq!((changes.known.len(), changes.more), (JOBS_MAX, false));
        wakes.jobs_changed((0..=JOBS_MAX).map(over));
        wakes.jobs_changed([over(7)]);
        let changes = wakes.changed_jobs().await;
        assert_eq!((changes.known, changes.more), (vec![over(7)], true));
    }
}
