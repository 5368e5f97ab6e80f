//! What can be proven with how many pairs.

use expect_test::expect;

use crate::judge::comparison::Terms;
use crate::judge::error_budget::Stake;
use crate::judge::plan::{Goal, forecast, pairs_to_promote, plan};
use crate::policy::{DecisionProfile, Score, Sequential};
use crate::quantity::{Fraction, PerMillion};

use super::vectors::reference;

#[test]
fn the_forecast_of_a_candidate_is_that_of_the_table() {
    // A second writing of the same recursion gave these; rounded, they are the published table.
    for (stake, flips, gain, power, pairs) in [
        (50_000, 0.05, 0.0, 0.0026, 35.8622),
        (50_000, 0.10, 0.10, 0.8560, 89.2048),
        (2500, 0.05, 0.10, 0.8555, 99.4699),
        (2500, 0.10, 0.20, 0.9951, 58.2145),
        (500, 0.10, 0.20, 0.9951, 73.1410),
    ] {
        let stake = Stake::whole(PerMillion(stake));
        let terms = Terms { rules: reference(), score: Score::AllOrNothing, stake };
        let found = forecast(terms, flips, gain).unwrap();
        assert!((found.power - power).abs() < 0.0001, "{flips}, {gain}: {found:?}");
        assert!((found.pairs - pairs).abs() < 0.0001, "{flips}, {gain}: {found:?}");
    }
}

#[test]
fn the_pairs_to_a_promotion_are_those_of_the_table() {
    for (differ, gain, wanted) in [
        (0.10, 0.05, [321.0, 550.0, 673.0]),
        (0.15, 0.10, [116.0, 198.0, 242.0]),
        (0.25, 0.10, [204.0, 350.0, 428.0]),
        (0.30, 0.20, [58.0, 99.0, 121.0]),
        (0.45, 0.10, [375.0, 642.0, 786.0]),
    ] {
        let found = [50_000, 2500, 500].map(|level| {
            let stake = Stake::whole(PerMillion(level));
            pairs_to_promote(stake, differ - gain / 2.0, gain).ceil()
        });
        assert_eq!(found, wanted, "{differ}, {gain}");
    }
}

#[test]
fn a_plan_says_what_can_be_proven_and_what_cannot() {
    let rules = Sequential::of(DecisionProfile::Standard);
    let of = |rules| plan(rules, Score::AllOrNothing, 64, Fraction::new(6, 64), 20).to_string();
    expect![[r#"
        with 64 cases and 240 pairs a candidate:
          +5 points: proven with a probability of 4 %, after 57 pairs on average; 80 % takes about 994 pairs and `mde: 0.0375`
          +10 points: proven with a probability of 45 %, after 94 pairs on average; 80 % takes about 282 pairs and `mde: 0.075`
          +15 points: proven with a probability of 86 %, after 79 pairs on average; 80 % takes about 134 pairs and `mde: 0.1125`
          +20 points: proven with a probability of 96 %, after 56 pairs on average; 80 % takes about 81 pairs"#]].assert_eq(&of(rules));
    expect![[r#"
        with 64 cases and 2000 pairs a candidate:
          +5 points: 80 % takes about 994 pairs and `mde: 0.0375`
          +10 points: 80 % takes about 282 pairs and `mde: 0.075`
          +15 points: 80 % takes about 134 pairs and `mde: 0.1125`
          +20 points: 80 % takes about 81 pairs"#]]
    .assert_eq(&of(Sequential { n_max: 2000, ..rules }));
}

#[test]
fn a_goal_is_in_reach_when_the_pairs_of_a_candidate_prove_it_on_average() {
    let stake = Stake::whole(PerMillion(2500));
    let goal = |mde, pairs| {
        let rules =
            Sequential { mde: PerMillion(mde), ..Sequential::of(DecisionProfile::Standard) };
        Goal::new(&rules, stake, Fraction::new(75, 1000), pairs)
    };
    // The table has 550 pairs for +5 points where a tenth of the pairs differs.
    assert_eq!(goal(50_000, 240).expected, 550);
    assert!(goal(50_000, 550).is_in_reach() && !goal(50_000, 549).is_in_reach());
    assert_eq!(goal(50_000, 550).needed(), 825);
    assert_eq!(goal(50_000, 550).reach, Some(PerMillion(50_000)));
    expect!["a gain of 5 points (`mde: 0.05`) takes about 550 pairs, and a candidate can have 240, which prove +8 points at best"]
        .assert_eq(&goal(50_000, 240).to_string());
    expect!["a gain of 5 points (`mde: 0.05`) takes about 550 pairs, and a candidate can have 3, which prove nothing"]
        .assert_eq(&goal(50_000, 3).to_string());
}

#[test]
fn a_promotion_takes_the_pairs_that_prove_its_guardrail() {
    let rules = Sequential::of(DecisionProfile::Standard);
    let floor = |margin| {
        let mut rules = rules;
        rules.guardrails.blocked_node_rate = margin;
        plan(rules, Score::AllOrNothing, 64, Fraction::new(0, 64), 20).floor
    };
    let floors = [None, Some(PerMillion(100_000)), Some(PerMillion(50_000))].map(floor);
    assert_eq!(floors, [None, Some(40), Some(72)]);
}
