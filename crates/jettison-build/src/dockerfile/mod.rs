//! A Dockerfile in, the image out that it says, with BuildKit's semantics and without a daemon.

pub mod context;
pub mod copy;
