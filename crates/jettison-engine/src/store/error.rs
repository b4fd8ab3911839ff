use std::io;
use std::path::{Path, PathBuf};

use jettison_tree::Digest;

/// The store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory of the store cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The disk, or the user's quota, is full.
    #[error("no space left to write {}", path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// The index of the store cannot be used.
    #[error("the index {} cannot be used: {source}", path.display())]
    Index {
        /// `store.db`.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// A later version of Jettison made the store.
    #[error("the store {} has format {found}; this version knows formats up to {known}", path.display())]
    TooNew {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The bytes are not those that were asked for.
    #[error("expected {expected}, got {actual} ({len} bytes)")]
    Mismatch {
        /// What was promised.
        expected: Digest,
        /// What came.
        actual: Digest,
        /// How many bytes came.
        len: u64,
    },
    /// There is no such blob.
    #[error("the store holds no blob {0}")]
    Missing(Digest),
    /// A blob is larger than the caller wants to read into memory.
    #[error("blob {digest} has {len} bytes, more than the {limit} expected")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Its length.
        len: u64,
        /// What the caller allows.
        limit: u64,
    },
    /// A result cannot be written as JSON.
    #[error("the result cannot be kept: {0}")]
    Memo(#[from] serde_json::Error),
}

impl StoreError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Full { .. } => Some(
                "the store is unharmed: free some space (`jettison cache prune`) or keep it on another disk".into(),
            ),
            Self::Io { source, path, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some(format!("{} belongs to another user; choose another store", path.display()))
                }
                io::ErrorKind::ReadOnlyFilesystem => {
                    Some("keep the store on a file system that can be written to".into())
                }
                _ => None,
            },
            Self::Index { path, source } => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                    Some(format!("delete {}; the store then fills itself anew", path.display()))
                }
                Some(rusqlite::ErrorCode::DatabaseBusy) => Some("another process holds the store; try again".into()),
                _ => None,
            },
            Self::TooNew { .. } => Some("use that version, or another store".into()),
            Self::Missing(_) => Some("it may have been pruned; build or pull again".into()),
            Self::Mismatch { .. } | Self::TooLarge { .. } | Self::Memo(_) => None,
        }
    }

    /// Makes an I/O error one of ours; a full disk is told apart.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let path = path.as_ref().to_owned();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
                _ => Self::Io { action, path, source },
            }
        }
    }

    /// Makes a SQLite error one of ours; a full disk is told apart.
    pub(crate) fn index(path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full { path: path.to_owned() },
            _ => Self::Index { path: path.to_owned(), source },
        }
    }
}
