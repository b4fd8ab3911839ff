//! A merged, read-only look at unpacked layers one above the other: what a container that is made of them would see.
//!
//! Whiteouts and opaque directories are obeyed as overlayfs does (Documentation/filesystems/overlayfs.rst, "whiteouts
//! and opaque directories"), and symbolic links mean what they mean inside ([`View::resolve`]). Nothing is mounted, and
//! in most cases nothing is started: [`crate::access`] says when.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jettison_tree::{TreePath, Xattrs};
use rustix::io::Errno;

use crate::access::TreeDir;
use crate::sandbox::Mode;
use crate::snapshot::Owner;
use crate::store::Snapshot;

pub use crate::access::{FileKind, ReadError, Stat, Time};

/// Symbolic links in one path (`MAXSYMLINKS` of the kernel).
const LINK_LIMIT: usize = 40;
/// Directories whose layers are remembered.
const DIRECTORY_LIMIT: usize = 100_000;

/// A directory with one layer in it, as overlayfs has them.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its root.
    pub path: PathBuf,
    /// Who shall own what, where the files could not be given away ([`Snapshot::owners`]).
    pub owners: Vec<Owner>,
    /// Keeps it from being pruned.
    held: Option<Snapshot>,
}

impl Layer {
    /// A directory in which the files have the owners that they shall have.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), owners: Vec::new(), held: None }
    }
}

impl From<&Snapshot> for Layer {
    fn from(snapshot: &Snapshot) -> Self {
        Self { path: snapshot.path.clone(), owners: snapshot.owners.clone(), held: Some(snapshot.clone()) }
    }
}

impl From<&Path> for Layer {
    fn from(path: &Path) -> Self {
        Self::new(path)
    }
}

/// A layer, open.
#[derive(Debug, Clone)]
pub(crate) struct OpenLayer {
    pub dir: TreeDir,
    owners: Arc<BTreeMap<TreePath, (u32, u32)>>,
    _held: Option<Snapshot>,
}

impl OpenLayer {
    pub fn open(layer: Layer, mode: &Mode) -> Result<Self, ReadError> {
        let dir = TreeDir::open(&layer.path, mode).map_err(|source| ReadError {
            path: layer.path.to_string_lossy().trim_start_matches('/').to_owned(),
            source,
        })?;
        let owners = layer.owners.into_iter().map(|owner| (owner.path, (owner.uid, owner.gid))).collect();
        Ok(Self { dir, owners: Arc::new(owners), _held: layer.held })
    }

    /// What stands at a path of this layer, whiteouts too, with its remembered owner.
    pub fn stat(&self, at: Option<&TreePath>) -> Result<Option<Stat>, ReadError> {
        let stat = self.dir.stat(at).map_err(ReadError::at(at))?;
        Ok(stat.map(|stat| match at.and_then(|at| self.owners.get(at)) {
            Some(&(uid, gid)) => Stat { uid, gid, ..stat },
            None => stat,
        }))
    }
}

/// Layers one above the other, seen as one tree. It can be shared by threads.
#[derive(Debug)]
pub struct View {
    layers: Vec<OpenLayer>,
    /// The layers that each directory is made of, the topmost first; none where no directory is.
    merged: Mutex<BTreeMap<TreePath, Arc<[usize]>>>,
}

impl View {
    /// Looks at these layers, the topmost first. They must not change meanwhile.
    pub fn open(layers: impl IntoIterator<Item = impl Into<Layer>>) -> Result<Self, ReadError> {
        let mode = Mode::detect();
        let layers = layers.into_iter().map(|layer| OpenLayer::open(layer.into(), &mode));
        Ok(Self { layers: layers.collect::<Result<_, _>>()?, merged: Mutex::default() })
    }

    /// What stands at a path, symbolic links not followed; the root for `None`.
    pub fn lstat<'a>(&self, path: impl Into<Option<&'a TreePath>>) -> Result<Option<Stat>, ReadError> {
        Ok(self.find(path.into())?.map(|(_, stat)| stat))
    }

    /// The target of a symbolic link, byte for byte.
    pub fn read_link(&self, path: &TreePath) -> Result<Vec<u8>, ReadError> {
        let layer = self.existing(Some(path))?;
        layer.dir.link(path).map_err(ReadError::at(Some(path)))
    }

    /// The names in a directory, in the order of their bytes; in the root for `None`.
    pub fn read_dir<'a>(&self, path: impl Into<Option<&'a TreePath>>) -> Result<Vec<Vec<u8>>, ReadError> {
        let path = path.into();
        let layers = self.layers_of(path)?;
        if layers.is_empty() {
            let errno = if self.find(path)?.is_some() { Errno::NOTDIR } else { Errno::NOENT };
            return Err(ReadError::at(path)(errno.into()));
        }
        let mut names = BTreeMap::new();
        for &index in layers.iter() {
            let Some(layer) = self.layers.get(index) else { continue };
            for (name, kind) in layer.dir.names(path).map_err(ReadError::at(path))? {
                if names.contains_key(name.as_bytes()) {
                    continue;
                }
                // Whiteouts are character devices; where the file system does not say what is one, it is looked at.
                let is_there = match kind {
                    Some(FileKind::CharacterDevice) | None => {
                        let inner = below(path, &name)?;
                        layer.stat(Some(&inner))?.is_some_and(|stat| !stat.is_whiteout())
                    }
                    Some(_) => true,
                };
                names.insert(name.as_bytes().to_vec(), is_there);
            }
        }
        Ok(names.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect())
    }

    /// The extended attributes of what stands at a path that are part of the image: `user.*` and
    /// `security.capability`, the latter as it is inside (revision 2).
    pub fn xattrs<'a>(&self, path: impl Into<Option<&'a TreePath>>) -> Result<Xattrs, ReadError> {
        let path = path.into();
        let layer = self.existing(path)?;
        Ok(layer.dir.xattrs(path).map_err(ReadError::at(path))?.0)
    }

    /// Opens a regular file for reading. Symbolic links are not followed.
    pub fn open_file(&self, path: &TreePath) -> Result<File, ReadError> {
        let layer = self.existing(Some(path))?;
        layer.dir.file(path).map_err(ReadError::at(Some(path)))
    }

    /// The content of a small file, symbolic links followed inside, as `/etc/passwd`. `None` where there is no such
    /// file; one with more than `limit` bytes is an error.
    pub fn read(&self, path: &TreePath, limit: u64) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(path) = self.resolve(path)? else { return Ok(None) };
        if self.lstat(&path)?.is_none_or(|stat| stat.kind != FileKind::File) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let read = self.open_file(&path)?.take(limit + 1).read_to_end(&mut bytes);
        let read = read.map_err(ReadError::at(Some(&path)))?;
        if read as u64 > limit {
            return Err(ReadError::at(Some(&path))(Errno::FBIG.into()));
        }
        Ok(Some(bytes))
    }

    /// The path that this one leads to when all symbolic links in it are followed, the last component too. They stay
    /// inside: an absolute target starts at the root, and `..` of the root is the root. What does not exist, and all
    /// after it, is kept as it is written. `None` is the root. More than 40 links are an error (`ELOOP`).
    pub fn resolve(&self, path: &TreePath) -> Result<Option<TreePath>, ReadError> {
        let mut rest: VecDeque<Vec<u8>> = components(path.as_bytes()).collect();
        let mut links = 0;
        let mut at: Option<TreePath> = None;
        let mut is_there = true;
        while let Some(component) = rest.pop_front() {
            if component == b".." {
                at = at.as_ref().and_then(TreePath::parent);
                // What is above may exist again.
                is_there = true;
                continue;
            }
            let next = match &at {
                None => TreePath::parse(&component),
                Some(at) => at.join(&component),
            };
            let next = next.map_err(|e| ReadError::at(Some(path))(io::Error::other(e)))?;
            let stat = if is_there { self.lstat(&next)? } else { None };
            match stat {
                Some(Stat { kind: FileKind::Symlink, .. }) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(ReadError::at(Some(path))(Errno::LOOP.into()));
                    }
                    let target = self.read_link(&next)?;
                    if target.first() == Some(&b'/') {
                        at = None;
                    }
                    for component in components(&target).collect::<Vec<_>>().into_iter().rev() {
                        rest.push_front(component);
                    }
                }
                stat => {
                    is_there = stat.is_some();
                    at = Some(next);
                }
            }
        }
        Ok(at)
    }

    /// As [`resolve`](Self::resolve), but a link as the last component stays.
    pub fn resolve_parent(&self, path: &TreePath) -> Result<TreePath, ReadError> {
        let name = path.file_name();
        let parent = match path.parent() {
            Some(parent) => self.resolve(&parent)?,
            None => None,
        };
        let resolved = match parent {
            Some(parent) => parent.join(name),
            None => TreePath::parse(name),
        };
        resolved.map_err(|e| ReadError::at(Some(path))(io::Error::other(e)))
    }

    /// The layer in which something stands that is not hidden.
    fn existing(&self, path: Option<&TreePath>) -> Result<&OpenLayer, ReadError> {
        let found = self.find(path)?.and_then(|(index, _)| self.layers.get(index));
        found.ok_or_else(|| ReadError::at(path)(Errno::NOENT.into()))
    }

    fn find(&self, path: Option<&TreePath>) -> Result<Option<(usize, Stat)>, ReadError> {
        let above = match path {
            None => (0..self.layers.len()).collect(),
            Some(path) => self.layers_of(path.parent().as_ref())?,
        };
        for &index in above.iter() {
            let Some(layer) = self.layers.get(index) else { continue };
            if let Some(stat) = layer.stat(path)? {
                return Ok((!stat.is_whiteout()).then_some((index, stat)));
            }
        }
        Ok(None)
    }

    /// The layers that a directory is made of; none where no directory is.
    fn layers_of(&self, path: Option<&TreePath>) -> Result<Arc<[usize]>, ReadError> {
        let Some(path) = path else { return Ok((0..self.layers.len()).collect()) };
        let known = |merged: &Mutex<BTreeMap<TreePath, Arc<[usize]>>>| {
            merged.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
        };
        if let Some(layers) = known(&self.merged) {
            return Ok(layers);
        }
        let mut layers = Vec::new();
        for &index in self.layers_of(path.parent().as_ref())?.iter() {
            let Some(layer) = self.layers.get(index) else { continue };
            match layer.stat(Some(path))? {
                None => {}
                Some(Stat { kind: FileKind::Directory, .. }) => {
                    layers.push(index);
                    // Nothing is below the lowest layer that an opaque directory could hide.
                    let is_lowest = index + 1 == self.layers.len();
                    if !is_lowest && layer.dir.xattrs(Some(path)).map_err(ReadError::at(Some(path)))?.1 {
                        break;
                    }
                }
                // A whiteout, or something else in place of the directories below.
                Some(_) => break,
            }
        }
        let layers: Arc<[usize]> = layers.into();
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        if merged.len() >= DIRECTORY_LIMIT {
            merged.clear();
        }
        merged.insert(path.clone(), Arc::clone(&layers));
        Ok(layers)
    }
}

/// The path of a name in a directory.
pub(crate) fn below(directory: Option<&TreePath>, name: &TreePath) -> Result<TreePath, ReadError> {
    match directory {
        None => Ok(name.clone()),
        Some(directory) => {
            directory.join(name.as_bytes()).map_err(|e| ReadError::at(Some(directory))(io::Error::other(e)))
        }
    }
}

/// The components of a path as a link spells it, `..` among them.
fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    path.split(|&byte| byte == b'/').filter(|component| !component.is_empty() && *component != b".").map(<[u8]>::to_vec)
}
