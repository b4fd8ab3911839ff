//! The Debian part of an image: interpreter, C library, certificates, time zones, and what the distributions need besides.
//!
//! 1. [`Base::choose`] finds the suite that has the wanted Python, and the packages that it needs there. 2. [`Base::layer`] puts them
//! together with what maintainer scripts would have made, and leaves out the libraries that the standard library does not reach: the
//! same layer for every project on this base. 3. [`libraries`] finds what the project's own files miss, and
//! [`libraries_layer`] adds it.

use std::collections::{BTreeMap, BTreeSet};

use jettison_debian::made::{self, Account, Alternative};
use jettison_debian::suite::Suite;
use jettison_elf::ldconfig_stub;
use jettison_python::Version;
use jettison_tree::{Content, Entry, Node, TreePath};

use crate::application::Application;
use crate::archive::{Archive, Mirrors};
use crate::choose;
use crate::error::{BuildError, Context as _};
use crate::interpreter::{Interpreter, Machine};
use crate::job::Job;
use crate::layers::PlannedLayer;
use crate::link::{Linked, link};
use crate::lockfile::LockedPackages;
use crate::optional;
use crate::part::{Owner, Part};
use crate::settings::Trim;

/// What was left out of the base because nothing reaches it, as the report says it.
pub const UNREACHED: &str = "shared libraries that nothing reaches";

/// The packages below every project with one interpreter.
pub struct Base {
    /// The machine.
    pub machine: Machine,
    /// The interpreter.
    pub interpreter: Interpreter,
    /// The packages, to be locked.
    pub packages: LockedPackages,
    /// The packages, unpacked.
    pub parts: Vec<Part>,
    /// What maintainer scripts would have made.
    pub made: Vec<Entry>,
}

/// An archive that is opened when it is needed.
pub struct Archives<'a> {
    job: &'a Job<'a>,
    mirrors: Mirrors,
    suite: String,
    machine: Machine,
    open: std::cell::OnceCell<Archive>,
}

impl<'a> Archives<'a> {
    /// The archive of this suite and machine.
    pub fn new(job: &'a Job<'a>, mirrors: Mirrors, suite: &str, machine: Machine) -> Self {
        Self { job, mirrors, suite: suite.to_owned(), machine, open: std::cell::OnceCell::new() }
    }

    /// Opens it, or returns it.
    pub fn get(&self) -> Result<&Archive, BuildError> {
        if let Some(archive) = self.open.get() {
            return Ok(archive);
        }
        let progress = self.job.begin(&format!("read the Debian archive ({})", self.suite));
        let archive = Archive::open(self.job, &self.mirrors, &self.suite, self.machine.debian)?;
        drop(progress);
        Ok(self.open.get_or_init(|| archive))
    }

    /// Where its files are.
    pub fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// Codename of the suite.
    pub fn suite(&self) -> &str {
        &self.suite
    }
}

/// The suite that has a version of Python: the one asked for, or the newest stable one.
pub fn suite_for(python: &str, asked: Option<&str>) -> Result<&'static Suite, BuildError> {
    let suite = match asked {
        Some(name) => Suite::find(name).ok_or_else(|| {
            BuildError::new(format!("there is no Debian suite `{name}`")).hint("such as debian:trixie")
        })?,
        None => Suite::with_python(python).ok_or_else(|| no_python(python))?,
    };
    if suite.python != python && !suite.other_pythons.contains(&python) {
        return Err(BuildError::new(format!("Debian {} has Python {}, not {python}", suite.codename, suite.python))
            .hint("leave the suite out of --base, or ask for another Python"));
    }
    Ok(suite)
}

fn no_python(python: &str) -> BuildError {
    let has: Vec<String> =
        jettison_debian::suite::SUITES.iter().map(|suite| format!("{} ({})", suite.python, suite.codename)).collect();
    BuildError::new(format!("no Debian suite has Python {python}; there is {}", has.join(", "))).hint(
        "ask for one of these with --python, or give an interpreter: --base docker://python:3.12-slim or --base archive:URL#sha256=DIGEST",
    )
}

impl Base {
    /// The packages for this Python: as locked, or chosen from the archive; fetched and unpacked.
    pub fn choose(
        job: &Job<'_>,
        archives: &Archives<'_>,
        python: &str,
        locked: Option<&LockedPackages>,
        locked_only: bool,
        trim: Trim,
    ) -> Result<Self, BuildError> {
        let mut roots = vec![format!("python{python}-minimal"), format!("libpython{python}-stdlib")];
        roots.extend(made::BASE_PACKAGES.map(str::to_owned));
        let packages = match locked.filter(|locked| locked.suite == archives.suite() && locked.roots == roots) {
            Some(locked) => locked.clone(),
            None if locked_only => return Err(not_locked("the packages of the base")),
            None => choose::choose(archives.get()?, &roots, None, locked)?,
        };
        choose::fetch(job, archives.mirrors(), &packages.package)?;
        let parts = choose::unpack(job, &packages.package, trim)?;
        let version = |name: &str| {
            let package = packages.package.iter().find(|package| package.name == name);
            package.map(|package| upstream(&package.version).to_owned())
        };
        let interpreter = version(&roots[0]).and_then(|version| version.parse::<Version>().ok());
        let interpreter =
            interpreter.ok_or_else(|| BuildError::new(format!("{} has no version of Python", roots[0])))?;
        let glibc = version("libc6").ok_or_else(|| BuildError::new("the base has no C library"))?;
        let interpreter = Interpreter::debian(interpreter, glibc_version(&glibc)?)?;
        let made = made_entries(archives.machine, &interpreter, &parts)?;
        Ok(Self { machine: archives.machine, interpreter, packages, parts, made })
    }

    /// The layer, and the bytes of libraries that were left out of it.
    pub fn layer(&self, account: &Account, trim: Trim) -> Result<(PlannedLayer, crate::part::Cut), BuildError> {
        let created_by = format!("Python {} on Debian {}", self.interpreter.version, self.packages.suite);
        let mut layer = PlannedLayer::new(created_by);
        for part in &self.parts {
            layer.add_part(part).map_err(|clash| BuildError::new(clash.to_string()))?;
        }
        for entry in
            self.made.iter().cloned().chain(made::accounts(Some(account)).map_err(|e| BuildError::new(e.to_string()))?)
        {
            layer.replace(entry, &Owner::image());
        }
        let mut cut = crate::part::Cut::default();
        if trim != Trim::None {
            let stdlib = &self.interpreter.stdlib;
            let is_optional = |path: &TreePath| optional::module_of(path, stdlib).is_some();
            layer.retain(|entry| !is_optional(&entry.path));
            let linked = link(self.machine, &self.interpreter, &self.parts, &[], &self.made, &is_optional)?;
            drop_unreached(&mut layer, &linked, &mut cut);
            // Their bundle is in.
            layer.retain(|entry| !entry.path.is_below("usr/share/ca-certificates"));
        }
        let directories: BTreeSet<TreePath> = self.made.iter().map(|entry| entry.path.clone()).collect();
        let home = TreePath::parse(&account.home)?;
        layer.drop_empty_directories(|entry| directories.contains(&entry.path) || entry.path == home);
        Ok((layer, cut))
    }
}

fn drop_unreached(layer: &mut PlannedLayer, linked: &Linked, cut: &mut crate::part::Cut) {
    for entry in layer.tree().iter().filter(|entry| linked.unreached.contains(&entry.path)) {
        cut.add(entry.content().map_or(0, Content::len));
    }
    layer.retain(|entry| !linked.unreached.contains(&entry.path));
}

/// What nobody ships and programs count on.
fn made_entries(machine: Machine, interpreter: &Interpreter, parts: &[Part]) -> Result<Vec<Entry>, BuildError> {
    let entries = || parts.iter().flat_map(Part::entries);
    let mut made = made::usr_merge(machine.debian);
    made.extend(made::directories());
    made.extend(made::name_service());
    let certificates = made::ca_certificates(entries(), &[]);
    made.extend(certificates.map_err(|error| BuildError::with_hint(error.to_string(), error.hint()))?);
    made.extend(made_alternatives(parts));
    let (major, minor) = interpreter.minor();
    for name in ["python3", "python"] {
        made.push(Entry::symlink(TreePath::parse(format!("usr/bin/{name}"))?, format!("python{major}.{minor}")));
    }
    for directory in [&interpreter.site_packages, &interpreter.prefix.join("bin")?] {
        made.push(Entry::directory(directory.clone()));
    }
    Ok(made)
}

fn made_alternatives(parts: &[Part]) -> Vec<Entry> {
    let there: BTreeSet<&TreePath> = parts.iter().flat_map(Part::entries).map(|entry| &entry.path).collect();
    let asked = parts.iter().flat_map(|part| &part.facts.alternatives).map(|asked| Alternative {
        link: asked.link.clone(),
        name: asked.name.clone(),
        target: asked.target.clone(),
        priority: asked.priority,
    });
    made::alternatives(asked, |path| there.contains(path))
}

/// What the distributions and the project need of Debian besides the base.
pub struct Libraries {
    /// The packages, to be locked.
    pub packages: LockedPackages,
    /// The packages, unpacked.
    pub parts: Vec<Part>,
    /// How all of it links.
    pub linked: Linked,
    /// Links that the packages would have asked for.
    pub made: Vec<Entry>,
    /// Optional modules of the standard library that something names.
    pub named: BTreeSet<&'static str>,
}

/// Finds the packages that have the libraries that `distributions` and the project's own files miss, and adds `with`.
#[expect(clippy::too_many_arguments, reason = "each is a separate input of the search")]
pub fn libraries(
    job: &Job<'_>,
    archives: &Archives<'_>,
    base: &Base,
    distributions: &[Part],
    application: &Application,
    with: &[String],
    locked: Option<&LockedPackages>,
    locked_only: bool,
    trim: Trim,
) -> Result<Libraries, BuildError> {
    let named = distributions.iter().flat_map(|part| &part.facts.named).chain(&application.findings.named);
    let named = optional::closure(named);
    let mut sonames: BTreeMap<String, String> = BTreeMap::new();
    let mut nowhere: BTreeSet<String> = BTreeSet::new();
    loop {
        let mut roots: Vec<String> = with.iter().cloned().chain(sonames.values().cloned()).collect();
        roots.sort();
        roots.dedup();
        let still = |locked: &&LockedPackages| locked.roots == roots && locked.suite == archives.suite();
        let packages = match locked.filter(still) {
            Some(locked) => locked.clone(),
            None if roots.is_empty() => LockedPackages {
                suite: archives.suite().to_owned(),
                roots: Vec::new(),
                sonames: BTreeMap::new(),
                package: Vec::new(),
            },
            None if locked_only => return Err(not_locked(&format!("the packages {}", roots.join(", ")))),
            None => choose::choose(archives.get()?, &roots, Some(&base.packages), locked)?,
        };
        choose::fetch(job, archives.mirrors(), &packages.package)?;
        let parts = choose::unpack(job, &packages.package, trim)?;
        let made = made_alternatives(&parts);
        let links: Vec<Entry> = base.made.iter().chain(&made).cloned().collect();
        let all = base.parts.iter().chain(&parts).chain(distributions);
        let left_out = |path: &TreePath| {
            let module = optional::module_of(path, &base.interpreter.stdlib);
            trim != Trim::None && module.is_some_and(|module| !named.contains(module))
        };
        let linked = link(base.machine, &base.interpreter, all, &application.objects, &links, &left_out)?;
        let mut found = false;
        let missing = linked.links.missing.iter().filter(|missing| !missing.is_musl).map(|missing| {
            let hint = missing.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
            (&missing.name, format!("{missing}{hint}"))
        });
        let loaded = application.findings.sonames.iter().filter(|soname| !linked.has(soname));
        let loaded = loaded.map(|soname| (soname, format!("the project loads `{soname}`, which is not there")));
        for (soname, what) in missing.chain(loaded) {
            if nowhere.contains(soname) || sonames.contains_key(soname) {
                continue;
            }
            let package = match locked.and_then(|locked| locked.sonames.get(soname)) {
                Some(package) => Some(package.clone()),
                None if locked_only => return Err(not_locked(&format!("the package that has {soname}"))),
                None => archives.get()?.sonames(job)?.package(soname).map(str::to_owned),
            };
            match package {
                Some(package) => {
                    sonames.insert(soname.clone(), package);
                    found = true;
                }
                None => {
                    nowhere.insert(soname.clone());
                    job.warn(format!("{what}, and no Debian package has it"));
                }
            }
        }
        if !found {
            let packages = LockedPackages { sonames, ..packages };
            return Ok(Libraries { packages, parts, linked, made, named });
        }
    }
}

/// Refuses what the C library of the base is too old for, and what was built for another one.
pub fn check_links(linked: &Linked) -> Result<(), BuildError> {
    if let Some(problem) = linked.links.too_old.first() {
        return Err(BuildError::with_hint(problem.to_string(), problem.hint()));
    }
    if let Some(missing) = linked.links.missing.iter().find(|missing| missing.is_musl) {
        return Err(BuildError::with_hint(missing.to_string(), missing.hint()));
    }
    Ok(())
}

/// The layer with what the base layer does not have.
pub fn libraries_layer(
    base: &Base,
    below: &PlannedLayer,
    libraries: &Libraries,
    trim: Trim,
) -> Result<PlannedLayer, BuildError> {
    let names: Vec<&str> = libraries.packages.package.iter().map(|package| package.name.as_str()).collect();
    let created_by = match &names[..] {
        [] => "what the project needs of the base".to_owned(),
        names => format!("libraries: {}", names.join(", ")),
    };
    let mut layer = PlannedLayer::new(created_by);
    let unreached = |path: &TreePath| trim != Trim::None && libraries.linked.unreached.contains(path);
    for part in base.parts.iter().chain(&libraries.parts) {
        let is_base = base.parts.iter().any(|other| other.key == part.key);
        for entry in part.entries() {
            let wanted = if is_base {
                // A library that the interpreter does not reach, but something of the project does.
                let is_library = part.facts.elf.contains_key(&entry.path) || matches!(entry.node, Node::Symlink(_));
                is_library
                    && libraries.linked.links.reached.contains(&entry.path) | leads_to_reached(entry, part, libraries)
            } else {
                !unreached(&entry.path)
            };
            let there = below.tree().get(&entry.path).is_some_and(|there| !matches!(there.node, Node::Directory));
            if wanted && !there {
                layer.add(entry.clone(), &part.facts.owner).map_err(|clash| BuildError::new(clash.to_string()))?;
            }
        }
    }
    for entry in &libraries.made {
        layer.replace(entry.clone(), &Owner::image());
    }
    let has_ldconfig = layer.tree().iter().any(|entry| entry.path.as_bytes() == b"usr/sbin/ldconfig");
    if !has_ldconfig && let Some(stub) = ldconfig_stub(base.machine.abi, libraries.linked.listing.as_bytes()) {
        let path = TreePath::parse("usr/sbin/ldconfig")?;
        layer.replace(Entry::file(path, Content::from_bytes(stub), true), &Owner::image());
    }
    layer.drop_empty_directories(|_| false);
    Ok(layer)
}

/// Whether a symbolic link of a package leads to a library of the same package that is reached.
fn leads_to_reached(entry: &Entry, part: &Part, libraries: &Libraries) -> bool {
    let Node::Symlink(target) = &entry.node else { return false };
    let Some(parent) = entry.path.parent() else { return false };
    let target = if target.starts_with(b"/") { TreePath::parse(target) } else { parent.join(target) };
    target.is_ok_and(|target| part.facts.elf.contains_key(&target) && libraries.linked.links.reached.contains(&target))
}

fn not_locked(what: &str) -> BuildError {
    BuildError::new(format!("{what} would have to be chosen, and --locked refuses that"))
        .hint(format!("build once without --locked and commit {}", crate::lockfile::LOCK_NAME))
}

/// `3.13.5` of `1:3.13.5-2+deb13u1`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    version.split(['+', '~']).next().unwrap_or(version)
}

fn glibc_version(version: &str) -> Result<(u16, u16), BuildError> {
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(BuildError::new(format!("`{version}` is no version of glibc"))).context("libc6"),
    }
}
