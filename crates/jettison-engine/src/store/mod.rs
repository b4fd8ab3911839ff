//! The content store: everything that is worth keeping between builds, in one directory that several processes share.
//!
//! ```text
//! blobs/sha256/ab/ab12…   bytes under their digest: wheels, .debs, layers, configs, manifests
//! fragments/ab/ab12…      unpacked trees in one file each, under the cache key of what made them
//! snapshots/ab12…/        unpacked trees as directories, for the sandbox to run in
//! caches/ab12…/           directories that programs in sandboxes keep
//! partial/ab12…           blobs that are being fetched, to go on with when that is interrupted
//! tmp/                    what is being made
//! store.db                SQLite: what is there, when it was last used, results of functions, names of images
//! lock                    held shared by who uses the store, exclusively by who sweeps it
//! ```
//!
//! 1. [`Store::open`] makes or opens it.
//! 2. Blobs come in by [`Store::put`], [`Store::writer`], [`Store::resumed_writer`] or [`Store::adopt`].
//! 3. Results of pure functions are kept by [`Store::memo_put`], [`Store::fragment_or`] and [`Store::snapshot_or`];
//!    what a program changed, by [`Store::upper`].
//! 4. Programs have directories of their own from [`Store::cache_mounts`].
//! 5. Images get names by [`Store::tag`].
//! 6. [`Store::settle`] sees to it that what took long outlives a restart of the machine.
//! 7. [`Store::prune`] takes out what is old.
//!
//! # What survives a crash
//!
//! A file appears under its name by `rename`, complete, and exists for us only when its row is in the index. Both
//! happen inside one write transaction, and so does each removal: SQLite's write lock orders the comings and goings of
//! files among processes. A process that dies leaves rubbish in `tmp/` at worst, which the next to open the store alone
//! takes out.
//!
//! Nothing is synced to disk on the way: a cold build would spend seconds waiting for bytes that can all be had again.
//! A power cut may therefore leave a file short, or of the right length with holes. Each row notes the length, and the
//! boot in which the file was written; a file from an earlier boot is hashed again when it is first used, and then
//! trusted (a snapshot, which has no digest, is made anew). What programs made can take long to make again: when it is
//! done, a build that kept such changes has all of it written to the disk, once ([`Store::settle`]), and from then on
//! no boot matters. The index itself is in WAL mode with `synchronous=NORMAL`: a power cut may lose the last
//! transactions, never the database.

mod blob;
mod cache_mount;
mod error;
mod fragment;
mod image;
mod index;
mod memo;
mod prune;
mod settle;
mod snapshot;
mod stat_cache;
mod upper;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};

pub use blob::BlobWriter;
pub use cache_mount::{CacheError, CacheInfo, CacheMount, CacheRequest, NewCache, Sharing};
pub use error::StoreError;
pub use image::NamedImage;
pub use memo::Ref;
pub use prune::{Prune, Pruned, Usage, UsageOf};
pub use snapshot::{Scratch, Snapshot};
pub use stat_cache::StatCache;
pub use upper::UpperDir;

use index::Kind;

/// An open store. Shared by the threads of a process; any number of processes may have it open.
pub struct Store {
    root: PathBuf,
    tmp: PathBuf,
    index: Mutex<Connection>,
    /// The row of this boot in the index.
    boot: i64,
    /// Whether something was kept that is worth waiting for the disk.
    is_unsettled: AtomicBool,
    /// Held shared as long as the store is open.
    lock: Arc<File>,
}

impl Store {
    /// Opens the store in `root`, or makes it there with its parents, readable by its owner alone.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_in_boot(root.as_ref(), &index::boot_id())
    }

    /// As [`open`](Self::open), in a boot of the machine that has this name.
    fn open_in_boot(root: &Path, boot_id: &str) -> Result<Self, StoreError> {
        let make = |path: &Path| {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(StoreError::io("create the directory", path))
        };
        for part in ["blobs/sha256", "fragments", "snapshots", "caches", blob::PARTIAL, "tmp"] {
            make(&root.join(part))?;
        }
        let lock_path = root.join("lock");
        let lock = File::options().read(true).write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(StoreError::io("open", &lock_path))?;
        let root = root.canonicalize().map_err(StoreError::io("open", root))?;
        let tmp = root.join("tmp");
        lock_shared(&lock, &tmp).map_err(StoreError::io("lock", &lock_path))?;
        let index = index::open(&root)?;
        let boot = index::boot(&index, boot_id).map_err(StoreError::index(&root.join(index::FILE)))?;
        let is_unsettled = AtomicBool::new(false);
        Ok(Self { tmp, index: Mutex::new(index), boot, is_unsettled, lock: Arc::new(lock), root })
    }

    /// Where it is: an absolute path without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory on the store's file system for files on their way to [`adopt`](Self::adopt).
    /// What a dead process leaves there is removed.
    pub fn tmp(&self) -> &Path {
        &self.tmp
    }

    fn index(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere cannot have left a transaction open: each is rolled back when it is dropped.
        self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs `work` on the index and names the index in its error.
    fn query<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        work(&mut self.index()).map_err(StoreError::index(&self.root.join(index::FILE)))
    }

    fn kind_path(&self, kind: Kind, id: &[u8; 32]) -> PathBuf {
        let hex = jettison_tree::Digest::from_bytes(*id).hex();
        match kind {
            Kind::Blob => self.root.join("blobs/sha256").join(&hex[..2]).join(hex),
            Kind::Fragment => self.root.join("fragments").join(&hex[..2]).join(hex),
            Kind::Snapshot => self.root.join("snapshots").join(hex),
            Kind::Cache => self.root.join("caches").join(hex),
        }
    }
}

/// Takes the lock shared. Whoever finds itself alone clears `tmp/` of what dead processes left.
fn lock_shared(lock: &File, tmp: &Path) -> io::Result<()> {
    if flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
        clear_tmp(tmp, None);
    }
    loop {
        match flock(lock, FlockOperation::LockShared) {
            Err(rustix::io::Errno::INTR) => {}
            done => return done.map_err(Into::into),
        }
    }
}

/// Removes what stands in `tmp`, where `older_than` says so only what was last changed before it. Returns the bytes.
/// What cannot be removed is left for the next time.
fn clear_tmp(tmp: &Path, older_than: Option<SystemTime>) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(tmp).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = path.symlink_metadata() else { continue };
        let young = older_than.is_some_and(|limit| meta.modified().is_ok_and(|modified| modified > limit));
        if !young && crate::removal::remove_tree(&path).is_ok() {
            bytes += meta.len();
        }
    }
    bytes
}

/// Seconds since 1970, for noting when something was last used. It never gets into a digest.
fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() as i64
}

#[cfg(test)]
mod tests;
