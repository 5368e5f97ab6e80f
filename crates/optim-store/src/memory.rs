//! The reference implementation: everything in maps behind one lock, nothing durable.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use optim_core::audit::entry::Entry;
use optim_core::audit::head::Head;
use optim_core::campaign::Campaign;
use optim_core::digest::Digest;
use optim_core::experiment::Experiment;
use optim_core::id::{
    CampaignId, EvaluationId, ExperimentId, ProviderId, RunId, WorkflowId, WorkflowRunId,
};
use optim_core::quantity::Timestamp;
use optim_core::run::Run;
use optim_core::stored_workflow::{StoredWorkflow, VersionNumber};
use optim_core::throttle::Throttle;
use optim_core::workflow_run::WorkflowRun;

use crate::check::{Present, check};
use crate::cursor::Listing;
use crate::encoded::{Encoded, RecordId, encode};
use crate::store::{
    CampaignSummary, Commit, Committed, EventSeq, ExperimentSummary, Page, Paged, Recorded,
    RunFilter, RunOutput, RunSummary, Store, StoreError, Versioned, WorkflowFilter,
    WorkflowRunFilter, WorkflowRunSummary, WorkflowSummary, Write, recorded,
};

/// A store in memory.
#[derive(Debug, Default)]
pub struct Memory {
    content: Mutex<Content>,
}

/// Campaigns, runs and workflows are numbered in the order of their creation, as in every backend.
#[derive(Debug, Clone, Default)]
struct Content {
    campaigns: BTreeMap<u64, Versioned<Campaign>>,
    campaign_ids: BTreeMap<CampaignId, u64>,
    experiments: BTreeMap<ExperimentId, Experiment>,
    experiments_by_number: BTreeMap<(CampaignId, u32), ExperimentId>,
    runs: BTreeMap<u64, Versioned<Run>>,
    run_ids: BTreeMap<RunId, u64>,
    workflows: BTreeMap<u64, Versioned<StoredWorkflow>>,
    workflow_ids: BTreeMap<WorkflowId, u64>,
    workflow_texts: BTreeMap<(WorkflowId, VersionNumber), Vec<u8>>,
    workflow_runs: BTreeMap<u64, Versioned<WorkflowRun>>,
    workflow_run_ids: BTreeMap<WorkflowRunId, u64>,
    workflow_run_outputs: BTreeMap<(WorkflowRunId, Digest), Vec<u8>>,
    throttles: BTreeMap<ProviderId, Throttle>,
    audit: BTreeMap<u64, Entry>,
    blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store of its own with the same content.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { content: Mutex::new(self.content().clone()) }
    }

    /// Puts `campaign` in place of what is stored of it, as damage would: no rule looks at it, and nothing is
    /// told. For tests of what such a record leads to.
    pub fn overwrite(&self, campaign: Campaign) {
        let mut content = self.content();
        let seq = content.campaign_ids.get(&campaign.id).copied();
        if let Some(stored) = seq.and_then(|seq| content.campaigns.get_mut(&seq)) {
            stored.value = campaign;
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn apply(&mut self, commit: Commit, entries: Vec<Entry>) {
        for write in commit.campaigns {
            let seq =
                *self.campaign_ids.entry(write.value.id.clone()).or_insert(next(&self.campaigns));
            self.campaigns.insert(seq, written(write));
        }
        for experiment in commit.experiments {
            let place = (experiment.campaign.clone(), experiment.number);
            self.experiments_by_number.insert(place, experiment.id);
            self.experiments.insert(experiment.id, experiment);
        }
        for write in commit.runs {
            let seq = *self.run_ids.entry(write.value.id).or_insert(next(&self.runs));
            self.runs.insert(seq, written(write));
        }
        for text in commit.texts {
            self.workflow_texts.insert((text.workflow, text.version), text.text.into_bytes());
        }
        for write in commit.workflows {
            let workflow = &write.value;
            self.workflow_texts.retain(|(id, version), _| {
                *id != workflow.id || workflow.version(*version).is_some()
            });
            let seq =
                *self.workflow_ids.entry(workflow.id.clone()).or_insert(next(&self.workflows));
            self.workflows.insert(seq, written(write));
        }
        for RunOutput { run, output } in commit.outputs {
            self.workflow_run_outputs.insert((run, output.digest()), output.into_bytes());
        }
        for write in commit.workflow_runs {
            let id = write.value.id;
            let listed: BTreeSet<_> = write.value.outputs().collect();
            self.workflow_run_outputs.retain(|(run, it), _| *run != id || listed.contains(it));
            let seq = *self.workflow_run_ids.entry(id).or_insert(next(&self.workflow_runs));
            self.workflow_runs.insert(seq, written(write));
        }
        for (provider, throttle) in commit.throttles {
            match throttle {
                Some(throttle) => self.throttles.insert(provider, throttle),
                None => self.throttles.remove(&provider),
            };
        }
        for blob in commit.blobs {
            self.blobs.entry(blob.digest()).or_insert_with(|| blob.into_bytes());
        }
        self.audit.extend(entries.into_iter().map(|entry| (entry.seq, entry)));
    }
}

fn next<T>(table: &BTreeMap<u64, T>) -> u64 {
    table.last_key_value().map_or(1, |(last, _)| last.saturating_add(1))
}

fn written<T>(write: Write<T>) -> Versioned<T> {
    Versioned { revision: write.expected.next(), value: write.value }
}

impl Present for Content {
    type Error = StoreError;

    fn campaign(&self, id: &CampaignId) -> Result<Option<Versioned<Campaign>>, StoreError> {
        Ok(self.campaign_ids.get(id).and_then(|seq| self.campaigns.get(seq)).cloned())
    }

    fn experiment(&self, id: ExperimentId) -> Result<Option<Experiment>, StoreError> {
        Ok(self.experiments.get(&id).cloned())
    }

    fn experiment_at(
        &self,
        campaign: &CampaignId,
        number: u32,
    ) -> Result<Option<ExperimentId>, StoreError> {
        Ok(self.experiments_by_number.get(&(campaign.clone(), number)).copied())
    }

    fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, StoreError> {
        Ok(self.run_ids.get(&id).and_then(|seq| self.runs.get(seq)).cloned())
    }

    fn open_runs(&self, id: EvaluationId) -> Result<usize, StoreError> {
        let open = RunFilter::Open(id);
        Ok(self.runs.values().filter(|run| open.admits(&run.value)).count())
    }

    fn workflow(&self, id: &WorkflowId) -> Result<Option<Versioned<StoredWorkflow>>, StoreError> {
        Ok(self.workflow_ids.get(id).and_then(|seq| self.workflows.get(seq)).cloned())
    }

    fn workflow_run(
        &self,
        id: WorkflowRunId,
    ) -> Result<Option<Versioned<WorkflowRun>>, StoreError> {
        Ok(self.workflow_run_ids.get(&id).and_then(|seq| self.workflow_runs.get(seq)).cloned())
    }

    fn open_campaigns_on(&self, id: &WorkflowId) -> Result<Vec<CampaignId>, StoreError> {
        Ok(self.campaigns_on(id).map(|(_, campaign)| campaign.value.id.clone()).collect())
    }

    fn open_runs_on(&self, id: &WorkflowId) -> Result<Vec<WorkflowRunId>, StoreError> {
        let open = WorkflowRunFilter::OpenOn(id.clone());
        let runs = self.workflow_runs.values().filter(|run| open.admits(&run.value));
        Ok(runs.map(|run| run.value.id).collect())
    }

    fn workflow_runs_at_work(&self) -> Result<Vec<WorkflowRun>, StoreError> {
        let runs = self.workflow_runs.values().map(|run| &run.value);
        Ok(runs.filter(|run| run.state.status().is_at_work()).cloned().collect())
    }
}

impl Content {
    fn head(&self) -> Head {
        self.audit.last_key_value().map(|(_, entry)| entry.head()).unwrap_or_default()
    }

    /// The digest of a record as a durable store would have it.
    fn digest(&self, id: RecordId<'_>) -> Result<Option<Digest>, StoreError> {
        let encoded = match id {
            RecordId::Campaign(id) => {
                let campaign = self.campaign_ids.get(id).and_then(|seq| self.campaigns.get(seq));
                campaign.map(encode)
            }
            RecordId::Experiment(id) => self.experiments.get(&id).map(encode),
            RecordId::Run(id) => Present::run(self, id)?.as_ref().map(encode),
            RecordId::Workflow(id) => Present::workflow(self, id)?.as_ref().map(encode),
            RecordId::WorkflowRun(id) => Present::workflow_run(self, id)?.as_ref().map(encode),
            RecordId::Throttle(id) => self.throttles.get(id).map(encode),
        };
        Ok(encoded.transpose()?.map(|bytes| Digest::of(&bytes)))
    }

    /// The open campaigns on a stored workflow.
    fn campaigns_on(&self, id: &WorkflowId) -> impl Iterator<Item = (u64, &Versioned<Campaign>)> {
        let campaigns = self.campaigns.iter().map(|(seq, campaign)| (*seq, campaign));
        campaigns.filter(move |(_, campaign)| {
            campaign.value.source.location.stored() == Some(id) && !campaign.value.is_closed()
        })
    }
}

#[async_trait]
impl Store for Memory {
    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let mut content = self.content();
        let encoded = Encoded::new(commit)?;
        check(&encoded.commit, &*content)?;
        let entries = encoded.entries(content.head(), |id| content.digest(id))?;
        content.apply(encoded.commit, entries);
        Ok(Committed { last_event: EventSeq(content.head().seq) })
    }

    async fn campaign(&self, id: &CampaignId) -> Result<Option<Versioned<Campaign>>, StoreError> {
        Present::campaign(&*self.content(), id)
    }

    async fn campaigns(&self, page: Page) -> Result<Paged<CampaignSummary>, StoreError> {
        let listing = Listing::Campaigns;
        let before = listing.start(&page)?.map_or(Unbounded, Excluded);
        let content = self.content();
        let entries = content.campaigns.range((Unbounded, before)).rev();
        listing.page(&page, entries.map(|(seq, campaign)| Ok((*seq, campaign))), |campaign| {
            Ok(CampaignSummary::of(&campaign.value))
        })
    }

    async fn campaigns_on(
        &self,
        workflow: &WorkflowId,
        page: Page,
    ) -> Result<Paged<CampaignSummary>, StoreError> {
        let listing = Listing::CampaignsOn(workflow);
        let after = listing.start(&page)?;
        let content = self.content();
        let entries = content.campaigns_on(workflow).filter(|(seq, _)| Some(*seq) > after);
        listing.page(&page, entries.map(Ok), |campaign| Ok(CampaignSummary::of(&campaign.value)))
    }

    async fn experiment(&self, id: ExperimentId) -> Result<Option<Experiment>, StoreError> {
        Present::experiment(&*self.content(), id)
    }

    async fn experiments(
        &self,
        campaign: &CampaignId,
        page: Page,
    ) -> Result<Paged<ExperimentSummary>, StoreError> {
        let listing = Listing::Experiments(campaign);
        let after = listing.start(&page)?;
        let content = self.content();
        let entries = content
            .experiments
            .values()
            .filter(|experiment| {
                experiment.campaign == *campaign && Some(u64::from(experiment.number)) > after
            })
            .map(|experiment| (u64::from(experiment.number), experiment))
            .collect::<BTreeMap<_, _>>();
        listing.page(&page, entries.into_iter().map(Ok), |experiment| Ok(experiment.clone()))
    }

    async fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, StoreError> {
        Present::run(&*self.content(), id)
    }

    async fn runs(&self, filter: &RunFilter, page: Page) -> Result<Paged<RunSummary>, StoreError> {
        let listing = Listing::Runs(filter);
        let after = listing.start(&page)?.map_or(Unbounded, Excluded);
        let content = self.content();
        let entries =
            content.runs.range((after, Unbounded)).filter(|(_, run)| filter.admits(&run.value));
        listing.page(&page, entries.map(|(seq, run)| Ok((*seq, run))), |run| {
            Ok(RunSummary::of(&run.value))
        })
    }

    async fn workflow(
        &self,
        id: &WorkflowId,
    ) -> Result<Option<Versioned<StoredWorkflow>>, StoreError> {
        Present::workflow(&*self.content(), id)
    }

    async fn workflows(
        &self,
        filter: WorkflowFilter,
        page: Page,
    ) -> Result<Paged<WorkflowSummary>, StoreError> {
        let listing = Listing::Workflows(filter);
        let before = listing.start(&page)?.map_or(Unbounded, Excluded);
        let content = self.content();
        let workflows = content.workflows.range((Unbounded, before)).rev();
        let entries = workflows.filter(|(_, workflow)| filter.admits(&workflow.value));
        let entries = entries
            .filter_map(|(seq, workflow)| Some(Ok((*seq, WorkflowSummary::of(&workflow.value)?))));
        listing.page(&page, entries, Ok)
    }

    async fn workflow_text(
        &self,
        id: &WorkflowId,
        version: VersionNumber,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.content().workflow_texts.get(&(id.clone(), version)).cloned())
    }

    async fn workflow_run(
        &self,
        id: WorkflowRunId,
    ) -> Result<Option<Versioned<WorkflowRun>>, StoreError> {
        Present::workflow_run(&*self.content(), id)
    }

    async fn workflow_runs(
        &self,
        filter: &WorkflowRunFilter,
        page: Page,
    ) -> Result<Paged<WorkflowRunSummary>, StoreError> {
        let listing = Listing::WorkflowRuns(filter);
        let before = listing.start(&page)?.map_or(Unbounded, Excluded);
        let content = self.content();
        let runs = content.workflow_runs.range((Unbounded, before)).rev();
        let entries = runs.filter(|(_, run)| filter.admits(&run.value));
        listing.page(&page, entries.map(|(seq, run)| Ok((*seq, run))), |run| {
            Ok(WorkflowRunSummary::of(&run.value))
        })
    }

    async fn workflow_runs_ended(
        &self,
        by: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkflowRunId>, StoreError> {
        let content = self.content();
        let ended = content.workflow_runs.iter().filter_map(|(seq, run)| {
            let at = run.value.state.ended_at().filter(|at| *at <= by && !run.value.expired)?;
            Some(((at, *seq), run.value.id))
        });
        let ended: BTreeMap<_, _> = ended.collect();
        Ok(ended.into_values().take(Page::size(limit)).collect())
    }

    async fn workflow_run_output(
        &self,
        id: WorkflowRunId,
        output: Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.content().workflow_run_outputs.get(&(id, output)).cloned())
    }

    async fn events(&self, after: EventSeq, limit: u32) -> Result<Vec<Recorded>, StoreError> {
        let content = self.content();
        let entries = content.audit.range((Excluded(after.0), Unbounded)).map(|(_, entry)| entry);
        entries.filter_map(|entry| recorded(entry).transpose()).take(Page::size(limit)).collect()
    }

    async fn audit(&self, after: EventSeq, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let content = self.content();
        let entries = content.audit.range((Excluded(after.0), Unbounded));
        Ok(entries.take(Page::size(limit)).map(|(_, entry)| entry.clone()).collect())
    }

    async fn audit_head(&self) -> Result<Head, StoreError> {
        Ok(self.content().head())
    }

    async fn throttles(&self) -> Result<Vec<Throttle>, StoreError> {
        Ok(self.content().throttles.values().cloned().collect())
    }

    async fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.content().blobs.get(&digest).cloned())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use optim_core::campaign::event::EventKind;

    use super::*;
    use crate::store::Revision;
    use crate::testing::conformance::{Fixture, block_on};
    use crate::testing::sample;

    crate::conformance_tests!(|| Fixture::volatile(Memory::new()));

    fn write<T>(expected: u64, value: T) -> Write<T> {
        Write { expected: Revision(expected), value }
    }

    fn created(campaign: Campaign) -> Commit {
        let events = vec![sample::event(campaign.id.as_str(), EventKind::CampaignCreated)];
        Commit { campaigns: vec![write(0, campaign)], events, ..Commit::default() }
    }

    #[test]
    fn a_record_that_broke_a_rule_before_may_still_be_written() {
        let store = Memory::new();
        let campaign = sample::campaign("c");
        let mut broken = sample::searched(campaign.clone(), 2_000);
        block_on(async {
            store.commit(created(campaign)).await.unwrap();
            store.overwrite(broken.clone());
            broken.name = "goes on".to_owned();
            let events = vec![sample::event("c", EventKind::BackOffEnded)];
            let commit =
                |campaign| Commit { campaigns: vec![write(1, campaign)], ..Commit::default() };
            let step = Commit { events: events.clone(), ..commit(broken.clone()) };
            store.commit(step).await.unwrap();
            let worse = Commit { events, ..commit(sample::searched(broken, 2_001)) };
            store.commit(worse).await.unwrap_err();
        });
    }

    /// Counts what is read.
    struct Counted<'a>(&'a Content, Cell<usize>);

    impl Counted<'_> {
        fn content(&self) -> &Content {
            self.1.set(self.1.get() + 1);
            self.0
        }
    }

    impl Present for Counted<'_> {
        type Error = StoreError;

        fn campaign(&self, id: &CampaignId) -> Result<Option<Versioned<Campaign>>, StoreError> {
            self.content().campaign(id)
        }

        fn experiment(&self, id: ExperimentId) -> Result<Option<Experiment>, StoreError> {
            self.content().experiment(id)
        }

        fn experiment_at(
            &self,
            campaign: &CampaignId,
            number: u32,
        ) -> Result<Option<ExperimentId>, StoreError> {
            self.content().experiment_at(campaign, number)
        }

        fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, StoreError> {
            Present::run(self.content(), id)
        }

        fn open_runs(&self, id: EvaluationId) -> Result<usize, StoreError> {
            self.content().open_runs(id)
        }

        fn workflow(
            &self,
            id: &WorkflowId,
        ) -> Result<Option<Versioned<StoredWorkflow>>, StoreError> {
            Present::workflow(self.content(), id)
        }

        fn open_campaigns_on(&self, id: &WorkflowId) -> Result<Vec<CampaignId>, StoreError> {
            self.content().open_campaigns_on(id)
        }

        fn open_runs_on(&self, id: &WorkflowId) -> Result<Vec<WorkflowRunId>, StoreError> {
            self.content().open_runs_on(id)
        }

        fn workflow_run(
            &self,
            id: WorkflowRunId,
        ) -> Result<Option<Versioned<WorkflowRun>>, StoreError> {
            Present::workflow_run(self.content(), id)
        }

        fn workflow_runs_at_work(&self) -> Result<Vec<WorkflowRun>, StoreError> {
            self.content().workflow_runs_at_work()
        }
    }

    #[test]
    fn what_a_commit_is_checked_for_costs_the_same_however_much_is_stored() {
        let reads = |stored: u32| {
            let store = Memory::new();
            let (campaign, evaluation) = sample::replaying("c");
            let runs = (0..stored + 2).map(|case| sample::run("c", evaluation, case));
            let runs: Vec<_> = runs.collect();
            let all = runs.iter().map(|run| write(0, run.clone())).collect();
            block_on(async {
                let commit = Commit { runs: all, ..created(campaign.clone()) };
                store.commit(commit).await.unwrap();
                for number in 0..stored {
                    let other = created(sample::campaign(&format!("other-{number}")));
                    store.commit(other).await.unwrap();
                }
            });
            let mut next = campaign;
            next.name = "another".to_owned();
            let commit = Commit {
                campaigns: vec![write(1, next)],
                runs: vec![
                    write(1, sample::claimed(&runs[0])),
                    write(1, sample::cancelled(&runs[1])),
                ],
                events: vec![sample::event("c", EventKind::BackOffEnded)],
                ..Commit::default()
            };
            let content = store.content();
            let counted = Counted(&content, Cell::new(0));
            check(&commit, &counted).unwrap();
            counted.1.get()
        };
        assert_eq!((reads(1), reads(300)), (3, 3), "one read of each record that is written");
    }
}
