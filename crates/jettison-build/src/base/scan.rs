//! What there is in an image that others are to stand on: read once from its layers, kept for good under its digest.
//!
//! 1. [`Scan::of`] stacks the layers and reads what counts: ELF files, sources of the interpreters, the files that tell
//!    which system it is.
//! 2. [`Scan::interpreter`] takes the interpreter that is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use jettison_debian::made::Account;
use jettison_debian::suite::{SUITES, Suite};
use jettison_elf::ElfFacts;
use jettison_oci::Image;
use jettison_oci::layer::{FlatNode, FlatTree, Origin};
use jettison_python::Version;
use jettison_tree::{Content, Digest, Entry, Hasher, TreePath};
use serde::{Deserialize, Serialize};

use super::archive::patchlevel;
use crate::error::BuildError;
use crate::interpreter::{CLibrary, Interpreter};
use crate::link::Present;

/// A file above this is not read. Bytes.
const FILE_LIMIT: u64 = 1 << 30;

/// What an image holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Scan {
    /// The interpreters, by their paths.
    interpreters: Vec<Interpreter>,
    /// What looks like interpreters and does not say which ones.
    unclear: Vec<String>,
    /// What `python`, `python3` and the interpreters' names lead to, wherever they stand.
    names: BTreeMap<TreePath, TreePath>,
    /// Its libraries and links.
    pub present: Present,
    /// The Python sources below the interpreters' libraries that have no bytecode.
    pub sources: BTreeMap<TreePath, Digest>,
    /// Which system it is.
    pub system: System,
    /// The Debian packages with their versions.
    pub packages: BTreeMap<String, String>,
    /// Whether the interpreter has its headers with it.
    headers: BTreeSet<TreePath>,
    /// The distributions that it has, by the directory that they stand in.
    pub distributions: BTreeSet<(TreePath, String)>,
    /// Whether it can find libraries by name.
    pub has_ldconfig: bool,
    /// Whether it has the certificates where images of ours have them.
    pub has_certificates: bool,
    /// Bytes of files of each layer that are seen in the end.
    pub layer_bytes: Vec<u64>,
    passwd: String,
    group: String,
    /// Directories near the root with the number of their user.
    directories: BTreeMap<TreePath, u32>,
}

/// Which system an image holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum System {
    /// A suite of Debian, by its codename.
    Debian(String),
    /// Another one, as it calls itself.
    Other(String),
}

/// What was read of the files of an image.
#[derive(Default)]
struct Files {
    texts: BTreeMap<TreePath, Vec<u8>>,
    elf: BTreeMap<TreePath, ElfFacts>,
    sources: BTreeMap<TreePath, Digest>,
    /// Versions that programs and libraries hold.
    versions: BTreeMap<TreePath, String>,
}

impl Scan {
    /// Reads an image.
    pub fn of(image: &Image) -> Result<Self, BuildError> {
        let tree = image.flatten()?;
        let candidates = candidates(&tree);
        let files = read(image, &tree, &candidates)?;
        let text = |path: &str| {
            let path = TreePath::parse(path).ok()?;
            let bytes = files.texts.get(&tree.resolve(&path)?.0)?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        };
        let mut packages = BTreeMap::new();
        for (path, bytes) in &files.texts {
            if path.is_below("var/lib/dpkg") {
                note_packages(&String::from_utf8_lossy(bytes), &mut packages);
            }
        }
        let libc = libc_of(&files, &packages);
        let (mut interpreters, mut unclear) = (Vec::new(), Vec::new());
        let mut headers = BTreeSet::new();
        for (path, minor) in &candidates {
            let (Some(libc), Some(version)) = (libc, version_of(&tree, &files, path, minor)) else {
                let what = if libc.is_none() { "the C library" } else { "the version" };
                unclear.push(format!("{what} of `/{path}` cannot be told"));
                continue;
            };
            let mut interpreter = Interpreter::plain(version, path, libc)?;
            let site = files.texts.get(&interpreter.stdlib.join("site.py")?);
            if site.is_some_and(|site| memchr::memmem::find(site, b"dist-packages").is_some()) {
                // Debian's: what is installed goes to /usr/local, as `pip install` of root does there.
                interpreter.site_packages = TreePath::parse(format!("usr/local/lib/python{minor}/dist-packages"))?;
                interpreter.prefix = TreePath::parse("usr/local")?;
            }
            let header = path
                .parent()
                .and_then(|bin| bin.parent())
                .map(|prefix| prefix.join(format!("include/python{minor}/Python.h")));
            if header.transpose()?.is_some_and(|header| tree.get(&header).is_some()) {
                headers.insert(path.clone());
            }
            interpreters.push(interpreter);
        }
        let there = |path: &str| TreePath::parse(path).is_ok_and(|path| tree.resolve(&path).is_some());
        let mut layer_bytes = vec![0; image.layers().count()];
        let mut seen = BTreeSet::new();
        for (_, entry) in tree.iter() {
            if let FlatNode::File { len, origin } = &entry.node
                && seen.insert(origin)
                && let Some(sum) = layer_bytes.get_mut(origin.layer)
            {
                *sum += len;
            }
        }
        let near = |path: &TreePath| path.as_bytes().iter().filter(|&&byte| byte == b'/').count() < 2;
        Ok(Self {
            names: names(&tree, candidates.keys()),
            system: system(text("etc/os-release").or_else(|| text("usr/lib/os-release")).as_deref()),
            packages,
            headers,
            distributions: distributions(&tree),
            has_ldconfig: ["sbin/ldconfig", "usr/sbin/ldconfig"].into_iter().any(there),
            has_certificates: there("etc/ssl/certs/ca-certificates.crt"),
            layer_bytes,
            passwd: text("etc/passwd").unwrap_or_default(),
            group: text("etc/group").unwrap_or_default(),
            directories: tree
                .iter()
                .filter(|(path, entry)| near(path) && matches!(entry.node, FlatNode::Directory))
                .map(|(path, entry)| (path.clone(), entry.uid as u32))
                .collect(),
            present: Present { library_dirs: library_dirs(&tree, &files), links: links(&tree), objects: files.elf },
            sources: files.sources,
            interpreters,
            unclear,
        })
    }

    /// The interpreter that is not `unwanted`: the first on `path`, the image's own, where there are several.
    pub fn interpreter(
        &self,
        place: &str,
        path: &str,
        mut unwanted: impl FnMut(&Version) -> Result<Option<String>, BuildError>,
    ) -> Result<&Interpreter, BuildError> {
        let mut wanted = Vec::new();
        let mut reasons = Vec::new();
        for interpreter in &self.interpreters {
            match unwanted(&interpreter.version)? {
                None => wanted.push(interpreter),
                Some(why) => reasons.push(format!("Python {}, and {why}", interpreter.version)),
            }
        }
        if let ([], [first, ..]) = (&self.interpreters[..], &self.unclear[..]) {
            return Err(BuildError::new(format!("`{place}`: {first}"))
                .hint("take an image with an ordinary CPython on glibc or musl, such as python:3.12-slim"));
        }
        if self.interpreters.is_empty() {
            return Err(BuildError::new(format!("there is no Python in `{place}`"))
                .hint("take an image that has one, such as python:3.12-slim, or leave --base out for Debian's"));
        }
        if wanted.is_empty() {
            return Err(BuildError::new(format!("`{place}` has {}", reasons.join("; ")))
                .hint("take a base with such a Python, or leave --base out for Debian's"));
        }
        let order: Vec<&str> = path.split(':').collect();
        let bin = |interpreter: &Interpreter| {
            let directory = interpreter.executable.rsplit_once('/').map_or("", |(directory, _)| directory).to_owned();
            let rank = order.iter().position(|dir| dir.trim_end_matches('/') == directory).unwrap_or(usize::MAX);
            let default = TreePath::parse(format!("{directory}/python3"));
            (rank, default.is_ok_and(|default| self.leads_to(&default) != self.program(interpreter)))
        };
        wanted.sort_by_key(|interpreter| bin(interpreter));
        match &wanted[..] {
            [first, second, ..] if bin(first) == bin(second) => {
                let all: Vec<&str> = wanted.iter().map(|interpreter| &*interpreter.executable).collect();
                Err(BuildError::new(format!("`{place}` has several Pythons: {}", all.join(", ")))
                    .hint("say which with --python"))
            }
            [first, ..] => Ok(first),
            [] => Err(BuildError::new(format!("there is no Python in `{place}`"))),
        }
    }

    fn leads_to(&self, path: &TreePath) -> Option<&TreePath> {
        self.names.get(path)
    }

    fn program(&self, interpreter: &Interpreter) -> Option<&TreePath> {
        self.leads_to(&TreePath::parse(&interpreter.executable).ok()?)
    }

    /// Links by which `python` and `python3` mean this interpreter, where on `path` they do not yet.
    pub fn links_to(&self, interpreter: &Interpreter, path: &str) -> Result<Vec<Entry>, BuildError> {
        let bin = interpreter.prefix.join("bin")?;
        let mut links = Vec::new();
        for name in ["python", "python3"] {
            let mut there = path
                .split(':')
                .filter_map(|directory| self.leads_to(&TreePath::parse(directory).ok()?.join(name).ok()?));
            if there.next() != self.program(interpreter) {
                links.push(Entry::symlink(bin.join(name)?, interpreter.executable.as_bytes()));
            }
        }
        Ok(links)
    }

    /// Whether the headers of this interpreter are there.
    pub fn has_headers(&self, interpreter: &Interpreter) -> bool {
        TreePath::parse(&interpreter.executable).is_ok_and(|path| self.headers.contains(&path))
    }

    /// What the account takes that the image does not have: lines in its own files, and a home.
    pub fn account_entries(&self, account: &Account) -> Result<Vec<Entry>, BuildError> {
        let mut entries = Vec::new();
        let numbers = |text: &str, at: usize| -> BTreeSet<u32> {
            text.lines().filter_map(|line| line.split(':').nth(at)?.parse().ok()).collect()
        };
        let names = |text: &str| -> BTreeSet<String> {
            text.lines().filter_map(|line| Some(line.split(':').next()?.to_owned())).collect()
        };
        let free = |text: &str| match names(text).contains(&account.name) {
            true => format!("{}-{}", account.name, account.uid),
            false => account.name.clone(),
        };
        let with = |text: &str, line: String| {
            let separator = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            Content::from_bytes(format!("{text}{separator}{line}\n").into_bytes())
        };
        if !numbers(&self.passwd, 2).contains(&account.uid) {
            let line = format!(
                "{0}:x:{1}:{2}:{0}:{3}:/sbin/nologin",
                free(&self.passwd),
                account.uid,
                account.gid,
                account.home
            );
            entries.push(Entry::file(TreePath::parse("etc/passwd")?, with(&self.passwd, line), false));
        }
        if !numbers(&self.group, 2).contains(&account.gid) {
            let line = format!("{}:x:{}:", free(&self.group), account.gid);
            entries.push(Entry::file(TreePath::parse("etc/group")?, with(&self.group, line), false));
        }
        let home = TreePath::parse(&account.home)?;
        if self.directories.get(&home) != Some(&account.uid) {
            entries.push(Entry { mode: 0o700, uid: account.uid, gid: account.gid, ..Entry::directory(home) });
        }
        Ok(entries)
    }
}

/// Programs that look like interpreters, and their minor versions. A virtual environment is none, and neither is a link to another
/// one of them.
fn candidates(tree: &FlatTree) -> BTreeMap<TreePath, String> {
    let mut found: BTreeMap<TreePath, (TreePath, String)> = BTreeMap::new();
    for (path, _) in tree.iter() {
        let Some(minor) = path.as_str().and_then(|text| text.rsplit_once("bin/python")).map(|(_, minor)| minor) else {
            continue;
        };
        let is_version = minor
            .strip_prefix("3.")
            .is_some_and(|rest| !rest.is_empty() && rest.len() < 4 && rest.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(prefix) = path.parent().filter(|bin| bin.file_name() == b"bin").and_then(|bin| bin.parent()) else {
            continue;
        };
        let has = |relative: &str| prefix.join(relative).is_ok_and(|path| tree.resolve(&path).is_some());
        if !is_version || has("pyvenv.cfg") || !has(&format!("lib/python{minor}/os.py")) {
            continue;
        }
        if let Some((resolved, entry)) = tree.resolve(path)
            && matches!(entry.node, FlatNode::File { .. })
        {
            let is_itself = resolved == *path;
            let known = found.entry(resolved).or_insert_with(|| (path.clone(), minor.to_owned()));
            if is_itself {
                known.0 = path.clone();
            }
        }
    }
    found.into_values().collect()
}

fn names<'c>(tree: &'c FlatTree, candidates: impl Iterator<Item = &'c TreePath>) -> BTreeMap<TreePath, TreePath> {
    let is_name =
        |path: &TreePath| [&b"bin/python"[..], b"bin/python3"].iter().any(|end| path.as_bytes().ends_with(end));
    let general = tree.iter().map(|(path, _)| path).filter(|path| is_name(path));
    general.chain(candidates).filter_map(|path| Some((path.clone(), tree.resolve(path)?.0))).collect()
}

fn read(image: &Image, tree: &FlatTree, candidates: &BTreeMap<TreePath, String>) -> Result<Files, BuildError> {
    let minors: BTreeMap<TreePath, &String> =
        candidates.iter().filter_map(|(path, minor)| Some((tree.resolve(path)?.0, minor))).collect();
    let libraries: Vec<TreePath> = candidates
        .iter()
        .filter_map(|(path, minor)| path.parent()?.parent()?.join(format!("lib/python{minor}")).ok())
        .collect();
    // Debian's interpreter has what is installed elsewhere.
    let elsewhere = [b"usr/lib/python3/dist-packages".as_slice(), b"usr/local/lib/python3"];
    let mut wanted: BTreeMap<Origin, Vec<TreePath>> = BTreeMap::new();
    for (path, entry) in tree.iter() {
        let FlatNode::File { len, origin } = &entry.node else { continue };
        let bytes = path.as_bytes();
        let is_source = bytes.ends_with(b".py")
            && (libraries.iter().any(|library| path.is_below(library.as_bytes()))
                || elsewhere.iter().any(|start| bytes.starts_with(start)));
        let is_wanted = is_source || is_library(path) || minors.contains_key(path) || tells(path);
        if is_wanted && *len <= FILE_LIMIT {
            wanted.entry(origin.clone()).or_default().push(path.clone());
        }
    }
    let mut files = Files::default();
    image.read_files(&wanted.keys().cloned().collect(), |origin, reader| {
        let paths = wanted.get(origin).map(Vec::as_slice).unwrap_or_default();
        let Some(first) = paths.first() else { return Ok(()) };
        if first.as_bytes().ends_with(b".py") && !first.as_bytes().ends_with(b"/site.py") {
            let digest = digest(reader)?;
            let compiled = |path: &&TreePath| !has_bytecode(tree, path);
            files.sources.extend(paths.iter().filter(compiled).map(|path| (path.clone(), digest)));
            return Ok(());
        }
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        for path in paths {
            if path.as_bytes().ends_with(b".py") && !has_bytecode(tree, path) {
                files.sources.insert(path.clone(), Digest::of(&bytes));
            }
            let minor = minors.get(path).map(|minor| minor.as_str()).or_else(|| minor_of_library(path));
            if let Some(version) = minor.and_then(|minor| version_in(&bytes, minor)) {
                files.versions.insert(path.clone(), version);
            }
            if path.file_name().starts_with(b"ld-musl-")
                && let Some(version) = version_in(&bytes, "1.")
            {
                files.versions.insert(path.clone(), version);
            }
        }
        if let Ok(Some(facts)) = ElfFacts::parse(&bytes) {
            files.elf.extend(paths.iter().map(|path| (path.clone(), facts.clone())));
        } else {
            files.texts.extend(paths.iter().map(|path| (path.clone(), bytes.clone())));
        }
        Ok(())
    })?;
    Ok(files)
}

fn digest(reader: &mut dyn Read) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hasher.finish().0),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Whether some interpreter has compiled this source already.
fn has_bytecode(tree: &FlatTree, source: &TreePath) -> bool {
    let (Some(directory), Some(stem)) = (source.parent(), source.file_name().strip_suffix(b".py")) else {
        return false;
    };
    let Ok(cache) = directory.join("__pycache__") else { return false };
    let start = [stem, b".cpython-3"].concat();
    let mut cached = tree.below(&cache).map(|(path, _)| path.file_name());
    cached.any(|name| name.starts_with(&start) && name.ends_with(b".pyc"))
}

fn is_library(path: &TreePath) -> bool {
    let name = path.file_name();
    name.ends_with(b".so") || memchr::memmem::find(name, b".so.").is_some()
}

/// `3.12` of `libpython3.12.so.1.0`.
fn minor_of_library(path: &TreePath) -> Option<&str> {
    let name = path.as_str()?.rsplit('/').next()?;
    let (minor, _) = name.strip_prefix("libpython")?.split_once(".so")?;
    Some(minor.trim_end_matches(['t', 'm']))
}

/// Whether a file tells what system this is, and who is in it.
fn tells(path: &TreePath) -> bool {
    const FILES: [&str; 6] =
        ["etc/os-release", "usr/lib/os-release", "var/lib/dpkg/status", "etc/passwd", "etc/group", "etc/ld.so.conf"];
    let Some(text) = path.as_str() else { return false };
    FILES.contains(&text)
        || (text.starts_with("var/lib/dpkg/status.d/") && !text.ends_with(".md5sums"))
        || (text.starts_with("etc/ld.so.conf.d/") && text.ends_with(".conf"))
        || (text.contains("/python3.") && (text.ends_with("/patchlevel.h") || text.ends_with("/site.py")))
}

fn version_of(tree: &FlatTree, files: &Files, path: &TreePath, minor: &str) -> Option<Version> {
    let prefix = path.parent()?.parent()?;
    let header = prefix.join(format!("include/python{minor}/patchlevel.h")).ok();
    let header = header.and_then(|path| patchlevel(files.texts.get(&path)?));
    let program = || files.versions.get(&tree.resolve(path)?.0).cloned();
    let library = || {
        let mut libraries = files.versions.iter().filter(|(path, _)| minor_of_library(path) == Some(minor));
        // That of its own prefix, where there are several.
        let own = libraries.clone().find(|(path, _)| path.is_below(prefix.as_bytes()));
        own.or_else(|| libraries.next()).map(|(_, version)| version.clone())
    };
    header.or_else(program).or_else(library)?.parse().ok()
}

/// The version of three numbers that a program holds as a string of C, which begins with `minor`.
pub(super) fn version_in(bytes: &[u8], minor: &str) -> Option<String> {
    let start = format!("{}.", minor.trim_end_matches('.'));
    memchr::memmem::find_iter(bytes, start.as_bytes()).find_map(|at| {
        if at.checked_sub(1).is_some_and(|before| bytes[before] != 0) {
            return None;
        }
        let end = memchr::memchr(0, bytes.get(at..bytes.len().min(at + 24))?)?;
        let text = std::str::from_utf8(&bytes[at..at + end]).ok()?.trim_end_matches('+');
        let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b".abrc".contains(&byte));
        let version: Version = text.parse().ok().filter(|_| plain)?;
        (version.release().len() == 3).then(|| text.to_owned())
    })
}

fn libc_of(files: &Files, packages: &BTreeMap<String, String>) -> Option<CLibrary> {
    let number = |text: &str| -> Option<(u16, u16)> {
        let mut numbers = text.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    let name = |path: &TreePath, name: &[u8]| path.file_name() == name;
    let glibc = files.elf.iter().filter(|(path, _)| name(path, b"libc.so.6"));
    // Old ones have the version in the name of the file, and `libc.so.6` is a link.
    let glibc = glibc.chain(
        files
            .elf
            .iter()
            .filter(|(path, facts)| facts.soname.as_deref() == Some("libc.so.6") && !name(path, b"libc.so.6")),
    );
    let versions = glibc.flat_map(|(_, facts)| &facts.defines).filter_map(|version| version.strip_prefix("GLIBC_"));
    if let Some((major, minor)) = versions.filter_map(number).max() {
        return Some(CLibrary::Glibc(major, minor));
    }
    if let Some((major, minor)) = packages.get("libc6").and_then(|version| number(version.split('-').next()?)) {
        return Some(CLibrary::Glibc(major, minor));
    }
    let musl = files.versions.iter().find(|(path, _)| path.file_name().starts_with(b"ld-musl-"));
    let (major, minor) = number(musl?.1)?;
    Some(CLibrary::Musl(major, minor))
}

fn library_dirs(tree: &FlatTree, files: &Files) -> Vec<String> {
    let mut read = |pattern: &str| -> Vec<String> {
        let pattern = pattern.trim_start_matches('/');
        let matching = files.texts.iter().filter(|(path, _)| {
            let text = path.as_str().unwrap_or_default();
            match pattern.split_once('*') {
                Some((start, end)) => {
                    text.starts_with(start) && text.ends_with(end) && text.len() >= start.len() + end.len()
                }
                None => text == pattern,
            }
        });
        matching.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect()
    };
    let mut dirs = jettison_elf::library_dirs(&mut read);
    // musl has its own list, and this is it where there is no file with another.
    dirs.extend(["lib", "usr/local/lib", "usr/lib"].map(str::to_owned));
    let is_there = |dir: &String| TreePath::parse(dir).is_ok_and(|path| tree.resolve(&path).is_some());
    let has_musl = tree.iter().any(|(path, _)| path.file_name().starts_with(b"ld-musl-"));
    let from_conf = if has_musl { dirs.len() } else { dirs.len() - 3 };
    dirs.truncate(from_conf);
    dirs.retain(is_there);
    dirs
}

/// The symbolic links to libraries, to directories, and between programs named `python`.
fn links(tree: &FlatTree) -> BTreeMap<TreePath, Vec<u8>> {
    let counts = |path: &TreePath| {
        let is_directory = || tree.resolve(path).is_some_and(|(_, entry)| matches!(entry.node, FlatNode::Directory));
        is_library(path) || path.file_name().starts_with(b"python3") || is_directory()
    };
    let symlinks = tree.iter().filter_map(|(path, entry)| match &entry.node {
        FlatNode::Symlink(target) => Some((path.clone(), target.clone())),
        _ => None,
    });
    symlinks.filter(|(path, _)| counts(path)).collect()
}

fn distributions(tree: &FlatTree) -> BTreeSet<(TreePath, String)> {
    let infos = tree.iter().filter_map(|(path, _)| {
        let name = path.as_str()?.strip_suffix(".dist-info/METADATA")?.rsplit('/').next()?.to_owned();
        Some((path.parent()?.parent()?, name))
    });
    infos.collect()
}

/// Adds the installed packages of a status file of dpkg.
fn note_packages(text: &str, packages: &mut BTreeMap<String, String>) {
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            let line = paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        let is_installed = field("Status").is_none_or(|status| status.ends_with(" installed"));
        if let (Some(name), Some(version), true) = (field("Package"), field("Version"), is_installed) {
            packages.insert(name, version);
        }
    }
}

/// Which system `os-release` says this is (os-release(5)).
fn system(text: Option<&str>) -> System {
    let field = |name: &str| {
        let line = text?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(line.trim().trim_matches('"').to_owned())
    };
    let name = field("PRETTY_NAME").or_else(|| field("ID")).unwrap_or_else(|| "no system with a name".to_owned());
    if field("ID").as_deref() != Some("debian") {
        return System::Other(name);
    }
    // Distroless images have the number alone.
    let number = field("VERSION_ID").and_then(|number| number.parse::<u8>().ok());
    let by_number = SUITES.iter().find(|suite| suite.number.is_some() && suite.number == number);
    let by_name = field("VERSION_CODENAME").and_then(|codename| Suite::find(&codename));
    match by_name.or(by_number) {
        Some(suite) => System::Debian(suite.codename.to_owned()),
        None => System::Other(name),
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
