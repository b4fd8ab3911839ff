use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a blob is (image-spec, media-types.md; Docker image manifest schema 2). Unknown ones are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(Cow<'static, str>);

/// How a blob is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobCompression {
    /// As it is.
    None,
    /// gzip, of any number of members.
    Gzip,
    /// Zstandard, of any number of frames.
    Zstd,
}

macro_rules! media_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl MediaType {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*
        }
    };
}

media_types! {
    /// An OCI image manifest.
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    OCI_INDEX = "application/vnd.oci.image.index.v1+json";
    /// An OCI image config.
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
    /// An uncompressed OCI layer.
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar";
    /// An OCI layer packed with gzip.
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// An OCI layer packed with Zstandard.
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// An uncompressed OCI layer that is not to be pushed on.
    OCI_LAYER_NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    /// A gzip OCI layer that is not to be pushed on.
    OCI_LAYER_NONDISTRIBUTABLE_GZIP = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    /// A Zstandard OCI layer that is not to be pushed on.
    OCI_LAYER_NONDISTRIBUTABLE_ZSTD = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd";
    /// The config `{}` of an artifact that has none.
    OCI_EMPTY = "application/vnd.oci.empty.v1+json";
    /// Docker's image manifest, schema 2.
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's manifest list.
    DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's image config.
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
    /// An uncompressed Docker layer.
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar";
    /// A Docker layer packed with gzip.
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// A Docker layer packed with Zstandard.
    DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// A Docker layer that is fetched from its `urls`.
    DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// Docker's manifest, schema 1, which is refused by name.
    DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json";
    /// Docker's manifest, schema 1, signed.
    DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws";
}

impl MediaType {
    /// The media type with this text.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an image manifest, OCI's or Docker's schema 2.
    pub fn is_manifest(&self) -> bool {
        [Self::OCI_MANIFEST, Self::DOCKER_MANIFEST].contains(self)
    }

    /// Whether it is an index or a manifest list.
    pub fn is_index(&self) -> bool {
        [Self::OCI_INDEX, Self::DOCKER_MANIFEST_LIST].contains(self)
    }

    /// Whether it is an image config.
    pub fn is_config(&self) -> bool {
        [Self::OCI_CONFIG, Self::DOCKER_CONFIG].contains(self)
    }

    /// Whether it is Docker's manifest schema 1, which has no config and no digest that could be checked.
    pub fn is_schema1(&self) -> bool {
        [Self::DOCKER_SCHEMA1, Self::DOCKER_SCHEMA1_SIGNED].contains(self)
    }

    /// Whether it is a layer that is a changeset (image-spec, layer.md).
    pub fn is_layer(&self) -> bool {
        self.compression().is_some()
    }

    /// Whether it is a layer whose bytes stay where their `urls` point.
    pub fn is_nondistributable(&self) -> bool {
        self.as_str().starts_with(Self::OCI_LAYER_NONDISTRIBUTABLE.as_str()) || *self == Self::DOCKER_FOREIGN_LAYER
    }

    /// How the layer is packed; `None` where it is no layer.
    pub fn compression(&self) -> Option<BlobCompression> {
        let oci = self.to_oci();
        let tail = oci
            .as_str()
            .strip_prefix(Self::OCI_LAYER.as_str())
            .or_else(|| oci.as_str().strip_prefix(Self::OCI_LAYER_NONDISTRIBUTABLE.as_str()))?;
        match tail {
            "" => Some(BlobCompression::None),
            "+gzip" => Some(BlobCompression::Gzip),
            "+zstd" => Some(BlobCompression::Zstd),
            _ => None,
        }
    }

    /// The OCI name of the same bytes, where Docker has one of its own for them.
    pub fn to_oci(&self) -> Self {
        let pairs = [
            (Self::DOCKER_MANIFEST, Self::OCI_MANIFEST),
            (Self::DOCKER_MANIFEST_LIST, Self::OCI_INDEX),
            (Self::DOCKER_CONFIG, Self::OCI_CONFIG),
            (Self::DOCKER_LAYER, Self::OCI_LAYER),
            (Self::DOCKER_LAYER_GZIP, Self::OCI_LAYER_GZIP),
            (Self::DOCKER_LAYER_ZSTD, Self::OCI_LAYER_ZSTD),
            (Self::DOCKER_FOREIGN_LAYER, Self::OCI_LAYER_NONDISTRIBUTABLE_GZIP),
        ];
        pairs.into_iter().find(|(docker, _)| docker == self).map_or_else(|| self.clone(), |(_, oci)| oci)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_vocabularies_say_the_same() {
        for (media_type, want) in [
            (MediaType::OCI_LAYER, Some(BlobCompression::None)),
            (MediaType::DOCKER_LAYER_GZIP, Some(BlobCompression::Gzip)),
            (MediaType::OCI_LAYER_NONDISTRIBUTABLE_ZSTD, Some(BlobCompression::Zstd)),
            (MediaType::DOCKER_FOREIGN_LAYER, Some(BlobCompression::Gzip)),
            (MediaType::new("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"), None),
            (MediaType::OCI_CONFIG, None),
        ] {
            assert_eq!(media_type.compression(), want, "{media_type}");
        }
        assert!(MediaType::DOCKER_FOREIGN_LAYER.is_nondistributable() && !MediaType::OCI_LAYER.is_nondistributable());
    }
}
