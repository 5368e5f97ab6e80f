//! Every change of a case run: [`decide`] for commands, [`observe`] for facts.

use serde::{Deserialize, Serialize};

use super::{Epoch, FAULT_RETRIES_MAX, Run, RunReport, RunState};
use crate::campaign::Purpose;
use crate::digest::Hasher;
use crate::id::{CampaignId, RunId, WorkerId};
use crate::lease::{Lease, Signs};
use crate::outcome::{CaseOutcome, Usage};
use crate::pack::Case;
use crate::quantity::Timestamp;

/// Asked of a run: may be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunCommand {
    /// Gives the run to a worker, under the next epoch.
    Claim {
        /// The worker.
        worker: WorkerId,
    },
    /// Ends the run without a result.
    Cancel {
        /// Why.
        reason: String,
    },
}

/// What happened to a run: never refused.
#[derive(Debug, Clone, PartialEq)]
pub enum RunObservation {
    /// The worker is done.
    Finished {
        /// The epoch of its claim.
        epoch: Epoch,
        /// What it reports.
        report: Box<RunReport>,
    },
    /// The worker is gone: its machine, its process, or its connection.
    Lost {
        /// The epoch of its claim.
        epoch: Epoch,
    },
    /// The worker is at work.
    Renewed {
        /// The epoch of its claim.
        epoch: Epoch,
    },
    /// The worker has shown no life for longer than a live one would.
    Stalled {
        /// What was seen last.
        signs: Signs,
        /// When it was given up.
        at: Timestamp,
    },
}

/// A command that a run's state does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run {run} is {state}, so it cannot be {command}")]
pub struct RunRejection {
    run: RunId,
    state: &'static str,
    command: &'static str,
}

/// What became of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ignored {
    /// The run is over, or waits for another worker.
    NotRunning,
    /// The result belongs to an earlier claim.
    StaleEpoch,
    /// The run has moved since it was seen.
    Alive,
}

impl Run {
    /// The run of `case` for an evaluation of `campaign`: queued, never claimed.
    ///
    /// Its seed depends on the campaign's seed, the evaluation and the case, so that cases do not
    /// share their luck, and no two evaluations do.
    #[must_use]
    pub fn queued(
        campaign: (&CampaignId, u64),
        evaluation: &crate::campaign::Evaluation,
        case: (&Case, u32),
    ) -> Self {
        let intent = [evaluation.id.as_bytes().as_slice(), case.0.id.as_str().as_bytes()];
        let mut seed = Hasher::new("optim/run-seed/1");
        seed.part(&campaign.1.to_be_bytes()).part(intent[0]).part(intent[1]);
        let [a, b, c, d, e, f, g, h, ..] = *seed.finish().as_bytes();
        Self {
            id: RunId::derive(&intent),
            campaign: campaign.0.clone(),
            evaluation: evaluation.id,
            case: case.0.id.clone(),
            case_index: case.1,
            snapshot: evaluation.snapshot,
            fingerprint: evaluation.fingerprint,
            seed: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            epoch: Epoch(0),
            faults: evaluation.purpose.attempt(),
            paired: matches!(evaluation.purpose, Purpose::Paired { .. }),
            spent_on_faults: Usage::default(),
            unreported: 0,
            allowance: evaluation.allowance,
            state: RunState::Queued,
            queued_at: evaluation.queued_at,
        }
    }
}

/// Answers `command`.
///
/// # Errors
/// [`RunRejection`] when the run's state does not allow it.
pub fn decide(run: &Run, command: &RunCommand, now: Timestamp) -> Result<Run, RunRejection> {
    let mut next = run.clone();
    match (&run.state, command) {
        (RunState::Queued, RunCommand::Claim { worker }) => {
            next.epoch = run.epoch.next();
            next.state = RunState::Running { since: now, lease: Lease::new(worker.clone()) };
        }
        (RunState::Queued | RunState::Running { .. }, RunCommand::Cancel { reason }) => {
            next.state = RunState::Cancelled { at: now, reason: reason.clone() };
        }
        (_, RunCommand::Claim { .. }) => return Err(refuse(run, "claimed")),
        (_, RunCommand::Cancel { .. }) => return Err(refuse(run, "cancelled")),
    }
    Ok(next)
}

fn refuse(run: &Run, command: &'static str) -> RunRejection {
    RunRejection { run: run.id, state: run.state.name(), command }
}

/// Takes in a fact.
///
/// # Errors
/// [`Ignored`] says why the fact changes nothing.
pub fn observe(run: &Run, observation: RunObservation) -> Result<Run, Ignored> {
    let epoch = match &observation {
        RunObservation::Finished { epoch, .. }
        | RunObservation::Lost { epoch }
        | RunObservation::Renewed { epoch }
        | RunObservation::Stalled { signs: Signs { epoch, .. }, .. } => *epoch,
    };
    let (since, lease) = match &run.state {
        RunState::Running { since, lease } if epoch == run.epoch => (*since, lease),
        RunState::Running { .. } => return Err(Ignored::StaleEpoch),
        RunState::Queued | RunState::Finished(_) | RunState::Cancelled { .. } => {
            return Err(Ignored::NotRunning);
        }
    };
    let mut next = run.clone();
    match observation {
        RunObservation::Finished { report, .. } => finish(&mut next, report),
        // A worker that is gone is no fault of the case: the run goes back whatever the count.
        RunObservation::Lost { .. } => next.state = RunState::Queued,
        RunObservation::Renewed { .. } => {
            next.state = RunState::Running { since, lease: lease.clone().renewed() };
        }
        // One that hangs may be: such faults are counted, or it would take every worker in turn.
        RunObservation::Stalled { signs, at } => {
            if run.signs() != Some(signs) {
                return Err(Ignored::Alive);
            }
            next.unreported = next.unreported.saturating_add(1);
            finish(&mut next, Box::new(stalled(run, since, at)));
        }
    }
    Ok(next)
}

/// The report of a worker that gave none.
fn stalled(run: &Run, started_at: Timestamp, finished_at: Timestamp) -> RunReport {
    RunReport {
        executed: run.fingerprint,
        outcome: CaseOutcome::Void { fault: "its worker showed no sign of life".to_owned() },
        nodes: Vec::new(),
        usage: Usage::default(),
        denied: Vec::new(),
        started_at,
        finished_at,
        spent_on_faults: Usage::default(),
        throttled: None,
    }
}

fn finish(run: &mut Run, mut report: Box<RunReport>) {
    if report.executed != run.fingerprint {
        let fault = format!(
            "another definition was executed: {} instead of {}",
            report.executed, run.fingerprint
        );
        report.outcome = CaseOutcome::Void { fault };
    }
    let void = matches!(report.outcome, CaseOutcome::Void { .. });
    if void && !run.paired && !report.is_lasting_fault() && run.faults < FAULT_RETRIES_MAX {
        run.faults += 1;
        run.spent_on_faults = run.spent_on_faults.plus(report.usage);
        run.state = RunState::Queued;
    } else {
        run.state = RunState::Finished(report);
    }
}

/// What is to be done for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunWork {
    /// Give it to a worker when there is room.
    Start,
    /// Await the worker of this epoch.
    Await(Epoch),
    /// It is over.
    Nothing,
}

/// The work of `run` now.
#[must_use]
pub fn work(run: &Run) -> RunWork {
    match run.state {
        RunState::Queued => RunWork::Start,
        RunState::Running { .. } => RunWork::Await(run.epoch),
        RunState::Finished(_) | RunState::Cancelled { .. } => RunWork::Nothing,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::super::NodeReport;
    use super::super::check::check;
    use super::*;
    use crate::campaign::Evaluation;
    use crate::campaign::ledger::Allowance;
    use crate::digest::Digest;
    use crate::id::NodeId;
    use crate::invariants::change::{Change, Changed, check_change};
    use crate::node_io::{ErrorClass, NodeError};
    use crate::outcome::Measured;
    use crate::pack::{Pack, Split};
    use crate::quantity::Tokens;
    use crate::workflow::Fingerprint;

    pub(crate) fn run() -> Run {
        let campaign = CampaignId::new("c").unwrap();
        let purpose = Purpose::Replay { number: 1 };
        let evaluation = Evaluation {
            id: purpose.evaluation_id(&campaign, 0),
            purpose,
            snapshot: Digest::of(b"snapshot"),
            fingerprint: Fingerprint(Digest::of(b"definition")),
            split: Split::Search,
            queued_at: Timestamp(1),
            allowance: Allowance::default(),
            continued_at: None,
            requeued: 0,
            drawn: None,
        };
        Run::queued((&campaign, 7), &evaluation, (&Pack::implicit().cases[0], 0))
    }

    pub(crate) fn report(run: &Run, outcome: CaseOutcome) -> Box<RunReport> {
        Box::new(RunReport {
            executed: run.fingerprint,
            outcome,
            nodes: Vec::new(),
            usage: Usage { prompt_tokens: Tokens(5), ..Usage::default() },
            started_at: Timestamp(2),
            finished_at: Timestamp(3),
            denied: Vec::new(),
            spent_on_faults: Usage::default(),
            throttled: None,
        })
    }

    pub(crate) fn measured() -> CaseOutcome {
        CaseOutcome::Measured(Measured {
            checks: Vec::new(),
            blocked: Vec::new(),
            over_limit: None,
        })
    }

    fn claim_command() -> RunCommand {
        RunCommand::Claim { worker: WorkerId::process(1) }
    }

    fn claim(run: &Run) -> Run {
        decide(run, &claim_command(), Timestamp(2)).unwrap()
    }

    #[test]
    fn a_fault_ends_a_side_of_a_pair_at_once_and_that_breaks_no_rule() {
        let claimed = claim(&Run { paired: true, ..run() });
        let void = CaseOutcome::Void { fault: "the model is busy".to_owned() };
        let report = report(&claimed, void);
        let ended = RunObservation::Finished { epoch: claimed.epoch, report };
        let ended = observe(&claimed, ended).unwrap();
        assert!(ended.state.is_terminal(), "{:?}", ended.state);
        assert_eq!(check(&ended), []);
        let after_another_fault = Run { paired: true, faults: 1, ..run() };
        assert_eq!(check(&after_another_fault), [], "it begins with the fault of the pair before");
        let single = Run { paired: false, ..ended };
        assert_eq!(check(&single)[0].rule, "void_only_when_retries_are_used_up_or_no_use");
    }

    #[test]
    fn a_run_is_claimed_once_and_a_late_result_of_an_earlier_claim_is_ignored() {
        let first = claim(&run());
        assert_eq!(
            decide(&first, &claim_command(), Timestamp(2))
                .unwrap_err()
                .to_string()
                .split(" is ")
                .nth(1),
            Some("running, so it cannot be claimed")
        );
        let lost = observe(&first, RunObservation::Lost { epoch: first.epoch }).unwrap();
        let second = claim(&lost);
        assert_eq!(second.epoch, Epoch(2));
        let late =
            RunObservation::Finished { epoch: first.epoch, report: report(&first, measured()) };
        assert_eq!(observe(&second, late.clone()), Err(Ignored::StaleEpoch));
        let done = observe(
            &second,
            RunObservation::Finished { epoch: second.epoch, report: report(&second, measured()) },
        );
        let done = done.unwrap();
        assert!(done.state.is_terminal());
        assert_eq!(observe(&done, late), Err(Ignored::NotRunning));
    }

    #[test]
    fn faults_of_the_outside_are_retried_twice_and_their_cost_is_kept() {
        let mut run = run();
        for round in 1..=FAULT_RETRIES_MAX + 1 {
            let claimed = claim(&run);
            let void = CaseOutcome::Void { fault: "down".to_owned() };
            run = observe(
                &claimed,
                RunObservation::Finished { epoch: claimed.epoch, report: report(&claimed, void) },
            )
            .unwrap();
            assert_eq!(run.state.is_terminal(), round > FAULT_RETRIES_MAX);
        }
        assert_eq!(run.spent_on_faults.tokens(), Tokens(10));
    }

    /// The report of a run that a provider has refused.
    fn refused(run: &Run) -> Box<RunReport> {
        let void = CaseOutcome::Void { fault: "no such model".to_owned() };
        let mut refused = report(run, void);
        refused.nodes = vec![NodeReport {
            node: NodeId::new("a").unwrap(),
            attempts: 1,
            result: Err(NodeError::new(ErrorClass::Configuration, "no such model")),
            usage: Usage::default(),
        }];
        refused
    }

    #[test]
    fn a_refusal_that_lasts_is_not_tried_again() {
        let claimed = claim(&run());
        let finished = RunObservation::Finished { epoch: claimed.epoch, report: refused(&claimed) };
        let run = observe(&claimed, finished).unwrap();
        assert!(run.state.is_terminal());
        assert_eq!(run.faults, 0);
    }

    #[test]
    fn a_result_of_another_definition_counts_as_a_fault() {
        let claimed = claim(&run());
        let mut foreign = report(&claimed, measured());
        foreign.executed = Fingerprint(Digest::of(b"live"));
        let back =
            observe(&claimed, RunObservation::Finished { epoch: claimed.epoch, report: foreign })
                .unwrap();
        assert_eq!((back.state, back.faults), (RunState::Queued, 1));
    }

    #[test]
    fn only_a_run_that_has_not_moved_since_it_was_seen_is_given_up() {
        let mut run = run();
        for round in 1..=FAULT_RETRIES_MAX + 1 {
            let claimed = claim(&run);
            let seen = claimed.signs().unwrap();
            let stalled = RunObservation::Stalled { signs: seen, at: Timestamp(9) };
            let renewed = observe(&claimed, RunObservation::Renewed { epoch: seen.epoch }).unwrap();
            assert_eq!(observe(&renewed, stalled.clone()), Err(Ignored::Alive));
            run = observe(&claimed, stalled.clone()).unwrap();
            assert!(observe(&run, stalled).is_err(), "it is given up once");
            assert_eq!(run.state.is_terminal(), round > FAULT_RETRIES_MAX);
        }
    }

    #[test]
    fn a_cancelled_run_stays_cancelled() {
        let cancelled =
            decide(&run(), &RunCommand::Cancel { reason: "enough".to_owned() }, Timestamp(4))
                .unwrap();
        assert_eq!(work(&cancelled), RunWork::Nothing);
        assert!(decide(&cancelled, &claim_command(), Timestamp(5)).is_err());
        assert!(
            decide(&cancelled, &RunCommand::Cancel { reason: String::new() }, Timestamp(5))
                .is_err()
        );
    }

    /// One move of a random walk: what a scheduler, a worker, an outage or a person does.
    #[derive(Debug, Clone)]
    enum Move {
        Claim,
        Cancel,
        Lost,
        Renewed,
        Stalled,
        Measured,
        Void,
        Refused,
        Foreign,
        Stale,
    }

    proptest! {
        #[test]
        fn every_walk_keeps_the_invariants_and_a_run_ends_at_most_once(
            moves in prop::collection::vec(
                prop_oneof![
                    4 => Just(Move::Claim), 1 => Just(Move::Cancel), 2 => Just(Move::Lost), 1 => Just(Move::Renewed),
                    1 => Just(Move::Stalled), 3 => Just(Move::Measured), 3 => Just(Move::Void),
                    1 => Just(Move::Refused), 1 => Just(Move::Foreign), 2 => Just(Move::Stale),
                ],
                0..30,
            ),
        ) {
            let mut run = run();
            let mut ended = 0;
            for step in moves {
                let void = CaseOutcome::Void { fault: "down".to_owned() };
                let finished = |outcome, epoch| RunObservation::Finished { epoch, report: report(&run, outcome) };
                let next = match step {
                    Move::Claim => decide(&run, &claim_command(), Timestamp(2)).ok(),
                    Move::Cancel => decide(&run, &RunCommand::Cancel { reason: String::new() }, Timestamp(2)).ok(),
                    Move::Lost => observe(&run, RunObservation::Lost { epoch: run.epoch }).ok(),
                    Move::Renewed => observe(&run, RunObservation::Renewed { epoch: run.epoch }).ok(),
                    Move::Stalled => run.signs().and_then(|signs| {
                        observe(&run, RunObservation::Stalled { signs, at: Timestamp(9) }).ok()
                    }),
                    Move::Measured => observe(&run, finished(measured(), run.epoch)).ok(),
                    Move::Void => observe(&run, finished(void, run.epoch)).ok(),
                    Move::Refused => observe(&run, RunObservation::Finished { epoch: run.epoch, report: refused(&run) }).ok(),
                    Move::Stale => observe(&run, finished(measured(), Epoch(run.epoch.0 + 1))).ok(),
                    Move::Foreign => {
                        let mut foreign = report(&run, measured());
                        foreign.executed = Fingerprint(Digest::of(b"live"));
                        observe(&run, RunObservation::Finished { epoch: run.epoch, report: foreign }).ok()
                    }
                };
                if let Some(next) = next {
                    let runs = vec![Changed { before: Some(run), after: &next }];
                    let change = Change { runs, ..Change::default() };
                    prop_assert_eq!(check_change(&change), Vec::new());
                    ended += u32::from(next.state.is_terminal());
                    run = next;
                }
            }
            prop_assert!(ended <= 1);
        }
    }
}
