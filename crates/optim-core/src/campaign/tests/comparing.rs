//! Candidates under the sequential rule.

use super::*;
use crate::campaign::pairing::{End, Landed};
use crate::judge::error_budget::Stake;
use crate::metrics::measure::CaseMeasure;
use crate::policy::{DecisionProfile, Rule, Sequential};
use crate::quantity::PerMillion;

const ALPHA: PerMillion = PerMillion(50_000);

/// A campaign by the sequential rule, with `change` of its standard profile.
pub(super) fn sequential(max_experiments: u32, change: impl Fn(&mut Sequential)) -> Campaign {
    let Campaign { id, name, seed, source, mut frozen, created_at, .. } =
        campaign(max_experiments, 0);
    let mut rules = Sequential::of(DecisionProfile::Standard);
    change(&mut rules);
    frozen.policies.eval.rule = Rule::Sequential(rules);
    frozen.policies.budget.max_total_tokens = None;
    Campaign::draft(id, name, seed, source, frozen, created_at)
}

/// What becomes of the run of a side of a case.
pub(super) type Fate = fn(Side, u32) -> End;

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
pub(super) fn better(side: Side, _: u32) -> End {
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
    pub(super) fn round(&mut self, fate: impl Fn(Side, u32) -> End) {
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
        let spent = pairing.open.iter().map(|open| (open.id, spent(1))).collect();
        self.observe(Observation::BatchLanded { batch, landed, faults: None, spent });
    }

    /// Compares until the candidates in flight are decided.
    pub(super) fn compare(&mut self, fate: Fate) {
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

#[test]
fn stakes_and_pool_never_exceed_alpha_whatever_happens() {
    for seed in 0..8_u64 {
        let mut driven = Driven::searching(sequential(20, |rules| rules.group = 3), 6);
        let mut draws = crate::judge::split_mix::SplitMix64::new(seed);
        for step in 0..400 {
            if driven.campaign.is_closed() {
                break;
            }
            match work(&driven.campaign) {
                Work::Propose => driven.propose(step),
                Work::AwaitRuns(_) => {
                    let luck = draws.next_u64();
                    driven.round(|side, case| match (side, luck >> (case % 32)) {
                        (Side::Candidate { .. }, luck) => measured(luck % 4 != 0),
                        (Side::Control, luck) => measured(luck % 8 > 1),
                    });
                }
                _ => {
                    let experiment = driven.pending();
                    let reason = Some("because".to_owned());
                    driven.command(Command::Approve { experiment, reason }).unwrap();
                }
            }
        }
    }
}

impl Driven {
    fn compare_with(&mut self, fate: impl Fn(Side, u32) -> End) {
        while self.campaign.open_batch().is_some() {
            self.round(&fate);
        }
    }
}
