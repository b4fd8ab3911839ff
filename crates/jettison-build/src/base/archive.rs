//! A base of an archive with an interpreter, in the form of python-build-standalone: a tar whose top directory is `python/`, with
//! the prefix in it, or in `python/install/` (its full archives).
//!
//! 1. [`ArchiveFile::parse`]: a URL with its digest, or a file of this machine.
//! 2. [`UnpackInterpreter`] is the step that makes a part of it, below `usr/local`.
//! 3. [`Base::archive`] adds the Debian packages that have the libraries which its files need.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jettison_debian::made;
use jettison_elf::ElfFacts;
use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Context, Operation, Output, StageGraph};
use jettison_engine::store::{Ref, Store};
use jettison_oci::layer::{TarKind, read_layer};
use jettison_python::Version;
use jettison_tree::{Content, Digest, Entry, FragmentWriter, Hasher, Node, TreePath};

use super::debian::glibc_of;
use super::scan::version_in;
use super::{Base, Choosing, check_version, made_entries};
use crate::choose;
use crate::error::{BuildError, Context as _};
use crate::fetch::{Wanted, fetch_all};
use crate::interpreter::{CLibrary, Interpreter, Machine};
use crate::link::{Present, link};
use crate::lockfile::LockedPackages;
use crate::optional;
use crate::part::{Owner, Part, PartFacts};
use crate::report::OwnerKind;
use crate::settings::Trim;
use crate::system::{Archives, Search, not_locked};
use crate::trim;
use crate::unpack::{SYMBOLS, facts_value};

/// Where the files go.
const PREFIX: &str = "usr/local";
/// Where the headers go, which extension modules are built with and no image has.
pub(super) const HEADERS: &str = "usr/local/include";
/// What the C library opens by itself, or programs of the base need.
const LIBRARIES: [&str; 2] = ["libc6", "libgcc-s1"];
/// No file of an interpreter is larger. Bytes.
const FILE_LIMIT: u64 = 1 << 30;
/// No archive of an interpreter has more files.
const MEMBERS: usize = 200_000;

/// An archive, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFile {
    place: Place,
    digest: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Url(String),
    Path(PathBuf),
}

impl fmt::Display for ArchiveFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Url(url) => f.write_str(url),
            Place::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

impl ArchiveFile {
    /// Parses what stands after `archive:`. Paths are relative to `root`. A URL without a digest is refused: nothing else would
    /// say what it must be.
    pub fn parse(text: &str, root: &Path) -> Result<Self, BuildError> {
        let (place, digest) = match text.split_once("#sha256=") {
            Some((place, hex)) => {
                let digest = Digest::from_hex(&hex.to_ascii_lowercase()).map_err(|_| {
                    BuildError::new(format!("`{hex}` is no sha256 digest")).hint("it has 64 hexadecimal digits")
                })?;
                (place, Some(digest))
            }
            None => (text, None),
        };
        if place.is_empty() {
            return Err(
                BuildError::new("`archive:` names no archive").hint("give archive:PATH, or archive:URL#sha256=DIGEST")
            );
        }
        let is_url = ["http://", "https://"].iter().any(|scheme| place.starts_with(scheme));
        match (is_url, digest) {
            (true, None) => Err(BuildError::new(format!("`{place}` has no digest, so that it could be anything"))
                .hint(
                    "append #sha256=DIGEST: release pages list it, or take that of a copy you trust with `sha256sum`",
                )),
            (true, Some(_)) => Ok(Self { place: Place::Url(place.to_owned()), digest }),
            (false, _) => {
                let path = place.strip_prefix("file://").unwrap_or(place);
                Ok(Self { place: Place::Path(root.join(path)), digest })
            }
        }
    }

    /// Where it lies on this machine.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Url(_) => None,
            Place::Path(path) => Some(path),
        }
    }

    /// The digest of a file of this machine.
    pub(super) fn local_digest(&self) -> Result<Option<Digest>, BuildError> {
        match &self.place {
            Place::Url(_) => Ok(None),
            Place::Path(path) => digest_of_file(path).map(Some),
        }
    }

    /// Brings it into the store.
    fn fetch(&self, choosing: &Choosing<'_>) -> Result<Digest, BuildError> {
        let job = choosing.job;
        match (&self.place, self.digest) {
            (Place::Url(url), Some(digest)) => {
                let name = url.rsplit('/').next().unwrap_or(url).to_owned();
                fetch_all(job, &[Wanted { name, urls: vec![url.clone()], digest, size: None }])?;
                Ok(digest)
            }
            (Place::Url(url), None) => Err(BuildError::new(format!("`{url}` has no digest"))),
            (Place::Path(path), wanted) => {
                let found = digest_of_file(path)?;
                if let Some(wanted) = wanted
                    && wanted != found
                {
                    return Err(BuildError::new(format!(
                        "`{}` has the digest {found}, and #sha256= asks for {wanted}",
                        path.display()
                    ))
                    .hint("it is another file than you think, or was cut short: fetch it again"));
                }
                job.store.put(File::open(path).context(path.display())?, Some(found))?;
                Ok(found)
            }
        }
    }
}

/// The digest of a file of this machine.
pub(super) fn digest_of_file(path: &Path) -> Result<Digest, BuildError> {
    let mut file = File::open(path).context(format!("cannot read `{}`", path.display()))?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer).context(path.display())? {
            0 => return Ok(hasher.finish().0),
            read => hasher.update(&buffer[..read]),
        }
    }
}

impl Base {
    /// The interpreter of an archive, and the Debian packages with what it needs.
    pub(super) fn archive(
        choosing: &Choosing<'_>,
        archives: &Archives<'_>,
        file: &ArchiveFile,
    ) -> Result<Self, BuildError> {
        let (job, trim) = (choosing.job, choosing.trim());
        let digest = file.fetch(choosing)?;
        let mut graph = StageGraph::new();
        let step = graph.add("unpack the interpreter", &[], UnpackInterpreter { digest, trim });
        let output = job.solve(&graph, &[step]).context(file)?;
        let part = Part::open(job.store, output[0].get()?)?;
        let version: Version = part.facts.owner.version.parse().map_err(|_| {
            BuildError::new(format!("`{file}`: `{}` is no version of Python", part.facts.owner.version))
        })?;
        check_version(choosing, &version, &file.to_string())?;
        let [major, minor, ..] = *version.release() else {
            return Err(BuildError::new(format!("`{file}`: `{version}` is no version of Python")));
        };
        let executable = TreePath::parse(format!("{PREFIX}/bin/python{major}.{minor}"))?;
        let facts = part.facts.elf.get(&executable).ok_or_else(|| {
            BuildError::new(format!("`{file}` has no program `bin/python{major}.{minor}`"))
                .hint("take an `install_only` archive of python-build-standalone")
        })?;
        if facts.abi != choosing.machine.abi {
            return Err(BuildError::new(format!(
                "the interpreter in `{file}` is for {}, and the image for {}",
                facts.abi, choosing.machine.arch
            ))
            .hint("take the archive for that machine, or say --platform"));
        }
        if facts.libc() == Some(jettison_elf::Libc::Musl) {
            return Err(BuildError::new(format!("the interpreter in `{file}` was built for musl (Alpine)"))
                .hint("take the archive whose name says `gnu`; its C library is Debian's here"));
        }

        let mut search = Search::new(archives, choosing.locked_packages(), choosing.locked_only);
        loop {
            let fixed = made::BASE_PACKAGES.iter().chain(&LIBRARIES).map(|name| (*name).to_owned());
            let roots = search.roots(fixed);
            let packages = match choosing.locked_packages().filter(|locked| search.answers(locked, &roots)) {
                Some(locked) => locked.clone(),
                None if choosing.locked_only => return Err(not_locked("the packages of the base")),
                None => choose::choose(archives.get()?, &roots, None, choosing.locked_packages(), &[])?,
            };
            choose::fetch(job, archives.mirrors(), &packages.package)?;
            let mut parts = vec![part.clone()];
            parts.extend(choose::unpack(job, &packages.package, trim)?);
            let (major, minor) = glibc_of(&packages)?;
            let interpreter = Interpreter::plain(version.clone(), &executable, CLibrary::Glibc(major, minor))?;
            let mut made = made_entries(choosing.machine, &interpreter, &parts)?;
            made.extend(own_library(choosing.machine, &part, facts)?);
            // What is optional is linked when something names it.
            let optional = |path: &TreePath| optional::module_of(path, &interpreter.stdlib).is_some();
            let linked = link(choosing.machine, &interpreter, &Present::default(), &parts, &[], &made, &|path| {
                trim != Trim::None && optional(path)
            })?;
            if let Some(problem) = linked.links.too_old.first() {
                return Err(BuildError::with_hint(problem.to_string(), problem.hint()));
            }
            if !search.add_missing(job, &linked, [])? {
                let packages = LockedPackages { sonames: search.into_sonames(), ..packages };
                return Ok(Self {
                    machine: choosing.machine,
                    created_by: format!("Python {version} of an archive, on Debian {}", packages.suite),
                    interpreter,
                    packages,
                    parts,
                    made,
                    image: None,
                    headers: None,
                });
            }
        }
    }
}

/// A link to the interpreter's own library where the loader finds it. The interpreter may have been built for another prefix, and the
/// place that it knows is not there.
fn own_library(machine: Machine, part: &Part, program: &ElfFacts) -> Result<Option<Entry>, BuildError> {
    let Some(name) = program.needed.iter().find(|name| name.starts_with("libpython")) else { return Ok(None) };
    let own = TreePath::parse(PREFIX)?.join(format!("lib/{name}"))?;
    let relative = program.rpath.iter().chain(&program.runpath).any(|path| path.contains("$ORIGIN"));
    let directory = machine.abi.library_dirs().into_iter().find(|directory| directory.starts_with("usr/lib/"));
    match directory {
        Some(directory) if !relative && part.facts.elf.contains_key(&own) => {
            Ok(Some(Entry::symlink(TreePath::parse(directory)?.join(name)?, format!("/{own}"))))
        }
        _ => Ok(None),
    }
}

/// Makes a part of an archive with an interpreter.
struct UnpackInterpreter {
    digest: Digest,
    trim: Trim,
}

impl UnpackInterpreter {
    fn make(&self, store: &Store, file: &mut File) -> Result<(), BuildError> {
        let mut blob = store.open_blob(self.digest)?;
        let mut tar = read_layer(&mut blob)?;
        let mut out = FragmentWriter::new(file);
        let owner = Owner { kind: OwnerKind::Interpreter, name: "cpython".to_owned(), version: String::new() };
        let mut contents = Contents { facts: PartFacts::new(owner), header: None, embedded: None };
        let mut written = std::collections::BTreeSet::new();
        let mut members = 0;
        while let Some(mut member) = tar.next_entry()? {
            members += 1;
            if members > MEMBERS {
                return Err(BuildError::new(format!("it has more than {MEMBERS} members")));
            }
            let header = member.header().clone();
            let Some(relative) = header.path()?.as_ref().and_then(in_prefix) else { continue };
            let reason = if self.trim == Trim::None { None } else { left_out(&relative) };
            if let Some(reason) = reason {
                if header.is_file() {
                    contents.facts.cut(reason, header.size);
                }
                continue;
            }
            let path = TreePath::parse(PREFIX)?.join(relative.as_bytes())?;
            let node = match header.kind {
                TarKind::Directory => Node::Directory,
                TarKind::Symlink => Node::Symlink(header.link.clone()),
                TarKind::HardLink => {
                    let target = TreePath::parse(&header.link)?;
                    match in_prefix(&target)
                        .map(|target| TreePath::parse(PREFIX)?.join(target.as_bytes()))
                        .transpose()?
                    {
                        Some(target) if written.contains(&target) => Node::HardLink(target),
                        _ => {
                            return Err(BuildError::new(format!(
                                "`{path}` is a link to `{target}`, which is not there"
                            )));
                        }
                    }
                }
                TarKind::File => {
                    if header.size > FILE_LIMIT {
                        return Err(BuildError::new(format!("`{path}` has {} bytes", header.size)));
                    }
                    let mut bytes = Vec::new();
                    member.read_to_end(&mut bytes)?;
                    let bytes = contents.look(&relative, &path, bytes, self.trim);
                    Node::File(Content::from_bytes(bytes))
                }
                // An interpreter has no devices.
                _ => continue,
            };
            if !written.insert(path.clone()) {
                match node {
                    Node::Directory => continue,
                    _ => return Err(BuildError::new(format!("`{path}` is there twice"))),
                }
            }
            let mode = if matches!(node, Node::Directory) || header.mode & 0o111 != 0 { 0o755 } else { 0o644 };
            let mode = if matches!(node, Node::Symlink(_)) { 0o777 } else { mode };
            out.push(&Entry::new(path, mode, (0, 0), node))?;
        }
        drop(tar);
        io::copy(&mut blob, &mut io::sink())?;
        let version = contents.header.or(contents.embedded).ok_or_else(|| {
            BuildError::new("it holds no CPython: there is no `python/bin/python3.X` and no `python/lib/python3.X`")
                .hint("take an `install_only` archive of python-build-standalone")
        })?;
        contents.facts.owner.version = version;
        out.finish(facts_value(&contents.facts)?)?;
        Ok(())
    }

    fn fragment_key(&self) -> CacheKey {
        CacheKey::builder("interpreter/1").digest("archive", self.digest).field("trim", self.trim.as_str()).finish()
    }
}

impl Operation for UnpackInterpreter {
    fn key(&self) -> CacheKey {
        self.fragment_key()
    }

    fn run(&self, context: &Context<'_>, _: &[Arc<Output>]) -> Result<Output, BoxError> {
        let key = self.fragment_key();
        context.store().fragment_or(&key, |file| self.make(context.store(), file))?;
        Ok(Output::new(&key)?.with(Ref::Fragment(key)))
    }
}

/// What is learned while unpacking.
struct Contents {
    facts: PartFacts,
    /// The version that `patchlevel.h` says.
    header: Option<String>,
    /// The version that the program or its library holds.
    embedded: Option<String>,
}

impl Contents {
    fn look(&mut self, relative: &TreePath, path: &TreePath, bytes: Vec<u8>, trim: Trim) -> Vec<u8> {
        let name = relative.as_str().unwrap_or_default();
        if name.starts_with("include/python3.") && name.ends_with("/patchlevel.h") {
            self.header = patchlevel(&bytes);
        }
        let Ok(Some(facts)) = ElfFacts::parse(&bytes) else { return bytes };
        if self.embedded.is_none() && (name.starts_with("bin/python3.") || name.starts_with("lib/libpython3.")) {
            self.embedded = minor_of(name).and_then(|minor| version_in(&bytes, minor));
        }
        self.facts.elf.insert(path.clone(), facts);
        if trim == Trim::None {
            return bytes;
        }
        match jettison_elf::strip(&bytes) {
            Ok(stripped) => {
                self.facts.cut(SYMBOLS, (bytes.len() - stripped.len()) as u64);
                stripped
            }
            Err(_) => bytes,
        }
    }
}

/// `3.12` of `bin/python3.12` and `lib/libpython3.12.so.1.0`.
fn minor_of(name: &str) -> Option<&str> {
    let minor = name.strip_prefix("bin/python").or_else(|| name.strip_prefix("lib/libpython"))?;
    Some(minor.split_once(".so").map_or(minor, |(minor, _)| minor))
}

/// `3.12.7` of `#define PY_VERSION "3.12.7"`.
pub(super) fn patchlevel(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("#define PY_VERSION"))?;
    let version = line.trim().trim_matches('"').trim_end_matches('+');
    version.parse::<Version>().ok().map(|_| version.to_owned())
}

/// The path in the prefix, of one in the archive.
fn in_prefix(path: &TreePath) -> Option<TreePath> {
    let inside = path.strip_prefix("python/install").or_else(|| path.strip_prefix("python"))?;
    let top = inside.as_str()?.split('/').next()?;
    ["bin", "include", "lib", "lib64", "share"].contains(&top).then_some(inside)
}

/// Why a file is left out. `path` is relative to the prefix.
fn left_out(path: &TreePath) -> Option<trim::Reason> {
    const PIP: &str = "pip and setuptools, which no image needs";
    const TK: &str = "Tcl and Tk";
    let path = path.as_str()?;
    let (top, rest) = path.split_once('/')?;
    match top {
        "bin" if !is_interpreter(rest) => Some("pip and setuptools, which no image needs"),
        "share" => Some("documentation"),
        "lib" | "lib64" if rest.ends_with(".a") || rest.starts_with("pkgconfig") => {
            Some("what embeds the interpreter in C programs")
        }
        "lib" if ["tcl", "tk", "itcl", "thread", "libtcl", "libtk", "Tix"].iter().any(|tk| rest.starts_with(tk)) => {
            Some(TK)
        }
        "lib" if rest.starts_with("python3.") || rest.starts_with("python3/") => {
            let (_, module) = rest.split_once('/')?;
            let installer = |name: &str| {
                let module = module.strip_prefix("site-packages/")?;
                module.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with(['/', '-', '.']))
            };
            let installers = ["pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack", "distutils-precedence"];
            if installers.iter().any(|name| installer(name).is_some()) || module == "site-packages/README.txt" {
                return Some(PIP);
            }
            if module.split('/').any(|component| component == "__pycache__") {
                return Some("bytecode made by the package");
            }
            trim::standard_library(module)
        }
        _ => None,
    }
}

/// `python`, `python3`, `python3.12`, and not `python3.12-config`.
fn is_interpreter(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
