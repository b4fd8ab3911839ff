//! Layers: which entry goes into which, and the blobs that come of it.
//!
//! Layers follow change. From the lowest: the interpreter and what it needs, the same for every project on the same base; the libraries
//! that this project's distributions need besides; each big distribution; the small ones together; bytecode; the project.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Context, Operation, Output};
use jettison_engine::store::Ref;
use jettison_oci::layer::{Compression, LayerBlob, LayerOptions, add_parents, write_layer};
use jettison_tree::{Collision, Content, Entry, Tree, TreePath};
use serde::{Deserialize, Serialize};

use crate::error::BuildError;
use crate::part::{Owner, Part, entry_digest};

/// A distribution with at least so many bytes gets a layer of its own.
///
/// Changing this changes the layers of many images.
pub const OWN_LAYER_BYTES: u64 = 3_000_000;
/// So many distributions get one at most, the biggest; registries and runtimes stop at 127 layers.
pub const OWN_LAYERS: usize = 60;

/// A layer that is to be made.
#[derive(Debug, Clone)]
pub struct PlannedLayer {
    /// What the image's history says of it.
    pub created_by: String,
    tree: Tree,
    owners: BTreeMap<TreePath, Owner>,
}

impl PlannedLayer {
    /// A layer with nothing in it.
    pub fn new(created_by: impl Into<String>) -> Self {
        Self { created_by: created_by.into(), tree: Tree::new(), owners: BTreeMap::new() }
    }

    /// Adds an entry. One that another owner put at the same path is a [`Clash`], unless both are the same.
    pub fn add(&mut self, entry: Entry, owner: &Owner) -> Result<(), Box<Clash>> {
        let path = entry.path.clone();
        match self.tree.insert(entry) {
            Ok(()) => {
                self.owners.entry(path).or_insert_with(|| owner.clone());
                Ok(())
            }
            Err(Collision(path)) => {
                let first = self.owners.get(&path).cloned().unwrap_or_else(Owner::image);
                Err(Box::new(Clash { path, first, second: owner.clone() }))
            }
        }
    }

    /// Adds an entry in place of what stands at its path.
    pub fn replace(&mut self, entry: Entry, owner: &Owner) {
        self.owners.insert(entry.path.clone(), owner.clone());
        self.tree.replace(entry);
    }

    /// Takes out what `keep` is not true for.
    pub fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.tree.retain(keep);
    }

    /// Adds all entries of a part.
    pub fn add_part(&mut self, part: &Part) -> Result<(), Box<Clash>> {
        part.entries().iter().try_for_each(|entry| self.add(entry.clone(), &part.facts.owner))
    }

    /// What is in it.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The owner of what stands at `path`.
    pub fn owner(&self, path: &TreePath) -> Option<&Owner> {
        self.owners.get(path)
    }

    /// Whether it holds anything.
    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    /// Directories of which nothing is left are taken out, unless `keep` is true for them.
    pub fn drop_empty_directories(&mut self, keep: impl Fn(&Entry) -> bool) {
        let mut parents = std::collections::BTreeSet::new();
        for entry in
            self.tree.iter().filter(|entry| !matches!(entry.node, jettison_tree::Node::Directory) || keep(entry))
        {
            let mut above = entry.path.parent();
            while let Some(parent) = above {
                above = parent.parent();
                if !parents.insert(parent) {
                    break;
                }
            }
        }
        self.tree.retain(|entry| {
            !matches!(entry.node, jettison_tree::Node::Directory) || keep(entry) || parents.contains(&entry.path)
        });
    }

    /// The step that makes its blob.
    pub fn into_step(
        mut self,
        mtime: u64,
        compression: Compression,
        threads: NonZeroUsize,
    ) -> Result<MakeLayer, BuildError> {
        add_parents(&mut self.tree).map_err(|error| BuildError::new(error.to_string()))?;
        Ok(MakeLayer { layer: Arc::new(self), mtime, compression, threads })
    }
}

/// Two owners want different things at one path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} both bring `{path}`, and not the same")]
pub struct Clash {
    /// The path.
    pub path: TreePath,
    /// Who came first.
    pub first: Owner,
    /// Who came second.
    pub second: Owner,
}

/// A layer that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MadeLayer {
    /// The blob.
    pub blob: LayerBlob,
    /// What made it.
    pub created_by: String,
    /// Bytes of the contents of all files.
    pub content_bytes: u64,
    /// Bytes of contents, by owner; their sum is `content_bytes`.
    pub owners: Vec<(Owner, u64)>,
}

/// The step that writes a layer.
pub struct MakeLayer {
    layer: Arc<PlannedLayer>,
    mtime: u64,
    compression: Compression,
    threads: NonZeroUsize,
}

impl Operation for MakeLayer {
    /// Every entry with its owner, the time and the compression. Not the number of threads: it changes no byte.
    fn key(&self) -> CacheKey {
        let mut key = CacheKey::builder("layer/2")
            .number("mtime", self.mtime)
            .field("compression", format!("{:?}", self.compression))
            .field("created-by", &self.layer.created_by);
        for entry in self.layer.tree.iter() {
            key = key.digest("entry", entry_digest(entry));
            if let Some(owner) = self.layer.owners.get(&entry.path) {
                key = key.field("owner", format!("{owner:?}"));
            }
        }
        key.finish()
    }

    fn run(&self, context: &Context<'_>, _: &[Arc<Output>]) -> Result<Output, BoxError> {
        let mut owners: BTreeMap<Owner, u64> = BTreeMap::new();
        let mut writer = context.store().writer()?;
        let options = LayerOptions { mtime: self.mtime, compression: self.compression, threads: self.threads };
        let image = Owner::image();
        let blob = write_layer(self.layer.tree.iter(), &options, &mut writer, |entry, _| {
            let owner = self.layer.owners.get(&entry.path).unwrap_or(&image);
            *owners.entry(owner.clone()).or_default() += entry.content().map_or(0, Content::len);
        })?;
        let (digest, _) = writer.commit(Some(blob.digest))?;
        let made = MadeLayer {
            blob,
            created_by: self.layer.created_by.clone(),
            content_bytes: owners.values().sum(),
            owners: owners.into_iter().collect(),
        };
        Ok(Output::new(&made)?.with(Ref::Blob(digest)))
    }
}
