//! The profile: which modules verification saw the start command load, and whether that is still so.
//!
//! A profile is an input, written to the lock and used as it stands. It is taken again when the distributions change, and when the project's
//! files begin to import what was there but not loaded: whoever adds an import adds what the next start loads. That is told from the text of
//! the project alone, so that a build says the same on every machine.

use std::collections::{BTreeMap, BTreeSet};

use jettison_tree::{Digest, TreePath};

use crate::interpreter::Interpreter;
use crate::lockfile::Profile;

/// Adds the modules that the import statements of a source name: absolute ones, at the head of a line however deep. A name after
/// `from a import` counts as a module of `a`, since it may be one. What is no import after all, in a string, names nothing that is there.
pub fn note_imports(source: &[u8], imports: &mut BTreeSet<String>) {
    let source = String::from_utf8_lossy(source);
    let mut lines = source.lines().map(str::trim_start);
    while let Some(line) = lines.next() {
        if let Some(modules) = line.strip_prefix("import ") {
            imports.extend(modules.split(',').filter_map(first_name));
        } else if let Some(rest) = line.strip_prefix("from ")
            && let Some((module, names)) = rest.split_once(" import ").or_else(|| rest.split_once(" import("))
            && let Some(module) = first_name(module)
        {
            let mut names = names.split('#').next().unwrap_or_default().to_owned();
            let is_open = |names: &str| {
                let unclosed = (names.contains('(') || rest.contains(" import(")) && !names.contains(')');
                unclosed || names.trim_end().ends_with('\\')
            };
            while is_open(&names)
                && let Some(more) = lines.next()
            {
                names.truncate(names.trim_end_matches(['\\', ' ']).len());
                names.push(' ');
                names.push_str(more.split('#').next().unwrap_or_default());
            }
            let names = names.split(['(', ')', ',', ';']).filter_map(first_name);
            imports.extend(names.map(|name| format!("{module}.{name}")));
            imports.insert(module);
        }
    }
}

/// `a.b` of ` a.b as c`; `None` for what is no name, as a relative one.
fn first_name(text: &str) -> Option<String> {
    let name = text.split([' ', '\t', ';', '#', '(', ')']).find(|word| !word.is_empty())?;
    let is_identifier = |part: &str| {
        part.chars().all(|c| c.is_alphanumeric() || c == '_') && !part.starts_with(|c: char| c.is_ascii_digit())
    };
    name.split('.').all(|part| !part.is_empty() && is_identifier(part)).then(|| name.to_owned())
}

/// The modules among `imports`, and the packages around them, of which there is a source that the profile does not have.
pub fn not_loaded(
    imports: &BTreeSet<String>,
    loaded: &[String],
    sources: &BTreeMap<TreePath, Digest>,
    interpreter: &Interpreter,
) -> Vec<String> {
    let loaded: BTreeSet<TreePath> = loaded.iter().filter_map(|path| TreePath::parse(path).ok()).collect();
    let is_not_loaded = |module: &&str| {
        let relative = module.replace('.', "/");
        let places = [&interpreter.stdlib, &interpreter.site_packages].into_iter();
        let mut paths = places.flat_map(|place| {
            [format!("{relative}.py"), format!("{relative}/__init__.py")]
                .into_iter()
                .filter_map(|path| place.join(path).ok())
        });
        paths.any(|path| sources.contains_key(&path) && !loaded.contains(&path))
    };
    let with_packages = imports.iter().flat_map(|module| {
        let ends = module.match_indices('.').map(|(at, _)| at).chain([module.len()]);
        ends.map(move |end| &module[..end])
    });
    let modules: BTreeSet<&str> = with_packages.collect();
    modules.into_iter().filter(is_not_loaded).map(str::to_owned).collect()
}

impl Profile {
    /// Whether the project's files import something that is there, that was not loaded, and that they did not import when the profile was
    /// taken.
    pub fn is_outdated(
        &self,
        imports: &BTreeSet<String>,
        sources: &BTreeMap<TreePath, Digest>,
        interpreter: &Interpreter,
    ) -> bool {
        not_loaded(imports, &self.sources, sources, interpreter).iter().any(|module| !self.not_loaded.contains(module))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(source: &str) -> BTreeSet<String> {
        let mut imports = BTreeSet::new();
        note_imports(source.as_bytes(), &mut imports);
        imports
    }

    #[test]
    fn imports_are_read_from_the_text() {
        let names = |source: &str| imports(source).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(names("import a.b as c, d  # e"), "a.b d");
        assert_eq!(names("if x:\n\tfrom a.b import c as d, e"), "a.b a.b.c a.b.e");
        assert_eq!(names("from a import (\n    b,  # one\n    c as d,\n)\nimport e"), "a a.b a.c e");
        assert_eq!(names("from a import b, \\\n    c\nimport d; x()"), "a a.b a.c d");
        assert_eq!(names("from . import a\nfrom .b import c\nfrom a import *"), "a");
        assert_eq!(names("important = 1\nfrom here to there\n\"\"\"\nimport (\n"), "");
    }

    #[test]
    fn a_profile_is_outdated_by_an_import_of_what_was_not_loaded() {
        let interpreter = Interpreter::debian("3.13.5".parse().unwrap(), (2, 41)).unwrap();
        let path = |path: &str| TreePath::parse(path).unwrap();
        let installed = [
            "usr/lib/python3.13/json/__init__.py",
            "usr/lib/python3.13/csv.py",
            "usr/local/lib/python3.13/dist-packages/pandas/__init__.py",
            "usr/local/lib/python3.13/dist-packages/pandas/io/excel.py",
        ];
        let sources = installed.iter().map(|source| (path(source), Digest::of(b""))).collect();
        let loaded = vec![installed[0].to_owned(), format!("/{}", installed[2])];
        let before = imports("import json, csv, mine, pandas");
        let profile = Profile {
            of: Digest::of(b""),
            not_loaded: not_loaded(&before, &loaded, &sources, &interpreter),
            sources: loaded,
        };
        assert_eq!(profile.not_loaded, ["csv"]);
        let is_outdated = |source: &str| profile.is_outdated(&imports(source), &sources, &interpreter);
        assert!(!is_outdated("import csv, pandas, other"), "seen before, loaded, not there");
        assert!(!is_outdated("from json import loads"));
        assert!(is_outdated("from pandas.io import excel"));
        assert!(is_outdated("import pandas.io.excel"));
    }
}
