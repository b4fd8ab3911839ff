//! Layers (image-spec, layer.md).
//!
//! Out: [`write_layer`] turns sorted entries into a tar and the tar into a blob, over a [`LayerWriter`] that streams and
//! a [`Compressor`] that any number of threads drive to the same bytes. A [`ChangesetWriter`] does so for what a step changed:
//! with deletions, contents of a stream, times that are clamped, and all that an earlier blob has in the same place taken from there.
//! In: [`read_layer`] sniffs how a blob is packed and yields its members one by one; [`Flattener`] stacks the layers of an
//! image and applies their whiteouts.

mod changeset;
mod compress;
mod cuts;
mod digesting;
mod flatten;
mod gzip;
pub mod pyc;
mod read;
mod resume;
mod sparse;
mod tar_header;
mod tar_reader;
pub(crate) mod ustar;
mod write;

pub use changeset::{ChangesetWriter, WrittenChangeset};
pub use compress::{Compression, CompressionError, Compressor, GZIP_MEMBER};
pub use flatten::{FlatEntry, FlatNode, FlatTree, Flattener, Origin};
pub use gzip::{Member, MemberCache};
pub use read::{LayerReader, Unpacker, read_layer};
pub use resume::{Checkpoint, Earlier};
pub use tar_header::{TarHeader, TarKind, Whiteout};
pub use tar_reader::{TarEntry, TarError, TarReader};
pub use write::{Attributes, LayerBlob, LayerError, LayerOptions, LayerWriter, TAR_END, add_parents, write_layer};
