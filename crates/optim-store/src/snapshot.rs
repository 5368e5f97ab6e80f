//! Everything that a store holds, read for [`check_invariants`](optim_core::invariants::check_invariants).

use std::collections::BTreeSet;

use optim_core::campaign::Campaign;
use optim_core::digest::Digest;
use optim_core::experiment::Experiment;
use optim_core::id::EvaluationId;
use optim_core::invariants::Snapshot;
use optim_core::pack::{self, CaseCounts, Pack};
use optim_core::run::Run;

use crate::store::{
    EventSeq, Page, RunFilter, Store, StoreError, WorkflowFilter, WorkflowRunFilter,
};

/// Reads all records of `store` with the definitions that they refer to. The listings are read one after
/// another, so nobody may write meanwhile. Case runs are found by the evaluations that were told of.
/// Workflows whose history is purged are in no listing, and left out.
///
/// # Errors
/// The store fails, or a record cannot be trusted.
pub async fn snapshot(store: &dyn Store) -> Result<Snapshot, StoreError> {
    let mut all = Snapshot::default();
    for summary in Page::all(|page| store.campaigns(page)).await? {
        let found = store.campaign(&summary.id).await?;
        all.campaigns.extend(found.map(|campaign| campaign.value));
        all.experiments.extend(Page::all(|page| store.experiments(&summary.id, page)).await?);
    }
    events(store, &mut all).await?;
    runs(store, &mut all).await?;
    for filter in [WorkflowFilter::Kept, WorkflowFilter::Restorable] {
        for summary in Page::all(|page| store.workflows(filter, page)).await? {
            let found = store.workflow(&summary.id).await?;
            all.workflows.extend(found.map(|workflow| workflow.value));
        }
    }
    for summary in Page::all(|page| store.workflow_runs(&WorkflowRunFilter::All, page)).await? {
        let found = store.workflow_run(summary.id).await?;
        all.workflow_runs.extend(found.map(|run| run.value));
    }
    definitions(store, &mut all).await?;
    payloads(store, &mut all).await?;
    Ok(all)
}

async fn events(store: &dyn Store, all: &mut Snapshot) -> Result<(), StoreError> {
    let mut after = EventSeq(0);
    loop {
        let told = store.events(after, Page::LIMIT_MAX).await?;
        let Some(last) = told.last() else { return Ok(()) };
        after = last.seq;
        all.events.extend(told.into_iter().map(|recorded| recorded.event));
    }
}

async fn runs(store: &dyn Store, all: &mut Snapshot) -> Result<(), StoreError> {
    for evaluation in evaluations(all) {
        let filter = RunFilter::Evaluation(evaluation);
        for summary in Page::all(|page| store.runs(&filter, page)).await? {
            all.runs.extend(store.run(summary.id).await?.map(|run| run.value));
        }
    }
    // Those that nobody was told of are the ones to be found.
    let known: BTreeSet<_> = all.runs.iter().map(|run| run.id).collect();
    for filter in [RunFilter::Queued, RunFilter::Running] {
        let open = Page::all(|page| store.runs(&filter, page)).await?;
        for summary in open.into_iter().filter(|summary| !known.contains(&summary.id)) {
            all.runs
                .extend(store.run(summary.id).await?.map(|run: crate::Versioned<Run>| run.value));
        }
    }
    Ok(())
}

/// The evaluations that events tell of.
fn evaluations(all: &Snapshot) -> BTreeSet<EvaluationId> {
    use optim_core::campaign::event::EventKind::EvaluationQueued;
    let told = all.events.iter().filter_map(|event| match &event.what {
        EvaluationQueued { evaluation, .. } => Some(*evaluation),
        _ => None,
    });
    told.collect()
}

async fn definitions(store: &dyn Store, all: &mut Snapshot) -> Result<(), StoreError> {
    let of_campaign = |campaign: &Campaign| [campaign.source.snapshot, campaign.baseline.snapshot];
    let of_experiment = |experiment: &Experiment| experiment.snapshot;
    let digests: BTreeSet<_> = (all.campaigns.iter().flat_map(of_campaign))
        .chain(all.experiments.iter().map(of_experiment))
        .collect();
    for digest in digests {
        let found = store.blob(digest).await?;
        let workflow = found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        all.definitions.insert(digest, workflow);
    }
    Ok(())
}

async fn payloads(store: &dyn Store, all: &mut Snapshot) -> Result<(), StoreError> {
    let replaced = |campaign: &Campaign| {
        let live = &campaign.live;
        let writes = live.applied.iter().chain(&live.intent);
        writes.filter_map(|write| Some(write.texts?.before)).collect::<Vec<_>>()
    };
    let frozen = |campaign: &Campaign| [campaign.frozen.objective, campaign.frozen.pack];
    let digests: BTreeSet<_> = (all.campaigns.iter().flat_map(frozen))
        .chain(all.campaigns.iter().flat_map(replaced))
        .collect();
    for digest in digests {
        let found = store.blob(digest).await?;
        all.payloads.insert(digest, found.as_deref().map(Digest::of));
        if all.campaigns.iter().any(|campaign| campaign.frozen.pack == digest) {
            all.packs.insert(digest, found.as_deref().and_then(cases));
        }
    }
    Ok(())
}

/// The cases of a pack; none stands for the implicit one.
fn cases(bytes: &[u8]) -> Option<CaseCounts> {
    if bytes.is_empty() {
        return Some(Pack::implicit().counts());
    }
    pack::read("the frozen eval pack", bytes).ok().map(|pack| pack.counts())
}
