//! Evaluations that give no result.

use super::*;
use crate::run::faults::Faults;

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
    driven.now = due.0;
    driven.settle(10);
    driven.wait_out();
    assert_ne!(driven.open(), first, "another evaluation of the same candidate");
    assert_eq!(driven.pending(), experiment, "the candidate is not to blame");
    assert_eq!(driven.campaign.search.consecutive_failures, 1);
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
    driven.wait_out();
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
    driven.wait_out();
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

#[test]
fn after_each_failure_the_next_evaluation_waits_longer() {
    let mut started = campaign(5, 0);
    started.frozen.policies.budget.max_consecutive_failures = 9;
    let mut driven = Driven::new(started);
    driven.command(Command::Start { reason: None }).unwrap();
    for longest in [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000] {
        driven.land(None);
        let Work::BackOff(until) = work(&driven.campaign) else { panic!("it does not wait") };
        assert_eq!(work::next_wakeup(&driven.campaign), Some(until));
        let wait = until.since(Timestamp(driven.now)).0;
        assert!((longest / 2..=longest).contains(&wait), "{wait} of {longest}");
        let early = observe(&driven.campaign, &Observation::Woke, &cx(until.0 - 1));
        assert_eq!((early.events, early.effects), (vec![], vec![]));
        let queued = observe(&driven.campaign, &Observation::Woke, &cx(until.0)).effects;
        assert!(matches!(queued.as_slice(), [Effect::QueueRuns(_)]), "{queued:?}");
        let put_back = observe(&driven.campaign, &Observation::Woke, &cx(driven.now - 1)).effects;
        assert_eq!(put_back.len(), 1, "a wall clock that is put back does not prolong it");
    }
    driven.land(None);
    assert_eq!(driven.campaign.status(), Status::Failed);
    assert_eq!(driven.campaign.search.back_off, None, "it waits for a person now");
}

#[test]
fn a_candidate_is_not_looked_for_right_after_one_that_gave_no_result() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    driven.land(None);
    assert!(matches!(work(&driven.campaign), Work::BackOff(_)));
    driven.command(Command::Pause { reason: None, cancel_runs: false }).unwrap();
    assert_eq!(work(&driven.campaign), Work::AwaitOperator);
    let looked_at = observe(&driven.campaign, &Observation::Woke, &cx(driven.now + 3_600_000));
    assert_eq!(looked_at.events, vec![], "another process that looks at it changes nothing");
    driven.command(Command::Resume { reason: None }).unwrap();
    assert!(matches!(work(&driven.campaign), Work::BackOff(_)), "a pause does not shorten it");
    driven.wait_out();
    assert_eq!(work(&driven.campaign), Work::Propose);
}

#[test]
fn the_cause_of_a_failure_is_told_with_it() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    let (evaluation, experiment) = (driven.open(), driven.pending());
    let faults = Some(Faults {
        runs: 10,
        void: 10,
        code: "provider",
        reason: "the model is busy".to_owned(),
        count: 9,
    });
    let result = EvaluationResult { faults, ..result(None) };
    driven.observe(Observation::EvaluationFinished { evaluation, result });
    let words = "the candidate gave no measurable result: 10 of 10 case runs gave no outcome, \
                 9 of them for this: the model is busy (provider)";
    assert_eq!(driven.campaign.search.last_failure.as_deref(), Some(words));
    let failed = ExperimentState::Failed { reason: words.to_owned() };
    assert_eq!(driven.experiments[&experiment].state, failed);
}
