//! What a layer changes: the upper directory of an overlay, read as a changeset.
//!
//! [`walk`] goes through an upper directory in the order of [`TreePath`]s, which is that of the bytes of whole paths:
//! `a`, `a-b`, `a/b`. A directory that merely was touched, because something in it changed, is a change too, as it is to
//! other tools. Sockets are left out: they mean nothing without their process. Overlays here are mounted without
//! `redirect_dir` and `metacopy`, so that an upper directory holds all there is to know.

use std::collections::BTreeMap;
use std::fs::File;

use jettison_tree::{Device, TreePath, Xattrs};

use crate::access::{FileKind, ReadError, Stat, Time, TreeDir};
use crate::sandbox::Mode;
use crate::view::{Layer, OpenLayer, below};

/// One change.
#[derive(Debug)]
pub struct Change {
    /// Where.
    pub path: TreePath,
    /// What stands there now.
    pub kind: ChangeKind,
    /// Permission, setuid, setgid and sticky bits (`0o7777`).
    pub mode: u32,
    /// Numeric owner, inside.
    pub uid: u32,
    /// Numeric group, inside.
    pub gid: u32,
    /// When the content was last changed.
    pub mtime: Time,
    /// `user.*` and `security.capability`, the latter as it is inside (revision 2).
    pub xattrs: Xattrs,
}

/// What stands at a path that was changed.
#[derive(Debug)]
pub enum ChangeKind {
    /// A directory, one that was there or a new one.
    Directory {
        /// Whether nothing of what lower layers have in it is there any more.
        opaque: bool,
    },
    /// A regular file.
    File(FileContent),
    /// A symbolic link with its target, byte for byte.
    Symlink(Vec<u8>),
    /// Another name for the file at this path, which came before.
    HardLink(TreePath),
    /// A character device.
    CharacterDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// Nothing: what lower layers have here is removed.
    Whiteout,
}

/// The content of a changed file, opened when it is wanted.
#[derive(Debug, Clone)]
pub struct FileContent {
    dir: TreeDir,
    path: TreePath,
    len: u64,
}

impl FileContent {
    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Opens it for reading.
    pub fn open(&self) -> Result<File, ReadError> {
        self.dir.file(&self.path).map_err(ReadError::at(Some(&self.path)))
    }
}

/// The changes of a layer, one after the other, as [`walk`] finds them. After an error there are no more.
#[derive(Debug)]
pub struct Changes {
    layer: OpenLayer,
    /// What is still to be visited, the next one last.
    open: Vec<Visit>,
    /// The first names of files that have several.
    links: BTreeMap<(u64, u64), TreePath>,
}

#[derive(Debug)]
enum Visit {
    Entry(TreePath),
    Inside(Option<TreePath>),
}

/// Goes through the changes that a layer makes. Its root directory is not among them.
pub fn walk(layer: impl Into<Layer>) -> Result<Changes, ReadError> {
    let layer = OpenLayer::open(layer.into(), &Mode::detect())?;
    Ok(Changes { layer, open: vec![Visit::Inside(None)], links: BTreeMap::new() })
}

impl Iterator for Changes {
    type Item = Result<Change, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let visited = match self.open.pop()? {
                Visit::Inside(directory) => self.enter(directory.as_ref()).map(|()| None),
                Visit::Entry(path) => self.visit(path),
            };
            match visited {
                Ok(None) => {}
                Ok(Some(change)) => return Some(Ok(change)),
                Err(e) => {
                    self.open.clear();
                    return Some(Err(e));
                }
            }
        }
    }
}

impl Changes {
    /// Puts what is in a directory on the list. A directory's inside comes where its name with a slash sorts.
    fn enter(&mut self, directory: Option<&TreePath>) -> Result<(), ReadError> {
        let names = self.layer.dir.names(directory).map_err(ReadError::at(directory))?;
        let mut visits = Vec::with_capacity(names.len());
        for (name, kind) in names {
            let path = below(directory, &name)?;
            let kind = match kind {
                Some(kind) => Some(kind),
                None => self.layer.stat(Some(&path))?.map(|stat| stat.kind),
            };
            if kind == Some(FileKind::Directory) {
                visits.push(([path.as_bytes(), b"/"].concat(), Visit::Inside(Some(path.clone()))));
            }
            visits.push((path.as_bytes().to_vec(), Visit::Entry(path)));
        }
        visits.sort_by(|(a, _), (b, _)| b.cmp(a));
        self.open.extend(visits.into_iter().map(|(_, visit)| visit));
        Ok(())
    }

    fn visit(&mut self, path: TreePath) -> Result<Option<Change>, ReadError> {
        let error = || ReadError::at(Some(&path));
        let Some(stat) = self.layer.stat(Some(&path))? else { return Ok(None) };
        let dir = &self.layer.dir;
        if stat.is_whiteout() {
            let kind = ChangeKind::Whiteout;
            return Ok(Some(change(path, kind, &stat, Xattrs::new())));
        }
        if stat.kind == FileKind::Socket {
            return Ok(None);
        }
        if stat.kind != FileKind::Directory && stat.nlink > 1 {
            if let Some(first) = self.links.get(&stat.dev_ino) {
                let kind = ChangeKind::HardLink(first.clone());
                return Ok(Some(change(path, kind, &stat, Xattrs::new())));
            }
            self.links.insert(stat.dev_ino, path.clone());
        }
        let (xattrs, opaque) = match stat.kind {
            FileKind::Symlink => (Xattrs::new(), false),
            _ => dir.xattrs(Some(&path)).map_err(error())?,
        };
        let kind = match stat.kind {
            FileKind::Directory => ChangeKind::Directory { opaque },
            FileKind::File => ChangeKind::File(FileContent { dir: dir.clone(), path: path.clone(), len: stat.len }),
            FileKind::Symlink => ChangeKind::Symlink(dir.link(&path).map_err(error())?),
            FileKind::CharacterDevice => ChangeKind::CharacterDevice(stat.rdev),
            FileKind::BlockDevice => ChangeKind::BlockDevice(stat.rdev),
            FileKind::Fifo => ChangeKind::Fifo,
            FileKind::Socket => return Ok(None),
        };
        Ok(Some(change(path, kind, &stat, xattrs)))
    }
}

fn change(path: TreePath, kind: ChangeKind, stat: &Stat, xattrs: Xattrs) -> Change {
    Change { path, kind, mode: stat.mode, uid: stat.uid, gid: stat.gid, mtime: stat.mtime, xattrs }
}
