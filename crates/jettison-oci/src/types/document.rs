use std::ops::Deref;
use std::sync::Arc;

use jettison_tree::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Descriptor, ImageConfig, ImageIndex, ImageManifest, MediaType};

/// Bytes of a manifest, index or config above which it is refused. Registries refuse manifests above 4 MiB; configs with
/// a long history are smaller still.
pub const MAX_DOCUMENT_BYTES: u64 = 8 << 20;

/// A JSON object of an image that stands for itself: [`ImageManifest`], [`ImageConfig`] or [`ImageIndex`].
pub trait Json: Serialize + DeserializeOwned + sealed::Sealed {
    /// What it is called in an error.
    const NAME: &'static str;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ImageManifest {}
    impl Sealed for super::ImageConfig {}
    impl Sealed for super::ImageIndex {}
}

impl Json for ImageManifest {
    const NAME: &'static str = "image manifest";
}
impl Json for ImageConfig {
    const NAME: &'static str = "image config";
}
impl Json for ImageIndex {
    const NAME: &'static str = "image index";
}

/// A value with the very bytes that it was read from, or that were made of it, and their digest. Clones share both.
#[derive(Debug)]
pub struct Document<T> {
    bytes: Arc<[u8]>,
    digest: Digest,
    value: Arc<T>,
}

impl<T> Clone for Document<T> {
    fn clone(&self) -> Self {
        Self { bytes: Arc::clone(&self.bytes), digest: self.digest, value: Arc::clone(&self.value) }
    }
}

impl<T: Json> Document<T> {
    /// Reads bytes and keeps them as they are.
    pub fn parse(bytes: impl Into<Arc<[u8]>>) -> Result<Self, DocumentError> {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
            return Err(DocumentError::TooLarge { what: T::NAME, digest, size: bytes.len() as u64 });
        }
        let value = serde_json::from_slice(&bytes);
        let value = value.map_err(|source| DocumentError::Json { what: T::NAME, digest, source })?;
        Ok(Self { bytes, digest, value: Arc::new(value) })
    }

    /// Writes a value: compact JSON, members in the order of the fields. Changing this changes every image digest.
    pub fn new(value: T) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the three types have string keys only, and no serializer of theirs fails"
        )]
        let bytes: Arc<[u8]> = serde_json::to_vec(&value).expect("plain data").into();
        Self { digest: Digest::of(&bytes), bytes, value: Arc::new(value) }
    }
}

impl<T> Document<T> {
    /// The bytes.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// A descriptor of the bytes.
    pub fn descriptor(&self, media_type: MediaType) -> Descriptor {
        Descriptor::new(media_type, self.digest, self.bytes.len() as u64)
    }

    /// The value alone.
    pub fn into_value(self) -> T
    where
        T: Clone,
    {
        Arc::unwrap_or_clone(self.value)
    }
}

impl<T> Deref for Document<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Bytes that are not the document they should be.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// More bytes than [`MAX_DOCUMENT_BYTES`].
    #[error("the {what} {digest} has {size} bytes; at most {MAX_DOCUMENT_BYTES} are read")]
    TooLarge {
        /// Which document.
        what: &'static str,
        /// The digest of the bytes.
        digest: Digest,
        /// Their number.
        size: u64,
    },
    /// Not JSON, or not of this shape.
    #[error("the {what} {digest} cannot be read: {source}")]
    Json {
        /// Which document.
        what: &'static str,
        /// The digest of the bytes.
        digest: Digest,
        /// What is wrong, with line and column.
        source: serde_json::Error,
    },
}
