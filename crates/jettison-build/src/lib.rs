//! From a Python project to a verified image, one file a stop. [`build`] is the flow, and says in which order.
//!
//! - What goes in: [`settings`], [`lockfile`], [`machine`] (the environment, as a value).
//! - What an image stands on: [`base`], from the [`archive`] of Debian by way of [`choose`], from an interpreter's archive, from an image.
//! - What goes on top: [`resolve`] and [`index`] say which [`distributions`], [`git`] fetches what is in repositories, [`sdist`] builds what has no wheel, [`unpack`] makes
//!   a [`part`] of each, [`link`] and [`system`] find what the loader would miss, [`application`] is the project itself.
//! - What people have already: [`dockerfile`] builds what a Dockerfile says, on the same graph.
//! - What comes out: [`layers`], [`bytecode`], [`image`], [`mod@verify`], [`report`]; [`output`], [`images`] and [`run`] for afterwards.
//!
//! Nothing here reads the environment, the clock or the terminal.

pub mod application;
pub mod archive;
pub mod base;
pub mod build;
pub mod bytecode;
mod choices;
pub mod choose;
pub mod distributions;
pub mod dockerfile;
mod error;
pub mod fetch;
pub mod git;
pub mod image;
pub mod images;
pub mod index;
pub mod interpreter;
pub mod job;
pub mod layers;
pub mod link;
pub mod lockfile;
pub mod lookup;
pub mod machine;
mod optional;
pub mod output;
pub mod part;
mod profile;
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
