//! Directories for the sandbox: parts, layers and images, unpacked once.
//!
//! - [`of_parts`]: what distributions and packages bring, in one directory.
//! - [`of_layer`] and [`of_image`]: layers of ours and of others. A layer that can stand by itself becomes a snapshot with its
//!   deletions in overlayfs's own form ([`changeset`]), and is shared by all images that have it. A few cannot: those with a hard
//!   link to a file of another layer, and those that leave out the directories that their files stand in, whose modes are then
//!   those of a lower layer. They become one snapshot with all that lies below them ([`stack`]).

mod changeset;
mod stack;

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jettison_engine::CacheKey;
use jettison_engine::snapshot::{Owner, SafeDir, UnpackError};
use jettison_engine::store::{Scratch, Snapshot, Store, StoreError};
use jettison_oci::image::{Image, Layer};
use jettison_oci::layer::{TarEntry, TarError, TarHeader, TarKind};
use jettison_tree::{Content, Device, Entry, Node, PathError, TreePath};

use crate::error::{BuildError, Context as _};
use crate::layers::MadeLayer;
use crate::part::{Part, entry_digest};

/// Layers that are unpacked at the same time. Each takes one thread to unpack and little memory.
const AT_ONCE: usize = 4;

/// A directory with everything of `parts`, of which the first to have a path counts, under `made`.
pub fn of_parts<'a>(
    store: &Store,
    parts: impl IntoIterator<Item = &'a Part>,
    made: &[Entry],
) -> Result<Snapshot, BuildError> {
    let parts: Vec<&Part> = parts.into_iter().collect();
    let mut key = CacheKey::builder("snapshot/parts/1");
    for part in &parts {
        key = key.input("part", part.key);
    }
    for entry in made {
        key = key.digest("made", entry_digest(entry));
    }
    let snapshot = store.snapshot_or(&key.finish(), |dir| {
        let mut seen = std::collections::BTreeSet::new();
        // Hard links come after what they name.
        for links in [false, true] {
            for entry in made.iter().chain(parts.iter().flat_map(|part| part.entries())) {
                let is_link = matches!(entry.node, jettison_tree::Node::HardLink(_));
                if is_link == links && seen.insert(&entry.path) {
                    dir.write(entry)?;
                }
            }
        }
        Ok::<(), BuildError>(())
    })?;
    Ok(snapshot)
}

/// A directory with what the layer holds. Layers of ours always stand by themselves.
pub fn of_layer(store: &Store, layer: &MadeLayer) -> Result<Snapshot, BuildError> {
    let blob = layer.blob.digest;
    let unpacked = changeset::unpack(store, blob, false, || Ok(store.open_blob(blob)?));
    match unpacked {
        Ok(snapshot) => Ok(snapshot),
        Err(Obstacle::NotAlone) => Err(BuildError::new(format!("the layer {blob} makes no sense by itself"))),
        Err(Obstacle::Error(error)) => Err(error),
    }
    .context(&layer.created_by)
}

/// The root file system of an image. It is there as long as somebody has this.
pub struct Unpacked {
    /// The directories for an overlay, the topmost first.
    pub lower: Vec<PathBuf>,
    /// Who shall own what could not be given away.
    pub owners: Vec<Owner>,
    /// What the directories are.
    pub held: Held,
}

/// Keeps directories from being removed.
#[derive(Default)]
pub struct Held {
    /// The layers, the topmost first; some are several layers of the image in one.
    pub snapshots: Vec<Snapshot>,
    /// What else there is.
    pub scratch: Vec<Scratch>,
}

/// Unpacks the layers of an image that are not unpacked yet, several at once.
pub fn of_image(store: &Arc<Store>, image: &Image) -> Result<Unpacked, BuildError> {
    let layers: Vec<Layer<'_>> = image.layers().collect();
    let mut snapshots = Vec::with_capacity(layers.len());
    let mut bottom = 0;
    for (index, unpacked) in each_layer(store, image, &layers)?.into_iter().enumerate() {
        match unpacked {
            Some(snapshot) => snapshots.push(snapshot),
            None => {
                bottom = index + 1;
                snapshots.clear();
            }
        }
    }
    if bottom > 0 {
        snapshots.insert(0, stack::unpack(store, image, &layers[..bottom])?);
    }
    snapshots.reverse();
    let lower: Vec<PathBuf> = snapshots.iter().map(|snapshot| snapshot.path.clone()).collect();
    let mut owners = Vec::new();
    for (number, snapshot) in snapshots.iter().enumerate().rev() {
        // What a higher layer has in its place belongs to whom that layer says.
        let is_covered = |owner: &Owner| {
            lower[..number].iter().any(|higher| higher.join(owner.path.as_path()).symlink_metadata().is_ok())
        };
        owners.extend(snapshot.owners.iter().filter(|owner| !is_covered(owner)).cloned());
    }
    Ok(Unpacked { lower, owners, held: Held { snapshots, scratch: Vec::new() } })
}

/// Each layer by itself; `None` for one that makes sense only on top of those below it.
fn each_layer(store: &Store, image: &Image, layers: &[Layer<'_>]) -> Result<Vec<Option<Snapshot>>, BuildError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(layer) = layers.get(next.fetch_add(1, Ordering::Relaxed)) {
            let blob = layer.descriptor.digest;
            let unpack = |is_lowest| changeset::unpack(store, blob, is_lowest, || Ok(image.open(layer.descriptor)?));
            let mut unpacked = unpack(false);
            if layer.index == 0 && matches!(unpacked, Err(Obstacle::NotAlone)) {
                unpacked = unpack(true);
            }
            if matches!(unpacked, Err(Obstacle::Error(_))) {
                next.store(layers.len(), Ordering::Relaxed);
            }
            done.push((layer, unpacked));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..layers.len().min(AT_ONCE)).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    // Layers are begun in their order, so those that were not stand behind the one that failed.
    done.sort_by_key(|(layer, _)| layer.index);
    let each = done.into_iter().map(|(layer, unpacked)| match unpacked {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err(Obstacle::NotAlone) => Ok(None),
        Err(Obstacle::Error(error)) => Err(error.context(named(layer))),
    });
    each.collect()
}

fn named(layer: &Layer<'_>) -> String {
    format!("layer {} ({})", layer.index + 1, layer.descriptor.digest)
}

/// Why a layer is no snapshot.
enum Obstacle {
    /// It makes sense only on top of those below it.
    NotAlone,
    Error(BuildError),
}

/// Whatever else goes wrong.
macro_rules! obstacles {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Obstacle {
            fn from(error: $error) -> Self {
                Self::Error(error.into())
            }
        })+
    };
}

obstacles!(BuildError, StoreError, TarError, PathError, UnpackError, io::Error);

/// What a member of a layer is in a tree; the content of a file is not in it. `None` for the root itself, and for volume labels
/// and the like, which name nothing that would be unpacked.
fn entry_of(header: &TarHeader) -> Result<Option<Entry>, BuildError> {
    let Some(path) = header.path()? else { return Ok(None) };
    let node = match &header.kind {
        TarKind::Directory => Node::Directory,
        TarKind::File => Node::File(Content::from_bytes([])),
        TarKind::Symlink => Node::Symlink(header.link.clone()),
        TarKind::HardLink => Node::HardLink(TreePath::parse(&header.link)?),
        &TarKind::CharacterDevice(major, minor) => Node::CharacterDevice(Device { major, minor }),
        &TarKind::BlockDevice(major, minor) => Node::BlockDevice(Device { major, minor }),
        TarKind::Fifo => Node::Fifo,
        TarKind::Other(_) => return Ok(None),
    };
    let id = |id: u64| {
        u32::try_from(id).map_err(|_| BuildError::new(format!("`{path}` belongs to {id}, whom no Linux has")))
    };
    let (uid, gid) = (id(header.uid)?, id(header.gid)?);
    let (mtime, xattrs) = (Some(header.mtime), header.xattrs.clone());
    Ok(Some(Entry { path, mode: header.mode, uid, gid, mtime, xattrs, node }))
}

/// Writes an entry, a file with the content of its member.
fn write<R: Read>(dir: &mut SafeDir, entry: &Entry, member: &mut TarEntry<'_, R>) -> Result<(), BuildError> {
    let written = match entry.node {
        Node::File(_) => dir.write_file(entry, member),
        _ => dir.write(entry),
    };
    Ok(written?)
}
