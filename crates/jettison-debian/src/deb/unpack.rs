//! The data member becomes entries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read, Seek, Write};

use jettison_tree::{Content, Entry, FragmentWriter, Node, TreePath};
use md5::{Digest as _, Md5};

use super::ar::fill;
use super::tar::{Header, Kind, TarReader};
use super::{DebControl, DebError, Limits, Members};
use crate::compression::Skip;

/// Files up to this size are read in one piece.
const WHOLE_LEN: u64 = 1 << 20;
/// As much of a file as [`Trim::wants`] is shown.
const HEAD_LEN: usize = 64;
/// The directories that a merged `/usr` has as links at the root.
const MERGED: [&str; 7] = ["bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"];

/// Judges the files of a package while it is unpacked.
pub trait Trim {
    /// Whether a file, a link or an empty directory stays. `size` is 0 for what is no file. Directories stay as long as
    /// something in them does.
    fn keep(&mut self, path: &TreePath, size: u64) -> bool {
        let _ = (path, size);
        true
    }

    /// Whether [`change`](Self::change) is to see a file that stays, by its first bytes (64 at most). Others are never in memory as a
    /// whole.
    fn wants(&mut self, path: &TreePath, head: &[u8], size: u64) -> bool {
        let _ = (path, head, size);
        false
    }

    /// What a file becomes; `None` leaves it as it is.
    fn change(&mut self, path: &TreePath, bytes: &[u8]) -> Option<Vec<u8>> {
        let _ = (path, bytes);
        None
    }
}

/// Keeps all as it is.
impl Trim for () {}

/// Takes what a package brings, in an order in which it can be written: what a hard link names comes before the link, and a directory may
/// come after what is in it.
pub trait Sink {
    /// Takes an entry.
    fn push(&mut self, entry: &Entry) -> io::Result<()>;

    /// Takes a file of root's without its being held in memory. What is not read of `data` is passed over.
    fn push_stream(&mut self, path: TreePath, mode: u32, data: &mut dyn Read) -> io::Result<()>;

    /// Files of root's from this size on are streamed, unless somebody wants to see them. Bytes.
    fn streams_from(&self) -> u64 {
        WHOLE_LEN
    }
}

impl<W: Write> Sink for FragmentWriter<W> {
    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        Self::push(self, entry)
    }

    fn push_stream(&mut self, path: TreePath, mode: u32, data: &mut dyn Read) -> io::Result<()> {
        Self::push_stream(self, path, mode, data).map(drop)
    }
}

/// What came out of a `.deb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Its control member.
    pub control: DebControl,
    /// The MD5 of each file that is in the fragment, as it is there, where the package gives sums at all.
    pub md5sums: BTreeMap<TreePath, String>,
    /// Files that were kept, as they are now.
    pub kept: Tally,
    /// Files that were dropped.
    pub dropped: Tally,
    /// Files that were changed, and the bytes that this saved.
    pub changed: Tally,
}

/// A number of files and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub files: u64,
    /// How much.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// Unpacks a `.deb`. With `merge_usr`, what lies below `/bin`, `/sbin` and `/lib*` comes to lie below `/usr`, as it
/// does on a system where those are links ([`made::usr_merge`](crate::made::usr_merge) makes them).
///
/// The file is read once from its start; a second time only where a hard link stays whose other name was dropped.
pub fn unpack<S: Sink>(
    mut deb: impl Read + Seek,
    merge_usr: bool,
    trim: &mut dyn Trim,
    out: &mut S,
    limits: &Limits,
) -> Result<Unpacked, DebError> {
    let mut members = Members::open(&mut deb)?;
    let (name, compression) = members.find("control.tar")?;
    let control = DebControl::read(members.content(compression, &name)?, &name, limits)?;
    let (name, compression) = members.find("data.tar")?;
    let mut unpacker = Unpacker::new(&name, merge_usr, trim, out, limits);
    let mut tar = TarReader::new(members.skippable(compression, &name)?, limits.data);
    while let Some(header) = tar.next_entry().map_err(|error| DebError::read(&name, tar.at(), error))? {
        unpacker.entry(&header, &mut tar)?;
    }
    drop(tar);
    if !unpacker.orphans.is_empty() {
        deb.rewind().map_err(|error| DebError::read(&name, 0, error))?;
        let mut members = Members::open(&mut deb)?;
        members.find("control.tar")?;
        let (name, compression) = members.find("data.tar")?;
        let mut tar = TarReader::new(members.skippable(compression, &name)?, limits.data);
        while let Some(header) = tar.next_entry().map_err(|error| DebError::read(&name, tar.at(), error))? {
            unpacker.adopt(&header, &mut tar)?;
        }
    }
    unpacker.finish(control)
}

struct Unpacker<'a, S: Sink> {
    member: &'a str,
    merge_usr: bool,
    trim: &'a mut dyn Trim,
    out: &'a mut S,
    limits: &'a Limits,
    entries: usize,
    /// What is no directory.
    seen: HashMap<TreePath, Seen>,
    directories: BTreeMap<TreePath, Entry>,
    /// Directories that have something in them, and those that have something in them that was kept.
    populated: HashSet<TreePath>,
    needed: HashSet<TreePath>,
    /// Hard links that stay, by the dropped file that they are.
    orphans: HashMap<TreePath, Vec<TreePath>>,
    changed_sums: HashMap<TreePath, String>,
    kept: Tally,
    dropped: Tally,
    changed: Tally,
}

enum Seen {
    Kept,
    Dropped,
    /// Another name of a file.
    Link {
        target: TreePath,
        kept: bool,
    },
}

impl<'a, S: Sink> Unpacker<'a, S> {
    fn new(member: &'a str, merge_usr: bool, trim: &'a mut dyn Trim, out: &'a mut S, limits: &'a Limits) -> Self {
        Self {
            member,
            merge_usr,
            trim,
            out,
            limits,
            entries: 0,
            seen: HashMap::new(),
            directories: BTreeMap::new(),
            populated: HashSet::new(),
            needed: HashSet::new(),
            orphans: HashMap::new(),
            changed_sums: HashMap::new(),
            kept: Tally::default(),
            dropped: Tally::default(),
            changed: Tally::default(),
        }
    }

    fn entry(&mut self, header: &Header, tar: &mut TarReader<impl Skip>) -> Result<(), DebError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(DebError::TooMany { member: self.member.to_owned(), limit: self.limits.entries });
        }
        if header.kind == Kind::Directory && is_root(&header.path) {
            return Ok(());
        }
        let path = self.place(&header.path, header.kind)?;
        self.check_place(&path, header.kind)?;
        if let Some(parent) = path.parent() {
            self.populated.insert(parent);
        }
        match header.kind {
            Kind::Directory => {
                let entry = Entry::new(path.clone(), header.mode, (header.uid, header.gid), Node::Directory);
                self.directories.entry(path).or_insert(entry);
                Ok(())
            }
            Kind::File => self.file(path, header, tar),
            Kind::Symlink => {
                if header.link.is_empty() || header.link.contains(&0) {
                    return Err(self.bad(&path, "is a symbolic link to nowhere"));
                }
                if !self.judge(&path, 0) {
                    return Ok(());
                }
                let node = Node::Symlink(header.link.clone());
                self.push(&Entry::new(path, 0o777, (header.uid, header.gid), node))
            }
            Kind::HardLink => self.hard_link(path, header),
            Kind::Other(flag) => {
                let what = match flag {
                    b'3' | b'4' => "is a device".to_owned(),
                    b'6' => "is a named pipe".to_owned(),
                    flag => format!("is of the unknown type `{}`", char::from(flag).escape_default()),
                };
                Err(self.bad(&path, what))
            }
        }
    }

    fn file(&mut self, path: TreePath, header: &Header, tar: &mut TarReader<impl Skip>) -> Result<(), DebError> {
        if header.size > self.limits.file {
            return Err(self.bad(&path, format!("has {} bytes, and {} are allowed", header.size, self.limits.file)));
        }
        if self.judge(&path, header.size) { self.keep_file(path, header, tar) } else { Ok(()) }
    }

    /// Asks whether an entry stays, and remembers the answer.
    fn judge(&mut self, path: &TreePath, size: u64) -> bool {
        let keep = self.trim.keep(path, size);
        self.seen.insert(path.clone(), if keep { Seen::Kept } else { Seen::Dropped });
        if !keep {
            self.dropped.add(size);
        }
        keep
    }

    fn keep_file(&mut self, path: TreePath, header: &Header, tar: &mut TarReader<impl Skip>) -> Result<(), DebError> {
        let mut head = [0; HEAD_LEN];
        let read = fill(&mut tar.content(), &mut head);
        let head = &head[..read.map_err(|error| DebError::read(self.member, tar.at(), error))?];
        let wanted = self.trim.wants(&path, head, header.size);
        if !wanted && header.size >= self.out.streams_from() && (header.uid, header.gid) == (0, 0) {
            self.need_parents(&path);
            let pushed = self.out.push_stream(path, header.mode, &mut head.chain(tar.content()));
            pushed.map_err(|error| DebError::read(self.member, tar.at(), error))?;
            self.kept.add(header.size);
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(header.size.min(WHOLE_LEN) as usize);
        bytes.extend_from_slice(head);
        let read = tar.content().read_to_end(&mut bytes);
        read.map_err(|error| DebError::read(self.member, tar.at(), error))?;
        if let Some(new) = wanted.then(|| self.trim.change(&path, &bytes)).flatten() {
            self.changed.add((bytes.len() as u64).saturating_sub(new.len() as u64));
            let sum = Md5::digest(&new).iter().map(|byte| format!("{byte:02x}")).collect();
            self.changed_sums.insert(path.clone(), sum);
            bytes = new;
        }
        self.kept.add(bytes.len() as u64);
        let node = Node::File(Content::from_bytes(bytes));
        self.push(&Entry::new(path, header.mode, (header.uid, header.gid), node))
    }

    fn hard_link(&mut self, path: TreePath, header: &Header) -> Result<(), DebError> {
        let mut target = self.place(&header.link, Kind::File)?;
        let is_there = loop {
            match self.seen.get(&target) {
                Some(Seen::Link { target: further, .. }) => target = further.clone(),
                Some(Seen::Kept) => break true,
                Some(Seen::Dropped) => break false,
                None => {
                    return Err(self.bad(&path, format!("is a hard link to `{target}`, which is no file before it")));
                }
            }
        };
        let kept = self.trim.keep(&path, 0);
        self.seen.insert(path.clone(), Seen::Link { target: target.clone(), kept });
        match (kept, is_there) {
            (false, _) => self.dropped.add(0),
            (true, false) => self.orphans.entry(target).or_default().push(path),
            (true, true) => {
                let node = Node::HardLink(target);
                self.push(&Entry::new(path, header.mode, (header.uid, header.gid), node))?;
            }
        }
        Ok(())
    }

    /// Keeps a dropped file under the names that stay, when it comes by for the second time.
    fn adopt(&mut self, header: &Header, tar: &mut TarReader<impl Skip>) -> Result<(), DebError> {
        if !matches!(header.kind, Kind::File | Kind::Symlink) {
            return Ok(());
        }
        let Some(names) = self.orphans.remove(&self.place(&header.path, header.kind)?) else { return Ok(()) };
        let mut names = names.into_iter();
        let Some(first) = names.next() else { return Ok(()) };
        let (mode, uid, gid) = (header.mode, header.uid, header.gid);
        if header.kind == Kind::Symlink {
            let node = Node::Symlink(header.link.clone());
            self.push(&Entry::new(first.clone(), 0o777, (uid, gid), node))?;
        } else {
            self.keep_file(first.clone(), header, tar)?;
        }
        names.try_for_each(|path| self.push(&Entry::new(path, mode, (uid, gid), Node::HardLink(first.clone()))))
    }

    fn finish(mut self, control: DebControl) -> Result<Unpacked, DebError> {
        // From the deepest up, so that a kept directory keeps those above it.
        let mut kept = Vec::new();
        for (path, entry) in std::mem::take(&mut self.directories).into_iter().rev() {
            if self.needed.contains(&path) || !self.populated.contains(&path) && self.trim.keep(&path, 0) {
                self.need_parents(&path);
                kept.push(entry);
            }
        }
        kept.iter().rev().try_for_each(|entry| self.out.push(entry)).map_err(DebError::Write)?;
        let mut md5sums = BTreeMap::new();
        for (path, sum) in control.md5sums() {
            let path = self.merged(path, Kind::File);
            let here = matches!(self.seen.get(&path), Some(Seen::Kept | Seen::Link { kept: true, .. }));
            if here {
                let sum = self.changed_sums.remove(&path).unwrap_or_else(|| sum.to_ascii_lowercase());
                md5sums.insert(path, sum);
            }
        }
        Ok(Unpacked { control, md5sums, kept: self.kept, dropped: self.dropped, changed: self.changed })
    }

    fn push(&mut self, entry: &Entry) -> Result<(), DebError> {
        self.need_parents(&entry.path);
        self.out.push(entry).map_err(DebError::Write)
    }

    fn need_parents(&mut self, path: &TreePath) {
        let mut parent = path.parent();
        while let Some(directory) = parent {
            parent = directory.parent();
            if !self.needed.insert(directory) {
                break;
            }
        }
    }

    fn bad(&self, path: &TreePath, why: impl Into<String>) -> DebError {
        DebError::Entry { member: self.member.to_owned(), path: path.clone(), why: why.into() }
    }

    /// Where an entry comes to lie.
    fn place(&self, raw: &[u8], kind: Kind) -> Result<TreePath, DebError> {
        let path = TreePath::parse(raw).map_err(|source| DebError::Path { member: self.member.to_owned(), source })?;
        Ok(self.merged(path, kind))
    }

    /// The directory `/lib` is `/usr/lib`, and what lies in it lies there; a link `/lib` is what leads to it.
    fn merged(&self, path: TreePath, kind: Kind) -> TreePath {
        let moves =
            |top: &&'static str| path.is_below(top) && (kind == Kind::Directory || path.as_bytes().len() > top.len());
        if self.merge_usr && MERGED.iter().any(moves) {
            return TreePath::parse([b"usr/", path.as_bytes()].concat()).unwrap_or(path);
        }
        path
    }

    /// Refuses a second entry for a path, and one below something that is no directory.
    fn check_place(&self, path: &TreePath, kind: Kind) -> Result<(), DebError> {
        let again = self.seen.contains_key(path) || kind != Kind::Directory && self.directories.contains_key(path);
        if again || kind != Kind::Directory && self.populated.contains(path) {
            return Err(self.bad(path, "stands there twice"));
        }
        let mut parent = path.parent();
        while let Some(directory) = parent {
            if self.seen.contains_key(&directory) {
                return Err(self.bad(path, format!("lies below `{directory}`, which is no directory")));
            }
            parent = directory.parent();
        }
        Ok(())
    }
}

/// `./`, as the first entry of most archives is called.
fn is_root(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').all(|part| matches!(part, b"" | b"."))
}
