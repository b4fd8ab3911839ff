//! What the store holds, and taking out what is old.
//!
//! Names of images are the roots: whatever a manifest behind a name refers to stays. All else is a cache, and goes by
//! when it was last used; what a memo refers to counts as used when the memo was ([`Store::memo_get`]).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jettison_tree::Digest;
use rusqlite::{Connection, TransactionBehavior};
use rustix::fs::{FlockOperation, flock};

use super::blob::PARTIAL;
use super::cache_mount;
use super::index::{self, Kind};
use super::snapshot::lock_unused;
use super::{Store, StoreError, clear_tmp, now};
use crate::removal::remove_tree;

/// While other processes use the store, what was used or written within this time is left alone: they may be about to
/// use it.
const GRACE: Duration = Duration::from_secs(24 * 3600);
/// Things removed in one transaction: other processes wait as long as it takes.
const BATCH: usize = 100;
/// A manifest or index larger than this is none (distribution-spec, "Pushing Manifests", asks registries for 4 MiB).
const MANIFEST_LIMIT: u64 = 4 << 20;
/// Indices may hold indices; deeper than this they are not followed.
const NESTING_LIMIT: u32 = 8;

/// What to take out. With none of the fields set, only what nobody can reach: leftovers of dead processes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prune {
    /// What was not used for this long.
    pub unused_for: Option<Duration>,
    /// What was used longest ago, until the rest of the cache has at most this many bytes.
    pub keep_bytes: Option<u64>,
    /// Everything that is not part of a named image.
    pub all: bool,
}

/// What was taken out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Blobs, fragments, snapshots and files without a row.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether others were using the store, so that nothing used in the last 24 hours was touched.
    pub in_use: bool,
}

/// Number and size of things of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct UsageOf {
    /// How many.
    pub count: u64,
    /// Their bytes, as lengths of files.
    pub bytes: u64,
}

impl UsageOf {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// What the store holds, by kind. Each byte is counted once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Usage {
    /// Blobs of named images.
    pub images: UsageOf,
    /// Other blobs: downloads, layers of images that have no name.
    pub blobs: UsageOf,
    /// Fragments.
    pub fragments: UsageOf,
    /// Snapshots.
    pub snapshots: UsageOf,
    /// What programs in sandboxes keep.
    pub caches: UsageOf,
    /// Results of functions.
    pub memos: UsageOf,
}

impl Usage {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        [self.images, self.blobs, self.fragments, self.snapshots, self.caches, self.memos]
            .iter()
            .map(|of| of.bytes)
            .sum()
    }
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    kind: Kind,
    id: [u8; 32],
    len: u64,
    used: i64,
}

impl Store {
    /// What the store holds, by kind.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let live = self.live_blobs()?;
        let mut usage = Usage::default();
        self.measure_caches()?;
        for item in self.query(items)? {
            match item.kind {
                Kind::Blob if live.contains(&item.id) => usage.images.add(item.len),
                Kind::Blob => usage.blobs.add(item.len),
                Kind::Fragment => usage.fragments.add(item.len),
                Kind::Snapshot => usage.snapshots.add(item.len),
                Kind::Cache => usage.caches.add(item.len),
            }
        }
        let (count, bytes) = self.query(|index| {
            let sums = "SELECT count(*), coalesce(sum(length(value)), 0) FROM memo";
            index.query_row(sums, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        })?;
        usage.memos = UsageOf { count: count as u64, bytes: bytes as u64 };
        Ok(usage)
    }

    /// Takes out what `prune` says. Builds may go on in other processes: then nothing is touched that was used in the
    /// last 24 hours.
    pub fn prune(&self, prune: &Prune) -> Result<Pruned, StoreError> {
        let alone = flock(&self.lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        let back_to_shared =
            || flock(&self.lock, FlockOperation::LockShared).map_err(|e| StoreError::io("lock", &self.root)(e.into()));
        if !alone {
            // Having asked in vain may have cost us the lock that we had (flock(2)).
            back_to_shared()?;
        }
        let pruned = self.prune_locked(prune, alone);
        back_to_shared()?;
        pruned
    }

    fn prune_locked(&self, prune: &Prune, alone: bool) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned { in_use: !alone, ..Pruned::default() };
        let limit = if alone { i64::MAX } else { now() - GRACE.as_secs() as i64 };
        let unused_since = if prune.all {
            Some(i64::MAX)
        } else {
            prune.unused_for.map(|unused| now().saturating_sub_unsigned(unused.as_secs()))
        };

        let live = self.live_blobs()?;
        self.measure_caches()?;
        let mut cache = self.query(items)?;
        cache.retain(|item| item.kind != Kind::Blob || !live.contains(&item.id));
        cache.sort_by_key(|item| (item.used, item.kind, item.id));
        let mut bytes: u64 = cache.iter().map(|item| item.len).sum();
        cache.retain(|item| {
            let old = unused_since.is_some_and(|since| item.used <= since);
            let out = (old || prune.keep_bytes.is_some_and(|keep| bytes > keep)) && item.used <= limit;
            if out {
                bytes -= item.len;
            }
            out
        });
        for batch in cache.chunks(BATCH) {
            self.remove_items(batch, &mut pruned)?;
        }
        if let Some(since) = unused_since {
            let since = since.min(limit);
            self.query(|index| {
                index.execute("DELETE FROM memo WHERE used <= ?", [since])?;
                index
                    .execute("DELETE FROM stat WHERE root IN (SELECT root FROM stat_root WHERE used <= ?)", [since])?;
                index.execute("DELETE FROM stat_root WHERE used <= ?", [since])
            })?;
        }
        self.query(|index| {
            index.execute(
                "DELETE FROM memo WHERE id IN
                    (SELECT memo FROM memo_ref WHERE (kind, id) NOT IN (SELECT kind, id FROM item))",
                [],
            )?;
            index.execute("DELETE FROM memo_ref WHERE memo NOT IN (SELECT id FROM memo)", [])
        })?;

        let young = (!alone).then(|| SystemTime::now() - GRACE);
        self.remove_strays(young, &mut pruned)?;
        pruned.bytes += clear_tmp(&self.tmp, young) + clear_tmp(&self.root.join(PARTIAL), young);
        if alone {
            self.query(|index| index.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM;"))?;
        }
        Ok(pruned)
    }

    /// Notes how large caches are by now: nobody knows while programs write to them.
    fn measure_caches(&self) -> Result<(), StoreError> {
        for item in self.query(items)?.iter().filter(|item| item.kind == Kind::Cache) {
            let bytes = cache_mount::cache_bytes(&self.kind_path(Kind::Cache, &item.id));
            self.query(|index| {
                let update = "UPDATE item SET len = ? WHERE kind = ? AND id = ?";
                index.execute(update, (bytes as i64, Kind::Cache, item.id))
            })?;
        }
        Ok(())
    }

    /// Removes things with their rows, unless they are in use or were used since they were chosen.
    fn remove_items(&self, batch: &[Candidate], pruned: &mut Pruned) -> Result<(), StoreError> {
        let path = self.root.join(index::FILE);
        // A directory tree is renamed here and removed outside of the transaction, for which others wait.
        let rubbish = self.scratch()?;
        let mut index = self.index();
        let transaction =
            index.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::index(&path))?;
        for item in batch {
            let from = self.kind_path(item.kind, &item.id);
            let unused = match item.kind {
                Kind::Snapshot => lock_unused(&from),
                Kind::Cache => cache_mount::lock_unused(&from),
                Kind::Blob | Kind::Fragment => Some(None),
            };
            let Some(_unused) = unused else { continue };
            let delete = "DELETE FROM item WHERE kind = ? AND id = ? AND used = ?";
            let deleted = transaction.execute(delete, (item.kind, item.id, item.used));
            if deleted.map_err(StoreError::index(&path))? == 0 {
                continue;
            }
            let removed = match item.kind {
                Kind::Snapshot | Kind::Cache => fs::rename(&from, rubbish.path().join(pruned.items.to_string())),
                Kind::Blob | Kind::Fragment => fs::remove_file(&from),
            };
            match removed {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("remove", &from)(e)),
                _ => {
                    pruned.items += 1;
                    pruned.bytes += item.len;
                }
            }
        }
        transaction.commit().map_err(StoreError::index(&path))
    }

    /// Removes files and snapshots that have no row: their process died between renaming them and writing the row.
    fn remove_strays(&self, young: Option<SystemTime>, pruned: &mut Pruned) -> Result<(), StoreError> {
        let known: BTreeSet<_> = self.query(items)?.iter().map(|item| self.kind_path(item.kind, &item.id)).collect();
        let shards = |directory: &str| list(&self.root.join(directory)).into_iter().flat_map(|shard| list(&shard));
        let found = shards("blobs/sha256").chain(shards("fragments")).chain(list(&self.root.join("snapshots")));
        let found = found.chain(list(&self.root.join("caches")));
        for path in found.filter(|path| !known.contains(path)) {
            let Ok(meta) = path.symlink_metadata() else { continue };
            let is_young = young.is_some_and(|limit| meta.modified().is_ok_and(|modified| modified > limit));
            if !is_young && remove_tree(&path).is_ok() {
                pruned.items += 1;
                pruned.bytes += meta.len();
            }
        }
        Ok(())
    }

    /// The blobs that named images consist of: whatever has a digest in a manifest or index that a name leads to.
    fn live_blobs(&self) -> Result<HashSet<[u8; 32]>, StoreError> {
        let mut live = HashSet::new();
        let mut open: Vec<_> = self.images()?.into_iter().map(|image| (image.manifest, 0)).collect();
        while let Some((manifest, depth)) = open.pop() {
            if !live.insert(*manifest.as_bytes()) || depth > NESTING_LIMIT {
                continue;
            }
            let Ok(bytes) = self.read_blob(manifest, MANIFEST_LIMIT) else { continue };
            let Ok(json) = serde_json::from_slice::<serde_json::Value>(&bytes) else { continue };
            let mut descriptors = BTreeMap::new();
            collect_descriptors(&json, &mut descriptors);
            for (digest, is_manifest) in descriptors {
                if is_manifest {
                    open.push((digest, depth + 1));
                } else {
                    live.insert(*digest.as_bytes());
                }
            }
        }
        Ok(live)
    }
}

fn items(index: &mut Connection) -> rusqlite::Result<Vec<Candidate>> {
    let mut select = index.prepare("SELECT kind, id, len, used FROM item")?;
    let rows = select.query_map([], |row| {
        let kind = row.get::<_, i64>(0)?;
        let kind = Kind::ALL.into_iter().find(|known| *known as i64 == kind).ok_or(rusqlite::Error::InvalidQuery)?;
        Ok(Candidate { kind, id: row.get(1)?, len: row.get::<_, i64>(2)? as u64, used: row.get(3)? })
    })?;
    rows.collect()
}

/// Finds each object with a `digest` (OCI image-spec, descriptor.md) and whether its media type says that it is a
/// manifest or index.
fn collect_descriptors(json: &serde_json::Value, found: &mut BTreeMap<Digest, bool>) {
    match json {
        serde_json::Value::Object(object) => {
            if let Some(Ok(digest)) = object.get("digest").and_then(|digest| digest.as_str()).map(str::parse) {
                let media_type = object.get("mediaType").and_then(|media_type| media_type.as_str()).unwrap_or("");
                let is_manifest = media_type.contains("manifest") || media_type.contains("index");
                *found.entry(digest).or_default() |= is_manifest;
            }
            object.values().for_each(|value| collect_descriptors(value, found));
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect_descriptors(value, found)),
        _ => {}
    }
}

fn list(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
