//! What an image says of its Debian packages, so that it is true: `dpkg`'s record, the documentation (of which the copyright is left),
//! and the licences that copyrights point to.
//!
//! Files of a package go for many reasons, and here is the end of it:
//!
//! 1. A package of which nothing is left but what is said of it is not said to be there. One that was asked for by name stays, since it may
//!    never have had more; and so does the documentation of another that documentation leads into, as that of all of GCC's libraries
//!    leads into `gcc-14-base`.
//! 2. Of `/usr/share/common-licenses` there is what some copyright points to.
//! 3. The sums of a record are those of files that are there.

use std::collections::BTreeSet;

use jettison_debian::status::STATUS_DIRECTORY;
use jettison_tree::{Content, Entry, Node, TreePath};

use crate::error::{BuildError, Context as _};
use crate::layers::PlannedLayer;
use crate::part::Part;

const DOCUMENTATION: &str = "usr/share/doc";
const LICENCES: &str = "usr/share/common-licenses";

/// Makes true what `layer` says of the packages of `parts`, above what is `below`. Packages that were `asked` for by name are there whatever
/// they hold.
pub fn settle(
    layer: &mut PlannedLayer,
    below: Option<&PlannedLayer>,
    parts: &[&Part],
    asked: &[String],
) -> Result<(), BuildError> {
    // What is no package has no record.
    let packages: Vec<Package<'_>> = parts.iter().filter_map(|part| Package::of(part)).collect();
    let said = said(layer, below, &packages, asked);
    for package in &packages {
        let is_said = said.contains(package.name);
        for entry in package.part.entries().iter().filter(|entry| is_file(entry) && is_said_of(&entry.path)) {
            match is_said {
                true if !has(layer, &entry.path) && !below.is_some_and(|below| has(below, &entry.path)) => {
                    let added = layer.add(entry.clone(), &package.part.facts.owner);
                    added.map_err(|clash| BuildError::new(clash.to_string()))?;
                }
                true => {}
                false => layer.retain(|there| there.path != entry.path),
            }
        }
    }
    settle_licences(layer, below, &packages)?;
    for package in packages.iter().filter(|package| said.contains(package.name)) {
        package.settle_sums(layer, below)?;
    }
    Ok(())
}

/// A part that is a Debian package.
struct Package<'a> {
    name: &'a str,
    part: &'a Part,
}

impl<'a> Package<'a> {
    fn of(part: &'a Part) -> Option<Self> {
        let name = &part.facts.owner.name;
        let record = TreePath::parse(format!("{STATUS_DIRECTORY}/{name}")).ok()?;
        part.entries().iter().any(|entry| entry.path == record).then_some(Self { name, part })
    }

    /// What it holds besides what is said of it.
    fn content(&self) -> impl Iterator<Item = &'a Entry> {
        self.part.entries().iter().filter(|entry| is_file(entry) && !is_said_of(&entry.path))
    }

    /// Packages whose documentation its own leads into.
    fn leads_to(&self) -> impl Iterator<Item = String> {
        let entries = self.part.entries().iter().filter(|entry| entry.path.is_below(DOCUMENTATION));
        entries.filter_map(|entry| {
            let Node::Symlink(target) = &entry.node else { return None };
            let target = match target.starts_with(b"/") {
                true => TreePath::parse(target),
                false => entry.path.parent()?.join(target),
            };
            let inside = target.ok()?.strip_prefix(DOCUMENTATION)?;
            Some(inside.as_str()?.split('/').next()?.to_owned())
        })
    }

    /// Takes out of its record the sums of what is not there.
    fn settle_sums(&self, layer: &mut PlannedLayer, below: Option<&PlannedLayer>) -> Result<(), BuildError> {
        let path = TreePath::parse(format!("{STATUS_DIRECTORY}/{}.md5sums", self.name))?;
        let Some(whole) = self.part.entries().iter().find(|entry| entry.path == path) else { return Ok(()) };
        let Some(content) = whole.content() else { return Ok(()) };
        let is_here = self.content().any(|entry| has(layer, &entry.path));
        let is_below = below.is_some_and(|below| has(below, &path));
        if is_below && !is_here {
            return Ok(());
        }
        let text = content.read().context(self.name)?;
        let is_there = |line: &&[u8]| {
            // An MD5, two spaces, a path.
            let path = line.get(34..).map(|path| path.strip_suffix(b"\n").unwrap_or(path));
            path.and_then(|path| TreePath::parse(path).ok())
                .is_some_and(|path| has(layer, &path) || below.is_some_and(|below| has(below, &path)))
        };
        let kept: Vec<u8> = text.split_inclusive(|byte| *byte == b'\n').filter(is_there).flatten().copied().collect();
        match kept.is_empty() {
            true => layer.retain(|entry| entry.path != path),
            false => {
                let entry = Entry { node: Node::File(Content::from_bytes(kept)), ..whole.clone() };
                layer.replace(entry, &self.part.facts.owner);
            }
        }
        Ok(())
    }
}

/// The packages of which `layer` or what is `below` says that they are there.
fn said<'a>(
    layer: &PlannedLayer,
    below: Option<&PlannedLayer>,
    packages: &[Package<'a>],
    asked: &[String],
) -> BTreeSet<&'a str> {
    let is_there = |path: &TreePath| has(layer, path) || below.is_some_and(|below| has(below, path));
    let holds = |package: &&Package<'_>| {
        asked.iter().any(|name| name == package.name) || package.content().any(|entry| is_there(&entry.path))
    };
    let mut open: Vec<&Package<'a>> = packages.iter().filter(holds).collect();
    let mut said = BTreeSet::new();
    while let Some(package) = open.pop() {
        if said.insert(package.name) {
            let next = package.leads_to();
            open.extend(next.filter_map(|name| packages.iter().find(|other| other.name == name)));
        }
    }
    said
}

/// Leaves of the licences those that a copyright of `layer` points to, and adds those that are not `below`.
fn settle_licences(
    layer: &mut PlannedLayer,
    below: Option<&PlannedLayer>,
    packages: &[Package<'_>],
) -> Result<(), BuildError> {
    let mut named = BTreeSet::new();
    for entry in layer.tree().iter().filter(|entry| entry.path.is_below(DOCUMENTATION)) {
        if let Some(content) = entry.content() {
            let text = content.read().context(&entry.path)?;
            named.extend(licences_of(&text));
        }
    }
    let licences = packages.iter().flat_map(|package| package.part.entries().iter().map(move |entry| (entry, package)));
    let licences: Vec<_> = licences.filter(|(entry, _)| is_file(entry) && entry.path.is_below(LICENCES)).collect();
    // `GPL` is a link to the newest.
    for (entry, _) in &licences {
        if let Node::Symlink(target) = &entry.node
            && named.contains(entry.path.file_name())
        {
            named.insert(target.clone());
        }
    }
    for (entry, package) in licences {
        if !named.contains(entry.path.file_name()) {
            layer.retain(|there| there.path != entry.path);
        } else if !has(layer, &entry.path) && !below.is_some_and(|below| has(below, &entry.path)) {
            let added = layer.add(entry.clone(), &package.part.facts.owner);
            added.map_err(|clash| BuildError::new(clash.to_string()))?;
        }
    }
    Ok(())
}

/// The names of licences that a copyright points to.
fn licences_of(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    const BEFORE: &[u8] = b"common-licenses/";
    memchr::memmem::find_iter(text, BEFORE).map(|at| {
        let rest = &text[at + BEFORE.len()..];
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
        let end = rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len());
        let mut name = &rest[..end];
        // The end of a sentence.
        while let Some(shorter) = name.strip_suffix(b".") {
            name = shorter;
        }
        name.to_vec()
    })
}

/// Whether something other than a directory stands at `path`.
fn has(layer: &PlannedLayer, path: &TreePath) -> bool {
    layer.tree().get(path).is_some_and(is_file)
}

fn is_file(entry: &Entry) -> bool {
    !matches!(entry.node, Node::Directory)
}

fn is_said_of(path: &TreePath) -> bool {
    path.is_below(DOCUMENTATION) || path.is_below(STATUS_DIRECTORY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copyrights_point_to_licences() {
        let text = b"On Debian: `/usr/share/common-licenses/GPL-2'.\nand /usr/share/common-licenses/LGPL-2.1.\n\
            common-licenses/ and see /usr/share/common-licenses/Apache-2.0";
        let names: Vec<_> = licences_of(text).map(|name| String::from_utf8(name).unwrap()).collect();
        assert_eq!(names, ["GPL-2", "LGPL-2.1", "", "Apache-2.0"]);
    }

    #[test]
    fn documentation_and_records_are_no_content() {
        let of = |path: &str| is_said_of(&TreePath::parse(path).unwrap());
        assert!(of("usr/share/doc/libc6/copyright") && of("var/lib/dpkg/status.d/libc6.md5sums"));
        assert!(!of("usr/share/common-licenses/GPL-3") && !of("usr/lib/libx.so"));
    }
}
