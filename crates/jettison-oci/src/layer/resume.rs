//! Going on in a layer where one that begins alike stood: what comes before the first change is not read, hashed or compressed
//! again.
//!
//! While a changeset is written, the entries so far are described by a digest: their attributes and the digests of their contents,
//! so that nothing has to be read to compare. At some of the cuts between members a [`Checkpoint`] notes it, with where the hasher
//! of the tar stands. A later layer whose entries come to the same digest takes over the members before that cut.

use std::fs::File;

use jettison_tree::{Digest, Entry, Hasher, HasherState, Node};
use serde::{Deserialize, Serialize};

use super::gzip::{ENCODER, Member};
use super::pyc::SourceTime;
use super::write::LayerOptions;

/// Bytes of the tar between two checkpoints at least.
const APART: u64 = 4 << 20;

/// A place in a layer from which another can go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The entries before it, hard links left out.
    pub(super) entries: u64,
    /// What describes them.
    pub(super) described: Digest,
    /// The members before it.
    pub(super) members: usize,
    /// Where the hasher of the tar stands.
    pub(super) tar: HasherState,
    /// Where that of the blob stands, once a layer has gone on from here.
    pub(super) blob: Option<HasherState>,
}

/// A layer that was written before.
pub struct Earlier<'a> {
    /// Its blob.
    pub blob: &'a File,
    /// Where its members are.
    pub members: &'a [Member],
    /// From where it can be gone on.
    pub checkpoints: &'a [Checkpoint],
}

/// Describes the entries that are written, and notes checkpoints.
pub(super) struct Description {
    hasher: Hasher,
    entries: u64,
    latest: i64,
    /// Bytes of the tar at the last checkpoint.
    noted: u64,
    pub(super) checkpoints: Vec<Checkpoint>,
}

impl Description {
    /// Of no entry. The options belong to it: with others the bytes are others.
    pub(super) fn new(options: &LayerOptions) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(format!("{ENCODER} {} {:?}\n", options.mtime, options.compression).as_bytes());
        Self { hasher, entries: 0, latest: options.mtime as i64, noted: 0, checkpoints: Vec::new() }
    }

    /// Adds an entry; `source` is what becomes of the time of the source of a compiled file.
    pub(super) fn add(&mut self, entry: &Entry, source: Option<SourceTime>) {
        let Entry { path, mode, uid, gid, .. } = entry;
        let mtime = entry.mtime.map_or(self.latest, |mtime| mtime.min(self.latest));
        let mut text = Vec::with_capacity(160);
        let mut field = |bytes: &[u8]| {
            text.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            text.extend_from_slice(bytes);
        };
        field(path.as_bytes());
        field(format!("{mode} {uid} {gid} {mtime} {source:?}").as_bytes());
        for (name, value) in entry.xattrs.iter() {
            field(name);
            field(value);
        }
        match &entry.node {
            Node::Directory => field(b"directory"),
            Node::File(content) => field(format!("file {} {}", content.len(), content.digest()).as_bytes()),
            Node::Symlink(target) => {
                field(b"symlink");
                field(target);
            }
            Node::HardLink(target) => field(&[b"hard link ", target.as_bytes()].concat()),
            Node::CharacterDevice(device) => field(format!("character device {device:?}").as_bytes()),
            Node::BlockDevice(device) => field(format!("block device {device:?}").as_bytes()),
            Node::Fifo => field(b"fifo"),
        }
        self.hasher.update(&(text.len() as u64).to_le_bytes());
        self.hasher.update(&text);
        self.entries += 1;
    }

    /// Whether a checkpoint at so many bytes of the tar is worth its place.
    pub(super) fn wants(&self, tar: u64) -> bool {
        tar >= self.noted + APART
    }

    /// Notes a checkpoint.
    pub(super) fn note(&mut self, tar: HasherState, at: u64, members: usize) {
        self.noted = at;
        let described = self.hasher.clone().finish().0;
        self.checkpoints.push(Checkpoint { entries: self.entries, described, members, tar, blob: None });
    }

    /// The last checkpoint of `earlier` that `entries`, none of them a hard link, come to, with the description up to there.
    pub(super) fn find<'e>(
        mut self,
        earlier: &[Checkpoint],
        entries: impl Iterator<Item = (&'e Entry, Option<SourceTime>)>,
    ) -> Option<Self> {
        let mut found = None;
        let mut open = earlier.iter().peekable();
        for (entry, source) in entries {
            while let Some(checkpoint) = open.next_if(|checkpoint| checkpoint.entries == self.entries) {
                if checkpoint.described != self.hasher.clone().finish().0 {
                    return found;
                }
                self.checkpoints.push(checkpoint.clone());
                found = Some(Self {
                    hasher: self.hasher.clone(),
                    checkpoints: self.checkpoints.clone(),
                    noted: Hasher::resume(&checkpoint.tar)?.bytes(),
                    ..self
                });
            }
            if open.peek().is_none() {
                break;
            }
            self.add(entry, source);
        }
        found
    }

    /// How many entries it describes.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }
}
