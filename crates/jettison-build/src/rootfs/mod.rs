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

/// A directory with the layer that `open` opens, under a key of the caller's.
pub fn of_changeset<R: Read>(
    store: &Store,
    key: &CacheKey,
    open: impl FnOnce() -> Result<R, BuildError>,
) -> Result<Snapshot, BuildError> {
    changeset::unpack_as(store, key, false, open).map_err(|obstacle| match obstacle {
        Obstacle::NotAlone => BuildError::new("the layer makes no sense by itself"),
        Obstacle::Error(error) => error,
    })
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::num::NonZeroUsize;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    use jettison_oci::ImageBuilder;
    use jettison_oci::blob::BlobSet;
    use jettison_oci::layer::{Attributes, ChangesetWriter, Compression, LayerError, LayerOptions};
    use jettison_oci::types::{Descriptor, History, MediaType, Platform};
    use jettison_tree::Xattrs;

    use super::*;

    type Fill<'a> = &'a dyn Fn(&mut ChangesetWriter<'_, Vec<u8>>) -> Result<(), LayerError>;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn file(at: &str, text: &[u8]) -> Entry {
        Entry::file(path(at), Content::from_bytes(text), false)
    }

    fn image(layers: &[Fill<'_>]) -> Image {
        let mut builder = ImageBuilder::new(&Platform::linux("amd64"), 0);
        let mut blobs = BlobSet::new();
        for fill in layers {
            let options = LayerOptions { mtime: 9000, compression: Compression::GZIP, threads: NonZeroUsize::MIN };
            let mut layer = ChangesetWriter::new(Vec::new(), &options, None).unwrap();
            fill(&mut layer).unwrap();
            let (written, bytes) = layer.finish().unwrap();
            builder.add_layer(&written.blob, History::layer("by hand"));
            blobs.add_bytes(bytes);
        }
        builder.add_source(Arc::new(blobs));
        builder.build().unwrap()
    }

    fn store() -> (tempfile::TempDir, Arc<Store>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path().join("store")).unwrap());
        (dir, store)
    }

    /// Directories, a file that is larger than any buffer, one with attributes, a pipe.
    fn lowest(layer: &mut ChangesetWriter<'_, Vec<u8>>) -> Result<(), LayerError> {
        layer.push(&Entry { mtime: Some(500), mode: 0o750, ..Entry::directory(path("d")) })?;
        let (large, xattrs) = (path("d/large"), Xattrs::new());
        let large = Attributes { path: &large, mode: 0o640, uid: 0, gid: 0, mtime: Some(700), xattrs: &xattrs };
        layer.push_file(large, 6 << 20, io::repeat(7).take(6 << 20))?;
        layer.push(&Entry::new(path("d/pipe"), 0o600, (0, 0), Node::Fifo))?;
        let xattrs = [(&b"user.origin"[..], &b"here"[..])].into_iter().collect();
        layer.push(&Entry { xattrs, ..file("noted", b"text") })
    }

    #[test]
    fn everything_of_a_layer_is_kept() {
        let (_dir, store) = store();
        let unpacked = of_image(&store, &image(&[&lowest])).unwrap();
        let [root] = &unpacked.lower[..] else { panic!("{:?}", unpacked.lower) };
        let meta = |at: &str| fs::symlink_metadata(root.join(at)).unwrap();
        assert_eq!((meta("d").mode() & 0o7777, meta("d").mtime()), (0o750, 500));
        assert_eq!((meta("d/large").len(), meta("d/large").mtime()), (6 << 20, 700));
        assert!(meta("d/pipe").file_type().is_fifo());
        let mut value = [0; 16];
        // A temporary directory may be on a file system without attributes.
        if let Ok(len) = rustix::fs::lgetxattr(root.join("noted"), "user.origin", &mut value) {
            assert_eq!(&value[..len], b"here");
        }
    }

    #[test]
    fn only_what_cannot_stand_alone_is_put_together() {
        let (_dir, store) = store();
        // A link to a file of a lower layer, and a directory that is not listed.
        let raw = {
            use jettison_testkit::archive::{TarMember, tar};
            let members = [
                TarMember::hard_link("again", "noted"),
                TarMember::file("d/new", "new"),
                TarMember::file("d/.wh.pipe", ""),
            ];
            tar(&members)
        };
        let plain: Fill<'_> = &|layer| layer.push(&file("top", b"top"));
        let base = image(&[&lowest]);
        let mut builder = ImageBuilder::on(&base, 0);
        let mut blobs = BlobSet::new();
        let diff_id = jettison_oci::types::DiffId::of_tar(jettison_tree::Digest::of(&raw));
        builder.add_blob(Descriptor::of(MediaType::OCI_LAYER, &raw), diff_id, History::layer("by hand"));
        blobs.add_bytes(raw);
        builder.add_source(Arc::new(blobs));
        let middle = builder.build().unwrap();
        let mut builder = ImageBuilder::on(&middle, 0);
        let top = image(&[plain]);
        let layer = top.layers().next().unwrap();
        builder.add_blob(layer.descriptor.clone(), layer.diff_id, History::layer("by hand"));
        builder.add_source(Arc::clone(top.blobs()));
        let unpacked = of_image(&store, &builder.build().unwrap()).unwrap();
        assert_eq!(unpacked.lower.len(), 2, "the layer above stands alone");
        let stack = &unpacked.lower[1];
        assert_eq!(fs::metadata(stack.join("again")).unwrap().ino(), fs::metadata(stack.join("noted")).unwrap().ino());
        assert_eq!(fs::read(stack.join("d/new")).unwrap(), b"new");
        assert_eq!(fs::metadata(stack.join("d")).unwrap().mode() & 0o7777, 0o750, "as the layer below says");
        assert!(!stack.join("d/pipe").exists());
        // Once more it is all there.
        assert_eq!(of_image(&store, &middle).unwrap().lower, std::slice::from_ref(stack));
    }

    #[test]
    fn a_layer_that_is_not_what_it_should_be_leaves_nothing() {
        let (_dir, store) = store();
        let good = image(&[&lowest, &|layer| layer.push(&file("top", b"top"))]);
        let digests: Vec<_> = good.layers().map(|layer| layer.descriptor.digest).collect();
        struct Lying(Arc<dyn jettison_oci::BlobSource>, jettison_tree::Digest);
        impl jettison_oci::BlobSource for Lying {
            fn open(&self, descriptor: &Descriptor) -> Result<jettison_oci::Blob, jettison_oci::BlobError> {
                let mut bytes = Vec::new();
                self.0.open(descriptor)?.copy_to(descriptor, &mut bytes)?;
                if descriptor.digest == self.1 {
                    // The header of gzip says when it was made.
                    bytes[4] ^= 1;
                }
                Ok(jettison_oci::Blob::from_bytes(bytes.into()))
            }
        }
        let lying = Arc::new(Lying(Arc::clone(good.blobs()), digests[1]));
        let (descriptor, manifest, config) =
            (good.descriptor().clone(), good.manifest().clone(), good.config().clone());
        let image = Image::from_documents(descriptor, manifest, config, lying).unwrap();
        let error = of_image(&store, &image).map(|unpacked| unpacked.lower).unwrap_err().to_string();
        assert!(error.starts_with(&format!("layer 2 ({})", digests[1])), "{error}");
        assert!(of_image(&store, &good).is_ok());
    }
}
