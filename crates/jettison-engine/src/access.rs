//! Reading the files of unpacked trees, whoever they belong to.
//!
//! A program in a sandbox leaves files of all ids that it has. To an ordinary user some of them are closed from
//! outside: files of subordinate ids, directories without a single permission. What this process may do it does
//! itself, which is most; where it is refused it asks a process in the user namespace
//! ([`crate::sandbox::look_in_user_namespace`]), where the caller is root. Ids come out as they are *inside* either way.
//!
//! No path leaves its tree: no symbolic link is followed on the way (openat2(2)).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_tree::{Device, TreePath, Xattrs};
use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags, fstat, major, minor, open, openat2, readlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::sandbox;

mod ids;

use ids::Ids;

/// The longest list of names of extended attributes, and the longest value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const XATTR_LIMIT: usize = 64 * 1024;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are the types of inode(7)")]
pub enum FileKind {
    Directory,
    File,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Fifo,
    Socket,
}

/// What stands at a path, as lstat(2) says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// What it is.
    pub kind: FileKind,
    /// Permission, setuid, setgid and sticky bits (`0o7777`).
    pub mode: u32,
    /// Numeric owner, inside.
    pub uid: u32,
    /// Numeric group, inside.
    pub gid: u32,
    /// Bytes of a file or of a link's target.
    pub len: u64,
    /// When the content was last changed.
    pub mtime: Time,
    /// The numbers of a device; zeros where it is none.
    pub rdev: Device,
    /// How many names it has.
    pub nlink: u64,
    /// Device and inode number: what tells whether two names are one file.
    pub dev_ino: (u64, u64),
}

impl Stat {
    /// Whether it is overlayfs's whiteout, a character device 0:0: nothing is there.
    pub(crate) fn is_whiteout(&self) -> bool {
        self.kind == FileKind::CharacterDevice && self.rdev == Device { major: 0, minor: 0 }
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time {
    /// Seconds since 1970, rounded down.
    pub seconds: i64,
    /// Nanoseconds after that.
    pub nanoseconds: u32,
}

/// Something in an unpacked tree cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `/{path}` in an unpacked layer: {source}")]
pub struct ReadError {
    /// The path inside, without the leading slash.
    pub path: String,
    /// Why.
    pub source: io::Error,
}

impl ReadError {
    pub(crate) fn at(path: Option<&TreePath>) -> impl FnOnce(io::Error) -> Self {
        let path = path.map(ToString::to_string).unwrap_or_default();
        move |source| Self { path, source }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match Errno::from_io_error(&self.source) {
            Some(Errno::LOOP) => Some("symbolic links lead in a circle".into()),
            Some(Errno::NOENT) => Some("the store may have been pruned meanwhile; run this again".into()),
            Some(Errno::ACCESS) => {
                Some("this user may not read it, and no user namespace in which it could can be had here".into())
            }
            _ => None,
        }
    }
}

/// What is asked about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Look {
    Stat,
    Link,
    Names,
    Xattrs,
    File,
}

/// The answer. An open file comes beside it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Found {
    Nothing,
    Stat(Stat),
    Link(Vec<u8>),
    Names(Vec<(TreePath, Option<FileKind>)>),
    Xattrs(Vec<(Vec<u8>, Vec<u8>)>),
    File,
}

/// An unpacked tree, open.
#[derive(Debug, Clone)]
pub(crate) struct TreeDir {
    path: Arc<Path>,
    root: Arc<OwnedFd>,
    ids: Ids,
    /// Whether overlays of this process keep their marks in `trusted.overlay.`, and not in `user.overlay.`.
    is_trusted: bool,
}

impl TreeDir {
    pub fn open(path: &Path, mode: &sandbox::Mode) -> io::Result<Self> {
        let root = open_root(path)?;
        let is_trusted = *mode == sandbox::Mode::Root && sandbox::is_first_namespace();
        Ok(Self { path: path.into(), root: Arc::new(root), ids: Ids::of(mode), is_trusted })
    }

    /// What stands at a path; the tree itself for `None`.
    pub fn stat(&self, at: Option<&TreePath>) -> io::Result<Option<Stat>> {
        match self.look(at, Look::Stat)?.0 {
            Found::Stat(stat) => Ok(Some(stat)),
            _ => Ok(None),
        }
    }

    /// Where a symbolic link leads.
    pub fn link(&self, at: &TreePath) -> io::Result<Vec<u8>> {
        match self.look(Some(at), Look::Link)?.0 {
            Found::Link(target) => Ok(target),
            _ => Err(Errno::NOENT.into()),
        }
    }

    /// The names in a directory, in no order, with what they are where the file system says so.
    pub fn names(&self, at: Option<&TreePath>) -> io::Result<Vec<(TreePath, Option<FileKind>)>> {
        match self.look(at, Look::Names)?.0 {
            Found::Names(names) => Ok(names),
            _ => Err(Errno::NOENT.into()),
        }
    }

    /// Extended attributes that belong to the tree, and whether overlayfs has marked a directory as opaque.
    pub fn xattrs(&self, at: Option<&TreePath>) -> io::Result<(Xattrs, bool)> {
        let Found::Xattrs(found) = self.look(at, Look::Xattrs)?.0 else { return Err(Errno::NOENT.into()) };
        let mark: &[u8] = if self.is_trusted { b"trusted.overlay.opaque" } else { b"user.overlay.opaque" };
        let is_opaque = found.iter().any(|(name, value)| name == mark && value == b"y");
        let belonging = found.into_iter().filter(|(name, _)| belongs_to_tree(name));
        let xattrs = belonging.map(|(name, value)| {
            let value = if name == CAPABILITY { self.capability(value) } else { value };
            (name, value)
        });
        Ok((xattrs.collect(), is_opaque))
    }

    /// The owner that was noted for something where its ids do not exist: user and group, where they are known.
    pub fn noted_owner(&self, at: Option<&TreePath>) -> io::Result<(Option<u32>, Option<u32>)> {
        let Found::Xattrs(found) = self.look(at, Look::Xattrs)?.0 else { return Ok((None, None)) };
        let note = found.iter().find(|(name, _)| name == sandbox::OWNER.as_bytes());
        Ok(note.and_then(|(_, value)| sandbox::parse_owner(value)).unwrap_or_default())
    }

    /// Opens a regular file for reading.
    pub fn file(&self, at: &TreePath) -> io::Result<File> {
        match self.look(Some(at), Look::File)? {
            (Found::File, Some(file)) => Ok(file.into()),
            _ => Err(Errno::NOENT.into()),
        }
    }

    fn look(&self, at: Option<&TreePath>, what: Look) -> io::Result<(Found, Option<OwnedFd>)> {
        match look(self.root.as_fd(), at, what) {
            Ok((Found::Stat(stat), fd)) => {
                let (uid, gid) = self.ids.inside(stat.uid, stat.gid);
                Ok((Found::Stat(Stat { uid, gid, ..stat }), fd))
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && !matches!(self.ids, Ids::Same) => {
                sandbox::look_in_user_namespace(&self.path, at, what).map_err(|other| {
                    // Where there is no namespace to look from, what the file system said is what matters.
                    if Errno::from_io_error(&other).is_some() { other } else { e }
                })
            }
            found => found,
        }
    }

    /// File capabilities as they are inside. The kernel keeps those that were set in a user namespace with the outer id
    /// of its root (`VFS_CAP_REVISION_3`, capabilities(7)); inside that is revision 2.
    fn capability(&self, value: Vec<u8>) -> Vec<u8> {
        let Ids::Mapped { uid, .. } = self.ids else { return value };
        let word = |at: usize| value.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        match (word(0), word(20)) {
            (Some(magic), Some(root)) if magic >> 24 == 3 && root == uid => {
                let magic = (magic & 0x00ff_ffff) | (2 << 24);
                [&magic.to_le_bytes(), &value[4..20]].concat()
            }
            _ => value,
        }
    }
}

/// The attribute that holds file capabilities.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Whether an extended attribute is part of a tree: what programs set, and file capabilities. What remains says
/// something about this machine (labels of SELinux, integrity measurements) or belongs to overlayfs and the sandbox.
pub(crate) fn belongs_to_tree(name: &[u8]) -> bool {
    let is_ours = name.starts_with(b"user.overlay.") || name == sandbox::OWNER.as_bytes();
    name == CAPABILITY || (name.starts_with(b"user.") && !is_ours)
}

/// Opens the root of a tree, to look from.
pub(crate) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Looks with the rights of this process. Ids come out as this process sees them.
pub(crate) fn look(root: BorrowedFd<'_>, at: Option<&TreePath>, what: Look) -> io::Result<(Found, Option<OwnedFd>)> {
    let node = match open_at(root, at, OFlags::PATH | OFlags::NOFOLLOW) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok((Found::Nothing, None)),
        opened => opened?,
    };
    let found = match what {
        Look::Stat => Found::Stat(stat_of(&node)?),
        Look::Link => Found::Link(readlinkat(&node, c"", Vec::new())?.into_bytes()),
        Look::Names => Found::Names(names_in(&open_at(root, at, OFlags::RDONLY | OFlags::DIRECTORY)?)?),
        Look::Xattrs => Found::Xattrs(xattrs_of(&node)?),
        Look::File => {
            if stat_of(&node)?.kind != FileKind::File {
                return Err(io::Error::other("it is no regular file"));
            }
            return Ok((Found::File, Some(open_at(root, at, OFlags::RDONLY | OFlags::NOFOLLOW)?)));
        }
    };
    Ok((found, None))
}

fn open_at(root: BorrowedFd<'_>, at: Option<&TreePath>, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = at.map_or(Path::new("."), TreePath::as_path);
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
}

fn kind_of(file_type: FileType) -> Option<FileKind> {
    match file_type {
        FileType::Directory => Some(FileKind::Directory),
        FileType::RegularFile => Some(FileKind::File),
        FileType::Symlink => Some(FileKind::Symlink),
        FileType::CharacterDevice => Some(FileKind::CharacterDevice),
        FileType::BlockDevice => Some(FileKind::BlockDevice),
        FileType::Fifo => Some(FileKind::Fifo),
        FileType::Socket => Some(FileKind::Socket),
        FileType::Unknown => None,
    }
}

fn stat_of(node: &OwnedFd) -> io::Result<Stat> {
    let stat = fstat(node)?;
    let kind = kind_of(FileType::from_raw_mode(stat.st_mode));
    Ok(Stat {
        kind: kind.ok_or_else(|| io::Error::other("it is of a type that is not known"))?,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        len: stat.st_size as u64,
        mtime: Time { seconds: stat.st_mtime as i64, nanoseconds: stat.st_mtime_nsec as u32 },
        rdev: Device { major: major(stat.st_rdev), minor: minor(stat.st_rdev) },
        #[allow(clippy::useless_conversion, reason = "its width differs by architecture")]
        nlink: stat.st_nlink.into(),
        dev_ino: (stat.st_dev, stat.st_ino),
    })
}

fn names_in(directory: &OwnedFd) -> io::Result<Vec<(TreePath, Option<FileKind>)>> {
    let mut names = Vec::new();
    let mut buffer = Vec::with_capacity(32 * 1024);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push((TreePath::parse(name).map_err(io::Error::other)?, kind_of(entry.file_type())));
        }
    }
    Ok(names)
}

fn xattrs_of(node: &OwnedFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    // What is opened as a path has no attributes of its own; the magic link to it is followed, and no further.
    let path = PathBuf::from(format!("/proc/self/fd/{}", node.as_raw_fd()));
    let mut names = Vec::new();
    let len = match rustix::fs::listxattr_query(&path) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        len => len?,
    };
    if len > 0 {
        names.reserve(len.clamp(1024, XATTR_LIMIT));
        rustix::fs::listxattr(&path, spare_capacity(&mut names))?;
    }
    let mut found = Vec::new();
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let is_ours = name.ends_with(b".overlay.opaque") || name == sandbox::OWNER.as_bytes();
        if !belongs_to_tree(name) && !is_ours {
            continue;
        }
        let mut value = Vec::with_capacity(XATTR_LIMIT);
        match rustix::fs::getxattr(&path, name, spare_capacity(&mut value)) {
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(e) => return Err(e.into()),
            Ok(_) => found.push((name.to_vec(), value)),
        }
    }
    Ok(found)
}
