//! What a provider answers: see `optim_fuzz::provider_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| optim_fuzz::provider_answer(bytes));
