//! The file of a fragment: every content end to end, then the index as JSON, then eight bytes with the length of the
//! index (little endian) and eight of [`MAGIC`].

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Content, Device, Digest, Entry, Hasher, Node, TreePath, Xattrs};

const MAGIC: &[u8; 8] = b"jetfrag2";
/// Ends what was written before entries had times, attributes and devices. It reads as one without any.
const MAGIC_1: &[u8; 8] = b"jetfrag1";
/// An index larger than this is not ours.
const INDEX_LIMIT: u64 = 1 << 30;

/// A tree kept in one file, with whatever its maker wants to remember about it.
#[derive(Debug, Clone)]
pub struct Fragment {
    entries: Vec<Entry>,
    meta: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Index {
    entries: Vec<Row>,
    meta: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Row {
    path: TreePath,
    mode: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    uid: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    gid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtime: Option<i64>,
    #[serde(default, skip_serializing_if = "Xattrs::is_empty")]
    xattrs: Xattrs,
    #[serde(flatten)]
    node: RowNode,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RowNode {
    Directory,
    File { offset: u64, len: u64, digest: Digest },
    Symlink(Vec<u8>),
    HardLink(TreePath),
    CharacterDevice(Device),
    BlockDevice(Device),
    Fifo,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Fragment {
    /// Opens a fragment file. What is not one, or was cut short, is an error.
    pub fn open(path: &Path) -> Result<Self, FragmentError> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut tail = [0; 16];
        let tail_at = len.checked_sub(16).ok_or(FragmentError::Broken("it is too short"))?;
        file.read_exact_at(&mut tail, tail_at)?;
        let (size, magic) = tail.split_at(8);
        if magic != MAGIC && magic != MAGIC_1 {
            return Err(FragmentError::Broken("it does not end as a fragment does"));
        }
        let size = size.iter().rev().fold(0_u64, |n, &byte| n << 8 | u64::from(byte));
        let contents = tail_at.checked_sub(size).filter(|_| size <= INDEX_LIMIT);
        let contents = contents.ok_or(FragmentError::Broken("its index is longer than the file"))?;
        let mut index = vec![0; size as usize];
        file.read_exact_at(&mut index, contents)?;
        let index: Index = serde_json::from_slice(&index)?;
        let file = Arc::new(file);
        let entry = |row: Row| {
            let node = match row.node {
                RowNode::Directory => Node::Directory,
                RowNode::Symlink(target) => Node::Symlink(target),
                RowNode::HardLink(target) => Node::HardLink(target),
                RowNode::CharacterDevice(device) => Node::CharacterDevice(device),
                RowNode::BlockDevice(device) => Node::BlockDevice(device),
                RowNode::Fifo => Node::Fifo,
                RowNode::File { offset, len, digest } => {
                    if offset.checked_add(len).is_none_or(|end| end > contents) {
                        return Err(FragmentError::Broken("a content lies outside of it"));
                    }
                    Node::File(Content::in_file(Arc::clone(&file), offset, len, digest))
                }
            };
            let Row { path, mode, uid, gid, mtime, xattrs, .. } = row;
            Ok(Entry { path, mode, uid, gid, mtime, xattrs, node })
        };
        let entries = index.entries.into_iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Self { entries, meta: index.meta })
    }

    /// The entries, in the order in which they were added.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What the maker gave to [`FragmentWriter::finish`].
    pub fn meta(&self) -> &serde_json::Value {
        &self.meta
    }
}

/// Writes a fragment file. Nothing of it can be opened before [`finish`](Self::finish).
pub struct FragmentWriter<W: Write> {
    out: BufWriter<W>,
    at: u64,
    rows: Vec<Row>,
    known: HashMap<Digest, (u64, u64)>,
}

impl<W: Write> FragmentWriter<W> {
    /// Writes to `out`, usually a temporary file that is renamed afterwards.
    pub fn new(out: W) -> Self {
        Self { out: BufWriter::with_capacity(256 * 1024, out), at: 0, rows: Vec::new(), known: HashMap::new() }
    }

    /// Adds an entry. A content seen before is not stored again.
    pub fn push(&mut self, entry: &Entry) -> io::Result<()> {
        let node = match &entry.node {
            Node::Directory => RowNode::Directory,
            Node::Symlink(target) => RowNode::Symlink(target.clone()),
            Node::HardLink(target) => RowNode::HardLink(target.clone()),
            Node::CharacterDevice(device) => RowNode::CharacterDevice(*device),
            Node::BlockDevice(device) => RowNode::BlockDevice(*device),
            Node::Fifo => RowNode::Fifo,
            Node::File(content) => {
                let digest = content.digest();
                let (offset, len) = match self.known.get(&digest) {
                    Some(&known) => known,
                    None => (self.at, io::copy(&mut content.reader(), &mut self.out)?),
                };
                self.file_row(offset, len, digest)
            }
        };
        let Entry { mode, uid, gid, mtime, .. } = *entry;
        self.rows.push(Row { path: entry.path.clone(), mode, uid, gid, mtime, xattrs: entry.xattrs.clone(), node });
        Ok(())
    }

    /// Adds a file owned by root from a stream, and returns the digest and length of what came.
    pub fn push_stream(&mut self, path: TreePath, mode: u32, mut data: impl Read) -> io::Result<(Digest, u64)> {
        let mut hasher = Hasher::new();
        let offset = self.at;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match data.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    hasher.update(&buffer[..n]);
                    self.out.write_all(&buffer[..n])?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let (digest, len) = hasher.finish();
        let node = self.file_row(offset, len, digest);
        self.rows.push(Row { path, mode, uid: 0, gid: 0, mtime: None, xattrs: Xattrs::new(), node });
        Ok((digest, len))
    }

    fn file_row(&mut self, offset: u64, len: u64, digest: Digest) -> RowNode {
        self.at = self.at.max(offset + len);
        self.known.insert(digest, (offset, len));
        RowNode::File { offset, len, digest }
    }

    /// Writes the index with `meta` and returns what was written to, flushed.
    pub fn finish(mut self, meta: serde_json::Value) -> io::Result<W> {
        let index = serde_json::to_vec(&Index { entries: self.rows, meta })?;
        self.out.write_all(&index)?;
        self.out.write_all(&(index.len() as u64).to_le_bytes())?;
        self.out.write_all(MAGIC)?;
        self.out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// A fragment file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FragmentError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not a fragment.
    #[error("not a fragment: {0}")]
    Broken(&'static str),
    /// The index is not what it should be.
    #[error("not a fragment: {0}")]
    Index(#[from] serde_json::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_reads_back_and_a_cut_one_does_not() {
        let path = |p: &str| TreePath::parse(p).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let mut writer = FragmentWriter::new(File::create(&file).unwrap());
        writer.push(&Entry::directory(path("d"))).unwrap();
        writer.push(&Entry::file(path("d/a"), Content::from_bytes(*b"hello"), true)).unwrap();
        writer.push_stream(path("d/s"), 0o600, &b"stream"[..]).unwrap();
        writer.push(&Entry::file(path("d/again"), Content::from_bytes(*b"hello"), false)).unwrap();
        writer.push(&Entry::symlink(path("d/l"), *b"a\xff")).unwrap();
        let device = Entry::new(path("d/n"), 0o620, (0, 5), Node::CharacterDevice(Device { major: 1, minor: 3 }));
        writer.push(&Entry { mtime: Some(-7), ..device }).unwrap();
        let xattrs = [(&b"user.\xfe"[..], &b"\0v"[..])].into_iter().collect();
        writer.push(&Entry { xattrs, ..Entry::new(path("d/p"), 0o600, (1, 2), Node::Fifo) }).unwrap();
        writer.finish(serde_json::json!({"n": 1})).unwrap();

        let fragment = Fragment::open(&file).unwrap();
        assert_eq!(fragment.meta()["n"], 1);
        let text = |i: usize| fragment.entries()[i].content().unwrap().read().unwrap();
        assert_eq!((text(1), text(2), text(3)), (b"hello".to_vec(), b"stream".to_vec(), b"hello".to_vec()));
        assert_eq!((fragment.entries()[1].mode, fragment.entries()[2].mode), (0o755, 0o600));
        assert!(matches!(&fragment.entries()[4].node, Node::Symlink(t) if t == b"a\xff"));

        let [device, fifo] = &fragment.entries()[5..] else { panic!("{fragment:?}") };
        assert!(matches!(device.node, Node::CharacterDevice(Device { major: 1, minor: 3 })));
        assert_eq!((device.mtime, device.gid, device.xattrs.is_empty()), (Some(-7), 5, true));
        assert!(matches!(fifo.node, Node::Fifo));
        assert_eq!(
            (fifo.mtime, fifo.xattrs.get(b"user.\xfe"), fifo.xattrs.get("user")),
            (None, Some(&b"\0v"[..]), None)
        );

        let mut bytes = std::fs::read(&file).unwrap();
        for cut in [0, 5, bytes.len() - 1] {
            std::fs::write(&file, &bytes[..cut]).unwrap();
            assert!(Fragment::open(&file).is_err());
        }
        for (version, reads) in [(b'1', true), (b'3', false)] {
            *bytes.last_mut().unwrap() = version;
            std::fs::write(&file, &bytes).unwrap();
            assert_eq!(Fragment::open(&file).is_ok(), reads);
        }
    }
}
