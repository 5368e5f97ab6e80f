//! What one commit changes: the part of the invariants that is cheap enough for every commit.
//!
//! It costs a few steps for each record that the commit writes, however much else is stored. What needs all
//! records together is left to [`check_invariants`](super::check_invariants).

use std::collections::BTreeMap;

use crate::campaign::Campaign;
use crate::campaign::event::Event;
use crate::experiment::Experiment;
use crate::id::{CampaignId, EvaluationId};
use crate::run::Run;
use crate::stored_workflow::StoredWorkflow;
use crate::workflow_run::WorkflowRun;

use super::{Findings, Violation, decisions, events, identity, moves, records, runs};

/// A record that is written.
#[derive(Debug)]
pub struct Changed<'a, T> {
    /// What it replaces; `None` for a new one.
    pub before: Option<T>,
    /// What it is then.
    pub after: &'a T,
}

/// All that changes together.
#[derive(Debug, Default)]
pub struct Change<'a> {
    /// The campaigns.
    pub campaigns: Vec<Changed<'a, Campaign>>,
    /// Experiments of those campaigns.
    pub experiments: Vec<Changed<'a, Experiment>>,
    /// Case runs.
    pub runs: Vec<Changed<'a, Run>>,
    /// Stored workflows.
    pub workflows: Vec<Changed<'a, StoredWorkflow>>,
    /// Workflow runs.
    pub workflow_runs: Vec<Changed<'a, WorkflowRun>>,
    /// What is told about it.
    pub events: &'a [Event],
    /// How many case runs were open before, of each of [`Change::dropped`].
    pub open_runs: BTreeMap<EvaluationId, usize>,
    /// The workflow runs that were at work before; needed only when it
    /// [begins another one](Change::begins_to_work).
    pub at_work: Vec<WorkflowRun>,
}

impl<'a> Change<'a> {
    /// The evaluations that its campaigns wait for no more.
    pub fn dropped(&self) -> impl Iterator<Item = EvaluationId> {
        self.campaigns.iter().flat_map(|Changed { before, after }| {
            let before = before.iter().flat_map(Campaign::in_flight).map(|it| it.id);
            before.filter(|id| !after.in_flight().any(|it| it.id == *id))
        })
    }

    /// Whether a workflow run begins to work in a folder.
    #[must_use]
    pub fn begins_to_work(&self) -> bool {
        self.workflow_runs.iter().any(runs::begins_to_work)
    }

    pub(super) fn experiments_of<'b>(
        &'b self,
        id: &'b CampaignId,
    ) -> impl Iterator<Item = &'b Changed<'a, Experiment>> {
        self.experiments.iter().filter(move |changed| changed.after.campaign == *id)
    }

    /// The campaign as the change leaves it, if it writes it.
    pub(super) fn campaign(&self, id: &CampaignId) -> Option<&'a Campaign> {
        self.campaigns.iter().map(|changed| changed.after).find(|campaign| campaign.id == *id)
    }
}

/// Every invariant that `change` breaks, in a fixed order. A record that broke one before may still break it
/// where that is a matter of the record alone: it must be possible to cancel it.
#[must_use]
pub fn check_change(change: &Change<'_>) -> Vec<Violation> {
    let mut findings = Findings::default();
    records::check_change(change, &mut findings);
    moves::check_change(change, &mut findings);
    decisions::check_change(change, &mut findings);
    identity::check_change(change, &mut findings);
    runs::check_change(change, &mut findings);
    events::check_change(change, &mut findings);
    findings.0
}
