//! Candidates under the sequential rule.

use super::*;
use crate::campaign::pairing::{End, Landed};
use crate::campaign::recheck::recheck;
use crate::judge::error_budget::Stake;
use crate::metrics::measure::CaseMeasure;
use crate::pack::Split;
use crate::policy::{DecisionProfile, Rule, Sequential};
use crate::quantity::PerMillion;

const ALPHA: PerMillion = PerMillion(50_000);

/// A campaign by the sequential rule, with `change` of its standard profile.
pub(in crate::campaign) fn sequential(
    max_experiments: u32,
    change: impl Fn(&mut Sequential),
) -> Campaign {
    let Campaign { id, name, seed, source, mut frozen, created_at, .. } =
        campaign(max_experiments, 0);
    let mut rules = Sequential::of(DecisionProfile::Standard);
    change(&mut rules);
    frozen.policies.eval.rule = Rule::Sequential(rules);
    frozen.policies.budget.max_total_tokens = None;
    Campaign::draft(id, name, seed, source, frozen, created_at)
}

/// What becomes of the run of a side of a case.
pub(in crate::campaign) type Fate = fn(Side, u32) -> End;

pub(super) fn measured(passes: bool) -> End {
    End::Measured(CaseMeasure {
        passes,
        checks: Fraction::new(passes.into(), 1),
        unmet: u64::from(!passes),
        blocked: Fraction::new(0, 1),
        within_limits: true,
        usage: Usage::default(),
    })
}

/// The candidate passes every case, the baseline none.
pub(in crate::campaign) fn better(side: Side, _: u32) -> End {
    measured(side != Side::Control)
}

pub(super) fn equal(_: Side, case: u32) -> End {
    measured(case.is_multiple_of(2))
}

fn worse(side: Side, _: u32) -> End {
    measured(side == Side::Control)
}

impl Driven {
    /// Ends the round of pairs in flight.
    pub(in crate::campaign) fn round(&mut self, fate: impl Fn(Side, u32) -> End) {
        let pairing = self.campaign.open_batch().expect("a batch is in flight").clone();
        for open in &pairing.open {
            let Purpose::Paired { side, .. } = open.purpose else { panic!("not paired") };
            let runs = open.drawn.iter().flatten().map(|place| {
                let case = CaseId::new(format!("case-{place}")).unwrap();
                (*place, Landed { case, end: fate(side, *place) })
            });
            self.landed.insert(open.id, runs.collect());
        }
        let (batch, landed) = (pairing.batch, self.landed.clone());
        let spent = |id: EvaluationId| Spent { runs: self.runs[&id], ..spent(1) };
        let spent = pairing.open.iter().map(|open| (open.id, spent(open.id))).collect();
        self.observe(Observation::BatchLanded { batch, landed, faults: None, spent });
    }

    /// Compares until the candidates in flight are decided.
    pub(in crate::campaign) fn compare(&mut self, fate: Fate) {
        let mut rounds = 0;
        while self.campaign.open_batch().is_some() {
            self.round(fate);
            rounds += 1;
            assert!(rounds < 200, "a comparison ends");
        }
    }

    pub(super) fn trial(&self) -> &crate::trial::Trial {
        self.campaign.current_experiment().unwrap().trial.as_ref().unwrap()
    }

    pub(super) fn pool(&self) -> Stake {
        self.campaign.errors.unwrap().pool()
    }

    pub(super) fn state(&self, number: u32) -> &ExperimentState {
        &self.experiments.values().find(|experiment| experiment.number == number).unwrap().state
    }
}

#[test]
fn a_candidate_that_changes_nothing_is_discarded_and_gives_back_what_its_evidence_is_worth() {
    let mut driven = Driven::searching(sequential(5, |_| {}), 6);
    driven.propose(1);
    let staked = driven.trial().stake;
    driven.compare(equal);
    assert!(matches!(driven.state(1), ExperimentState::Discarded(_)), "{:?}", driven.state(1));
    assert_eq!(work(&driven.campaign), Work::Propose);
    assert!(staked > Stake::default() && driven.pool() <= Stake::whole(ALPHA));
}

#[test]
fn a_better_candidate_is_recommended_with_bounded_error_and_its_approval_needs_no_replays() {
    let mut driven = Driven::searching(sequential(5, |_| {}), 6);
    driven.propose(1);
    driven.compare(better);
    let ExperimentState::Recommended(judged) = driven.state(1) else {
        panic!("{:?}", driven.state(1))
    };
    assert_eq!(judged.judgement.error_control, crate::verdict::ErrorControl::Fwer { alpha: ALPHA });
    assert_eq!(judged.judgement.candidate.cases.num, judged.judgement.candidate.cases.den);
    assert_eq!(judged.flips.broken, []);
    assert_eq!(driven.campaign.status(), Status::AwaitingPromotionApproval);
    let experiment = driven.pending();
    driven.command(Command::Approve { experiment, reason: None }).unwrap();
    assert_eq!(driven.pool(), Stake::whole(ALPHA), "the stake of what has crossed is given back");
    assert_eq!(work(&driven.campaign), Work::Propose);
}

#[test]
fn a_fault_on_one_side_is_measured_again_on_both_before_anything_is_looked_at() {
    let mut driven = Driven::searching(sequential(5, |_| {}), 6);
    driven.propose(1);
    let odd = driven.campaign.open_batch().unwrap().drawn.iter().filter(|one| one.case % 2 == 1);
    let odd = odd.count();
    driven.round(|side, case| match side {
        Side::Candidate { .. } if case % 2 == 1 => End::Void,
        _ => measured(true),
    });
    assert_eq!(driven.trial().pairs, [], "nothing is looked at while a pair is open");
    let again = driven.campaign.open_batch().unwrap();
    let runs = again.open.iter().map(|open| (open.purpose.attempt(), open.drawn.clone().unwrap()));
    for (attempt, cases) in runs {
        assert_eq!((attempt, cases.len()), (1, odd));
    }
    assert_eq!(again.open.len(), 2, "both sides");
    driven.round(|_, _| measured(true));
    assert_eq!(driven.trial().pairs.len(), 8);
}

#[test]
fn after_a_batch_without_any_result_the_next_one_waits() {
    let mut driven = Driven::searching(sequential(4, |rules| rules.group = 1), 6);
    driven.propose(1);
    let first = driven.campaign.open_batch().unwrap().batch;
    while driven.campaign.open_batch().is_some() {
        driven.round(|_, _| End::Void);
    }
    assert!(matches!(work(&driven.campaign), Work::BackOff(_)), "{:?}", work(&driven.campaign));
    let last = driven.campaign.search.last_failure.as_deref();
    assert_eq!(last, Some("a batch of pairs gave no measurable result"));
    driven.wait_out();
    assert!(driven.campaign.open_batch().unwrap().batch > first, "another batch is drawn");
}

#[test]
fn runs_that_a_pause_has_stopped_are_measured_again_and_those_that_had_ended_are_not() {
    let mut driven = Driven::searching(sequential(5, |_| {}), 6);
    driven.propose(1);
    driven.command(Command::Pause { reason: None, cancel_runs: true }).unwrap();
    assert!(driven.campaign.open_batch().is_some(), "what was stopped has still to land");
    driven.round(|side, case| match side {
        Side::Candidate { .. } if case % 2 == 1 => End::Stopped,
        _ => measured(true),
    });
    assert_eq!(driven.campaign.open_batch(), None, "nothing starts while held");
    driven.command(Command::Resume { reason: None }).unwrap();
    let open = &driven.campaign.open_batch().unwrap().open;
    assert_eq!(open.len(), 1);
    assert!(!open[0].is_control() && open[0].purpose.attempt() == 0);
    assert!(open[0].drawn.iter().flatten().all(|case| case % 2 == 1));
}

#[test]
fn a_batch_that_landed_once_is_not_taken_in_again() {
    let mut driven = Driven::searching(sequential(5, |_| {}), 6);
    driven.propose(1);
    let pairing = driven.campaign.open_batch().unwrap().clone();
    driven.round(better);
    let before = driven.campaign.clone();
    let (landed, spent) = (Landings::new(), BTreeMap::new());
    driven.observe(Observation::BatchLanded { batch: pairing.batch, landed, faults: None, spent });
    assert_eq!(driven.campaign, before);
}

#[test]
fn no_two_batches_have_the_same_cases_in_the_same_order() {
    let mut driven = Driven::searching(sequential(5, |_| {}), 6);
    driven.propose(1);
    let mut drawn = Vec::new();
    while let Some(pairing) = driven.campaign.open_batch() {
        assert_eq!(pairing.drawn.len(), 8);
        drawn.push(pairing.drawn.clone());
        driven.round(equal);
    }
    let batches = drawn.len();
    drawn.sort_by_key(|drawn| format!("{drawn:?}"));
    drawn.dedup();
    assert!(batches > 1 && drawn.len() == batches);
}

#[test]
fn a_group_shares_its_control_and_the_best_of_it_wins() {
    let mut driven = Driven::searching(sequential(5, |rules| rules.group = 2), 6);
    driven.propose(1);
    assert_eq!(work(&driven.campaign), Work::Propose, "the group is not complete");
    driven.propose(2);
    let open = &driven.campaign.open_batch().unwrap().open;
    assert_eq!(open.len(), 3, "one control for two candidates");
    let first = driven.pending();
    driven.compare_with(move |side, case| match side {
        Side::Candidate { candidate } if candidate == first => measured(case.is_multiple_of(2)),
        side => better(side, case),
    });
    assert!(matches!(driven.state(2), ExperimentState::Recommended(_)));
    let first = driven.state(1);
    assert!(
        matches!(first, ExperimentState::Discarded(_) | ExperimentState::Superseded { .. }),
        "{first:?}"
    );
}

#[test]
fn a_candidate_under_review_waits_for_its_group_and_ends_with_its_campaign() {
    let dearer = |side: Side, first: ExperimentId| match side {
        Side::Candidate { candidate } if candidate == first => 500,
        _ => 100,
    };
    for cancelled in [false, true] {
        let mut driven = Driven::searching(sequential(5, |rules| rules.group = 2), 6);
        driven.propose(1);
        driven.propose(2);
        let first = driven.pending();
        let fate = |side: Side, case: u32| {
            let mut end = match side {
                Side::Candidate { candidate } if candidate == first => measured(true),
                Side::Candidate { .. } => measured(case == 0),
                Side::Control => measured(case == 1),
            };
            if let End::Measured(measure) = &mut end {
                measure.usage.prompt_tokens = Tokens(dearer(side, first));
            }
            end
        };
        while !matches!(driven.state(1), ExperimentState::NeedsReview(_)) {
            driven.round(fate);
        }
        if cancelled && driven.campaign.open_batch().is_some() {
            driven.command(Command::Cancel { reason: None }).unwrap();
            assert!(matches!(driven.state(1), ExperimentState::Superseded { .. }));
            continue;
        }
        driven.compare_with(fate);
        assert_eq!(driven.campaign.status(), Status::AwaitingPromotionApproval);
        assert_eq!(driven.pending(), first);
    }
}

#[test]
fn a_group_that_nobody_joins_is_compared_as_it_is() {
    let mut driven = Driven::searching(sequential(5, |rules| rules.group = 4), 6);
    driven.propose(1);
    driven.observe(Observation::NothingToPropose {
        baseline: driven.campaign.baseline.fingerprint,
        refused: Refusals::default(),
        usage: Usage::default(),
    });
    assert!(driven.campaign.open_batch().is_some());
}

#[test]
fn a_later_winner_is_compared_with_the_source_before_a_person_sees_it() {
    let mut driven = Driven::searching(sequential(5, |_| {}), 6);
    let source = driven.campaign.baseline.snapshot;
    driven.propose(1);
    driven.compare(better);
    let experiment = driven.pending();
    driven.command(Command::Approve { experiment, reason: None }).unwrap();
    driven.propose(2);
    while !driven.trial().is_anchored() {
        driven.round(better);
    }
    let control = driven.campaign.open_batch().unwrap().open.iter().find(|open| open.is_control());
    assert_eq!(control.unwrap().snapshot, source);
    driven.compare(better);
    assert!(matches!(driven.state(2), ExperimentState::Recommended(_)), "{:?}", driven.state(2));
    assert!(driven.trial().is_anchored());
}

#[test]
fn what_is_promising_when_the_budget_is_spent_goes_to_a_person_and_the_rest_waits() {
    let fates: [(Fate, bool); 2] = [(better, true), (worse, false)];
    for (fate, promising) in fates {
        let mut campaign = sequential(5, |rules| rules.n_min = 100);
        campaign.frozen.policies.budget.max_total_tokens = Some(Tokens(38));
        let mut driven = Driven::searching(campaign, 6);
        driven.propose(1);
        driven.compare(fate);
        let held = matches!(driven.campaign.hold, Some(Hold::Budget { .. }));
        let asked = matches!(driven.state(1), ExperimentState::NeedsReview(_));
        assert_eq!((asked, held), (promising, !promising), "{:?}", driven.campaign.hold);
    }
}

/// A campaign under review: its candidate is better in all of the eight pairs that it may have, which is
/// promising, and no proof.
fn under_review(holdout_cases: u32, change: impl Fn(&mut Sequential)) -> Driven {
    let mut campaign = sequential(20, |rules| {
        rules.n_max = 8;
        change(rules);
    });
    campaign.frozen.holdout_cases = holdout_cases;
    let mut driven = Driven::searching(campaign, 6);
    driven.propose(1);
    driven.compare(better);
    assert!(matches!(driven.state(1), ExperimentState::NeedsReview(_)), "{:?}", driven.state(1));
    driven
}

fn pairs(pairs: u32) -> Command {
    Command::AddPairs { pairs: NonZeroU32::new(pairs).unwrap(), reason: "why".to_owned() }
}

#[test]
fn a_winner_is_confirmed_by_whole_passes_of_fresh_pairs_on_the_holdout_cases() {
    let mut campaign = sequential(5, |rules| rules.confirm_pairs = 10);
    campaign.frozen.holdout_cases = 6;
    let mut driven = Driven::searching(campaign, 6);
    driven.propose(1);
    while driven.campaign.winner().is_none() {
        driven.round(better);
    }
    let decided = driven.trial().pairs.clone();
    let before = driven.campaign.clone();
    let (landed, spent) = (BTreeMap::new(), BTreeMap::new());
    driven.observe(Observation::BatchLanded { batch: 0, landed, faults: None, spent });
    assert_eq!(driven.campaign, before, "the first batch of the selection is not the first pass");
    let close = driven.command(Command::Close { reason: None }).unwrap_err();
    assert_eq!(close.code(), "campaign_wrong_status", "a winner is not thrown away");
    let mut passes = Vec::new();
    while let Some(pass) = driven.campaign.open_batch().cloned() {
        assert_eq!(pass.open.len(), 2, "both sides in one window");
        assert!(pass.open.iter().all(|open| open.split == Split::Holdout));
        let firsts: BTreeSet<_> = pass.order().chunks(2).map(|pair| pair[0].0).collect();
        assert_eq!(firsts.len(), 2, "the coin is flipped for each pair");
        let mut cases: Vec<_> = pass.drawn.iter().map(|drawn| drawn.case).collect();
        passes.push(cases.clone());
        cases.sort_unstable();
        assert_eq!(cases, [0, 1, 2, 3, 4, 5], "each case once");
        driven.round(worse);
    }
    assert_eq!(passes.len(), 2, "ten pairs take two passes");
    assert_ne!(passes[0], passes[1], "each pass has an order of its own");
    let ExperimentState::Recommended(judged) = driven.state(1) else {
        panic!("a confirmation decides nothing: {:?}", driven.state(1))
    };
    let confirmation = judged.confirmation.as_ref().unwrap();
    let (old, new) = (confirmation.baseline.cases, confirmation.candidate.cases);
    assert_eq!((old, new), (Fraction::new(12, 12), Fraction::new(0, 12)));
    let gain = confirmation.gain.unwrap();
    assert_eq!((gain.pairs, gain.mean.millionths()), (12, -1_000_000));
    assert_eq!(driven.trial().pairs, decided, "they are apart from what it was selected by");
    assert_eq!(driven.campaign.status(), Status::AwaitingPromotionApproval);
}

#[test]
fn a_confirmation_without_any_result_waits_is_measured_again_and_holds_the_campaign_in_the_end() {
    let mut campaign = sequential(5, |_| {});
    campaign.frozen.holdout_cases = 50;
    let mut driven = Driven::searching(campaign, 6);
    driven.propose(1);
    while driven.campaign.winner().is_none() {
        driven.round(better);
    }
    for failures in 1..=3 {
        while driven.campaign.open_batch().is_some() {
            driven.round(|_, _| End::Void);
        }
        assert_eq!(driven.campaign.search.consecutive_failures, failures);
        driven.wait_out();
    }
    assert_eq!(driven.campaign.status(), Status::Failed);
    let last = driven.campaign.search.last_failure.as_deref();
    assert_eq!(last, Some("a confirmation gave no measurable result"));
    driven.command(Command::ResetFailures { reason: "it is back".to_owned() }).unwrap();
    driven.compare(better);
    let gain = driven.state(1).judged().unwrap().confirmation.as_ref().unwrap().gain.unwrap();
    assert_eq!(gain.pairs, 50, "a pass without any result does not count");
}

#[test]
fn a_confirmation_that_the_budget_does_not_cover_waits_for_more() {
    let mut campaign = sequential(5, |_| {});
    campaign.frozen.holdout_cases = 4;
    let mut driven = Driven::searching(campaign, 6);
    driven.propose(1);
    while driven.campaign.winner().is_none() {
        // The last batch of the comparison is paid, and almost nothing after it.
        if driven.trial().pairs.len() == 32 {
            let Tokens(taken) = driven.campaign.ledger.taken().tokens;
            driven.campaign.frozen.policies.budget.max_total_tokens = Some(Tokens(taken + 4));
        }
        driven.round(better);
    }
    assert_eq!(driven.campaign.status(), Status::PausedBudget);
    let by = Extension { tokens: Tokens(1_000_000), ..Extension::default() };
    driven.command(Command::Extend { by, reason: "it is worth it".to_owned() }).unwrap();
    driven.compare(better);
    assert_eq!(driven.campaign.status(), Status::AwaitingPromotionApproval);
}

#[test]
fn added_pairs_go_on_with_the_evidence_that_there_is() {
    let mut driven = under_review(4, |rules| rules.guardrails.blocked_node_rate = None);
    let before = driven.trial().clone();
    let (pool, experiment) = (driven.pool(), driven.pending());
    driven.command(pairs(8)).unwrap();
    assert!(matches!(driven.state(1), ExperimentState::Evaluating));
    assert_eq!(driven.pool(), pool, "the stake stays where it is");
    let open = driven.campaign.open_batch().unwrap();
    assert_eq!(open.batch, 1, "the next batch of the same comparison");
    assert!(open.open.iter().all(|open| open.split == Split::Search));
    driven.round(better);
    assert!(matches!(driven.state(1), ExperimentState::Recommended(_)), "{:?}", driven.state(1));
    let after = driven.trial();
    assert_eq!(after.pairs[..8], before.pairs[..]);
    assert_eq!((after.pairs.len(), after.extended), (16, 8));
    assert_eq!(after.holdout, before.holdout, "what the holdout has shown is not drawn again");
    assert_eq!(driven.campaign.status(), Status::AwaitingPromotionApproval);
    driven.command(Command::Approve { experiment, reason: None }).unwrap();
    assert_eq!(driven.pool(), Stake::whole(ALPHA));
}

#[test]
fn a_candidate_that_its_group_has_left_behind_meets_no_batch_of_the_group_again() {
    let mut driven = Driven::searching(
        sequential(20, |rules| {
            rules.group = 2;
            rules.n_max = 24;
        }),
        6,
    );
    driven.propose(1);
    driven.propose(2);
    let first = driven.pending();
    // The first one is better and dearer, the second one neither.
    let fate = |side: Side, case: u32| match side {
        Side::Candidate { candidate } if candidate == first => match measured(true) {
            End::Measured(mut measure) => {
                measure.usage.prompt_tokens = Tokens(500);
                End::Measured(measure)
            }
            end => end,
        },
        Side::Candidate { .. } => measured(case == 0),
        Side::Control => match measured(case == 1) {
            End::Measured(mut measure) => {
                measure.usage.prompt_tokens = Tokens(100);
                End::Measured(measure)
            }
            end => end,
        },
    };
    driven.compare_with(fate);
    assert!(matches!(driven.state(1), ExperimentState::NeedsReview(_)), "{:?}", driven.state(1));
    // That nothing is queued under an id that was used before is asserted at each step.
    driven.command(pairs(8)).unwrap();
    let open = driven.campaign.open_batch().unwrap();
    assert_eq!(usize::try_from(open.batch).unwrap() * 8, driven.trial().pairs.len());
    assert_eq!(open.open.len(), 2);
}

#[test]
fn pairs_are_added_to_a_candidate_under_review_alone_and_only_if_one_more_batch_can_be_paid() {
    let refused = |driven: &mut Driven, command: Command| {
        let before = driven.campaign.clone();
        let code = driven.command(command).unwrap_err().code();
        assert_eq!(driven.campaign, before);
        code
    };
    let mut searching = Driven::searching(sequential(5, |_| {}), 6);
    assert_eq!(refused(&mut searching, pairs(8)), "nothing_under_review");
    searching.propose(1);
    searching.compare(better);
    assert_eq!(refused(&mut searching, pairs(8)), "nothing_under_review", "it is recommended");
    let mut sums = Driven::searching(campaign(5, 0), 6);
    sums.propose(1);
    sums.land(Some(9));
    assert_eq!(refused(&mut sums, pairs(8)), "nothing_under_review", "there are no pairs");
    let mut reviewed = under_review(0, |_| {});
    let blank = Command::AddPairs { pairs: NonZeroU32::MIN, reason: " ".to_owned() };
    assert_eq!(refused(&mut reviewed, blank), "reason_required");
    let taken = reviewed.campaign.ledger.taken().tokens;
    reviewed.campaign.frozen.policies.budget.max_total_tokens = Some(taken);
    assert_eq!(refused(&mut reviewed, pairs(8)), "budget_too_small");
}

#[test]
fn an_approval_anyway_is_inside_the_guarantee_only_if_the_evidence_had_reached_its_bar() {
    let anyway = |driven: &mut Driven| {
        let experiment = driven.pending();
        let stake = driven.trial().stake;
        let before = driven.pool();
        let asked = driven.command(Command::Approve { experiment, reason: Some("why".to_owned()) });
        assert_eq!(asked.unwrap_err().code(), "not_recommended");
        let reason = "why".to_owned();
        let approve = Command::ApproveAnyway { experiment, reason };
        let told = decide(&driven.campaign, &approve, &cx(99)).unwrap().events;
        driven.command(approve).unwrap();
        let ExperimentState::Approved { anyway, .. } = driven.state(1) else { panic!("approved") };
        let told = told.into_iter().find_map(|event| match event.what {
            EventKind::CandidateApproved { anyway, .. } => Some(anyway),
            _ => None,
        });
        assert_eq!(told, Some(*anyway), "the audit log says it too");
        assert_eq!(driven.pool(), before.with(stake), "promising evidence gives back all of it");
        *anyway
    };
    assert_eq!(anyway(&mut under_review(0, |_| {})), Some(Anyway::OutsideGuarantee));
    let mut crossed = under_review(0, |_| {});
    crossed.command(pairs(8)).unwrap();
    crossed.round(better);
    assert!(matches!(crossed.state(1), ExperimentState::NeedsReview(_)), "a guardrail is unproven");
    assert_eq!(anyway(&mut crossed), Some(Anyway::InsideGuarantee));
    let mut recommended = Driven::searching(sequential(5, |_| {}), 6);
    recommended.propose(1);
    recommended.compare(better);
    let experiment = recommended.pending();
    let approve = Command::ApproveAnyway { experiment, reason: "why".to_owned() };
    recommended.command(approve).unwrap();
    let ExperimentState::Approved { anyway, .. } = recommended.state(1) else { panic!("approved") };
    assert_eq!(*anyway, None, "it is what the judge recommends");
}

#[test]
fn a_rejected_review_gives_back_what_its_evidence_is_worth() {
    // In review because the outside fails too often, while the evidence is against it.
    let mut driven = Driven::searching(sequential(20, |rules| rules.n_min = 100), 6);
    driven.propose(1);
    while driven.campaign.open_batch().is_some() {
        driven.round(|side, case| if case < 5 { End::Void } else { worse(side, case) });
    }
    assert!(matches!(driven.state(1), ExperimentState::NeedsReview(_)), "{:?}", driven.state(1));
    let (pool, trial) = (driven.pool(), driven.trial().clone());
    let (rules, score) = match &driven.campaign.frozen.policies.eval {
        EvalPolicy { rule: Rule::Sequential(rules), score, .. } => (*rules, *score),
        _ => panic!("not sequential"),
    };
    let evidence = trial.comparison(&rules, score).unwrap().evidence().combined;
    let experiment = driven.pending();
    driven.command(Command::Reject { experiment, reason: "no".to_owned() }).unwrap();
    assert_eq!(driven.pool(), pool.with(trial.stake.left_with(evidence)));
    assert!(driven.pool() < pool.with(trial.stake));
}

#[test]
fn an_approval_by_pairs_that_say_something_else_is_refused() {
    let mut driven = Driven::searching(sequential(5, |_| {}), 6);
    driven.propose(1);
    driven.compare(better);
    let workflow = super::decision::workflow(60_000);
    let sound = driven.campaign.current_experiment().unwrap().clone();
    let sound = Experiment { mutation: super::decision::longer_timeout(), ..sound };
    let check = |change: fn(&mut crate::trial::Trial)| {
        let mut experiment = sound.clone();
        change(experiment.trial.as_mut().unwrap());
        recheck(&driven.campaign, &experiment, &workflow, None)
    };
    assert_eq!(check(|_| {}), Ok(()));
    let worse = check(|trial| {
        for pair in &mut trial.pairs {
            pair.figures.as_mut().unwrap().gain = crate::judge::difference::Difference::LESS;
        }
    });
    assert!(worse.unwrap_err().starts_with("judged again, its pairs say something else"));
    let fewer = check(|trial| trial.pairs.truncate(8));
    assert!(fewer.unwrap_err().starts_with("judged again, its pairs say something else"));
    let gone = check(|trial| drop(trial.pairs.drain(..8)));
    assert!(gone.unwrap_err().starts_with("its pairs are damaged"));
}

#[test]
fn records_of_before_there_was_an_approval_anyway_are_read() {
    let event: EventKind = serde_json::from_value(serde_json::json!({
        "event": "candidate_approved", "experiment": ExperimentId::derive(&[b"e"]),
        "version": 1, "reason": null,
    }))
    .unwrap();
    assert!(matches!(event, EventKind::CandidateApproved { anyway: None, .. }));
    let mut driven = Driven::searching(sequential(5, |_| {}), 6);
    driven.propose(1);
    driven.compare(better);
    let experiment = driven.pending();
    driven.command(Command::Approve { experiment, reason: None }).unwrap();
    let stored = serde_json::to_string(&driven.experiments[&experiment]).unwrap();
    assert!(!stored.contains("anyway") && !stored.contains("holdout"), "{stored}");
    let read: Experiment = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, driven.experiments[&experiment]);
}

/// Whatever a person and the outside do in a comparison, in some steps; the invariants are asserted at each step.
pub(super) fn wander(seed: u64, steps: u64) -> Driven {
    let mut campaign = sequential(12, |rules| {
        rules.group = 1 + u32::try_from(seed % 3).unwrap();
        rules.n_max = 16 + 8 * u32::try_from(seed % 4).unwrap();
        rules.confirm_pairs = 5;
    });
    campaign.frozen.holdout_cases = 3;
    campaign.frozen.policies.budget.max_total_tokens = Some(Tokens(2_000));
    let mut driven = Driven::searching(campaign, 6);
    let mut draws = crate::judge::split_mix::SplitMix64::new(seed);
    for step in 0..steps {
        let dice = draws.next_u64() % 32;
        let reason = || "because".to_owned();
        let by = Extension { tokens: Tokens(500), ..Extension::default() };
        let command = match (dice, work(&driven.campaign)) {
            _ if driven.campaign.is_closed() => break,
            (0, _) => Some(Command::Pause { reason: None, cancel_runs: step.is_multiple_of(2) }),
            (1, _) => Some(Command::Close { reason: None }).filter(|_| step > 300),
            (2, _) => {
                driven.days_pass();
                None
            }
            (_, Work::Propose) => {
                driven.propose(step);
                None
            }
            (dice, Work::AwaitRuns(_)) => {
                let luck = draws.next_u64();
                let rare = luck.is_multiple_of(16);
                driven.round(|side, case| {
                    let mut own = crate::judge::split_mix::SplitMix64::new(luck ^ u64::from(case));
                    let [outside, control, candidate] = [(); 3].map(|()| own.next_u64() % 4);
                    match side {
                        _ if rare && outside < 2 => End::Void,
                        _ if dice == 3 && outside < 2 => End::Stopped,
                        Side::Control => measured(control < 2),
                        // Some are better, some are not.
                        Side::Candidate { candidate: of } => {
                            measured(candidate < 2 + u64::from(of.as_bytes()[0] % 3))
                        }
                    }
                });
                None
            }
            (_, Work::BackOff(_)) => {
                driven.wait_out();
                None
            }
            (_, Work::Settle(_)) => {
                driven.settle(10);
                None
            }
            (dice, _) => {
                match (&driven.campaign.hold, driven.campaign.winner().map(|one| one.id)) {
                    (Some(Hold::Failures { .. }), _) => {
                        Some(Command::ResetFailures { reason: reason() })
                    }
                    (Some(Hold::Budget { .. }), _) => {
                        Some(Command::Extend { by, reason: reason() })
                    }
                    (Some(_), _) => Some(Command::Resume { reason: None }),
                    (None, Some(experiment)) => Some(match dice % 5 {
                        0 => Command::Approve { experiment, reason: None },
                        1 => Command::ApproveAnyway { experiment, reason: reason() },
                        2 => Command::Reject { experiment, reason: reason() },
                        _ => pairs(1 + u32::try_from(dice).unwrap()),
                    }),
                    (None, None) => None,
                }
            }
        };
        if let Some(command) = command {
            let before = driven.campaign.clone();
            if driven.command(command).is_err() {
                assert_eq!(driven.campaign, before, "a refused command changes nothing");
            }
        }
    }
    driven
}

#[test]
fn stakes_and_pool_never_exceed_alpha_whatever_happens_and_equal_walks_are_equal() {
    let mut seen = BTreeSet::new();
    for seed in 0..48 {
        let driven = wander(seed, 400);
        for experiment in driven.experiments.values() {
            let extended = experiment.trial.as_ref().is_some_and(|trial| trial.extended > 0);
            let confirmed =
                experiment.state.judged().is_some_and(|judged| judged.confirmation.is_some());
            seen.insert((experiment.state.name(), extended, confirmed));
        }
        if seed.is_multiple_of(8) {
            let again = wander(seed, 400);
            assert_eq!((driven.campaign, driven.experiments), (again.campaign, again.experiments));
        }
    }
    for wanted in [
        ("approved", false, true),
        ("approved", true, true),
        ("rejected", true, true),
        ("discarded", true, false),
        ("superseded", false, false),
    ] {
        assert!(seen.contains(&wanted), "{wanted:?} is not in {seen:?}");
    }
}

impl Driven {
    fn compare_with(&mut self, fate: impl Fn(Side, u32) -> End) {
        while self.campaign.open_batch().is_some() {
            self.round(&fate);
        }
    }
}
