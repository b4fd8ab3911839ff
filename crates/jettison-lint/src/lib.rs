//! Dockerfiles: what is wrong with one in its context, and how to mend it. Nothing here is executed, and nothing asked of a network.
//!
//! 1. A [`Subject`](model::Subject) is the Dockerfile as rules see it: stages, variables, users, the commands of its scripts.
//! 2. A [`Rule`] is a code, a name, its documentation and a function; each stands in a file of its own under [`rules`].
//! 3. [`lint()`] runs those that the [`Config`] asks for; [`suppress`] reads the comments that say what to ignore.
//! 4. A [`Finding`] has a place, help, and perhaps a [`Fix`]; [`mend`] makes fixes until there are none left.
//! 5. A [`Context`] is what the Dockerfile is built in; a [`Catalog`] answers for registries and indices.
//! 6. [`Settings`] is the configuration as people write it, a [`Baseline`] the findings that are known.
//! 7. [`output`] shows a [`Report`] in the formats that people and programs read; [`pages`] is the documentation of the rules.
//! 8. [`examples`] reads the examples in the documentation of a rule, which are its tests.
//!
//! An editor needs no more than [`lint()`] and [`Fix::edits`], both of which work on text and spans.

pub mod aliases;
pub mod baseline;
pub mod catalog;
pub mod clutter;
pub mod config;
pub mod context;
pub mod examples;
pub mod finding;
mod fix;
mod fragment;
pub mod init;
mod lint;
pub mod model;
pub mod output;
pub mod pages;
mod report;
mod rewrite;
mod rule;
pub mod rules;
pub mod settings;
pub mod suppress;
pub mod tables;

pub use baseline::Baseline;
pub use catalog::{Catalog, ShellcheckNote, ShellcheckScript};
pub use config::{Config, LabelType, Selector};
pub use context::{Context, Directory};
pub use finding::{Finding, Findings, Fix, Place, Safety};
pub use fix::{Done, Mended, mend};
pub use fragment::{lint_fragment, mend_fragment};
pub use lint::lint;
pub use report::{Report, Site};
pub use rule::{Family, Fixable, Rule, Severity};
pub use settings::{FailOn, Settings};
