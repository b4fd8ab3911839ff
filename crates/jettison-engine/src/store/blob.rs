//! Blobs: bytes under the digest of their content.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jettison_tree::{Digest, Hasher};
use rustix::fs::{FlockOperation, flock};
use tempfile::{NamedTempFile, TempPath};

use super::index::{Item, Kind};
use super::{Store, StoreError};

/// Where blobs are while they are fetched, under their digests.
pub(super) const PARTIAL: &str = "partial";
/// Smaller writes are collected to this size.
const BUFFER: usize = 256 * 1024;

impl Store {
    /// Whether the blob is there, whole.
    pub fn has(&self, digest: Digest) -> Result<bool, StoreError> {
        Ok(self.checked_blob(digest)?.is_some())
    }

    /// The length of the blob in bytes, where it is there.
    pub fn blob_len(&self, digest: Digest) -> Result<Option<u64>, StoreError> {
        Ok(self.checked_blob(digest)?.map(|item| item.len))
    }

    /// Opens the blob for reading. Nobody changes the file; it stays readable when the blob is pruned.
    pub fn open_blob(&self, digest: Digest) -> Result<File, StoreError> {
        let path = self.blob_path(digest);
        match self.checked_blob(digest)? {
            Some(_) => File::open(&path).map_err(StoreError::io("open", &path)),
            None => Err(StoreError::Missing(digest)),
        }
    }

    /// The content of a blob of at most `limit` bytes.
    pub fn read_blob(&self, digest: Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let Item { len, .. } = self.checked_blob(digest)?.ok_or(StoreError::Missing(digest))?;
        if len > limit {
            return Err(StoreError::TooLarge { digest, len, limit });
        }
        let path = self.blob_path(digest);
        fs::read(&path).map_err(StoreError::io("read", &path))
    }

    /// Where the blob is, or would be.
    pub fn blob_path(&self, digest: Digest) -> PathBuf {
        self.kind_path(Kind::Blob, digest.as_bytes())
    }

    /// Stores all that `reader` yields and returns its digest and length in bytes. Where another digest was `expected`,
    /// that is an error and nothing is stored.
    pub fn put(&self, mut reader: impl Read, expected: Option<Digest>) -> Result<(Digest, u64), StoreError> {
        let mut writer = self.writer()?;
        io::copy(&mut reader, &mut writer).map_err(StoreError::io("write", &self.tmp))?;
        writer.commit(expected)
    }

    /// Stores `bytes` and returns their digest.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.has(digest)? {
            self.put(bytes, Some(digest))?;
        }
        Ok(digest)
    }

    /// A writer whose content becomes a blob when it is committed. Dropped before, it leaves nothing.
    pub fn writer(&self) -> Result<BlobWriter<'_>, StoreError> {
        let file = NamedTempFile::new_in(&self.tmp).map_err(StoreError::io("write in", &self.tmp))?;
        let (file, path) = file.into_parts();
        let (path, hasher) = (Some(path), Hasher::new());
        Ok(BlobWriter { store: self, file, path, hasher, len: 0, buffer: Vec::with_capacity(BUFFER) })
    }

    /// A writer for the blob with this digest that goes on where an earlier one stopped, in this process or another: what
    /// is there already is in [`BlobWriter::len`]. Dropped before it is committed, it leaves what was written for the
    /// next one. While another process writes the blob, this one begins from the start.
    pub fn resumed_writer(&self, digest: Digest) -> Result<BlobWriter<'_>, StoreError> {
        let path = self.root.join(PARTIAL).join(digest.hex());
        let open = || File::options().read(true).append(true).create(true).open(&path);
        let mut file = open().map_err(StoreError::io("open", &path))?;
        // It may have become the blob before we had the lock.
        let same = |file: &File| {
            let (ours, there) = (file.metadata().ok()?, fs::metadata(&path).ok()?);
            Some((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() || same(&file) != Some(true) {
            return self.writer();
        }
        let mut hasher = Hasher::new();
        let len = io::copy(&mut file, &mut Hashing(&mut hasher)).map_err(StoreError::io("read", &path))?;
        let mut path = TempPath::try_from_path(&path).map_err(StoreError::io("take over", &path))?;
        path.disable_cleanup(true);
        Ok(BlobWriter { store: self, file, path: Some(path), hasher, len, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Takes over the file at `path`, which the caller found to have this digest while writing it, as a blob.
    /// A file in [`tmp`](Self::tmp) is renamed, any other is copied (and then hashed again) and stays.
    pub fn adopt(&self, path: impl AsRef<Path>, digest: Digest) -> Result<(), StoreError> {
        let path = path.as_ref();
        if !path.starts_with(&self.tmp) {
            let file = File::open(path).map_err(StoreError::io("open", path))?;
            return self.put(file, Some(digest)).map(|_| ());
        }
        let len = path.metadata().map_err(StoreError::io("read", path))?.len();
        let file = TempPath::try_from_path(path).map_err(StoreError::io("take over", path))?;
        self.place(digest, len, file)
    }

    fn place(&self, digest: Digest, len: u64, file: TempPath) -> Result<(), StoreError> {
        if self.has(digest)? {
            return Ok(());
        }
        let to = self.blob_path(digest);
        self.arrive(Kind::Blob, digest.as_bytes(), len, || rename_into(file, &to))
    }

    /// The row of a blob whose file is whole: of the right length and, when it was written before the machine was last
    /// started, of the right digest. Anything else is forgotten.
    fn checked_blob(&self, digest: Digest) -> Result<Option<Item>, StoreError> {
        let id = digest.as_bytes();
        let Some(item) = self.item(Kind::Blob, id)? else { return Ok(None) };
        let path = self.blob_path(digest);
        let whole = match fs::metadata(&path) {
            Ok(meta) if meta.len() != item.len => false,
            Ok(_) if item.trusted => true,
            Ok(_) => {
                let actual = File::open(&path).and_then(Digest::of_reader);
                let whole = actual.map_err(StoreError::io("read", &path))?.0 == digest;
                if whole {
                    self.trust(Kind::Blob, id)?;
                }
                whole
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(StoreError::io("read", &path)(e)),
        };
        if !whole {
            self.forget(Kind::Blob, id)?;
        }
        Ok(whole.then_some(item))
    }
}

/// Renames a temporary file to its place, making the directory that holds it.
pub(super) fn rename_into(file: TempPath, to: &Path) -> Result<(), StoreError> {
    let rename = |file: TempPath| file.persist(to);
    let moved = match rename(file) {
        Err(e) if e.error.kind() == io::ErrorKind::NotFound => {
            let directory = to.parent().unwrap_or(to);
            fs::create_dir_all(directory).map_err(StoreError::io("create the directory", directory))?;
            rename(e.path)
        }
        done => done,
    };
    moved.map_err(|e| StoreError::io("write", to)(e.error))
}

/// Writes a blob, hashing as it goes.
pub struct BlobWriter<'a> {
    store: &'a Store,
    file: File,
    /// Where it is, until it is committed.
    path: Option<TempPath>,
    hasher: Hasher,
    /// Bytes so far.
    len: u64,
    buffer: Vec<u8>,
}

/// Passes bytes to a hasher.
struct Hashing<'a>(&'a mut Hasher);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter<'_> {
    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes what was written a blob and returns its digest and length in bytes. Where another digest was `expected`,
    /// that is an error and nothing is stored.
    pub fn commit(mut self, expected: Option<Digest>) -> Result<(Digest, u64), StoreError> {
        self.flush().map_err(StoreError::io("write", self.store.root()))?;
        let (digest, len) = std::mem::replace(&mut self.hasher, Hasher::new()).finish();
        let Some(mut path) = self.path.take() else { return Ok((digest, len)) };
        // Nobody is to go on with it.
        path.disable_cleanup(false);
        match expected {
            Some(expected) if expected != digest => Err(StoreError::Mismatch { expected, actual: digest, len }),
            _ => self.store.place(digest, len, path).map(|()| (digest, len)),
        }
    }
}

impl Drop for BlobWriter<'_> {
    /// What was written is there for the next one, where there may be one.
    fn drop(&mut self) {
        if self.path.is_some() {
            let _ = self.flush();
        }
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush()?;
        }
        if bytes.len() >= BUFFER {
            self.file.write_all(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}
