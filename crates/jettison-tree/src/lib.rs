//! File trees, as everything that makes or reads an image sees them.
//!
//! A wheel, a `.deb` and an application directory all become the same thing: a set of [`Entry`]s, each a path with its
//! metadata and, for a file, [`Content`] with a known [`Digest`]. Wherever unpacking is expensive the set is kept on disk as
//! a [`Fragment`]: one file with the contents end to end and the index behind them, so that a layer is written by
//! copying ranges of fragments and nothing is ever unpacked twice.
//!
//! This crate knows nothing of OCI, Python, Debian or ELF.

mod digest;
mod entry;
mod fragment;
mod path;
mod xattrs;

pub use digest::{Digest, DigestError, Hasher, HasherState};
pub use entry::{Collision, Content, ContentReader, Device, Entry, Node, Tree};
pub use fragment::{Fragment, FragmentError, FragmentWriter};
pub use path::{PathError, TreePath};
pub use xattrs::Xattrs;
