//! Debian archives, as text and bytes: nothing here opens a connection, reads a variable or asks the clock.
//!
//! What leads from a mirror to the files of an image, in order:
//!
//! 1. [`source`]: which mirrors and suites there are.
//! 2. [`release`]: `InRelease` is checked against a [`Keyring`] and yields the hashes of everything else.
//! 3. [`packages`]: a `Packages` index becomes a compact [`PackageIndex`]; several make a [`Universe`].
//! 4. [`solve`]: the packages that were asked for, and all that they depend on.
//! 5. [`deb`]: a `.deb` becomes the entries of a tree.
//! 6. [`made`]: what the maintainer scripts would have made; [`status`]: what `dpkg` would have noted.
//! 7. [`contents`]: which package has this library, header or program.
//!
//! Underneath: [`control`] paragraphs, [`relation`]s, [`version`] order, [`arch`]itectures and [`compression`].

pub mod arch;
mod clearsign;
pub mod compression;
pub mod contents;
pub mod control;
pub mod deb;
pub mod keyring;
pub mod made;
pub mod packages;
pub mod relation;
pub mod release;
pub mod solve;
pub mod source;
pub mod status;
pub mod suite;
pub mod universe;
pub mod version;
mod xz;

pub use arch::Architecture;
pub use compression::Compression;
pub use keyring::Keyring;
pub use packages::{Package, PackageIndex};
pub use release::Release;
pub use suite::Suite;
pub use universe::{Origin, PackageId, Universe};
