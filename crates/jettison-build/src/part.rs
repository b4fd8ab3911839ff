//! Parts: what a Debian package, a distribution or an interpreter brings to an image, unpacked, trimmed and kept.

use std::collections::{BTreeMap, BTreeSet};

use jettison_elf::ElfFacts;
use jettison_engine::CacheKey;
use jettison_engine::store::Store;
use jettison_tree::{Device, Digest, Entry, Fragment, Node, TreePath};
use serde::{Deserialize, Serialize};

use crate::error::{BuildError, Context as _};
use crate::report::{CutReport, OwnerKind};

/// Who owns the bytes of a part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// What it is.
    pub kind: OwnerKind,
    /// Package or distribution.
    pub name: String,
    /// Its version, empty where it has none.
    pub version: String,
}

impl Owner {
    /// What belongs to nobody else: directories, the ends of archives, what maintainer scripts would have made.
    pub fn image() -> Self {
        Self { kind: OwnerKind::Image, name: "image".to_owned(), version: String::new() }
    }

    /// The project.
    pub fn application(name: &str) -> Self {
        Self { kind: OwnerKind::Application, name: name.to_owned(), version: String::new() }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)?;
        if !self.version.is_empty() {
            write!(f, " {}", self.version)?;
        }
        Ok(())
    }
}

/// What is kept beside the entries of a part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartFacts {
    /// Who owns it.
    pub owner: Owner,
    /// What each ELF file says of itself.
    #[serde(default)]
    pub elf: BTreeMap<TreePath, ElfFacts>,
    /// What was left out, by reason.
    #[serde(default)]
    pub cuts: BTreeMap<String, Cut>,
    /// Importable names, of a distribution.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Modules of the standard library that its sources name ([`crate::optional`]).
    #[serde(default)]
    pub named: BTreeSet<String>,
    /// Links that its maintainer script would have asked `update-alternatives` for.
    #[serde(default)]
    pub alternatives: Vec<AskedLink>,
}

/// A link that a Debian package asks for, as one of several that could have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedLink {
    /// Where the link is.
    pub link: TreePath,
    /// The name of the choice.
    pub name: String,
    /// What it leads to.
    pub target: TreePath,
    /// The highest wins.
    pub priority: i64,
}

/// Files that were left out for one reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Cut {
    /// One more file.
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

impl PartFacts {
    /// Nothing known but the owner.
    pub fn new(owner: Owner) -> Self {
        Self {
            owner,
            elf: BTreeMap::new(),
            cuts: BTreeMap::new(),
            modules: Vec::new(),
            named: BTreeSet::new(),
            alternatives: Vec::new(),
        }
    }

    /// Notes a file that is left out.
    pub fn cut(&mut self, reason: &str, bytes: u64) {
        self.cuts.entry(reason.to_owned()).or_default().add(bytes);
    }
}

/// A part, opened from the store.
#[derive(Debug, Clone)]
pub struct Part {
    /// The key of its fragment.
    pub key: CacheKey,
    /// What is known of it.
    pub facts: PartFacts,
    fragment: Fragment,
}

impl Part {
    /// Opens the part that was kept under `key`.
    pub fn open(store: &Store, key: CacheKey) -> Result<Self, BuildError> {
        let path = store.fragment(&key)?;
        let path = path.ok_or_else(|| BuildError::new("a part was pruned from the store while it was in use"))?;
        let opened = Fragment::open(&path).map_err(|error| BuildError::new(error.to_string()));
        let fragment = opened.context(path.display())?;
        let facts = PartFacts::deserialize(fragment.meta()).map_err(|error| BuildError::new(error.to_string()));
        Ok(Self { key, facts: facts.context(path.display())?, fragment })
    }

    /// Its entries.
    pub fn entries(&self) -> &[Entry] {
        self.fragment.entries()
    }

    /// Bytes of its files, each path counted.
    pub fn bytes(&self) -> u64 {
        self.entries().iter().filter_map(Entry::content).map(jettison_tree::Content::len).sum()
    }

    /// What was left out of it, as the report says it.
    pub fn cuts(&self) -> impl Iterator<Item = CutReport> {
        self.facts.cuts.iter().map(|(reason, cut)| CutReport {
            owner: self.facts.owner.name.clone(),
            reason: reason.clone(),
            files: cut.files,
            bytes: cut.bytes,
        })
    }
}

/// A digest over everything of an entry that ends up in a layer.
pub fn entry_digest(entry: &Entry) -> Digest {
    let mut bytes = Vec::with_capacity(160);
    bytes.extend_from_slice(entry.path.as_bytes());
    bytes.push(0);
    for number in [entry.mode, entry.uid, entry.gid] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    match &entry.node {
        Node::Directory => bytes.push(b'd'),
        Node::File(content) => {
            bytes.push(b'f');
            bytes.extend_from_slice(content.digest().as_bytes());
        }
        Node::Symlink(target) => {
            bytes.push(b'l');
            bytes.extend_from_slice(target);
        }
        Node::HardLink(target) => {
            bytes.push(b'h');
            bytes.extend_from_slice(target.as_bytes());
        }
        Node::CharacterDevice(Device { major, minor }) => {
            bytes.push(b'c');
            [major, minor].iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        }
        Node::BlockDevice(Device { major, minor }) => {
            bytes.push(b'b');
            [major, minor].iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        }
        Node::Fifo => bytes.push(b'p'),
    }
    // Each in its own digest, so that nothing of them can be taken for something else.
    if let Some(mtime) = entry.mtime {
        bytes.extend_from_slice(Digest::of(&mtime.to_le_bytes()).as_bytes());
    }
    for (name, value) in entry.xattrs.iter() {
        bytes.extend_from_slice(Digest::of(name).as_bytes());
        bytes.extend_from_slice(Digest::of(value).as_bytes());
    }
    Digest::of(&bytes)
}
