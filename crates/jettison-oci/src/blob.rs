//! Where the bytes of an image come from: a [`BlobSource`] opens what a [`Descriptor`] points to.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use jettison_tree::{Digest, Hasher};

use crate::types::Descriptor;

/// Opens blobs, and manifests, by their descriptors. A directory, an archive, a registry and the store are each one.
pub trait BlobSource: Send + Sync {
    /// Opens a blob from its start. The bytes are not checked yet: see [`Blob::checked`].
    fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError>;

    /// Opens a blob from the byte `at` on. [`Blob::len`] is that of what is left. The digest of such a blob is for the caller to check.
    fn open_from(&self, descriptor: &Descriptor, at: u64) -> Result<Blob, BlobError> {
        let Blob { len, mut reader, .. } = self.open(descriptor)?;
        let skipped = io::copy(&mut reader.by_ref().take(at), &mut io::sink());
        skipped.map_err(|error| BlobError::from_io(descriptor.digest, error))?;
        Ok(Blob { len: len.saturating_sub(at), reader, is_vouched_for: false })
    }
}

impl<T: BlobSource + ?Sized> BlobSource for Arc<T> {
    fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        (**self).open(descriptor)
    }

    fn open_from(&self, descriptor: &Descriptor, at: u64) -> Result<Blob, BlobError> {
        (**self).open_from(descriptor, at)
    }
}

/// An open blob.
pub struct Blob {
    len: u64,
    reader: Box<dyn Read + Send>,
    is_vouched_for: bool,
}

impl Blob {
    /// A blob of `len` bytes.
    pub fn new(len: u64, reader: impl Read + Send + 'static) -> Self {
        Self { len, reader: Box::new(reader), is_vouched_for: false }
    }

    /// A blob whose digest its source has checked, and vouches for: its length is still checked, it is not hashed again.
    pub fn vouched_for(len: u64, reader: impl Read + Send + 'static) -> Self {
        Self { is_vouched_for: true, ..Self::new(len, reader) }
    }

    /// A blob in memory.
    pub fn from_bytes(bytes: Arc<[u8]>) -> Self {
        Self::new(bytes.len() as u64, Cursor::new(bytes))
    }

    /// Bytes, as the source says.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes as they come, unchecked.
    pub fn into_reader(self) -> Box<dyn Read + Send> {
        self.reader
    }

    /// A reader that fails, at the end at the latest, where the bytes are not those of the descriptor.
    pub fn checked(self, descriptor: &Descriptor) -> CheckedReader<Box<dyn Read + Send>> {
        let checked = CheckedReader::new(self.reader, descriptor);
        if self.is_vouched_for { CheckedReader { hasher: None, ..checked } } else { checked }
    }

    /// Copies all of it, checked against the descriptor.
    pub fn copy_to(self, descriptor: &Descriptor, out: &mut impl Write) -> Result<(), BlobError> {
        let digest = descriptor.digest;
        let mut reader = io::BufReader::with_capacity(128 * 1024, self.checked(descriptor));
        io::copy(&mut reader, out).map(drop).map_err(|error| BlobError::from_io(digest, error))
    }

    /// All of it in memory, checked. A descriptor of more than `limit` bytes is refused before a byte is read.
    pub fn read_checked(self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, BlobError> {
        if descriptor.size > limit {
            return Err(BlobError::TooLarge { digest: descriptor.digest, size: descriptor.size, limit });
        }
        let mut bytes = Vec::new();
        self.copy_to(descriptor, &mut bytes)?;
        Ok(bytes)
    }
}

/// Passes bytes on and fails with a [`BlobError`] inside an [`io::Error`] where they are too many, too few or others
/// than the descriptor says.
pub struct CheckedReader<R> {
    inner: R,
    digest: Digest,
    size: u64,
    seen: u64,
    hasher: Option<Hasher>,
}

impl<R: Read> CheckedReader<R> {
    /// Checks what `inner` yields against `descriptor`.
    pub fn new(inner: R, descriptor: &Descriptor) -> Self {
        Self { inner, digest: descriptor.digest, size: descriptor.size, seen: 0, hasher: Some(Hasher::new()) }
    }
}

impl<R: Read> Read for CheckedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(buffer)?;
        self.seen += read as u64;
        if self.seen > self.size || (read == 0 && self.seen < self.size) {
            return Err(BlobError::Size { digest: self.digest, expected: self.size, actual: self.seen }.into());
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        if read == 0
            && let Some(hasher) = self.hasher.take()
        {
            let (actual, _) = hasher.finish();
            if actual != self.digest {
                return Err(BlobError::Digest { expected: self.digest, actual }.into());
            }
        }
        Ok(read)
    }
}

/// Blobs by digest: some in memory, some in files, and other sources behind them that are asked in turn.
#[derive(Clone, Default)]
pub struct BlobSet {
    blobs: BTreeMap<Digest, Place>,
    behind: Vec<Arc<dyn BlobSource>>,
}

#[derive(Clone)]
enum Place {
    Bytes(Arc<[u8]>),
    File(PathBuf),
}

impl BlobSet {
    /// No blobs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes and returns their digest.
    pub fn add_bytes(&mut self, bytes: impl Into<Arc<[u8]>>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.blobs.insert(digest, Place::Bytes(bytes));
        digest
    }

    /// Adds a file that holds the blob with this digest, from its first byte to its last.
    pub fn add_file(&mut self, digest: Digest, path: impl Into<PathBuf>) {
        self.blobs.insert(digest, Place::File(path.into()));
    }

    /// Adds a source that is asked for what is not here.
    pub fn add_source(&mut self, source: Arc<dyn BlobSource>) {
        self.behind.push(source);
    }
}

impl BlobSource for BlobSet {
    fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        let digest = descriptor.digest;
        match self.blobs.get(&digest) {
            Some(Place::Bytes(bytes)) => return Ok(Blob::from_bytes(Arc::clone(bytes))),
            Some(Place::File(path)) => return open_file(digest, path),
            None => {}
        }
        for source in &self.behind {
            match source.open(descriptor) {
                Err(BlobError::Missing { .. }) => {}
                found => return found,
            }
        }
        Err(BlobError::Missing { digest, place: "the image's blobs".to_owned() })
    }
}

/// Opens a file as a blob; no such file is [`BlobError::Missing`].
pub(crate) fn open_file(digest: Digest, path: &std::path::Path) -> Result<Blob, BlobError> {
    let open = || File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    match open() {
        Ok((len, file)) => Ok(Blob::new(len, file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(BlobError::Missing { digest, place: path.display().to_string() })
        }
        Err(source) => Err(BlobError::Io { digest, source }),
    }
}

/// A blob that cannot be had, or is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The source does not have it.
    #[error("blob {digest} is missing: it is not in {place}")]
    Missing {
        /// The blob.
        digest: Digest,
        /// Where it was looked for.
        place: String,
    },
    /// More or fewer bytes than the descriptor says. `actual` is what came before reading stopped.
    #[error("blob {digest} should have {expected} bytes, but has {}{actual}", if actual > expected { "at least " } else { "" })]
    Size {
        /// The blob.
        digest: Digest,
        /// Bytes by its descriptor.
        expected: u64,
        /// Bytes read.
        actual: u64,
    },
    /// Other bytes than the descriptor says.
    #[error("blob {expected} is corrupt: its bytes have the digest {actual}")]
    Digest {
        /// By its descriptor.
        expected: Digest,
        /// Of the bytes.
        actual: Digest,
    },
    /// A document larger than anything sensible.
    #[error("blob {digest} has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// The blob.
        digest: Digest,
        /// Bytes by its descriptor.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// It cannot be read or written.
    #[error("blob {digest}: {source}")]
    Io {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// The source has a reason of its own.
    #[error(transparent)]
    Source(#[from] Box<dyn Error + Send + Sync>),
}

impl BlobError {
    /// The error that a reader of this blob failed with: a `BlobError` that travelled in an [`io::Error`] comes out again.
    pub fn from_io(digest: Digest, error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(|source| Self::Io { digest, source })
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => {
                Some("the image was copied in part: copy it again, or choose one platform of it".into())
            }
            Self::Size { .. } | Self::Digest { .. } => {
                Some("it was damaged or cut short on its way: fetch it again".into())
            }
            Self::TooLarge { .. } | Self::Io { .. } | Self::Source(_) => None,
        }
    }
}

impl From<BlobError> for io::Error {
    fn from(error: BlobError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::MediaType;

    #[test]
    fn other_bytes_than_promised_are_noticed() {
        let descriptor = Descriptor::of(MediaType::OCI_LAYER, b"promised");
        let read = |bytes: &[u8]| Blob::from_bytes(bytes.into()).read_checked(&descriptor, 100);
        assert_eq!(read(b"promised").unwrap(), b"promised");
        assert!(matches!(read(b"promise"), Err(BlobError::Size { actual: 7, .. })));
        assert!(matches!(read(b"promised!"), Err(BlobError::Size { actual: 9, .. })));
        assert!(matches!(read(b"pr0mised"), Err(BlobError::Digest { .. })));
        let blob = Blob::from_bytes(b"promised"[..].into());
        assert!(matches!(blob.read_checked(&descriptor, 7), Err(BlobError::TooLarge { .. })));
    }

    #[test]
    fn a_set_asks_those_behind_it() {
        let (mut front, mut back) = (BlobSet::new(), BlobSet::new());
        front.add_bytes(*b"a");
        back.add_bytes(*b"b");
        front.add_source(Arc::new(back));
        for (bytes, found) in [(b"a", true), (b"b", true), (b"c", false)] {
            assert_eq!(front.open(&Descriptor::of(MediaType::OCI_LAYER, bytes)).is_ok(), found);
        }
    }
}
