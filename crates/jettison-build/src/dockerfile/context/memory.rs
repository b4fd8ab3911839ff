//! A tree in memory: an unpacked archive, a checkout, the files of heredocs.

use std::collections::{BTreeMap, BTreeSet};

use jettison_tree::{Content, Entry, Node, TreePath, Xattrs};

use super::ignore::IgnoreRules;
use super::tree::{FileTree, Found, Kind, Loaded, Stat, join, not_found, split};
use crate::error::BuildError;

/// Files by path.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    nodes: BTreeMap<Vec<u8>, MemoryNode>,
    names: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    /// The rules by which files were taken out, and which ones.
    rules: IgnoreRules,
    left_out: BTreeSet<Vec<u8>>,
}

#[derive(Debug, Clone)]
struct MemoryNode {
    stat: Stat,
    target: Vec<u8>,
    loaded: Loaded,
}

const DIRECTORY: Stat = Stat { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, len: 0, mtime: 0, links: 0 };

impl MemoryTree {
    /// A tree with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of these entries. Directories that none of them is are `0755` and root's; of two entries at one path the later counts.
    /// A hard link to what is not there is an error.
    pub fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Result<Self, BuildError> {
        let mut tree = Self::new();
        let mut links = Vec::new();
        for entry in entries {
            match &entry.node {
                Node::HardLink(to) => links.push((entry.path.clone(), to.clone())),
                _ => tree.insert(entry),
            }
        }
        for (number, (path, to)) in links.into_iter().enumerate() {
            let node = tree.nodes.get_mut(to.as_bytes()).filter(|node| node.stat.kind != Kind::Directory);
            let Some(node) = node else {
                return Err(BuildError::new(format!("`{path}` is a hard link to `{to}`, which is not there")));
            };
            if node.stat.links == 0 {
                node.stat.links = number as u64 + 1;
            }
            let node = node.clone();
            tree.put(path.as_bytes(), node);
        }
        Ok(tree)
    }

    /// Puts an entry in place of what stands at its path. A hard link becomes a file of its own without content; see
    /// [`from_entries`](Self::from_entries).
    pub fn insert(&mut self, entry: Entry) {
        let kind = match &entry.node {
            Node::Directory => Kind::Directory,
            Node::File(_) | Node::HardLink(_) => Kind::File,
            Node::Symlink(_) => Kind::Symlink,
            Node::CharacterDevice(device) => Kind::CharacterDevice(*device),
            Node::BlockDevice(device) => Kind::BlockDevice(*device),
            Node::Fifo => Kind::Fifo,
        };
        let content = entry.content().cloned();
        let stat = Stat {
            kind,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            len: content.as_ref().map_or(0, Content::len),
            mtime: entry.mtime.unwrap_or(0),
            links: 0,
        };
        let target = match entry.node {
            Node::Symlink(target) => target,
            _ => Vec::new(),
        };
        let node = MemoryNode { stat, target, loaded: Loaded { content, xattrs: entry.xattrs } };
        self.put(entry.path.as_bytes(), node);
    }

    /// The tree without what the rules leave out. A directory that they leave out stays where something in it stays.
    pub fn without(mut self, rules: IgnoreRules) -> Self {
        // From the end: what is in a directory stands behind it, and is gone by then if it goes.
        for path in self.nodes.keys().rev().cloned().collect::<Vec<_>>() {
            let below = [&path, &b"/"[..]].concat();
            let holds_more = self.nodes.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below));
            if holds_more || !rules.rules().matches(&path) {
                continue;
            }
            self.nodes.remove(&path);
            self.names.remove(&path);
            let (parent, name) = split(&path);
            self.names.get_mut(parent).map(|names| names.remove(name));
            self.left_out.insert(path);
        }
        self.rules = rules;
        self
    }

    /// A file `0644` of root's.
    pub fn insert_text(&mut self, path: &TreePath, text: impl Into<Vec<u8>>) {
        self.insert(Entry::file(path.clone(), Content::from_bytes(text.into()), false));
    }

    fn put(&mut self, path: &[u8], node: MemoryNode) {
        let (parent, name) = split(path);
        if !parent.is_empty() && self.nodes.get(parent).is_none_or(|node| node.stat.kind != Kind::Directory) {
            let loaded = Loaded { content: None, xattrs: Xattrs::new() };
            self.put(parent, MemoryNode { stat: DIRECTORY, target: Vec::new(), loaded });
        }
        self.names.entry(parent.to_vec()).or_default().insert(name.to_vec());
        self.nodes.insert(path.to_vec(), node);
    }

    fn node(&self, path: &[u8]) -> Result<&MemoryNode, BuildError> {
        self.nodes.get(path).ok_or_else(|| not_found(path))
    }
}

impl FileTree for MemoryTree {
    fn lstat(&self, path: &[u8]) -> Result<Option<Stat>, BuildError> {
        if path.is_empty() {
            return Ok(Some(DIRECTORY));
        }
        Ok(self.nodes.get(path).map(|node| node.stat))
    }

    fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, BuildError> {
        Ok(self.node(path)?.target.clone())
    }

    fn read_dir(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, BuildError> {
        if !path.is_empty() {
            self.node(path)?;
        }
        Ok(self.names.get(path).into_iter().flatten().cloned().collect())
    }

    fn load(&self, base: &[u8], files: &[Found], _scope: &str) -> Result<Vec<Loaded>, BuildError> {
        let load = |found: &Found| match join(base, &found.path) {
            root if root.is_empty() => Ok(Loaded::default()),
            path => Ok(self.node(&path)?.loaded.clone()),
        };
        files.iter().map(load).collect()
    }

    fn why_missing(&self, path: &[u8]) -> Option<String> {
        let line = self.rules.line_against(path).filter(|_| self.left_out.contains(path))?;
        Some(format!("it is there, but {line} leaves it out"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::context::tree::read_file;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).unwrap()
    }

    #[test]
    fn rules_take_files_out() {
        let mut tree = MemoryTree::new();
        for name in ["a.md", "README.md", "docs/x", "docs/keep/y", "docs-old", "src/a"] {
            tree.insert_text(&path(name), name);
        }
        let rules = IgnoreRules::parse(".dockerignore", "*.md\n!README.md\ndocs\n!docs/keep\n").unwrap();
        let tree = tree.without(rules);
        let found = tree.walk(b"", &|_| true).unwrap();
        let paths: Vec<_> = found.iter().map(|found| String::from_utf8_lossy(&found.path).into_owned()).collect();
        assert_eq!(paths, ["README.md", "docs", "docs/keep", "docs/keep/y", "docs-old", "src", "src/a"]);
        assert_eq!(tree.lstat(b"docs/x").unwrap(), None);
        assert!(tree.why_missing(b"docs/x").unwrap().contains("line 3: docs") && tree.why_missing(b"docs/z").is_none());
    }

    #[test]
    fn entries_become_a_tree() {
        let mut file = Entry::file(path("a/b/f"), Content::from_bytes(b"text".to_vec()), true);
        file.uid = 7;
        let entries = [
            Entry::new(path("a/b/same"), 0o644, (0, 0), Node::HardLink(path("a/b/f"))),
            file,
            Entry::symlink(path("l"), "a/b"),
        ];
        let tree = MemoryTree::from_entries(entries).unwrap();
        assert_eq!(tree.read_dir(b"").unwrap(), [b"a".to_vec(), b"l".to_vec()]);
        assert_eq!(tree.lstat(b"a").unwrap(), Some(DIRECTORY));
        let (one, other) = (tree.lstat(b"a/b/f").unwrap().unwrap(), tree.lstat(b"a/b/same").unwrap().unwrap());
        assert_eq!((one.mode, one.uid, one.len), (0o755, 7, 4));
        assert_eq!(one, other);
        assert_ne!(one.links, 0);
        assert_eq!(read_file(&tree, b"l/same", 10).unwrap().unwrap(), b"text");
        assert_eq!(read_file(&tree, b"l/other", 10).unwrap(), None);
        assert!(read_file(&tree, b"l/same", 3).is_err());
        let found = tree.walk(b"", &|directory| directory != b"a/b").unwrap();
        let paths: Vec<_> = found.iter().map(|found| String::from_utf8_lossy(&found.path).into_owned()).collect();
        assert_eq!(paths, ["a", "a/b", "l"]);
        let dangling = Entry::new(path("x"), 0o644, (0, 0), Node::HardLink(path("nowhere")));
        assert!(MemoryTree::from_entries([dangling]).is_err());
    }
}
