//! Compares everything that is stored with everything else.

use heed::Database;
use heed::types::Bytes;
use optim_core::campaign::Campaign;
use optim_core::campaign::event::{Event, Subject};
use optim_core::digest::Digest;
use optim_core::experiment::Experiment;
use optim_core::run::{Run, RunState};
use optim_core::stored_workflow::StoredWorkflow;
use optim_core::workflow_run::WorkflowRun;
use serde::de::DeserializeOwned;

use crate::store::{StoreError, Versioned, WorkflowFilter};

use super::envelope::{self, Codec};
use super::tables::Seq;
use super::view::{View, decode, evaluation_key, number_key, source_key, status_key, workflow_key};
use super::{Error, corrupt};

/// Findings that are kept.
const FINDINGS_MAX: usize = 100;

/// What is damaged.
pub(super) fn verify(view: &View<'_>) -> Result<Vec<StoreError>, Error> {
    let mut findings = Findings(Vec::new());
    campaigns(view, &mut findings)?;
    experiments(view, &mut findings)?;
    runs(view, &mut findings)?;
    workflows(view, &mut findings)?;
    workflow_runs(view, &mut findings)?;
    throttles(view, &mut findings)?;
    events(view, &mut findings)?;
    blobs(view, &mut findings)?;
    Ok(findings.0)
}

struct Findings(Vec<StoreError>);

impl Findings {
    fn expect(&mut self, holds: bool, what: impl FnOnce() -> String, why: &str) {
        if !holds && self.0.len() < FINDINGS_MAX {
            self.0.push(corrupt(&what(), why));
        }
    }

    fn expect_equal(&mut self, index: &str, entries: u64, records: u64) {
        let what = || format!("the index {index} with {entries} entries for {records} records");
        self.expect(entries == records, what, "entries are missing or left over");
    }

    /// Hands every record of a table that can be decoded to `check`; returns how many there are.
    fn records<T: DeserializeOwned>(
        &mut self,
        view: &View<'_>,
        table: Database<'static, Seq, Bytes>,
        name: &str,
        mut check: impl FnMut(&mut Self, u64, T) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let mut count = 0_u64;
        for entry in table.iter(view.txn)? {
            let (seq, value) = entry?;
            count = count.saturating_add(1);
            let what = || format!("record {seq} of {name}");
            match decode(name, &seq.to_be_bytes(), value, what) {
                Ok(record) => check(self, seq, record)?,
                Err(Error::Store(error)) if self.0.len() < FINDINGS_MAX => self.0.push(error),
                Err(Error::Store(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}

const ASTRAY: &str = "its index leads elsewhere";
const ORPHAN: &str = "its campaign is missing";
const WRONGLY: &str = "an index lists it wrongly";

fn campaigns(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let mut on_workflows = 0_u64;
    let records =
        findings.records(view, tables.campaigns, "campaigns", |findings, seq, campaign| {
            let Versioned::<Campaign> { revision: _, value: campaign } = campaign;
            let what = || format!("campaign {}", campaign.id);
            let found = tables.campaign_ids.get(txn, campaign.id.as_str())?;
            findings.expect(found == Some(seq), what, ASTRAY);
            if let Some(workflow) = campaign.source.location.stored() {
                let found = tables.campaigns_on.get(txn, &source_key(workflow, seq))?;
                findings.expect(found.is_some() != campaign.is_closed(), what, WRONGLY);
                on_workflows += u64::from(!campaign.is_closed());
            }
            Ok(())
        })?;
    findings.expect_equal("campaigns_on", tables.campaigns_on.len(txn)?, on_workflows);
    findings.expect_equal("campaign_ids", tables.campaign_ids.len(txn)?, records);
    Ok(())
}

fn experiments(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let records = findings.records(
        view,
        tables.experiments,
        "experiments",
        |findings, seq, experiment: Experiment| {
            let what = || format!("experiment {}", experiment.id);
            let found = tables.experiment_ids.get(txn, experiment.id.as_bytes())?;
            findings.expect(found == Some(seq), what, ASTRAY);
            let Some(campaign) = tables.campaign_ids.get(txn, experiment.campaign.as_str())? else {
                findings.expect(false, what, ORPHAN);
                return Ok(());
            };
            let found =
                tables.experiments_by_number.get(txn, &number_key(campaign, experiment.number))?;
            findings.expect(found == Some(seq), what, ASTRAY);
            Ok(())
        },
    )?;
    findings.expect_equal("experiment_ids", tables.experiment_ids.len(txn)?, records);
    findings.expect_equal("experiments_by_number", tables.experiments_by_number.len(txn)?, records);
    Ok(())
}

fn runs(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let [mut queued, mut running, mut open] = [0_u64; 3];
    let records =
        findings.records(view, tables.runs, "runs", |findings, seq, run: Versioned<Run>| {
            let run = run.value;
            let what = || format!("run {}", run.id);
            let found = tables.run_ids.get(txn, run.id.as_bytes())?;
            findings.expect(found == Some(seq), what, ASTRAY);
            let campaign = tables.campaign_ids.get(txn, run.campaign.as_str())?;
            findings.expect(campaign.is_some(), what, ORPHAN);
            let is_queued = matches!(run.state, RunState::Queued);
            let is_running = matches!(run.state, RunState::Running { .. });
            queued += u64::from(is_queued);
            running += u64::from(is_running);
            open += u64::from(!run.state.is_terminal());
            let key = evaluation_key(run.evaluation, seq);
            for (wanted, found) in [
                (is_queued, tables.runs_queued.get(txn, &seq)?),
                (is_running, tables.runs_running.get(txn, &seq)?),
                (!run.state.is_terminal(), tables.runs_open.get(txn, &key)?),
                (true, tables.runs_by_evaluation.get(txn, &key)?),
            ] {
                findings.expect(wanted == found.is_some(), what, WRONGLY);
            }
            Ok(())
        })?;
    findings.expect_equal("run_ids", tables.run_ids.len(txn)?, records);
    findings.expect_equal("runs_by_evaluation", tables.runs_by_evaluation.len(txn)?, records);
    findings.expect_equal("runs_queued", tables.runs_queued.len(txn)?, queued);
    findings.expect_equal("runs_running", tables.runs_running.len(txn)?, running);
    findings.expect_equal("runs_open", tables.runs_open.len(txn)?, open);
    Ok(())
}

fn workflows(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let [mut kept, mut restorable, mut texts] = [0_u64; 3];
    let records = findings.records(
        view,
        tables.workflows,
        "workflows",
        |findings, seq, workflow: Versioned<StoredWorkflow>| {
            let workflow = workflow.value;
            let what = || format!("workflow {}", workflow.id);
            let found = tables.workflow_ids.get(txn, &workflow_key(&workflow.id))?;
            findings.expect(found == Some(seq), what, ASTRAY);
            for (filter, index, count) in [
                (WorkflowFilter::Kept, tables.workflows_kept, &mut kept),
                (WorkflowFilter::Restorable, tables.workflows_restorable, &mut restorable),
            ] {
                let wanted = filter.admits(&workflow);
                *count += u64::from(wanted);
                findings.expect(index.get(txn, &seq)?.is_some() == wanted, what, WRONGLY);
            }
            for version in &workflow.versions {
                texts += 1;
                let key = number_key(seq, version.number.0);
                let found = tables.workflow_texts.get(txn, &key)?;
                let intact = found.is_some_and(|value| {
                    envelope::unseal("workflow_texts", &key, Codec::Raw, value)
                        .is_ok_and(|text| Digest::of(text) == version.definition.snapshot)
                });
                let what = || format!("version {} of workflow {}", version.number, workflow.id);
                findings.expect(intact, what, "its text is missing, or not what was stored");
            }
            Ok(())
        },
    )?;
    findings.expect_equal("workflow_ids", tables.workflow_ids.len(txn)?, records);
    findings.expect_equal("workflows_kept", tables.workflows_kept.len(txn)?, kept);
    findings.expect_equal(
        "workflows_restorable",
        tables.workflows_restorable.len(txn)?,
        restorable,
    );
    findings.expect_equal("workflow_texts", tables.workflow_texts.len(txn)?, texts);
    Ok(())
}

fn workflow_runs(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let records = findings.records(
        view,
        tables.workflow_runs,
        "workflow_runs",
        |findings, seq, run: Versioned<WorkflowRun>| {
            let run = run.value;
            let what = || format!("workflow run {}", run.id);
            let found = tables.workflow_run_ids.get(txn, run.id.as_bytes())?;
            findings.expect(found == Some(seq), what, ASTRAY);
            let listed = [
                tables.workflow_runs_by_workflow.get(txn, &source_key(&run.workflow, seq))?,
                tables.workflow_runs_by_status.get(txn, &status_key(run.state.status(), seq))?,
            ];
            findings.expect(listed.iter().all(Option::is_some), what, WRONGLY);
            Ok(())
        },
    )?;
    for (index, entries) in [
        ("workflow_run_ids", tables.workflow_run_ids.len(txn)?),
        ("workflow_runs_by_workflow", tables.workflow_runs_by_workflow.len(txn)?),
        ("workflow_runs_by_status", tables.workflow_runs_by_status.len(txn)?),
    ] {
        findings.expect_equal(index, entries, records);
    }
    Ok(())
}

fn events(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let records =
        findings.records(view, tables.events, "events", |findings, seq, event: Event| {
            let known = match &event.subject {
                Subject::Campaign(id) => tables.campaign_ids.get(txn, id.as_str())?.is_some(),
                Subject::Workflow(id) => tables.workflow_ids.get(txn, &workflow_key(id))?.is_some(),
                Subject::WorkflowRun(id) => {
                    tables.workflow_run_ids.get(txn, id.as_bytes())?.is_some()
                }
                Subject::Provider(_) => true,
            };
            findings.expect(known, || format!("event {seq}"), "its subject is missing");
            Ok(())
        })?;
    let last = view.last_event()?;
    findings.expect(
        last.0 == records,
        || format!("the events up to {}", last.0),
        "some are missing",
    );
    Ok(())
}

fn throttles(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    match view.throttles() {
        Err(Error::Store(error)) if findings.0.len() < FINDINGS_MAX => findings.0.push(error),
        Ok(_) | Err(Error::Store(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn blobs(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    for entry in view.tables.blobs.iter(view.txn)? {
        let (key, value) = entry?;
        let intact = envelope::unseal("blobs", key, Codec::Raw, value)
            .is_ok_and(|payload| Digest::of(payload).as_bytes() == key);
        let what = || match <[u8; 32]>::try_from(key) {
            Ok(key) => format!("payload {}", Digest::from_bytes(key)),
            Err(_) => "a payload".to_owned(),
        };
        findings.expect(intact, what, "it is not what was stored");
    }
    Ok(())
}
