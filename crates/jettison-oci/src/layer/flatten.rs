//! The layers of an image as one tree, without unpacking them (image-spec, layer.md, "Applying Changesets").
//!
//! A whiteout deletes what lower layers put at a path, never what its own layer does, wherever it stands in the tar. Contents
//! are not kept: a file says in which layer, under which name, its bytes are ([`Origin`]), for a second pass.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Bound;

use jettison_tree::{TreePath, Xattrs};

use super::tar_header::{TarHeader, TarKind, Whiteout};
use super::tar_reader::{TarEntry, TarError, TarReader};

/// Entries of one image above which it is refused; large images have some hundred thousand.
const MAX_ENTRIES: usize = 4_000_000;

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// 0 for the lowest layer.
    pub layer: usize,
    /// Its path there, which is another where a hard link led to it.
    pub path: TreePath,
}

/// What stands at a path of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlatNode {
    /// A directory.
    Directory,
    /// A regular file of `len` bytes. Hard links are files with the origin of the file they name.
    File {
        /// Bytes.
        len: u64,
        /// Where they are.
        origin: Origin,
    },
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A device or a pipe.
    Special(TarKind),
}

/// One path of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlatEntry {
    /// Permission, setuid, setgid and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// When it was last changed, in seconds since 1970; `None` for a directory that no layer lists.
    pub mtime: Option<i64>,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// The layer that put it there last.
    pub layer: usize,
    /// What it is.
    pub node: FlatNode,
}

/// The paths of an image, in order.
#[derive(Debug, Clone, Default)]
pub struct FlatTree {
    entries: BTreeMap<TreePath, FlatEntry>,
}

impl FlatTree {
    /// What stands at exactly this path.
    pub fn get(&self, path: &TreePath) -> Option<&FlatEntry> {
        self.entries.get(path)
    }

    /// All of it, in the order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &FlatEntry)> {
        self.entries.iter()
    }

    /// What stands in and below `directory`, itself included.
    pub fn below<'a>(&'a self, directory: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a FlatEntry)> {
        let from = self.entries.range::<TreePath, _>((Bound::Included(directory), Bound::Unbounded));
        // Siblings such as `a-b` stand between `a` and `a/b`.
        from.take_while(|(path, _)| path.as_bytes().starts_with(directory.as_bytes()))
            .filter(|(path, _)| path.is_below(directory.as_bytes()))
    }

    /// The number of paths.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The path that `path` leads to when symbolic links in it are followed inside the image, the last component's too.
    /// `None` where it leads nowhere, out of the image or round in circles.
    pub fn resolve(&self, path: &TreePath) -> Option<(TreePath, &FlatEntry)> {
        const MAX_LINKS: u32 = 40;
        let mut links = 0;
        let mut done: Vec<u8> = Vec::new();
        let mut ahead: Vec<Vec<u8>> = components(path.as_bytes());
        while let Some(component) = ahead.pop() {
            if component == b".." {
                let up = done.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                done.truncate(up);
                continue;
            }
            let parent = done.len();
            if parent > 0 {
                done.push(b'/');
            }
            done.extend_from_slice(&component);
            let here = TreePath::parse(&done).ok()?;
            match &self.entries.get(&here)?.node {
                FlatNode::Symlink(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    done.truncate(if target.starts_with(b"/") { 0 } else { parent });
                    ahead.extend(components(target));
                }
                FlatNode::Directory => {}
                FlatNode::File { .. } | FlatNode::Special(_) if ahead.is_empty() => {}
                FlatNode::File { .. } | FlatNode::Special(_) => return None,
            }
        }
        let at = TreePath::parse(&done).ok()?;
        let entry = self.entries.get(&at)?;
        Some((at, entry))
    }

    /// Takes out what lower layers than `layer` put below `directory`, and at it where `itself`.
    fn hide(&mut self, directory: Option<&TreePath>, itself: bool, layer: usize) {
        let gone: Vec<TreePath> = match directory {
            None => self.entries.iter().filter(|(_, e)| e.layer < layer).map(|(path, _)| path.clone()).collect(),
            Some(directory) => self
                .below(directory)
                .filter(|(path, entry)| entry.layer < layer && (itself || *path != directory))
                .map(|(path, _)| path.clone())
                .collect(),
        };
        for path in gone {
            self.entries.remove(&path);
        }
    }
}

/// Slash-separated components, the last first, without empty ones and `.`.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

/// Stacks layers, the lowest first.
#[derive(Debug, Default)]
pub struct Flattener {
    tree: FlatTree,
    layers: usize,
}

impl Flattener {
    /// No layers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a layer on top. `visit` sees every member of its tar, whiteouts too, and may read the content.
    pub fn apply<R: Read>(
        &mut self,
        mut tar: TarReader<R>,
        mut visit: impl FnMut(&mut TarEntry<'_, R>) -> std::io::Result<()>,
    ) -> Result<(), TarError> {
        self.begin();
        while let Some(mut entry) = tar.next_entry()? {
            self.put(entry.header())?;
            visit(&mut entry)?;
        }
        Ok(())
    }

    /// Begins the next layer.
    pub(crate) fn begin(&mut self) {
        self.layers += 1;
    }

    /// The tree so far.
    pub(crate) fn tree(&self) -> &FlatTree {
        &self.tree
    }

    /// The tree of all layers put on.
    pub fn finish(self) -> FlatTree {
        self.tree
    }

    /// Applies one member to the layer that was begun last.
    pub(crate) fn put(&mut self, header: &TarHeader) -> Result<(), TarError> {
        let layer = self.layers.saturating_sub(1);
        if self.tree.len() > MAX_ENTRIES {
            return Err(TarError::TooMany(MAX_ENTRIES));
        }
        if let Some(whiteout) = header.whiteout()? {
            match whiteout {
                Whiteout::Path(path) => self.tree.hide(Some(&path), true, layer),
                Whiteout::Opaque(directory) => self.tree.hide(directory.as_ref(), false, layer),
                Whiteout::Ignored => {}
            }
            return Ok(());
        }
        let Some(path) = header.path()? else { return Ok(()) };
        let node = match header.kind {
            TarKind::Directory => FlatNode::Directory,
            TarKind::File => FlatNode::File { len: header.size, origin: Origin { layer, path: path.clone() } },
            TarKind::Symlink => FlatNode::Symlink(header.link.clone()),
            TarKind::HardLink => {
                let target = TreePath::parse(&header.link)?;
                match self.tree.get(&target) {
                    Some(file) if file.node != FlatNode::Directory => {
                        let entry = FlatEntry { layer, ..file.clone() };
                        self.make_room(&path, layer, false);
                        self.tree.entries.insert(path, entry);
                        return Ok(());
                    }
                    _ => return Err(TarError::HardLink { path, target }),
                }
            }
            // Volume labels and the like name nothing that would be unpacked.
            TarKind::Other(_) => return Ok(()),
            special => FlatNode::Special(special),
        };
        self.make_room(&path, layer, node == FlatNode::Directory);
        let TarHeader { mode, uid, gid, mtime, .. } = *header;
        let (mtime, xattrs) = (Some(mtime), header.xattrs.clone());
        let entry = FlatEntry { mode, uid, gid, mtime, xattrs, layer, node };
        self.tree.entries.insert(path, entry);
        Ok(())
    }

    /// Makes `path` free: parents become directories, and what is replaced takes what was below it along.
    fn make_room(&mut self, path: &TreePath, layer: usize, directory: bool) {
        let mut above = path.parent();
        while let Some(parent) = above {
            if matches!(self.tree.get(&parent), Some(entry) if entry.node == FlatNode::Directory) {
                break;
            }
            above = parent.parent();
            let xattrs = Xattrs::new();
            let made = FlatEntry { mode: 0o755, uid: 0, gid: 0, mtime: None, xattrs, layer, node: FlatNode::Directory };
            self.tree.entries.insert(parent, made);
        }
        let was_directory = self.tree.get(path).is_some_and(|old| old.node == FlatNode::Directory);
        if was_directory && !directory {
            self.tree.hide(Some(path), true, usize::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar of lines: `name/` a directory, `name -> target` a symlink, `name = target` a hard link, else a file whose
    /// content is its own name.
    fn tar(lines: &[&str]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for line in lines {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            if let Some((name, target)) = line.split_once(" -> ") {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, name, target).unwrap();
            } else if let Some((name, target)) = line.split_once(" = ") {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, name, target).unwrap();
            } else if line.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, line, &b""[..]).unwrap();
            } else {
                header.set_size(line.len() as u64);
                builder.append_data(&mut header, line, line.as_bytes()).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    fn flatten(layers: &[&[&str]]) -> FlatTree {
        let mut flattener = Flattener::new();
        for layer in layers {
            flattener.apply(TarReader::new(&tar(layer)[..]), |_| Ok(())).unwrap();
        }
        flattener.finish()
    }

    fn paths(tree: &FlatTree) -> String {
        let line = |(path, entry): (&TreePath, &FlatEntry)| match &entry.node {
            FlatNode::Directory => format!("{path}/@{}", entry.layer),
            FlatNode::File { origin, .. } => format!("{path}={}@{}", origin.path, origin.layer),
            _ => format!("{path}@{}", entry.layer),
        };
        tree.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn layers_cover_each_other_as_they_do_when_run() {
        let cases: &[(&[&[&str]], &str)] = &[
            (&[&["a/", "a/x", "b"], &["a/.wh.x", ".wh.b"]], "a/@0"),
            // A whiteout spares its own layer, on either side of it.
            (&[&["a/", "a/x"], &["a/x", "a/.wh.x"]], "a/@0 a/x=a/x@1"),
            (&[&["a/", "a/x", "a/y", "a-b"], &["a/z", "a/.wh..wh..opq"]], "a/@0 a-b=a-b@0 a/z=a/z@1"),
            (&[&["a", "b"], &["c", ".wh..wh..opq"]], "c=c@1"),
            (&[&["d/", "d/e/", "d/e/f", "d-x"], &[".wh.d"]], "d-x=d-x@0"),
            // A file over a directory, a directory over a file and over a link.
            (&[&["a/", "a/x", "b", "l -> a"], &["a", "b/", "b/y", "l/z"]], "a=a@1 b/@1 b/y=b/y@1 l/@1 l/z=l/z@1"),
            (&[&["a/", "a/x"], &["a/"]], "a/@1 a/x=a/x@0"),
            // A hard link has the content of the file it names, wherever that goes.
            (&[&["a", "b = a"], &["a"]], "a=a@1 b=a@0"),
            (&[&["a", "b = a"], &[".wh.a"]], "b=a@0"),
            (&[&["a"], &["b = a"]], "a=a@0 b=a@0"),
        ];
        for (layers, want) in cases {
            assert_eq!(paths(&flatten(layers)), *want, "{layers:?}");
        }
    }

    #[test]
    fn links_are_followed_inside_the_image_only() {
        let tree = flatten(&[&[
            "usr/lib/libc.so.6",
            "lib -> usr/lib",
            "usr/bin/python3 -> ../lib/../../lib/libc.so.6",
            "usr/abs -> /lib/libc.so.6",
            "out -> ../../../../lib/libc.so.6",
            "loop -> loop",
            "dangling -> nowhere",
            "root -> /",
        ]]);
        let resolve = |path: &str| tree.resolve(&TreePath::parse(path).unwrap()).map(|(path, _)| path.to_string());
        let libc = Some("usr/lib/libc.so.6".to_owned());
        for path in ["usr/lib/libc.so.6", "lib/libc.so.6", "usr/bin/python3", "usr/abs", "out"] {
            assert_eq!(resolve(path), libc, "{path}");
        }
        for path in ["loop", "dangling", "usr/lib/libc.so.6/x", "root", "usr/none"] {
            assert_eq!(resolve(path), None, "{path}");
        }
        assert_eq!(tree.below(&TreePath::parse("usr/lib").unwrap()).count(), 2);
    }

    #[test]
    fn a_visitor_reads_contents_and_bad_layers_are_refused() {
        let mut seen = Vec::new();
        let layer = tar(&["a", "b/"]);
        let visit = |entry: &mut TarEntry<'_, _>| {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            seen.push(text);
            Ok(())
        };
        Flattener::new().apply(TarReader::new(&layer[..]), visit).unwrap();
        assert_eq!(seen, ["a", ""]);
        for (lines, want) in [(&["a = b"][..], "hard link"), (&["d/", "a = d"], "hard link")] {
            let error = Flattener::new().apply(TarReader::new(&tar(lines)[..]), |_| Ok(())).unwrap_err();
            assert!(error.to_string().contains(want), "{error}");
        }
    }
}
