//! A stored record: see `optim_fuzz::record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| optim_fuzz::record(bytes));
