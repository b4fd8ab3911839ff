//! Python projects, locks, wheels: what the packaging specifications say, as types.
//!
//! - [`NormalizedName`], [`Requirement`], [`Marker`]: the words (PEP 503, 508).
//! - [`tags`]: an interpreter on a platform, and the wheels it can run (PEP 425).
//! - [`wheel`]: a wheel is read, checked and installed into a tree; [`bytecode`] says where its compiled modules stand.
//! - [`sdist`]: a source distribution is read and unpacked for a build.
//! - [`metadata`]: what a distribution says about itself.
//! - [`project`]: what a project declares, and where its dependencies are written down; [`requirements`] are pip's files.
//! - [`lock`]: locks of every kind, and what they select for a target; [`simple`] reads the index pages for those without URLs.
//! - [`command`]: how the project starts, found in its source as [`syntax`] reads it.
//! - [`application`]: which of its files go into an image; [`secrets`] is what looks wrong in them.
//!
//! Versions and version specifiers are those of [`pep440_rs`]. This crate knows nothing of OCI or Debian, reads no
//! environment variable and asks nothing of the machine it runs on.

pub mod application;
pub mod bytecode;
pub mod command;
pub mod direct;
pub mod lock;
pub mod marker;
pub mod metadata;
pub mod name;
pub mod place;
pub mod project;
pub mod requirement;
pub mod requirements;
mod scan;
pub mod sdist;
pub mod secrets;
pub mod simple;
pub mod syntax;
pub mod tags;
pub mod toml_file;
pub mod wheel;

pub use marker::{Marker, MarkerEnvironment};
pub use name::{NameError, NormalizedName};
pub use pep440_rs::{Version, VersionSpecifiers};
pub use requirement::{Constraint, Requirement};
pub use scan::Pep508Error;
pub use tags::{Arch, Libc, Tag, Tags, Target};
