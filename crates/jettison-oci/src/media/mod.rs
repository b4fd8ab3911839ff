//! The media on which images lie: each is a [`BlobSource`](crate::BlobSource) to read from, and each has a writer.
//!
//! - [`layout`]: an OCI image layout, as a directory or as a tar of it.
//! - [`docker_archive`]: what `docker save` writes and `docker load` reads.
//! - [`dir`]: skopeo's `dir:`, one manifest and its blobs in a directory.
//!
//! Writers check every blob on its way. A file appears under its name when it is whole, and not before; what names the
//! rest (`index.json`, `manifest.json`, the archive itself) appears last.

mod archive;
pub mod dir;
pub mod docker_archive;
pub mod layout;
mod staged;

use std::io;
use std::path::{Path, PathBuf};

use crate::blob::BlobError;
use crate::image::ImageError;
use crate::layer::TarError;
use crate::types::DocumentError;

/// A medium that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A blob is missing or corrupt.
    #[error("{}: {source}", path.display())]
    Blob {
        /// The medium.
        path: PathBuf,
        /// What is wrong with it.
        source: BlobError,
    },
    /// What is on it is no image.
    #[error("{}: {source}", path.display())]
    Image {
        /// The medium.
        path: PathBuf,
        /// Why not.
        source: ImageError,
    },
    /// The file is no tar.
    #[error("{}: {source}", path.display())]
    Tar {
        /// The archive.
        path: PathBuf,
        /// Why not.
        source: TarError,
    },
    /// A file of the medium is not what the format asks for.
    #[error("{}: {why}", path.display())]
    Format {
        /// The medium.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// Nothing has this name.
    #[error("{}: there is no image `{wanted}`; it holds {there}", path.display())]
    NotFound {
        /// The medium.
        path: PathBuf,
        /// The name that was asked for.
        wanted: String,
        /// The names there are.
        there: String,
    },
    /// No name was given where one is needed.
    #[error("{}: it holds {count} images ({there}), and none was named", path.display())]
    Ambiguous {
        /// The medium.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// Their names.
        there: String,
    },
    /// The target is something else, which is not written over.
    #[error("{} is in the way: it is {what}", path.display())]
    Occupied {
        /// The target.
        path: PathBuf,
        /// What stands there.
        what: &'static str,
    },
}

impl MediaError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Blob { source, .. } => source.hint(),
            Self::Image { source, .. } => source.hint(),
            Self::Ambiguous { path, .. } => Some(format!("name one: {}:NAME", path.display())),
            Self::Occupied { .. } => Some("choose another path, or remove what is there".to_owned()),
            Self::Io { .. } | Self::Tar { .. } | Self::Format { .. } | Self::NotFound { .. } => None,
        }
    }
}

/// Gives an error the path that it happened at.
trait At<T> {
    fn at(self, path: &Path) -> Result<T, MediaError>;
}

impl<T> At<T> for Result<T, io::Error> {
    fn at(self, path: &Path) -> Result<T, MediaError> {
        let path = path.to_owned();
        // A blob's own error may have travelled through a reader.
        self.map_err(|source| match source.downcast::<BlobError>() {
            Ok(source) => MediaError::Blob { path, source },
            Err(source) => MediaError::Io { path, source },
        })
    }
}

impl<T> At<T> for Result<T, BlobError> {
    fn at(self, path: &Path) -> Result<T, MediaError> {
        self.map_err(|source| MediaError::Blob { path: path.to_owned(), source })
    }
}

impl<T> At<T> for Result<T, ImageError> {
    fn at(self, path: &Path) -> Result<T, MediaError> {
        self.map_err(|source| MediaError::Image { path: path.to_owned(), source })
    }
}

impl<T> At<T> for Result<T, DocumentError> {
    fn at(self, path: &Path) -> Result<T, MediaError> {
        self.map_err(|source| MediaError::Image { path: path.to_owned(), source: source.into() })
    }
}

impl<T> At<T> for Result<T, TarError> {
    fn at(self, path: &Path) -> Result<T, MediaError> {
        self.map_err(|source| MediaError::Tar { path: path.to_owned(), source })
    }
}

fn format_error(path: &Path, why: impl Into<String>) -> MediaError {
    MediaError::Format { path: path.to_owned(), why: why.into() }
}
