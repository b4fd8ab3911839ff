use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Digest, Hasher, TreePath, Xattrs};

/// One path of a tree with its metadata.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it stands.
    pub path: TreePath,
    /// Permission, setuid, setgid and sticky bits (`0o7777`).
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// When it was last changed, in seconds since 1970; `None` leaves that to who writes an archive.
    pub mtime: Option<i64>,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// What it is.
    pub node: Node,
}

/// What stands at a path.
#[derive(Debug, Clone)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link with its target, byte for byte.
    Symlink(Vec<u8>),
    /// Another name for the file at this path of the same tree.
    HardLink(TreePath),
    /// A character device.
    CharacterDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

/// The numbers of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Device {
    /// Its driver.
    pub major: u32,
    /// Which one of the driver's.
    pub minor: u32,
}

impl Entry {
    /// An entry without a time of its own and without extended attributes.
    pub fn new(path: TreePath, mode: u32, (uid, gid): (u32, u32), node: Node) -> Self {
        Self { path, mode, uid, gid, mtime: None, xattrs: Xattrs::new(), node }
    }

    /// A directory `0755`, owned by root.
    pub fn directory(path: TreePath) -> Self {
        Self::new(path, 0o755, (0, 0), Node::Directory)
    }

    /// A file owned by root: `0755` if it is executable, else `0644`.
    pub fn file(path: TreePath, content: Content, executable: bool) -> Self {
        let mode = if executable { 0o755 } else { 0o644 };
        Self::new(path, mode, (0, 0), Node::File(content))
    }

    /// A symbolic link owned by root.
    pub fn symlink(path: TreePath, target: impl Into<Vec<u8>>) -> Self {
        Self::new(path, 0o777, (0, 0), Node::Symlink(target.into()))
    }

    /// The content, where it is a file.
    pub fn content(&self) -> Option<&Content> {
        match &self.node {
            Node::File(content) => Some(content),
            _ => None,
        }
    }
}

/// The content of a file: its digest and length, and where to read it.
#[derive(Debug, Clone)]
pub struct Content {
    digest: Digest,
    len: u64,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Bytes(Arc<[u8]>),
    File { file: Arc<File>, offset: u64 },
    Path(Arc<Path>),
}

impl Content {
    /// Content held in memory.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), len: bytes.len() as u64, source: Source::Bytes(bytes) }
    }

    /// `len` bytes at `offset` of an open file that nobody changes, known to have this digest.
    pub fn in_file(file: Arc<File>, offset: u64, len: u64, digest: Digest) -> Self {
        Self { digest, len, source: Source::File { file, offset } }
    }

    /// The `len` bytes of the file at `path`, which had this digest when somebody looked. It is opened when it is read, and a file
    /// that has changed by then is an error at the end of reading.
    pub fn at_path(path: impl Into<Arc<Path>>, len: u64, digest: Digest) -> Self {
        Self { digest, len, source: Source::Path(path.into()) }
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads it from the start. Readers of one content do not disturb each other.
    pub fn reader(&self) -> ContentReader<'_> {
        ContentReader { content: self, at: 0, open: None }
    }

    /// All of it, in memory. For what is known to be small.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.len as usize);
        self.reader().read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reads a [`Content`].
#[derive(Debug)]
pub struct ContentReader<'a> {
    content: &'a Content,
    at: u64,
    /// The file behind a path, and what came of it so far.
    open: Option<(File, Hasher)>,
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Source::Path(path) = &self.content.source {
            return self.read_path(path, buffer);
        }
        let left = self.content.len - self.at;
        let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let read = match &self.content.source {
            Source::Bytes(bytes) => {
                let at = self.at as usize;
                buffer[..want].copy_from_slice(&bytes[at..at + want]);
                want
            }
            Source::File { file, offset } => file.read_at(&mut buffer[..want], offset + self.at)?,
            Source::Path(_) => 0,
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file under a content was cut short"));
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl ContentReader<'_> {
    fn read_path(&mut self, path: &Path, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.open.is_none() {
            self.open = Some((File::open(path)?, Hasher::new()));
        }
        let Some((file, hasher)) = &mut self.open else { return Ok(0) };
        let read = file.read(buffer)?;
        hasher.update(&buffer[..read]);
        self.at += read as u64;
        let changed = self.at > self.content.len || (read == 0 && hasher.clone().finish().0 != self.content.digest);
        if changed {
            return Err(io::Error::other(format!("`{}` changed while it was read", path.display())));
        }
        Ok(read)
    }
}

/// Entries by path.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    entries: BTreeMap<TreePath, Entry>,
}

impl Tree {
    /// A tree with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. Two directories at one path become the first of them; two files with one content and mode are the same
    /// file; anything else at a taken path is a [`Collision`] and leaves the tree as it was.
    pub fn insert(&mut self, entry: Entry) -> Result<(), Collision> {
        use std::collections::btree_map::Entry as Slot;
        match self.entries.entry(entry.path.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(entry);
                Ok(())
            }
            Slot::Occupied(slot) => match (&slot.get().node, &entry.node) {
                (Node::Directory, Node::Directory) => Ok(()),
                (Node::File(old), Node::File(new)) if old.digest == new.digest && slot.get().mode == entry.mode => {
                    Ok(())
                }
                (Node::Symlink(old), Node::Symlink(new)) if old == new => Ok(()),
                _ => Err(Collision(entry.path)),
            },
        }
    }

    /// Puts an entry in place of whatever stands at its path.
    pub fn replace(&mut self, entry: Entry) {
        self.entries.insert(entry.path.clone(), entry);
    }

    /// Takes out what stands at `path` and everything below it.
    pub fn remove(&mut self, path: &TreePath) {
        self.entries.retain(|other, _| !other.is_below(path.as_bytes()));
    }

    /// Keeps the entries for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        self.entries.retain(|_, entry| keep(entry));
    }

    /// What stands at `path`.
    pub fn get(&self, path: &TreePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The entries in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all files, each counted once per path.
    pub fn bytes(&self) -> u64 {
        self.iter().filter_map(Entry::content).map(Content::len).sum()
    }
}

impl IntoIterator for Tree {
    type Item = Entry;
    type IntoIter = std::collections::btree_map::IntoValues<TreePath, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_values()
    }
}

/// Two entries want one path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("two different entries want `{0}`")]
pub struct Collision(pub TreePath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "before").unwrap();
        let content = Content::at_path(path.as_path(), 6, Digest::of(b"before"));
        assert_eq!(content.read().unwrap(), b"before");
        for other in ["After!", "befor", "before and after"] {
            std::fs::write(&path, other).unwrap();
            assert!(content.read().is_err(), "{other}");
        }
    }
}
