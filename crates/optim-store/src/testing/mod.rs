//! What tests of backends and of users of a store need.
//!
//! [`conformance`] is the suite that every backend passes; [`sample`] makes records; [`render`]
//! writes down a whole store; [`faulty`] makes one fail.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a failed expectation is how a test fails"
)]

pub mod conformance;
#[cfg(feature = "lmdb")]
mod envelope;
pub mod faulty;
mod render;
pub mod sample;

#[cfg(feature = "lmdb")]
pub use envelope::{open_record, seal_record};
pub use render::render;
