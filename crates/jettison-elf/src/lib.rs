//! ELF files: what they need, what they offer, and what can be cut.
//!
//! 1. [`ElfFacts::parse`] reads what one file says about itself, from its bytes. The facts are small and kept with the
//!    fragment that holds the file.
//! 2. [`strip`] cuts out what only linkers and debuggers read, for any architecture, and leaves alone what it is not sure of.
//!
//! Nothing here reads a disk or runs a program.

mod abi;
mod facts;
mod header;
mod strip;

pub use abi::{Abi, ByteOrder, Class, Machine};
pub use facts::{ElfFacts, Libc};
pub use header::{ElfError, Kind};
pub use strip::{LeftAlone, strip};
