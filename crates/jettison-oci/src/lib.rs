//! OCI images, from the bytes of a layer to the media that images travel on.
//!
//! 1. [`types`]: the documents. A [`Descriptor`](types::Descriptor) points to a blob, an
//!    [`ImageManifest`](types::ImageManifest) to config and layers, an [`ImageIndex`](types::ImageIndex) to manifests.
//! 2. [`layer`]: sorted entries of a tree become a tar and a compressed blob, the same on every machine; the blobs of others
//!    are read back, flattened with their whiteouts.
//! 3. [`blob`] and [`mod@image`]: an [`Image`] is the parsed documents over a [`BlobSource`] that opens what they point to.
//!    [`assemble`] makes a new one from layers and a config.
//! 4. [`rootfs`]: the files of an image, found and read where its layers lie.
//! 5. [`media`]: OCI layouts, docker-archives and `dir:` directories, each read and written.
//! 6. [`mod@validate`]: recomputes every digest of an image and says what is wrong with it.
//! 7. [`mod@reference`], [`registry`] and [`daemon`]: names of images, the registries they are in, Docker's daemon.
//! 8. [`transport`]: copies an image from any of these places to any other.
//!
//! This crate knows nothing of Dockerfiles, Python or Debian.

pub mod assemble;
pub mod blob;
pub mod daemon;
pub mod endpoints;
pub mod image;
pub mod layer;
pub mod media;
pub mod reference;
pub mod registry;
pub mod rootfs;
pub mod transport;
pub mod types;
pub mod validate;

#[cfg(test)]
mod sample;

pub use assemble::{AssembleError, ImageBuilder};
pub use blob::{Blob, BlobError, BlobSet, BlobSource};
pub use image::{ContentItem, Image, ImageError, ImageOrIndex, Index};
pub use media::MediaError;
pub use reference::{Reference, ReferenceError};
pub use transport::{Transport, TransportError};
pub use validate::{Problem, validate, validate_image};
