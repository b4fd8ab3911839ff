//! ELF files: what they need, what they offer, and what can be cut.
//!
//! 1. [`ElfFacts::parse`] reads what one file says about itself, from its bytes. The facts are small and kept with the
//!    fragment that holds the file.
//! 2. [`strip`] cuts out what only linkers and debuggers read, for any architecture, and leaves alone what it is not sure of.
//! 3. [`Linker`] does with the facts of a whole tree what its dynamic loader will do: what is missing, what is too old, what
//!    nobody needs ([`Links`]).
//! 4. [`ldconfig_listing`] and [`ldconfig_stub`] answer `ctypes.util.find_library` in an image without ldconfig.
//!
//! Nothing here reads a disk or runs a program.

mod abi;
mod facts;
mod findings;
mod header;
mod ldconfig;
mod link;
mod search;
mod strip;

pub use abi::{Abi, ByteOrder, Class, Machine};
pub use facts::{ElfFacts, Libc};
pub use findings::{Edge, Foreign, Found, Links, Missing, VersionProblem};
pub use header::{ElfError, Kind};
pub use ldconfig::{ldconfig_listing, ldconfig_stub};
pub use link::Linker;
pub use search::library_dirs;
pub use strip::{LeftAlone, strip};
