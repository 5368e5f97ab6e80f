//! Baselines that are ready for many candidates, kept between the proposals of a campaign.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use optim_core::campaign::Campaign;
use optim_core::digest::Digest;
use optim_core::id::CampaignId;
use optim_core::mutation::validate::MutationError;
use optim_core::proposal::Prepared;
use optim_core::workflow::Workflow;

/// Campaigns whose baseline is kept. One that is not is prepared again, which costs its size.
const KEPT_MAX: usize = 16;

/// The prepared baseline of each of the last campaigns, with the definition that it was made of.
#[derive(Default)]
pub(super) struct Preparations(Mutex<BTreeMap<CampaignId, (Digest, Arc<Prepared>)>>);

impl Preparations {
    /// The prepared baseline of `campaign`, whose definition is `baseline`.
    ///
    /// # Errors
    /// As [`Prepared::new`].
    pub(super) fn of(
        &self,
        campaign: &Campaign,
        baseline: Arc<Workflow>,
    ) -> Result<Arc<Prepared>, MutationError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = campaign.baseline.snapshot;
        if let Some((_, known)) = kept.get(&campaign.id).filter(|(of, _)| *of == snapshot) {
            return Ok(Arc::clone(known));
        }
        let policies = &campaign.frozen.policies;
        let prepared = Prepared::new(baseline, policies.mutation.clone(), policies.scope.clone())?;
        let prepared = Arc::new(prepared);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(campaign.id.clone(), (snapshot, Arc::clone(&prepared)));
        Ok(prepared)
    }
}
