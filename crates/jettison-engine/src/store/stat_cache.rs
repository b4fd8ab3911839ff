//! Digests of source files by what `stat` says of them, so that an unchanged tree is not read again.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use jettison_tree::{Digest, TreePath};
use rusqlite::TransactionBehavior;

use super::{Store, StoreError, now};

/// A file that was changed this short before it was read may be changed again without a trace in its times, since file
/// systems keep them as coarsely as two seconds (the "racy" entries of git's index). Its digest is not remembered.
const RACY_NANOSECONDS: i128 = 2_000_000_000;

/// What is remembered of the files below one directory.
pub struct StatCache<'a> {
    store: &'a Store,
    root: Vec<u8>,
    known: HashMap<Vec<u8>, Row>,
    seen: HashMap<Vec<u8>, Row>,
    changed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Row {
    stamp: Stamp,
    digest: Digest,
}

/// What changes when a file changes. ctime cannot be set back by a user, mtime can.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: i64,
    mtime: i64,
    ctime: i64,
    inode: i64,
    device: i64,
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(rest);
        Self {
            size: meta.size() as i64,
            mtime: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            ctime: nanoseconds(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino() as i64,
            device: meta.dev() as i64,
        }
    }

    fn is_racy(&self, read_at: SystemTime) -> bool {
        let read_at = read_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        i128::from(self.mtime.max(self.ctime)) + RACY_NANOSECONDS > read_at
    }
}

impl Store {
    /// What is remembered of the files below `root`, an absolute path.
    pub fn stat_cache(&self, root: &Path) -> Result<StatCache<'_>, StoreError> {
        let root = root.as_os_str().as_bytes().to_vec();
        let known = self.query(|index| {
            let columns = "SELECT path, size, mtime, ctime, inode, device, digest FROM stat WHERE root = ?";
            let mut select = index.prepare_cached(columns)?;
            let rows = select.query_map([&root], |row| {
                let stamp = Stamp {
                    size: row.get(1)?,
                    mtime: row.get(2)?,
                    ctime: row.get(3)?,
                    inode: row.get(4)?,
                    device: row.get(5)?,
                };
                Ok((row.get(0)?, Row { stamp, digest: Digest::from_bytes(row.get(6)?) }))
            })?;
            rows.collect::<rusqlite::Result<HashMap<_, _>>>()
        })?;
        Ok(StatCache { store: self, root, seen: HashMap::with_capacity(known.len()), known, changed: false })
    }
}

impl StatCache<'_> {
    /// The digest of the file at `path` below the root, where the file is the one that was [recorded](Self::record).
    /// `meta` comes from a `stat` made now.
    pub fn get(&mut self, path: &TreePath, meta: &Metadata) -> Option<Digest> {
        let row = *self.known.get(path.as_bytes())?;
        if row.stamp != Stamp::of(meta) {
            return None;
        }
        self.seen.insert(path.as_bytes().to_vec(), row);
        Some(row.digest)
    }

    /// Remembers the digest of the file at `path`. `meta` comes from a `stat` made at `read_at`, before the content was
    /// read.
    pub fn record(&mut self, path: &TreePath, meta: &Metadata, digest: Digest, read_at: SystemTime) {
        let stamp = Stamp::of(meta);
        if !stamp.is_racy(read_at) {
            self.changed = true;
            self.seen.insert(path.as_bytes().to_vec(), Row { stamp, digest });
        }
    }

    /// Keeps what was recorded or found, and forgets the files below the root that were neither. Writes nothing when
    /// nothing changed.
    pub fn save(self) -> Result<(), StoreError> {
        let Self { store, root, known, seen, changed } = self;
        if !changed && seen.len() == known.len() {
            return Ok(());
        }
        store.query(|index| {
            let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let used = "INSERT OR REPLACE INTO stat_root (root, used) VALUES (?, ?)";
            transaction.execute(used, (&root, now()))?;
            {
                let mut delete = transaction.prepare_cached("DELETE FROM stat WHERE root = ? AND path = ?")?;
                for path in known.keys().filter(|path| !seen.contains_key(*path)) {
                    delete.execute((&root, path))?;
                }
                let mut insert =
                    transaction.prepare_cached("INSERT OR REPLACE INTO stat VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
                for (path, row) in seen.iter().filter(|(path, row)| known.get(*path) != Some(row)) {
                    let Stamp { size, mtime, ctime, inode, device } = row.stamp;
                    insert.execute((&root, path, size, mtime, ctime, inode, device, row.digest.as_bytes()))?;
                }
            }
            transaction.commit()
        })
    }
}
