//! End-to-end tests of the binary on real projects, one test binary.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers fail the test that calls them"
)]

mod after_apply;
mod audit;
mod bad_input;
mod budget;
mod campaign;
mod canary;
mod control;
mod corpora;
mod crash;
mod damage;
mod decisions;
mod formats;
mod frozen;
mod guard;
mod health;
mod honest;
mod openai;
mod plan;
mod search;
mod sequential;
mod signals;
mod store;
mod support;
mod tenants;
mod threats;
mod walls;
mod workflow;
mod workflow_runs;
