//! What waits for a slot, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use optim_core::id::{CampaignId, ProviderId, RunId, WorkflowId, WorkflowRunId};
use optim_core::quantity::Timestamp;

use super::workspace::CanonicalPath;

/// What a slot is given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// A case run of a campaign.
    Case(RunId),
    /// A run of a workflow.
    Workflow(WorkflowRunId),
}

/// Who takes turns: slots go to the parties of a class one after another, one job each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// A campaign, with its case runs.
    Campaign(CampaignId),
    /// A workflow, with its runs.
    Workflow(WorkflowId),
}

/// How urgent a job is; the first one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Somebody waits for its effect.
    Production,
    /// A case run: its result is evidence, and evidence can wait.
    Evaluation,
}

/// The providers that a job calls, with the fewest requests that it sends to each.
pub type Needs = BTreeMap<ProviderId, u32>;

/// A job that wants a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The job.
    pub job: Job,
    /// Whose turn it uses.
    pub party: Party,
    /// How urgent it is.
    pub class: Class,
    /// The folder that nobody else may work in meanwhile; a run in a scratch copy locks none.
    pub workspace: Option<CanonicalPath>,
    /// Whom it calls.
    pub needs: Arc<Needs>,
    /// Until when it is not to be tried, if it is to wait at all.
    pub not_before: Option<Timestamp>,
}

/// Why a job waits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blocked {
    /// Every slot is taken.
    Capacity,
    /// Its workspace is locked, or promised to a job that waits for it longer.
    Workspace {
        /// By this job.
        holder: Job,
    },
    /// A provider asked to be left alone.
    Throttled {
        /// The provider.
        provider: ProviderId,
        /// Until then.
        until: Timestamp,
    },
    /// A provider's rate limit is used up, or kept for a job that needs another provider too.
    RateLimit {
        /// The provider.
        provider: ProviderId,
        /// Until then.
        until: Timestamp,
    },
    /// It is to be tried again later.
    Delayed {
        /// Then.
        until: Timestamp,
    },
    /// The worker that had it before has not ended.
    Worker,
}

impl Blocked {
    /// The word for the reason.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Workspace { .. } => "workspace",
            Self::Throttled { .. } => "throttled",
            Self::RateLimit { .. } => "rate_limit",
            Self::Delayed { .. } => "delayed",
            Self::Worker => "worker",
        }
    }

    /// When the reason ends by itself; absent when an event must end it.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Throttled { until, .. }
            | Self::RateLimit { until, .. }
            | Self::Delayed { until } => Some(*until),
            Self::Capacity | Self::Workspace { .. } | Self::Worker => None,
        }
    }
}
