//! Unpacking trees and layers into a directory that they cannot leave.
//!
//! Every path is resolved as if the directory were the root of the file system (`openat2` with `RESOLVE_IN_ROOT`), so
//! that a symbolic link in the tree means to us what it will mean in the container, and leads nowhere else. The last
//! component is never followed: an entry replaces what stands at its path, as in a layer.
//!
//! # Owners
//!
//! Root gives files away as they are written. An ordinary user with subordinate ids writes all as itself and has them
//! given away at the end, in one go, by a process in its user namespace ([`give`]), which also sets file capabilities.
//! Where no other id exists owners are remembered ([`Snapshot::owners`](crate::store::Snapshot)). What the kernel lets
//! nobody but root make is left out: device nodes, and file capabilities where there are no subordinate ids.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_tree::{Device, Entry, Node, TreePath, Xattrs};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmod,
    chownat, fchmod, linkat, makedev, mkdirat, mknodat, open, openat, openat2, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::access::{CAPABILITY, belongs_to_tree};
use crate::removal::remove_as_ourselves;
use crate::sandbox;

mod gift;

pub use gift::Owner;
use gift::set_attribute;
pub(crate) use gift::{Gift, give};

/// A tree with more entries than this is hostile.
const ENTRY_LIMIT: u64 = 4_000_000;

/// Files are written in pieces of so many bytes.
const COPY_LEN: usize = 256 * 1024;

/// A directory that is being filled with a tree, or with layers one above the other.
pub struct SafeDir {
    path: PathBuf,
    root: OwnedFd,
    /// Whether files can be given to others.
    may_chown: bool,
    /// Owners, and attributes that take privileges, that could not be given as the files were written.
    gifts: BTreeMap<TreePath, Gift>,
    /// Modes and times of directories, set when all is in them.
    directories: BTreeMap<TreePath, (u32, Option<i64>)>,
    /// The directory that the last entry stood in.
    parent: Option<(Option<TreePath>, Arc<OwnedFd>)>,
    entries: u64,
    bytes: u64,
    buffer: Vec<u8>,
}

/// What [`SafeDir::finish`] returns.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub owners: Vec<Owner>,
    pub bytes: u64,
}

impl SafeDir {
    /// Fills the directory at `path`, which nobody else changes meanwhile. Its mode becomes 0755.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let root = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        fchmod(&root, Mode::from_raw_mode(0o755))?;
        Ok(Self {
            path: path.to_owned(),
            root,
            may_chown: rustix::process::geteuid().is_root(),
            gifts: BTreeMap::new(),
            directories: BTreeMap::new(),
            parent: None,
            entries: 0,
            bytes: 0,
            buffer: Vec::new(),
        })
    }

    /// Another hand that fills the same directory, on another thread at the same time. What the two write must not be at, above or below
    /// the same path, except for directories; [`join`](Self::join) puts together what they noted.
    pub fn another(&self) -> io::Result<Self> {
        Self::open(&self.path)
    }

    /// Takes over what another hand noted of what it wrote. What this one noted of a path before counts.
    pub fn join(&mut self, other: Self) {
        for (path, gift) in other.gifts {
            self.gifts.entry(path).or_insert(gift);
        }
        for (path, noted) in other.directories {
            self.directories.entry(path).or_insert(noted);
        }
        self.entries += other.entries;
        self.bytes += other.bytes;
    }

    /// Writes an entry in place of what stands at its path; a directory stays with what is in it when it was one
    /// before. Directories above it that are missing are made, `0755` and owned by root.
    pub fn write(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        match &entry.node {
            Node::File(content) => self.write_file(entry, &mut content.reader()),
            _ => self.count(entry, |this| match &entry.node {
                Node::Directory => this.directory(entry),
                Node::File(_) => Ok(()),
                Node::Symlink(target) => this.symlink(entry, target),
                Node::HardLink(target) => this.hard_link(entry, target),
                Node::CharacterDevice(device) => this.node(entry, FileType::CharacterDevice, *device),
                Node::BlockDevice(device) => this.node(entry, FileType::BlockDevice, *device),
                Node::Fifo => this.node(entry, FileType::Fifo, Device { major: 0, minor: 0 }),
            }),
        }
    }

    /// As [`write`](Self::write), for a file whose content is what `content` reads to its end; the entry's own node is
    /// not looked at. So content can be streamed whose digest nobody knows.
    pub fn write_file(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), UnpackError> {
        self.count(entry, |this| this.file(entry, content))
    }

    fn count(&mut self, entry: &Entry, write: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<(), UnpackError> {
        self.entries += 1;
        let written = match self.entries {
            0..=ENTRY_LIMIT => write(self),
            _ => Err(io::Error::other("the tree has too many entries")),
        };
        written.map_err(|source| UnpackError { path: entry.path.clone(), source })
    }

    /// Removes what stands at `path`, with all below it: what a whiteout says when layers are unpacked one above the
    /// other. That there is nothing is no error.
    pub fn remove(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        let removed = match self.parent_of(path, false) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
            Err(e) => Err(e),
            Ok(parent) => self.clear(parent.as_fd(), path, false),
        };
        removed.map_err(|source| UnpackError { path: path.clone(), source })
    }

    /// Removes what is in the directory at `path`, and not itself: what an opaque whiteout says when layers are
    /// unpacked one above the other.
    pub fn remove_below(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        let error = |source: io::Error| UnpackError { path: path.clone(), source };
        let directory = match self.resolve(path.as_path(), OFlags::RDONLY) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
            opened => opened.map_err(error)?,
        };
        let names = rustix::fs::Dir::read_from(&directory).map_err(|e| error(e.into()))?;
        for name in names {
            let name = name.map_err(|e| error(e.into()))?;
            if !matches!(name.file_name().to_bytes(), b"." | b"..") {
                let inner = path.join(name.file_name().to_bytes()).map_err(|e| error(io::Error::other(e)))?;
                self.remove(&inner)?;
            }
        }
        Ok(())
    }

    /// Hides what lower directories of an overlay have at `path`: overlayfs's whiteout, a character device 0:0.
    pub fn whiteout(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        let made = self.parent_of(path, true).and_then(|parent| {
            self.clear(parent.as_fd(), path, false)?;
            Ok(mknodat(&*parent, name(path), FileType::CharacterDevice, Mode::empty(), 0)?)
        });
        made.map_err(|source| UnpackError { path: path.clone(), source })
    }

    /// Hides what lower directories of an overlay have in the directory at `path`: overlayfs's opaque directory, marked
    /// for mounts with and without user namespace as far as this process may.
    pub fn opaque(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        let marked = self.resolve(path.as_path(), OFlags::RDONLY).and_then(|directory| {
            let mark = |name| rustix::fs::fsetxattr(&directory, name, b"y", XattrFlags::empty());
            let (for_root, for_users) = (mark("trusted.overlay.opaque"), mark("user.overlay.opaque"));
            // Root of a user namespace is as good as any user here.
            Ok(for_root.or(for_users)?)
        });
        marked.map_err(|source| UnpackError { path: path.clone(), source })
    }

    /// Sets the modes of the directories, has files given away, and returns who shall own what could not be given.
    pub(crate) fn finish(mut self) -> io::Result<Unpacked> {
        self.parent = None;
        // The deepest first: a directory that cannot be searched hides those below it.
        for (path, (mode, mtime)) in self.directories.iter().rev() {
            let parent = self.resolve(path.parent().as_ref().map_or(Path::new("."), TreePath::as_path), OFlags::PATH);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match parent.and_then(|parent| {
                set_time(parent.as_fd(), name(path), *mtime)?;
                Ok(openat(&parent, name(path), flags, Mode::empty())?)
            }) {
                Ok(directory) => fchmod(&directory, Mode::from_raw_mode(*mode))?,
                // It was written through a link, and removed by its own name.
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(e) => return Err(e),
            }
        }
        let mut gifts: Vec<_> = self.gifts.into_values().collect();
        if !self.may_chown && !gifts.is_empty() && sandbox::has_subordinate_ids() {
            let refused = sandbox::give_in_user_namespace(&self.path, &gifts)?;
            gifts = refused.into_iter().filter_map(|index| gifts.get(index).cloned()).collect();
        }
        let owners = gifts.into_iter().map(|gift| gift.owner).filter(|owner| (owner.uid, owner.gid) != (0, 0));
        Ok(Unpacked { owners: owners.collect(), bytes: self.bytes })
    }

    fn directory(&mut self, entry: &Entry) -> io::Result<()> {
        let parent = self.parent_of(&entry.path, true)?;
        self.clear(parent.as_fd(), &entry.path, true)?;
        match mkdirat(&*parent, name(&entry.path), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        self.own(parent.as_fd(), entry)?;
        self.directories.insert(entry.path.clone(), (entry.mode & 0o7777, entry.mtime));
        Ok(())
    }

    fn file(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let parent = self.parent_of(&entry.path, true)?;
        self.clear(parent.as_fd(), &entry.path, false)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&*parent, name(&entry.path), flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = std::fs::File::from(file);
        self.bytes += self.copy(content, &mut file)?;
        // After the owner, whose change takes setuid bits away.
        self.own(parent.as_fd(), entry)?;
        fchmod(&file, Mode::from_raw_mode(entry.mode & 0o7777))?;
        set_time(parent.as_fd(), name(&entry.path), entry.mtime)
    }

    /// Copies in pieces that decompressors fill without a buffer of their own in between.
    fn copy(&mut self, content: &mut dyn Read, file: &mut std::fs::File) -> io::Result<u64> {
        self.buffer.resize(COPY_LEN, 0);
        let mut copied = 0;
        loop {
            match content.read(&mut self.buffer) {
                Ok(0) => return Ok(copied),
                Ok(read) => {
                    file.write_all(&self.buffer[..read])?;
                    copied += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A device or a pipe. A device that this process may not make is left out.
    fn node(&mut self, entry: &Entry, kind: FileType, device: Device) -> io::Result<()> {
        let parent = self.parent_of(&entry.path, true)?;
        self.clear(parent.as_fd(), &entry.path, false)?;
        // It would hide what lower layers have, which only a whiteout of the layer itself may do.
        let is_whiteout = kind == FileType::CharacterDevice && (device.major, device.minor) == (0, 0);
        if is_whiteout || (kind != FileType::Fifo && !self.may_chown) {
            return Ok(());
        }
        let mode = Mode::from_raw_mode(entry.mode & 0o7777);
        match mknodat(&*parent, name(&entry.path), kind, mode, makedev(device.major, device.minor)) {
            // Root of a container.
            Err(Errno::PERM) if kind != FileType::Fifo => return Ok(()),
            made => made?,
        }
        self.own(parent.as_fd(), entry)?;
        let node =
            openat(&*parent, name(&entry.path), OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        chmod(through(&node), mode)?;
        set_time(parent.as_fd(), name(&entry.path), entry.mtime)
    }

    fn symlink(&mut self, entry: &Entry, target: &[u8]) -> io::Result<()> {
        let parent = self.parent_of(&entry.path, true)?;
        self.clear(parent.as_fd(), &entry.path, false)?;
        symlinkat(target, &*parent, name(&entry.path))?;
        self.own(parent.as_fd(), entry)?;
        set_time(parent.as_fd(), name(&entry.path), entry.mtime)
    }

    fn hard_link(&mut self, entry: &Entry, target: &TreePath) -> io::Result<()> {
        let from = self.resolve(target.parent().as_ref().map_or(Path::new("."), TreePath::as_path), OFlags::PATH)?;
        if target == &entry.path {
            return Err(io::Error::other("it is a hard link to itself"));
        }
        let parent = self.parent_of(&entry.path, true)?;
        self.clear(parent.as_fd(), &entry.path, false)?;
        linkat(&from, name(target), &*parent, name(&entry.path), AtFlags::empty())?;
        Ok(())
    }

    /// Removes what stands at `path`, except a directory where that shall stay.
    fn clear(&mut self, parent: BorrowedFd<'_>, path: &TreePath, keep_directory: bool) -> io::Result<()> {
        let stat = match statat(parent, name(path), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            stat => stat?,
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if is_directory && keep_directory {
            return Ok(());
        }
        self.parent = None;
        self.directories.retain(|other, _| !other.is_below(path.as_bytes()));
        self.gifts.retain(|other, _| !other.is_below(path.as_bytes()));
        if is_directory {
            let parent = format!("/proc/self/fd/{}", parent.as_raw_fd());
            remove_as_ourselves(&Path::new(&parent).join(OsStr::from_bytes(name(path))))
        } else {
            Ok(unlinkat(parent, name(path), AtFlags::empty())?)
        }
    }

    /// Gives what was written its owner and attributes, or notes them.
    fn own(&mut self, parent: BorrowedFd<'_>, entry: &Entry) -> io::Result<()> {
        self.gifts.remove(&entry.path);
        let at = name(&entry.path);
        let mut is_given = (entry.uid, entry.gid) == (0, 0) && !self.may_chown;
        if self.may_chown {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            match chownat(parent, at, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW) {
                // Root of a container that does not have this id.
                Err(Errno::PERM | Errno::INVAL) => {}
                done => {
                    done?;
                    is_given = true;
                }
            }
        }
        let mut later = Xattrs::new();
        if !entry.xattrs.is_empty() && !matches!(entry.node, Node::Symlink(_)) {
            let node = openat(parent, at, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            for (attribute, value) in entry.xattrs.iter().filter(|(attribute, _)| belongs_to_tree(attribute)) {
                if attribute == CAPABILITY && !self.may_chown {
                    later.insert(attribute, value);
                } else {
                    set_attribute(&node, attribute, value)?;
                }
            }
        }
        if !is_given || !later.is_empty() {
            let owner = Owner { path: entry.path.clone(), uid: entry.uid, gid: entry.gid };
            self.gifts.insert(entry.path.clone(), Gift { owner, xattrs: later });
        }
        Ok(())
    }

    /// Opens the directory that `path` stands in, and makes it where `make` says so.
    fn parent_of(&mut self, path: &TreePath, make: bool) -> io::Result<Arc<OwnedFd>> {
        let wanted = path.parent();
        if let Some((at, directory)) = &self.parent
            && *at == wanted
        {
            return Ok(Arc::clone(directory));
        }
        let directory = match &wanted {
            None => self.resolve(Path::new("."), OFlags::PATH)?,
            Some(wanted) => match self.resolve(wanted.as_path(), OFlags::PATH) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && make => {
                    let above = self.parent_of(wanted, true)?;
                    match mkdirat(&*above, name(wanted), Mode::from_raw_mode(0o755)) {
                        Ok(()) => fchmod(&self.resolve(wanted.as_path(), OFlags::RDONLY)?, Mode::from_raw_mode(0o755))?,
                        // Another hand made it meanwhile, or it is a symbolic link that leads nowhere.
                        Err(Errno::EXIST) => drop(self.resolve(wanted.as_path(), OFlags::PATH).map_err(|_| e)?),
                        Err(e) => return Err(e.into()),
                    }
                    self.resolve(wanted.as_path(), OFlags::PATH)?
                }
                opened => opened?,
            },
        };
        let directory = Arc::new(directory);
        self.parent = Some((wanted, Arc::clone(&directory)));
        Ok(directory)
    }

    /// Opens a directory below the root, following symbolic links inside it.
    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        resolve(&self.root, path, flags)
    }
}

/// Opens a directory below `root`, following symbolic links inside it.
fn resolve(root: &OwnedFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            // A rename elsewhere on the machine got in between a `..` of a link.
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return Ok(opened?),
        }
    }
}

/// Sets when something was last changed, in seconds since 1970.
fn set_time(parent: BorrowedFd<'_>, name: &[u8], mtime: Option<i64>) -> io::Result<()> {
    let Some(seconds) = mtime else { return Ok(()) };
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
    };
    Ok(utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// The magic link to what was opened as a path, which calls that know no such descriptors follow.
fn through(node: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", node.as_raw_fd()))
}

fn name(path: &TreePath) -> &[u8] {
    path.file_name()
}

/// An entry cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("cannot unpack `{path}`: {source}")]
pub struct UnpackError {
    /// The entry.
    pub path: TreePath,
    /// Why.
    pub source: io::Error,
}

impl UnpackError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self.source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSYS) => Some("this needs openat2, which came with Linux 5.6".into()),
            Some(Errno::LOOP) => Some("symbolic links of the tree lead in a circle".into()),
            Some(Errno::NOSPC | Errno::DQUOT) => Some("the disk is full: free some space, then run this again".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
