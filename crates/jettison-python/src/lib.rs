//! Python projects, locks, wheels: what the packaging specifications say, as types.
//!
//! - [`NormalizedName`], [`Requirement`], [`Marker`]: the words (PEP 503, 508).
//! - [`tags`]: an interpreter on a platform, and the wheels it can run (PEP 425).
//! - [`wheel`]: a wheel is read, checked and installed into a tree.
//!
//! Versions and version specifiers are those of [`pep440_rs`]. This crate knows nothing of OCI or Debian, reads no
//! environment variable and asks nothing of the machine it runs on.

pub mod marker;
pub mod name;
pub mod requirement;
mod scan;
pub mod tags;
pub mod wheel;

pub use marker::{Marker, MarkerEnvironment};
pub use name::{NameError, NormalizedName};
pub use pep440_rs::{Version, VersionSpecifiers};
pub use requirement::{Constraint, Requirement};
pub use scan::Pep508Error;
pub use tags::{Arch, Libc, Tag, Tags, Target};
