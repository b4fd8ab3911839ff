//! Build contexts: what COPY and ADD copy from.

pub mod archive;
pub mod directory;
pub mod ignore;
pub mod memory;
mod parallel;
pub mod spool;
pub mod tree;
pub mod view;
