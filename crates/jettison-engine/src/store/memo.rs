//! Memos: results of pure functions, small enough to be JSON, with what they refer to in the store.

use std::collections::BTreeSet;

use jettison_tree::Digest;
use rusqlite::{OptionalExtension as _, TransactionBehavior};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::index::Kind;
use super::{Store, StoreError, now};
use crate::CacheKey;

/// Something in the store that a result refers to: when it is gone, the result is as if it had never been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ref {
    /// A blob.
    Blob(Digest),
    /// A fragment.
    Fragment(CacheKey),
    /// A snapshot.
    Snapshot(CacheKey),
}

impl From<Digest> for Ref {
    fn from(digest: Digest) -> Self {
        Self::Blob(digest)
    }
}

impl Ref {
    fn row(&self) -> (Kind, &[u8; 32]) {
        match self {
            Self::Blob(digest) => (Kind::Blob, digest.as_bytes()),
            Self::Fragment(key) => (Kind::Fragment, key.as_bytes()),
            Self::Snapshot(key) => (Kind::Snapshot, key.as_bytes()),
        }
    }
}

impl Store {
    /// The result kept under `key`. `None` as well when something that it refers to is gone or damaged, or when it is
    /// not what a `T` is read from.
    pub fn memo_get<T: DeserializeOwned>(&self, key: &CacheKey) -> Result<Option<T>, StoreError> {
        let id = key.as_bytes();
        let memo = self.query(|index| {
            let mut select = index.prepare_cached("SELECT value, used FROM memo WHERE id = ?")?;
            let row = select.query_row([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).optional()?;
            let Some((value, used)) = row else { return Ok(None) };
            Self::memo_used(index, id, used)?;
            let mut select = index.prepare_cached("SELECT kind, id FROM memo_ref WHERE memo = ?")?;
            let refs = select.query_map([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?)))?;
            Ok(Some((value, refs.collect::<rusqlite::Result<Vec<_>>>()?)))
        })?;
        let Some((value, refs)) = memo else { return Ok(None) };
        for (kind, id) in refs {
            let there = match Kind::ALL.into_iter().find(|known| *known as i64 == kind) {
                Some(Kind::Blob) => self.has(Digest::from_bytes(id))?,
                Some(Kind::Fragment) => self.checked_fragment(&id)?.is_some(),
                Some(Kind::Snapshot) => self.checked_snapshot(&id)?.is_some(),
                // Caches are part of no result.
                Some(Kind::Cache) | None => false,
            };
            if !there {
                return Ok(None);
            }
        }
        Ok(serde_json::from_str(&value).ok())
    }

    /// Keeps `value` under `key`, in place of what was there. `refs` are what it refers to in the store.
    pub fn memo_put<T: Serialize>(&self, key: &CacheKey, value: &T, refs: &[Ref]) -> Result<(), StoreError> {
        let value = serde_json::to_string(value)?;
        let id = key.as_bytes();
        self.query(|index| {
            let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.prepare_cached("INSERT OR REPLACE INTO memo (id, value, used) VALUES (?, ?, ?)")?.execute((
                id,
                value,
                now(),
            ))?;
            transaction.prepare_cached("DELETE FROM memo_ref WHERE memo = ?")?.execute([id])?;
            for (kind, target) in refs.iter().map(Ref::row).collect::<BTreeSet<_>>() {
                transaction
                    .prepare_cached("INSERT INTO memo_ref (memo, kind, id) VALUES (?, ?, ?)")?
                    .execute((id, kind, target))?;
            }
            transaction.commit()
        })
    }

    /// The result kept under `key`, which `make` computes, with what it refers to, when there is none.
    pub fn memo_or<T: Serialize + DeserializeOwned, E: From<StoreError>>(
        &self,
        key: &CacheKey,
        make: impl FnOnce() -> Result<(T, Vec<Ref>), E>,
    ) -> Result<T, E> {
        if let Some(value) = self.memo_get(key)? {
            return Ok(value);
        }
        let (value, refs) = make()?;
        self.memo_put(key, &value, &refs)?;
        Ok(value)
    }

    /// Forgets the result kept under `key`.
    pub fn memo_remove(&self, key: &CacheKey) -> Result<(), StoreError> {
        self.query(|index| {
            index.execute("DELETE FROM memo_ref WHERE memo = ?", [key.as_bytes()])?;
            index.execute("DELETE FROM memo WHERE id = ?", [key.as_bytes()])?;
            Ok(())
        })
    }
}
