//! What the dynamic loader would do, without running anything.
//!
//! 1. [`Linker`] takes the ELF files and symbolic links of a tree, and the directories that its loader searches.
//! 2. [`Linker::link`] starts a process for each root: the program with its libraries first, then the root, as `dlopen` of an
//!    extension module does. Each `DT_NEEDED` is looked up as `_dl_map_object` of glibc's elf/dl-load.c does: what is loaded
//!    already by that name, `DT_RPATH` up the chain of loaders, `DT_RUNPATH`, the system's directories.
//! 3. What is not found, but belongs to the same owner, is taken for one of the libraries that packages load by hand before.
//! 4. Versions of symbols are held against what the library that was found defines.
//! 5. [`Linker::unreached`] are the libraries that no root leads to.

use std::collections::{BTreeMap, BTreeSet};

use jettison_tree::TreePath;

use crate::findings::{Edge, Foreign, Found, Links, Missing, VersionProblem};
use crate::ldconfig::cache_order;
use crate::search::{Files, Object, expand};
use crate::{Abi, ElfFacts, Kind};

/// Libraries that the C library opens by itself when they are wanted: nothing names them, and they always stay.
const OPENED_BY_LIBC: [&[u8]; 5] = [
    // pthread_exit, cancelling a thread, C++ exceptions.
    b"libgcc_s.so.1",
    // getaddrinfo and getpwnam, as /etc/nsswitch.conf says; parts of libc.so.6 since 2.34, needed before.
    b"libnss_files.so.2",
    b"libnss_dns.so.2",
    b"libnss_compat.so.2",
    b"libresolv.so.2",
];

/// Where glibc looks first in every directory, for a build of the library for newer processors.
const HWCAPS: &[u8] = b"glibc-hwcaps";

/// A tree as its loader sees it.
#[derive(Debug)]
pub struct Linker<'a> {
    abi: Abi,
    files: Files<'a>,
    /// The system's directories, in the order of the search.
    dirs: Vec<String>,
}

/// One file in a process that is being started.
#[derive(Clone)]
struct Loaded<'t, 'a> {
    path: &'t TreePath,
    object: Object<'a>,
    /// Where it was found: `$ORIGIN` is this place, and not the one that symbolic links lead to.
    found_at: TreePath,
    /// What loaded it.
    loader: Option<usize>,
}

/// A process that is being started.
#[derive(Clone, Default)]
struct Process<'t, 'a> {
    loaded: Vec<Loaded<'t, 'a>>,
    /// What answers to a name: a soname, or one by which something was found.
    names: BTreeMap<&'a str, usize>,
    /// How many of `loaded` have what they need.
    done: usize,
}

/// A name that was found.
struct Hit<'t, 'a> {
    path: &'t TreePath,
    object: Object<'a>,
    found_at: TreePath,
    found: Found,
}

/// What is known over all processes.
#[derive(Default)]
struct Findings<'t, 'a> {
    lookups: BTreeMap<(&'t TreePath, &'a str), Option<(&'t TreePath, Found)>>,
    reached: BTreeSet<&'t TreePath>,
    too_old: BTreeSet<VersionProblem>,
}

impl<'t, 'a> Findings<'t, 'a> {
    /// Remembers an answer: one that found something counts more than one that did not, and the first more than the next.
    fn note(&mut self, user: &'t TreePath, name: &'a str, answer: Option<(&'t TreePath, Found)>) {
        let known = self.lookups.entry((user, name)).or_insert(answer);
        *known = known.or(answer);
    }
}

impl<'t, 'a> Process<'t, 'a> {
    fn add(&mut self, loaded: Loaded<'t, 'a>) -> usize {
        let index = self.loaded.len();
        if let Some(soname) = loaded.object.facts.soname.as_deref() {
            self.names.entry(soname).or_insert(index);
        }
        self.loaded.push(loaded);
        index
    }
}

impl<'a> Linker<'a> {
    /// An empty tree for programs of one ABI. `library_dirs` are searched before the loader's own: those of the image's
    /// `ld.so.conf` ([`library_dirs`](crate::library_dirs)), without leading slash.
    pub fn new(abi: Abi, library_dirs: impl IntoIterator<Item = String>) -> Self {
        let mut dirs: Vec<String> = Vec::new();
        for dir in library_dirs.into_iter().chain(abi.library_dirs()) {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        Self { abi, files: Files::default(), dirs }
    }

    /// Adds an ELF file. `owner` is what it came with: a distribution or a Debian package, by its name.
    pub fn object(&mut self, path: TreePath, facts: &'a ElfFacts, owner: &'a str) {
        self.files.objects.insert(path, Object { facts, owner });
    }

    /// Adds a symbolic link, whatever it leads to.
    pub fn symlink(&mut self, path: TreePath, target: impl Into<Vec<u8>>) {
        self.files.links.insert(path, target.into());
    }

    /// Every file that may be asked for by its path: programs, extension modules, plugins, libraries that came with a
    /// distribution. That is all but the libraries of the system, of which only those are roots that glibc opens by itself.
    pub fn roots(&self) -> impl Iterator<Item = &TreePath> {
        let system = self.system_dirs();
        let is_root =
            move |path: &TreePath| !is_system_library(path, &system) || OPENED_BY_LIBC.contains(&path.file_name());
        self.files.objects.keys().filter(move |path| is_root(path))
    }

    /// Links `roots` into processes of `program`, usually the Python interpreter. A root that is a program itself gets a
    /// process of its own. A library counts as found where one way of loading its user finds it.
    pub fn link<'p>(&self, program: Option<&TreePath>, roots: impl IntoIterator<Item = &'p TreePath>) -> Links {
        let mut findings = Findings::default();
        let mut foreign = BTreeSet::new();
        let mut parent = Process::default();
        if let Some(program) = program {
            self.start(&mut parent, program, &mut findings);
        }
        for root in roots {
            let Some((path, object)) = self.object_at(root.as_bytes()) else { continue };
            if !matches!(object.facts.kind, Kind::Executable | Kind::Dynamic) {
                continue;
            }
            if object.facts.abi != self.abi {
                foreign.insert(Foreign { path: path.clone(), owner: object.owner.to_owned(), abi: object.facts.abi });
            } else if object.facts.is_program {
                self.start(&mut Process::default(), root, &mut findings);
            } else {
                self.start(&mut parent.clone(), root, &mut findings);
            }
        }
        self.reach_variants(&mut findings.reached);

        let mut links = Links {
            reached: findings.reached.into_iter().cloned().collect(),
            too_old: findings.too_old.into_iter().collect(),
            foreign: foreign.into_iter().collect(),
            ..Links::default()
        };
        for ((from, name), answer) in findings.lookups {
            match answer {
                Some((to, found)) => {
                    links.edges.push(Edge { from: from.clone(), name: name.to_owned(), to: to.clone(), found });
                }
                None => links.missing.push(self.missing(from, name)),
            }
        }
        links
    }

    /// The libraries of the system that `links` does not lead to, and the symbolic links to them: nothing that was asked for
    /// will miss them.
    pub fn unreached(&self, links: &Links) -> Vec<TreePath> {
        let system = self.system_dirs();
        let opened_links = self.files.links.keys().filter(|link| OPENED_BY_LIBC.contains(&link.file_name()));
        let opened: BTreeSet<&TreePath> =
            opened_links.filter_map(|link| self.object_at(link.as_bytes())).map(|(path, _)| path).collect();
        let useless = |path: &TreePath| {
            let is_opened = OPENED_BY_LIBC.contains(&path.file_name()) || opened.contains(path);
            let kept = links.reached.contains(path) || is_opened;
            is_system_library(path, &system) && !kept
        };
        let leads_there = |link: &&TreePath| {
            let target = self.object_at(link.as_bytes());
            !OPENED_BY_LIBC.contains(&link.file_name()) && target.is_some_and(|(path, _)| useless(path))
        };
        let files = self.files.objects.keys().filter(|path| useless(path));
        let mut paths: Vec<_> = files.chain(self.files.links.keys().filter(leads_there)).cloned().collect();
        paths.sort();
        paths
    }

    /// The file that `dlopen` of a soname gets from the directories of the system.
    pub fn find(&self, soname: &str) -> Option<&TreePath> {
        self.in_system(soname).map(|hit| hit.path)
    }

    /// The soname that `ctypes.util.find_library(name)` gets, where [`ldconfig_listing`](crate::ldconfig_listing) of
    /// [`libraries`](Self::libraries) is what `ldconfig -p` prints.
    pub fn find_library(&self, name: &str) -> Option<String> {
        let matches = |soname: &str| {
            let rest = soname.strip_prefix("lib").and_then(|rest| rest.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with('.') && rest.len() > 1)
        };
        self.libraries().into_iter().map(|(soname, _)| soname).find(|soname| matches(soname))
    }

    /// The libraries of the system as `(name, path)`, for each name by which they can be asked for, in the order of
    /// `ldconfig -p`: of several versions the newest comes first. Where two directories hold a name, the first one's counts.
    pub fn libraries(&self) -> Vec<(String, TreePath)> {
        let mut libraries = BTreeMap::new();
        for dir in self.dirs.iter().filter_map(|dir| self.files.follow(dir.as_bytes())) {
            let files = below(&self.files.objects, &dir).chain(below(&self.files.links, &dir));
            for path in files {
                let name = path.as_str().and_then(|text| text.rsplit('/').next());
                let Some(name) = name.filter(|name| is_library_name(name.as_bytes())) else { continue };
                let Some((_, object)) = self.object_at(path.as_bytes()) else { continue };
                // `libz.so.1.3` is not listed, since nobody asks for it; `libz.so`, for compilers, is.
                let asked_for =
                    object.facts.soname.as_deref().is_none_or(|soname| soname == name) || name.ends_with(".so");
                if self.can_load(object) && asked_for {
                    libraries.entry(name.to_owned()).or_insert_with(|| path.clone());
                }
            }
        }
        let mut libraries: Vec<_> = libraries.into_iter().collect();
        libraries.sort_by(|(a, _), (b, _)| cache_order(b, a).then_with(|| a.cmp(b)));
        libraries
    }

    fn object_at(&self, path: &[u8]) -> Option<(&TreePath, Object<'a>)> {
        let path = self.files.follow(path)?;
        self.files.objects.get_key_value(&path).map(|(path, object)| (path, *object))
    }

    fn can_load(&self, object: Object<'_>) -> bool {
        object.facts.abi == self.abi && object.facts.kind == Kind::Dynamic
    }

    fn system_dirs(&self) -> BTreeSet<TreePath> {
        self.dirs.iter().filter_map(|dir| self.files.follow(dir.as_bytes())).collect()
    }

    /// Loads a file into a process, and then all that it leads to, breadth first.
    fn start<'t>(&'t self, process: &mut Process<'t, 'a>, root: &TreePath, findings: &mut Findings<'t, 'a>) {
        let Some((path, object)) = self.object_at(root.as_bytes()) else { return };
        if process.loaded.iter().any(|loaded| loaded.path == path) {
            return;
        }
        let first = process.done;
        let loader = (!process.loaded.is_empty()).then_some(0);
        // The kernel follows the links to a program, and tells it where they led.
        let found_at = if object.facts.is_program { path.clone() } else { root.clone() };
        findings.reached.insert(path);
        let index = process.add(Loaded { path, object, found_at, loader });
        if let Some(name) = object.facts.interpreter.as_deref() {
            let interpreter = self.object_at(name.as_bytes());
            findings.note(path, name, interpreter.map(|(path, _)| (path, Found::Interpreter)));
            if let Some((path, object)) = interpreter {
                findings.reached.insert(path);
                process.add(Loaded { path, object, found_at: path.clone(), loader: Some(index) });
            }
        }
        while let Some(facts) = process.loaded.get(process.done).map(|user| user.object.facts) {
            let user = process.done;
            process.done += 1;
            for name in &facts.needed {
                self.need(process, user, name, false, findings);
            }
            for name in &facts.dlopens {
                self.need(process, user, name, true, findings);
            }
        }
        for user in &process.loaded[first..] {
            self.check_versions(process, user, findings);
        }
    }

    fn need<'t>(
        &'t self,
        process: &mut Process<'t, 'a>,
        user: usize,
        name: &'a str,
        optional: bool,
        findings: &mut Findings<'t, 'a>,
    ) {
        let path = process.loaded[user].path;
        let Some(hit) = self.look_up(process, user, name) else {
            if !optional {
                findings.note(path, name, None);
            }
            return;
        };
        findings.note(path, name, Some((hit.path, if optional { Found::Dlopen } else { hit.found })));
        findings.reached.insert(hit.path);
        // One file under two names is loaded once.
        let known = process.loaded.iter().position(|loaded| loaded.path == hit.path);
        let Hit { path, object, found_at, .. } = hit;
        let index = known.unwrap_or_else(|| process.add(Loaded { path, object, found_at, loader: Some(user) }));
        process.names.entry(name).or_insert(index);
    }

    /// glibc, elf/dl-load.c, `_dl_map_object`. `LD_LIBRARY_PATH` has no part in it.
    fn look_up<'t>(&'t self, process: &Process<'t, 'a>, user: usize, name: &str) -> Option<Hit<'t, 'a>> {
        if let Some(&index) = process.names.get(name) {
            let Loaded { path, object, found_at, .. } = process.loaded[index].clone();
            return Some(Hit { path, object, found_at, found: Found::Loaded });
        }
        let (facts, owner) = (process.loaded[user].object.facts, process.loaded[user].object.owner);
        if name.contains('/') {
            let path = expand(name, &process.loaded[user].found_at, self.abi).into_iter().next()?;
            return self.hit(&path, Found::Path);
        }
        let among = |index: usize, dirs: &[String], found| {
            let dirs = dirs.iter().flat_map(|dir| expand(dir, &process.loaded[index].found_at, self.abi));
            dirs.into_iter().find_map(|dir| self.hit(&[&dir, &b"/"[..], name.as_bytes()].concat(), found))
        };
        if facts.runpath.is_empty() {
            // Up the chain of loaders, and then the program, which may not be in it.
            let chain = std::iter::successors(Some(user), |&index| process.loaded[index].loader).chain([0]);
            let facts = |index: usize| process.loaded[index].object.facts;
            let mut with_rpath = chain.filter(|&index| facts(index).runpath.is_empty());
            if let Some(hit) = with_rpath.find_map(|index| among(index, &facts(index).rpath, Found::Rpath)) {
                return Some(hit);
            }
        }
        let in_system = || if facts.no_default_dirs { None } else { self.in_system(name) };
        among(user, &facts.runpath, Found::Runpath).or_else(in_system).or_else(|| {
            let (path, object) = self.elsewhere(name).find(|(_, object)| object.owner == owner)?;
            Some(Hit { path, object: *object, found_at: path.clone(), found: Found::Preloaded })
        })
    }

    /// The file at a path, if processes of this machine can load it.
    fn hit(&self, path: &[u8], found: Found) -> Option<Hit<'_, 'a>> {
        let slash = path.iter().rposition(|&byte| byte == b'/')?;
        let (file, object) = self.object_at(path).filter(|(_, object)| self.can_load(*object))?;
        let found_at = match self.files.follow(&path[..slash]) {
            Some(parent) => parent.join(&path[slash + 1..]).ok()?,
            None => file.clone(),
        };
        Some(Hit { path: file, object, found_at, found })
    }

    fn in_system(&self, name: &str) -> Option<Hit<'_, 'a>> {
        self.dirs.iter().find_map(|dir| self.hit(format!("/{dir}/{name}").as_bytes(), Found::System))
    }

    /// Files anywhere that answer to a name.
    fn elsewhere(&self, name: &str) -> impl Iterator<Item = (&TreePath, &Object<'a>)> {
        self.files.objects.iter().filter(move |(path, object)| {
            let answers = object.facts.soname.as_deref() == Some(name) || path.file_name() == name.as_bytes();
            answers && self.can_load(**object)
        })
    }

    /// What is loaded instead of a library that was reached, on newer processors.
    fn reach_variants<'t>(&'t self, reached: &mut BTreeSet<&'t TreePath>) {
        for path in self.files.objects.keys() {
            let Some(dir) = hwcaps_of(path) else { continue };
            let plain = self.object_at(&[dir.as_bytes(), b"/", path.file_name()].concat());
            if plain.is_some_and(|(plain, _)| reached.contains(plain)) {
                reached.insert(path);
            }
        }
    }

    fn missing(&self, from: &TreePath, name: &str) -> Missing {
        let owner = self.files.objects.get(from).map_or("", |object| object.owner);
        let last = name.rsplit('/').next().unwrap_or(name);
        Missing {
            name: name.to_owned(),
            needed_by: from.clone(),
            owner: owner.to_owned(),
            elsewhere: self.elsewhere(name).map(|(path, _)| path.clone()).collect(),
            is_musl: last.starts_with("libc.musl-") || last.starts_with("ld-musl-") || last == "libc.so",
        }
    }

    /// A library without versions is taken as it is (glibc, elf/dl-version.c).
    fn check_versions(&self, process: &Process<'_, 'a>, user: &Loaded<'_, 'a>, findings: &mut Findings<'_, 'a>) {
        for (library, versions) in &user.object.facts.requires {
            let Some(provider) = process.names.get(library.as_str()).map(|&index| &process.loaded[index]) else {
                continue;
            };
            let defines = &provider.object.facts.defines;
            for version in versions.iter().filter(|version| !defines.is_empty() && !defines.contains(*version)) {
                let family = |version: &str| version.rsplit_once('_').map(|(family, _)| family.to_owned());
                let numbered = |version: &str| version.ends_with(|c: char| c.is_ascii_digit());
                let same = |defined: &&String| family(defined) == family(version) && numbered(defined);
                findings.too_old.insert(VersionProblem {
                    needed_by: user.path.clone(),
                    owner: user.object.owner.to_owned(),
                    library: library.clone(),
                    version: version.clone(),
                    provider: provider.path.clone(),
                    newest: defines.iter().filter(same).max_by(|a, b| cache_order(a, b)).cloned(),
                });
            }
        }
    }
}

/// The files right in a directory.
fn below<'m, V>(map: &'m BTreeMap<TreePath, V>, dir: &TreePath) -> impl Iterator<Item = &'m TreePath> {
    let dir = dir.clone();
    // `dir/x` comes before `dir0`, whatever `x` is.
    let end = [dir.as_bytes(), b"0"].concat();
    let inside = map.range(dir.clone()..).map(|(path, _)| path).take_while(move |path| path.as_bytes() < &end[..]);
    inside.filter(move |path| path.parent().as_ref() == Some(&dir))
}

/// `lib*.so*`, and the loader itself.
fn is_library_name(name: &[u8]) -> bool {
    let head = [&b"lib"[..], b"ld-", b"ld64."].iter().any(|head| name.starts_with(head));
    head && name.windows(3).any(|window| window == b".so")
}

/// `dir`, of `dir/glibc-hwcaps/<level>/<library>`.
fn hwcaps_of(path: &TreePath) -> Option<TreePath> {
    let hwcaps = path.parent()?.parent()?;
    if hwcaps.file_name() == HWCAPS { hwcaps.parent() } else { None }
}

fn is_system_library(path: &TreePath, dirs: &BTreeSet<TreePath>) -> bool {
    let dir = hwcaps_of(path).or_else(|| path.parent());
    is_library_name(path.file_name()) && dir.is_some_and(|dir| dirs.contains(&dir))
}
