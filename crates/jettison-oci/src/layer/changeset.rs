//! A layer that changes what lies below it (image-spec, layer.md, "Change Types"), written in one pass and bounded memory.
//!
//! The order is one for all layers: by the bytes of the path that a change is about, so a directory comes before what is in it.
//! A deletion (`.wh.NAME`) stands where the deleted path would, and the mark of an opaque directory (`.wh..wh..opq`) behind the
//! directory. Hard links come after everything else. What a layer holds and how it is packed depends on nothing else.
//!
//! Times are clamped: what is later than the epoch becomes the epoch, and compiled Python goes along ([`pyc`]).

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use jettison_tree::{Entry, Node, TreePath};

use super::compress::Members;
use super::gzip::{Member, MemberCache};
use super::pyc::{self, SourceTime};
use super::resume::{Checkpoint, Earlier};
use super::write::{Attributes, LayerBlob, LayerError, LayerOptions, LayerWriter, WHITEOUT, is_reserved};

/// Writes the layer of one step.
pub struct ChangesetWriter<'s, W: Write> {
    layer: LayerWriter<W>,
    latest: i64,
    links: BTreeMap<TreePath, Entry>,
    sources: Box<Sources<'s>>,
}

/// A changeset that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenChangeset {
    /// The layer.
    pub blob: LayerBlob,
    /// Where the members of the blob are, for the [`MemberCache`] of a later layer; none without a cache, and none of a
    /// layer that is not packed with gzip.
    pub members: Vec<Member>,
    /// From where a later layer that begins alike can go on; none where `members` has none, and none of contents whose digests
    /// are not known before they are read.
    pub checkpoints: Vec<Checkpoint>,
}

impl<'s, W: Write> ChangesetWriter<'s, W> {
    /// Writes the blob to `out`. Members that `cache` has are not compressed again; the blob is the same with and without.
    pub fn new(out: W, options: &LayerOptions, cache: Option<Arc<dyn MemberCache>>) -> Result<Self, LayerError> {
        Ok(Self {
            layer: LayerWriter::with_members(out, options, Members::Cut(cache))?,
            latest: options.mtime as i64,
            links: BTreeMap::new(),
            sources: Box::new(|_| SourceTime::Missing),
        })
    }

    /// Asks `sources` what becomes of the time of a Python source, of this layer or of one below. Otherwise it is as if
    /// none were there.
    pub fn with_sources(mut self, sources: impl Fn(&TreePath) -> SourceTime + 's) -> Self {
        self.sources = Box::new(sources);
        self
    }

    /// Takes over what `earlier` has in common with `entries` from the start, and returns how many of them that is: the rest
    /// is pushed. The entries are in the order of their paths, and nothing was pushed yet. The layer comes out as without.
    pub fn resume(&mut self, earlier: &Earlier<'_>, entries: &[Entry]) -> Result<usize, LayerError> {
        let is_link = |entry: &&Entry| matches!(entry.node, Node::HardLink(_));
        let sources = &self.sources;
        let others = entries.iter().filter(|entry| !is_link(entry)).map(|entry| (entry, source_time(entry, sources)));
        let mut left = self.layer.resume(earlier, others)?;
        let mut taken = 0;
        for entry in entries {
            match (is_link(&entry), left) {
                (_, 0) => break,
                (true, _) => self.push(entry)?,
                (false, _) => left -= 1,
            }
            taken += 1;
        }
        Ok(taken)
    }

    /// Writes an entry. Paths must ascend, those of deletions included; hard links may come anywhere, and name what is no
    /// directory of this layer.
    pub fn push(&mut self, entry: &Entry) -> Result<(), LayerError> {
        match &entry.node {
            Node::File(content) => {
                let source = source_time(entry, &self.sources);
                self.file(entry.into(), content.len(), content.reader(), source)?;
                self.layer.describe(Some((entry, source)));
                Ok(())
            }
            Node::HardLink(_) => match self.links.insert(entry.path.clone(), entry.clone()) {
                None => Ok(()),
                Some(_) => Err(LayerError::Order(entry.path.clone())),
            },
            _ => {
                self.layer.push(entry)?;
                self.layer.describe(Some((entry, None)));
                Ok(())
            }
        }
    }

    /// Writes a file of `len` bytes, which are read from `content`. More or fewer are an error.
    pub fn push_file(&mut self, attributes: Attributes<'_>, len: u64, content: impl Read) -> Result<(), LayerError> {
        self.layer.describe(None);
        let source = source_of(attributes.path, &self.sources);
        self.file(attributes, len, content, source)
    }

    fn file(
        &mut self,
        attributes: Attributes<'_>,
        len: u64,
        mut content: impl Read,
        source: Option<SourceTime>,
    ) -> Result<(), LayerError> {
        let path = attributes.path;
        let Some(source) = source else {
            return self.layer.push_file(attributes, len, &mut content).map(drop);
        };
        let mut header = Vec::with_capacity(pyc::HEADER);
        let read = content.by_ref().take(pyc::HEADER as u64).read_to_end(&mut header);
        read.map_err(|source| LayerError::Content { path: path.clone(), source })?;
        pyc::clamp(&mut header, source, self.latest);
        self.layer.push_file(attributes, len, &mut header.chain(content)).map(drop)
    }

    /// Deletes what lower layers have at `path`, and all below it.
    pub fn push_whiteout(&mut self, path: &TreePath) -> Result<(), LayerError> {
        if is_reserved(path) {
            return Err(LayerError::Whiteout(path.clone()));
        }
        self.layer.ascend(path)?;
        self.mark(path.parent().as_ref(), path.file_name())
    }

    /// Deletes what lower layers have in the directory that was written last; `None` for the root, before everything else.
    pub fn push_opaque(&mut self, directory: Option<&TreePath>) -> Result<(), LayerError> {
        match directory {
            Some(directory) if self.layer.last() != Some(directory) => Err(LayerError::Order(directory.clone())),
            None if let Some(last) = self.layer.last() => Err(LayerError::Order(last.clone())),
            _ => self.mark(directory, OPAQUE),
        }
    }

    fn mark(&mut self, directory: Option<&TreePath>, name: &[u8]) -> Result<(), LayerError> {
        self.layer.describe(None);
        let name = [WHITEOUT, name].concat();
        let path = match directory {
            Some(directory) => directory.join(&name)?,
            None => TreePath::parse(&name)?,
        };
        self.layer.push_mark(&path)
    }

    /// Writes the hard links, ends the blob, and returns what was made and what was written to.
    pub fn finish(mut self) -> Result<(WrittenChangeset, W), LayerError> {
        for link in self.links.values() {
            self.layer.push(link)?;
        }
        let (blob, out, members, checkpoints) = self.layer.finish_members()?;
        Ok((WrittenChangeset { blob, members, checkpoints }, out))
    }
}

type Sources<'s> = dyn Fn(&TreePath) -> SourceTime + 's;

/// What becomes of the time of the source of a compiled file; `None` for any other file.
fn source_of(path: &TreePath, sources: &Sources<'_>) -> Option<SourceTime> {
    pyc::is_pyc(path).then(|| pyc::source_of(path).map_or(SourceTime::Missing, |source| sources(&source)))
}

fn source_time(entry: &Entry, sources: &Sources<'_>) -> Option<SourceTime> {
    entry.content().and_then(|_| source_of(&entry.path, sources))
}

/// What stands for everything in a directory, behind [`WHITEOUT`].
const OPAQUE: &[u8] = b".wh..opq";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Map;
    use std::num::NonZeroUsize;
    use std::sync::Mutex;

    use jettison_tree::{Content, Device, Digest, Xattrs};

    use super::*;
    use crate::layer::{Compression, GZIP_MEMBER, TarKind, read_layer};

    const EPOCH: u64 = 1000;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    fn options(threads: usize) -> LayerOptions {
        LayerOptions { mtime: EPOCH, compression: Compression::GZIP, threads: NonZeroUsize::new(threads).unwrap() }
    }

    fn file(at: &str, text: &[u8]) -> Entry {
        Entry::file(path(at), Content::from_bytes(text), false)
    }

    type Writer = ChangesetWriter<'static, Vec<u8>>;

    fn writer() -> Writer {
        ChangesetWriter::new(Vec::new(), &options(1), None).unwrap()
    }

    /// A line for each member.
    fn members(blob: &[u8]) -> Vec<String> {
        let mut reader = read_layer(blob).unwrap();
        let mut lines = Vec::new();
        while let Some(mut entry) = reader.next_entry().unwrap() {
            let header = entry.header().clone();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let kind = match header.kind {
                TarKind::HardLink => format!("link to {}", header.link.escape_ascii()),
                kind => format!("{kind:?}"),
            };
            let xattrs: Vec<_> =
                header.xattrs.iter().map(|(n, v)| [n, b"=", v].concat().escape_ascii().to_string()).collect();
            let (name, mtime) = (header.name.escape_ascii(), header.mtime);
            lines.push(format!("{name} {:o} {mtime} {kind} {} {}", header.mode, content.len(), xattrs.join(" ")));
        }
        lines
    }

    #[test]
    fn changes_of_every_kind_read_back() {
        let mut out = writer();
        let xattrs: Xattrs =
            [(&b"security.capability"[..], &b"\x01\0\n="[..]), (b"user.\xff", b"")].into_iter().collect();
        out.push_opaque(None).unwrap();
        out.push(&Entry { mtime: Some(-5), ..Entry::directory(path("a")) }).unwrap();
        out.push_opaque(Some(&path("a"))).unwrap();
        out.push(&Entry { node: Node::HardLink(path("a/tool")), ..file("a/again", b"") }).unwrap();
        let device = Device { major: 1, minor: 1 << 22 };
        out.push(&Entry::new(path("a/block"), 0o660, (0, 6), Node::BlockDevice(device))).unwrap();
        out.push(&Entry::new(path("a/null"), 0o666, (0, 0), Node::CharacterDevice(Device { minor: 3, ..device })))
            .unwrap();
        out.push(&Entry::new(path("a/pipe"), 0o600, (0, 0), Node::Fifo)).unwrap();
        let tool = path("a/tool");
        let tool = Attributes { path: &tool, mode: 0o4755, uid: 0, gid: 0, mtime: Some(5000), xattrs: &xattrs };
        out.push_file(tool, 4, &b"tool"[..]).unwrap();
        out.push_whiteout(&path("b/gone")).unwrap();
        out.push_whiteout(&path("c")).unwrap();
        out.push(&Entry { mtime: Some(7), ..file("d", b"d") }).unwrap();
        let (written, blob) = out.finish().unwrap();
        assert_eq!(written.blob.digest, Digest::of(&blob));
        insta::assert_snapshot!(members(&blob).join("\n"), @r"
        .wh..wh..opq 0 1000 File 0 
        a/ 755 -5 Directory 0 
        a/.wh..wh..opq 0 1000 File 0 
        a/block 660 1000 BlockDevice(1, 4194304) 0 
        a/null 666 1000 CharacterDevice(1, 3) 0 
        a/pipe 600 1000 Fifo 0 
        a/tool 4755 1000 File 4 security.capability=\x01\x00\n= user.\xff=
        b/.wh.gone 0 1000 File 0 
        .wh.c 0 1000 File 0 
        d 644 7 File 1 
        a/again 644 1000 link to a/tool 0 
        ");
    }

    #[test]
    fn what_is_out_of_place_is_refused() {
        let refused =
            |fill: &dyn Fn(&mut Writer) -> Result<(), LayerError>| fill(&mut writer()).unwrap_err().to_string();
        let entry = file("f", b"");
        for len in [3, 5] {
            let error = refused(&|out| out.push_file((&entry).into(), len, &b"four"[..]));
            assert!(error.contains("not") && error.contains("bytes long"), "{error}");
        }
        let twice = refused(&|out| out.push_whiteout(&path("f")).and_then(|()| out.push(&file("f", b""))));
        assert_eq!(twice, "`f` comes twice or out of order");
        assert!(refused(&|out| out.push_opaque(Some(&path("d")))).contains("out of order"));
        assert!(refused(&|out| out.push_whiteout(&path(".wh.f"))).contains("mean deletions"));
        let xattrs = [(&b"user.a=b"[..], &b""[..])].into_iter().collect();
        let error = refused(&|out| out.push(&Entry { xattrs: Xattrs::clone(&xattrs), ..file("f", b"") }));
        assert!(error.contains("extended attribute"), "{error}");
    }

    #[test]
    fn compiled_files_go_with_their_sources() {
        let pyc = |time: u32| [&b"\xf3\x0d\r\n\0\0\0\0"[..], &time.to_le_bytes(), &[4, 0, 0, 0], b"code"].concat();
        let mut out =
            ChangesetWriter::new(Vec::new(), &options(1), None).unwrap().with_sources(|source| match source.as_str() {
                Some("m/base.py") => SourceTime::Kept,
                Some("m/mine.py") => SourceTime::Clamped(5000),
                _ => SourceTime::Missing,
            });
        for name in ["base", "mine"] {
            out.push(&file(&format!("m/__pycache__/{name}.cpython-313.pyc"), &pyc(5000))).unwrap();
        }
        out.push(&Entry { mtime: Some(5000), ..file("m/mine.py", b"code") }).unwrap();
        out.push(&file("m/short.pyc", b"short")).unwrap();
        let blob = out.finish().unwrap().1;
        let mut reader = read_layer(&blob[..]).unwrap();
        let mut contents = Vec::new();
        while let Some(mut entry) = reader.next_entry().unwrap() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            contents.push((content, entry.header().mtime));
        }
        let epoch = EPOCH as i64;
        let want = [(pyc(5000), epoch), (pyc(1000), epoch), (b"code".to_vec(), epoch), (b"short".to_vec(), epoch)];
        assert_eq!(contents, want);
    }

    /// Remembers members by their keys.
    #[derive(Default)]
    struct Remembered {
        members: Mutex<Map<Digest, Vec<u8>>>,
        hits: Mutex<usize>,
    }

    impl MemberCache for Remembered {
        fn get(&self, key: &Digest) -> Option<Vec<u8>> {
            let found = self.members.lock().unwrap().get(key).cloned();
            *self.hits.lock().unwrap() += usize::from(found.is_some());
            found
        }
    }

    /// Files of about 20 KB and two large ones, of which number `changed` is another, and longer by `by`.
    fn write(changed: usize, by: usize, threads: usize, cache: Option<Arc<Remembered>>) -> (WrittenChangeset, Vec<u8>) {
        let cache = cache.map(|cache| cache as Arc<dyn MemberCache>);
        let mut out = ChangesetWriter::new(Vec::new(), &options(threads), cache).unwrap();
        for number in 0..400 {
            let is_changed = number == changed;
            let len = if number % 150 == 149 { 3 * GZIP_MEMBER } else { 20_000 } + if is_changed { by } else { 0 };
            let mut state = number as u32 * 2 + u32::from(is_changed);
            let step = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8 & 0x3f
            };
            let content: Vec<u8> = (0..len).map(step).collect();
            out.push(&file(&format!("d/f{number:03}"), &content)).unwrap();
        }
        out.finish().unwrap()
    }

    /// The entries of [`write`].
    fn entries(changed: usize, by: usize) -> Vec<Entry> {
        let mut entries: Vec<Entry> = (0..400)
            .map(|number| {
                let is_changed = number == changed;
                let len = if number % 50 == 49 { 3 * GZIP_MEMBER } else { 20_000 } + if is_changed { by } else { 0 };
                let content: Vec<u8> = (0..len).map(|at| (at * number) as u8 ^ u8::from(is_changed)).collect();
                let name = if number % 50 == 1 { "m.pyc" } else { "f" };
                file(&format!("d/{number:03}{name}"), &content)
            })
            .collect();
        entries.insert(1, Entry { node: Node::HardLink(path("d/000f")), ..file("d/000g", b"") });
        entries
    }

    fn resumed(entries: &[Entry], threads: usize, earlier: Option<&Earlier<'_>>) -> (WrittenChangeset, Vec<u8>, usize) {
        let cache = Arc::new(Remembered::default()) as Arc<dyn MemberCache>;
        let mut out = ChangesetWriter::new(Vec::new(), &options(threads), Some(cache)).unwrap();
        let taken = earlier.map_or(0, |earlier| out.resume(earlier, entries).unwrap());
        entries[taken..].iter().for_each(|entry| out.push(entry).unwrap());
        let (written, blob) = out.finish().unwrap();
        (written, blob, taken)
    }

    #[test]
    fn going_on_in_an_earlier_layer_changes_no_byte() {
        let (first, blob, _) = resumed(&entries(usize::MAX, 0), 2, None);
        let mut kept = tempfile::tempfile().unwrap();
        kept.write_all(&blob).unwrap();
        let earlier = Earlier { blob: &kept, members: &first.members, checkpoints: &first.checkpoints };
        for (changed, by, at_least) in [(0, 0, 0), (200, 0, 100), (399, 70_000, 300), (usize::MAX, 0, 300)] {
            let entries = entries(changed, by);
            for threads in [1, 2] {
                let (plain, without, _) = resumed(&entries, threads, None);
                let (written, with, taken) = resumed(&entries, threads, Some(&earlier));
                assert!(without == with && plain.blob == written.blob, "{changed} {by} {threads}");
                assert!(plain.members == written.members && plain.checkpoints.len() == written.checkpoints.len());
                assert!((at_least..=changed.saturating_add(1)).contains(&taken), "{changed}: {taken}");
                // And once more, from where the blob need not be hashed either.
                let mut kept = tempfile::tempfile().unwrap();
                kept.write_all(&with).unwrap();
                let again = Earlier { blob: &kept, members: &written.members, checkpoints: &written.checkpoints };
                let (written, with, _) = resumed(&entries, threads, Some(&again));
                assert!(without == with && plain.blob == written.blob, "{changed} {by} {threads}");
            }
        }
        // Another time of the epoch, or contents that nobody knew before, have nothing in common with it.
        let cache = Arc::new(Remembered::default()) as Arc<dyn MemberCache>;
        let mut other =
            ChangesetWriter::new(Vec::new(), &LayerOptions { mtime: 1, ..options(1) }, Some(cache)).unwrap();
        assert_eq!(other.resume(&earlier, &entries(usize::MAX, 0)).unwrap(), 0);
    }

    #[test]
    fn a_cache_changes_no_byte_and_saves_all_but_the_change() {
        let cache = Arc::new(Remembered::default());
        let (first, blob) = write(usize::MAX, 0, 2, Some(Arc::clone(&cache)));
        assert_eq!(*cache.hits.lock().unwrap(), 0);
        assert_eq!(
            (&write(usize::MAX, 0, 1, None).1, first.members.iter().map(|m| m.len).sum()),
            (&blob, blob.len() as u64)
        );
        for member in &first.members {
            let range = member.offset as usize..(member.offset + member.len) as usize;
            cache.members.lock().unwrap().insert(member.key, blob[range].to_vec());
        }
        for (changed, by) in [(0, 0), (200, 0), (200, 30_000), (149, 700_000), (399, 5)] {
            let (without, plain) = write(changed, by, 1, None);
            assert!(without.members.is_empty());
            for threads in [1, 2] {
                *cache.hits.lock().unwrap() = 0;
                let (with, cached) = write(changed, by, threads, Some(Arc::clone(&cache)));
                assert!(with.blob == without.blob && cached == plain);
                let missed = with.members.len() - *cache.hits.lock().unwrap();
                assert!((1..=4).contains(&missed), "{changed} {by}: {missed} of {}", with.members.len());
            }
        }
        // What cannot be right is not used.
        let other = Remembered::default();
        let wrong = blob[..first.members[0].len as usize - 1].to_vec();
        first.members.iter().for_each(|member| drop(other.members.lock().unwrap().insert(member.key, wrong.clone())));
        assert!(write(usize::MAX, 0, 2, Some(Arc::new(other))).1 == blob);
    }
}
