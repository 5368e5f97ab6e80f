//! Reads within one transaction.

use std::ops::Bound::{Excluded, Included, Unbounded};

use heed::types::Bytes;
use heed::{Database, RoTxn};
use optim_core::audit::entry::Entry;
use optim_core::audit::head::Head;
use optim_core::campaign::Campaign;
use optim_core::digest::Digest;
use optim_core::experiment::Experiment;
use optim_core::id::{CampaignId, EvaluationId, ExperimentId, RunId, WorkflowId, WorkflowRunId};
use optim_core::quantity::Timestamp;
use optim_core::run::Run;
use optim_core::stored_workflow::{StoredWorkflow, VersionNumber};
use optim_core::throttle::Throttle;
use optim_core::workflow_run::WorkflowRun;
use optim_core::workflow_run::state::WorkflowRunStatus;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::check::Present;
use crate::cursor::Listing;
use crate::encoded::RecordId;
use crate::store::{
    CampaignSummary, EventSeq, Page, Paged, Recorded, RunFilter, RunSummary, StoreError, Versioned,
    WorkflowFilter, WorkflowRunFilter, WorkflowRunSummary, WorkflowSummary, recorded,
};

use super::envelope::{self, Codec};
use super::tables::{Seq, Tables};
use super::{Error, corrupt};

/// The tables as one transaction sees them.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub tables: &'a Tables<'static>,
    pub txn: &'a RoTxn<'a>,
}

impl View<'_> {
    pub(super) fn campaign(&self, id: &CampaignId) -> Result<Option<Versioned<Campaign>>, Error> {
        let Some(seq) = self.tables.campaign_ids.get(self.txn, id.as_str())? else {
            return Ok(None);
        };
        let what = || format!("campaign {id}");
        let campaign: Versioned<Campaign> =
            load(self.txn, self.tables.campaigns, "campaigns", seq, what)?;
        expect_id(&campaign.value.id, id, what)?;
        Ok(Some(campaign))
    }

    pub(super) fn campaigns(&self, page: &Page) -> Result<Paged<CampaignSummary>, Error> {
        let listing = Listing::Campaigns;
        let before = listing.start(page)?.map_or(Unbounded, Excluded);
        let records = self.tables.campaigns.rev_range(self.txn, &(Unbounded, before))?;
        let entries =
            records.map(|entry| entry.map(|(seq, value)| (seq, (seq, value))).map_err(Error::from));
        listing.page(page, entries, |(seq, value)| {
            let campaign: Versioned<Campaign> =
                decode("campaigns", &seq.to_be_bytes(), value, || {
                    format!("the campaign with number {seq}")
                })?;
            Ok(CampaignSummary::of(&campaign.value))
        })
    }

    pub(super) fn campaigns_on(
        &self,
        workflow: &WorkflowId,
        page: &Page,
    ) -> Result<Paged<CampaignSummary>, Error> {
        let listing = Listing::CampaignsOn(workflow);
        let seqs = self.campaign_seqs_on(workflow, listing.start(page)?.unwrap_or(0))?;
        listing.page(page, seqs.map(|seq| seq.map(|seq| (seq, seq))), |seq| {
            Ok(CampaignSummary::of(&self.campaign_on(workflow, seq)?))
        })
    }

    /// The sequences above `after` of the open campaigns on a stored workflow.
    fn campaign_seqs_on(
        &self,
        workflow: &WorkflowId,
        after: u64,
    ) -> Result<impl Iterator<Item = Result<u64, Error>>, Error> {
        let after = source_key(workflow, after);
        let end = source_key(workflow, u64::MAX);
        let range = (Excluded(&after[..]), Included(&end[..]));
        Ok(self.tables.campaigns_on.range(self.txn, &range)?.map(|entry| {
            let (key, ()) = entry?;
            let seq = key.last_chunk().map(|seq| u64::from_be_bytes(*seq));
            seq.ok_or_else(|| corrupt("the index campaigns_on", "a key is too short").into())
        }))
    }

    /// The campaign that `campaigns_on` lists.
    fn campaign_on(&self, workflow: &WorkflowId, seq: u64) -> Result<Campaign, Error> {
        let what = || format!("the campaign with number {seq}");
        let campaign: Versioned<Campaign> =
            load(self.txn, self.tables.campaigns, "campaigns", seq, what)?;
        let campaign = campaign.value;
        if campaign.source.location.stored() == Some(workflow) && !campaign.is_closed() {
            Ok(campaign)
        } else {
            Err(corrupt(&what(), "an index lists it where it does not belong").into())
        }
    }

    pub(super) fn experiment(&self, id: ExperimentId) -> Result<Option<Experiment>, Error> {
        let Some(seq) = self.tables.experiment_ids.get(self.txn, id.as_bytes())? else {
            return Ok(None);
        };
        let what = || format!("experiment {id}");
        let experiment: Experiment =
            load(self.txn, self.tables.experiments, "experiments", seq, what)?;
        expect_id(&experiment.id, &id, what)?;
        Ok(Some(experiment))
    }

    pub(super) fn experiments(
        &self,
        campaign: &CampaignId,
        page: &Page,
    ) -> Result<Paged<Experiment>, Error> {
        let listing = Listing::Experiments(campaign);
        let after = listing.start(page)?;
        let Some(campaign_seq) = self.tables.campaign_ids.get(self.txn, campaign.as_str())? else {
            return Ok(Paged { items: Vec::new(), damaged: Vec::new(), next: None });
        };
        let after =
            after.map(|number| number_key(campaign_seq, u32::try_from(number).unwrap_or(u32::MAX)));
        let start = number_key(campaign_seq, 0);
        let end = number_key(campaign_seq, u32::MAX);
        let range = (
            after.as_ref().map_or(Included(&start[..]), |after| Excluded(&after[..])),
            Included(&end[..]),
        );
        let entries = self.tables.experiments_by_number.range(self.txn, &range)?.map(|entry| {
            let (key, seq) = entry?;
            let number = key.last_chunk().map(|number| u32::from_be_bytes(*number));
            let number =
                number.ok_or_else(|| corrupt("the index of experiments", "a key is too short"))?;
            Ok((u64::from(number), (number, seq)))
        });
        listing.page(page, entries, |(number, seq)| {
            let what = || format!("experiment #{number} of campaign {campaign}");
            let experiment: Experiment =
                load(self.txn, self.tables.experiments, "experiments", seq, what)?;
            expect_id(&(&experiment.campaign, experiment.number), &(campaign, number), what)?;
            Ok(experiment)
        })
    }

    pub(super) fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, Error> {
        let Some(seq) = self.tables.run_ids.get(self.txn, id.as_bytes())? else {
            return Ok(None);
        };
        let what = || format!("run {id}");
        let run: Versioned<Run> = load(self.txn, self.tables.runs, "runs", seq, what)?;
        expect_id(&run.value.id, &id, what)?;
        Ok(Some(run))
    }

    pub(super) fn runs(&self, filter: &RunFilter, page: &Page) -> Result<Paged<RunSummary>, Error> {
        let listing = Listing::Runs(filter);
        let after = listing.start(page)?.unwrap_or(0);
        let seqs: Box<dyn Iterator<Item = Result<u64, Error>>> = match filter {
            RunFilter::Queued => Box::new(
                self.tables.runs_queued.range(self.txn, &(Excluded(after), Unbounded))?.map(seq_of),
            ),
            RunFilter::Running => Box::new(
                self.tables
                    .runs_running
                    .range(self.txn, &(Excluded(after), Unbounded))?
                    .map(seq_of),
            ),
            RunFilter::Evaluation(id) => {
                Box::new(self.runs_of(self.tables.runs_by_evaluation, *id, after)?)
            }
            RunFilter::Open(id) => Box::new(self.runs_of(self.tables.runs_open, *id, after)?),
        };
        listing.page(page, seqs.map(|seq| seq.map(|seq| (seq, seq))), |seq| {
            let what = || format!("the run with number {seq}");
            let run: Versioned<Run> = load(self.txn, self.tables.runs, "runs", seq, what)?;
            if filter.admits(&run.value) {
                Ok(RunSummary::of(&run.value))
            } else {
                Err(corrupt(&what(), "an index lists it where it does not belong").into())
            }
        })
    }

    /// The sequences above `after` in an index by evaluation.
    fn runs_of(
        &self,
        index: Database<'static, Bytes, heed::types::Unit>,
        evaluation: EvaluationId,
        after: u64,
    ) -> Result<impl Iterator<Item = Result<u64, Error>>, Error> {
        let after = evaluation_key(evaluation, after);
        let end = evaluation_key(evaluation, u64::MAX);
        let entries = index.range(self.txn, &(Excluded(&after[..]), Included(&end[..])))?;
        Ok(entries.map(|entry| {
            let (key, ()) = entry?;
            let seq = key.last_chunk().map(|seq| u64::from_be_bytes(*seq));
            seq.ok_or_else(|| corrupt("the index of runs", "a key is too short").into())
        }))
    }

    pub(super) fn workflow(
        &self,
        id: &WorkflowId,
    ) -> Result<Option<Versioned<StoredWorkflow>>, Error> {
        Ok(self.workflow_at(id)?.map(|(_, workflow)| workflow))
    }

    /// A stored workflow with its sequence.
    fn workflow_at(
        &self,
        id: &WorkflowId,
    ) -> Result<Option<(u64, Versioned<StoredWorkflow>)>, Error> {
        let Some(seq) = self.tables.workflow_ids.get(self.txn, &workflow_key(id))? else {
            return Ok(None);
        };
        let what = || format!("workflow {id}");
        let workflow: Versioned<StoredWorkflow> =
            load(self.txn, self.tables.workflows, "workflows", seq, what)?;
        expect_id(&workflow.value.id, id, what)?;
        Ok(Some((seq, workflow)))
    }

    pub(super) fn workflows(
        &self,
        filter: WorkflowFilter,
        page: &Page,
    ) -> Result<Paged<WorkflowSummary>, Error> {
        let listing = Listing::Workflows(filter);
        let before = listing.start(page)?.map_or(Unbounded, Excluded);
        let index = match filter {
            WorkflowFilter::Kept => self.tables.workflows_kept,
            WorkflowFilter::Restorable => self.tables.workflows_restorable,
        };
        let seqs = index.rev_range(self.txn, &(Unbounded, before))?.map(seq_of);
        listing.page(page, seqs.map(|seq| seq.map(|seq| (seq, seq))), |seq| {
            let what = || format!("the workflow with number {seq}");
            let workflow: Versioned<StoredWorkflow> =
                load(self.txn, self.tables.workflows, "workflows", seq, what)?;
            WorkflowSummary::of(&workflow.value)
                .filter(|_| filter.admits(&workflow.value))
                .ok_or_else(|| {
                    corrupt(&what(), "an index lists it where it does not belong").into()
                })
        })
    }

    pub(super) fn workflow_text(
        &self,
        id: &WorkflowId,
        version: VersionNumber,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some((seq, workflow)) = self.workflow_at(id)? else {
            return Ok(None);
        };
        if workflow.value.version(version).is_none() {
            return Ok(None);
        }
        let broken = |why: &str| corrupt(&format!("version {version} of workflow {id}"), why);
        let key = number_key(seq, version.0);
        let value = self.tables.workflow_texts.get(self.txn, &key)?;
        let value = value.ok_or_else(|| broken("its text is missing"))?;
        let text = envelope::unseal("workflow_texts", &key, Codec::Raw, value).map_err(broken)?;
        Ok(Some(text.to_vec()))
    }

    pub(super) fn workflow_run(
        &self,
        id: WorkflowRunId,
    ) -> Result<Option<Versioned<WorkflowRun>>, Error> {
        let Some(seq) = self.tables.workflow_run_ids.get(self.txn, id.as_bytes())? else {
            return Ok(None);
        };
        let what = || format!("workflow run {id}");
        let run: Versioned<WorkflowRun> =
            load(self.txn, self.tables.workflow_runs, "workflow_runs", seq, what)?;
        expect_id(&run.value.id, &id, what)?;
        Ok(Some(run))
    }

    /// The workflow run with this sequence.
    pub(super) fn workflow_run_numbered(&self, seq: u64) -> Result<WorkflowRun, Error> {
        let what = || format!("the workflow run with number {seq}");
        let run: Versioned<WorkflowRun> =
            load(self.txn, self.tables.workflow_runs, "workflow_runs", seq, what)?;
        Ok(run.value)
    }

    pub(super) fn workflow_runs(
        &self,
        filter: &WorkflowRunFilter,
        page: &Page,
    ) -> Result<Paged<WorkflowRunSummary>, Error> {
        let listing = Listing::WorkflowRuns(filter);
        let before = listing.start(page)?.unwrap_or(u64::MAX);
        let seqs: Box<dyn Iterator<Item = Result<u64, Error>>> = match filter {
            WorkflowRunFilter::All => {
                let runs = self.tables.workflow_runs;
                let before = (Unbounded, Excluded(before));
                Box::new(runs.rev_range(self.txn, &before)?.map(|entry| Ok(entry?.0)))
            }
            WorkflowRunFilter::Workflow(id) => Box::new(self.seqs_before(
                self.tables.workflow_runs_by_workflow,
                [source_key(id, 0), source_key(id, before)],
            )?),
            WorkflowRunFilter::OpenOn(id) => Box::new(self.seqs_before(
                self.tables.workflow_runs_on,
                [source_key(id, 0), source_key(id, before)],
            )?),
            WorkflowRunFilter::Status(status) => Box::new(self.seqs_before(
                self.tables.workflow_runs_by_status,
                [status_key(*status, 0), status_key(*status, before)],
            )?),
        };
        listing.page(page, seqs.map(|seq| seq.map(|seq| (seq, seq))), |seq| {
            let run = self.workflow_run_numbered(seq)?;
            if filter.admits(&run) {
                Ok(WorkflowRunSummary::of(&run))
            } else {
                let what = format!("workflow run {}", run.id);
                Err(corrupt(&what, "an index lists it where it does not belong").into())
            }
        })
    }

    pub(super) fn workflow_runs_ended(
        &self,
        by: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkflowRunId>, Error> {
        let end = ended_key(by, u64::MAX);
        let range = (Unbounded, Included(&end[..]));
        let entries = self.tables.workflow_runs_ended.range(self.txn, &range)?;
        let runs = entries.take(Page::size(limit)).map(|entry| {
            let (key, ()) = entry?;
            let seq = key.last_chunk().map(|seq| u64::from_be_bytes(*seq));
            let seq =
                seq.ok_or_else(|| corrupt("the index of workflow runs", "a key is too short"))?;
            Ok(self.workflow_run_numbered(seq)?.id)
        });
        runs.collect()
    }

    pub(super) fn workflow_run_output(
        &self,
        id: WorkflowRunId,
        output: Digest,
    ) -> Result<Option<Vec<u8>>, Error> {
        let (Some(seq), Some(run)) =
            (self.tables.workflow_run_ids.get(self.txn, id.as_bytes())?, self.workflow_run(id)?)
        else {
            return Ok(None);
        };
        if !run.value.outputs().any(|listed| listed == output) {
            return Ok(None);
        }
        let key = output_key(seq, output);
        if let Some(value) = self.tables.workflow_run_outputs.get(self.txn, &key)? {
            let what = || format!("output {output} of workflow run {id}");
            let payload = envelope::unseal("workflow_run_outputs", &key, Codec::Raw, value)
                .map_err(|why| corrupt(&what(), why))?;
            return Ok(Some(payload.to_vec()));
        }
        // Before format 3 outputs were among the payloads.
        self.blob(output)
    }

    /// The sequences at the end of the keys in `from..before` of an index, falling.
    fn seqs_before<const LENGTH: usize>(
        &self,
        index: Database<'static, Bytes, heed::types::Unit>,
        [from, before]: [[u8; LENGTH]; 2],
    ) -> Result<impl Iterator<Item = Result<u64, Error>>, Error> {
        let entries = index.rev_range(self.txn, &(Included(&from[..]), Excluded(&before[..])))?;
        Ok(entries.map(|entry| {
            let (key, ()) = entry?;
            let seq = key.last_chunk().map(|seq| u64::from_be_bytes(*seq));
            seq.ok_or_else(|| corrupt("the index of workflow runs", "a key is too short").into())
        }))
    }

    pub(super) fn events(&self, after: EventSeq, limit: u32) -> Result<Vec<Recorded>, Error> {
        let recorded = self.entries(after)?.map(|entry| Ok(recorded(&entry?)?));
        recorded.filter_map(Result::transpose).take(Page::size(limit)).collect()
    }

    pub(super) fn audit(&self, after: EventSeq, limit: u32) -> Result<Vec<Entry>, Error> {
        self.entries(after)?.take(Page::size(limit)).collect()
    }

    /// The entries of the audit chain above `after`, without gaps.
    pub(super) fn entries(
        &self,
        after: EventSeq,
    ) -> Result<impl Iterator<Item = Result<Entry, Error>>, Error> {
        let mut expected = after.0;
        let entries = self.tables.events.range(self.txn, &(Excluded(after.0), Unbounded))?;
        Ok(entries.map(move |entry| {
            let (seq, value) = entry?;
            expected = expected.saturating_add(1);
            if seq != expected {
                return Err(corrupt(&format!("event {expected}"), "it is missing").into());
            }
            entry_of(seq, value)
        }))
    }

    pub(super) fn audit_head(&self) -> Result<Head, Error> {
        let last = self.tables.events.last(self.txn)?;
        last.map_or(Ok(Head::default()), |(seq, value)| {
            let end: EndOfChain = decode("events", &seq.to_be_bytes(), value, || event(seq))?;
            Ok(Head { seq, hash: end.hash })
        })
    }

    pub(super) fn last_event(&self) -> Result<EventSeq, Error> {
        Ok(EventSeq(last(self.txn, self.tables.events)?))
    }

    /// The digest of a record as it is stored.
    pub(super) fn digest(&self, id: RecordId<'_>) -> Result<Option<Digest>, Error> {
        let Self { tables, txn } = *self;
        let (table, name, seq) = match id {
            RecordId::Campaign(id) => {
                (tables.campaigns, "campaigns", tables.campaign_ids.get(txn, id.as_str())?)
            }
            RecordId::Experiment(id) => {
                (tables.experiments, "experiments", tables.experiment_ids.get(txn, id.as_bytes())?)
            }
            RecordId::Run(id) => (tables.runs, "runs", tables.run_ids.get(txn, id.as_bytes())?),
            RecordId::Workflow(id) => {
                (tables.workflows, "workflows", tables.workflow_ids.get(txn, &workflow_key(id))?)
            }
            RecordId::WorkflowRun(id) => {
                let seq = tables.workflow_run_ids.get(txn, id.as_bytes())?;
                (tables.workflow_runs, "workflow_runs", seq)
            }
            RecordId::Throttle(id) => {
                let value = tables.throttles.get(txn, id.as_str())?;
                return digest_of("throttles", id.as_str().as_bytes(), value);
            }
        };
        match seq {
            Some(seq) => digest_of(name, &seq.to_be_bytes(), table.get(txn, &seq)?),
            None => Ok(None),
        }
    }

    pub(super) fn throttles(&self) -> Result<Vec<Throttle>, Error> {
        let entries = self.tables.throttles.iter(self.txn)?;
        let throttles = entries.map(|entry| {
            let (id, value) = entry?;
            let what = || format!("the throttle of provider {id}");
            let throttle: Throttle = decode("throttles", id.as_bytes(), value, what)?;
            expect_id(&throttle.provider.as_str(), &id, what)?;
            Ok(throttle)
        });
        throttles.collect()
    }

    pub(super) fn blob(&self, digest: Digest) -> Result<Option<Vec<u8>>, Error> {
        let key = digest.as_bytes();
        let Some(value) = self.tables.blobs.get(self.txn, key)? else {
            return Ok(None);
        };
        let payload = envelope::unseal("blobs", key, Codec::Raw, value)
            .map_err(|why| corrupt(&format!("payload {digest}"), why))?;
        Ok(Some(payload.to_vec()))
    }
}

impl Present for View<'_> {
    type Error = Error;

    fn campaign(&self, id: &CampaignId) -> Result<Option<Versioned<Campaign>>, Error> {
        View::campaign(self, id)
    }

    fn experiment(&self, id: ExperimentId) -> Result<Option<Experiment>, Error> {
        View::experiment(self, id)
    }

    fn experiment_at(
        &self,
        campaign: &CampaignId,
        number: u32,
    ) -> Result<Option<ExperimentId>, Error> {
        let Some(campaign_seq) = self.tables.campaign_ids.get(self.txn, campaign.as_str())? else {
            return Ok(None);
        };
        let key = number_key(campaign_seq, number);
        let Some(seq) = self.tables.experiments_by_number.get(self.txn, &key)? else {
            return Ok(None);
        };
        let what = || format!("experiment #{number} of campaign {campaign}");
        let experiment: Experiment =
            load(self.txn, self.tables.experiments, "experiments", seq, what)?;
        Ok(Some(experiment.id))
    }

    fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, Error> {
        View::run(self, id)
    }

    fn open_runs(&self, id: EvaluationId) -> Result<usize, Error> {
        let mut seqs = self.runs_of(self.tables.runs_open, id, 0)?;
        seqs.try_fold(0_usize, |count, seq| seq.map(|_| count.saturating_add(1)))
    }

    fn workflow(&self, id: &WorkflowId) -> Result<Option<Versioned<StoredWorkflow>>, Error> {
        View::workflow(self, id)
    }

    fn workflow_run(&self, id: WorkflowRunId) -> Result<Option<Versioned<WorkflowRun>>, Error> {
        View::workflow_run(self, id)
    }

    fn open_campaigns_on(&self, id: &WorkflowId) -> Result<Vec<CampaignId>, Error> {
        let seqs = self.campaign_seqs_on(id, 0)?;
        seqs.map(|seq| Ok(self.campaign_on(id, seq?)?.id)).collect()
    }

    fn open_runs_on(&self, id: &WorkflowId) -> Result<Vec<WorkflowRunId>, Error> {
        let bounds = [source_key(id, 0), source_key(id, u64::MAX)];
        let runs = self.seqs_before(self.tables.workflow_runs_on, bounds)?.map(|seq| {
            let seq = seq?;
            Ok(self.workflow_run_numbered(seq)?.id)
        });
        runs.collect()
    }

    fn workflow_runs_at_work(&self) -> Result<Vec<WorkflowRun>, Error> {
        let mut runs = Vec::new();
        for status in WorkflowRunStatus::ALL.into_iter().filter(|status| status.is_at_work()) {
            let bounds = [status_key(status, 0), status_key(status, u64::MAX)];
            for seq in self.seqs_before(self.tables.workflow_runs_by_status, bounds)? {
                match self.workflow_run_numbered(seq?) {
                    // The damage of one is no reason for the others to stand still.
                    Err(Error::Store(StoreError::Corrupt { .. })) => {}
                    run => runs.push(run?),
                }
            }
        }
        Ok(runs)
    }
}

/// The highest sequence in `table`; 0 when it is empty.
pub(super) fn last(txn: &RoTxn<'_>, table: Database<'static, Seq, Bytes>) -> Result<u64, Error> {
    Ok(table.last(txn)?.map_or(0, |(seq, _)| seq))
}

/// The key of a stored workflow in `workflow_ids`.
pub(super) fn workflow_key(id: &WorkflowId) -> [u8; 32] {
    *Digest::of(id.as_str().as_bytes()).as_bytes()
}

/// The key of a workflow run in `workflow_runs_by_status`.
pub(super) fn status_key(status: WorkflowRunStatus, seq: u64) -> [u8; 9] {
    let first = match status {
        WorkflowRunStatus::Queued => 1,
        WorkflowRunStatus::Running => 2,
        WorkflowRunStatus::Pausing => 3,
        WorkflowRunStatus::Paused => 4,
        WorkflowRunStatus::AwaitingApproval => 5,
        WorkflowRunStatus::Completed => 6,
        WorkflowRunStatus::Blocked => 7,
        WorkflowRunStatus::Failed => 8,
        WorkflowRunStatus::Cancelled => 9,
    };
    let [a, b, c, d, e, f, g, h] = seq.to_be_bytes();
    [first, a, b, c, d, e, f, g, h]
}

/// The key of a workflow run in `workflow_runs_ended`: in the order of time.
pub(super) fn ended_key(at: Timestamp, seq: u64) -> [u8; 16] {
    let at = at.0.cast_unsigned() ^ (1 << 63);
    (u128::from(at) << 64 | u128::from(seq)).to_be_bytes()
}

/// The key of an output in `workflow_run_outputs`.
pub(super) fn output_key(run: u64, output: Digest) -> [u8; 40] {
    let mut key = [0; 40];
    let (head, tail) = key.split_at_mut(8);
    head.copy_from_slice(&run.to_be_bytes());
    tail.copy_from_slice(output.as_bytes());
    key
}

/// The key of a campaign in `campaigns_on`, and of a workflow run in `workflow_runs_by_workflow` and
/// `workflow_runs_on`.
pub(super) fn source_key(workflow: &WorkflowId, campaign: u64) -> [u8; 40] {
    let mut key = [0; 40];
    let (head, tail) = key.split_at_mut(32);
    head.copy_from_slice(&workflow_key(workflow));
    tail.copy_from_slice(&campaign.to_be_bytes());
    key
}

/// The key of an experiment in `experiments_by_number`, and of a version in `workflow_texts`.
pub(super) fn number_key(owner: u64, number: u32) -> [u8; 12] {
    let mut key = [0; 12];
    let (head, tail) = key.split_at_mut(8);
    head.copy_from_slice(&owner.to_be_bytes());
    tail.copy_from_slice(&number.to_be_bytes());
    key
}

/// The key of a run in `runs_by_evaluation` and `runs_open`.
pub(super) fn evaluation_key(evaluation: EvaluationId, seq: u64) -> [u8; 24] {
    let mut key = [0; 24];
    let (head, tail) = key.split_at_mut(16);
    head.copy_from_slice(evaluation.as_bytes());
    tail.copy_from_slice(&seq.to_be_bytes());
    key
}

/// What the next entry of the audit chain has to know of the last one.
#[derive(Deserialize)]
struct EndOfChain {
    hash: Digest,
}

/// The entry of the audit chain in `value`.
pub(super) fn entry_of(seq: u64, value: &[u8]) -> Result<Entry, Error> {
    let broken = |why: &str| corrupt(&event(seq), why);
    let bytes =
        envelope::unseal("events", &seq.to_be_bytes(), Codec::Json, value).map_err(broken)?;
    let entry = Entry::from_bytes(bytes).map_err(|error| broken(&error.to_string()))?;
    expect_id(&entry.seq, &seq, || event(seq))?;
    Ok(entry)
}

fn event(seq: u64) -> String {
    format!("event {seq}")
}

/// The digest of the record in `value`.
fn digest_of(table: &str, key: &[u8], value: Option<&[u8]>) -> Result<Option<Digest>, Error> {
    let Some(value) = value else { return Ok(None) };
    let payload = envelope::unseal(table, key, Codec::Json, value)
        .map_err(|why| corrupt(&format!("a record of {table}"), why))?;
    Ok(Some(Digest::of(payload)))
}

fn seq_of(entry: heed::Result<(u64, ())>) -> Result<u64, Error> {
    Ok(entry?.0)
}

/// Loads the record `seq`, to which an index points.
fn load<T: DeserializeOwned>(
    txn: &RoTxn<'_>,
    table: Database<'static, Seq, Bytes>,
    name: &str,
    seq: u64,
    what: impl Fn() -> String,
) -> Result<T, Error> {
    let value = table
        .get(txn, &seq)?
        .ok_or_else(|| corrupt(&what(), "an index points to it, but it is not there"))?;
    decode(name, &seq.to_be_bytes(), value, what)
}

pub(super) fn decode<T: DeserializeOwned>(
    table: &str,
    key: &[u8],
    value: &[u8],
    what: impl Fn() -> String,
) -> Result<T, Error> {
    envelope::decode(table, key, value).map_err(|why| corrupt(&what(), &why).into())
}

/// Guards against an index that points to the wrong record.
fn expect_id<T: PartialEq>(
    found: &T,
    wanted: &T,
    what: impl Fn() -> String,
) -> Result<(), StoreError> {
    if found == wanted {
        Ok(())
    } else {
        Err(corrupt(&what(), "an index points to another record"))
    }
}
