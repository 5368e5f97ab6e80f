//! Which cases a batch has, and which arm of each pair is started first.
//!
//! A batch is a simple random sample of all cases of its split, without replacement, and batches are drawn
//! independently: a fixed order would let a candidate win on the cases that come first. The seed is a
//! hash of what the batch is for. So a batch that is drawn again after a crash is the same one, and no
//! two candidates ever meet the cases in the same order.

use serde::{Deserialize, Serialize};

use super::pair::Arm;
use super::split_mix::SplitMix64;
use crate::digest::Hasher;
use crate::id::ExperimentId;
use crate::pack::Split;

/// Where the random numbers of one batch begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSeed(u64);

/// What the pairs of a batch are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The candidate against the baseline.
    Comparison,
    /// The same once a person has added pairs. Others of its group may have gone on without it, so its
    /// batches are drawn for itself from then on.
    Extension,
    /// The candidate against the campaign's source: [`super::anchor`].
    Anchor,
    /// The candidate against the baseline on the holdout cases: what a person is told it is worth.
    Confirmation,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Comparison, Self::Extension, Self::Anchor, Self::Confirmation];

    /// The cases that its batches are drawn from.
    #[must_use]
    pub fn split(self) -> Split {
        match self {
            Self::Comparison | Self::Extension | Self::Anchor => Split::Search,
            Self::Confirmation => Split::Holdout,
        }
    }

    /// How many of `cases` a batch takes where `batch` is the rules' size: a confirmation takes all.
    #[must_use]
    pub fn size(self, batch: u32, cases: u32) -> u32 {
        match self {
            Self::Comparison | Self::Extension | Self::Anchor => batch,
            Self::Confirmation => cases,
        }
    }
}

/// One case of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The index of the case among those of the split, in the order of the pack.
    pub case: usize,
    /// The arm that is started first.
    pub first: Arm,
}

impl BatchSeed {
    /// The seed of the batch `number` of the experiment, from the seed of its campaign.
    #[must_use]
    pub fn new(campaign: u64, experiment: ExperimentId, purpose: Purpose, number: u32) -> Self {
        let mut hasher = Hasher::new("optim/batch/1");
        hasher.part(&campaign.to_be_bytes());
        hasher.part(experiment.as_bytes());
        hasher.part(match purpose {
            Purpose::Comparison => b"comparison",
            Purpose::Extension => b"extension",
            Purpose::Anchor => b"anchor",
            Purpose::Confirmation => b"confirmation",
        });
        hasher.part(&number.to_be_bytes());
        let [a, b, c, d, e, f, g, h, ..] = *hasher.finish().as_bytes();
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Draws `size` of `cases` cases, or all of them when there are fewer, and a coin for each.
    #[must_use]
    pub fn draw(self, cases: usize, size: usize) -> Vec<Draw> {
        let mut random = SplitMix64::new(self.0);
        let mut indices: Vec<_> = (0..cases).collect();
        random.draw_to_front(&mut indices, size);
        let mut coin = || if random.next_u64() >> 63 == 0 { Arm::Baseline } else { Arm::Candidate };
        indices.into_iter().take(size).map(|case| Draw { case, first: coin() }).collect()
    }
}
