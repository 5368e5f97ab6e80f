//! Proposers: pure, lazy, deterministic streams of candidates.

pub mod wording;
