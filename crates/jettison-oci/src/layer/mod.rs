//! Layers (image-spec, layer.md).
//!
//! Out: [`write_layer`] turns sorted entries into a tar and the tar into a blob, over a [`LayerWriter`] that streams and
//! a [`Compressor`] that any number of threads drive to the same bytes.
//! In: [`read_layer`] sniffs how a blob is packed and yields its members one by one; [`Flattener`] stacks the layers of an
//! image and applies their whiteouts.

mod compress;
mod flatten;
mod read;
mod tar_header;
mod tar_reader;
pub(crate) mod ustar;
mod write;

pub use compress::{Compression, CompressionError, Compressor, GZIP_MEMBER};
pub use flatten::{FlatEntry, FlatNode, FlatTree, Flattener, Origin};
pub use read::{LayerReader, Unpacker, read_layer};
pub use tar_header::{TarHeader, TarKind, Whiteout};
pub use tar_reader::{TarEntry, TarError, TarReader};
pub use write::{LayerBlob, LayerError, LayerOptions, LayerWriter, TAR_END, add_parents, write_layer};
