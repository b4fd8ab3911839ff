//! Dockerfiles and `.dockerignore`: text in, values out. Nothing here touches a disk or a network.
//!
//! - [`Ignore`]: the patterns of a `.dockerignore`, and which paths of a build context they leave out.

mod ignore;

pub use ignore::{Ignore, IgnoreError};
