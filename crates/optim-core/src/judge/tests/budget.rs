//! The error budget: nothing is risked twice, and nothing is lost.

use proptest::prelude::*;

use crate::judge::comparison::Comparison;
use crate::judge::difference::Difference;
use crate::judge::error_budget::{ErrorBudget, PoolEmpty, Stake};
use crate::judge::evalue::LogE;
use crate::quantity::PerMillion;

use super::look::{batch_of, figures, pair, terms};

const ALPHA: PerMillion = PerMillion(50_000);

#[derive(Debug, Clone, Copy)]
enum Step {
    Open,
    /// Close the open candidate with this index, with this e-value.
    Close(usize, f64),
    Plan(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Open),
        2 => (0..8_usize, 0.001..1000.0).prop_map(|(index, e)| Step::Close(index, e)),
        1 => (0..50_u32).prop_map(Step::Plan),
    ]
}

proptest! {
    #[test]
    fn what_is_at_stake_and_in_the_pool_is_never_more_than_alpha(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let alpha = Stake::whole(ALPHA);
        let mut budget = ErrorBudget::new(ALPHA, 20);
        let mut open: Vec<Stake> = Vec::new();
        let mut all = alpha;
        for step in steps {
            match step {
                Step::Open => match budget.open() {
                    Ok(stake) => open.push(stake),
                    Err(PoolEmpty) => prop_assert_eq!(budget.pool(), Stake::default()),
                },
                Step::Close(index, e) if index < open.len() => {
                    let stake = open.swap_remove(index);
                    let back = stake.left_with(LogE::bar_of(1.0 / e));
                    prop_assert!(back <= stake && (e < 1.0 || back == stake));
                    budget.give_back(back);
                }
                Step::Close(..) => {}
                Step::Plan(planned) => budget.plan(planned),
            }
            let at_stake = open.iter().copied().fold(budget.pool(), Stake::with);
            prop_assert!(at_stake <= all, "the sum rose");
            all = at_stake;
        }
    }
}

#[test]
fn a_raised_plan_leaves_the_stakes_that_were_given() {
    let mut budget = ErrorBudget::new(ALPHA, 2);
    let first = budget.open().unwrap();
    budget.plan(11);
    let second = budget.open().unwrap();
    assert_eq!((first, second), (Stake::whole(PerMillion(25_000)), Stake::whole(PerMillion(2500))));
    // Fewer than are open already: the next one is the last that is planned for.
    budget.plan(1);
    assert_eq!(budget.open(), Ok(Stake::whole(PerMillion(22_500))));
    assert_eq!(budget.open(), Err(PoolEmpty));
    assert_eq!(PoolEmpty.code(), "error_budget_spent");
    budget.give_back(first);
    assert_eq!(budget.open(), Ok(first));
}

#[test]
fn a_budget_reads_back_as_it_was() {
    let mut budget = ErrorBudget::new(ALPHA, 7);
    let stake = budget.open().unwrap();
    budget.give_back(stake.left_with(LogE::bar_of(3.0)));
    let text = serde_json::to_string(&budget).unwrap();
    assert_eq!(serde_json::from_str::<ErrorBudget>(&text).unwrap(), budget);
}

#[test]
fn to_stop_inside_a_batch_never_saves_any_of_the_stake() {
    let gains = [Difference::MORE, Difference::NONE, Difference::LESS];
    for before in gains {
        for after in gains {
            let mut comparison = Comparison::new(terms());
            comparison.take(&batch_of(0, |_| figures(before))).unwrap();
            let over: Vec<_> =
                (0..3).map(|index| pair(1, index, Some(figures(Difference::LESS)))).collect();
            let stopped = comparison.refund_inside(&over, 8);
            let went_on = |index| figures(if index < 3 { Difference::LESS } else { after });
            let mut completed = comparison.clone();
            completed.take(&batch_of(1, went_on)).unwrap();
            assert!(stopped <= completed.refund(), "{before:?}, then {after:?}");
            if after == Difference::LESS {
                assert_eq!(stopped, completed.refund());
            }
            assert_eq!(comparison.refund_inside(&over, 3), {
                let mut three = comparison.clone();
                let pairs = over.clone();
                three.take(&super::look::batch(1, pairs)).unwrap();
                three.refund()
            });
        }
    }
}
