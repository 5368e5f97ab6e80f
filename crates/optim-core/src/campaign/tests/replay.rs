//! Replays that a person asks for, or records.

use super::*;
use crate::campaign::command::ReplayRecord;

#[test]
fn a_replay_that_is_asked_for_is_queued_once() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    let replay = Command::QueueReplay { reason: Some("the model changed".to_owned()) };
    driven.command(replay.clone()).unwrap();
    assert_eq!(driven.open(), Purpose::Replay { number: 3 }.evaluation_id(&driven.campaign.id, 0));
    driven.command(replay.clone()).unwrap();
    driven.command(replay).unwrap();
    assert_eq!(driven.queued.len(), 3, "at most one is pending");
    driven.land(Some(6));
    assert_eq!(work(&driven.campaign), Work::Propose, "one wish, one replay");
}

#[test]
fn a_replay_that_is_asked_for_waits_for_its_turn_and_for_the_budget() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    driven.command(Command::QueueReplay { reason: None }).unwrap();
    assert_eq!(driven.campaign.in_flight().count(), 1);
    let evaluation = driven.open();
    let all = EvaluationResult { spent: spent(9_980), ..result(Some(2)) };
    driven.observe(Observation::EvaluationFinished { evaluation, result: all });
    assert_eq!(driven.campaign.status(), Status::PausedBudget);
    assert_eq!(driven.campaign.in_flight().count(), 0);
    let draft = Driven::new(campaign(5, 0)).command(Command::QueueReplay { reason: None });
    assert_eq!(draft.unwrap_err().code(), "campaign_wrong_status");
}

#[test]
fn a_replay_runs_the_tune_cases_as_well_and_nothing_else_does() {
    let mut campaign = campaign(5, 0);
    campaign.frozen.tune_cases = 7;
    let mut driven = Driven::new(campaign);
    driven.command(Command::Start { reason: None }).unwrap();
    let sizes = |driven: &Driven| {
        let frozen = &driven.campaign.frozen;
        driven.campaign.in_flight().map(|open| frozen.runs(open)).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&driven), [17]);
    let short = driven.command(Command::RecordReplay(record(driven.open()))).unwrap_err();
    assert!(short.to_string().contains("10 of 17 case runs are on record"), "{short}");
    driven.land(Some(6));
    assert_eq!(sizes(&driven), [17]);
    driven.land(Some(6));
    driven.propose(1);
    assert_eq!(sizes(&driven), [10]);
}

fn record(evaluation: EvaluationId) -> ReplayRecord {
    ReplayRecord { evaluation, runs: 10, open: 0, foreign: 0, result: result(Some(6)) }
}

#[test]
fn only_a_whole_measurable_replay_of_this_baseline_is_recorded_and_each_once() {
    let mut driven = Driven::new(campaign(5, 0));
    driven.command(Command::Start { reason: None }).unwrap();
    let replay = driven.open();
    let sound = record(replay);
    let refused = |driven: &mut Driven, record: ReplayRecord| {
        let error = driven.command(Command::RecordReplay(record)).unwrap_err();
        assert_eq!(error.code(), "not_a_replay");
        error.to_string().split(": ").last().unwrap().to_owned()
    };
    for (broken, why) in [
        (ReplayRecord { open: 2, ..sound.clone() }, "2 of its 10 case runs are not over"),
        (ReplayRecord { runs: 9, ..sound.clone() }, "9 of 10 case runs are on record"),
        (
            ReplayRecord { foreign: 1, ..sound.clone() },
            "1 of its case runs executed another definition",
        ),
        (
            ReplayRecord { result: result(None), ..record(replay) },
            "no case run gave a measurable outcome",
        ),
        (
            record(EvaluationId::derive(&[b"another"])),
            "it is not the replay that the current baseline waits for",
        ),
    ] {
        assert_eq!(refused(&mut driven, broken), why);
    }
    driven.command(Command::RecordReplay(sound.clone())).unwrap();
    assert_eq!(driven.campaign.baseline.replays.len(), 1);
    assert_eq!(refused(&mut driven, sound), "it is recorded already, and counts once");
    assert_eq!(driven.campaign.baseline.replays.len(), 1);
}
