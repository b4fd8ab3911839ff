//! What a stage holds after a step, as the results of steps say it: an image below and layers on top of it.
//!
//! Nothing of it is files. A layer is named by what made it, and exists in forms that are made when somebody wants them: a directory for
//! overlayfs ([`unpacked`](super::unpacked)), a blob ([`export`](super::steps::export)).

use jettison_engine::CacheKey;
use jettison_tree::{Digest, Entry, Node, TreePath};
use serde::{Deserialize, Serialize};

/// The files of a stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// The manifest of the image below; none for `scratch`.
    pub base: Option<Digest>,
    /// What steps added, the lowest first.
    pub layers: Vec<Layer>,
}

/// A layer that a step added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// What a program changed: the snapshot with this key.
    Changes(CacheKey),
    /// What was copied.
    Copied {
        /// What was selected ([`Selection::key`](super::copy::Selection::key)).
        selection: CacheKey,
        /// What it became in this stage: a key of the entries.
        placed: CacheKey,
    },
    /// Directories, each with those above it that the stage has.
    Directories(Vec<MadeDirectory>),
}

/// A directory that `WORKDIR` made, or one above it as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeDirectory {
    /// Where.
    pub path: TreePath,
    /// Its permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Layer {
    /// The identity of what is in it.
    pub fn key(&self) -> CacheKey {
        match self {
            Self::Changes(key) => *key,
            Self::Copied { placed, .. } => *placed,
            Self::Directories(directories) => {
                let mut key = CacheKey::builder("directories/1");
                for made in directories {
                    let numbers = [made.mode, made.uid, made.gid].map(u64::from);
                    key = key.field("path", made.path.as_bytes());
                    key = numbers.iter().fold(key, |key, number| key.number("number", *number));
                }
                key.finish()
            }
        }
    }
}

impl MadeDirectory {
    /// As an entry of a layer.
    pub fn entry(&self) -> Entry {
        Entry::new(self.path.clone(), self.mode, (self.uid, self.gid), Node::Directory)
    }
}

/// The result of a step that works on files: what there is then, and whether it added a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// What there is.
    pub stack: Stack,
    /// Whether the topmost layer is of this step. A step that changes nothing adds none.
    pub added: bool,
    /// The bytes of the files in that layer.
    pub bytes: u64,
}

impl Made {
    /// A step that adds this layer, with so many bytes in its files.
    pub fn with(mut stack: Stack, layer: Layer, bytes: u64) -> Self {
        stack.layers.push(layer);
        Self { stack, added: true, bytes }
    }

    /// A step that changes nothing.
    pub fn same(stack: Stack) -> Self {
        Self { stack, added: false, bytes: 0 }
    }

    /// The layer that the step added.
    pub fn layer(&self) -> Option<&Layer> {
        self.stack.layers.last().filter(|_| self.added)
    }
}
