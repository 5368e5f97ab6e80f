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
