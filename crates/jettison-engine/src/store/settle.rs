//! Making what was kept outlive the boot that it was kept in.
//!
//! Waiting for the disk is cheapest once and for everything (syncfs(2)), when a build has shown its result. It is done
//! only where a program's changes were kept, or an image was fetched: what else the store holds is checked by its digest
//! after a restart, or unpacked again. Whoever is killed before leaves rows that the next to do this takes care of.

use std::sync::atomic::Ordering;

use rusqlite::TransactionBehavior;
use rustix::fs::syncfs;

use super::index::Kind;
use super::{Store, StoreError};

impl Store {
    /// Notes that something was kept that takes long to have again, so that [`settle`](Self::settle) has something to do.
    pub fn kept_what_takes_long(&self) {
        self.is_unsettled.store(true, Ordering::Relaxed);
    }

    /// Waits until all that the store holds is on the disk, where something was
    /// [kept that takes long](Self::kept_what_takes_long) since this store was opened: what is then there is as good after a restart as before. Returns how many
    /// things that are, which were not before.
    ///
    /// It takes as long as the disk does for what is not written yet, of other programs too. For the end of a build,
    /// when nobody waits for anything else.
    pub fn settle(&self) -> Result<u64, StoreError> {
        if !self.is_unsettled.swap(false, Ordering::Relaxed) {
            return Ok(0);
        }
        // What comes in while the disk works may not be written by the end of it.
        let written: Vec<(i64, [u8; 32], i64)> = self.query(|index| {
            let mut select = index.prepare("SELECT kind, id, used FROM item WHERE boot = ? AND kind != ?")?;
            select.query_map((self.boot, Kind::Cache), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        })?;
        // The lock was opened before anything was written, so that no error of the disk goes unnoticed.
        syncfs(&*self.lock).map_err(|e| StoreError::io("sync", &self.root)(e.into()))?;
        self.query(|index| {
            // So that what is said here is on the disk too.
            index.pragma_update(None, "synchronous", "FULL")?;
            let mut settled = 0;
            let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (kind, id, used) in &written {
                // Not of what was pruned and made again meanwhile.
                let update = "UPDATE item SET boot = NULL WHERE kind = ? AND id = ? AND used = ? AND boot = ?";
                settled += transaction.prepare_cached(update)?.execute((kind, id, used, self.boot))? as u64;
            }
            transaction.commit()?;
            index.pragma_update(None, "synchronous", "NORMAL")?;
            Ok(settled)
        })
    }
}
