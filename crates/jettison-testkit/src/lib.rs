//! Projects, wheels, packages and servers on loopback, for the tests of every other crate.
//!
//! - [`HttpServer`] answers on loopback, keeps a log of the requests and misbehaves when a [`Fault`] says so.
//! - [`WheelBuilder`] and [`SdistBuilder`] make distributions, [`PackageIndexBuilder`] serves them as an index does.
//! - [`DebBuilder`] makes Debian packages, [`DebianArchiveBuilder`] serves them as a signed archive, and
//!   [`interpreter::python_debs`] is Debian's Python in miniature.
//! - [`ElfBuilder`] makes libraries and programs of a few hundred bytes, [`archive`] any zip, tar and ar, however wrong.
//! - [`Registry`] holds images, and wants a [`Login`] or none.
//! - [`Project`] is a directory with a project in it; a [`World`] has all that a native build asks the network for.
//!
//! Whatever these make is the same each time. What fails here fails the test, so they panic where a library would return an error.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test kit fails as a test does")]

pub mod archive;
pub mod deb;
pub mod debian;
pub mod elf;
pub mod http;
pub mod index;
pub mod interpreter;
pub mod project;
pub mod registry;
pub mod sdist;
pub mod wheel;
pub mod world;

pub use archive::{Compression, TarMember};
pub use deb::{DebBuilder, DebFault};
pub use debian::{ArchiveFault, DebianArchive, DebianArchiveBuilder};
pub use elf::ElfBuilder;
pub use http::{Fault, HttpServer, Request, Response};
pub use index::{PackageIndex, PackageIndexBuilder};
pub use project::Project;
pub use registry::{Login, Registry};
pub use sdist::SdistBuilder;
pub use wheel::{WheelBuilder, WheelFault};
pub use world::World;
