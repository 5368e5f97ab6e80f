//! Evaluations that give no result.

use super::*;

fn failed(campaign: &Campaign) -> Option<(u32, &str)> {
    match &campaign.hold {
        Some(Hold::Failures { failures, last }) => Some((*failures, last)),
        _ => None,
    }
}

#[test]
fn replays_that_fail_again_and_again_hold_the_campaign_until_a_person_has_looked() {
    let mut driven = Driven::new(campaign(5, 0));
    driven.command(Command::Start { reason: None }).unwrap();
    for _ in 0..3 {
        driven.land(None);
    }
    let last = "a replay of the baseline gave no measurable result";
    assert_eq!(failed(&driven.campaign), Some((3, last)));
    assert_eq!(driven.campaign.status(), Status::Failed);
    assert_eq!(driven.queued.len(), 3);
    assert_eq!(
        driven.command(Command::Resume { reason: None }).unwrap_err().code(),
        "campaign_wrong_status"
    );
    assert_eq!(failed(&driven.campaign), Some((3, last)), "a refused command changes nothing");
    let blank = Command::ResetFailures { reason: " ".to_owned() };
    assert_eq!(driven.command(blank).unwrap_err().code(), "reason_required");
    let reset = Command::ResetFailures { reason: "the provider is back".to_owned() };
    driven.command(reset.clone()).unwrap();
    assert_eq!((driven.campaign.search.consecutive_failures, driven.queued.len()), (0, 4));
    assert_eq!(driven.command(reset).unwrap_err().code(), "campaign_wrong_status");
}

#[test]
fn an_evaluation_past_its_deadline_is_given_up_and_queued_again_a_few_times() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    let (first, experiment) = (driven.open(), driven.pending());
    let due = work::next_wakeup(&driven.campaign).unwrap();
    let early = observe(&driven.campaign, &Observation::Woke, &cx(due.0 - 1));
    assert_eq!(early.events, [], "it may use its time");
    let late = observe(&driven.campaign, &Observation::Woke, &cx(due.0));
    assert!(matches!(
        late.effects.as_slice(),
        [Effect::CancelRuns { evaluation, .. }] if *evaluation == first
    ));
    driven.take(late);
    assert_eq!(work(&driven.campaign), Work::Settle(vec![first]));
    driven.settle(10);
    assert_ne!(driven.open(), first, "another evaluation of the same candidate");
    assert_eq!(driven.pending(), experiment, "the candidate is not to blame");
    assert_eq!(driven.campaign.search.consecutive_failures, 1);
    driven.now = due.0;
    driven.days_pass();
    driven.days_pass();
    assert_eq!(
        failed(&driven.campaign),
        Some((3, "an evaluation did not end within 1440 minutes"))
    );
    assert_eq!(driven.campaign.in_flight().count(), 0);
    driven.command(Command::ResetFailures { reason: "fixed".to_owned() }).unwrap();
    driven.land(Some(9));
    assert_eq!(driven.pending(), experiment);
    assert_eq!(driven.campaign.status(), Status::AwaitingPromotionApproval);
}

#[test]
fn a_process_that_takes_up_the_work_later_gives_the_evaluation_its_whole_time() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    let open = driven.open();
    driven.now = work::next_wakeup(&driven.campaign).unwrap().0 + 1;
    driven.observe(Observation::Continued);
    driven.observe(Observation::Woke);
    assert_eq!(driven.open(), open);
    assert_eq!(driven.campaign.search.consecutive_failures, 0);
}

#[test]
fn runs_that_are_not_on_record_are_queued_again_and_given_up_in_the_end() {
    let mut driven = Driven::new(campaign(5, 0));
    driven.command(Command::Start { reason: None }).unwrap();
    let evaluation = driven.open();
    for _ in 0..2 {
        driven.observe(Observation::RunsMissing { evaluation });
        assert_eq!(driven.open(), evaluation, "the same runs");
    }
    driven.observe(Observation::RunsMissing { evaluation });
    driven.settle(0);
    assert_ne!(driven.open(), evaluation);
    assert_eq!(driven.campaign.search.consecutive_failures, 1);
}

#[test]
fn a_confirmation_without_a_result_is_measured_again_and_the_other_side_is_kept() {
    let mut driven = Driven::searching(campaign(5, 4), 6);
    driven.propose(1);
    driven.land(Some(9));
    driven.land(Some(4));
    driven.land(None);
    let again: Vec<_> = driven.campaign.in_flight().map(|open| open.purpose).collect();
    assert_eq!(again, [Purpose::ConfirmCandidate { experiment: driven.pending() }]);
    driven.land(Some(5));
    let ExperimentState::Recommended(judged) = &driven.experiments[&driven.pending()].state else {
        panic!("not recommended")
    };
    let confirmation = judged.confirmation.clone().unwrap();
    assert_eq!((confirmation.baseline.cases.num, confirmation.candidate.cases.num), (4, 5));
}

#[test]
fn a_winner_outlives_an_outage_during_its_confirmation() {
    let mut driven = Driven::searching(campaign(5, 4), 6);
    driven.propose(1);
    driven.land(Some(9));
    let winner = driven.pending();
    driven.days_pass();
    driven.days_pass();
    assert_eq!(driven.campaign.status(), Status::Failed);
    driven.command(Command::ResetFailures { reason: "back".to_owned() }).unwrap();
    driven.land(Some(4));
    driven.land(Some(4));
    assert_eq!(driven.pending(), winner);
    assert_eq!(driven.campaign.status(), Status::AwaitingPromotionApproval);
}

#[test]
fn a_pause_may_cancel_the_runs_in_flight_and_resume_begins_them_again() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    let (first, experiment) = (driven.open(), driven.pending());
    driven.command(Command::Pause { reason: None, cancel_runs: false }).unwrap();
    driven.command(Command::Pause { reason: None, cancel_runs: true }).unwrap();
    assert_eq!(driven.campaign.in_flight().count(), 0);
    assert_eq!(driven.campaign.status(), Status::PausedManual);
    assert_eq!(driven.campaign.search.consecutive_failures, 0, "nobody failed");
    driven.observe(Observation::EvaluationFinished { evaluation: first, result: result(Some(9)) });
    assert_eq!(driven.campaign.in_flight().count(), 0, "what was cancelled does not land");
    driven.command(Command::Resume { reason: None }).unwrap();
    driven.settle(10);
    assert_ne!(driven.open(), first);
    assert_eq!(driven.pending(), experiment);
}
