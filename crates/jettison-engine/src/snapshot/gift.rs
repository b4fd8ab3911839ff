//! Giving unpacked files to their owners, for a user who can do so only in a user namespace.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use jettison_tree::{TreePath, Xattrs};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags, chmod, chownat, fstat, openat, setxattr};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{name, resolve, through};

/// Who shall own a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The path.
    pub path: TreePath,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
}

/// What a file is to get once all is written, from a process in the user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gift {
    pub(super) owner: Owner,
    pub(super) xattrs: Xattrs,
}

/// Gives the files of a tree to their owners, with attributes that only root may set. Runs in the user namespace.
/// Returns the indices of those whose ids do not exist there.
pub(crate) fn give(root: &OwnedFd, gifts: &[Gift]) -> io::Result<Vec<usize>> {
    let mut refused = Vec::new();
    for (index, Gift { owner, xattrs }) in gifts.iter().enumerate() {
        let parent = owner.path.parent();
        let parent = resolve(root, parent.as_ref().map_or(Path::new("."), TreePath::as_path), OFlags::PATH);
        let node = parent.and_then(|parent| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(openat(&parent, name(&owner.path), flags, Mode::empty())?)
        });
        let node = match node {
            // It was written through a link, and removed by its own name.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            node => node?,
        };
        let mode = fstat(&node)?.st_mode;
        match chownat(&node, c"", Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)), AtFlags::EMPTY_PATH) {
            Err(Errno::INVAL | Errno::PERM) => refused.push(index),
            done => done?,
        }
        if FileType::from_raw_mode(mode) != FileType::Symlink {
            // A new owner takes setuid bits and capabilities away.
            chmod(through(&node), Mode::from_raw_mode(mode & 0o7777))?;
            for (attribute, value) in xattrs.iter() {
                set_attribute(&node, attribute, value)?;
            }
        }
    }
    Ok(refused)
}

/// Sets an extended attribute where the file system has such and the kernel lets us.
pub(super) fn set_attribute(node: &OwnedFd, attribute: &[u8], value: &[u8]) -> io::Result<()> {
    match setxattr(through(node), attribute, value, XattrFlags::empty()) {
        // It may not be had there (EPERM: `user.` attributes of devices), is too long, or is no capability at all.
        Ok(()) | Err(Errno::NOTSUP | Errno::PERM | Errno::RANGE | Errno::TOOBIG | Errno::INVAL) => Ok(()),
        Err(e) => Err(e.into()),
    }
}
