//! The layers of an image as directories for overlayfs, unpacked once.
//!
//! A layer that can stand by itself becomes a snapshot, with its whiteouts in overlayfs's own form, and is shared by all
//! images that have it. A few cannot: those with a hard link to a file of another layer, and those that leave out the
//! directories that their files stand in, whose modes are then those of a lower layer. An image with one of these is put
//! together as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::snapshot::{Owner, SafeDir, UnpackError};
use jettison_engine::store::{Scratch, Snapshot, Store, StoreError};
use jettison_oci::image::{Image, Layer};
use jettison_oci::layer::{TarEntry, TarError, TarKind, Whiteout, read_layer};
use jettison_tree::{Content, Entry, Hasher, Node, PathError, TreePath};

use crate::error::{BuildError, Context as _};
use crate::output::rootfs::{Finish, unpack};

/// A file above this goes through a temporary file, not through memory. Bytes.
const IN_MEMORY: u64 = 4 << 20;

/// The root file system of an image. It is there as long as somebody has this.
pub(crate) struct Unpacked {
    /// The topmost first.
    pub lower: Vec<PathBuf>,
    pub owners: Vec<Owner>,
    /// What keeps the directories from being removed.
    pub held: Held,
}

#[derive(Default)]
pub(crate) struct Held {
    _snapshots: Vec<Snapshot>,
    pub scratch: Vec<Scratch>,
}

/// Unpacks what is not unpacked yet.
pub(crate) fn unpack_layers(store: &Arc<Store>, image: &Image) -> Result<Unpacked, BuildError> {
    let mut snapshots = Vec::new();
    for layer in image.layers() {
        let mut unpacked = unpack_layer(store, image, &layer, false);
        if layer.index == 0 && matches!(unpacked, Err(Obstacle::NotAlone)) {
            unpacked = unpack_layer(store, image, &layer, true);
        }
        match unpacked {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(Obstacle::NotAlone) => return unpack_whole(store, image),
            Err(Obstacle::Error(error)) => {
                let number = layer.index + 1;
                return Err(error.context(format!("layer {number} ({})", layer.descriptor.digest)));
            }
        }
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
    Ok(Unpacked { lower, owners, held: Held { _snapshots: snapshots, scratch: Vec::new() } })
}

fn unpack_whole(store: &Arc<Store>, image: &Image) -> Result<Unpacked, BuildError> {
    let scratch = store.scratch()?;
    let root = scratch.path().join("root");
    std::fs::create_dir(&root)?;
    let unpacked = unpack(image, &root, Finish::AsInImage)?;
    let held = Held { _snapshots: Vec::new(), scratch: vec![scratch] };
    Ok(Unpacked { lower: vec![root], owners: unpacked.owners, held })
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

/// Unpacks a layer for any place in an image, or, more leniently, for the lowest.
fn unpack_layer(store: &Arc<Store>, image: &Image, layer: &Layer<'_>, is_lowest: bool) -> Result<Snapshot, Obstacle> {
    // By the blob, which is checked. What the config says of the tar in it may be anything.
    let blob = layer.descriptor.digest;
    let key = CacheKey::builder("snapshot/changeset/1").digest("blob", blob).flag("lowest", is_lowest).finish();
    store.snapshot_or(&key, |dir| {
        let mut blob = image.open(layer.descriptor).map_err(BuildError::from)?;
        let mut tar = read_layer(&mut blob)?;
        let mut changes =
            Changes { dir, written: BTreeMap::new(), whiteouts: Vec::new(), opaque: Vec::new(), is_lowest };
        while let Some(mut member) = tar.next_entry()? {
            changes.apply(store, &mut member)?;
        }
        changes.white_out()?;
        drop(tar);
        // The digest is known to be right only when the last byte was seen.
        io::copy(&mut blob, &mut io::sink())?;
        Ok(())
    })
}

/// A layer that is being written.
struct Changes<'a> {
    dir: &'a mut SafeDir,
    /// What the layer has, and whether it is a directory.
    written: BTreeMap<TreePath, bool>,
    whiteouts: Vec<TreePath>,
    opaque: Vec<TreePath>,
    /// There is nothing below it that could be hidden.
    is_lowest: bool,
}

impl Changes<'_> {
    fn apply<R: Read>(&mut self, store: &Store, member: &mut TarEntry<'_, R>) -> Result<(), Obstacle> {
        let header = member.header().clone();
        match header.whiteout()? {
            None => {}
            Some(whiteout) => return self.note(whiteout),
        }
        let Some(path) = header.path()? else { return Ok(()) };
        let node = match header.kind {
            TarKind::Directory => Node::Directory,
            TarKind::Symlink => Node::Symlink(header.link),
            TarKind::HardLink => {
                let target = TreePath::parse(&header.link)?;
                if self.written.get(&target) != Some(&false) {
                    return Err(Obstacle::NotAlone);
                }
                Node::HardLink(target)
            }
            TarKind::File => Node::File(content(store, member, header.size)?),
            // The sandbox has devices of its own.
            TarKind::CharacterDevice(..) | TarKind::BlockDevice(..) | TarKind::Fifo | TarKind::Other(_) => {
                return Ok(());
            }
        };
        let implied = path.parent().is_some_and(|parent| self.written.get(&parent) != Some(&true));
        if implied && !self.is_lowest {
            return Err(Obstacle::NotAlone);
        }
        let id = |id: u64| {
            u32::try_from(id).map_err(|_| BuildError::new(format!("`{path}` belongs to {id}, whom no Linux has")))
        };
        let (uid, gid) = (id(header.uid)?, id(header.gid)?);
        let is_directory = matches!(node, Node::Directory);
        self.dir.write(&Entry::new(path.clone(), header.mode, (uid, gid), node)).context(&path)?;
        let mut above = path.parent();
        self.written.insert(path, is_directory);
        while let Some(parent) = above {
            above = parent.parent();
            self.written.insert(parent, true);
        }
        Ok(())
    }

    fn note(&mut self, whiteout: Whiteout) -> Result<(), Obstacle> {
        match whiteout {
            _ if self.is_lowest => {}
            Whiteout::Ignored => {}
            Whiteout::Path(path) => self.whiteouts.push(path),
            Whiteout::Opaque(Some(directory)) => self.opaque.push(directory),
            // The layer replaces everything below it, which overlayfs has no word for.
            Whiteout::Opaque(None) => return Err(Obstacle::NotAlone),
        }
        Ok(())
    }

    /// Hides what the layer takes away. What it has itself in that place stays, and covers what is below it; a directory
    /// does not do that by itself.
    fn white_out(&mut self) -> Result<(), Obstacle> {
        for path in std::mem::take(&mut self.opaque) {
            if self.written.get(&path) != Some(&true) {
                return Err(Obstacle::NotAlone);
            }
            self.dir.opaque(&path)?;
        }
        for path in std::mem::take(&mut self.whiteouts) {
            match self.written.get(&path) {
                Some(true) => self.dir.opaque(&path)?,
                Some(false) => {}
                None if path.parent().is_none_or(|parent| self.written.get(&parent) == Some(&true)) => {
                    self.dir.whiteout(&path)?;
                }
                None => return Err(Obstacle::NotAlone),
            }
        }
        Ok(())
    }
}

fn content<R: Read>(store: &Store, member: &mut TarEntry<'_, R>, size: u64) -> Result<Content, Obstacle> {
    if size <= IN_MEMORY {
        let mut bytes = Vec::with_capacity(size as usize);
        member.read_to_end(&mut bytes)?;
        return Ok(Content::from_bytes(bytes));
    }
    let mut file: File = tempfile::tempfile_in(store.tmp())?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match member.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                file.write_all(&buffer[..read])?;
            }
        }
    }
    file.rewind()?;
    let (digest, len) = hasher.finish();
    Ok(Content::in_file(Arc::new(file), 0, len, digest))
}
