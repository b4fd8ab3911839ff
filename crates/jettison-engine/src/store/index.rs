//! The SQLite index: its schema, and the rows of the things that are files.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use rusqlite::types::ToSql;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};
use rustix::fs::{FlockOperation, flock};

use super::{Store, StoreError, now};

pub(super) const FILE: &str = "store.db";
const FORMAT: i64 = 1;
/// Uses of one thing within an hour are noted once.
const NOTE_USE_AFTER: i64 = 3600;

const SCHEMA: &str = "
    CREATE TABLE boot (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    -- Files and directories of the store. `boot` is NULL once the content is known to have reached the disk.
    CREATE TABLE item (
        kind INTEGER NOT NULL, id BLOB NOT NULL, len INTEGER NOT NULL, used INTEGER NOT NULL, boot INTEGER,
        PRIMARY KEY (kind, id)
    ) WITHOUT ROWID;
    CREATE TABLE memo (id BLOB PRIMARY KEY, value TEXT NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE memo_ref (memo BLOB NOT NULL, kind INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY (memo, kind, id)) WITHOUT ROWID;
    CREATE TABLE image (name TEXT PRIMARY KEY, manifest BLOB NOT NULL, tagged INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE stat (
        root BLOB NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
        inode INTEGER NOT NULL, device INTEGER NOT NULL, digest BLOB NOT NULL,
        PRIMARY KEY (root, path)
    ) WITHOUT ROWID;
    CREATE TABLE stat_root (root BLOB PRIMARY KEY, used INTEGER NOT NULL) WITHOUT ROWID;
";

/// The kinds of things that are files or directories. The numbers stand in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Blob = 0,
    Fragment = 1,
    Snapshot = 2,
    Cache = 3,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Blob, Self::Fragment, Self::Snapshot, Self::Cache];
}

impl ToSql for Kind {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok((*self as i64).into())
    }
}

/// The row of something that is a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub len: u64,
    /// Whether the machine was not restarted since it was written, or its content was read and found good since.
    pub trusted: bool,
}

pub(super) fn open(root: &Path) -> Result<Connection, StoreError> {
    let path = root.join(FILE);
    let error = || StoreError::index(&path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut index = Connection::open_with_flags(&path, flags).map_err(error())?;
    let prepare = |index: &Connection| {
        index.busy_timeout(Duration::from_secs(60))?;
        index.set_prepared_statement_cache_capacity(64);
        // A checkpoint at the end would sync the file: milliseconds, for every build. SQLite makes one when the log is
        // long.
        index.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        index.pragma_update(None, "synchronous", "NORMAL")?;
        format_of(index)
    };
    let mut format = prepare(&index).map_err(error())?;
    if format == 0 {
        // Two processes must not switch a new database to WAL at once; the directory itself is the lock.
        let directory = File::open(root).map_err(StoreError::io("open", root))?;
        flock(&directory, FlockOperation::LockExclusive).map_err(|e| StoreError::io("lock", root)(e.into()))?;
        format = create(&mut index).map_err(error())?;
    }
    if format > FORMAT {
        return Err(StoreError::TooNew { path: root.to_owned(), found: format, known: FORMAT });
    }
    Ok(index)
}

fn format_of(index: &Connection) -> rusqlite::Result<i64> {
    index.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn create(index: &mut Connection) -> rusqlite::Result<i64> {
    let format = format_of(index)?;
    if format != 0 {
        return Ok(format);
    }
    index.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()?;
    Ok(FORMAT)
}

/// The name of this boot of the machine. Where the kernel does not say, all boots are one, and only lengths are checked.
pub(super) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The row of the boot with this name.
pub(super) fn boot(index: &Connection, name: &str) -> rusqlite::Result<i64> {
    let known = || index.query_row("SELECT id FROM boot WHERE name = ?", [name], |row| row.get(0)).optional();
    if let Some(id) = known()? {
        return Ok(id);
    }
    index.execute("INSERT OR IGNORE INTO boot (name) VALUES (?)", [name])?;
    known()?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

impl Store {
    /// The row of a thing, noting that it was used.
    pub(super) fn item(&self, kind: Kind, id: &[u8; 32]) -> Result<Option<Item>, StoreError> {
        self.query(|index| {
            let mut select = index.prepare_cached("SELECT len, used, boot FROM item WHERE kind = ? AND id = ?")?;
            let row = select.query_row((kind, id), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?))
            });
            let Some((len, used, boot)) = row.optional()? else { return Ok(None) };
            if used < now() - NOTE_USE_AFTER {
                index.execute("UPDATE item SET used = ? WHERE kind = ? AND id = ?", (now(), kind, id))?;
            }
            Ok(Some(Item { len: len as u64, trusted: boot.is_none_or(|boot| boot == self.boot) }))
        })
    }

    /// Notes that the content of a thing was read and found good.
    pub(super) fn trust(&self, kind: Kind, id: &[u8; 32]) -> Result<(), StoreError> {
        self.query(|index| {
            index.execute("UPDATE item SET boot = NULL WHERE kind = ? AND id = ?", (kind, id))?;
            Ok(())
        })
    }

    /// Forgets a thing that turned out to be gone or damaged.
    pub(super) fn forget(&self, kind: Kind, id: &[u8; 32]) -> Result<(), StoreError> {
        self.query(|index| {
            index.execute("DELETE FROM item WHERE kind = ? AND id = ?", (kind, id))?;
            Ok(())
        })
    }

    /// Brings a thing in: `arrive` renames it to its place, and its row is written, in one transaction. Where another
    /// process was faster nothing is done: its thing is as good, and may be in use already.
    pub(super) fn arrive(
        &self,
        kind: Kind,
        id: &[u8; 32],
        len: u64,
        arrive: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let path = self.root.join(FILE);
        let mut index = self.index();
        let transaction =
            index.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::index(&path))?;
        let there = transaction
            .prepare_cached("SELECT 1 FROM item WHERE kind = ? AND id = ? AND (boot IS NULL OR boot = ?)")
            .and_then(|mut there| there.exists((kind, id, self.boot)));
        if there.map_err(StoreError::index(&path))? {
            return Ok(());
        }
        arrive()?;
        let row = (kind, id, len as i64, now(), self.boot);
        let insert = "INSERT OR REPLACE INTO item (kind, id, len, used, boot) VALUES (?, ?, ?, ?, ?)";
        let inserted = transaction.prepare_cached(insert).and_then(|mut insert| insert.execute(row));
        inserted.and_then(|_| transaction.commit()).map_err(StoreError::index(&path))
    }

    /// Notes that a memo was used, and with it all that it refers to, which thus never gets older than the memo.
    pub(super) fn memo_used(index: &Connection, id: &[u8; 32], used: i64) -> rusqlite::Result<()> {
        if used >= now() - NOTE_USE_AFTER {
            return Ok(());
        }
        index.execute("UPDATE memo SET used = ? WHERE id = ?", (now(), id))?;
        let refs = "UPDATE item SET used = ?1 WHERE (kind, id) IN (SELECT kind, id FROM memo_ref WHERE memo = ?2)";
        index.execute(refs, (now(), id))?;
        Ok(())
    }
}
