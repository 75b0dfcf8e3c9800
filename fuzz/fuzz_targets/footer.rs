//! `harness` says what this target does.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sarsen_fuzz::harness::FOOTER.run(input));
