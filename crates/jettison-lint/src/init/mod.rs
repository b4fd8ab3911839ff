//! The best Dockerfile for a project, for plain Docker.
//!
//! 1. [`Facts`] are what the text depends on: the Python version, where dependencies are written down, how the project starts.
//! 2. [`Style`] says how packages get from the builder into the image; [`Style::fitting`] chooses.
//! 3. `install` knows how each kind of lock is installed; `system` writes the lines about packages of Debian.
//! 4. [`write()`] puts the stages together: `base`, `builder`, `development`, `test`, and the image last, so that a build without
//!    `--target` makes it.
//!
//! The text is a pure function of facts and style. What it says passes the rules of this crate.

mod facts;
mod install;
mod stages;
mod style;
mod system;

pub use facts::{Dependencies, Facts, Start};
pub use stages::write;
pub use style::{Style, StyleError};

/// What is written for a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The Dockerfile.
    pub dockerfile: String,
    /// The `.dockerignore` for it.
    pub dockerignore: String,
    /// What the author should know, each in a sentence without a full stop.
    pub notes: Vec<String>,
}
