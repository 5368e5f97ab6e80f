//! What a program of one's own answers: see `optim_fuzz::executor_output`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| optim_fuzz::executor_output(bytes));
