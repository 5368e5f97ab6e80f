//! Batches: the pairs between two looks.
//!
//! A look in the middle of a batch would let the order in which runs end pick the pairs that count. So
//! evidence takes in whole batches only, and a batch with an open pair cannot be built.

use super::pair::PairRecord;
use crate::id::CaseId;

/// Pairs that were drawn together, all of them over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    number: u32,
    pairs: Vec<PairRecord>,
}

/// Why pairs are no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Some are not over.
    #[error("batch {number} has {over} of {drawn} pairs; there is no look before all are over")]
    Open {
        /// The batch.
        number: u32,
        /// The pairs that are over.
        over: usize,
        /// The cases that were drawn.
        drawn: usize,
    },
    /// A pair of another batch, or of another case than the one that was drawn in its place.
    #[error("the pair of {case} in batch {found} does not belong to batch {number}")]
    Foreign {
        /// The batch.
        number: u32,
        /// The case of the pair.
        case: CaseId,
        /// The batch of the pair.
        found: u32,
    },
    /// Another batch than the next one.
    #[error("batch {found} was given where batch {number} is next")]
    OutOfTurn {
        /// The batch that is next.
        number: u32,
        /// The batch that was given.
        found: u32,
    },
}

impl BatchError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open_pairs",
            Self::Foreign { .. } => "foreign_pair",
            Self::OutOfTurn { .. } => "batch_out_of_turn",
        }
    }
}

impl Batch {
    /// The batch `number` of the cases that were `drawn`.
    ///
    /// # Errors
    /// [`BatchError`] unless `pairs` are one of this batch for each case, in the order of the draw.
    pub fn new<'a>(
        number: u32,
        drawn: impl ExactSizeIterator<Item = &'a CaseId>,
        pairs: Vec<PairRecord>,
    ) -> Result<Self, BatchError> {
        let (over, drawn_in_all) = (pairs.len(), drawn.len());
        if over < drawn_in_all {
            return Err(BatchError::Open { number, over, drawn: drawn_in_all });
        }
        let mut drawn = drawn;
        let foreign = |pair: &&PairRecord| pair.batch != number || drawn.next() != Some(&pair.case);
        if let Some(PairRecord { case, batch, .. }) = pairs.iter().find(foreign) {
            return Err(BatchError::Foreign { number, case: case.clone(), found: *batch });
        }
        Ok(Self { number, pairs })
    }

    pub(super) fn expect_number(&self, number: u32) -> Result<(), BatchError> {
        let found = self.number;
        (found == number).then_some(()).ok_or(BatchError::OutOfTurn { number, found })
    }

    /// The pairs.
    #[must_use]
    pub fn pairs(&self) -> &[PairRecord] {
        &self.pairs
    }
}
