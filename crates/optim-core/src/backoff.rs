//! How long to leave a failing provider alone before it is asked again.

use crate::digest::Hasher;
use crate::quantity::Millis;

/// The longest first wait.
const FIRST: Millis = Millis(1000);
/// The longest wait of all.
const LONGEST: Millis = Millis(30_000);

/// The wait after the fault number `fault`, counted from 1: up to one second after the first, up to
/// twice as long after each further one, up to 30 seconds at most.
///
/// `seed` chooses between half of that and all of it, so that those who failed together do not come
/// back together.
#[must_use]
pub fn delay(fault: u32, seed: u64) -> Millis {
    let doublings = fault.saturating_sub(1).min(16);
    let longest = FIRST.0.saturating_mul(1 << doublings).min(LONGEST.0);
    let mut hasher = Hasher::new("optim/backoff/1");
    hasher.part(&seed.to_be_bytes()).part(&fault.to_be_bytes());
    let [a, b, c, d, ..] = *hasher.finish().as_bytes();
    let half = longest / 2;
    Millis(half.saturating_add(
        u64::from(u32::from_be_bytes([a, b, c, d]))
            % longest.saturating_sub(half).saturating_add(1),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_stay_within_half_of_it() {
        for seed in 0..200 {
            for (fault, longest) in [
                (0, 1000),
                (1, 1000),
                (2, 2000),
                (3, 4000),
                (5, 16_000),
                (6, 30_000),
                (u32::MAX, 30_000),
            ] {
                let Millis(wait) = delay(fault, seed);
                assert!((longest / 2..=longest).contains(&wait), "{wait} after {fault}");
            }
        }
    }

    #[test]
    fn those_who_fail_together_do_not_come_back_together() {
        let waits: BTreeSet<_> = (0..100).map(|seed| delay(1, seed)).collect();
        assert!(waits.len() > 80, "{} different waits of 100", waits.len());
        assert_eq!(delay(3, 7), delay(3, 7));
    }
}
