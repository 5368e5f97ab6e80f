//! A seeded order that needs no memory.

use crate::digest::Hasher;

/// A permutation of `0..count`: `place * stride + offset`, with a stride that shares no divisor
/// with the count. It is no fair shuffle; it only keeps the first nodes from always coming first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    count: u64,
    stride: u64,
    offset: u64,
}

impl Order {
    /// The order of `count` things that `seed` gives.
    pub(super) fn new(count: usize, seed: u64) -> Self {
        // 32 bits keep the product below 2^64; no workflow comes near that many nodes.
        let count = u64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let mut hasher = Hasher::new("optim/order/1");
        hasher.part(&seed.to_be_bytes()).part(&count.to_be_bytes());
        let digest = hasher.finish();
        let mut draws =
            digest.as_bytes().as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes));
        let mut draw = |below: u64| draws.next().and_then(|n| n.checked_rem(below)).unwrap_or(0);
        let offset = draw(count);
        let start = draw(count);
        let coprime = |stride: &u64| divisor(*stride, count) == 1;
        let stride = (start..start.saturating_add(count)).find(coprime).unwrap_or(1);
        Self { count, stride, offset }
    }

    /// How many things there are.
    pub(super) fn count(self) -> u64 {
        self.count
    }

    /// What comes at `place`; `None` when there is nothing.
    pub(super) fn at(self, place: u64) -> Option<usize> {
        let stride = self.stride.checked_rem(self.count)?;
        let product = place.checked_rem(self.count)?.saturating_mul(stride);
        let at = product.saturating_add(self.offset).checked_rem(self.count)?;
        usize::try_from(at).ok()
    }
}

/// The greatest common divisor.
fn divisor(a: u64, b: u64) -> u64 {
    match a.checked_rem(b) {
        None => a,
        Some(rest) => divisor(b, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_comes_once_and_seeds_differ() {
        for count in [0, 1, 2, 6, 7, 30, 97, 5040] {
            let order = |seed| {
                (0..count)
                    .filter_map(move |n| Order::new(count, seed).at(u64::try_from(n).unwrap()))
            };
            for seed in 0..20 {
                let mut places: Vec<_> = order(seed).collect();
                places.sort_unstable();
                assert_eq!(places, (0..count).collect::<Vec<_>>());
            }
            if count > 5 {
                assert!((1..5).any(|seed| order(0).ne(order(seed))));
            }
        }
    }
}
