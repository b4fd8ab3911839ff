//! The best Dockerfile for a project, for plain Docker.
//!
//! 1. [`Facts`] are what the text depends on: the Python version, where dependencies are written down, how the project starts.
//!    [`gather()`] reads them from a project.
//! 2. [`Style`] says how packages get from the builder into the image; [`Style::fitting`] chooses.
//! 3. `install` knows how each kind of lock is installed; `system` writes the lines about packages of Debian.
//! 4. [`write()`] puts the stages together: `base`, `builder`, `development`, `test`, and the image last, so that a build without
//!    `--target` makes it.
//! 5. [`extend()`] adds to a `.dockerignore` that is there already what it lacks.
//!
//! The text is a pure function of facts and style. What it says passes the rules of this crate.

mod facts;
mod gather;
mod ignore;
mod install;
mod stages;
mod style;
mod system;

pub use facts::{Dependencies, Development, Facts, Start};
pub use gather::{GatherError, Gathered, Wishes, gather};
pub use ignore::extend;
pub use stages::write;
pub use style::{Style, StyleError};

/// What is written for a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The Dockerfile.
    pub dockerfile: String,
    /// The `.dockerignore` for it.
    pub dockerignore: String,
    /// Paths that the Dockerfile takes from the context, which no `.dockerignore` may keep out.
    pub kept: Vec<String>,
    /// What the author should know, each in a sentence without a full stop.
    pub notes: Vec<String>,
}
