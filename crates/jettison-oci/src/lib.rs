//! OCI images, from the bytes of a layer to the media that images travel on.
//!
//! 1. [`types`]: the documents. A [`Descriptor`](types::Descriptor) points to a blob, an
//!    [`ImageManifest`](types::ImageManifest) to config and layers, an [`ImageIndex`](types::ImageIndex) to manifests.
//! 2. [`layer`]: sorted entries of a tree become a tar and a compressed blob, the same on every machine; the blobs of others
//!    are read back, flattened with their whiteouts.
//! 3. [`blob`] and [`mod@image`]: an [`Image`] is the parsed documents over a [`BlobSource`] that opens what they point to.
//!    [`assemble`] makes a new one from layers and a config.
//! 4. [`media`]: OCI layouts, docker-archives and `dir:` directories, each read and written.
//! 5. [`validate`]: recomputes every digest of an image and says what is wrong with it.
//!
//! This crate knows nothing of Dockerfiles, Python or Debian.

pub mod blob;
pub mod image;
pub mod layer;
pub mod types;

pub use blob::{Blob, BlobError, BlobSet, BlobSource};
pub use image::{Image, ImageError, ImageOrIndex, Index};
