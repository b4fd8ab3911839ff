//! What stands where something is copied to: the stage, and over it what the instruction has made so far.
//!
//! The stage is only read, and a directory of it at most once: what goes into a directory that the instruction has made itself costs no
//! look at the stage.

use std::collections::{BTreeSet, HashMap};

use jettison_tree::{Entry, Node, TreePath};

use crate::dockerfile::context::tree::{FileTree, Kind, Stat, join, resolve, shown, split};
use crate::error::BuildError;

/// The prefix of names by which layers delete (image-spec, layer.md, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";

/// A stage with a layer over it that is being made.
pub struct Destination<'a> {
    stage: &'a dyn FileTree,
    made: HashMap<Vec<u8>, Made>,
    /// The names in directories of the stage.
    names: HashMap<Vec<u8>, BTreeSet<Vec<u8>>>,
}

struct Made {
    entry: Entry,
    /// A directory that the stage does not have, so that nothing of the stage is in it.
    is_new: bool,
    /// What is the same for all names of one file; 0 for what has one name.
    links: u64,
}

impl<'a> Destination<'a> {
    /// Over a stage.
    pub fn over(stage: &'a dyn FileTree) -> Self {
        Self { stage, made: HashMap::new(), names: HashMap::new() }
    }

    /// What stands at `path`, links not followed.
    pub fn kind(&mut self, path: &[u8]) -> Result<Option<Kind>, BuildError> {
        if path.is_empty() {
            return Ok(Some(Kind::Directory));
        }
        if let Some(made) = self.made.get(path) {
            return Ok(Some(kind_of(&made.entry.node)));
        }
        Ok(self.in_stage(path)?.map(|stat| stat.kind))
    }

    /// What stands at a path of the stage that the instruction has not touched.
    fn in_stage(&mut self, path: &[u8]) -> Result<Option<Stat>, BuildError> {
        let (directory, name) = split(path);
        if self.made.get(directory).is_some_and(|made| made.is_new || !matches!(made.entry.node, Node::Directory)) {
            return Ok(None);
        }
        if !self.names.contains_key(directory) {
            let is_directory = self.stage.lstat(directory)?.is_some_and(|stat| stat.is_directory());
            let names = if is_directory { self.stage.read_dir(directory)? } else { Vec::new() };
            self.names.insert(directory.to_vec(), names.into_iter().collect());
        }
        match self.names.get(directory) {
            Some(names) if names.contains(name) => self.stage.lstat(path),
            _ => Ok(None),
        }
    }

    /// Where the link at `path` points; `None` where there is no link.
    fn link_at(&mut self, path: &[u8]) -> Result<Option<Vec<u8>>, BuildError> {
        if self.kind(path)? != Some(Kind::Symlink) {
            return Ok(None);
        }
        match self.made.get(path) {
            Some(Made { entry: Entry { node: Node::Symlink(target), .. }, .. }) => Ok(Some(target.clone())),
            _ => self.stage.read_link(path).map(Some),
        }
    }

    /// Follows all links of `path` below `root`, which is taken as the root of everything.
    pub fn resolve_below(&mut self, root: &[u8], path: &[u8]) -> Result<Vec<u8>, BuildError> {
        Ok(join(root, &resolve(path, |path| self.link_at(&join(root, path)))?))
    }

    /// Makes the directory at `path`, which has no links in it, with those above it; what is there stays as it is.
    pub fn make_directories(&mut self, path: &[u8], mode: u32, owner: (u32, u32)) -> Result<(), BuildError> {
        let ends = (0..=path.len()).filter(|&at| at > 0 && (at == path.len() || path[at] == b'/'));
        for end in ends {
            let directory = &path[..end];
            match self.kind(directory)? {
                Some(Kind::Directory) => {}
                Some(_) => {
                    return Err(BuildError::new(format!("`/{}` is there and is no directory", shown(directory))));
                }
                None => self.put(Entry::new(TreePath::parse(directory)?, mode, owner, Node::Directory), 0)?,
            }
        }
        Ok(())
    }

    /// Puts an entry in place of what stands at its path; into a directory that stands there, where it is one too. `links` is the same
    /// for all names of one file.
    pub fn put(&mut self, entry: Entry, links: u64) -> Result<(), BuildError> {
        if entry.path.file_name().starts_with(WHITEOUT) {
            let error = format!("`/{}` cannot stand in an image: in a layer such a name deletes a file", entry.path);
            return Err(BuildError::new(error).hint("leave it out, with .dockerignore or --exclude"));
        }
        let path = entry.path.as_bytes();
        let before = self.kind(path)?;
        let is_directory = matches!(entry.node, Node::Directory);
        if before == Some(Kind::Directory) && !is_directory {
            self.remove_below(path);
        }
        let was_new = || self.made.get(path).is_some_and(|made| made.is_new);
        let is_new = is_directory && (before != Some(Kind::Directory) || was_new());
        self.made.insert(path.to_vec(), Made { entry, is_new, links });
        Ok(())
    }

    /// Gives the directory at `path` another mode and leaves the rest of it as it is.
    pub fn change_mode(&mut self, path: &[u8], mode: u32) -> Result<(), BuildError> {
        if let Some(made) = self.made.get_mut(path) {
            made.entry.mode = mode;
        } else if let Some(stat) = self.in_stage(path)?.filter(|stat| stat.mode != mode) {
            let mut entry = Entry::new(TreePath::parse(path)?, mode, (stat.uid, stat.gid), Node::Directory);
            entry.mtime = Some(stat.mtime);
            self.made.insert(path.to_vec(), Made { entry, is_new: false, links: 0 });
        }
        Ok(())
    }

    /// Gives the file at `from` another name. One of the stage comes into the layer with both names, as a copy would.
    pub fn link(&mut self, from: &[u8], to: TreePath) -> Result<(), BuildError> {
        let missing = || BuildError::new(format!("`{to}` is a hard link to `/{}`, which is no file", shown(from)));
        // Numbers from the end: those of sources count inodes.
        let links = u64::MAX - self.made.len() as u64;
        if !self.made.contains_key(from) {
            let stat = self.in_stage(from)?.filter(|stat| stat.kind == Kind::File).ok_or_else(missing)?;
            let (base, name) = split(from);
            let found = crate::dockerfile::context::tree::Found { path: name.to_vec(), stat, target: None, meta: None };
            let loaded = self.stage.load(base, &[found], "")?.into_iter().next().unwrap_or_default();
            let node = Node::File(loaded.content.ok_or_else(missing)?);
            let mut entry = Entry::new(TreePath::parse(from)?, stat.mode, (stat.uid, stat.gid), node);
            (entry.mtime, entry.xattrs) = (Some(stat.mtime), loaded.xattrs);
            self.put(entry, links)?;
        }
        let made =
            self.made.get_mut(from).filter(|made| !matches!(made.entry.node, Node::Directory)).ok_or_else(missing)?;
        if made.links == 0 {
            made.links = links;
        }
        let (links, entry) = (made.links, Entry { path: to, ..made.entry.clone() });
        self.put(entry, links)
    }

    fn remove_below(&mut self, path: &[u8]) {
        let below = [path, b"/"].concat();
        self.made.retain(|path, _| !path.starts_with(&below));
    }

    /// What was made, in the order of the paths. Of the names of one file the first is the file.
    pub fn into_entries(self) -> Vec<Entry> {
        let mut first: HashMap<u64, TreePath> = HashMap::new();
        let mut made: Vec<Made> = self.made.into_values().collect();
        made.sort_unstable_by(|a, b| a.entry.path.cmp(&b.entry.path));
        let mut entries = Vec::with_capacity(made.len());
        for Made { mut entry, links, .. } in made {
            if links != 0 {
                match first.get(&links) {
                    Some(path) => entry.node = Node::HardLink(path.clone()),
                    None => drop(first.insert(links, entry.path.clone())),
                }
            }
            entries.push(entry);
        }
        entries
    }
}

fn kind_of(node: &Node) -> Kind {
    match node {
        Node::Directory => Kind::Directory,
        Node::File(_) | Node::HardLink(_) => Kind::File,
        Node::Symlink(_) => Kind::Symlink,
        Node::CharacterDevice(device) => Kind::CharacterDevice(*device),
        Node::BlockDevice(device) => Kind::BlockDevice(*device),
        Node::Fifo => Kind::Fifo,
    }
}
