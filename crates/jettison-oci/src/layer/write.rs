//! Entries → tar → blob. Nothing but the entries and the [`LayerOptions`] decides the bytes: no clock, no names of users or
//! hosts, no order but that of the paths.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write};
use std::num::NonZeroUsize;

use jettison_tree::{Device, Entry, Hasher, Node, Tree, TreePath};
use serde::{Deserialize, Serialize};

use super::compress::{Compression, Compressor};
use super::ustar::{BLOCK, Header, flag, padding};
use crate::types::{Descriptor, DiffId, MediaType};
use jettison_tree::Digest;

/// Bytes of the two blocks of zeros that end a tar. What [`LayerWriter::push`] returns and these make up the whole tar.
pub const TAR_END: u64 = 2 * BLOCK as u64;

/// How a layer is written.
#[derive(Debug, Clone, Copy)]
pub struct LayerOptions {
    /// The time of every entry, in seconds since 1970.
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

/// Writes one layer, entry by entry, in bounded memory.
pub struct LayerWriter<W: Write> {
    out: Compressor<Measured<W>>,
    tar: Hasher,
    tar_bytes: u64,
    options: LayerOptions,
    last: Option<TreePath>,
    last_link: Option<TreePath>,
    /// In order, since they come in order.
    files: Vec<TreePath>,
    buffer: Vec<u8>,
}

impl<W: Write> LayerWriter<W> {
    /// Writes the blob to `out`.
    pub fn new(out: W, options: &LayerOptions) -> Result<Self, LayerError> {
        let measured = Measured { out, hasher: Hasher::new() };
        Ok(Self {
            out: Compressor::new(measured, options.compression, options.threads)?,
            tar: Hasher::new(),
            tar_bytes: 0,
            options: *options,
            last: None,
            last_link: None,
            files: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Writes an entry and returns the bytes it takes in the tar. Paths must ascend; hard links come after everything else and
    /// name a file of this layer.
    pub fn push(&mut self, entry: &Entry) -> Result<u64, LayerError> {
        let path = &entry.path;
        if path.as_bytes().split(|&byte| byte == b'/').any(|component| component.starts_with(b".wh.")) {
            return Err(LayerError::Whiteout(path.clone()));
        }
        let is_link = matches!(entry.node, Node::HardLink(_));
        let late = !is_link && self.last_link.is_some();
        let last = if is_link { &mut self.last_link } else { &mut self.last };
        if late || last.as_ref().is_some_and(|last| last >= path) {
            return Err(LayerError::Order(path.clone()));
        }
        *last = Some(path.clone());
        let mut name = path.as_bytes().to_vec();
        let mut header = Header {
            name: &[],
            flag: flag::FILE,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size: 0,
            mtime: self.options.mtime as i64,
            link: &[],
            device: Device { major: 0, minor: 0 },
            xattrs: &entry.xattrs,
        };
        match &entry.node {
            Node::Directory => {
                header.flag = flag::DIRECTORY;
                name.push(b'/');
            }
            Node::File(content) => {
                header.size = content.len();
                self.files.push(path.clone());
            }
            Node::Symlink(target) => {
                header.flag = flag::SYMLINK;
                if target.is_empty() || target.contains(&0) {
                    return Err(LayerError::LinkTarget(path.clone()));
                }
                header.link = target;
            }
            Node::HardLink(target) => {
                header.flag = flag::HARD_LINK;
                if self.files.binary_search(target).is_err() || self.files.binary_search(path).is_ok() {
                    return Err(LayerError::HardLink { path: path.clone(), target: target.clone() });
                }
                header.link = target.as_bytes();
            }
            Node::CharacterDevice(device) => (header.flag, header.device) = (flag::CHARACTER_DEVICE, *device),
            Node::BlockDevice(device) => (header.flag, header.device) = (flag::BLOCK_DEVICE, *device),
            Node::Fifo => header.flag = flag::FIFO,
        }
        header.name = &name;
        let before = self.tar_bytes;
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        header.encode(&mut bytes);
        self.write(&bytes)?;
        if let Some(content) = entry.content() {
            let mut reader = content.reader();
            bytes.resize(COPY_BUFFER, 0);
            loop {
                match reader.read(&mut bytes) {
                    Ok(0) => break,
                    Ok(read) => self.write(&bytes[..read])?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(source) => return Err(LayerError::Content { path: path.clone(), source }),
                }
            }
            self.write(&[0; BLOCK][..padding(content.len()) as usize])?;
        }
        self.buffer = bytes;
        Ok(self.tar_bytes - before)
    }

    /// Ends the tar and the blob; returns what was made and what was written to.
    pub fn finish(mut self) -> Result<(LayerBlob, W), LayerError> {
        self.write(&[0; TAR_END as usize])?;
        let measured = self.out.finish()?;
        let (diff_id, unpacked_bytes) = self.tar.finish();
        let (digest, compressed_bytes) = measured.hasher.finish();
        let blob = LayerBlob {
            diff_id: DiffId::of_tar(diff_id),
            digest,
            compressed_bytes,
            unpacked_bytes,
            media_type: self.options.compression.media_type(),
        };
        Ok((blob, measured.out))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tar.update(bytes);
        self.tar_bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

const COPY_BUFFER: usize = 128 * 1024;

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
    /// A symbolic link to nothing.
    #[error("the symbolic link `{0}` has an empty target, or one with a NUL byte")]
    LinkTarget(TreePath),
    /// A hard link to what is no file of the layer.
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
    /// The blob cannot be written.
    #[error("the layer cannot be written: {0}")]
    Io(#[from] io::Error),
}

impl LayerError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Whiteout(path) => Some(format!("rename `{path}`, or leave it out of the image")),
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
