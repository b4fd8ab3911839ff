use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

use super::{Annotations, Extra, MediaType, Platform, null_default};

/// What a blob is, which it is and how large (image-spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    #[serde(default = "octets", deserialize_with = "media_type")]
    pub media_type: MediaType,
    /// The digest of the bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Where else they may be had.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Text about the blob.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// The bytes themselves in base64, where they are small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The kind of artifact that the manifest is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// What an image runs on; in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What else was there.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Descriptor {
    /// A descriptor with nothing but what it must have.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: Annotations::new(),
            data: None,
            artifact_type: None,
            platform: None,
            extra: Extra::new(),
        }
    }

    /// The descriptor of these bytes.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Whether it points to a manifest or an index, or does not say what it points to.
    pub fn is_document(&self) -> bool {
        let media_type = &self.media_type;
        media_type.is_manifest() || media_type.is_index() || media_type.is_schema1() || media_type.as_str().is_empty()
    }

    /// The same with one annotation more.
    #[must_use]
    pub fn with_annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(String::as_str)
    }
}

/// Some writers of `index.json` leave the media type out or empty; the bytes then say what they are.
fn octets() -> MediaType {
    MediaType::new("")
}

fn media_type<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<MediaType, D::Error> {
    Ok(Option::<MediaType>::deserialize(deserializer)?.unwrap_or_else(octets))
}
