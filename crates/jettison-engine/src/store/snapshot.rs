//! Snapshots: unpacked trees as directories; and directories to work in for a while.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::index::Kind;
use super::{Store, StoreError};
use crate::CacheKey;
use crate::removal::remove_tree;
use crate::snapshot::{Owner, SafeDir};

/// The tree, and the owners that could not be given to its files, inside a snapshot's directory.
pub(super) const TREE: &str = "root";
const OWNERS: &str = "owners.json";

/// An unpacked tree. Nobody may write into it: several sandboxes use it at once as a lower directory. It is not pruned
/// as long as somebody has this.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The root of the tree.
    pub path: PathBuf,
    /// Who shall own what, where the files could not be given away when the tree was unpacked (not as root).
    /// Empty when all is as it should be.
    pub owners: Vec<Owner>,
    /// The directory that the tree is in, open and locked, shared. The tree itself may be closed to us.
    _in_use: Arc<File>,
}

impl Store {
    /// The snapshot with this key, where it is there.
    pub fn snapshot(&self, key: &CacheKey) -> Result<Option<Snapshot>, StoreError> {
        self.checked_snapshot(key.as_bytes())
    }

    /// The snapshot with this key, which `make` unpacks when it is not there. Two processes may both be at it, and one
    /// of the two trees is kept. When `make` fails nothing is kept.
    pub fn snapshot_or<E: From<StoreError>>(
        &self,
        key: &CacheKey,
        make: impl FnOnce(&mut SafeDir) -> Result<(), E>,
    ) -> Result<Snapshot, E> {
        if let Some(snapshot) = self.snapshot(key)? {
            return Ok(snapshot);
        }
        let scratch = self.scratch()?;
        let tree = scratch.path().join(TREE);
        fs::create_dir(&tree).map_err(StoreError::io("create the directory", &tree))?;
        let mut dir = SafeDir::open(&tree).map_err(StoreError::io("open", &tree))?;
        make(&mut dir)?;
        let unpacked = dir.finish().map_err(StoreError::io("write", &tree))?;
        Ok(self.adopt_snapshot(key, &scratch, &unpacked.owners, unpacked.bytes)?)
    }

    /// Makes the directory [`TREE`] in `scratch` the snapshot with this key.
    pub(super) fn adopt_snapshot(
        &self,
        key: &CacheKey,
        scratch: &Scratch,
        owners: &[Owner],
        bytes: u64,
    ) -> Result<Snapshot, StoreError> {
        let remembered = scratch.path().join(OWNERS);
        let json = serde_json::to_vec(owners)?;
        fs::write(&remembered, json).map_err(StoreError::io("write", &remembered))?;
        let id = key.as_bytes();
        let to = self.kind_path(Kind::Snapshot, id);
        self.arrive(Kind::Snapshot, id, bytes, || {
            match fs::rename(scratch.path(), &to) {
                // It was made before the machine was last started, or its process died before the row was written.
                Err(e) if matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                    let old = self.scratch()?;
                    fs::rename(&to, old.path().join("old")).map_err(StoreError::io("replace", &to))?;
                    fs::rename(scratch.path(), &to).map_err(StoreError::io("write", &to))
                }
                done => done.map_err(StoreError::io("write", &to)),
            }
        })?;
        self.snapshot(key)?.ok_or_else(|| StoreError::io("find", &to)(io::ErrorKind::NotFound.into()))
    }

    /// A snapshot that was made since the machine was last started, or is known to have reached the disk. Any other has
    /// no digest to be checked by: it is forgotten.
    pub(super) fn checked_snapshot(&self, id: &[u8; 32]) -> Result<Option<Snapshot>, StoreError> {
        let Some(item) = self.item(Kind::Snapshot, id)? else { return Ok(None) };
        let directory = self.kind_path(Kind::Snapshot, id);
        let snapshot = if item.trusted { open(&directory).ok() } else { None };
        if snapshot.is_none() {
            self.forget(Kind::Snapshot, id)?;
        }
        Ok(snapshot)
    }

    /// An empty directory on the store's file system, removed with all that is in it when it is dropped.
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        let dir = TempDir::new_in(&self.tmp).map_err(StoreError::io("create a directory in", &self.tmp))?;
        Ok(Scratch { path: dir.keep(), _in_use: Arc::clone(&self.lock) })
    }
}

fn open(directory: &Path) -> io::Result<Snapshot> {
    let in_use = File::open(directory)?;
    flock(&in_use, FlockOperation::LockShared)?;
    let path = directory.join(TREE);
    path.symlink_metadata()?;
    let owners = serde_json::from_slice(&fs::read(directory.join(OWNERS))?)?;
    Ok(Snapshot { path, owners, _in_use: Arc::new(in_use) })
}

/// Locks a snapshot against use; `None` where somebody uses it. What is not there is used by nobody.
pub(super) fn lock_unused(directory: &Path) -> Option<Option<File>> {
    match File::open(directory) {
        Err(_) => Some(None),
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(Some(lock)),
    }
}

/// A directory that is removed when this is dropped, also where a sandbox left files of other users in it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// The store's lock: as long as it is held nobody clears `tmp/`.
    _in_use: Arc<File>,
}

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now goes when the store is next opened by one process alone.
        let _ = remove_tree(&self.path);
    }
}
