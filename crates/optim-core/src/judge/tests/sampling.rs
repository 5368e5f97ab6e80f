//! How the cases of a batch are drawn.

use std::collections::BTreeSet;

use crate::id::ExperimentId;
use crate::judge::pair::Arm;
use crate::judge::sample::{BatchSeed, Draw, Purpose};

fn draw(campaign: u64, experiment: &[u8], purpose: Purpose, number: u32) -> Vec<Draw> {
    let experiment = ExperimentId::derive(&[experiment]);
    BatchSeed::new(campaign, experiment, purpose, number).draw(40, 8)
}

fn cases(draws: &[Draw]) -> Vec<usize> {
    draws.iter().map(|draw| draw.case).collect()
}

#[test]
fn a_batch_is_drawn_again_as_it_was_and_never_for_anything_else() {
    let first = draw(7, b"one", Purpose::Comparison, 0);
    assert_eq!(first, draw(7, b"one", Purpose::Comparison, 0));
    let others = [
        draw(8, b"one", Purpose::Comparison, 0),
        draw(7, b"two", Purpose::Comparison, 0),
        draw(7, b"one", Purpose::Anchor, 0),
        draw(7, b"one", Purpose::Comparison, 1),
    ];
    assert!(others.iter().all(|other| cases(other) != cases(&first)));
    assert_eq!(cases(&first), [3, 9, 7, 10, 5, 2, 36, 22], "what is on record must stay right");
}

#[test]
fn each_case_is_drawn_as_often_as_any_other_and_once_in_a_batch() {
    let mut drawn = vec![0_u32; 40];
    let mut baseline_first = 0_u32;
    for number in 0..5000 {
        let batch = draw(7, b"one", Purpose::Comparison, number);
        assert_eq!(cases(&batch).into_iter().collect::<BTreeSet<_>>().len(), 8);
        for Draw { case, first } in batch {
            drawn[case] += 1;
            baseline_first += u32::from(first == Arm::Baseline);
        }
    }
    // 1000 on average, with a standard deviation of 28.
    assert!(drawn.iter().all(|count| (860..1140).contains(count)), "{drawn:?}");
    // Of 40 000 coins, with a standard deviation of 100.
    assert!((19_500..20_500).contains(&baseline_first), "{baseline_first}");
}

#[test]
fn a_small_pack_is_drawn_whole() {
    let seed = BatchSeed::new(7, ExperimentId::derive(&[b"one"]), Purpose::Comparison, 0);
    let mut found = cases(&seed.draw(3, 8));
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2]);
    assert_eq!(cases(&seed.draw(1, 8)), [0]);
    assert_eq!(cases(&seed.draw(0, 8)), [0_usize; 0]);
}
