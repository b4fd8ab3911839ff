use std::fmt;

use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

/// The digest of a layer's uncompressed tar (image-spec, config.md, "Layer DiffID").
///
/// There is no conversion to or from the [`Digest`] of the compressed blob but the one that is spelled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(Digest);

impl DiffId {
    /// The id of the tar with this digest.
    pub const fn of_tar(digest: Digest) -> Self {
        Self(digest)
    }

    /// The digest of the uncompressed tar.
    pub const fn tar_digest(&self) -> Digest {
        self.0
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a stack of layers (image-spec, config.md, "Layer ChainID").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(Digest);

impl ChainId {
    /// The id of the stack with these layers, the lowest first; `None` for an empty stack.
    pub fn of(layers: &[DiffId]) -> Option<Self> {
        let (first, rest) = layers.split_first()?;
        Some(rest.iter().fold(Self(first.0), |below, &layer| below.with(layer)))
    }

    /// The id of this stack with one more layer on top.
    pub fn with(&self, layer: DiffId) -> Self {
        Self(Digest::of(format!("{self} {layer}").as_bytes()))
    }

    /// The digest itself.
    pub const fn digest(&self) -> Digest {
        self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_folded_from_the_bottom() {
        let ids: Vec<_> = [b"a", b"b", b"c"].map(|tar| DiffId::of_tar(Digest::of(tar))).into();
        assert_eq!(ChainId::of(&[]), None);
        assert_eq!(ChainId::of(&ids[..1]).unwrap().digest(), ids[0].tar_digest());
        let two = Digest::of(format!("{} {}", ids[0], ids[1]).as_bytes());
        let three = Digest::of(format!("{two} {}", ids[2]).as_bytes());
        assert_eq!(ChainId::of(&ids).unwrap().digest(), three);
    }
}
