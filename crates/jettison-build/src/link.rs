//! What the dynamic loader of the image will find: which libraries are missing, too old, or of no use.

use std::collections::{BTreeMap, BTreeSet};

use jettison_elf::{ElfFacts, Linker, Links};
use jettison_tree::{Entry, Node, TreePath};
use serde::{Deserialize, Serialize};

use crate::error::BuildError;
use crate::interpreter::{Interpreter, Machine};
use crate::part::Part;

/// An ELF file that no part brings: one of the project's own.
#[derive(Debug, Clone)]
pub struct LooseObject {
    /// Where it stands in the image.
    pub path: TreePath,
    /// What it says.
    pub facts: ElfFacts,
}

/// The files of a base image, which stay as they are: what they have counts as there, what they miss is not ours to mend.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Present {
    /// Its libraries, its interpreter and the modules of that.
    pub objects: BTreeMap<TreePath, ElfFacts>,
    /// Its symbolic links, with what they lead to.
    pub links: BTreeMap<TreePath, Vec<u8>>,
    /// The directories of its `ld.so.conf`.
    pub library_dirs: Vec<String>,
}

/// The owner of what is [`Present`].
const BASE_IMAGE: &str = "the base image";

/// What linking the files of an image gave.
pub struct Linked {
    /// What was found and what not.
    pub links: Links,
    /// Libraries of the system that nothing leads to.
    pub unreached: BTreeSet<TreePath>,
    /// What `ldconfig -p` would print.
    pub listing: String,
    sonames: BTreeSet<String>,
}

impl Linked {
    /// Whether `dlopen` of a soname finds a library of the system.
    pub fn has(&self, soname: &str) -> bool {
        self.sonames.contains(soname)
    }

    /// Whether something needs the library at `path`, by whatever link leads to it.
    pub fn is_needed(&self, path: &TreePath) -> bool {
        self.links.edges.iter().any(|edge| edge.to == *path)
    }
}

/// Links all ELF files of `parts`, as processes of the interpreter. `links` are symbolic links that no part brings; what is `left_out`
/// counts as not there, what is `present` as there, whatever becomes of it.
pub fn link<'a>(
    machine: Machine,
    interpreter: &Interpreter,
    present: &Present,
    parts: impl IntoIterator<Item = &'a Part>,
    loose: &[LooseObject],
    links: &[Entry],
    left_out: &dyn Fn(&TreePath) -> bool,
) -> Result<Linked, BuildError> {
    let mut linker = Linker::new(machine.abi, present.library_dirs.iter().cloned());
    for (path, facts) in &present.objects {
        linker.object(path.clone(), facts, BASE_IMAGE);
    }
    for (path, target) in &present.links {
        linker.symlink(path.clone(), target.clone());
    }
    for part in parts {
        for entry in part.entries().iter().filter(|entry| !left_out(&entry.path)) {
            match &entry.node {
                Node::File(_) => {
                    if let Some(facts) = part.facts.elf.get(&entry.path) {
                        linker.object(entry.path.clone(), facts, &part.facts.owner.name);
                    }
                }
                Node::Symlink(target) => linker.symlink(entry.path.clone(), target.clone()),
                Node::HardLink(target) => {
                    if let Some(facts) = part.facts.elf.get(target) {
                        linker.object(entry.path.clone(), facts, &part.facts.owner.name);
                    }
                }
                Node::Directory | Node::CharacterDevice(_) | Node::BlockDevice(_) | Node::Fifo => {}
            }
        }
    }
    for entry in links {
        if let Node::Symlink(target) = &entry.node {
            linker.symlink(entry.path.clone(), target.clone());
        }
    }
    for object in loose {
        linker.object(object.path.clone(), &object.facts, "the project");
    }
    let program = TreePath::parse(&interpreter.executable)?;
    let roots: Vec<TreePath> = linker.roots().cloned().collect();
    let mut links = linker.link(Some(&program), &roots);
    links.missing.retain(|missing| missing.owner != BASE_IMAGE);
    links.too_old.retain(|problem| problem.owner != BASE_IMAGE);
    let mut unreached: BTreeSet<TreePath> = linker.unreached(&links).into_iter().collect();
    unreached.retain(|path| !present.objects.contains_key(path) && !present.links.contains_key(path));
    let libraries = linker.libraries();
    let kept = libraries.iter().filter(|(_, path)| !unreached.contains(path));
    let listing = jettison_elf::ldconfig_listing(machine.abi, kept.map(|(name, path)| (name.as_str(), path)));
    let sonames = libraries.into_iter().map(|(name, _)| name).collect();
    Ok(Linked { links, unreached, listing, sonames })
}
