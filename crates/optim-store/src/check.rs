//! The rules of a commit: checked by every backend with the same function, so that all give the
//! same answer.

use std::collections::BTreeSet;

use optim_core::id::{CampaignId, ExperimentId, RunId};
use optim_core::run::Run;

use crate::store::{Commit, Revision, StoreError, Versioned, Write};

/// What is stored before a commit.
pub(crate) trait Present {
    /// What a failed read leads to.
    type Error: From<StoreError>;

    fn campaign_revision(&self, id: &CampaignId) -> Result<Option<Revision>, Self::Error>;
    fn experiment_place(&self, id: ExperimentId) -> Result<Option<(CampaignId, u32)>, Self::Error>;
    fn experiment_at(
        &self,
        campaign: &CampaignId,
        number: u32,
    ) -> Result<Option<ExperimentId>, Self::Error>;
    fn run(&self, id: RunId) -> Result<Option<Versioned<Run>>, Self::Error>;
}

/// Whether `commit` may be applied to what is `present`.
pub(crate) fn check<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    campaigns(commit, present)?;
    experiments(commit, present)?;
    runs(commit, present)?;
    for event in &commit.events {
        campaign_exists(&event.campaign, commit, present, "an event is of an unknown campaign")?;
    }
    let blob_bytes = commit.blobs.iter().map(|blob| blob.bytes().len()).sum::<usize>();
    if blob_bytes > Commit::BLOB_BYTES_MAX {
        return refuse("its payloads have more than 64 MiB");
    }
    Ok(())
}

fn campaigns<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    let mut ids = BTreeSet::new();
    for Write { expected, value } in &commit.campaigns {
        if !ids.insert(&value.id) {
            return refuse("a campaign is in it twice");
        }
        let found = present.campaign_revision(&value.id)?.unwrap_or_default();
        expect(*expected, found, || format!("campaign {}", value.id))?;
    }
    Ok(())
}

fn experiments<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    let mut ids = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for experiment in &commit.experiments {
        if !writes(commit, &experiment.campaign) {
            return refuse("an experiment comes without a write of its campaign");
        }
        if !ids.insert(experiment.id) || !numbers.insert((&experiment.campaign, experiment.number))
        {
            return refuse("an experiment, or its number, is in it twice");
        }
        match present.experiment_place(experiment.id)? {
            Some(place) if place != (experiment.campaign.clone(), experiment.number) => {
                return refuse("an experiment changes its campaign or its number");
            }
            Some(_) => {}
            None if present.experiment_at(&experiment.campaign, experiment.number)?.is_some() => {
                return refuse("an experiment takes the number of another one");
            }
            None => {}
        }
    }
    Ok(())
}

fn runs<P: Present>(commit: &Commit, present: &P) -> Result<(), P::Error> {
    let mut ids = BTreeSet::new();
    for Write { expected, value: run } in &commit.runs {
        if !ids.insert(run.id) {
            return refuse("a run is in it twice");
        }
        let before = present.run(run.id)?;
        let found = before.as_ref().map(|before| before.revision).unwrap_or_default();
        expect(*expected, found, || format!("run {}", run.id))?;
        match before {
            Some(before) if identity(&before.value) != identity(run) => {
                return refuse("a run changes its campaign, evaluation, case or snapshot");
            }
            Some(_) => {}
            None => {
                campaign_exists(&run.campaign, commit, present, "a run is of an unknown campaign")?
            }
        }
    }
    Ok(())
}

fn identity(run: &Run) -> impl PartialEq + '_ {
    (&run.campaign, run.evaluation, &run.case, run.snapshot)
}

fn campaign_exists<P: Present>(
    id: &CampaignId,
    commit: &Commit,
    present: &P,
    otherwise: &'static str,
) -> Result<(), P::Error> {
    if writes(commit, id) || present.campaign_revision(id)?.is_some() {
        Ok(())
    } else {
        refuse(otherwise)
    }
}

/// Whether the campaign is among those that change.
fn writes(commit: &Commit, id: &CampaignId) -> bool {
    commit.campaigns.iter().any(|write| write.value.id == *id)
}

fn expect<E: From<StoreError>>(
    expected: Revision,
    found: Revision,
    what: impl FnOnce() -> String,
) -> Result<(), E> {
    if expected == found { Ok(()) } else { Err(StoreError::Conflict { what: what() }.into()) }
}

fn refuse<E: From<StoreError>>(why: &'static str) -> Result<(), E> {
    Err(StoreError::Refused(why).into())
}
