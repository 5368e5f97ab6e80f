//! What is live after an apply is measured once, within the budget, and compared with the promise.

use super::*;
use crate::campaign::measurement::{Figures, Finding, Measured, compare};
use crate::campaign::observation::LiveRead;
use crate::policy::{AfterApply, PostApply};

/// A campaign of one experiment whose candidate passed 9 of 10 cases and is live.
fn applied(campaign: Campaign) -> Driven {
    let mut driven = Driven::searching(campaign, 6);
    driven.propose(1);
    driven.land(Some(9));
    while driven.campaign.in_flight().next().is_some() {
        driven.land(Some(9));
    }
    driven.command(Command::Approve { experiment: driven.pending(), reason: None }).unwrap();
    driven.apply();
    driven
}

/// The same, and over: its one experiment is used up.
fn closed(holdout_cases: u32) -> Driven {
    let mut driven = applied(campaign(1, holdout_cases));
    driven.land(Some(9));
    driven.land(Some(9));
    assert!(driven.campaign.is_closed());
    driven
}

fn automatic(max_experiments: u32) -> Campaign {
    let mut campaign = campaign(max_experiments, 0);
    campaign.frozen.policies.eval.post_apply =
        PostApply { measure: AfterApply::Automatic, ..PostApply::default() };
    campaign
}

fn measure(driven: &Driven) -> Command {
    Command::Measure { live: driven.campaign.live.expected, reason: Some("monday".to_owned()) }
}

fn measured(driven: &Driven) -> &Measured {
    driven.campaign.live.applied.last().unwrap().measured.as_ref().expect("it is measured")
}

fn unmeasured(driven: &Driven) -> &str {
    &driven.campaign.live.applied.last().unwrap().unmeasured.as_ref().expect("it gave up").reason
}

#[test]
fn what_is_live_is_measured_after_the_search_is_over_and_keeps_its_promise() {
    let mut driven = closed(4);
    driven.command(measure(&driven)).unwrap();
    assert_eq!(work(&driven.campaign), Work::ReadLive);
    driven.read_live();
    let splits: Vec<_> = driven.campaign.in_flight().map(|open| open.split).collect();
    assert_eq!(splits, [Split::Search, Split::Holdout]);
    assert!(matches!(work(&driven.campaign), Work::AwaitRuns(_)));
    driven.land(Some(9));
    driven.land(Some(9));
    let found = measured(&driven);
    assert_eq!(found.finding, Finding::Kept);
    assert_eq!(found.by.reason.as_deref(), Some("monday"));
    assert_eq!(found.promised.unwrap().search.cases.num, 9);
    assert_eq!(found.before.unwrap().search.cases.to_string(), "12/20");
    assert!(driven.campaign.is_closed());
    assert_eq!(work(&driven.campaign), Work::Nothing);
}

#[test]
fn a_pass_rate_below_the_promised_one_by_more_than_the_margin_is_found_and_rolls_nothing_back() {
    let mut driven = closed(0);
    driven.command(measure(&driven)).unwrap();
    driven.read_live();
    driven.land(Some(8));
    assert_eq!(measured(&driven).finding, Finding::Dropped);
    assert_eq!(driven.campaign.live.version(), 1, "a person decides");
}

#[test]
fn the_margin_is_exact_and_void_case_runs_that_could_hide_a_drop_leave_it_open() {
    let mut eval = EvalPolicy { rule: Rule::point(), ..EvalPolicy::strict(PackRef::Implicit) };
    eval.post_apply.max_drop = crate::quantity::PerMillion(100_000);
    let figures = |passed: u64, void: u32| {
        let mut search = result(Some(passed)).metrics;
        search.void = void;
        Figures { search, holdout: None }
    };
    let promised = figures(9, 0);
    let table = [
        (figures(10, 0), Finding::Kept),
        (figures(9, 0), Finding::Kept),
        (figures(8, 0), Finding::Kept),
        (figures(7, 0), Finding::Dropped),
        (figures(7, 1), Finding::Dropped),
        (figures(9, 2), Finding::Inconclusive),
        (figures(7, 2), Finding::Inconclusive),
    ];
    for (live, finding) in table {
        assert_eq!(compare(&live, Some(&promised), &eval), finding, "{live:?}");
    }
    assert_eq!(compare(&promised, None, &eval), Finding::NoPromise);
    let drop_on_holdout = Figures { holdout: Some(figures(7, 0).search), ..promised };
    let both = Figures { holdout: Some(promised.search), ..promised };
    assert_eq!(compare(&drop_on_holdout, Some(&both), &eval), Finding::Dropped);
    assert_eq!(compare(&drop_on_holdout, Some(&promised), &eval), Finding::Kept);
}

#[test]
fn only_what_was_applied_is_measured() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    assert_eq!(driven.command(measure(&driven)).unwrap_err().code(), "nothing_to_measure");
    let mut driven = closed(0);
    let edited = Command::Measure { live: fingerprint("edited"), reason: None };
    assert_eq!(driven.command(edited).unwrap_err().code(), "live_drift");
    driven.command(measure(&driven)).unwrap();
    let edited = LiveRead {
        found: fingerprint("edited"),
        fingerprint: fingerprint("edited"),
        snapshot: Digest::of(b"edited"),
    };
    let queued = driven.queued.len();
    driven.observe(Observation::LiveRead(Ok(edited)));
    assert!(unmeasured(&driven).contains("it was edited since"));
    assert_eq!(driven.queued.len(), queued, "nothing else is executed");
    driven.command(measure(&driven)).unwrap();
    driven.observe(Observation::LiveRead(Err("it cannot be read".to_owned())));
    assert_eq!(unmeasured(&driven), "it cannot be read");
}

#[test]
fn at_most_one_measurement_is_pending_and_asking_again_changes_nothing() {
    let mut driven = closed(0);
    driven.command(measure(&driven)).unwrap();
    for _ in 0..2 {
        let before = driven.campaign.clone();
        driven.command(measure(&driven)).unwrap();
        assert_eq!(driven.campaign, before);
        driven.read_live();
    }
    assert_eq!(driven.campaign.in_flight().count(), 1);
    driven.land(Some(9));
    driven.command(measure(&driven)).unwrap();
    driven.read_live();
    assert_eq!(driven.campaign.live.measurements, 2, "once it is over, another one may be wanted");
}

#[test]
fn a_measurement_is_set_aside_and_settled_like_all_work_or_not_begun() {
    let mut driven = closed(0);
    let spent = driven.campaign.ledger.runs;
    driven.command(measure(&driven)).unwrap();
    driven.read_live();
    assert_eq!(driven.campaign.ledger.reserved.len(), 1);
    driven.land(Some(9));
    assert_eq!(driven.campaign.ledger.reserved.len(), 0);
    assert_eq!(driven.campaign.ledger.runs, spent + CASES);

    let mut poor = closed(0);
    poor.campaign.frozen.policies.budget.max_total_tokens = Some(Tokens(55));
    let refused = poor.command(measure(&poor)).unwrap_err();
    assert_eq!(refused.code(), "budget_too_small");
    assert!(refused.to_string().contains("max_total_tokens"), "{refused}");

    let mut poorer = closed(0);
    poorer.command(measure(&poorer)).unwrap();
    poorer.campaign.frozen.policies.budget.max_total_tokens = Some(Tokens(55));
    poorer.read_live();
    assert!(unmeasured(&poorer).contains("max_total_tokens"), "{}", unmeasured(&poorer));
    assert_eq!(poorer.campaign.hold, None, "a search that can go on is not held for it");
}

#[test]
fn a_measurement_waits_for_a_pause_to_end_and_keeps_what_landed_before() {
    let mut driven = applied(campaign(5, 4));
    driven.land(Some(9));
    driven.land(Some(9));
    driven.command(measure(&driven)).unwrap();
    let pause = |cancel_runs| Command::Pause { reason: None, cancel_runs };
    driven.command(pause(false)).unwrap();
    assert_eq!(work(&driven.campaign), Work::AwaitOperator);
    let queued = driven.queued.len();
    driven.read_live();
    assert_eq!(driven.queued.len(), queued, "nothing starts while held");
    driven.command(Command::Resume { reason: None }).unwrap();
    driven.read_live();
    driven.land(Some(9));
    driven.command(pause(true)).unwrap();
    driven.settle(10);
    assert_eq!(driven.campaign.in_flight().count(), 0);
    driven.command(Command::Resume { reason: None }).unwrap();
    driven.read_live();
    let again: Vec<_> = driven.campaign.in_flight().map(|open| open.split).collect();
    assert_eq!(again, [Split::Holdout], "what landed is paid once");
    driven.land(Some(9));
    assert_eq!(measured(&driven).finding, Finding::Kept);
    assert_eq!(work(&driven.campaign), Work::Propose, "the search goes on");
}

#[test]
fn the_search_waits_for_a_measurement_and_a_failed_one_is_no_failure_of_the_search() {
    let mut driven = applied(campaign(5, 0));
    driven.land(Some(9));
    driven.land(Some(9));
    for _ in 0..4 {
        driven.command(measure(&driven)).unwrap();
        assert_eq!(work(&driven.campaign), Work::ReadLive);
        driven.read_live();
        driven.land(None);
        assert_eq!(unmeasured(&driven), "the measurement gave no measurable result");
    }
    driven.command(measure(&driven)).unwrap();
    driven.read_live();
    driven.propose(2);
    assert_eq!(driven.campaign.in_flight().count(), 1, "one thing at a time");
    driven.days_pass();
    assert!(unmeasured(&driven).contains("did not end within"), "{}", unmeasured(&driven));
    assert_eq!(driven.campaign.search.consecutive_failures, 0);
}

#[test]
fn runs_of_a_measurement_that_are_missing_are_queued_again_and_it_is_given_up_in_the_end() {
    let mut driven = closed(0);
    driven.command(measure(&driven)).unwrap();
    driven.read_live();
    let evaluation = driven.open();
    for requeued in 1..=2 {
        driven.observe(Observation::RunsMissing { evaluation });
        assert_eq!(driven.campaign.in_flight().next().unwrap().requeued, requeued);
    }
    driven.observe(Observation::RunsMissing { evaluation });
    assert_eq!(unmeasured(&driven), "case runs of an evaluation went missing");
    driven.settle(10);
    assert_eq!(work(&driven.campaign), Work::Nothing);
}

#[test]
fn a_rollback_or_a_cancel_ends_a_measurement_with_its_runs() {
    let mut driven = closed(0);
    driven.command(measure(&driven)).unwrap();
    driven.read_live();
    driven.roll_back();
    assert_eq!((driven.campaign.in_flight().count(), &driven.campaign.live.measuring), (0, &None));

    let mut driven = closed(0);
    driven.command(measure(&driven)).unwrap();
    driven.read_live();
    let cancel = Command::Cancel { reason: Some("too dear".to_owned()) };
    driven.command(cancel.clone()).unwrap();
    assert_eq!(unmeasured(&driven), "cancelled by local:test: too dear");
    assert_eq!(driven.campaign.status(), Status::Completed, "the campaign ended as it did");
    assert_eq!(driven.command(cancel).unwrap_err().code(), "campaign_wrong_status");
}

#[test]
fn by_policy_a_measurement_is_wanted_by_the_apply_itself_and_begins_within_its_window() {
    let mut driven = applied(automatic(1));
    driven.land(Some(9));
    driven.land(Some(9));
    assert_eq!(work(&driven.campaign), Work::ReadLive);
    driven.read_live();
    driven.land(Some(9));
    assert_eq!(measured(&driven).finding, Finding::Kept);

    let mut late = applied(automatic(5));
    late.command(Command::Pause { reason: None, cancel_runs: true }).unwrap();
    late.days_pass();
    late.command(Command::Resume { reason: None }).unwrap();
    late.land(Some(9));
    late.land(Some(9));
    late.read_live();
    assert_eq!(unmeasured(&late), "it could not begin within 60 minutes of the apply");
    assert_eq!(work(&late.campaign), Work::Propose);
}

#[test]
fn a_campaign_of_an_older_store_has_no_figures_of_its_approvals() {
    let mut driven = closed(0);
    driven.campaign.live.figures.clear();
    let older = serde_json::to_string(&driven.campaign).unwrap();
    assert!(!older.contains("figures") && !older.contains("measured\":"), "{older}");
    driven.campaign = serde_json::from_str(&older.replace(",\"measurements\":0", "")).unwrap();
    driven.command(measure(&driven)).unwrap();
    driven.read_live();
    driven.land(Some(2));
    assert_eq!(measured(&driven).finding, Finding::NoPromise);
}
