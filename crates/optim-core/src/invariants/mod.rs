//! What must hold of everything that is stored, record by record and between records; and, as
//! [`change::check_change`], what can be seen of it in one commit.
//!
//! `docs/invariants.md` says for each number what it promises, what checks it and what tests it. A
//! violation is a bug or damage: nothing that a person or an executor does may lead to one.

mod books;
pub mod change;
mod decisions;
mod events;
mod identity;
mod moves;
mod payloads;
mod records;
mod runs;
mod starts;

use std::collections::BTreeMap;
use std::fmt;

use crate::campaign::Campaign;
use crate::campaign::event::Event;
use crate::digest::Digest;
use crate::experiment::Experiment;
use crate::id::CampaignId;
use crate::pack::CaseCounts;
use crate::run::Run;
use crate::stored_workflow::StoredWorkflow;
use crate::workflow::Workflow;
use crate::workflow_run::WorkflowRun;

/// Everything that is stored, as it was at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The campaigns.
    pub campaigns: Vec<Campaign>,
    /// Their experiments.
    pub experiments: Vec<Experiment>,
    /// Their case runs.
    pub runs: Vec<Run>,
    /// The stored workflows, deleted ones too.
    pub workflows: Vec<StoredWorkflow>,
    /// The workflow runs.
    pub workflow_runs: Vec<WorkflowRun>,
    /// What was told, in order.
    pub events: Vec<Event>,
    /// The definitions that campaigns and experiments refer to; `None` for one that is missing or
    /// unreadable. What is not in the map is not looked at.
    pub definitions: BTreeMap<Digest, Option<Workflow>>,
    /// Of other payloads that campaigns refer to, the digest that their bytes have; `None` for one that is
    /// missing. What is not in the map is not looked at; so for the next.
    pub payloads: BTreeMap<Digest, Option<Digest>>,
    /// The cases of the eval packs; `None` for one that is missing or unreadable.
    pub packs: BTreeMap<Digest, Option<CaseCounts>>,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's number, as in `docs/invariants.md`.
    pub invariant: u8,
    /// The record that breaks it.
    pub record: String,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub fix: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, record, what, fix } = self;
        write!(f, "I{invariant}: {record}: {what}; {fix}")
    }
}

/// Every invariant that `snapshot` breaks, in a fixed order. It costs a few steps for each record, and the
/// reading of each definition's fingerprint.
#[must_use]
pub fn check_invariants(snapshot: &Snapshot) -> Vec<Violation> {
    let mut findings = Findings::default();
    records::check(snapshot, &mut findings);
    decisions::check(snapshot, &mut findings);
    identity::check(snapshot, &mut findings);
    books::check(snapshot, &mut findings);
    runs::check(snapshot, &mut findings);
    events::check(snapshot, &mut findings);
    starts::check(snapshot, &mut findings);
    payloads::check(snapshot, &mut findings);
    findings.0
}

/// The violations that were found.
#[derive(Default)]
struct Findings(Vec<Violation>);

impl Findings {
    /// Notes `what` about `record` unless it `holds`.
    fn require(
        &mut self,
        holds: bool,
        invariant: u8,
        record: impl FnOnce() -> String,
        what: impl FnOnce() -> String,
    ) {
        if !holds {
            self.add(invariant, record(), what());
        }
    }

    fn add(&mut self, invariant: u8, record: String, what: String) {
        self.0.push(Violation { invariant, record, what, fix: fix(invariant) });
    }
}

/// What to do about a broken invariant.
fn fix(invariant: u8) -> &'static str {
    match invariant {
        1 | 3 | 4 | 14 => "approve and apply nothing of this campaign; begin another one",
        2 | 10 | 11 | 24 => "the store is damaged: restore it from a backup",
        7 | 8 => "pause the campaign, and compare with what your provider has billed",
        12 | 13 => "look at the live workflow by hand before anything else is written to it",
        15 | 21 | 22 => "cancel it, so that nothing waits for it",
        18 => "cancel one of the two, and look at what they wrote",
        _ => "keep a copy of the store and report it: this is a bug",
    }
}

impl Snapshot {
    fn experiments_of<'a>(&'a self, id: &'a CampaignId) -> impl Iterator<Item = &'a Experiment> {
        self.experiments.iter().filter(move |experiment| experiment.campaign == *id)
    }
}

fn campaign(campaign: &Campaign) -> String {
    format!("campaign {}", campaign.id)
}

fn experiment(experiment: &Experiment) -> String {
    format!("experiment #{} of campaign {}", experiment.number, experiment.campaign)
}

fn run(run: &Run) -> String {
    format!("case run {}", run.id)
}

fn workflow(workflow: &StoredWorkflow) -> String {
    format!("stored workflow {}", workflow.id)
}

fn workflow_run(run: &WorkflowRun) -> String {
    format!("workflow run {}", run.id)
}
