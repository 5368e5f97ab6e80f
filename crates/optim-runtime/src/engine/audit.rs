//! What becomes of the audit chain in the course of time.

use std::collections::BTreeSet;

use optim_core::audit::retention::Retention;
use optim_core::campaign::event::Subject;
use optim_core::quantity::Millis;
use optim_core::workflow_run::state::WorkflowRunStatus;
use optim_store::{EventSeq, Page, StoreError, WorkflowRunFilter};

use super::{Engine, EngineError};

impl Engine {
    /// Drops the payloads of the audit entries that are older than `age` and that nothing needs any more;
    /// how many there were. They go a page at a time: the chain is whole after each.
    ///
    /// # Errors
    /// The store fails, or an entry is not what was written.
    pub async fn retain_audit(&self, age: Millis) -> Result<usize, EngineError> {
        let mut retention = Retention::new(self.clock.now().before(age), self.open().await?);
        let mut after = EventSeq(0);
        loop {
            let entries = self.store.audit(after, Page::LIMIT_MAX).await?;
            let Some(last) = entries.last() else { break };
            after = EventSeq(last.seq);
            for entry in &entries {
                retention.take(entry).map_err(|error| StoreError::Corrupt {
                    what: format!("event {}", entry.seq),
                    why: error.to_string(),
                })?;
            }
        }
        let unneeded: Vec<_> = retention.unneeded().into_iter().map(EventSeq).collect();
        let mut dropped = 0;
        for page in unneeded.chunks(Page::size(Page::LIMIT_MAX)) {
            dropped += self.store.drop_payloads(page).await?;
        }
        Ok(dropped)
    }

    /// The campaigns and workflow runs that are not over.
    async fn open(&self) -> Result<BTreeSet<Subject>, StoreError> {
        let campaigns = self.campaigns_at_work().await?.into_iter().map(Subject::Campaign);
        let mut open: BTreeSet<_> = campaigns.collect();
        for status in WorkflowRunStatus::ALL.into_iter().filter(|status| !status.is_terminal()) {
            let runs = self.list_workflow_runs(&WorkflowRunFilter::Status(status)).await?;
            open.extend(runs.into_iter().map(|run| Subject::WorkflowRun(run.id)));
        }
        Ok(open)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use optim_core::audit::entry::Payload;
    use optim_core::audit::verify::Verifier;
    use optim_store::memory::Memory;
    use optim_store::testing::faulty::{Fault, FaultyStore};
    use optim_store::testing::sample;
    use optim_store::{Commit, Store};

    use super::*;
    use crate::clock::ManualClock;
    use crate::executor::lexical::Lexical;
    use crate::service::{Service, ServiceConfig};

    const DAY: u64 = 24 * 60 * 60 * 1000;
    /// More than two pages of entries that nothing needs.
    const ENTRIES: usize = 1200;

    /// A store in which a provider was throttled again and again.
    async fn filled() -> Memory {
        let store = Memory::new();
        let events = vec![sample::provider_event("p"); ENTRIES];
        store.commit(Commit { events, ..Commit::default() }).await.unwrap();
        store
    }

    fn engine(store: Arc<dyn Store>) -> (Arc<Engine>, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(sample::NOW));
        (Arc::new(Engine::new(store, Arc::<ManualClock>::clone(&clock))), clock)
    }

    /// How many entries have no payload, on a chain that is whole.
    async fn dropped(store: &dyn Store) -> usize {
        let (mut verifier, mut dropped) = (Verifier::default(), 0);
        loop {
            let entries =
                store.audit(EventSeq(verifier.head().seq), Page::LIMIT_MAX).await.unwrap();
            if entries.is_empty() {
                return dropped;
            }
            for entry in entries {
                verifier.take(&entry).unwrap();
                dropped += usize::from(matches!(entry.payload, Payload::Dropped(_)));
            }
        }
    }

    #[tokio::test]
    async fn a_failure_at_any_operation_leaves_a_whole_chain_and_the_next_time_ends_it() {
        let mut partly = 0;
        for fault in [Fault::Before, Fault::After] {
            for at in 1.. {
                let store = Arc::new(FaultyStore::planned(filled().await, [(at, fault)]));
                let (engine, clock) = engine(Arc::<FaultyStore<Memory>>::clone(&store));
                clock.advance(Millis(DAY + 1));
                let first = engine.retain_audit(Millis(DAY)).await;
                let failed = store.injected() > 0;
                assert_eq!(first.is_err(), failed);
                store.heal();
                let found = dropped(store.as_ref()).await;
                assert!(failed || found == ENTRIES, "{found}");
                partly += usize::from(found > 0 && found < ENTRIES);
                assert_eq!(engine.retain_audit(Millis(DAY)).await.unwrap(), ENTRIES - found);
                assert_eq!(dropped(store.as_ref()).await, ENTRIES);
                if !failed {
                    break;
                }
            }
        }
        assert_eq!(partly, 4, "between the three pages, before and after");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_drops_what_has_become_old_within_the_hour() {
        let (engine, clock) = engine(Arc::new(filled().await));
        let config =
            ServiceConfig { audit_retention: Some(Millis(DAY)), ..ServiceConfig::default() };
        let service = Service::start(Arc::clone(&engine), Arc::new(Lexical), config).await.unwrap();
        let hour = Duration::from_secs(60 * 60 + 1);
        tokio::time::sleep(hour).await;
        assert_eq!(dropped(engine.store().as_ref()).await, 0);
        clock.advance(Millis(DAY + 1));
        tokio::time::sleep(hour).await;
        assert_eq!(dropped(engine.store().as_ref()).await, ENTRIES);
        service.stop().await;
    }
}
