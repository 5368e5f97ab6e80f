//! Steps from one state to the next: what is over stays over, what counts only grows, and what is frozen
//! stays as it is.

use crate::campaign::{Campaign, Phase};
use crate::experiment::{Experiment, ExperimentState};
use crate::run::{Epoch, Run, RunState};
use crate::stored_workflow::{StoredWorkflow, WorkflowVersion};
use crate::workflow_run::WorkflowRun;
use crate::workflow_run::state::WorkflowRunStatus;

use super::Findings;
use super::change::{Change, Changed};

pub(super) fn check_change(change: &Change<'_>, findings: &mut Findings) {
    for changed in &change.campaigns {
        baseline(changed, change, findings);
        if let Some(before) = &changed.before {
            campaign(before, changed.after, findings);
        }
        numbers(changed, change, findings);
    }
    for Changed { before, after } in &change.experiments {
        if let Some(before) = before {
            experiment(before, after, findings);
        }
        approval(before.as_ref(), after, change, findings);
    }
    for Changed { before, after } in &change.runs {
        match before {
            Some(before) => run(before, after, findings),
            None => new_run(after, change, findings),
        }
    }
    for Changed { before, after } in &change.workflows {
        if let Some(before) = before {
            workflow(before, after, findings);
        }
    }
    for Changed { before, after } in &change.workflow_runs {
        if let Some(before) = before {
            workflow_run(before, after, findings);
        }
    }
}

/// I5, I7 and I11: of a campaign that is stored already.
fn campaign(before: &Campaign, after: &Campaign, findings: &mut Findings) {
    let record = || super::campaign(after);
    findings.require(!before.is_closed() || before.phase == after.phase, 5, record, || {
        "it was over, and is not as it ended".to_owned()
    });
    findings.require(
        before.phase == Phase::Draft || after.phase != Phase::Draft,
        5,
        record,
        || "it was started, and is a draft again".to_owned(),
    );
    findings.require(frozen(before) == frozen(after), 11, record, || {
        "its policies, its pack or its source are not those that were frozen".to_owned()
    });
    let known: Vec<_> = before.in_flight().map(|evaluation| evaluation.id).collect();
    let begun = after.in_flight().find(|evaluation| !known.contains(&evaluation.id));
    findings.require(after.hold.is_none() || begun.is_none(), 6, record, || {
        format!("it is held, and evaluation {:?} begins", begun.map(|evaluation| evaluation.id))
    });
    findings.require(after.requests.keeps(&before.requests), 30, record, || {
        "a key stands for something else than before".to_owned()
    });
    let (was, is) = (&before.ledger, &after.ledger);
    let grows = was.runs <= is.runs
        && was.usage.tokens() <= is.usage.tokens()
        && was.usage.cost <= is.usage.cost
        && before.budget().max_experiments <= after.budget().max_experiments;
    findings.require(grows, 7, record, || {
        format!(
            "it had settled {} runs with {:?}, now {} with {:?}",
            was.runs, was.usage, is.runs, is.usage
        )
    });
}

/// What never changes of a campaign.
fn frozen(campaign: &Campaign) -> impl PartialEq + '_ {
    let Campaign { seed, source, execution_override, frozen, created_at, .. } = campaign;
    (seed, source, execution_override, frozen, created_at)
}

/// I9: the new experiments have the numbers after the last one.
fn numbers(changed: &Changed<'_, Campaign>, change: &Change<'_>, findings: &mut Findings) {
    let Changed { before, after } = changed;
    let known = before.as_ref().map_or(0, |before| before.search.experiments);
    let new = change.experiments_of(&after.id).filter(|changed| changed.before.is_none());
    let mut numbers: Vec<_> = new.map(|changed| changed.after.number).collect();
    numbers.sort_unstable();
    findings.require(
        numbers.iter().copied().eq(known.saturating_add(1)..=after.search.experiments)
            && known <= after.search.experiments,
        9,
        || super::campaign(after),
        || {
            format!(
                "it had {known} experiments, has {}, and new are {numbers:?}",
                after.search.experiments
            )
        },
    );
}

/// I3: the baseline is what it was, or what the one approval of the commit makes of it.
fn baseline(changed: &Changed<'_, Campaign>, change: &Change<'_>, findings: &mut Findings) {
    let Some(before) = &changed.before else { return };
    let (was, is) = (&before.baseline, &changed.after.baseline);
    let mut approved = change.experiments_of(&before.id).filter(|it| is_approved_now(it));
    let step = match (approved.next(), approved.next()) {
        (None, _) => (was.version, was.fingerprint, was.snapshot),
        (Some(Changed { after: one, .. }), None)
            if (one.baseline_version, one.baseline) == (was.version, was.fingerprint) =>
        {
            (was.version.saturating_add(1), one.candidate, one.snapshot)
        }
        (Some(_), _) => {
            let what = format!("more is approved than one candidate on version {}", was.version);
            return findings.add(3, super::campaign(changed.after), what);
        }
    };
    findings.require(
        (is.version, is.fingerprint, is.snapshot) == step && is.origin() == was.origin(),
        3,
        || super::campaign(changed.after),
        || {
            format!(
                "approvals lead to version {} as {}, it is {} as {}",
                step.0, step.1, is.version, is.fingerprint
            )
        },
    );
}

fn is_approved(one: &Experiment) -> bool {
    matches!(one.state, ExperimentState::Approved { .. })
}

fn is_approved_now(changed: &Changed<'_, Experiment>) -> bool {
    is_approved(changed.after) && !changed.before.as_ref().is_some_and(is_approved)
}

/// I5 and I10: of an experiment that is stored already.
fn experiment(before: &Experiment, after: &Experiment, findings: &mut Findings) {
    let record = || super::experiment(after);
    let was_open = before.is_compared() || before.state.undecided().is_some();
    findings.require(was_open || before.state == after.state, 5, record, || {
        format!("it was {}, and is {}", before.state.name(), after.state.name())
    });
    let compared = |one: &Experiment| {
        let versions = (one.baseline_version, one.baseline, one.candidate, one.snapshot);
        (versions, one.mutation.clone(), one.created_at)
    };
    findings.require(compared(before) == compared(after), 10, record, || {
        "it compares something else than before".to_owned()
    });
}

/// I14: what a person approved is what waited for the decision, as it was judged.
fn approval(
    before: Option<&Experiment>,
    after: &Experiment,
    change: &Change<'_>,
    findings: &mut Findings,
) {
    let campaign = change.campaigns.iter().find(|changed| changed.after.id == after.campaign);
    if !is_approved(after) || before.is_some_and(is_approved) || campaign.is_none() {
        return;
    }
    let held = campaign.and_then(|campaign| campaign.before.as_ref()?.winner());
    let waited = held.filter(|held| held.id == after.id).and_then(|held| held.state.undecided());
    findings.require(
        waited.is_some() && waited == after.state.judged(),
        14,
        || super::experiment(after),
        || "it is approved, and did not wait for a decision as it is judged".to_owned(),
    );
}

/// I5 and I15: of a case run that is stored already.
fn run(before: &Run, after: &Run, findings: &mut Findings) {
    let record = || super::run(after);
    findings.require(!before.state.is_terminal() || before == after, 5, record, || {
        format!("it was {}, and is not as it ended", before.state.name())
    });
    let is_running = |run: &Run| matches!(run.state, RunState::Running { .. });
    let is_claimed = is_running(after) && !is_running(before);
    fenced((before.epoch, after.epoch), is_claimed, record, findings);
    findings.require(before.faults <= after.faults, 21, record, || {
        format!("it had {} faults, now {}", before.faults, after.faults)
    });
}

/// I15: the epoch is one more with each claim, and stays the same without one.
fn fenced(
    (before, after): (Epoch, Epoch),
    is_claimed: bool,
    record: impl Fn() -> String,
    findings: &mut Findings,
) {
    let wanted = if is_claimed { before.next() } else { before };
    findings.require(after == wanted, 15, record, || {
        format!("its epoch was {}, should be {}, and is {}", before.0, wanted.0, after.0)
    });
}

/// I7 and I22: a case run begins for an evaluation that is paid, of a campaign that is not over. One that comes
/// without its campaign is looked at with all the others.
fn new_run(run: &Run, change: &Change<'_>, findings: &mut Findings) {
    let Some(campaign) = change.campaign(&run.campaign) else { return };
    findings.require(
        run.state.is_terminal() || campaign.ledger.reserved.contains_key(&run.evaluation),
        7,
        || super::run(run),
        || format!("nothing is set aside for its evaluation {}", run.evaluation),
    );
    // What is live may be measured after the end, too.
    let is_wanted = campaign.in_flight().any(|evaluation| evaluation.id == run.evaluation);
    findings.require(
        !campaign.is_closed() || is_wanted,
        22,
        || super::run(run),
        || format!("it begins, and campaign {} is over and has no use for it", campaign.id),
    );
}

/// I2 and I5: of a stored workflow that is stored already.
fn workflow(before: &StoredWorkflow, after: &StoredWorkflow, findings: &mut Findings) {
    let record = || super::workflow(after);
    let last = |workflow: &StoredWorkflow| workflow.current().map(|current| current.number);
    let is_purged = after.versions.is_empty();
    findings.require(
        if is_purged { after.deleted.is_some() } else { last(before) <= last(after) },
        5,
        record,
        || format!("its version was {:?}, and is {:?}", last(before), last(after)),
    );
    findings.require(
        !before.versions.is_empty() || is_purged || before.deleted.is_none(),
        5,
        record,
        || "its history was purged, and it has one again".to_owned(),
    );
    let is_kept = |version: &WorkflowVersion| {
        before.version(version.number).is_none_or(|before| before == version)
    };
    findings.require(after.versions.iter().all(is_kept), 2, record, || {
        "a version of it is not what it was".to_owned()
    });
}

/// I5 and I15: of a workflow run that is stored already.
fn workflow_run(before: &WorkflowRun, after: &WorkflowRun, findings: &mut Findings) {
    use WorkflowRunStatus::{Cancelled, Completed};
    let record = || super::workflow_run(after);
    let (was, is) = (before.state.status(), after.state.status());
    findings.require(
        !matches!(was, Completed | Cancelled) || before.state == after.state,
        5,
        record,
        || format!("it was {}, and is {}", was.name(), is.name()),
    );
    findings.require(!before.expired || after.expired, 5, record, || {
        "what it put out was dropped, and is there again".to_owned()
    });
    let is_claimed = is.is_at_work() && !was.is_at_work();
    fenced((before.epoch, after.epoch), is_claimed, record, findings);
}
