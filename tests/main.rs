//! End-to-end tests of the binary on real projects, one test binary.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers fail the test that calls them"
)]

mod bad_input;
mod budget;
mod campaign;
mod control;
mod crash;
mod honest;
mod openai;
mod search;
mod signals;
mod support;
mod workflow;
mod workflow_runs;
