//! Listings, their cursors and their pages: the same for every backend.

use optim_core::digest::Hasher;
use optim_core::id::{CampaignId, WorkflowId};

use crate::store::{
    Cursor, OfOneRecord, Page, Paged, RunFilter, StoreError, WorkflowFilter, WorkflowRunFilter,
};

/// What is listed. The key of a record in a listing is a number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Listing<'a> {
    /// Campaigns, by falling sequence.
    Campaigns,
    /// Open campaigns on a stored workflow, by sequence.
    CampaignsOn(&'a WorkflowId),
    /// Stored workflows, by falling sequence.
    Workflows(WorkflowFilter),
    /// Experiments of a campaign, by number.
    Experiments(&'a CampaignId),
    /// Runs, by sequence.
    Runs(&'a RunFilter),
    /// Workflow runs, by falling sequence.
    WorkflowRuns(&'a WorkflowRunFilter),
}

impl Listing<'_> {
    /// The cursor behind the record `key`: sixteen digits of the key, eight that tie it to the listing.
    fn cursor(self, key: u64) -> Cursor {
        Cursor(format!("{key:016x}{:08x}", self.seal(key)))
    }

    /// The key of the record that `page` begins behind; `None` for the first page.
    pub(crate) fn start(self, page: &Page) -> Result<Option<u64>, StoreError> {
        let Some(cursor) = &page.after else {
            return Ok(None);
        };
        cursor
            .0
            .get(..16)
            .and_then(|key| u64::from_str_radix(key, 16).ok())
            .filter(|key| self.cursor(*key) == *cursor)
            .map(Some)
            .ok_or(StoreError::BadCursor)
    }

    /// Loads one page of `entries`, which begin behind the start of the page.
    pub(crate) fn page<R, T, E: OfOneRecord>(
        self,
        page: &Page,
        entries: impl IntoIterator<Item = Result<(u64, R), E>>,
        mut load: impl FnMut(R) -> Result<T, E>,
    ) -> Result<Paged<T>, E> {
        let (mut items, mut damaged) = (Vec::new(), Vec::new());
        let mut last = None;
        for entry in entries {
            if items.len() + damaged.len() == Page::size(page.limit) {
                let next = last.map(|key| self.cursor(key));
                return Ok(Paged { items, damaged, next });
            }
            let (key, record) = entry?;
            match load(record) {
                Ok(item) => items.push(item),
                Err(error) if self.is_of_strangers() => damaged.push(error.damaged()?),
                Err(error) => return Err(error),
            }
            last = Some(key);
        }
        Ok(Paged { items, damaged, next: None })
    }

    /// Whether its records have nothing to do with each other, so that a damaged one is its own trouble.
    fn is_of_strangers(self) -> bool {
        match self {
            Self::Campaigns | Self::Workflows(_) => true,
            Self::Runs(filter) => matches!(filter, RunFilter::Queued | RunFilter::Running),
            // A workflow may not be deleted under a campaign or run that nobody can read.
            Self::WorkflowRuns(filter) => !matches!(filter, WorkflowRunFilter::OpenOn(_)),
            Self::CampaignsOn(_) | Self::Experiments(_) => false,
        }
    }

    /// Guards against mistakes, such as the cursor of another listing; it is no secret.
    fn seal(self, key: u64) -> u32 {
        let mut hasher = Hasher::new("optim/cursor/1");
        match self {
            Self::Campaigns => hasher.part(b"campaigns"),
            Self::CampaignsOn(id) => hasher.part(b"campaigns-on").part(id.as_str().as_bytes()),
            Self::Workflows(WorkflowFilter::Kept) => hasher.part(b"workflows"),
            Self::Workflows(WorkflowFilter::Restorable) => hasher.part(b"restorable"),
            Self::Experiments(campaign) => {
                hasher.part(b"experiments").part(campaign.as_str().as_bytes())
            }
            Self::Runs(RunFilter::Queued) => hasher.part(b"queued"),
            Self::Runs(RunFilter::Running) => hasher.part(b"running"),
            Self::Runs(RunFilter::Evaluation(id)) => hasher.part(b"evaluation").part(id.as_bytes()),
            Self::Runs(RunFilter::Open(id)) => hasher.part(b"open").part(id.as_bytes()),
            Self::WorkflowRuns(WorkflowRunFilter::All) => hasher.part(b"workflow-runs"),
            Self::WorkflowRuns(WorkflowRunFilter::Workflow(id)) => {
                hasher.part(b"workflow-runs-of").part(id.as_str().as_bytes())
            }
            Self::WorkflowRuns(WorkflowRunFilter::OpenOn(id)) => {
                hasher.part(b"open-workflow-runs-on").part(id.as_str().as_bytes())
            }
            Self::WorkflowRuns(WorkflowRunFilter::Status(status)) => {
                hasher.part(b"workflow-runs-that-are").part(status.name().as_bytes())
            }
        };
        hasher.part(&key.to_be_bytes());
        let [a, b, c, d, ..] = *hasher.finish().as_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}
