//! A small random number generator with a fixed sequence: SplitMix64.
//!
//! Steele, Lea, Flood, *Fast splittable pseudorandom number generators*. Its numbers are part of what is
//! recomputed from a record, so they must never change with a dependency.

/// The generator; its state is its seed and how often it was asked.
#[derive(Debug, Clone)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// Begins the sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; zero when `end` is. The bias is below `end` / 2^64.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next_u64() % end).unwrap_or_default()
    }

    /// Brings a simple random sample of `size` of the items to the front, without replacement.
    pub fn draw_to_front<T>(&mut self, items: &mut [T], size: usize) {
        for index in 0..size.min(items.len()) {
            items.swap(index, index + self.below(items.len() - index));
        }
    }
}
