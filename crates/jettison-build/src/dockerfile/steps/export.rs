//! A layer as a blob: what a step made, packed for an image. Only the layers of images that somebody gets are packed. A step that
//! changes nothing has an empty one, as from BuildKit: what the history counts is then the same everywhere.
//!
//! What is later than the epoch becomes the epoch, in the blob alone. A layer at the same place of an earlier build lends its compressed
//! pieces ([`MemberCache`]): one changed file of many makes one piece new.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, OnceLock};

use jettison_engine::CacheKey;
use jettison_engine::changes::{self, Change, ChangeKind};
use jettison_engine::graph::{BoxError, Context, Operation, Output};
use jettison_engine::store::Ref;
use jettison_engine::view::View;
use jettison_oci::layer::pyc::SourceTime;
use jettison_oci::layer::{
    Attributes, ChangesetWriter, Checkpoint, Compression, Earlier, LayerBlob, LayerOptions, Member, MemberCache,
    WrittenChangeset,
};
use jettison_tree::{Digest, Entry, Node, TreePath};
use serde::{Deserialize, Serialize};

use super::super::facts::{Collector, Facts};
use super::super::stack::{Made, Stack};
use super::super::unpacked::Unpacker;
use crate::error::BuildError;

/// Smaller writes are collected to this size. Bytes.
const BUFFER: usize = 256 * 1024;

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// The blob.
    pub blob: LayerBlob,
    /// Whose files it has.
    pub facts: Facts,
}

/// Packs the layer that its input added.
pub struct ExportStep {
    /// The time that nothing is later than.
    pub epoch: u64,
    /// How it is packed.
    pub compression: Compression,
    /// On so many threads, which changes nothing.
    pub threads: NonZeroUsize,
    /// What tells layers of earlier builds that were in the same place.
    pub position: CacheKey,
    /// Where layers are found.
    pub unpacker: Arc<Unpacker>,
}

impl Operation for ExportStep {
    /// Time and packing. Neither threads nor place change a byte.
    fn key(&self) -> CacheKey {
        CacheKey::builder("dockerfile/export/2")
            .number("epoch", self.epoch)
            .field("compression", format!("{:?}", self.compression))
            .finish()
    }

    fn run(&self, context: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        let made = super::parent(inputs)?;
        // The same layer on top of something else is the same blob, and so is that of all steps that change nothing.
        let key = CacheKey::builder("dockerfile/exported/3");
        let key = match made.layer() {
            Some(layer) => key.input("layer", layer.key()),
            None => key.flag("empty", true),
        };
        let key = key.input("how", self.key()).finish();
        let store = context.store();
        let exported = store.memo_or::<Exported, BuildError>(&key, || {
            let exported = self.pack(context, &made)?;
            let refs = vec![Ref::Blob(exported.blob.digest)];
            Ok((exported, refs))
        })?;
        let digest = exported.blob.digest;
        Ok(Output::new(&exported)?.with(Ref::Blob(digest)))
    }
}

impl ExportStep {
    fn pack(&self, context: &Context<'_>, made: &Made) -> Result<Exported, BuildError> {
        let store = self.unpacker.store();
        let earlier = CacheKey::builder("dockerfile/members/2").input("position", self.position).finish();
        let before = store.memo_get::<Members>(&earlier)?;
        let before =
            before.map(|members| Ok::<_, BuildError>((store.open_blob(members.blob)?, members))).transpose()?;
        let cache = before.as_ref().map(|(blob, members)| members.open(blob)).transpose()?;
        let cache = Arc::new(cache.unwrap_or_default()) as Arc<dyn MemberCache>;
        let options = LayerOptions { mtime: self.epoch, compression: self.compression, threads: self.threads };
        // The layer's digest is known when it is written: nothing is hashed twice.
        let mut file = tempfile::NamedTempFile::new_in(store.tmp())?;
        let mut out = BufWriter::with_capacity(BUFFER, file.as_file_mut());
        let entries = match made.layer() {
            Some(_) => self.unpacker.entries(&made.stack)?,
            None => Some(Arc::default()),
        };
        let times = Times::new(&self.unpacker, &made.stack);
        let mut collector = Collector::default();
        let written = {
            let mut writer = ChangesetWriter::new(&mut out, &options, Some(cache))?.with_sources(|source| {
                own_time(entries.as_deref().map(Vec::as_slice), source).unwrap_or_else(|| times.of(source))
            });
            match &entries {
                Some(entries) => {
                    let taken = match &before {
                        Some((blob, Members { members, checkpoints, .. })) => {
                            writer.resume(&Earlier { blob, members, checkpoints }, entries)?
                        }
                        None => 0,
                    };
                    for entry in &entries[..taken] {
                        if let Some(content) = entry.content() {
                            collector.add(&entry.path, content.len(), || content.read());
                        }
                    }
                    for entry in &entries[taken..] {
                        check(context)?;
                        if let Some(content) = entry.content() {
                            collector.add(&entry.path, content.len(), || content.read());
                        }
                        writer.push(entry)?;
                    }
                }
                None => {
                    let Some(snapshot) = self.unpacker.snapshot(&made.stack)? else {
                        return Err(BuildError::new("there is no layer to pack"));
                    };
                    for change in changes::walk(&snapshot)? {
                        check(context)?;
                        push(&mut writer, change?, &mut collector)?;
                    }
                }
            }
            writer.finish()?.0
        };
        let WrittenChangeset { blob, members, checkpoints } = written;
        out.flush()?;
        drop(out);
        let digest = blob.digest;
        let path = file.into_temp_path();
        store.adopt(&path, digest)?;
        if !members.is_empty() && made.added {
            store.memo_put(&earlier, &Members { blob: digest, members, checkpoints }, &[Ref::Blob(digest)])?;
        }
        Ok(Exported { blob, facts: collector.finish() })
    }
}

fn check(context: &Context<'_>) -> Result<(), BuildError> {
    context.check().map_err(|cancelled| BuildError::new(cancelled.to_string()))
}

/// Writes one change of a program.
pub fn push<W: io::Write>(
    writer: &mut ChangesetWriter<'_, W>,
    change: Change,
    collector: &mut Collector,
) -> Result<(), BuildError> {
    let Change { path, kind, mode, uid, gid, mtime, xattrs } = change;
    let entry = |node| Entry {
        mtime: Some(mtime.seconds),
        xattrs: xattrs.clone(),
        ..Entry::new(path.clone(), mode, (uid, gid), node)
    };
    match kind {
        ChangeKind::Directory { opaque } => {
            writer.push(&entry(Node::Directory))?;
            if opaque {
                writer.push_opaque(Some(&path))?;
            }
        }
        ChangeKind::File(content) => {
            collector.add(&path, content.len(), || {
                let mut bytes = Vec::new();
                content.open().map_err(io::Error::other)?.read_to_end(&mut bytes)?;
                Ok(bytes)
            });
            let attributes = Attributes { path: &path, mode, uid, gid, mtime: Some(mtime.seconds), xattrs: &xattrs };
            writer.push_file(attributes, content.len(), content.open()?)?;
        }
        ChangeKind::Symlink(target) => writer.push(&entry(Node::Symlink(target)))?,
        ChangeKind::HardLink(target) => writer.push(&entry(Node::HardLink(target)))?,
        ChangeKind::CharacterDevice(device) => writer.push(&entry(Node::CharacterDevice(device)))?,
        ChangeKind::BlockDevice(device) => writer.push(&entry(Node::BlockDevice(device)))?,
        ChangeKind::Fifo => writer.push(&entry(Node::Fifo))?,
        ChangeKind::Whiteout => writer.push_whiteout(&path)?,
    }
    Ok(())
}

/// The time of a source that is in the layer itself, which is where most are.
fn own_time(entries: Option<&[Entry]>, source: &TreePath) -> Option<SourceTime> {
    let entries = entries?;
    let entry = &entries[entries.binary_search_by(|entry| entry.path.cmp(source)).ok()?];
    matches!(entry.node, Node::File(_)).then(|| entry.mtime.map_or(SourceTime::Kept, SourceTime::Clamped))
}

/// What the sources of compiled Python are timed at in the image: those of the base keep their times, ours are clamped.
struct Times {
    all: OnceLock<Option<Arc<View>>>,
    base: OnceLock<Option<Arc<View>>>,
    unpacker: Arc<Unpacker>,
    stack: Stack,
}

impl Times {
    fn new(unpacker: &Arc<Unpacker>, stack: &Stack) -> Self {
        Self { all: OnceLock::new(), base: OnceLock::new(), unpacker: Arc::clone(unpacker), stack: stack.clone() }
    }

    /// Opened when the first compiled file is met whose source is elsewhere.
    fn view<'a>(&self, cell: &'a OnceLock<Option<Arc<View>>>, stack: &Stack) -> Option<&'a View> {
        cell.get_or_init(|| Some(self.unpacker.unpack(stack).ok()?.view)).as_deref()
    }

    fn of(&self, source: &TreePath) -> SourceTime {
        // What cannot be looked at is better left as it is.
        let Some(Ok(found)) = self.view(&self.all, &self.stack).map(|view| view.lstat(source)) else {
            return SourceTime::Kept;
        };
        let Some(found) = found else { return SourceTime::Missing };
        let base = Stack { base: self.stack.base, layers: Vec::new() };
        let below = self.view(&self.base, &base).and_then(|view| view.lstat(source).ok()?);
        match below {
            Some(below) if below.dev_ino == found.dev_ino => SourceTime::Kept,
            _ => SourceTime::Clamped(found.mtime.seconds),
        }
    }
}

/// Where the pieces of a blob are.
#[derive(Debug, Serialize, Deserialize)]
struct Members {
    blob: Digest,
    members: Vec<Member>,
    checkpoints: Vec<Checkpoint>,
}

/// The pieces of a blob that is in the store.
#[derive(Default)]
struct OpenMembers {
    file: Option<std::fs::File>,
    members: BTreeMap<Digest, (u64, u64)>,
}

impl Members {
    fn open(&self, blob: &std::fs::File) -> Result<OpenMembers, BuildError> {
        let members = self.members.iter().map(|member| (member.key, (member.offset, member.len))).collect();
        Ok(OpenMembers { file: Some(blob.try_clone()?), members })
    }
}

impl MemberCache for OpenMembers {
    fn get(&self, key: &Digest) -> Option<Vec<u8>> {
        let (offset, len) = self.members.get(key)?;
        let mut bytes = vec![0; usize::try_from(*len).ok()?];
        self.file.as_ref()?.read_exact_at(&mut bytes, *offset).ok()?;
        Some(bytes)
    }
}
