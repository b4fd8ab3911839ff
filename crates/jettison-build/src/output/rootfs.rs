//! The files of an image, outside of any sandbox: as a directory, or as one tar without layers.
//!
//! The layers are put together first ([`FlatTree`]); every path of it is written once, into a directory that is new and
//! ours alone. A path whose parent is anything but a directory of the tree is refused, so no symbolic link is followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use jettison_oci::Image;
use jettison_oci::layer::{Compression, FlatEntry, FlatNode, FlatTree, LayerOptions, Origin, TarKind, write_layer};
use jettison_tree::{Content, Device, Digest, Entry, Hasher, Node, TreePath};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chownat, lsetxattr, makedev,
    mknodat, utimensat,
};

use crate::error::{BuildError, Context as _};

/// What was unpacked.
pub(crate) struct Unpacked {
    tree: FlatTree,
    /// Digest and length of every file.
    contents: BTreeMap<Origin, (Digest, u64)>,
    /// Devices, which only root can make.
    pub left_out: Vec<TreePath>,
}

/// How files are left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// With their modes, and as root with their owners.
    AsInImage,
    /// Readable by us: the directory is only passed through.
    Readable,
}

/// Unpacks the files of an image into the directory `root`, which is empty.
pub(crate) fn unpack(image: &Image, root: &Path, finish: Finish) -> Result<Unpacked, BuildError> {
    let tree = image.flatten()?;
    let mut unpacked = Unpacked { tree, contents: BTreeMap::new(), left_out: Vec::new() };
    let mut files: BTreeMap<Origin, Vec<TreePath>> = BTreeMap::new();
    let mut made = BTreeSet::new();
    for (path, entry) in unpacked.tree.iter() {
        make_parents(&unpacked.tree, root, path, &mut made)?;
        let at = root.join(path.as_path());
        let done = match &entry.node {
            FlatNode::Directory => {
                made.insert(path.clone());
                make_directory(&at)
            }
            FlatNode::File { origin, .. } => {
                files.entry(origin.clone()).or_default().push(path.clone());
                Ok(())
            }
            FlatNode::Symlink(target) => symlink(as_path(target), &at),
            FlatNode::Special(_) if finish == Finish::Readable => Ok(()),
            FlatNode::Special(kind) => match special(*kind, &at) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    unpacked.left_out.push(path.clone());
                    Ok(())
                }
                made => made,
            },
        };
        done.context(format!("cannot unpack `{path}`"))?;
    }
    let contents = &mut unpacked.contents;
    image.read_files(&files.keys().cloned().collect(), |origin, reader| {
        let Some(first) = files.get(origin).and_then(|paths| paths.first()) else { return Ok(()) };
        contents.insert(origin.clone(), write_file(&root.join(first.as_path()), reader)?);
        Ok(())
    })?;
    for paths in files.values() {
        for other in paths.iter().skip(1) {
            fs::hard_link(root.join(paths[0].as_path()), root.join(other.as_path()))
                .context(format!("cannot unpack `{other}`"))?;
        }
    }
    if finish == Finish::AsInImage {
        restore(&unpacked.tree, &unpacked.left_out, root)?;
    }
    Ok(unpacked)
}

/// Writes the files of an image as one tar, with the times that they have in the image; `mtime` is for directories that no
/// layer lists. `scratch` is an empty directory to work in.
pub(crate) fn write_tar(
    images: &[(Option<TreePath>, Image)],
    scratch: &Path,
    mtime: u64,
    out: &mut dyn Write,
) -> Result<Vec<TreePath>, BuildError> {
    let mut entries: BTreeMap<TreePath, Entry> = BTreeMap::new();
    let mut left_out = Vec::new();
    for (number, (prefix, image)) in images.iter().enumerate() {
        let root = scratch.join(number.to_string());
        make_directory(&root)?;
        let unpacked = unpack(image, &root, Finish::Readable)?;
        let place = |path: &TreePath| match prefix {
            Some(prefix) => prefix.join(path.as_bytes()),
            None => Ok(path.clone()),
        };
        if let Some(prefix) = prefix {
            entries.insert(prefix.clone(), Entry::directory(prefix.clone()));
        }
        let mut first_names: BTreeMap<&Origin, TreePath> = BTreeMap::new();
        for (path, entry) in unpacked.tree.iter() {
            let at = place(path)?;
            let node = match &entry.node {
                FlatNode::Directory => Node::Directory,
                FlatNode::Symlink(target) => Node::Symlink(target.clone()),
                FlatNode::File { origin, .. } => match (first_names.get(origin), unpacked.contents.get(origin)) {
                    (Some(first), _) => Node::HardLink(first.clone()),
                    (None, Some((digest, len))) => {
                        first_names.insert(origin, at.clone());
                        Node::File(Content::at_path(root.join(path.as_path()), *len, *digest))
                    }
                    (None, None) => return Err(BuildError::new(format!("`{path}` has no content in its layer"))),
                },
                FlatNode::Special(TarKind::Fifo) => Node::Fifo,
                &FlatNode::Special(TarKind::CharacterDevice(major, minor)) => {
                    Node::CharacterDevice(Device { major, minor })
                }
                &FlatNode::Special(TarKind::BlockDevice(major, minor)) => Node::BlockDevice(Device { major, minor }),
                FlatNode::Special(_) => {
                    left_out.push(path.clone());
                    continue;
                }
            };
            let (uid, gid) = owner(path, entry)?;
            let (mode, mtime, xattrs) = (entry.mode, entry.mtime, entry.xattrs.clone());
            entries.insert(at.clone(), Entry { path: at, mode, uid, gid, mtime, xattrs, node });
        }
    }
    // The times in an image are as they shall be.
    for entry in entries.values_mut() {
        entry.mtime = entry.mtime.or(i64::try_from(mtime).ok());
    }
    let options = LayerOptions { mtime: i64::MAX as u64, compression: Compression::None, threads: NonZeroUsize::MIN };
    let out = BufWriter::with_capacity(1 << 17, out);
    write_layer(entries.values(), &options, out, |_, _| {}).map_err(|error| BuildError::new(error.to_string()))?;
    Ok(left_out)
}

/// Makes the directories above `path` that the tree does not list, and refuses those that are something else.
fn make_parents(
    tree: &FlatTree,
    root: &Path,
    path: &TreePath,
    made: &mut BTreeSet<TreePath>,
) -> Result<(), BuildError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    if made.contains(&parent) {
        return Ok(());
    }
    make_parents(tree, root, &parent, made)?;
    if tree.get(&parent).is_some_and(|entry| entry.node != FlatNode::Directory) {
        return Err(BuildError::new(format!("cannot unpack `{path}`: `{parent}` is no directory in the image")));
    }
    make_directory(&root.join(parent.as_path())).context(format!("cannot unpack `{parent}`"))?;
    made.insert(parent);
    Ok(())
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)
}

/// Writes a file and says what is in it. Of two members of a layer with one name the last counts.
fn write_file(path: &Path, reader: &mut dyn Read) -> io::Result<(Digest, u64)> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        file.write_all(&buffer[..read])?;
    }
}

fn special(kind: TarKind, at: &Path) -> io::Result<()> {
    let (kind, device) = match kind {
        TarKind::Fifo => (FileType::Fifo, 0),
        TarKind::CharacterDevice(major, minor) => (FileType::CharacterDevice, makedev(major, minor)),
        TarKind::BlockDevice(major, minor) => (FileType::BlockDevice, makedev(major, minor)),
        _ => return Ok(()),
    };
    Ok(mknodat(CWD, at, kind, Mode::from_raw_mode(0o600), device)?)
}

/// Gives everything its owner, attributes and time, where that is possible, and its mode; the deepest first, since a directory may
/// then be closed.
fn restore(tree: &FlatTree, left_out: &[TreePath], root: &Path) -> Result<(), BuildError> {
    let is_root = rustix::process::geteuid().is_root();
    let mut entries: Vec<_> = tree.iter().collect();
    entries.reverse();
    for (path, entry) in entries {
        if left_out.contains(path) {
            continue;
        }
        let at = root.join(path.as_path());
        let (uid, gid) = owner(path, entry)?;
        if is_root {
            // A container's root may not have this id.
            let _ = chownat(CWD, &at, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW);
        }
        // After the owner, whose change takes capabilities and setuid bits away.
        for (name, value) in entry.xattrs.iter() {
            // Most file systems have some, and only root may set most.
            let _ = lsetxattr(&at, name, value, XattrFlags::empty());
        }
        if let Some(tv_sec) = entry.mtime {
            let (last_access, last_modification) =
                (Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, Timespec { tv_sec, tv_nsec: 0 });
            let times = Timestamps { last_access, last_modification };
            utimensat(CWD, &at, &times, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(io::Error::from)
                .context(format!("cannot unpack `{path}`"))?;
        }
        if !matches!(entry.node, FlatNode::Symlink(_)) {
            fs::set_permissions(&at, Permissions::from_mode(entry.mode)).context(format!("cannot unpack `{path}`"))?;
        }
    }
    fs::set_permissions(root, Permissions::from_mode(0o755))?;
    Ok(())
}

fn owner(path: &TreePath, entry: &FlatEntry) -> Result<(u32, u32), BuildError> {
    match (u32::try_from(entry.uid), u32::try_from(entry.gid)) {
        (Ok(uid), Ok(gid)) => Ok((uid, gid)),
        _ => Err(BuildError::new(format!("`{path}` belongs to {}:{}, which no Linux has", entry.uid, entry.gid))),
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
