//! A directory as a build context.
//!
//! Nothing is read before something is asked for: a Dockerfile that copies one file costs one `lstat`. A walk lists directories on
//! several threads with one `lstat` a file. Digests are remembered by what that says ([`Store::stat_cache`]), each set of files
//! under its own scope, so that an unchanged tree is not read.
//!
//! Owners do not come along: whoever owns the files here, in the image they are root's. Sockets are left out.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use jettison_engine::store::Store;
use jettison_tree::{Content, Device, Digest, TreePath, Xattrs};
use rustix::fs::{lgetxattr, llistxattr, llistxattr_query};

use super::ignore::IgnoreRules;
use super::parallel;
use super::tree::{Enter, FileTree, Found, Kind, Loaded, Stat, join, keeps_xattr};
use super::view::link_number;
use crate::error::{BuildError, Context as _};

/// The longest list of names of extended attributes, and the longest value (xattr(7)). Bytes.
const XATTR_LIMIT: usize = 64 * 1024;

/// A directory, without what its ignore file leaves out.
pub struct DirectoryContext {
    root: PathBuf,
    ignore: IgnoreRules,
    store: Arc<Store>,
}

impl DirectoryContext {
    /// The directory `root`, an absolute path.
    pub fn new(root: impl Into<PathBuf>, ignore: IgnoreRules, store: Arc<Store>) -> Self {
        Self { root: root.into(), ignore, store }
    }

    fn full(&self, path: &[u8]) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(OsStr::from_bytes(path)) }
    }

    fn meta(&self, path: &[u8]) -> Result<Option<Metadata>, BuildError> {
        let full = self.full(path);
        // The root itself may be a link; nothing below is followed.
        let meta = if path.is_empty() { fs::metadata(&full) } else { fs::symlink_metadata(&full) };
        match meta {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error).context(full.display()),
        }
    }

    /// Whether the rules leave the path out. A directory that they leave out is there all the same where something in it is not.
    fn is_left_out(&self, path: &[u8], is_directory: bool) -> Result<bool, BuildError> {
        let rules = self.ignore.rules();
        if path.is_empty() || rules.is_empty() || !rules.matches(path) {
            return Ok(false);
        }
        if !is_directory || rules.prunes(path) {
            return Ok(true);
        }
        Ok(self.walk(path, &|_| true)?.is_empty())
    }
}

fn stat_of(meta: &Metadata) -> Stat {
    let file_type = meta.file_type();
    let numbers = || Device { major: rustix::fs::major(meta.rdev()), minor: rustix::fs::minor(meta.rdev()) };
    let kind = match file_type {
        t if t.is_dir() => Kind::Directory,
        t if t.is_symlink() => Kind::Symlink,
        t if t.is_char_device() => Kind::CharacterDevice(numbers()),
        t if t.is_block_device() => Kind::BlockDevice(numbers()),
        t if t.is_fifo() => Kind::Fifo,
        t if t.is_socket() => Kind::Socket,
        _ => Kind::File,
    };
    let links = if meta.nlink() > 1 && kind != Kind::Directory { link_number((meta.dev(), meta.ino())) } else { 0 };
    Stat { kind, mode: meta.mode() & 0o7777, uid: 0, gid: 0, len: meta.len(), mtime: meta.mtime(), links }
}

impl FileTree for DirectoryContext {
    fn lstat(&self, path: &[u8]) -> Result<Option<Stat>, BuildError> {
        let Some(meta) = self.meta(path)? else { return Ok(None) };
        let stat = stat_of(&meta);
        if stat.kind == Kind::Socket || self.is_left_out(path, stat.is_directory())? {
            return Ok(None);
        }
        Ok(Some(stat))
    }

    fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, BuildError> {
        let full = self.full(path);
        Ok(fs::read_link(&full).context(full.display())?.into_os_string().into_vec())
    }

    fn read_dir(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, BuildError> {
        let mut names = Vec::new();
        let full = self.full(path);
        for entry in fs::read_dir(&full).context(full.display())? {
            let entry = entry.context(full.display())?;
            let name = entry.file_name().into_vec();
            let file_type = entry.file_type().context(full.display())?;
            if !file_type.is_socket() && !self.is_left_out(&join(path, &name), file_type.is_dir())? {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn walk(&self, path: &[u8], enter: Enter<'_>) -> Result<Vec<Found>, BuildError> {
        let walk = Walk {
            context: self,
            base: path,
            enter,
            queue: Mutex::new(Queue { waiting: vec![(0, Vec::new())], next: 1, open: 1, error: None }),
            more: Condvar::new(),
        };
        let mut lists: HashMap<usize, Vec<Item>> = HashMap::new();
        let threads = parallel::threads();
        if threads == 1 {
            lists.extend(walk.run());
        } else {
            thread::scope(|scope| {
                let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| walk.run())).collect();
                workers.into_iter().for_each(|worker| lists.extend(worker.join().unwrap_or_default()));
            });
        }
        if let Some(error) = walk.queue.into_inner().unwrap_or_else(PoisonError::into_inner).error {
            return Err(error);
        }
        let mut found = Vec::with_capacity(lists.values().map(Vec::len).sum());
        assemble(&mut lists, 0, &[], &mut found);
        Ok(found)
    }

    fn load(&self, base: &[u8], files: &[Found], scope: &str) -> Result<Vec<Loaded>, BuildError> {
        // The set that is remembered is this one and no other: a second COPY of other files must not make the first forget.
        let key = self.root.join(format!(".context\u{0}{scope}"));
        let mut cache = if scope.is_empty() { None } else { Some(self.store.stat_cache(&key)?) };
        let mut loaded = Vec::with_capacity(files.len());
        let mut unknown = Vec::new();
        for (index, found) in files.iter().enumerate() {
            let path = join(base, &found.path);
            let known = match (&mut cache, &found.meta, found.stat.kind) {
                (Some(cache), Some(meta), Kind::File) => cache.get(&TreePath::parse(&path)?, meta),
                _ => None,
            };
            let content = known.map(|digest| Content::at_path(self.full(&path), found.stat.len, digest));
            if content.is_none() && found.stat.kind != Kind::Symlink {
                unknown.push((index, path));
            }
            loaded.push(Loaded { content, xattrs: Xattrs::new() });
        }
        let read = parallel::each(&unknown, |(index, path)| self.read(path, &files[*index]))?;
        for ((index, path), read) in unknown.into_iter().zip(read) {
            if let (Some(cache), Some((digest, meta, read_at))) = (&mut cache, &read.stamp) {
                cache.record(&TreePath::parse(&path)?, meta, *digest, *read_at);
            }
            loaded[index] = read.loaded;
        }
        if let Some(cache) = cache {
            cache.save()?;
        }
        Ok(loaded)
    }

    fn why_missing(&self, path: &[u8]) -> Option<String> {
        let is_there = self.meta(path).is_ok_and(|meta| meta.is_some());
        let line = self.ignore.line_against(path).filter(|_| is_there)?;
        Some(format!("it is there, but {line} leaves it out"))
    }
}

/// What was read of one file.
struct Read {
    loaded: Loaded,
    /// What may be remembered of it.
    stamp: Option<(Digest, Metadata, SystemTime)>,
}

impl DirectoryContext {
    fn read(&self, path: &[u8], found: &Found) -> Result<Read, BuildError> {
        let full = self.full(path);
        let xattrs = xattrs_of(&full).context(full.display())?;
        if found.stat.kind != Kind::File {
            return Ok(Read { loaded: Loaded { content: None, xattrs }, stamp: None });
        }
        let read_at = SystemTime::now();
        let mut file = File::open(&full).context(full.display())?;
        let (digest, len) = Digest::of_reader(&mut file).context(full.display())?;
        // A file with attributes is read each time: what is remembered has none. Setting one would change the ctime.
        let stamp = match &found.meta {
            Some(meta) if xattrs.is_empty() => Some((digest, meta.clone(), read_at)),
            _ => None,
        };
        let content = Some(Content::at_path(full, len, digest));
        Ok(Read { loaded: Loaded { content, xattrs }, stamp })
    }
}

/// The extended attributes that an image keeps. A file system without any is no error.
fn xattrs_of(path: &Path) -> io::Result<Xattrs> {
    use rustix::io::Errno;
    match llistxattr_query(path) {
        Ok(0) | Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Xattrs::new()),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut names = vec![0; XATTR_LIMIT];
    let len = llistxattr(path, &mut names)?;
    let mut xattrs = Xattrs::new();
    for name in names[..len].split(|&byte| byte == 0).filter(|name| keeps_xattr(name)) {
        let mut value = vec![0; XATTR_LIMIT];
        match lgetxattr(path, name, &mut value) {
            Ok(len) => drop(xattrs.insert(name, &value[..len])),
            // Taken away meanwhile, or not for this user to read.
            Err(Errno::NODATA | Errno::PERM | Errno::ACCESS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(xattrs)
}

/// A directory tree that is being listed.
struct Walk<'a> {
    context: &'a DirectoryContext,
    base: &'a [u8],
    enter: Enter<'a>,
    queue: Mutex<Queue>,
    more: Condvar,
}

struct Queue {
    /// Directories to list: their number, and their path below the base.
    waiting: Vec<(usize, Vec<u8>)>,
    next: usize,
    /// Directories that wait or are being listed.
    open: usize,
    error: Option<BuildError>,
}

struct Item {
    name: Vec<u8>,
    stat: Stat,
    target: Option<Vec<u8>>,
    meta: Metadata,
    /// The number of the directory's list.
    list: Option<usize>,
    /// Whether the rules leave it out, so that it is there only for what is in it.
    left_out: bool,
}

impl Walk<'_> {
    /// Lists directories until there is none left.
    fn run(&self) -> Vec<(usize, Vec<Item>)> {
        let mut lists = Vec::new();
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if queue.open == 0 || queue.error.is_some() {
                self.more.notify_all();
                return lists;
            }
            let Some((number, path)) = queue.waiting.pop() else {
                queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(queue);
            let listed = self.list(&path);
            queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.open -= 1;
            match listed {
                Ok(mut items) => {
                    for item in items.iter_mut().filter(|item| item.list.is_some()) {
                        item.list = Some(queue.next);
                        let number = queue.next;
                        queue.waiting.push((number, join(&path, &item.name)));
                        queue.next += 1;
                        queue.open += 1;
                    }
                    lists.push((number, items));
                }
                Err(error) => queue.error = Some(error),
            }
            self.more.notify_all();
        }
    }

    /// What stands in one directory; `list` is set, to no number yet, where a directory is to be listed.
    fn list(&self, below: &[u8]) -> Result<Vec<Item>, BuildError> {
        let context = self.context;
        let rules = context.ignore.rules();
        let path = join(self.base, below);
        let full = context.full(&path);
        let mut items = Vec::new();
        for entry in fs::read_dir(&full).context(full.display())? {
            let entry = entry.context(full.display())?;
            let name = entry.file_name().into_vec();
            let here = || full.join(OsStr::from_bytes(&name));
            let mut left_out = false;
            if !rules.is_empty() {
                let inner = join(&path, &name);
                left_out = rules.matches(&inner);
                let is_directory = || entry.file_type().is_ok_and(|file_type: FileType| file_type.is_dir());
                if left_out && (!is_directory() || rules.prunes(&inner)) {
                    continue;
                }
            }
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // Gone since the directory was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).context(here().display()),
            };
            let stat = stat_of(&meta);
            if stat.kind == Kind::Socket {
                continue;
            }
            let target = match stat.kind {
                Kind::Symlink => Some(fs::read_link(here()).context(here().display())?.into_os_string().into_vec()),
                _ => None,
            };
            let list = (stat.is_directory() && (self.enter)(&join(below, &name))).then_some(0);
            items.push(Item { name, stat, target, meta, list, left_out });
        }
        items.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(items)
    }
}

/// Puts the lists of directories together, each directory before what is in it.
fn assemble(lists: &mut HashMap<usize, Vec<Item>>, number: usize, below: &[u8], found: &mut Vec<Found>) {
    for item in lists.remove(&number).unwrap_or_default() {
        let path = join(below, &item.name);
        let at = found.len();
        let inner = item.list.map(|list| (list, path.clone()));
        found.push(Found { path, stat: item.stat, target: item.target, meta: Some(item.meta) });
        if let Some((list, path)) = inner {
            assemble(lists, list, &path, found);
        }
        if item.left_out && found.len() == at + 1 {
            found.pop();
        }
    }
}
