//! What the dynamic loader of the image will find: which libraries are missing, too old, or of no use.

use std::collections::BTreeSet;

use jettison_elf::{ElfFacts, Linker, Links};
use jettison_tree::{Entry, Node, TreePath};

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
}

/// Links all ELF files of `parts`, as processes of the interpreter. `links` are symbolic links that no part brings; what is `left_out`
/// counts as not there.
pub fn link<'a>(
    machine: Machine,
    interpreter: &Interpreter,
    parts: impl IntoIterator<Item = &'a Part>,
    loose: &[LooseObject],
    links: &[Entry],
    left_out: &dyn Fn(&TreePath) -> bool,
) -> Result<Linked, BuildError> {
    let mut linker = Linker::new(machine.abi, []);
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
                Node::Directory => {}
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
    let links = linker.link(Some(&program), &roots);
    let unreached: BTreeSet<TreePath> = linker.unreached(&links).into_iter().collect();
    let libraries = linker.libraries();
    let kept = libraries.iter().filter(|(_, path)| !unreached.contains(path));
    let listing = jettison_elf::ldconfig_listing(machine.abi, kept.map(|(name, path)| (name.as_str(), path)));
    let sonames = libraries.into_iter().map(|(name, _)| name).collect();
    Ok(Linked { links, unreached, listing, sonames })
}
