//! A path that a file names: see `optim_fuzz::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| optim_fuzz::path(bytes));
