//! Numbers that follow from a seed.

use optim_core::digest::Hasher;

/// Draws one number after the other.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    seed: u64,
    drawn: u64,
}

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// A number below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.drawn += 1;
        at(self.seed, &self.drawn.to_be_bytes()) % end.max(1)
    }

    /// Whether something happens that does so `per_mille` times of 1000.
    pub(crate) fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// The number that follows from `seed` and `what`.
pub(crate) fn at(seed: u64, what: &[u8]) -> u64 {
    let mut hasher = Hasher::new("optim/machinery/1");
    hasher.part(&seed.to_be_bytes()).part(what);
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finish().as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
