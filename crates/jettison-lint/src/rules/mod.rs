//! The rules, one file each. To add one: write its file, and name it here.
//!
//! Codes: 1xx Python and size; 2xx what BuildKit checks; 3xx what else any Dockerfile can get wrong; 4xx the context.

use crate::rule::Rule;

/// Declares the files and lists their rules.
macro_rules! rules {
    ($($module:ident,)*) => {
        $(mod $module;)*
        static RULES: &[&Rule] = &[$(&$module::RULE,)*];
    };
}

rules! {
    unbuffered_output_missing,
    dockerignore_missing,
    context_lets_through,
    copied_file_missing,
    lock_not_enforced,
    python_not_allowed,
}

/// The rule that runs ShellCheck: what it finds has codes of its own.
pub(crate) const SHELLCHECK: &str = "JET390";

/// Every rule, by code.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().copied()
}
