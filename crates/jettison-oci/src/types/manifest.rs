use serde::{Deserialize, Serialize};

use super::{Annotations, Descriptor, Extra, MediaType, Platform, null_default};

/// What an image is made of (image-spec, manifest.md; Docker image manifest schema 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// 2.
    pub schema_version: u32,
    /// The manifest's own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The kind of artifact, where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The config.
    pub config: Descriptor,
    /// The layers, the lowest first.
    #[serde(default, deserialize_with = "null_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that this one is about (a signature's or SBOM's image).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Text about the image.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// What else was there.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ImageManifest {
    /// An OCI manifest of this config and these layers.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::OCI_MANIFEST),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: Annotations::new(),
            extra: Extra::new(),
        }
    }

    /// The config and every layer, the blobs that a reader of the image needs beside the manifest.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

/// Manifests under one name, for several platforms or in one layout (image-spec, image-index.md; Docker manifest list).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// 2.
    pub schema_version: u32,
    /// The index's own media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The kind of artifact, where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<MediaType>,
    /// The manifests, and indices, that it lists.
    #[serde(default, deserialize_with = "null_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Text about the index.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
    /// What else was there.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ImageIndex {
    /// An OCI index of these manifests.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::OCI_INDEX),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: Annotations::new(),
            extra: Extra::new(),
        }
    }

    /// The manifest that runs best on `wanted`: the same platform, else the nearest lower variant; of equals the first, as
    /// image-index.md has it. A manifest that names no platform is taken only where it is alone.
    pub fn select(&self, wanted: &Platform) -> Option<&Descriptor> {
        if let [only] = self.manifests.as_slice()
            && only.platform.is_none()
        {
            return Some(only);
        }
        let distance = |descriptor: &&Descriptor| descriptor.platform.as_ref().and_then(|p| p.distance(wanted));
        self.manifests.iter().filter(|d| distance(d).is_some()).min_by_key(distance)
    }

    /// The platforms that it lists, without the `unknown/unknown` of attestations.
    pub fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.manifests.iter().filter_map(|d| d.platform.as_ref()).filter(|p| p.os != "unknown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_platform_is_selected() {
        let digest = jettison_tree::Digest::of(b"");
        let entry = |platform: &str, size| Descriptor {
            platform: Some(platform.parse().unwrap()),
            ..Descriptor::new(MediaType::OCI_MANIFEST, digest, size)
        };
        let index = ImageIndex::new(vec![
            entry("unknown/unknown", 0),
            entry("linux/arm/v5", 1),
            entry("linux/arm/v6", 2),
            entry("linux/amd64", 3),
            entry("linux/amd64", 4),
        ]);
        let select = |text: &str| index.select(&text.parse().unwrap()).map(|descriptor| descriptor.size);
        assert_eq!(select("linux/arm/v7"), Some(2));
        assert_eq!(select("linux/amd64/v2"), Some(3));
        assert_eq!(select("linux/riscv64"), None);
        assert_eq!(index.platforms().count(), 4);
        let alone = ImageIndex::new(vec![Descriptor::new(MediaType::OCI_MANIFEST, digest, 5)]);
        assert_eq!(alone.select(&Platform::linux("s390x")).unwrap().size, 5);
    }
}
