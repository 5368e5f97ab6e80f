//! What pairs of one definition say about the evaluator.

use expect_test::expect;

use super::look::{figures, pair, terms};
use crate::id::CaseId;
use crate::judge::comparison::{Comparison, Terms};
use crate::judge::difference::Difference;
use crate::judge::health::{Finding, FlakyCase, Health, Observed};
use crate::judge::look::Funds;
use crate::judge::pair::{Faulted, PairRecord};
use crate::judge::plan::Goal;
use crate::judge::split_mix::SplitMix64;
use crate::policy::{DecisionProfile, Sequential};
use crate::quantity::Fraction;
use crate::trial::batches;

fn case(index: u32) -> CaseId {
    CaseId::new(format!("case-{index}")).unwrap()
}

/// What `pairs`, eight in a batch, and `runs` show, of a comparison that ends after 64.
fn health(pairs: &[PairRecord], runs: &[Observed]) -> Health {
    let Terms { rules, .. } = terms();
    let rules = Sequential { n_min: 64, n_max: 64, ..rules };
    let terms = Terms { rules, ..terms() };
    let mut comparison = Comparison::new(terms);
    batches(pairs).for_each(|batch| comparison.take(&batch.unwrap()).unwrap());
    let look = comparison.look(Funds::Left);
    let planned = Sequential::of(DecisionProfile::Standard);
    Health::new(pairs, &comparison, look, runs, |flips| {
        Goal::new(&planned, terms.stake, flips, planned.n_max)
    })
}

/// 64 pairs with these differences, in turn.
fn pairs(differences: &[Difference]) -> Vec<PairRecord> {
    let in_turn = differences.iter().cycle().zip(0..64);
    in_turn.map(|(gain, index)| pair(index / 8, index % 8, Some(figures(*gain)))).collect()
}

/// Runs of 16 cases in 8 batches, that pass as `passes` says.
fn runs(mut passes: impl FnMut(u32, u32) -> bool) -> Vec<Observed> {
    let each = (0..8).flat_map(|batch| (0..16).map(move |index| (batch, index)));
    each.map(|(batch, index)| Observed { case: case(index), batch, passes: passes(batch, index) })
        .collect()
}

const SAME: [Difference; 1] = [Difference::NONE];

#[test]
fn pairs_that_differ_both_ways_are_noise_and_the_share_that_does_is_counted() {
    let [less, same, more] = [Difference::LESS, Difference::NONE, Difference::MORE];
    let found = health(&pairs(&[more, same, same, same, less, same, same, same]), &[]);
    assert_eq!(found.differing, Fraction::new(16, 64));
    assert_eq!(found.findings, []);
}

#[test]
fn cases_that_pass_sometimes_and_fail_sometimes_are_named_with_their_counts() {
    let found = health(&pairs(&SAME), &runs(|batch, index| index != 3 || batch % 4 == 0));
    assert_eq!(found.flaky, [FlakyCase { case: case(3), passed: 2, failed: 6 }]);
    assert!(found.is_healthy());
}

#[test]
fn sides_that_are_the_same_and_differ_are_no_noise() {
    for difference in [Difference::MORE, Difference::LESS] {
        let found = health(&pairs(&[difference, Difference::NONE]), &[]);
        assert_eq!(found.findings.first(), Some(&Finding::SidesDiffer), "{difference:?}");
    }
}

#[test]
fn what_changes_between_the_halves_of_the_batches_is_drift_and_what_changes_back_is_not() {
    let breaks = health(&pairs(&SAME), &runs(|batch, _| batch < 4));
    assert_eq!(breaks.findings, [Finding::Drift]);
    assert_eq!((breaks.drift.cases, breaks.drift.better, breaks.drift.worse), (16, 0, 16));
    assert_eq!(breaks.drift.later, Fraction::new(0, 64));
    let comes_and_goes = health(&pairs(&SAME), &runs(|batch, _| batch % 2 == 0));
    assert_eq!(comes_and_goes.findings, []);
}

#[test]
fn drift_is_found_by_chance_in_less_than_one_of_a_hundred_evaluators() {
    let mut random = SplitMix64::new(7);
    let alarms = (0..1000).filter(|_| {
        let flaky = runs(|_, _| random.next_u64() % 10 < 7);
        health(&pairs(&SAME), &flaky).findings == [Finding::Drift]
    });
    assert!(alarms.count() < 10);
}

#[test]
fn drift_is_a_matter_of_cases_that_were_run_in_both_halves() {
    // Other cases later, and harder ones: nothing has changed.
    let others = runs(|batch, _| batch < 4).into_iter().map(|run| match run.batch {
        0..4 => run,
        _ => Observed { case: CaseId::new(format!("late-{}", run.case)).unwrap(), ..run },
    });
    let found = health(&pairs(&SAME), &others.collect::<Vec<_>>());
    assert_eq!((found.drift.cases, found.findings.as_slice()), (0, &[][..]));
}

#[test]
fn faults_are_counted_for_each_side_and_too_many_make_it_unhealthy() {
    let faulted = |fault: Faulted, void: u32| {
        let mut pairs = pairs(&SAME);
        for pair in pairs.iter_mut().take(8) {
            pair.faulted = fault;
        }
        pairs.iter_mut().filter(|pair| pair.batch < void).for_each(|pair| pair.figures = None);
        health(&pairs, &[])
    };
    let both = faulted(Faulted::Both, 0);
    assert_eq!((both.faults, both.findings.as_slice()), ([8, 8], &[][..]));
    let one = faulted(Faulted::Candidate, 0);
    assert_eq!((one.faults, one.findings.as_slice()), ([0, 8], &[Finding::Faults][..]));
    let void = faulted(Faulted::Both, 1);
    assert_eq!(
        (void.void, void.findings.as_slice()),
        (Fraction::new(8, 64), &[Finding::Faults][..])
    );
    let nothing = faulted(Faulted::Both, 8);
    assert_eq!(nothing.findings, [Finding::NothingMeasured, Finding::Faults]);
}

#[test]
fn noise_that_hides_the_gain_that_is_looked_for_is_not_healthy() {
    let found = health(&pairs(&[Difference::MORE, Difference::LESS]), &[]);
    assert_eq!(found.differing, Fraction::new(64, 64));
    assert_eq!(found.findings, [Finding::Noise]);
    expect!["so many pairs differ that the gain that the rules look for is out of reach; make the flaky cases steadier, or see `optim plan`"]
        .assert_eq(&Finding::Noise.to_string());
}
