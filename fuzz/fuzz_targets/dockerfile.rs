//! Any text is read without a crash, printed as it was, and each word knows its place.
//!
//! With cargo-fuzz, from the root of the repository:
//!
//! ```sh
//! cargo fuzz run dockerfile fuzz/corpus/dockerfile crates/jettison-dockerfile/tests/corpus -- -dict=fuzz/dockerfile.dict
//! ```
//!
//! Without it, on any toolchain, `fuzz/run.sh SECONDS` builds the same program with the compiler's own instrumentation.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/jettison-dockerfile/tests/language/invariants.rs"]
mod invariants;

fuzz_target!(|text: &str| invariants::check(text));
