//! Entries → tar → blob. Nothing but the entries and the [`LayerOptions`] decides the bytes: no clock, no names of users or
//! hosts, no order but that of the paths.
//!
//! 1. [`write_layer`] writes a whole tree, and puts its hard links in order.
//! 2. [`LayerWriter`] writes one entry after the other; [`ChangesetWriter`](super::ChangesetWriter) stands upon it.
//! 3. [`add_parents`] completes a tree that is to be written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;

use jettison_tree::{Entry, Hasher, Node, PathError, Tree, TreePath, Xattrs};
use serde::{Deserialize, Serialize};

use super::compress::{Compression, Compressor, Members};
use super::cuts::Cuts;
use super::digesting::Digesting;
use super::gzip::Member;
use super::pyc::SourceTime;
use super::resume::{Checkpoint, Description, Earlier};
use super::ustar::{BLOCK, Header, flag, padding};
use crate::types::{Descriptor, DiffId, MediaType};
use jettison_tree::Digest;

/// Bytes of the two blocks of zeros that end a tar. What [`LayerWriter::push`] returns and these make up the whole tar.
pub const TAR_END: u64 = 2 * BLOCK as u64;

/// How a layer is written.
#[derive(Debug, Clone, Copy)]
pub struct LayerOptions {
    /// The time of every entry that has none of its own, and the latest that any gets, in seconds since 1970.
    pub mtime: u64,
    /// How the tar is packed.
    pub compression: Compression,
    /// Threads that compress. They change the time it takes and no byte.
    pub threads: NonZeroUsize,
}

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerBlob {
    /// The tar.
    pub diff_id: DiffId,
    /// The blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub compressed_bytes: u64,
    /// Bytes of the tar.
    pub unpacked_bytes: u64,
    /// What the blob is.
    pub media_type: MediaType,
}

impl LayerBlob {
    /// The descriptor of the blob.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest, self.compressed_bytes)
    }
}

/// Writes the entries, in the order of their paths with hard links at the end, and tells `account` what each takes in the
/// tar: header, content and padding. The amounts and [`TAR_END`] add up to `unpacked_bytes`.
pub fn write_layer<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    options: &LayerOptions,
    out: impl Write,
    mut account: impl FnMut(&Entry, u64),
) -> Result<LayerBlob, LayerError> {
    let mut writer = LayerWriter::new(out, options)?;
    let mut links = BTreeMap::new();
    for entry in entries {
        match &entry.node {
            Node::HardLink(target) => {
                links.insert(&entry.path, (entry, target));
            }
            _ => account(entry, writer.push(entry)?),
        }
    }
    for (path, (entry, target)) in &links {
        // A link to a link is a link to what that one names; a ring runs into the limit and is refused as unknown.
        let mut target = *target;
        for _ in 0..links.len() {
            match links.get(target) {
                Some((_, next)) => target = next,
                None => break,
            }
        }
        let resolved = Entry { path: (*path).clone(), node: Node::HardLink(target.clone()), ..(*entry).clone() };
        account(entry, writer.push(&resolved)?);
    }
    writer.finish().map(|(blob, _)| blob)
}

/// What is said of an entry whatever it is.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// Where it stands.
    pub path: &'a TreePath,
    /// Permission, setuid, setgid and sticky bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// When it was last changed, in seconds since 1970.
    pub mtime: Option<i64>,
    /// Extended attributes.
    pub xattrs: &'a Xattrs,
}

impl<'a> From<&'a Entry> for Attributes<'a> {
    fn from(entry: &'a Entry) -> Self {
        let Entry { mode, uid, gid, mtime, .. } = *entry;
        Self { path: &entry.path, mode, uid, gid, mtime, xattrs: &entry.xattrs }
    }
}

/// Writes one layer, entry by entry, in bounded memory.
pub struct LayerWriter<W: Write> {
    out: Compressor<Measured<W>>,
    tar: Digesting,
    options: LayerOptions,
    /// Who says where members end, if not their length.
    cuts: Option<Cuts>,
    last: Option<TreePath>,
    last_link: Option<TreePath>,
    /// What hard links can name: everything but directories. In order, since they come in order.
    linkable: Vec<TreePath>,
    buffer: Vec<u8>,
    /// What tells whether a later layer begins alike; `None` where that cannot be told.
    description: Option<Description>,
}

impl<W: Write> LayerWriter<W> {
    /// Writes the blob to `out`.
    pub fn new(out: W, options: &LayerOptions) -> Result<Self, LayerError> {
        Self::with_members(out, options, Members::Equal)
    }

    pub(super) fn with_members(out: W, options: &LayerOptions, members: Members) -> Result<Self, LayerError> {
        let measured = Measured { out, hasher: Hasher::new() };
        let cuts = matches!(members, Members::Cut(_)).then(Cuts::default);
        let description = matches!(members, Members::Cut(Some(_))).then(|| Description::new(options));
        Ok(Self {
            out: Compressor::with_members(measured, options.compression, options.threads, members)?,
            tar: Digesting::new(options.threads.get() > 1),
            options: *options,
            cuts,
            last: None,
            last_link: None,
            linkable: Vec::new(),
            buffer: Vec::new(),
            description,
        })
    }

    /// Writes an entry and returns the bytes it takes in the tar. Paths must ascend; hard links come after everything else and
    /// name what is no directory of this layer.
    pub fn push(&mut self, entry: &Entry) -> Result<u64, LayerError> {
        let path = &entry.path;
        if is_reserved(path) {
            return Err(LayerError::Whiteout(path.clone()));
        }
        match &entry.node {
            Node::File(content) => self.push_file(entry.into(), content.len(), &mut content.reader()),
            Node::HardLink(target) => self.push_link(entry.into(), target),
            node => {
                self.ascend(path)?;
                let mut header = Header::new(path.as_bytes(), flag::DIRECTORY);
                match node {
                    Node::Symlink(target) => {
                        if target.is_empty() || target.contains(&0) {
                            return Err(LayerError::LinkTarget(path.clone()));
                        }
                        (header.flag, header.link) = (flag::SYMLINK, target);
                    }
                    Node::CharacterDevice(device) => (header.flag, header.device) = (flag::CHARACTER_DEVICE, *device),
                    Node::BlockDevice(device) => (header.flag, header.device) = (flag::BLOCK_DEVICE, *device),
                    Node::Fifo => header.flag = flag::FIFO,
                    Node::Directory | Node::File(_) | Node::HardLink(_) => {}
                }
                if header.flag != flag::DIRECTORY {
                    self.linkable.push(path.clone());
                }
                self.member(entry.into(), header, None)
            }
        }
    }

    /// Writes a file of `len` bytes, which are read from `content`, and returns the bytes it takes in the tar.
    pub(super) fn push_file(
        &mut self,
        attributes: Attributes<'_>,
        len: u64,
        content: &mut dyn Read,
    ) -> Result<u64, LayerError> {
        let path = attributes.path;
        if is_reserved(path) {
            return Err(LayerError::Whiteout(path.clone()));
        }
        self.ascend(path)?;
        self.linkable.push(path.clone());
        let header = Header { size: len, ..Header::new(path.as_bytes(), flag::FILE) };
        self.member(attributes, header, Some(content))
    }

    fn push_link(&mut self, attributes: Attributes<'_>, target: &TreePath) -> Result<u64, LayerError> {
        let path = attributes.path;
        if self.last_link.as_ref().is_some_and(|last| last >= path) {
            return Err(LayerError::Order(path.clone()));
        }
        if self.linkable.binary_search(target).is_err() || self.linkable.binary_search(path).is_ok() {
            return Err(LayerError::HardLink { path: path.clone(), target: target.clone() });
        }
        self.last_link = Some(path.clone());
        // What they name has them already.
        let attributes = Attributes { xattrs: &Xattrs::new(), ..attributes };
        let header = Header { link: target.as_bytes(), ..Header::new(path.as_bytes(), flag::HARD_LINK) };
        self.member(attributes, header, None)
    }

    /// Writes an empty file of root's by a name that means a deletion.
    pub(super) fn push_mark(&mut self, mark: &TreePath) -> Result<(), LayerError> {
        let attributes = Attributes { path: mark, mode: 0, uid: 0, gid: 0, mtime: None, xattrs: &Xattrs::new() };
        self.member(attributes, Header::new(mark.as_bytes(), flag::FILE), None).map(drop)
    }

    /// The path that was written last, hard links apart.
    pub(super) fn last(&self) -> Option<&TreePath> {
        self.last.as_ref()
    }

    /// Refuses a path that does not come after all before it.
    pub(super) fn ascend(&mut self, path: &TreePath) -> Result<(), LayerError> {
        if self.last_link.is_some() || self.last.as_ref().is_some_and(|last| last >= path) {
            return Err(LayerError::Order(path.clone()));
        }
        self.last = Some(path.clone());
        Ok(())
    }

    /// Writes a header, with what is still missing in it, and a content.
    fn member(
        &mut self,
        attributes: Attributes<'_>,
        header: Header<'_>,
        content: Option<&mut dyn Read>,
    ) -> Result<u64, LayerError> {
        let Attributes { path, mode, uid, gid, mtime, xattrs } = attributes;
        if xattrs.iter().any(|(name, _)| name.is_empty() || name.contains(&b'=') || name.contains(&0)) {
            return Err(LayerError::Xattr(path.clone()));
        }
        let name = match header.flag {
            flag::DIRECTORY => [header.name, b"/"].concat(),
            _ => header.name.to_vec(),
        };
        let latest = self.options.mtime as i64;
        let mtime = mtime.map_or(latest, |mtime| mtime.min(latest));
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        Header { name: &name, mode, uid, gid, mtime, xattrs, ..header }.encode(&mut bytes);
        let whole = bytes.len() as u64 + header.size + padding(header.size);
        if self.cuts.as_mut().is_some_and(|cuts| cuts.before(path, whole)) {
            self.out.cut()?;
            self.checkpoint()?;
        }
        self.write(&bytes)?;
        if let Some(content) = content {
            self.content(path, header.size, content, &mut bytes)?;
        }
        self.buffer = bytes;
        Ok(whole)
    }

    fn checkpoint(&mut self) -> io::Result<()> {
        if let (Some(description), Some(members)) = (&mut self.description, self.out.members())
            && description.wants(self.tar.bytes())
        {
            let at = self.tar.bytes();
            description.note(self.tar.state()?, at, members);
        }
        Ok(())
    }

    /// Notes the entry that was just written; `None` for what cannot be described, after which no later layer begins alike.
    pub(super) fn describe(&mut self, entry: Option<(&Entry, Option<SourceTime>)>) {
        match (entry, &mut self.description) {
            (Some((entry, source)), Some(description)) => description.add(entry, source),
            (None, _) => self.description = None,
            (Some(_), None) => {}
        }
    }

    /// Goes on where `earlier` and `entries`, in the order of their paths and no hard links, cease to be alike; returns how many entries that takes over.
    pub(super) fn resume<'e>(
        &mut self,
        earlier: &Earlier<'_>,
        entries: impl Iterator<Item = (&'e Entry, Option<SourceTime>)> + Clone,
    ) -> Result<usize, LayerError> {
        if self.description.is_none() {
            return Ok(0);
        }
        let found = Description::new(&self.options).find(earlier.checkpoints, entries.clone());
        let Some(mut description) = found else { return Ok(0) };
        let Some(checkpoint) = description.checkpoints.last_mut() else { return Ok(0) };
        let members = earlier.members.get(..checkpoint.members);
        let (Some(members), Some(tar)) = (members, Hasher::resume(&checkpoint.tar)) else { return Ok(0) };
        let Some(out) = self.out.resume(members) else { return Ok(0) };
        let hashed = checkpoint.blob.as_ref().and_then(Hasher::resume);
        let (mut at, mut left) = (0, members.iter().map(|member| member.len).sum::<u64>());
        let mut buffer = vec![0; 1 << 20];
        while left > 0 {
            let piece = &mut buffer[..left.min(1 << 20) as usize];
            earlier.blob.read_exact_at(piece, at)?;
            out.out.write_all(piece)?;
            if hashed.is_none() {
                out.hasher.update(piece);
            }
            (at, left) = (at + piece.len() as u64, left - piece.len() as u64);
        }
        match hashed {
            Some(hashed) => out.hasher = hashed,
            None => checkpoint.blob = Some(out.hasher.state()),
        }
        self.tar.resume(tar);
        let taken = description.entries() as usize;
        for (entry, _) in entries.take(taken) {
            if !matches!(entry.node, Node::Directory) {
                self.linkable.push(entry.path.clone());
            }
            self.last = Some(entry.path.clone());
        }
        self.description = Some(description);
        Ok(taken)
    }

    /// Copies exactly `len` bytes, by way of `buffer`, and pads them.
    fn content(
        &mut self,
        path: &TreePath,
        len: u64,
        content: &mut dyn Read,
        buffer: &mut Vec<u8>,
    ) -> Result<(), LayerError> {
        let failed = |source| LayerError::Content { path: path.clone(), source };
        let mut left = len;
        buffer.resize(COPY_BUFFER, 0);
        loop {
            match content.read(buffer) {
                // Also at its end, since a content is known to be right only when it was read to there.
                Ok(0) if left == 0 => break,
                Ok(read) if read > 0 && read as u64 <= left => {
                    self.write(&buffer[..read])?;
                    left -= read as u64;
                }
                Ok(_) => return Err(failed(io::Error::other(format!("it is not {len} bytes long any more")))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(self.write(&[0; BLOCK][..padding(len) as usize])?)
    }

    /// Ends the tar and the blob; returns what was made and what was written to.
    pub fn finish(self) -> Result<(LayerBlob, W), LayerError> {
        self.finish_members().map(|(blob, out, ..)| (blob, out))
    }

    /// The same, with where the members are and from where the layer can be gone on, if there is a cache for members.
    pub(super) fn finish_members(mut self) -> Result<(LayerBlob, W, Vec<Member>, Vec<Checkpoint>), LayerError> {
        self.write(&[0; TAR_END as usize])?;
        let (measured, members) = self.out.finish_members()?;
        let (diff_id, unpacked_bytes) = self.tar.finish()?;
        let (digest, compressed_bytes) = measured.hasher.finish();
        let blob = LayerBlob {
            diff_id: DiffId::of_tar(diff_id),
            digest,
            compressed_bytes,
            unpacked_bytes,
            media_type: self.options.compression.media_type(),
        };
        let checkpoints = self.description.map(|description| description.checkpoints).unwrap_or_default();
        Ok((blob, measured.out, members, checkpoints))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tar.update(bytes)?;
        self.out.write_all(bytes)
    }
}

const COPY_BUFFER: usize = 128 * 1024;

/// Whether some part of the path would be taken for a deletion.
pub(super) fn is_reserved(path: &TreePath) -> bool {
    path.as_bytes().split(|&byte| byte == b'/').any(|component| component.starts_with(WHITEOUT))
}

/// What names of deletions begin with (image-spec, layer.md, "Whiteouts").
pub(super) const WHITEOUT: &[u8] = b".wh.";

/// Hashes what passes through.
struct Measured<W> {
    out: W,
    hasher: Hasher,
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Adds the directories that entries of `tree` stand in and that it does not have, `0755` and owned by root.
///
/// A tar without them leaves their mode and owner to who unpacks it. Where something other than a directory stands in the
/// place of one, that is an error.
pub fn add_parents(tree: &mut Tree) -> Result<(), LayerError> {
    let mut missing = BTreeSet::new();
    for entry in tree.iter() {
        let mut above = entry.path.parent();
        while let Some(parent) = above {
            match tree.get(&parent).map(|entry| &entry.node) {
                Some(Node::Directory) => break,
                Some(_) => return Err(LayerError::Parent { path: entry.path.clone(), parent }),
                None => above = parent.parent(),
            }
            if !missing.insert(parent) {
                break;
            }
        }
    }
    missing.into_iter().for_each(|path| tree.replace(Entry::directory(path)));
    Ok(())
}

/// Entries that make no layer, or a layer that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The paths do not ascend.
    #[error("`{0}` comes twice or out of order")]
    Order(TreePath),
    /// The name would be read as a deletion.
    #[error("`{0}` cannot be in a layer: names that begin with `.wh.` mean deletions there")]
    Whiteout(TreePath),
    /// The name of an extended attribute that pax has no way to write.
    #[error("`{0}` has an extended attribute with an empty name, or one that holds `=`, which no layer can hold")]
    Xattr(TreePath),
    /// A symbolic link to nothing.
    #[error("the symbolic link `{0}` has an empty target, or one with a NUL byte")]
    LinkTarget(TreePath),
    /// A hard link to what is not in the layer, or a directory there.
    #[error("`{path}` is a hard link to `{target}`, which is no file of the same layer")]
    HardLink {
        /// The link.
        path: TreePath,
        /// What it names.
        target: TreePath,
    },
    /// Something stands in what is no directory.
    #[error("`{path}` stands in `{parent}`, which is no directory")]
    Parent {
        /// The entry.
        path: TreePath,
        /// What it stands in.
        parent: TreePath,
    },
    /// The content of a file cannot be read.
    #[error("the content of `{path}` cannot be read: {source}")]
    Content {
        /// The file.
        path: TreePath,
        /// Why.
        source: io::Error,
    },
    /// A deletion that cannot be named.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The blob cannot be written.
    #[error("the layer cannot be written: {0}")]
    Io(#[from] io::Error),
}

impl LayerError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Whiteout(path) => Some(format!("rename `{path}`, or leave it out of the image")),
            Self::Io(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                Some("the disk is full: free some space, then run this again".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{TarKind, read_layer};
    use jettison_tree::Content;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn options(compression: Compression) -> LayerOptions {
        LayerOptions { mtime: 1_700_000_000, compression, threads: NonZeroUsize::MIN }
    }

    /// One of each kind, with every reason for a pax header.
    fn tree() -> Tree {
        let mut tree = Tree::new();
        let long = format!("usr/{}/{}", "d".repeat(120), "f".repeat(120));
        for entry in [
            Entry::file(path("app/main.py"), Content::from_bytes(*b"print('hello')\n"), false),
            Entry {
                uid: 65532,
                gid: 3_000_000,
                mode: 0o4750,
                ..Entry::file(path("app/tool"), Content::from_bytes([7; 1000]), true)
            },
            Entry { node: Node::HardLink(path("app/tool")), ..Entry::directory(path("app/a-link")) },
            Entry { node: Node::HardLink(path("app/a-link")), ..Entry::directory(path("app/b-link")) },
            Entry::symlink(path("bin"), *b"usr/bin"),
            Entry::symlink(path("far"), "t".repeat(101)),
            Entry::file(path("näme"), Content::from_bytes(*b""), false),
            Entry::file(path(&long), Content::from_bytes(*b"x"), false),
            Entry::file(TreePath::parse(b"raw\xff").unwrap(), Content::from_bytes(vec![1; 512]), false),
        ] {
            tree.insert(entry).unwrap();
        }
        add_parents(&mut tree).unwrap();
        tree
    }

    fn write(compression: Compression) -> (LayerBlob, Vec<u8>, Vec<(TreePath, u64)>) {
        let (mut out, mut accounts) = (Vec::new(), Vec::new());
        let blob = write_layer(tree().iter(), &options(compression), &mut out, |entry, bytes| {
            accounts.push((entry.path.clone(), bytes));
        });
        (blob.unwrap(), out, accounts)
    }

    /// These digests change when the bytes of every layer do. That is a deliberate act: say so in the changelog.
    #[test]
    fn golden_digests() {
        let (tar, bytes, _) = write(Compression::None);
        assert_eq!(tar.diff_id.tar_digest(), tar.digest);
        assert_eq!((tar.compressed_bytes, tar.unpacked_bytes), (bytes.len() as u64, bytes.len() as u64));
        insta::assert_snapshot!(tar.diff_id, @"sha256:a349692f6cc6b5400a8f7b4ac5544564d0ae8da69f5c31689035be34496fc3df");
        let (gzip, bytes, _) = write(Compression::GZIP);
        assert_eq!((gzip.diff_id, gzip.compressed_bytes), (tar.diff_id, bytes.len() as u64));
        assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        insta::assert_snapshot!(gzip.digest, @"sha256:f24b1ac96ee27bc2dbaf3582543b2f70e529d5dfb46dec304c5e14c7f3cdb3f2");
        let (zstd, ..) = write(Compression::ZSTD);
        assert_eq!(zstd.diff_id, tar.diff_id);
        insta::assert_snapshot!(zstd.digest, @"sha256:fd78ed0721c6cca6e56ef5113adac13b4cd5eb9f472e897d758d6d0f33b1f04e");
    }

    #[test]
    fn every_byte_of_the_tar_has_an_owner() {
        let (blob, _, accounts) = write(Compression::GZIP);
        assert_eq!(accounts.len(), tree().len());
        assert_eq!(accounts.iter().map(|(_, bytes)| bytes).sum::<u64>() + TAR_END, blob.unpacked_bytes);
        let of = |text: &str| accounts.iter().find(|(p, _)| *p == path(text)).unwrap().1;
        assert_eq!((of("app"), of("app/main.py"), of("app/tool"), of("näme")), (512, 1024, 512 * 2 + 1536, 512 * 3));
    }

    #[test]
    fn what_is_written_reads_back() {
        for compression in [Compression::None, Compression::GZIP, Compression::ZSTD] {
            let (_, bytes, accounts) = write(compression);
            let mut reader = read_layer(&bytes[..]).unwrap();
            let mut names = Vec::new();
            while let Some(mut entry) = reader.next_entry().unwrap() {
                let header = entry.header().clone();
                let tree_path = TreePath::parse(&header.name).unwrap();
                let want = tree().get(&tree_path).unwrap().clone();
                assert_eq!((header.mode, header.uid, header.gid), (want.mode, want.uid.into(), want.gid.into()));
                assert_eq!(header.mtime, 1_700_000_000);
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                match &want.node {
                    Node::Directory => assert_eq!(header.kind, TarKind::Directory),
                    Node::File(file) => assert_eq!(content, file.read().unwrap()),
                    Node::Symlink(target) => assert_eq!(header.link, *target),
                    Node::HardLink(_) => {
                        assert_eq!((header.kind, &header.link[..]), (TarKind::HardLink, &b"app/tool"[..]))
                    }
                    other => panic!("{other:?}"),
                }
                names.push(tree_path);
            }
            assert_eq!(names, accounts.into_iter().map(|(path, _)| path).collect::<Vec<_>>());
            assert_eq!(names[names.len() - 2..], [path("app/a-link"), path("app/b-link")]);
        }
    }

    #[test]
    fn the_tar_crate_reads_the_same() {
        let (_, bytes, _) = write(Compression::None);
        let mut archive = tar::Archive::new(&bytes[..]);
        let theirs: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path_bytes().into_owned()).collect();
        let mut reader = read_layer(&bytes[..]).unwrap();
        let mut ours = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            ours.push(entry.header().name.clone());
        }
        assert_eq!(ours, theirs);
    }

    #[test]
    fn what_makes_no_layer_is_refused() {
        let file = |name: &str| Entry::file(path(name), Content::from_bytes(*b""), false);
        let link = |name: &str, to: &str| Entry { node: Node::HardLink(path(to)), ..file(name) };
        for (entries, want) in [
            (vec![file("b"), file("a")], "`a` comes twice or out of order"),
            (vec![file("a"), file("a")], "`a` comes twice or out of order"),
            (
                vec![file("d/.wh.x")],
                "`d/.wh.x` cannot be in a layer: names that begin with `.wh.` mean deletions there",
            ),
            (vec![link("a", "b")], "`a` is a hard link to `b`, which is no file of the same layer"),
            (vec![link("a", "b"), link("b", "a")], "is no file of the same layer"),
            (
                vec![Entry::symlink(path("a"), *b"")],
                "the symbolic link `a` has an empty target, or one with a NUL byte",
            ),
        ] {
            let result = write_layer(&entries, &options(Compression::None), io::sink(), |_, _| {});
            let error = result.unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        let mut tree = Tree::new();
        tree.insert(Entry::symlink(path("bin"), *b"usr/bin")).unwrap();
        tree.insert(file("bin/sh")).unwrap();
        assert_eq!(add_parents(&mut tree).unwrap_err().to_string(), "`bin/sh` stands in `bin`, which is no directory");
    }
}
