//! A stage or an image as a tree: [`View`], and where the bytes of its files can be read later.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jettison_engine::view::{FileKind, ReadError, View};
use jettison_tree::{Content, Digest, TreePath, Xattrs};
use rustix::fs::{Access, access};

use super::parallel;
use super::spool::Spool;
use super::tree::{FileTree, Found, Kind, Loaded, Stat, join};
use crate::error::BuildError;

/// A stack of layers.
pub struct ViewTree {
    view: Arc<View>,
    /// Where bytes go that only a process in the user namespace can read.
    tmp: PathBuf,
}

impl ViewTree {
    /// Looks at a view. `tmp` is a directory for what is read out of files that are closed to this process.
    pub fn new(view: Arc<View>, tmp: impl Into<PathBuf>) -> Self {
        Self { view, tmp: tmp.into() }
    }
}

impl From<ReadError> for BuildError {
    fn from(error: ReadError) -> Self {
        Self::with_hint(error.to_string(), error.hint())
    }
}

fn tree_path(path: &[u8]) -> Result<Option<TreePath>, BuildError> {
    Ok(if path.is_empty() { None } else { Some(TreePath::parse(path)?) })
}

impl FileTree for ViewTree {
    fn lstat(&self, path: &[u8]) -> Result<Option<Stat>, BuildError> {
        let Some(stat) = self.view.lstat(tree_path(path)?.as_ref())? else { return Ok(None) };
        let kind = match stat.kind {
            FileKind::Directory => Kind::Directory,
            FileKind::File => Kind::File,
            FileKind::Symlink => Kind::Symlink,
            FileKind::CharacterDevice => Kind::CharacterDevice(stat.rdev),
            FileKind::BlockDevice => Kind::BlockDevice(stat.rdev),
            FileKind::Fifo => Kind::Fifo,
            FileKind::Socket => Kind::Socket,
        };
        let links = if stat.nlink > 1 && kind != Kind::Directory { link_number(stat.dev_ino) } else { 0 };
        let (len, mtime) = (stat.len, stat.mtime.seconds);
        Ok(Some(Stat { kind, mode: stat.mode, uid: stat.uid, gid: stat.gid, len, mtime, links }))
    }

    fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, BuildError> {
        Ok(self.view.read_link(&TreePath::parse(path)?)?)
    }

    fn read_dir(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, BuildError> {
        Ok(self.view.read_dir(tree_path(path)?.as_ref())?)
    }

    fn load(&self, base: &[u8], files: &[Found], _scope: &str) -> Result<Vec<Loaded>, BuildError> {
        let spool = Mutex::new(Spool::new(&self.tmp));
        parallel::each(files, |found| {
            let path = tree_path(&join(base, &found.path))?;
            let xattrs = match found.stat.kind {
                Kind::Symlink => Xattrs::new(),
                _ => self.view.xattrs(path.as_ref())?,
            };
            let content = match (&path, found.stat.kind) {
                (Some(path), Kind::File) => Some(self.content(path, &spool)?),
                _ => None,
            };
            Ok(Loaded { content, xattrs })
        })
    }
}

impl ViewTree {
    /// The bytes where they lie, if this process can open them there again; else a copy.
    fn content(&self, path: &TreePath, spool: &Mutex<Spool>) -> Result<Content, BuildError> {
        let file = self.view.open_file(path)?;
        let place = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        match place {
            Ok(place) if access(&place, Access::READ_OK).is_ok() => {
                let (digest, len) = Digest::of_reader(file)?;
                Ok(Content::at_path(place, len, digest))
            }
            _ => Ok(spool.lock().unwrap_or_else(PoisonError::into_inner).add(file)?),
        }
    }
}

/// One number for a device and an inode, never 0.
pub(super) fn link_number((device, inode): (u64, u64)) -> u64 {
    // Layers of one stage lie on one file system: the device only keeps strangers apart.
    (inode ^ device.rotate_left(40)).max(1)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;
    use crate::dockerfile::context::tree::{Empty, read_file};
    use crate::dockerfile::copy::{Request, Source, select};

    #[test]
    fn a_stage_is_a_tree() {
        let directory = tempfile::tempdir().unwrap();
        let (upper, lower) = (directory.path().join("upper"), directory.path().join("lower"));
        for (layer, path, text) in
            [(&lower, "usr/lib/a", "old"), (&lower, "usr/lib/b", "b"), (&upper, "usr/lib/a", "new")]
        {
            let path = layer.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        symlink("usr/lib", lower.join("lib")).unwrap();
        let view = View::open([upper.as_path(), lower.as_path()]).unwrap();
        let tree = ViewTree::new(Arc::new(view), directory.path());
        assert_eq!(read_file(&tree, b"lib/a", 10).unwrap().unwrap(), b"new");
        assert_eq!(tree.lstat(b"usr/lib/none").unwrap(), None);
        assert_eq!(tree.lstat(b"usr/lib/a/x").unwrap(), None);
        let request = Request {
            sources: vec![Source::Path("/lib".to_owned())],
            destination: "/to".to_owned(),
            ..Request::default()
        };
        let copied = select(&tree, "the stage", &request).unwrap().place(&request, &Empty, directory.path()).unwrap();
        let found: Vec<_> = copied.entries.iter().map(|entry| (entry.path.to_string(), entry.content())).collect();
        let [(to, None), (a, Some(new)), (b, Some(_))] = &found[..] else { panic!("{found:?}") };
        assert_eq!((to.as_str(), a.as_str(), b.as_str()), ("to", "to/a", "to/b"));
        assert_eq!(new.read().unwrap(), b"new");
        // To an ordinary user the own files are root's inside.
        let outside = fs::metadata(upper.join("usr/lib/a")).unwrap().uid();
        let inside = tree.lstat(b"usr/lib/a").unwrap().unwrap().uid;
        assert!(inside == 0 || inside == outside);
    }
}
