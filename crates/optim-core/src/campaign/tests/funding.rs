//! The ledger and the budget.

use super::comparing::{equal, measured, sequential};
use super::*;
use crate::campaign::ledger::{Allowance, Ledger};
use crate::campaign::request::KEYS_KEPT;
use crate::id::{RequestKey, WorkerId};
use crate::policy::Rule;
use crate::quantity::{MicroUsd, Millis};
use crate::run::Run;
use crate::run::transition::{
    RunCommand, RunObservation, decide as decide_run, observe as observe_run,
};
use crate::run::{Epoch, RunState};

fn held_for(campaign: &Campaign) -> &str {
    match &campaign.hold {
        Some(Hold::Budget { reason }) => reason,
        hold => panic!("{hold:?}"),
    }
}

/// Ends the evaluation in flight, which has used `tokens`.
fn land_at(driven: &mut Driven, passed: u64, tokens: u64) {
    let result = EvaluationResult { spent: spent(tokens), ..result(Some(passed)) };
    driven.observe(Observation::EvaluationFinished { evaluation: driven.open(), result });
}

fn more_tokens(tokens: u64) -> Command {
    let by = Extension { tokens: Tokens(tokens), ..Extension::default() };
    Command::Extend { by, reason: "it is worth it".to_owned() }
}

#[test]
fn work_that_the_budget_does_not_cover_is_not_queued() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    assert_eq!(driven.campaign.ledger.taken().tokens, Tokens(20 + 998 * CASES));
    land_at(&mut driven, 2, 9_000);
    assert_eq!(
        held_for(&driven.campaign),
        "10 case runs need up to 900 tokens each, 9000 tokens together; \
         980 tokens of 10000 tokens are left (max_total_tokens)"
    );
    assert_eq!(driven.campaign.status(), Status::PausedBudget);
    assert_eq!(
        driven.command(Command::Resume { reason: None }).unwrap_err().code(),
        "campaign_wrong_status"
    );
}

#[test]
fn a_request_with_a_key_has_one_effect_and_its_key_stands_for_nothing_else() {
    let key = |text: &str| RequestKey::new(text).unwrap();
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.once("k", more_tokens(500)).unwrap();
    let extended = driven.campaign.clone();
    driven.once("k", more_tokens(500)).unwrap();
    assert_eq!(driven.campaign, extended, "asked again, it is one");
    assert_eq!(driven.once("k", more_tokens(501)).unwrap_err().code(), "key_reused");
    let replay = Command::QueueReplay { reason: None };
    assert_eq!(driven.once("k", replay).unwrap_err().code(), "key_reused");
    assert_eq!(driven.campaign, extended);
    driven.once("other", more_tokens(500)).unwrap();
    driven.command(more_tokens(500)).unwrap();
    assert_eq!(driven.campaign.extension.tokens, Tokens(1_500), "two keys, and one without");
    // A refusal is no effect: the same key may be tried again.
    let nothing = Command::AddPairs { pairs: NonZeroU32::MIN, reason: "why".to_owned() };
    driven.once("pairs", nothing.clone()).unwrap_err();
    assert!(!driven.campaign.is_answered(&key("pairs"), &nothing.request().unwrap()).unwrap());
    // What is stored is small, and read from a campaign of before there were keys.
    let json = serde_json::to_value(&driven.campaign).unwrap();
    assert_eq!(json["requests"].as_array().unwrap().len(), 2);
    let mut older = json;
    older.as_object_mut().unwrap().remove("requests");
    let older: Campaign = serde_json::from_value(older).unwrap();
    assert!(older.requests.is_empty());
}

#[test]
fn the_oldest_key_is_forgotten_for_the_next() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    for number in 0..=KEYS_KEPT {
        driven.once(&format!("k{number}"), more_tokens(1)).unwrap();
    }
    let added = |driven: &Driven| driven.campaign.extension.tokens.0;
    let before = added(&driven);
    driven.once("k1", more_tokens(1)).unwrap();
    assert_eq!(added(&driven), before, "it is remembered");
    driven.once("k0", more_tokens(1)).unwrap();
    assert_eq!(added(&driven), before + 1, "it is not");
}

#[test]
fn an_extension_ends_the_hold_when_there_is_room_again() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    let frozen = driven.campaign.frozen.clone();
    driven.propose(1);
    land_at(&mut driven, 2, 9_000);
    driven.command(more_tokens(8_019)).unwrap();
    assert_eq!(driven.campaign.status(), Status::PausedBudget, "one token short");
    driven.command(more_tokens(1)).unwrap();
    assert_eq!(work(&driven.campaign), Work::Propose);
    assert_eq!(driven.campaign.frozen, frozen, "the policies stay as they were frozen");
    assert_eq!(driven.campaign.budget().max_total_tokens, Some(Tokens(18_020)));
}

#[test]
fn an_extension_keeps_to_the_bounds_of_the_profile() {
    let mut driven = Driven::searching(campaign(99, 0), 6);
    let mut refused = |by: Extension| {
        let extend = Command::Extend { by, reason: "more".to_owned() };
        driven.command(extend).unwrap_err().to_string()
    };
    let none = Extension::default();
    assert!(refused(none).contains("nothing is added"));
    assert_eq!(
        refused(Extension { experiments: 2, ..none }),
        "max_experiments would become 101, the profile of the budget allows at most 100"
    );
    assert_eq!(
        refused(Extension { minutes: 841, ..none }),
        "max_runtime_minutes would become 1441, the profile of the budget allows at most 1440"
    );
    assert_eq!(
        refused(Extension { cost: MicroUsd(1), ..none }),
        "the budget sets no max_total_cost_usd, so there is no limit to raise"
    );
    let one = Extension { experiments: 1, ..none };
    let unexplained = Command::Extend { by: one, reason: String::new() };
    assert_eq!(driven.command(unexplained).unwrap_err().code(), "reason_required");
    driven.command(Command::Extend { by: one, reason: "one more".to_owned() }).unwrap();
    assert_eq!(driven.campaign.budget().max_experiments, 100);
}

#[test]
fn further_experiments_let_the_search_go_on() {
    let mut driven = Driven::searching(campaign(1, 0), 6);
    driven.propose(1);
    let by = Extension { experiments: 1, ..Extension::default() };
    driven.command(Command::Extend { by, reason: "one more".to_owned() }).unwrap();
    driven.land(Some(2));
    assert_eq!(work(&driven.campaign), Work::Propose);
}

#[test]
fn a_cancelled_evaluation_keeps_its_reservation_until_its_cost_is_known() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    let cancelled = driven.open();
    let taken = driven.campaign.ledger.taken();
    driven.command(Command::Cancel { reason: None }).unwrap();
    assert_eq!(driven.campaign.ledger.taken(), taken);
    assert_eq!(driven.campaign.unsettled().collect::<Vec<_>>(), [cancelled]);
    driven.settle(70);
    assert_eq!(driven.campaign.ledger.taken().tokens, Tokens(90));
    driven.observe(Observation::EvaluationSettled { evaluation: cancelled, spent: spent(70) });
    assert_eq!(driven.campaign.ledger.taken().tokens, Tokens(90), "settled once");
}

#[test]
fn an_executor_that_keeps_no_limit_is_charged_in_full_and_shown() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    driven.propose(1);
    land_at(&mut driven, 2, 12_000);
    assert_eq!(driven.campaign.ledger.usage.tokens(), Tokens(12_020));
    assert_eq!(driven.campaign.ledger.overdrawn.tokens, Tokens(2_020));
    assert!(held_for(&driven.campaign).contains("0 tokens of 10000 tokens are left"));
}

#[test]
fn both_sides_of_a_confirmation_share_what_is_left() {
    let mut driven = Driven::searching(campaign(5, 4), 6);
    driven.propose(1);
    driven.land(Some(9));
    let each: Vec<_> =
        driven.campaign.in_flight().map(|open| open.allowance.tokens.unwrap().0).collect();
    assert_eq!(each, [(10_000 - 30) / 8; 2]);
}

fn asked(driven: &mut Driven, tokens: u64) -> bool {
    let at_most = Amount { tokens: Tokens(tokens), ..Amount::default() };
    driven.observe(Observation::ProposersAsked { at_most });
    work(&driven.campaign) == Work::Propose
}

#[test]
fn a_call_of_the_proposers_is_set_aside_before_it_and_settled_after_it() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    assert!(asked(&mut driven, 500));
    assert_eq!(driven.campaign.ledger.taken().tokens, Tokens(520));
    driven.observe(Observation::NothingToPropose {
        baseline: driven.campaign.baseline.fingerprint,
        refused: Refusals::default(),
        usage: Usage { completion_tokens: Tokens(30), ..Usage::default() },
    });
    assert_eq!(driven.campaign.ledger.taken().tokens, Tokens(50));
}

#[test]
fn a_call_that_was_lost_counts_as_paid() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    assert!(asked(&mut driven, 500));
    assert!(asked(&mut driven, 500), "the call is made again after the crash");
    assert_eq!(driven.campaign.ledger.taken().tokens, Tokens(1_020));
    driven.observe(Observation::Continued);
    assert_eq!(driven.campaign.ledger.usage.tokens(), Tokens(1_020));
    assert_eq!(driven.campaign.ledger.call, None);
}

#[test]
fn a_call_that_the_budget_does_not_cover_is_not_made() {
    let mut driven = Driven::searching(campaign(5, 0), 6);
    assert!(!asked(&mut driven, 9_981));
    assert_eq!(
        held_for(&driven.campaign),
        "the proposers need up to 9981 tokens; 9980 tokens of 10000 tokens are left (max_total_tokens)"
    );
    assert_eq!(driven.campaign.ledger.call, None);
}

#[test]
fn a_known_worst_case_leaves_the_rest_of_the_budget_alone() {
    let total = Allowance { tokens: Some(Tokens(1_000)), ..Allowance::default() };
    let worst = |tokens| Allowance { tokens: Some(Tokens(tokens)), ..Allowance::default() };
    let ledger =
        Ledger { dearest: Amount { tokens: Tokens(30), ..Amount::default() }, ..Ledger::default() };
    let share = |runs, worst: Option<Allowance>| {
        ledger.share(runs, &total, worst.as_ref()).map(|each| each.tokens.unwrap().0).ok()
    };
    assert_eq!(share(10, None), Some(100));
    assert_eq!(share(10, Some(worst(40))), Some(40));
    assert_eq!(share(10, Some(worst(20))), Some(30), "one run has used more than it should");
    assert_eq!(share(34, None), None, "29 each would stop a run like the dearest");
    assert_eq!(
        Ledger::default().share(1_001, &total, None).map_err(|short| short.to_string()),
        Err("1001 case runs need up to 1 tokens each, 1001 tokens together; \
             1000 tokens of 1000 tokens are left (max_total_tokens)"
            .to_owned())
    );
    let free = Ledger::default().share(1_001, &total, Some(&worst(0))).unwrap();
    assert_eq!(free.tokens, Some(Tokens(0)), "an executor that uses none needs none");
}

/// What each case run in flight may use.
fn allowed(driven: &Driven) -> Vec<u64> {
    driven.campaign.in_flight().map(|open| open.allowance.tokens.unwrap().0).collect()
}

#[test]
fn each_definition_gets_its_own_worst_case_from_the_first_evaluation_on() {
    let worst = |tokens| Some(Allowance { tokens: Some(Tokens(tokens)), ..Allowance::default() });
    let mut campaign = campaign(5, 4);
    campaign.baseline.worst_case = worst(40);
    let mut driven = Driven::new(campaign);
    driven.command(Command::Start { reason: None }).unwrap();
    assert_eq!(allowed(&driven), [40], "nothing is known yet but the worst case");
    assert_eq!(driven.campaign.ledger.taken().tokens, Tokens(40 * CASES));
    driven.land(Some(6));
    driven.land(Some(6));
    driven.observe(Observation::Proposed {
        baseline: driven.campaign.baseline.fingerprint,
        proposer: Proposer { name: "test".to_owned(), version: 1 },
        candidate: Candidate { worst_case: worst(70), ..candidate(1) },
        refused: Refusals::default(),
        usage: Usage::default(),
    });
    assert_eq!(allowed(&driven), [70], "the candidate may use more than the baseline");
    driven.land(Some(9));
    assert_eq!(allowed(&driven), [70, 70], "both sides of a confirmation are covered");
    driven.land(Some(9));
    driven.land(Some(9));
    let experiment = driven.campaign.current_experiment().unwrap().id;
    driven.command(Command::Approve { experiment, reason: None }).unwrap();
    assert_eq!(allowed(&driven), [70], "what is approved is the baseline, with its worst case");
    driven.land(Some(9));
    driven.land(Some(9));
    driven.propose(2);
    assert_eq!(allowed(&driven), [(10_000 - 70) / CASES], "not quoted: all that is left");
}

#[test]
fn an_allowance_that_covers_two_has_a_limit_where_both_have_one() {
    let limits = |tokens: Option<u64>, cost: Option<u64>| Allowance {
        tokens: tokens.map(Tokens),
        cost: cost.map(MicroUsd),
        time: None,
    };
    let covering = limits(Some(3), Some(5)).covering(limits(Some(4), None));
    assert_eq!(covering, limits(Some(4), None));
}

#[test]
fn a_claim_without_a_report_counts_as_the_dearest_run() {
    let queued = crate::run::transition::tests::run();
    let claim = RunCommand::Claim { worker: WorkerId::process(1) };
    let claimed = decide_run(&queued, &claim, Timestamp(1)).unwrap();
    let lost = observe_run(&claimed, RunObservation::Lost { epoch: Epoch(1) }).unwrap();
    let cancel = RunCommand::Cancel { reason: "paused".to_owned() };
    let cancelled = decide_run(&claimed, &cancel, Timestamp(2)).unwrap();
    assert!(matches!(cancelled.state, RunState::Cancelled { .. }));
    let before = Amount { tokens: Tokens(7), time: Millis(3), ..Amount::default() };
    let cost = |runs: &[_]| Amount::of(&Spent::on(runs, before).usage);
    assert_eq!(cost(&[queued]), Amount::default());
    assert_eq!(cost(std::slice::from_ref(&claimed)), Amount::default(), "it will report");
    assert_eq!(cost(&[lost.clone(), cancelled]), before.times(2));
    // One that hung and was given up has said nothing either; whether it is tried again or not.
    let hung = RunObservation::Stalled { signs: claimed.signs().unwrap(), at: Timestamp(9) };
    let of_pair = Run { paired: true, ..claimed.clone() };
    for given_up in [&claimed, &of_pair].map(|run| observe_run(run, hung.clone()).unwrap()) {
        assert_eq!(cost(&[given_up]), before);
    }
    // The faults that a side of a pair begins with are those of other runs.
    let again = Run { paired: true, faults: 1, ..lost.clone() };
    assert_eq!(cost(&[again]), before, "its own claim is lost, too");
    assert_eq!(Spent::on(&[lost], Amount::default()).usage, Usage::default(), "nothing is known");
}

#[test]
fn a_campaign_of_an_older_store_is_read() {
    let mut stored = serde_json::to_value(campaign(5, 0)).unwrap();
    let record = stored.as_object_mut().unwrap();
    for added in ["extension", "closing", "archived", "ledger"] {
        record.remove(added).unwrap();
    }
    let usage = Usage { prompt_tokens: Tokens(3), ..Usage::default() };
    record.insert("spent".to_owned(), serde_json::json!({"runs": 2, "usage": usage}));
    for (object, added) in [("frozen", "worst_case"), ("search", "retries")] {
        record.get_mut(object).unwrap().as_object_mut().unwrap().remove(added).unwrap();
    }
    let rule = stored.pointer_mut("/frozen/policies/eval/rule").unwrap().as_object_mut().unwrap();
    rule.remove("cost_margin").unwrap();
    let read: Campaign = serde_json::from_value(stored).unwrap();
    let Rule::Point { cost_margin, .. } = read.frozen.policies.eval.rule else { panic!() };
    assert_eq!(cost_margin, None, "it is judged as it was");
    assert_eq!((read.ledger.runs, read.ledger.usage), (2, usage));
}

#[test]
fn the_scarcest_limit_says_how_many_case_runs_a_budget_pays_for() {
    let limits = Allowance {
        tokens: Some(Tokens(1000)),
        cost: Some(MicroUsd(50)),
        time: Some(Millis(60_000)),
    };
    let taking = |tokens, cost, time| Amount {
        tokens: Tokens(tokens),
        cost: MicroUsd(cost),
        time: Millis(time),
    };
    assert_eq!(limits.runs_of(&taking(100, 6, 10)), Some((8, "max_total_cost_usd")));
    assert_eq!(limits.runs_of(&taking(300, 0, 10)), Some((3, "max_total_tokens")));
    assert_eq!(limits.runs_of(&Amount::default()), None, "what takes nothing has no end");
    assert_eq!(Allowance::default().runs_of(&taking(1, 1, 1)), None);
    assert_eq!(taking(10, 0, 7).per(4), taking(3, 0, 2), "rounded up");
}

/// Adds `more` experiments to the budget.
fn more_experiments(driven: &mut Driven, more: u32) {
    let by = Extension { experiments: more, ..Extension::default() };
    driven.command(Command::Extend { by, reason: "more ideas".to_owned() }).unwrap();
}

#[test]
fn experiments_that_are_added_leave_the_stakes_that_were_given_and_share_what_is_left() {
    let mut driven = Driven::searching(sequential(2, |_| {}), 6);
    driven.propose(1);
    let (given, pool) = (driven.trial().stake, driven.pool());
    more_experiments(&mut driven, 8);
    assert_eq!((driven.trial().stake, driven.pool()), (given, pool));
    driven.compare(equal);
    let pool = driven.pool();
    driven.propose(2);
    assert_eq!(driven.trial().stake, pool.shared_by(9), "nine of ten are still planned");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn stakes_and_pool_stay_within_alpha_however_often_experiments_are_added(
        steps in prop::collection::vec((0..4_u32, 0..6_u32, any::<u64>()), 1..30),
    ) {
        let mut driven = Driven::searching(sequential(2, |rules| rules.group = 2), 6);
        for (tag, (added, luck, draws)) in (0..).zip(steps) {
            if added > 0 && !driven.campaign.is_closed() {
                more_experiments(&mut driven, added);
            }
            match work(&driven.campaign) {
                Work::Propose => driven.propose(tag),
                Work::AwaitRuns(_) => driven.round(|side, case| {
                    let lucky = u64::from(side != Side::Control) * u64::from(luck);
                    measured((draws >> (case % 32)) % 8 < 3 + lucky)
                }),
                Work::AwaitOperator if driven.campaign.hold.is_none() => {
                    let (experiment, reason) = (driven.pending(), "because".to_owned());
                    driven.command(Command::Reject { experiment, reason }).unwrap();
                }
                _ => {}
            }
            // So do debug builds after every step.
            prop_assert_eq!(check(&driven.campaign), Vec::new());
        }
    }
}
