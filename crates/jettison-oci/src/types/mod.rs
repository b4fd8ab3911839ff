//! The documents of an image as values: what `manifest.json`, the config and an index hold.
//!
//! Every object keeps the members that it does not know (`extra`), maps are ordered, and a `null` where Go writes one for
//! an empty list reads as empty. A [`Document`] keeps the bytes it was read from beside the value, so that its digest
//! holds whatever the spelling was.

mod config;
mod descriptor;
mod document;
mod ids;
mod manifest;
mod media_type;
mod platform;
mod time;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use descriptor::Descriptor;
pub use document::{Document, DocumentError, Json, MAX_DOCUMENT_BYTES};
pub use ids::{ChainId, DiffId};
pub use manifest::{ImageIndex, ImageManifest};
pub use media_type::{BlobCompression, MediaType};
pub use platform::{Platform, PlatformError};
pub use time::{is_rfc3339, rfc3339};

/// Annotations and labels: text by name, ordered by name.
pub type Annotations = BTreeMap<String, String>;

/// Members of a JSON object that this crate has no field for.
pub type Extra = BTreeMap<String, serde_json::Value>;

/// Annotation keys of image-spec 1.1, annotations.md, and of the tools that read our archives.
pub mod annotation {
    /// The tag of a manifest inside a layout.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// The full name that containerd, and Docker with containerd's store, give to an imported image.
    pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
}

fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
