//! A workflow file: see `optim_fuzz::workflow`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| optim_fuzz::workflow(bytes));
