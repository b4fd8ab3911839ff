//! Stacks as directories: what programs run in, and what is read when something is copied out of a stage.
//!
//! Each layer is a snapshot of its own in overlayfs's form, shared by all stages that stand on it. That of a program is there since it
//! ran; those of copies are written when something wants to look below them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jettison_engine::CacheKey;
use jettison_engine::snapshot::Owner;
use jettison_engine::store::{Snapshot, Store};
use jettison_engine::view::{self, View};
use jettison_oci::image::{Image, ImageOrIndex};
use jettison_oci::types::{Descriptor, MediaType};
use jettison_tree::{Digest, Entry, Node, TreePath};

use super::context::tree::{Empty, FileTree};
use super::context::view::ViewTree;
use super::copy::{Request, Selection};
use super::stack::{Layer, Stack};
use crate::error::{BuildError, Context as _};
use crate::image::StoreBlobs;
use crate::part::entry_digest;
use crate::rootfs::{Unpacked as UnpackedImage, of_image};

/// Where the layers of one build are found and made. Its threads share it.
pub struct Unpacker {
    store: Arc<Store>,
    /// What was selected in this build, to be placed wherever it is wanted.
    transfers: Mutex<BTreeMap<CacheKey, Arc<Transfer>>>,
    /// Where it was selected, where that is a stage.
    sources: Mutex<BTreeMap<CacheKey, Stack>>,
    /// Transfers over their stages.
    placed: Mutex<BTreeMap<CacheKey, Arc<Vec<Entry>>>>,
    images: Mutex<BTreeMap<Digest, Arc<UnpackedImage>>>,
}

/// A layer that was copied, and what is in it.
pub type Placed = (Layer, Arc<Vec<Entry>>);

/// What an instruction copies, and how.
pub struct Transfer {
    /// The instruction.
    pub request: Request,
    /// What it selects.
    pub selection: Selection,
}

impl Transfer {
    /// What it is known by.
    pub fn key(&self) -> CacheKey {
        self.selection.key()
    }
}

/// A stack as directories. They are there as long as somebody has this.
pub struct Unpacked {
    /// The topmost first; at least one.
    pub lower: Vec<PathBuf>,
    /// Who shall own what that belongs to us.
    pub owners: Vec<Owner>,
    /// All of them as one tree.
    pub view: Arc<View>,
    _held: (Option<Arc<UnpackedImage>>, Vec<Snapshot>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Unpacker {
    /// With nothing known yet.
    pub fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            transfers: Mutex::default(),
            sources: Mutex::default(),
            placed: Mutex::default(),
            images: Mutex::default(),
        }
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Remembers what was selected, and of which stage.
    pub fn remember(&self, transfer: &Arc<Transfer>, source: Option<Stack>) {
        lock(&self.transfers).insert(transfer.key(), Arc::clone(transfer));
        if let Some(source) = source {
            lock(&self.sources).insert(transfer.key(), source);
        }
    }

    /// What was selected under this key in this build.
    pub fn transfer(&self, key: CacheKey) -> Option<Arc<Transfer>> {
        lock(&self.transfers).get(&key).cloned()
    }

    /// The stage of which this was selected in this build.
    pub fn source(&self, key: CacheKey) -> Option<Stack> {
        lock(&self.sources).get(&key).cloned()
    }

    /// Puts what was selected over a stack: the layer, and what is in it. `None` where nothing is.
    pub fn place(
        &self,
        transfer: &Transfer,
        stack: &Stack,
        warn: &dyn Fn(String),
    ) -> Result<Option<Placed>, BuildError> {
        let Transfer { request, selection } = transfer;
        let stage: Box<dyn FileTree> = match request.stands_alone() {
            true => Box::new(Empty),
            false => self.tree(stack)?,
        };
        let mut copied = selection.place(request, &*stage, self.store.tmp())?;
        copied.warnings.into_iter().for_each(warn);
        if copied.entries.is_empty() {
            return Ok(None);
        }
        add_directories_above(&mut copied.entries, &*stage)?;
        let mut key = CacheKey::builder("placed/1");
        for entry in &copied.entries {
            // Times are no part of what makes later steps run again.
            key = key.digest("entry", entry_digest(&Entry { mtime: None, ..entry.clone() }));
        }
        let layer = Layer::Copied { selection: transfer.key(), placed: key.finish() };
        let entries = Arc::new(copied.entries);
        lock(&self.placed).insert(layer.key(), Arc::clone(&entries));
        Ok(Some((layer, entries)))
    }

    /// The entries of the topmost layer of a stack, where they need not be read from its snapshot.
    pub fn entries(&self, stack: &Stack) -> Result<Option<Arc<Vec<Entry>>>, BuildError> {
        let Some((layer, below)) = stack.layers.split_last() else { return Ok(None) };
        match layer {
            Layer::Changes(_) => Ok(None),
            Layer::Directories(made) => {
                Ok(Some(Arc::new(made.iter().map(super::stack::MadeDirectory::entry).collect())))
            }
            Layer::Copied { selection, placed } => {
                if let Some(entries) = lock(&self.placed).get(placed) {
                    return Ok(Some(Arc::clone(entries)));
                }
                let Some(transfer) = self.transfer(*selection) else { return Ok(None) };
                let below = Stack { base: stack.base, layers: below.to_vec() };
                let again = self.place(&transfer, &below, &|_| {})?;
                Ok(again.filter(|(again, _)| again == layer).map(|(_, entries)| entries))
            }
        }
    }

    /// The snapshot of the topmost layer of a stack.
    pub fn snapshot(&self, stack: &Stack) -> Result<Option<Snapshot>, BuildError> {
        let Some(layer) = stack.layers.last() else { return Ok(None) };
        let key = snapshot_key(layer);
        if let Some(snapshot) = self.store.snapshot(&key)? {
            return Ok(Some(snapshot));
        }
        let gone = || {
            BuildError::new("a layer that an earlier build made is gone from the store")
                .hint("build once more with --no-cache")
        };
        let entries = self.entries(stack)?.ok_or_else(gone)?;
        Ok(Some(write_snapshot(&self.store, &key, &entries)?))
    }

    /// A stack as directories.
    pub fn unpack(&self, stack: &Stack) -> Result<Unpacked, BuildError> {
        let image = stack.base.map(|digest| self.image(digest)).transpose()?;
        let mut snapshots = Vec::new();
        for height in 1..=stack.layers.len() {
            let part = Stack { base: stack.base, layers: stack.layers[..height].to_vec() };
            snapshots.extend(self.snapshot(&part)?);
        }
        snapshots.reverse();
        if image.is_none() && snapshots.is_empty() {
            let key = CacheKey::builder("snapshot/empty/1").finish();
            snapshots.push(self.store.snapshot_or(&key, |_| Ok::<(), BuildError>(()))?);
        }
        let mut lower: Vec<PathBuf> = snapshots.iter().map(|snapshot| snapshot.path.clone()).collect();
        let mut layers: Vec<view::Layer> = snapshots.iter().map(view::Layer::from).collect();
        let mut owners = Vec::new();
        if let Some(image) = &image {
            owners.extend(image.owners.iter().filter(|owner| !is_covered(&lower, owner)).cloned());
            layers.extend(image.held.snapshots.iter().map(view::Layer::from));
        }
        for (height, snapshot) in snapshots.iter().enumerate().rev() {
            owners.extend(snapshot.owners.iter().filter(|owner| !is_covered(&lower[..height], owner)).cloned());
        }
        lower.extend(image.iter().flat_map(|image| image.lower.iter().cloned()));
        let view = Arc::new(View::open(layers)?);
        Ok(Unpacked { lower, owners, view, _held: (image, snapshots) })
    }

    /// A stack as a tree to copy from, or to copy into.
    pub fn tree(&self, stack: &Stack) -> Result<Box<dyn FileTree>, BuildError> {
        let unpacked = self.unpack(stack)?;
        let view = Arc::clone(&unpacked.view);
        Ok(Box::new(Holding { tree: ViewTree::new(view, self.store.tmp()), _unpacked: unpacked }))
    }

    fn image(&self, digest: Digest) -> Result<Arc<UnpackedImage>, BuildError> {
        let mut images = lock(&self.images);
        if let Some(image) = images.get(&digest) {
            return Ok(Arc::clone(image));
        }
        let unpacked = Arc::new(of_image(&self.store, &open_image(&self.store, digest)?)?);
        images.insert(digest, Arc::clone(&unpacked));
        Ok(unpacked)
    }
}

/// Adds the directories of the stage that something is put into, as they are: other tools keep them in each layer too, and a layer
/// then stands by itself.
fn add_directories_above(entries: &mut Vec<Entry>, stage: &dyn FileTree) -> Result<(), BuildError> {
    let known: BTreeSet<&TreePath> = entries.iter().map(|entry| &entry.path).collect();
    let mut missing: BTreeSet<TreePath> = BTreeSet::new();
    for entry in entries.iter() {
        let mut above = entry.path.parent();
        while let Some(path) = above {
            above = path.parent();
            if known.contains(&path) || !missing.insert(path) {
                break;
            }
        }
    }
    let mut added = Vec::new();
    for path in missing {
        let stat = stage.lstat(path.as_bytes())?.filter(|stat| stat.is_directory());
        let mut entry = Entry::directory(path);
        if let Some(stat) = stat {
            (entry.mode, entry.uid, entry.gid, entry.mtime) = (stat.mode, stat.uid, stat.gid, Some(stat.mtime));
        }
        added.push(entry);
    }
    entries.extend(added);
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(())
}

/// The image with this manifest, which the store has.
pub fn open_image(store: &Arc<Store>, digest: Digest) -> Result<Image, BuildError> {
    let gone = || BuildError::new(format!("the store has no image {digest}"));
    let size = store.blob_len(digest)?.ok_or_else(gone)?;
    let descriptor = Descriptor::new(MediaType::new(""), digest, size);
    match ImageOrIndex::read(&descriptor, Arc::new(StoreBlobs(Arc::clone(store)))).context(format!("image {digest}"))? {
        ImageOrIndex::Image(image) => Ok(image),
        ImageOrIndex::Index(_) => Err(gone()),
    }
}

/// The key of the snapshot that a layer has.
pub fn snapshot_key(layer: &Layer) -> CacheKey {
    match layer {
        Layer::Changes(key) => *key,
        layer => CacheKey::builder("snapshot/entries/1").input("layer", layer.key()).finish(),
    }
}

/// Writes entries into the snapshot with this key, hard links after what they name.
pub fn write_snapshot(store: &Store, key: &CacheKey, entries: &[Entry]) -> Result<Snapshot, BuildError> {
    store.snapshot_or(key, |dir| {
        for links in [false, true] {
            for entry in entries.iter().filter(|entry| matches!(entry.node, Node::HardLink(_)) == links) {
                dir.write(entry)?;
            }
        }
        Ok::<(), BuildError>(())
    })
}

/// Whether a higher layer has something in place of what an owner is remembered for.
fn is_covered(higher: &[PathBuf], owner: &Owner) -> bool {
    let path: &TreePath = &owner.path;
    higher.iter().any(|layer| layer.join(path.as_path()).symlink_metadata().is_ok())
}

/// A tree with what keeps it there.
struct Holding {
    tree: ViewTree,
    _unpacked: Unpacked,
}

impl FileTree for Holding {
    fn lstat(&self, path: &[u8]) -> Result<Option<super::context::tree::Stat>, BuildError> {
        self.tree.lstat(path)
    }

    fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, BuildError> {
        self.tree.read_link(path)
    }

    fn read_dir(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, BuildError> {
        self.tree.read_dir(path)
    }

    fn load(
        &self,
        base: &[u8],
        files: &[super::context::tree::Found],
        scope: &str,
    ) -> Result<Vec<super::context::tree::Loaded>, BuildError> {
        self.tree.load(base, files, scope)
    }
}
