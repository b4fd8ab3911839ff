//! What can be imported from a distribution, by the files that it installs. `top_level.txt` is not trusted: many lack it, and
//! of namespaces it says nothing of use.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::entry_points::is_identifier;

/// A module that importing a distribution begins with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TopLevelModule {
    /// The name to import; dotted for a portion of a namespace package (PEP 420), such as `google.cloud.storage`.
    pub name: String,
    /// What it is.
    pub kind: ModuleKind,
}

/// What a module is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModuleKind {
    /// A directory with `__init__`.
    Package,
    /// A Python file.
    Module,
    /// A shared library.
    Extension,
}

/// Directories and files that lie beside the packages of many wheels by mistake; importing them proves nothing.
const STRAY: [&str; 14] = [
    "tests",
    "test",
    "docs",
    "doc",
    "examples",
    "example",
    "samples",
    "benchmarks",
    "benchmark",
    "scripts",
    "tools",
    "setup",
    "conftest",
    "noxfile",
];
/// Namespaces deeper than this are not looked into.
const DEPTH_LIMIT: usize = 8;

#[derive(Default)]
struct Node<'a> {
    children: BTreeMap<&'a str, Node<'a>>,
    files: BTreeSet<&'a str>,
}

impl<'a> Node<'a> {
    fn is_package(&self) -> bool {
        self.files.iter().any(|file| module(file).is_some_and(|(name, _)| name == "__init__"))
    }
}

/// The modules that these files, relative to `site-packages`, make importable, in order.
pub(super) fn top_level<'a>(files: impl Iterator<Item = &'a str>) -> Vec<TopLevelModule> {
    let mut root = Node::default();
    for file in files {
        let mut node = &mut root;
        let mut parts = file.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                node.files.insert(part);
            } else {
                node = node.children.entry(part).or_default();
            }
        }
    }
    let (mut regular, mut portions) = (Vec::new(), Vec::new());
    let names = |node: &Node<'a>| -> Vec<TopLevelModule> {
        let found = node.files.iter().filter_map(|file| module(file));
        found.map(|(name, kind)| TopLevelModule { name: name.to_owned(), kind }).collect()
    };
    regular.extend(names(&root));
    for (name, node) in root.children.iter().filter(|(name, _)| is_identifier(name)) {
        if node.is_package() {
            regular.push(TopLevelModule { name: (*name).to_owned(), kind: ModuleKind::Package });
        } else {
            namespace(name, node, DEPTH_LIMIT, &mut portions);
        }
    }
    // A loose file in a directory beside real packages is data more often than a module.
    if regular.iter().any(|module| !STRAY.contains(&module.name.as_str())) {
        portions.retain(|portion: &TopLevelModule| portion.kind == ModuleKind::Package);
    }
    regular.append(&mut portions);
    let first = |module: &TopLevelModule| module.name.split('.').next().is_some_and(|first| STRAY.contains(&first));
    if !regular.iter().all(first) {
        regular.retain(|module| !first(module));
    }
    regular.sort();
    regular.dedup_by(|a, b| a.name == b.name);
    regular
}

fn namespace(prefix: &str, node: &Node<'_>, depth: usize, portions: &mut Vec<TopLevelModule>) {
    let full = |name: &str| format!("{prefix}.{name}");
    for (name, kind) in node.files.iter().filter_map(|file| module(file)) {
        portions.push(TopLevelModule { name: full(name), kind });
    }
    for (name, child) in node.children.iter().filter(|(name, _)| is_identifier(name)) {
        if child.is_package() {
            portions.push(TopLevelModule { name: full(name), kind: ModuleKind::Package });
        } else if depth > 0 {
            namespace(&full(name), child, depth - 1, portions);
        }
    }
}

/// The name of the module that a file is.
fn module(file: &str) -> Option<(&str, ModuleKind)> {
    let (name, suffix) = file.split_once('.')?;
    let kind = match suffix {
        "py" | "pyc" => ModuleKind::Module,
        "so" if name.starts_with("lib") => return None,
        "so" | "abi3.so" | "abi3t.so" => ModuleKind::Extension,
        _ if suffix.starts_with("cpython-") && suffix.ends_with(".so") => ModuleKind::Extension,
        _ => return None,
    };
    is_identifier(name).then_some((name, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_by_their_files() {
        for (files, modules) in [
            (&["a/__init__.py", "a/b/__init__.py", "a-1.dist-info/METADATA"][..], &["a"][..]),
            (
                &["six.py", "_cffi.cpython-313-x86_64-linux-gnu.so", "_x.abi3.so", "numpy.libs/libz.so"],
                &["_cffi", "_x", "six"],
            ),
            (&["google/cloud/storage/__init__.py", "google/cloud/x.py"], &["google.cloud.storage", "google.cloud.x"]),
            (&["mpl/__init__.py", "mpl_toolkits/m/__init__.py", "share/x.py"], &["mpl", "mpl_toolkits.m"]),
            (&["a/__init__.cpython-313-x86_64-linux-gnu.so", "a/__init__.pyi"], &["a"]),
            (&["a/__init__.py", "tests/__init__.py", "setup.py", "docs/conf.py"], &["a"]),
            (&["tests/__init__.py"], &["tests"]),
            (&["a.py", "a/__init__.py", "b-c.py", "liba.so", "x.pth", "__pycache__/a.cpython-313.pyc"], &["a"]),
        ] {
            let found = top_level(files.iter().copied());
            let names: Vec<_> = found.iter().map(|module| module.name.as_str()).collect();
            assert_eq!(names, modules, "{files:?}");
        }
    }
}
