//! Fuzzes `sekisho_fuzz::dependencies`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sekisho_fuzz::dependencies(bytes));
