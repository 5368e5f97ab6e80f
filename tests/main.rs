//! End-to-end tests of the binary on real projects, one test binary.

mod bad_input;
mod campaign;
mod crash;
mod honest;
