//! Fuzzes `sekisho_fuzz::stages`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sekisho_fuzz::stages(bytes));
