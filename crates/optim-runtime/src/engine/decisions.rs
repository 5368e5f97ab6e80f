//! What campaigns have decided, as it is on record.

use std::collections::BTreeMap;

use optim_core::campaign::event::{EventKind, Subject};
use optim_core::decisions::Decisions;
use optim_core::id::{CampaignId, EvaluationId};
use optim_store::{EventSeq, Page, RunFilter, Versioned};

use super::{CONFLICT_RETRIES_MAX, Engine, EngineError};

/// What was told about some campaigns, up to an event of the store.
struct Told {
    last: EventSeq,
    of: BTreeMap<CampaignId, Vec<EventKind>>,
}

impl Engine {
    /// The decisions of the campaigns `ids`, each as it is at one time.
    ///
    /// # Errors
    /// There is no such campaign, or it moves faster than it can be read.
    pub async fn decisions(&self, ids: &[CampaignId]) -> Result<Vec<Decisions>, EngineError> {
        let of = ids.iter().map(|id| (id.clone(), Vec::new())).collect();
        let mut told = Told { last: EventSeq(0), of };
        let mut decisions = Vec::with_capacity(ids.len());
        for id in ids {
            decisions.push(self.decisions_of(id, &mut told).await?);
        }
        Ok(decisions)
    }

    /// Its records are read one after the other; when it has moved meanwhile, what is new is read too.
    async fn decisions_of(
        &self,
        id: &CampaignId,
        told: &mut Told,
    ) -> Result<Decisions, EngineError> {
        let mut runs = BTreeMap::new();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let Versioned { revision, value: campaign } = self.campaign(id).await?;
            self.listen(told).await?;
            let experiments = Page::all(|page| self.store().experiments(id, page)).await?;
            let told = told.of.get(id).map_or(&[][..], Vec::as_slice);
            self.count_runs(told, &mut runs).await?;
            let pack = self.pack(campaign.frozen.pack).await?;
            if self.campaign(id).await?.revision == revision {
                return Ok(Decisions::of(&campaign, &pack, &experiments, told, &runs));
            }
        }
        Err(EngineError::Contended(id.clone()))
    }

    /// Takes in what was told since.
    async fn listen(&self, told: &mut Told) -> Result<(), EngineError> {
        loop {
            let events = self.store().events(told.last, Page::LIMIT_MAX).await?;
            let Some(last) = events.last() else { return Ok(()) };
            told.last = last.seq;
            for recorded in events {
                let Subject::Campaign(id) = &recorded.event.subject else { continue };
                if let Some(of_it) = told.of.get_mut(id) {
                    of_it.push(recorded.event.what);
                }
            }
        }
    }

    /// Counts the case runs of the evaluations that were queued and are not counted yet.
    async fn count_runs(
        &self,
        told: &[EventKind],
        runs: &mut BTreeMap<EvaluationId, u64>,
    ) -> Result<(), EngineError> {
        for event in told {
            if let EventKind::EvaluationQueued { evaluation, .. } = event
                && !runs.contains_key(evaluation)
            {
                let of_it = self.list_runs(&RunFilter::Evaluation(*evaluation)).await?;
                runs.insert(*evaluation, u64::try_from(of_it.len()).unwrap_or(u64::MAX));
            }
        }
        Ok(())
    }
}
