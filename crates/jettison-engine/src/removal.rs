//! Removing directory trees that resist: read-only directories, trees nested deeper than there are file descriptors,
//! and files that belong to the subordinate ids of a user namespace.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fchmod, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Directories nested deeper than this are moved up before they are removed, so that few are open at a time.
const DEPTH: usize = 64;

/// Removes what stands at `path` with all below it, and follows no symbolic link. That there is nothing is no error.
/// What belongs to subordinate ids of this user is removed in a user namespace.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match remove_as_ourselves(path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            crate::sandbox::remove_in_user_namespace(path).or(Err(e))
        }
        done => done,
    }
}

/// Removes what stands at `path` with the rights that this process has.
pub(crate) fn remove_as_ourselves(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
        Ok(meta) if !meta.is_dir() => return fs::remove_file(path),
        Ok(_) => {}
    }
    let (parent, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if parent.as_os_str().is_empty() => (Path::new("."), name),
        (Some(parent), Some(name)) => (parent, name),
        _ => return Err(Errno::BUSY.into()),
    };
    let parent = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let top = open_for_removal(parent.as_fd(), name)?;
    let mut removal = Removal { top: top.as_fd(), moved: 0 };
    // Each round empties what the one before moved up.
    while !removal.empty(removal.top, 0)? {}
    unlinkat(&parent, name, AtFlags::REMOVEDIR)?;
    Ok(())
}

struct Removal<'a> {
    top: BorrowedFd<'a>,
    moved: u64,
}

impl Removal<'_> {
    /// Removes what is in a directory. False when something of it now stands in the top one.
    fn empty(&mut self, directory: BorrowedFd<'_>, depth: usize) -> io::Result<bool> {
        let mut empty = true;
        let names = Dir::read_from(directory)?.map(|entry| entry.map(|entry| entry.file_name().to_owned()));
        for name in names.collect::<Result<Vec<CString>, Errno>>()? {
            if matches!(name.as_bytes(), b"." | b"..") {
                continue;
            }
            match unlinkat(directory, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                // POSIX says EPERM for a directory, Linux EISDIR.
                Err(Errno::ISDIR | Errno::PERM) if depth < DEPTH => {
                    let inner = open_for_removal(directory, OsStr::from_bytes(name.as_bytes()))?;
                    empty &= self.empty(inner.as_fd(), depth + 1)?;
                    drop(inner);
                    unlinkat(directory, &name, AtFlags::REMOVEDIR)?;
                }
                Err(Errno::ISDIR) => {
                    // The moved directory must be writable itself, since its `..` changes.
                    drop(open_for_removal(directory, OsStr::from_bytes(name.as_bytes()))?);
                    self.move_up(directory, &name)?;
                    empty = false;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(empty)
    }

    /// Moves a directory to the top, under a name that is free there.
    fn move_up(&mut self, directory: BorrowedFd<'_>, name: &CString) -> io::Result<()> {
        loop {
            self.moved += 1;
            match renameat(directory, name, self.top, format!(".jettison-removed-{}", self.moved)) {
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
                done => return done.map_err(Into::into),
            }
        }
    }
}

/// Opens a directory, made writable for its owner.
fn open_for_removal(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<rustix::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            // A symbolic link is never chmodded: those that O_NOFOLLOW refuses fail with ELOOP or ENOTDIR instead.
            rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            openat(parent, name, flags, Mode::empty())?
        }
        opened => opened?,
    };
    if fstat(&directory)?.st_mode & 0o700 != 0o700 {
        fchmod(&directory, Mode::RWXU)?;
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn read_only_and_deep_trees_go_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        let kept = dir.path().join("kept");
        fs::create_dir(&tree).unwrap();
        fs::write(&kept, "kept").unwrap();
        symlink(dir.path(), tree.join("link")).unwrap();
        let locked = tree.join("locked");
        fs::create_dir(&locked).unwrap();
        fs::write(locked.join("file"), "").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
        let mut deep = rustix::fs::open(&tree, OFlags::PATH, Mode::empty()).unwrap();
        for _ in 0..300 {
            rustix::fs::mkdirat(&deep, "d", Mode::RWXU).unwrap();
            deep = openat(&deep, "d", OFlags::PATH, Mode::empty()).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && kept.exists());
        remove_tree(&tree).unwrap();
    }
}
