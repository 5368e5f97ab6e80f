//! Compares everything that is stored with everything else.

use std::collections::{BTreeMap, BTreeSet};

use heed::Database;
use heed::types::Bytes;
use optim_core::audit::change::{Change, RecordKind};
use optim_core::audit::entry::Entry;
use optim_core::audit::verify::Verifier;
use optim_core::campaign::Campaign;
use optim_core::campaign::event::Subject;
use optim_core::digest::Digest;
use optim_core::experiment::Experiment;
use optim_core::run::{Run, RunState};
use optim_core::stored_workflow::StoredWorkflow;
use optim_core::workflow_run::WorkflowRun;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::encoded;
use crate::store::{EventSeq, Recorded, Revision, StoreError, Versioned, WorkflowFilter, recorded};

use super::envelope::{self, Codec};
use super::tables::Seq;
use super::view::{
    View, decode, ended_key, entry_of, evaluation_key, number_key, output_key, source_key,
    status_key, workflow_key,
};
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

    /// Keeps what is wrong with a record; the store itself must not fail.
    fn keep(&mut self, error: Error) -> Result<(), Error> {
        match error {
            Error::Store(error) if self.0.len() < FINDINGS_MAX => self.0.push(error),
            Error::Store(_) => {}
            error @ Error::Lmdb(_) => return Err(error),
        }
        Ok(())
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
                Err(error) => self.keep(error)?,
            }
        }
        Ok(count)
    }

    /// Compares a table with its indexes, which are called and as long as said. `entries` says for a
    /// record which of them should and which do list it.
    fn indexed<T: DeserializeOwned, const N: usize>(
        &mut self,
        view: &View<'_>,
        (table, name): (Database<'static, Seq, Bytes>, &str),
        indexes: [(&str, u64); N],
        mut entries: impl FnMut(&mut Self, u64, T) -> Result<(String, [Listed; N]), Error>,
    ) -> Result<(), Error> {
        let mut wanted = [0_u64; N];
        self.records(view, table, name, |findings, seq, record| {
            let (what, entries) = entries(findings, seq, record)?;
            for (entry, wanted) in entries.into_iter().zip(&mut wanted) {
                *wanted += u64::from(entry.should_be);
                findings.expect(entry.should_be == entry.is, || what.clone(), WRONGLY);
            }
            Ok(())
        })?;
        for ((index, found), wanted) in indexes.into_iter().zip(wanted) {
            self.expect_equal(index, found, wanted);
        }
        Ok(())
    }
}

/// Whether an index should list a record, and whether it does.
struct Listed {
    should_be: bool,
    is: bool,
}

fn listed(should_be: bool, is: bool) -> Listed {
    Listed { should_be, is }
}

const ORPHAN: &str = "its campaign is missing";
const WRONGLY: &str = "an index lists it wrongly";

fn campaigns(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let indexes = [
        ("campaign_ids", tables.campaign_ids.len(txn)?),
        ("campaigns_on", tables.campaigns_on.len(txn)?),
    ];
    let table = (tables.campaigns, "campaigns");
    findings.indexed(view, table, indexes, |_, seq, campaign: Versioned<Campaign>| {
        let campaign = campaign.value;
        let found = tables.campaign_ids.get(txn, campaign.id.as_str())?;
        let on = match campaign.source.location.stored() {
            Some(workflow) => {
                let found = tables.campaigns_on.get(txn, &source_key(workflow, seq))?;
                listed(!campaign.is_closed(), found.is_some())
            }
            None => listed(false, false),
        };
        Ok((format!("campaign {}", campaign.id), [listed(true, found == Some(seq)), on]))
    })
}

fn experiments(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let indexes = [
        ("experiment_ids", tables.experiment_ids.len(txn)?),
        ("experiments_by_number", tables.experiments_by_number.len(txn)?),
    ];
    let table = (tables.experiments, "experiments");
    findings.indexed(view, table, indexes, |findings, seq, experiment: Experiment| {
        let what = format!("experiment {}", experiment.id);
        let by_id = tables.experiment_ids.get(txn, experiment.id.as_bytes())?;
        let campaign = tables.campaign_ids.get(txn, experiment.campaign.as_str())?;
        findings.expect(campaign.is_some(), || what.clone(), ORPHAN);
        let key = number_key(campaign.unwrap_or_default(), experiment.number);
        let by_number = tables.experiments_by_number.get(txn, &key)?;
        Ok((what, [by_id, by_number].map(|found| listed(true, found == Some(seq)))))
    })
}

fn runs(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let indexes = [
        ("run_ids", tables.run_ids.len(txn)?),
        ("runs_by_evaluation", tables.runs_by_evaluation.len(txn)?),
        ("runs_queued", tables.runs_queued.len(txn)?),
        ("runs_running", tables.runs_running.len(txn)?),
        ("runs_open", tables.runs_open.len(txn)?),
    ];
    let table = (tables.runs, "runs");
    findings.indexed(view, table, indexes, |findings, seq, run: Versioned<Run>| {
        let run = run.value;
        let what = format!("run {}", run.id);
        let campaign = tables.campaign_ids.get(txn, run.campaign.as_str())?;
        findings.expect(campaign.is_some(), || what.clone(), ORPHAN);
        let found = tables.run_ids.get(txn, run.id.as_bytes())?;
        let key = evaluation_key(run.evaluation, seq);
        let queued = matches!(run.state, RunState::Queued);
        let running = matches!(run.state, RunState::Running { .. });
        let entries = [
            listed(true, found == Some(seq)),
            listed(true, tables.runs_by_evaluation.get(txn, &key)?.is_some()),
            listed(queued, tables.runs_queued.get(txn, &seq)?.is_some()),
            listed(running, tables.runs_running.get(txn, &seq)?.is_some()),
            listed(!run.state.is_terminal(), tables.runs_open.get(txn, &key)?.is_some()),
        ];
        Ok((what, entries))
    })
}

fn workflows(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let indexes = [
        ("workflow_ids", tables.workflow_ids.len(txn)?),
        ("workflows_kept", tables.workflows_kept.len(txn)?),
        ("workflows_restorable", tables.workflows_restorable.len(txn)?),
    ];
    let mut texts = 0_u64;
    let table = (tables.workflows, "workflows");
    findings.indexed(
        view,
        table,
        indexes,
        |findings, seq, workflow: Versioned<StoredWorkflow>| {
            let workflow = workflow.value;
            for version in &workflow.versions {
                texts += 1;
                let key = number_key(seq, version.number.0);
                let found = tables.workflow_texts.get(txn, &key)?;
                let what = || format!("version {} of workflow {}", version.number, workflow.id);
                let intact = is_intact("workflow_texts", &key, found, version.definition.snapshot);
                findings.expect(intact, what, "its text is missing, or not what was stored");
            }
            let found = tables.workflow_ids.get(txn, &workflow_key(&workflow.id))?;
            let [kept, restorable] = [WorkflowFilter::Kept, WorkflowFilter::Restorable]
                .map(|filter| filter.admits(&workflow));
            let entries = [
                listed(true, found == Some(seq)),
                listed(kept, tables.workflows_kept.get(txn, &seq)?.is_some()),
                listed(restorable, tables.workflows_restorable.get(txn, &seq)?.is_some()),
            ];
            Ok((format!("workflow {}", workflow.id), entries))
        },
    )?;
    findings.expect_equal("workflow_texts", tables.workflow_texts.len(txn)?, texts);
    Ok(())
}

fn workflow_runs(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let indexes = [
        ("workflow_run_ids", tables.workflow_run_ids.len(txn)?),
        ("workflow_runs_by_workflow", tables.workflow_runs_by_workflow.len(txn)?),
        ("workflow_runs_by_status", tables.workflow_runs_by_status.len(txn)?),
        ("workflow_runs_on", tables.workflow_runs_on.len(txn)?),
        ("workflow_runs_ended", tables.workflow_runs_ended.len(txn)?),
    ];
    let mut outputs = 0_u64;
    let table = (tables.workflow_runs, "workflow_runs");
    findings.indexed(view, table, indexes, |findings, seq, run: Versioned<WorkflowRun>| {
        let run = run.value;
        for output in run.outputs().collect::<BTreeSet<_>>() {
            let key = output_key(seq, output);
            let found = tables.workflow_run_outputs.get(txn, &key)?;
            outputs += u64::from(found.is_some());
            let what = || format!("output {output} of workflow run {}", run.id);
            // Before format 3 it was a payload, and is checked as one.
            let intact = match found {
                Some(_) => is_intact("workflow_run_outputs", &key, found, output),
                None => tables.blobs.get(txn, output.as_bytes())?.is_some(),
            };
            findings.expect(intact, what, "it is missing, or not what was stored");
        }
        let found = tables.workflow_run_ids.get(txn, run.id.as_bytes())?;
        let key = source_key(&run.workflow, seq);
        let status = status_key(run.state.status(), seq);
        let open = run.is_open() && run.stored_workflow().is_some();
        let at = run.state.ended_at();
        let ended = ended_key(at.unwrap_or_default(), seq);
        let entries = [
            listed(true, found == Some(seq)),
            listed(true, tables.workflow_runs_by_workflow.get(txn, &key)?.is_some()),
            listed(true, tables.workflow_runs_by_status.get(txn, &status)?.is_some()),
            listed(open, tables.workflow_runs_on.get(txn, &key)?.is_some()),
            listed(
                at.is_some() && !run.expired,
                tables.workflow_runs_ended.get(txn, &ended)?.is_some(),
            ),
        ];
        Ok((format!("workflow run {}", run.id), entries))
    })?;
    findings.expect_equal("workflow_run_outputs", tables.workflow_run_outputs.len(txn)?, outputs);
    Ok(())
}

/// Whether `found` is the raw value with the digest `wanted`.
fn is_intact(table: &str, key: &[u8], found: Option<&[u8]>, wanted: Digest) -> bool {
    found.is_some_and(|value| {
        envelope::unseal(table, key, Codec::Raw, value)
            .is_ok_and(|payload| Digest::of(payload) == wanted)
    })
}

fn events(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    let View { tables, txn } = *view;
    let mut chain = Some(Verifier::default());
    let mut told = Told::default();
    for entry in tables.events.iter(txn)? {
        let (seq, value) = entry?;
        let entry = match entry_of(seq, value) {
            Ok(entry) => entry,
            Err(error) => {
                // What comes behind it cannot be told from what was moved.
                chain = None;
                findings.keep(error)?;
                continue;
            }
        };
        if let Some(Err(broken)) = chain.as_mut().map(|chain| chain.take(&entry)) {
            findings.expect(false, || "the audit chain".to_owned(), &broken.to_string());
            chain = None;
        }
        told.take(&entry)?;
        match recorded(&entry) {
            Ok(Some(Recorded { event, .. })) => {
                let known = is_known(view, &event.subject)?;
                findings.expect(known, || format!("event {seq}"), "its subject is missing");
            }
            Ok(None) => {}
            Err(error) => findings.keep(error.into())?,
        }
    }
    told.compare(view, findings)
}

/// Compares the records with the last word that the audit chain has on each; what differs.
pub(super) fn against_the_chain(view: &View<'_>) -> Result<Vec<StoreError>, Error> {
    let (mut told, mut findings) = (Told::default(), Findings(Vec::new()));
    for entry in view.entries(EventSeq(0))? {
        told.take(&entry?)?;
    }
    told.compare(view, &mut findings)?;
    Ok(findings.0)
}

/// The last that the chain says of each record.
#[derive(Default)]
struct Told(BTreeMap<(RecordKind, String), LastWord>);

/// What a record was after a commit that the chain tells of.
struct LastWord {
    /// Absent for what has no revision of its own.
    revision: Option<Revision>,
    /// Absent when it was removed.
    digest: Option<Digest>,
}

/// What the chain knows a record by.
#[derive(Deserialize)]
struct Identity {
    id: String,
}

impl Told {
    fn take(&mut self, entry: &Entry) -> Result<(), Error> {
        let changes = entry
            .changes()
            .map_err(|error| corrupt(&format!("event {}", entry.seq), &error.to_string()))?;
        for Change { kind, id, revision, after, .. } in changes.into_iter().flatten() {
            let last = LastWord { revision: revision.map(Revision), digest: after };
            self.0.insert((kind, id), last);
        }
        Ok(())
    }

    fn compare(mut self, view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
        let tables = view.tables;
        for (kind, table, name) in [
            (RecordKind::Campaign, tables.campaigns, "campaigns"),
            (RecordKind::Experiment, tables.experiments, "experiments"),
            (RecordKind::Run, tables.runs, "runs"),
            (RecordKind::Workflow, tables.workflows, "workflows"),
            (RecordKind::WorkflowRun, tables.workflow_runs, "workflow_runs"),
        ] {
            for entry in table.iter(view.txn)? {
                let (seq, value) = entry?;
                self.compare_one(kind, (name, &seq.to_be_bytes(), value), findings);
            }
        }
        for entry in tables.throttles.iter(view.txn)? {
            let (id, value) = entry?;
            self.compare_one(RecordKind::Throttle, ("throttles", id.as_bytes(), value), findings);
        }
        for ((kind, id), last) in self.0 {
            // That a throttle is over is not told.
            let is_gone = last.digest.is_none() || kind == RecordKind::Throttle;
            let what = || format!("{} {id}", word(kind));
            findings.expect(is_gone, what, "it is missing, and the audit chain tells of it");
        }
        Ok(())
    }

    /// Compares a record, and takes note that it is there.
    fn compare_one(
        &mut self,
        kind: RecordKind,
        (table, key, value): (&str, &[u8], &[u8]),
        findings: &mut Findings,
    ) {
        // A damaged one is a finding already.
        let Ok(payload) = envelope::unseal(table, key, Codec::Json, value) else { return };
        let Some((revision, id)) = identity(kind, key, payload) else { return };
        let Some(last) = self.0.remove(&(kind, id.clone())) else { return };
        let moved_on = kind.moves_untold() && revision > last.revision;
        let is_told = revision == last.revision && last.digest == Some(Digest::of(payload));
        findings.expect(moved_on || is_told, || format!("{} {id}", word(kind)), UNTOLD);
    }
}

/// What the chain knows a record by; `None` when it cannot be decoded, which is a finding already.
fn identity(kind: RecordKind, key: &[u8], payload: &[u8]) -> Option<(Option<Revision>, String)> {
    match kind {
        RecordKind::Throttle => Some((None, String::from_utf8(key.to_vec()).ok()?)),
        RecordKind::Experiment => {
            let Identity { id } = encoded::decode(payload).ok()?;
            Some((None, id))
        }
        RecordKind::Campaign | RecordKind::Run | RecordKind::Workflow | RecordKind::WorkflowRun => {
            let Versioned { revision, value } = encoded::decode(payload).ok()?;
            let Identity { id } = value;
            Some((Some(revision), id))
        }
    }
}

const UNTOLD: &str = "it is not what the audit chain says";

fn word(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Campaign => "campaign",
        RecordKind::Experiment => "experiment",
        RecordKind::Run => "run",
        RecordKind::Workflow => "workflow",
        RecordKind::WorkflowRun => "workflow run",
        RecordKind::Throttle => "throttle of",
    }
}

fn is_known(view: &View<'_>, subject: &Subject) -> Result<bool, Error> {
    let View { tables, txn } = *view;
    Ok(match subject {
        Subject::Campaign(id) => tables.campaign_ids.get(txn, id.as_str())?.is_some(),
        Subject::Workflow(id) => tables.workflow_ids.get(txn, &workflow_key(id))?.is_some(),
        Subject::WorkflowRun(id) => tables.workflow_run_ids.get(txn, id.as_bytes())?.is_some(),
        Subject::Provider(_) => true,
    })
}

fn throttles(view: &View<'_>, findings: &mut Findings) -> Result<(), Error> {
    view.throttles().map(drop).or_else(|error| findings.keep(error))
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
