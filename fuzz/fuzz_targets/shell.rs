//! Any script is read without a crash, and everything that is found in it is at a place in it.
//!
//! With cargo-fuzz, from the root of the repository:
//!
//! ```sh
//! cargo fuzz run shell fuzz/corpus/shell crates/jettison-shell/tests/corpus -- -dict=fuzz/shell.dict
//! ```
//!
//! Without it, on any toolchain, `fuzz/run.sh shell SECONDS` builds the same program with the compiler's own instrumentation.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/jettison-shell/tests/language/invariants.rs"]
mod invariants;

fuzz_target!(|text: &str| invariants::check(text));
