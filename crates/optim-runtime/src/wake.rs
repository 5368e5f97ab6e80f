//! Who has to look at what: the set of changed campaigns, and the bell for the dispatcher.
//!
//! A wake-up carries no information beyond "look again". Losing one delays work until the next
//! one; doubling one costs a look. What is to be done is always derived from the store.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use optim_core::id::CampaignId;
use tokio::sync::Notify;

/// The bells of the engine.
#[derive(Debug, Default)]
pub struct Wakes {
    changed: Mutex<BTreeSet<CampaignId>>,
    campaigns: Notify,
    runs: Notify,
}

impl Wakes {
    /// A campaign, or a run of it, has changed.
    pub fn campaign_changed(&self, id: &CampaignId) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        self.campaigns.notify_one();
    }

    /// Runs wait for a slot, or a slot is free.
    pub fn runs_waiting(&self) {
        self.runs.notify_one();
    }

    /// Waits until some campaign has changed, and takes the set of those that have.
    pub async fn changed_campaigns(&self) -> BTreeSet<CampaignId> {
        loop {
            let bell = self.campaigns.notified();
            let changed =
                std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner));
            if !changed.is_empty() {
                return changed;
            }
            bell.await;
        }
    }

    /// Waits until the dispatcher should look at its queue.
    pub async fn runs(&self) {
        self.runs.notified().await;
    }
}
