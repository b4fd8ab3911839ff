//! Cache mounts: directories that programs in sandboxes keep between builds, such as pip's cache.
//!
//! ```text
//! caches/ab12…/cache.json   its name and number
//! caches/ab12…/data/        what programs put into it
//! caches/ab12…/lock         held by who has it: shared, or exclusively
//! ```
//!
//! A name may have several directories: who wants one for itself ([`Sharing::Private`]) gets the first that nobody has.
//! Nothing in them is ever part of a key or an image. They are pruned like everything else, by when they were last used,
//! but never while somebody has one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jettison_tree::{Entry, Node, TreePath};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::index::Kind;
use super::{Store, StoreError};
use crate::CacheKey;
use crate::access::{FileKind, ReadError, TreeDir};
use crate::sandbox::Mode;
use crate::snapshot::{SafeDir, UnpackError};
use crate::view::{View, below};

/// The longest name of a cache.
const NAME_LIMIT: usize = 4096;
/// The most directories that one name has; whoever wants one more for itself waits for the last.
const PRIVATE_LIMIT: u32 = 64;
/// How often a cache that somebody else has is asked for.
const LOOK: Duration = Duration::from_millis(20);
const DATA: &str = "data";
const INFO: &str = "cache.json";
const LOCK: &str = "lock";

/// Who may have a cache at once (Dockerfile reference, `RUN --mount=type=cache`, `sharing`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// Any number.
    Shared,
    /// One; others get directories of their own under the same name.
    Private,
    /// One; others wait.
    Locked,
}

/// What a cache is when it is first used.
#[derive(Debug, Clone, Copy)]
pub struct NewCache<'a> {
    /// What is in it: a directory of a view, or all of the view. `None`: nothing.
    pub content: Option<(&'a View, Option<&'a TreePath>)>,
    /// The mode of its directory.
    pub mode: u32,
    /// Its owner, inside a sandbox.
    pub uid: u32,
    /// Its group, inside.
    pub gid: u32,
}

/// A cache that a step asks for.
#[derive(Debug, Clone, Copy)]
pub struct CacheRequest<'a> {
    /// Its name.
    pub id: &'a str,
    /// Who else may have it.
    pub sharing: Sharing,
    /// What it is when it is first used.
    pub new: NewCache<'a>,
}

/// A cache that somebody has. It is given back when all copies of this are dropped.
#[derive(Debug, Clone)]
pub struct CacheMount {
    path: PathBuf,
    _lock: Arc<File>,
}

impl CacheMount {
    /// Its directory, to be mounted into a sandbox.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A cache in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheInfo {
    /// Its name.
    pub id: String,
    /// Which of the directories of that name.
    pub number: u32,
    /// Its directory. Who reads it while builds go on may see it change.
    pub path: PathBuf,
    /// Bytes of the files in it.
    pub bytes: u64,
}

/// `cache.json`.
#[derive(Serialize, Deserialize)]
struct Info {
    id: String,
    number: u32,
}

/// A cache could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The store could not keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it shall begin with cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What it shall begin with cannot be written.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// What it shall begin with is no directory.
    #[error("a cache cannot begin as `/{0}`, which is no directory")]
    NoDirectory(String),
    /// Somebody else has it, and whoever asked waits no longer.
    #[error("cancelled while another build had the cache `{0}`")]
    Cancelled(String),
    /// The name is too long.
    #[error("the id of a cache has {0} bytes; {NAME_LIMIT} are the most")]
    LongName(usize),
}

impl CacheError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Read(error) => error.hint(),
            Self::Unpack(error) => error.hint(),
            Self::NoDirectory(_) => Some("`source=` of a cache mount names a directory in `from=`".into()),
            Self::Cancelled(_) | Self::LongName(_) => None,
        }
    }
}

impl Store {
    /// The caches that a step asks for, in the order of the requests. Waits for others where their sharing says so.
    ///
    /// All of a step are asked for at once: they are taken in the order of their names, so that of two steps with the
    /// same caches one goes first, and a name that is asked for twice is taken once, with as few others as any of its
    /// requests wants. Who holds a cache and asks for another may wait for ever.
    ///
    /// `is_cancelled` is asked now and then whether to wait no longer.
    pub fn cache_mounts(
        &self,
        requests: &[CacheRequest<'_>],
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<CacheMount>, CacheError> {
        let mut by_name: BTreeMap<&str, CacheRequest<'_>> = BTreeMap::new();
        for request in requests {
            let known = by_name.entry(request.id).or_insert(*request);
            known.sharing = known.sharing.max(request.sharing);
            if known.new.content.is_none() && request.new.content.is_some() {
                known.new = request.new;
            }
        }
        let take =
            |request: CacheRequest<'_>| self.cache_mount_unless(request.id, request.sharing, request.new, is_cancelled);
        let taken = by_name.into_iter().map(|(id, request)| Ok((id, take(request)?)));
        let taken = taken.collect::<Result<BTreeMap<_, _>, CacheError>>()?;
        Ok(requests.iter().filter_map(|request| taken.get(request.id).cloned()).collect())
    }

    /// The cache called `id`, made as `new` says where there is none. Waits for others where `sharing` says so.
    pub fn cache_mount(&self, id: &str, sharing: Sharing, new: NewCache<'_>) -> Result<CacheMount, CacheError> {
        self.cache_mount_unless(id, sharing, new, &|| false)
    }

    fn cache_mount_unless(
        &self,
        id: &str,
        sharing: Sharing,
        new: NewCache<'_>,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<CacheMount, CacheError> {
        if id.len() > NAME_LIMIT {
            return Err(CacheError::LongName(id.len()));
        }
        let mut number = 0;
        loop {
            let operation = match sharing {
                Sharing::Shared => FlockOperation::NonBlockingLockShared,
                Sharing::Private | Sharing::Locked => FlockOperation::NonBlockingLockExclusive,
            };
            let key = key(id, number);
            let directory = self.existing_cache(&key, &Info { id: id.to_owned(), number }, new)?;
            match lock(&directory, operation) {
                Ok(Some(lock)) => return Ok(CacheMount { path: directory.join(DATA), _lock: Arc::new(lock) }),
                // It was pruned before we had the lock.
                Ok(None) => self.forget(Kind::Cache, key.as_bytes())?,
                Err(Errno::AGAIN) if sharing == Sharing::Private && number < PRIVATE_LIMIT => number += 1,
                // The kernel would wait for as long as it takes, whoever wants to stop.
                Err(Errno::AGAIN) if is_cancelled() => return Err(CacheError::Cancelled(id.to_owned())),
                Err(Errno::AGAIN) => std::thread::sleep(LOOK),
                Err(e) => return Err(StoreError::io("lock", &directory)(e.into()).into()),
            }
        }
    }

    /// The caches that the store holds, by name.
    pub fn caches(&self) -> Result<Vec<CacheInfo>, StoreError> {
        let mut caches: Vec<_> = fs::read_dir(self.root.join("caches"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let info: Info = serde_json::from_slice(&fs::read(entry.path().join(INFO)).ok()?).ok()?;
                let (path, bytes) = (entry.path().join(DATA), cache_bytes(&entry.path()));
                Some(CacheInfo { id: info.id, number: info.number, path, bytes })
            })
            .collect();
        caches.sort_by(|a, b| (&a.id, a.number).cmp(&(&b.id, b.number)));
        Ok(caches)
    }

    /// The directory of a cache, made where there is none.
    fn existing_cache(&self, key: &CacheKey, info: &Info, new: NewCache<'_>) -> Result<PathBuf, CacheError> {
        let id = key.as_bytes();
        let directory = self.kind_path(Kind::Cache, id);
        if self.item(Kind::Cache, id)?.is_some() && directory.join(INFO).exists() {
            return Ok(directory);
        }
        self.forget(Kind::Cache, id)?;
        let scratch = self.scratch()?;
        let mut dir = SafeDir::open(scratch.path()).map_err(StoreError::io("open", scratch.path()))?;
        let data = TreePath::parse(DATA).map_err(io::Error::other).map_err(StoreError::io("name", DATA))?;
        dir.write(&Entry::new(data.clone(), new.mode, (new.uid, new.gid), Node::Directory))?;
        if let Some((view, source)) = new.content {
            copy(view, source, &mut dir, &data)?;
        }
        dir.finish().map_err(StoreError::io("write", scratch.path()))?;
        let files = [(INFO, serde_json::to_vec(info).map_err(StoreError::from)?), (LOCK, Vec::new())];
        for (name, content) in files {
            let path = scratch.path().join(name);
            fs::write(&path, content).map_err(StoreError::io("write", &path))?;
        }
        self.arrive(Kind::Cache, id, 0, || match fs::rename(scratch.path(), &directory) {
            Err(e) if matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                if directory.join(INFO).exists() && directory.join(LOCK).exists() {
                    // Another process was faster, or died before it wrote the row.
                    return Ok(());
                }
                let old = self.scratch()?;
                fs::rename(&directory, old.path().join("old")).map_err(StoreError::io("replace", &directory))?;
                fs::rename(scratch.path(), &directory).map_err(StoreError::io("write", &directory))
            }
            done => done.map_err(StoreError::io("write", &directory)),
        })?;
        Ok(directory)
    }
}

fn key(id: &str, number: u32) -> CacheKey {
    CacheKey::builder("cache-mount/1").field("id", id).number("number", number.into()).finish()
}

/// Locks a cache; `None` where it is gone.
fn lock(directory: &Path, operation: FlockOperation) -> rustix::io::Result<Option<File>> {
    let path = directory.join(LOCK);
    let Ok(file) = File::open(&path) else { return Ok(None) };
    loop {
        match flock(&file, operation) {
            Err(Errno::INTR) => {}
            done => break done?,
        }
    }
    // The one that is there now, and not one that was pruned while we waited.
    let same = |a: &fs::Metadata, b: &fs::Metadata| {
        use std::os::unix::fs::MetadataExt as _;
        (a.dev(), a.ino()) == (b.dev(), b.ino())
    };
    let is_there = match (file.metadata(), fs::metadata(&path)) {
        (Ok(ours), Ok(there)) => same(&ours, &there),
        _ => false,
    };
    Ok(is_there.then_some(file))
}

/// Locks a cache against use; `None` where somebody has it. What is not there nobody has.
pub(super) fn lock_unused(directory: &Path) -> Option<Option<File>> {
    match File::open(directory.join(LOCK)) {
        Err(_) => Some(None),
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(Some(lock)),
    }
}

/// The bytes of the files in a cache now. What cannot be read counts nothing.
pub(super) fn cache_bytes(directory: &Path) -> u64 {
    let Ok(dir) = TreeDir::open(&directory.join(DATA), &Mode::detect()) else { return 0 };
    let (mut bytes, mut open) = (0, vec![None]);
    while let Some(at) = open.pop() {
        for (name, _) in dir.names(at.as_ref()).unwrap_or_default() {
            let Ok(path) = below(at.as_ref(), &name) else { continue };
            match dir.stat(Some(&path)) {
                Ok(Some(stat)) if stat.kind == FileKind::File => bytes += stat.len,
                Ok(Some(stat)) if stat.kind == FileKind::Directory => open.push(Some(path)),
                _ => {}
            }
        }
    }
    bytes
}

/// Copies what is in a directory of a view.
fn copy(view: &View, source: Option<&TreePath>, dir: &mut SafeDir, into: &TreePath) -> Result<(), CacheError> {
    let source = match source {
        Some(source) => view.resolve(source)?,
        None => None,
    };
    let no_directory = || CacheError::NoDirectory(source.as_ref().map(ToString::to_string).unwrap_or_default());
    if view.lstat(source.as_ref())?.is_none_or(|stat| stat.kind != FileKind::Directory) {
        return Err(no_directory());
    }
    let mut open: Vec<Option<TreePath>> = vec![None];
    while let Some(at) = open.pop() {
        let from = match (&source, &at) {
            (Some(source), Some(at)) => Some(below(Some(source), at)?),
            (source, at) => source.clone().or(at.clone()),
        };
        for name in view.read_dir(from.as_ref())? {
            let name = TreePath::parse(&name).map_err(|e| ReadError::at(from.as_ref())(io::Error::other(e)))?;
            let (from, at) = (below(from.as_ref(), &name)?, below(at.as_ref(), &name)?);
            let to = below(Some(into), &at)?;
            let Some(stat) = view.lstat(&from)? else { continue };
            let node = match stat.kind {
                FileKind::Directory => Node::Directory,
                FileKind::Symlink => Node::Symlink(view.read_link(&from)?),
                // Its content is streamed.
                FileKind::File => Node::Fifo,
                _ => continue,
            };
            let mut entry = Entry::new(to, stat.mode, (stat.uid, stat.gid), node);
            entry.mtime = Some(stat.mtime.seconds);
            match stat.kind {
                FileKind::File => dir.write_file(&entry, &mut view.open_file(&from)?)?,
                _ => dir.write(&entry)?,
            }
            if stat.kind == FileKind::Directory {
                open.push(Some(at));
            }
        }
    }
    Ok(())
}
