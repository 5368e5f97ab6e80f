//! What happens in a world until it stops.

use super::step::Step;
use crate::world::Project;

/// A scenario.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) project: Project,
    /// What has happened before, and is not stopped.
    pub(super) before: &'static [Step],
    /// What the world stops in.
    pub(super) act: &'static [Step],
    /// Whether the end is the same whenever it stops.
    pub(super) same_end: bool,
}

use Step::{
    Apply, Approve, Archive, AtWork, Cancel, Close, Create, Delete, Extend, Measure, Order, Pause,
    Put, PutAgain, Reject, Replay, Resume, Rollback, RunAtWork, RunCancel, RunPause, RunResume,
    RunSettled, Settled, Start, Steal, Suggest,
};

const PLAIN: Project = Project::PLAIN;
const STORED: Project = Project { stored: true, ..PLAIN };
const PAIRED: Project =
    Project { decision: "{rule: sequential, n_max: 8, n_min: 4, batch: 4}", ..PLAIN };

const fn scenario(
    name: &'static str,
    project: Project,
    before: &'static [Step],
    act: &'static [Step],
) -> Scenario {
    Scenario { name, project, before, act, same_end: true }
}

const fn anyhow_it_ends(scenario: Scenario) -> Scenario {
    Scenario { same_end: false, ..scenario }
}

/// Their places are their seeds: a new one goes to the end.
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("start, replay, propose, evaluate, confirm", PLAIN, &[], &[Create, Start, Settled]),
    scenario("paired comparison and confirmation", PAIRED, &[Create, Start], &[Settled]),
    scenario(
        "paired comparison while the provider fails",
        Project { fault_per_mille: 150, ..PAIRED },
        &[Create, Start],
        &[Settled],
    ),
    scenario("approve", PLAIN, &[Create, Start, Settled], &[Approve, Settled]),
    scenario(
        "approve, and look for the next one",
        Project { experiments: 2, ..PLAIN },
        &[Create, Start, Settled],
        &[Approve, Settled],
    ),
    scenario("reject", PLAIN, &[Create, Start, Settled], &[Reject, Settled]),
    scenario("apply to a file", PLAIN, &[Create, Start, Settled, Approve, Settled], &[Apply]),
    scenario(
        "rollback of a file",
        PLAIN,
        &[Create, Start, Settled, Approve, Settled, Apply],
        &[Rollback],
    ),
    scenario(
        "apply to a stored workflow, and roll back",
        STORED,
        &[Put, Create, Start, Settled, Approve, Settled],
        &[Apply, Rollback],
    ),
    scenario(
        "measure what was applied",
        PLAIN,
        &[Create, Start, Settled, Approve, Settled, Apply],
        &[Measure, Settled],
    ),
    anyhow_it_ends(scenario(
        "pause with runs in flight, and resume",
        PLAIN,
        &[Create, Start],
        &[AtWork, Pause, Resume, Settled],
    )),
    anyhow_it_ends(scenario(
        "pause within a batch of pairs, and resume",
        PAIRED,
        &[Create, Start],
        &[AtWork, Pause, Resume, Settled],
    )),
    anyhow_it_ends(scenario(
        "cancel with runs in flight",
        Project { tokens: Some(1_000_000), ..PLAIN },
        &[Create, Start],
        &[AtWork, Cancel, Settled],
    )),
    scenario(
        "held by the budget, and extended",
        Project { tokens: Some(200), ..PLAIN },
        &[Create, Start],
        &[Settled, Extend, Settled],
    ),
    anyhow_it_ends(scenario(
        "close and archive",
        PLAIN,
        &[Create, Start],
        &[AtWork, Close, Settled, Archive],
    )),
    scenario(
        "a further replay, and a candidate of one's own",
        Project { experiments: 2, ..PLAIN },
        &[Create, Start, Settled],
        &[Suggest, Replay, Reject, Settled],
    ),
    anyhow_it_ends(scenario(
        "a worker that loses its lease",
        Project { capacity: 1, ..PLAIN },
        &[Create, Start],
        &[AtWork, Steal, Settled],
    )),
    scenario("a workflow run whose node is tried again", PLAIN, &[], &[Order, RunSettled]),
    anyhow_it_ends(scenario(
        "pause and resume of a workflow run",
        PLAIN,
        &[],
        &[Order, RunAtWork, RunPause, RunSettled, RunResume, RunSettled],
    )),
    anyhow_it_ends(scenario(
        "cancel of a workflow run",
        PLAIN,
        &[],
        &[Order, RunAtWork, RunCancel, RunSettled],
    )),
    anyhow_it_ends(scenario(
        "the stored workflow is deleted under its campaign",
        STORED,
        &[Put, Create, Start],
        &[PutAgain, AtWork, Delete, Settled],
    )),
];
