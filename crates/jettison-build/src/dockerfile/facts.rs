//! Whose files a layer holds, and which of them an image could do without: found in the layer itself, once, while it is packed or read.
//!
//! - Debian packages, by dpkg's lists of files (`var/lib/dpkg/info/*.list`, and `status.d` of images without dpkg).
//! - Python distributions, by their `RECORD`.
//! - Interpreters, by where they stand.
//!
//! A layer that adds a package adds its list of files too, so each layer is looked at by itself. What none of them claims is the
//! layer's own.

use std::collections::BTreeMap;
use std::io;

use jettison_tree::TreePath;
use serde::{Deserialize, Serialize};

use crate::part::Owner;
use crate::report::OwnerKind;

/// A list of files is never longer. Bytes.
const LIST_LIMIT: u64 = 32 << 20;

/// What there is to say of a layer's files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Bytes of all files.
    pub bytes: u64,
    /// How many files there are.
    pub files: u64,
    /// Who owns the bytes. What nobody claims is in none of them.
    pub owners: Vec<(Owner, u64)>,
    /// What an image could do without, with bytes and files.
    pub excess: BTreeMap<Excess, (u64, u64)>,
}

/// Kinds of files that a native build would not have in its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Excess {
    /// Packages that compile.
    Compilers,
    /// Packages with headers.
    DevPackages,
    /// What apt keeps.
    AptCaches,
    /// What pip keeps.
    PipCaches,
    /// pip, setuptools and wheel.
    Installers,
    /// Manuals, documentation and translations.
    Documentation,
    /// `*.a`.
    StaticLibraries,
    /// Tests of the standard library.
    Tests,
    /// Compiled modules.
    Bytecode,
}

impl Excess {
    /// What people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compilers => "compilers and build tools",
            Self::DevPackages => "packages with headers (-dev)",
            Self::AptCaches => "lists and caches of apt",
            Self::PipCaches => "caches of pip",
            Self::Installers => "pip, setuptools and wheel",
            Self::Documentation => "documentation, manuals and translations",
            Self::StaticLibraries => "static libraries",
            Self::Tests => "tests of the standard library",
            Self::Bytecode => "compiled modules",
        }
    }
}

fn owner(kind: OwnerKind, name: impl Into<String>, version: impl Into<String>) -> Owner {
    Owner { kind, name: name.into(), version: version.into() }
}

/// Looks at the files of a layer, one after the other.
#[derive(Default)]
pub struct Collector {
    files: Vec<(TreePath, u64)>,
    /// Owners by the path of their files.
    claims: BTreeMap<Vec<u8>, usize>,
    owners: Vec<Owner>,
    versions: BTreeMap<String, String>,
}

impl Collector {
    /// A file of so many bytes. `read` is called for the few that say whose files there are.
    pub fn add(&mut self, path: &TreePath, len: u64, read: impl FnOnce() -> io::Result<Vec<u8>>) {
        self.files.push((path.clone(), len));
        if len > LIST_LIMIT {
            return;
        }
        let Some(list) = List::of(path) else { return };
        // A layer whose lists cannot be read has owners that are not known.
        let Ok(content) = read() else { return };
        match list {
            List::Dpkg(package) => {
                let paths = content.split(|&byte| byte == b'\n').map(merged);
                self.claim(owner(OwnerKind::Debian, package, ""), paths);
            }
            List::Checksums(package) => {
                let paths = content.split(|&byte| byte == b'\n').filter_map(|line| line.get(34..)).map(merged);
                self.claim(owner(OwnerKind::Debian, package, ""), paths);
            }
            List::Status => self.versions.extend(versions(&content)),
            List::Record { name, version } => {
                let root = site_packages(path);
                let paths = record_paths(&content).map(|file| resolve(root, &file));
                self.claim(owner(OwnerKind::Distribution, name, version), paths);
            }
        }
    }

    fn claim(&mut self, owner: Owner, paths: impl Iterator<Item = Vec<u8>>) {
        let number = self.owners.len();
        self.owners.push(owner);
        for path in paths.filter(|path| !path.is_empty()) {
            self.claims.entry(path).or_insert(number);
        }
    }

    /// What was found.
    pub fn finish(self) -> Facts {
        let mut facts = Facts { files: self.files.len() as u64, ..Facts::default() };
        let mut owners: BTreeMap<Owner, u64> = BTreeMap::new();
        for (path, len) in &self.files {
            facts.bytes += len;
            let claimed = self.claims.get(&merged(path.as_bytes())).map(|number| &self.owners[*number]);
            let owned = match claimed {
                Some(claimed) if claimed.kind == OwnerKind::Debian => {
                    let version = self.versions.get(&claimed.name).cloned().unwrap_or_default();
                    Some(owner(OwnerKind::Debian, claimed.name.clone(), version))
                }
                Some(claimed) => Some(claimed.clone()),
                None => interpreter(path),
            };
            if let Some(kind) = excess(path, owned.as_ref()) {
                let (bytes, files) = facts.excess.entry(kind).or_default();
                *bytes += len;
                *files += 1;
            }
            if let Some(owned) = owned {
                *owners.entry(owned).or_default() += len;
            }
        }
        facts.owners = owners.into_iter().collect();
        facts
    }
}

/// A file that says whose files there are.
enum List {
    Dpkg(String),
    Checksums(String),
    Status,
    Record { name: String, version: String },
}

impl List {
    fn of(path: &TreePath) -> Option<Self> {
        let text = path.as_str()?;
        if let Some(name) = text.strip_prefix("var/lib/dpkg/info/").and_then(|name| name.strip_suffix(".list")) {
            return Some(Self::Dpkg(name.split(':').next().unwrap_or(name).to_owned()));
        }
        if let Some(name) = text.strip_prefix("var/lib/dpkg/status.d/") {
            return match name.strip_suffix(".md5sums") {
                Some(name) => Some(Self::Checksums(name.to_owned())),
                None => Some(Self::Status),
            };
        }
        if text == "var/lib/dpkg/status" {
            return Some(Self::Status);
        }
        let directory = text.strip_suffix("/RECORD")?.rsplit('/').next()?.strip_suffix(".dist-info")?;
        let (name, version) = directory.split_once('-')?;
        Some(Self::Record { name: name.to_owned(), version: version.to_owned() })
    }
}

/// A path without the leading slash, and below `usr` where merged-usr has it.
fn merged(path: &[u8]) -> Vec<u8> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let first = path.split(|&byte| byte == b'/').next().unwrap_or_default();
    if matches!(first, b"bin" | b"sbin" | b"lib" | b"lib32" | b"lib64" | b"libx32") {
        return [b"usr/", path].concat();
    }
    path.to_vec()
}

/// Names and versions of dpkg's status file.
fn versions(content: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(content);
    let (mut found, mut name) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(package) = line.strip_prefix("Package: ") {
            name = Some(package.trim().to_owned());
        } else if let (Some(version), Some(_)) = (line.strip_prefix("Version: "), &name) {
            found.extend(name.take().map(|name| (name, version.trim().to_owned())));
        }
    }
    found
}

/// The directory that a `RECORD` is relative to.
fn site_packages(record: &TreePath) -> &[u8] {
    let bytes = record.as_bytes();
    let above = |path: &[u8]| path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    &bytes[..above(&bytes[..above(bytes)])]
}

/// The paths of a `RECORD` (PEP 376), as they are written there.
fn record_paths(content: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    content.split(|&byte| byte == b'\n').map(|line| match line.strip_prefix(b"\"") {
        Some(quoted) => quoted.split(|&byte| byte == b'"').next().unwrap_or_default().to_vec(),
        None => line.split(|&byte| byte == b',').next().unwrap_or_default().to_vec(),
    })
}

/// A path relative to a directory, `..` resolved, as [`merged`] has it.
fn resolve(directory: &[u8], path: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        return Vec::new();
    }
    if path.starts_with(b"/") {
        return merged(path);
    }
    let mut parts: Vec<&[u8]> = directory.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).collect();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    merged(&parts.join(&b'/'))
}

/// The interpreter that a file is of by its place: the standard library, the program, its shared library.
fn interpreter(path: &TreePath) -> Option<Owner> {
    let text = path.as_str()?;
    let after = |marker: &str| text.split_once(marker).map(|(_, rest)| rest);
    let version = |rest: &str| {
        let version: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let version = version.trim_end_matches('.');
        version.contains('.').then(|| owner(OwnerKind::Interpreter, "python", version))
    };
    if let Some(rest) = after("lib/python") {
        let is_library = !["/site-packages/", "/dist-packages/"].iter().any(|marker| rest.contains(marker));
        return version(rest).filter(|_| is_library);
    }
    let name = text.rsplit('/').next()?;
    let rest =
        name.strip_prefix("libpython").or_else(|| name.strip_prefix("python").filter(|_| text.contains("bin/")))?;
    version(rest)
}

fn excess(path: &TreePath, owner: Option<&Owner>) -> Option<Excess> {
    let text = path.as_str()?;
    let inside = |directory: &str| text.starts_with(directory);
    if inside("var/lib/apt/lists/") || inside("var/cache/apt/") || inside("var/cache/debconf/") {
        return Some(Excess::AptCaches);
    }
    if text.contains("/.cache/pip/") {
        return Some(Excess::PipCaches);
    }
    if let Some(Owner { kind: OwnerKind::Debian, name, .. }) = owner {
        if compiles(name) {
            return Some(Excess::Compilers);
        }
        if name.ends_with("-dev") || name.ends_with("-headers") {
            return Some(Excess::DevPackages);
        }
    }
    if let Some(Owner { kind: OwnerKind::Distribution, name, .. }) = owner
        && matches!(name.to_ascii_lowercase().as_str(), "pip" | "setuptools" | "wheel")
    {
        return Some(Excess::Installers);
    }
    let documentation =
        ["usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/local/share/man/"];
    if documentation.iter().any(|directory| inside(directory)) && !text.ends_with("/copyright") {
        return Some(Excess::Documentation);
    }
    if text.ends_with(".a") {
        return Some(Excess::StaticLibraries);
    }
    if let Some((_, rest)) = text.split_once("lib/python")
        && ["/test/", "/idlelib/", "/lib2to3/tests/"].iter().any(|tests| rest.find(tests).is_some_and(|at| at < 6))
    {
        return Some(Excess::Tests);
    }
    text.ends_with(".pyc").then_some(Excess::Bytecode)
}

/// Whether a package of Debian is there to compile.
fn compiles(name: &str) -> bool {
    const STARTS: [&str; 14] = [
        "gcc-",
        "g++-",
        "cpp-",
        "clang-",
        "llvm-",
        "libgcc-1",
        "rustc",
        "cargo",
        "golang-",
        "binutils",
        "cmake",
        "libstdc++-1",
        "gfortran",
        "libisl",
    ];
    const NAMES: [&str; 14] = [
        "gcc",
        "g++",
        "cpp",
        "make",
        "build-essential",
        "dpkg-dev",
        "autoconf",
        "automake",
        "libtool",
        "patch",
        "m4",
        "pkgconf",
        "pkg-config",
        "libmpc3",
    ];
    // Every program needs the one, and the other has no files but its copyright.
    let base = name.ends_with("-base") || name == "libgcc-s1";
    !base && (NAMES.contains(&name) || STARTS.iter().any(|start| name.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(files: &[(&str, u64, &str)]) -> Facts {
        let mut collector = Collector::default();
        for (path, len, content) in files {
            collector.add(&TreePath::parse(*path).unwrap(), *len, || Ok(content.as_bytes().to_vec()));
        }
        collector.finish()
    }

    #[test]
    fn files_have_owners() {
        let facts = facts(&[
            ("usr/bin/gcc-14", 1000, ""),
            ("usr/lib/x86_64-linux-gnu/libpq.so.5", 300, ""),
            ("usr/include/libpq-fe.h", 40, ""),
            ("var/lib/dpkg/info/libpq5:amd64.list", 0, "/.\n/lib/x86_64-linux-gnu/libpq.so.5\n"),
            ("var/lib/dpkg/info/libpq-dev.list", 0, "/usr/include/libpq-fe.h\n"),
            ("var/lib/dpkg/info/gcc-14.list", 0, "/usr/bin/gcc-14\n"),
            (
                "var/lib/dpkg/status",
                5,
                "Package: libpq5\nStatus: x\nVersion: 17.5-1\n\nPackage: gcc-14\nVersion: 14.2\n",
            ),
            ("usr/local/lib/python3.12/os.py", 20, ""),
            ("usr/local/lib/python3.12/test/test_os.py", 30, ""),
            ("opt/venv/lib/python3.12/site-packages/flask/app.py", 7, ""),
            ("opt/venv/bin/flask", 8, ""),
            (
                "opt/venv/lib/python3.12/site-packages/flask-3.1.dist-info/RECORD",
                9,
                "flask/app.py,sha256=x,7\n../../../bin/flask,,\n\"flask-3.1.dist-info/RECORD\",,\n",
            ),
            ("root/.cache/pip/http/a", 50, ""),
            ("app/main.py", 3, ""),
        ]);
        let owners: Vec<String> =
            facts.owners.iter().map(|(owner, bytes)| format!("{} {} {bytes}", owner.name, owner.version)).collect();
        insta::assert_debug_snapshot!(owners, @r#"
        [
            "gcc-14 14.2 1000",
            "libpq-dev  40",
            "libpq5 17.5-1 300",
            "python 3.12 50",
            "flask 3.1 24",
        ]
        "#);
        let excess: Vec<String> = facts.excess.iter().map(|(kind, (bytes, _))| format!("{kind:?} {bytes}")).collect();
        assert_eq!(excess, ["Compilers 1000", "DevPackages 40", "PipCaches 50", "Tests 30"]);
        assert_eq!((facts.files, facts.bytes), (14, 1472));
    }
}
