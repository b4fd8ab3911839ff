//! Whatever the Dockerfile, every finding is at a place in it, every fix can be made and leaves it no worse, and mending comes to an end.
//!
//! With cargo-fuzz, from the root of the repository:
//!
//! ```sh
//! cargo fuzz run lint fuzz/corpus/lint crates/jettison-lint/tests/corpus -- -dict=fuzz/lint.dict
//! ```
//!
//! Without it, on any toolchain, `fuzz/run.sh lint SECONDS` builds the same program with the compiler's own instrumentation.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/jettison-lint/tests/rules/invariants.rs"]
mod invariants;

fuzz_target!(|text: &str| invariants::check(text));
