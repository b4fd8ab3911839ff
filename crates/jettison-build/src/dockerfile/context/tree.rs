//! What files are copied from, whatever holds them.
//!
//! 1. [`FileTree`] is a read-only look at files: a directory, an archive in memory, a stage, an image. Paths are bytes relative to its
//!    root, clean, and empty for the root itself; no method follows a symbolic link.
//! 2. [`resolve`] follows links inside the root, as every path of a Dockerfile is followed.
//! 3. [`FileTree::walk`] lists all below a directory at once, and [`FileTree::load`] reads what a list of files holds, so that a tree
//!    on disk can do either on several threads.

use std::collections::VecDeque;
use std::fs::Metadata;
use std::io;

use jettison_tree::{Content, Device, TreePath, Xattrs};

use crate::error::BuildError;

/// Links that are followed one after another before it is called a circle; Linux follows as many.
const MAX_LINKS: usize = 40;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// What `lstat` says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Permission, setuid, setgid and sticky bits.
    pub mode: u32,
    /// Owner, as an image counts them.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of a file.
    pub len: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// The same for all names of a file that has several; 0 for everything else.
    pub links: u64,
}

impl Stat {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }
}

/// One path that a walk came upon.
#[derive(Debug, Clone)]
pub struct Found {
    /// Relative to the directory that was walked.
    pub path: Vec<u8>,
    /// What it is.
    pub stat: Stat,
    /// Where a symbolic link points.
    pub target: Option<Vec<u8>>,
    /// What a file system said of it, for caches that go by that.
    pub meta: Option<Metadata>,
}

/// What a file holds besides what `lstat` says.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The bytes of a regular file.
    pub content: Option<Content>,
    /// Extended attributes that an image keeps.
    pub xattrs: Xattrs,
}

/// Whether a walk goes below a directory, whose path is relative to the one that is walked.
pub type Enter<'a> = &'a (dyn Fn(&[u8]) -> bool + Sync);

/// A read-only look at files.
pub trait FileTree: Send + Sync {
    /// What stands at `path`; `None` where nothing does, and where something on the way is no directory.
    fn lstat(&self, path: &[u8]) -> Result<Option<Stat>, BuildError>;

    /// Where the link at `path` points.
    fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, BuildError>;

    /// The names in the directory at `path`, ordered by their bytes.
    fn read_dir(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, BuildError>;

    /// What the files hold that were found by walking `base`, in their order. `scope` names the set, for caches.
    fn load(&self, base: &[u8], files: &[Found], scope: &str) -> Result<Vec<Loaded>, BuildError>;

    /// Everything below the directory at `path`, each directory before what is in it, names in the order of their bytes.
    fn walk(&self, path: &[u8], enter: Enter<'_>) -> Result<Vec<Found>, BuildError> {
        let mut found = Vec::new();
        descend(self, path, &mut Vec::new(), enter, &mut found)?;
        Ok(found)
    }

    /// Why `path` is not in the tree though it is in what the tree was made from, such as a rule of an ignore file.
    fn why_missing(&self, _path: &[u8]) -> Option<String> {
        None
    }
}

fn descend<T: FileTree + ?Sized>(
    tree: &T,
    base: &[u8],
    below: &mut Vec<u8>,
    enter: Enter<'_>,
    found: &mut Vec<Found>,
) -> Result<(), BuildError> {
    for name in tree.read_dir(&join(base, below))? {
        let parent = below.len();
        if parent > 0 {
            below.push(b'/');
        }
        below.extend_from_slice(&name);
        let full = join(base, below);
        if let Some(stat) = tree.lstat(&full)? {
            let target = if stat.kind == Kind::Symlink { Some(tree.read_link(&full)?) } else { None };
            found.push(Found { path: below.clone(), stat, target, meta: None });
            if stat.is_directory() && enter(below) {
                descend(tree, base, below, enter, found)?;
            }
        }
        below.truncate(parent);
    }
    Ok(())
}

/// `path` below `base`; either may be empty.
pub fn join(base: &[u8], path: &[u8]) -> Vec<u8> {
    match (base, path) {
        (b"", path) => path.to_vec(),
        (base, b"") => base.to_vec(),
        (base, path) => [base, b"/", path].concat(),
    }
}

/// The directory that holds `path`, empty for the root, and the last component.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// `path` as one relative to the root: `.` and `..` resolved by text alone, never above the root (Go's `path.Join("/", path)`).
pub fn clean(path: &[u8]) -> Vec<u8> {
    let mut clean: Vec<&[u8]> = Vec::new();
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => drop(clean.pop()),
            _ => clean.push(component),
        }
    }
    clean.join(&b'/')
}

/// The path as messages show it, with the root as `/`.
pub fn shown(path: &[u8]) -> String {
    TreePath::parse(path).map_or_else(|_| "/".to_owned(), |path| path.to_string())
}

/// The path that `path` leads to when all symbolic links on the way, and at its end, are followed inside the root. What is not there
/// stays as it is written. `link_at` returns the target of the link at a clean path, and `None` where there is no link.
pub fn resolve(
    path: &[u8],
    mut link_at: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, BuildError>,
) -> Result<Vec<u8>, BuildError> {
    let mut links = 0;
    let mut done: Vec<u8> = Vec::new();
    let mut ahead: VecDeque<Vec<u8>> = components(path).collect();
    while let Some(component) = ahead.pop_front() {
        if component == b".." {
            done.truncate(split(&done).0.len());
            continue;
        }
        let parent = done.len();
        done = join(&done, &component);
        let Some(target) = link_at(&done)? else { continue };
        links += 1;
        if links > MAX_LINKS {
            let error = BuildError::new(format!("`{}`: too many symbolic links lead round in circles", shown(path)));
            return Err(error);
        }
        done.truncate(if target.starts_with(b"/") { 0 } else { parent });
        components(&target).rev().for_each(|component| ahead.push_front(component));
    }
    Ok(done)
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}

/// As [`resolve`], in a tree.
pub fn resolve_in(tree: &dyn FileTree, path: &[u8]) -> Result<Vec<u8>, BuildError> {
    resolve(path, |path| match tree.lstat(path)? {
        Some(Stat { kind: Kind::Symlink, .. }) => tree.read_link(path).map(Some),
        _ => Ok(None),
    })
}

/// The bytes of the file that `path` leads to, at most `limit` of them; `None` where there is none.
pub fn read_file(tree: &dyn FileTree, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>, BuildError> {
    let place = resolve_in(tree, path)?;
    let Some(stat) = tree.lstat(&place)?.filter(|stat| stat.kind == Kind::File) else { return Ok(None) };
    if stat.len > limit {
        return Err(BuildError::new(format!("`{}` has {} bytes; at most {limit} are read", shown(path), stat.len)));
    }
    let (base, name) = split(&place);
    let found = Found { path: name.to_vec(), stat, target: None, meta: None };
    let loaded = tree.load(base, &[found], "")?;
    let content = loaded.into_iter().find_map(|loaded| loaded.content);
    Ok(content.map(|content| content.read()).transpose()?)
}

/// Whether an image keeps this extended attribute. Capabilities are part of a program. What users set is theirs. Everything else
/// (labels of a security module, access lists, marks of overlayfs) belongs to the machine that the file lies on.
pub fn keeps_xattr(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// A tree with nothing in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Empty;

impl FileTree for Empty {
    fn lstat(&self, path: &[u8]) -> Result<Option<Stat>, BuildError> {
        let root = Stat { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, len: 0, mtime: 0, links: 0 };
        Ok(path.is_empty().then_some(root))
    }

    fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, BuildError> {
        Err(not_found(path))
    }

    fn read_dir(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, BuildError> {
        if path.is_empty() { Ok(Vec::new()) } else { Err(not_found(path)) }
    }

    fn load(&self, _: &[u8], files: &[Found], _: &str) -> Result<Vec<Loaded>, BuildError> {
        files.first().map_or_else(|| Ok(Vec::new()), |found| Err(not_found(&found.path)))
    }
}

pub(super) fn not_found(path: &[u8]) -> BuildError {
    BuildError::from(io::Error::from(io::ErrorKind::NotFound)).context(shown(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_by_text() {
        for (raw, clean_path) in [
            ("", ""),
            ("/", ""),
            (".", ""),
            ("a/", "a"),
            ("./a//b/.", "a/b"),
            ("a/../b", "b"),
            ("../a", "a"),
            ("a/../../../b/..", ""),
        ] {
            assert_eq!(clean(raw.as_bytes()), clean_path.as_bytes(), "{raw}");
        }
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let links = [
            ("lib", "usr/lib"),
            ("abs", "/usr/bin"),
            ("usr/lib/up", "../../../../etc"),
            ("chain", "lib/up"),
            ("loop", "loop"),
            ("dangling", "nowhere/at/all"),
            ("dot", "."),
        ];
        let link_at = |path: &[u8]| {
            Ok(links.iter().find(|(at, _)| at.as_bytes() == path).map(|(_, target)| target.as_bytes().to_vec()))
        };
        for (path, place) in [
            ("lib/x", "usr/lib/x"),
            ("abs", "usr/bin"),
            ("chain/passwd", "etc/passwd"),
            ("lib/../x", "usr/x"),
            ("dangling/x", "nowhere/at/all/x"),
            ("dot/dot/a", "a"),
            ("../..", ""),
        ] {
            assert_eq!(resolve(path.as_bytes(), link_at).unwrap(), place.as_bytes(), "{path}");
        }
        assert!(resolve(b"loop/x", link_at).unwrap_err().to_string().contains("circles"));
    }
}
