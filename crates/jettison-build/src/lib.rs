//! From a Python project to a verified image. One file a stop.
#![allow(missing_docs)]

pub mod application;
pub mod archive;
pub mod base;
pub mod build;
pub mod bytecode;
mod choices;
pub mod choose;
pub mod distributions;
pub mod endpoints;
mod error;
pub mod fetch;
pub mod image;
pub mod images;
pub mod index;
pub mod interpreter;
pub mod job;
pub mod layers;
pub mod link;
pub mod lockfile;
pub mod machine;
mod optional;
pub mod output;
pub mod part;
pub mod report;
pub mod resolve;
pub mod rootfs;
pub mod run;
pub mod sdist;
pub mod settings;
mod summary;
pub mod system;
pub mod tool;
mod trim;
pub mod unpack;
pub mod verify;

pub use error::{BuildError, Context};
