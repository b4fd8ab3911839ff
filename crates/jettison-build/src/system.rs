//! What distributions and project need of Debian besides the [`Base`].
//!
//! 1. [`libraries`] finds what their files miss: a [`Search`] from sonames to packages, until nothing is missing.
//! 2. [`check_links`] refuses what the C library cannot load.
//! 3. [`libraries_layer`] holds what was found.

use std::collections::{BTreeMap, BTreeSet};

use jettison_debian::suite::Suite;
use jettison_elf::ldconfig_stub;
use jettison_tree::{Content, Entry, Node, TreePath};

use crate::application::Application;
use crate::archive::{Archive, Mirrors};
use crate::base::{self, Base, made_alternatives, records};
use crate::choose;
use crate::distributions::Installed;
use crate::error::BuildError;
use crate::interpreter::Machine;
use crate::job::Job;
use crate::layers::PlannedLayer;
use crate::link::{Linked, link};
use crate::lockfile::{LockedPackage, LockedPackages};
use crate::optional;
use crate::part::{Owner, Part};
use crate::sdist::linked;
use crate::settings::Trim;

/// What was left out of the base because nothing reaches it, as the report says it.
pub const UNREACHED: &str = "shared libraries that nothing reaches";

/// An archive that is opened when it is needed.
pub struct Archives<'a> {
    job: &'a Job<'a>,
    mirrors: Mirrors,
    suite: String,
    machine: Machine,
    open: std::sync::OnceLock<Archive>,
    /// What the base is, where it is none that Debian's packages fit.
    other: Option<String>,
}

impl<'a> Archives<'a> {
    /// The archive of this suite and machine.
    pub fn new(job: &'a Job<'a>, mirrors: Mirrors, suite: &str, machine: Machine) -> Self {
        Self { job, mirrors, suite: suite.to_owned(), machine, open: std::sync::OnceLock::new(), other: None }
    }

    /// No archive: nothing of Debian's fits a base that is `other`.
    pub fn none(job: &'a Job<'a>, other: &str, machine: Machine) -> Self {
        let mirrors = Mirrors::of(job.machine);
        Self { other: Some(other.to_owned()), ..Self::new(job, mirrors, "", machine) }
    }

    /// Opens it, or returns it.
    pub fn get(&self) -> Result<&Archive, BuildError> {
        if let Some(archive) = self.open.get() {
            return Ok(archive);
        }
        if let Some(other) = &self.other {
            return Err(BuildError::new(format!("the base is {other}, to which no Debian package can be added")).hint(
                "put what is missing into the base image, take distributions that bring their libraries, or a base of Debian",
            ));
        }
        let progress = self.job.begin(&format!("read the Debian archive ({})", self.suite));
        let archive = Archive::open(self.job, &self.mirrors, &self.suite, self.machine.debian)?;
        drop(progress);
        Ok(self.open.get_or_init(|| archive))
    }

    /// What the base is, where it is none that Debian's packages fit.
    pub fn not_debian(&self) -> Option<&str> {
        self.other.as_deref()
    }

    /// The archive of the same suite for another machine.
    pub fn of_machine(&self, machine: Machine) -> Self {
        let open = std::sync::OnceLock::new();
        let (mirrors, suite, other) = (self.mirrors.clone(), self.suite.clone(), self.other.clone());
        Self { job: self.job, mirrors, suite, machine, open, other }
    }

    /// Where its files are.
    pub fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// Codename of the suite.
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// What the packages are for.
    pub fn machine(&self) -> Machine {
        self.machine
    }
}

/// From sonames to packages.
pub struct Search<'a> {
    archives: &'a Archives<'a>,
    locked: Option<&'a LockedPackages>,
    locked_only: bool,
    built_with: &'a [LockedPackage],
    sonames: BTreeMap<String, String>,
    nowhere: BTreeSet<String>,
}

impl<'a> Search<'a> {
    /// Nothing found yet. What was `locked` before is not looked up again.
    pub fn new(archives: &'a Archives<'a>, locked: Option<&'a LockedPackages>, locked_only: bool) -> Self {
        let (sonames, nowhere) = (BTreeMap::new(), BTreeSet::new());
        Self { archives, locked, locked_only, built_with: &[], sonames, nowhere }
    }

    /// Something was built where these packages are: they are asked first.
    fn built_with(self, built_with: &'a [LockedPackage]) -> Self {
        Self { built_with, ..self }
    }

    /// The packages that were found, and `fixed` ones.
    pub fn roots(&self, fixed: impl Iterator<Item = String>) -> Vec<String> {
        let mut roots: Vec<String> = fixed.chain(self.sonames.values().cloned()).collect();
        roots.sort();
        roots.dedup();
        roots
    }

    /// Whether `locked` is the answer to these roots.
    pub fn answers(&self, locked: &LockedPackages, roots: &[String]) -> bool {
        locked.roots == roots && locked.suite == self.archives.suite()
    }

    /// The package of each soname.
    pub fn into_sonames(self) -> BTreeMap<String, String> {
        self.sonames
    }

    /// Finds the packages of what is missing, and of the sonames that are `loaded` by name. `false` where there was nothing more to find.
    pub fn add_missing<'s>(
        &mut self,
        job: &Job<'_>,
        linked: &'s Linked,
        loaded: impl IntoIterator<Item = &'s String>,
    ) -> Result<bool, BuildError> {
        let missing = linked.links.missing.iter().filter(|missing| !missing.is_musl).map(|missing| {
            let hint = missing.hint().map_or_else(String::new, |hint| format!(" ({hint})"));
            (&missing.name, format!("{missing}{hint}"))
        });
        let loaded = loaded.into_iter().filter(|soname| !linked.has(soname));
        let loaded = loaded.map(|soname| (soname, format!("the project loads `{soname}`, which is not there")));
        let mut found = false;
        for (soname, what) in missing.chain(loaded) {
            if self.nowhere.contains(soname) || self.sonames.contains_key(soname) {
                continue;
            }
            let package = match self.locked.and_then(|locked| locked.sonames.get(soname)) {
                Some(package) => Some(package.clone()),
                None if self.locked_only => return Err(not_locked(&format!("the package that has {soname}"))),
                None => match linked::package_of(job.store, self.built_with, soname) {
                    Some(package) => Some(package),
                    None => {
                        let archive = self.archives.get().map_err(|error| error.context(&what))?;
                        archive.sonames(job)?.package(soname).map(str::to_owned)
                    }
                },
            };
            match package {
                Some(package) => {
                    self.sonames.insert(soname.clone(), package);
                    found = true;
                }
                None => {
                    self.nowhere.insert(soname.clone());
                    job.warn(format!("{what}, and no Debian package has it"));
                }
            }
        }
        Ok(found)
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

/// Finds the packages that have the libraries that distributions and the project's own files miss, and adds `with`.
#[expect(clippy::too_many_arguments, reason = "each is a separate input of the search")]
pub fn libraries(
    job: &Job<'_>,
    archives: &Archives<'_>,
    base: &Base,
    installed: &Installed,
    application: &Application,
    with: &[String],
    locked: Option<&LockedPackages>,
    locked_only: bool,
    trim: Trim,
) -> Result<Libraries, BuildError> {
    let distributions = &installed.parts;
    let named = distributions.iter().flat_map(|part| &part.facts.named).chain(&application.findings.named);
    let named = optional::closure(named);
    let present = base.present();
    let mut search = Search::new(archives, locked, locked_only).built_with(&installed.built_with);
    loop {
        let roots = search.roots(with.iter().cloned());
        let still = |locked: &&LockedPackages| search.answers(locked, &roots);
        let packages = match locked.filter(still) {
            Some(locked) => locked.clone(),
            None if roots.is_empty() => LockedPackages {
                suite: archives.suite().to_owned(),
                roots: Vec::new(),
                sonames: BTreeMap::new(),
                package: Vec::new(),
            },
            None if locked_only => return Err(not_locked(&format!("the packages {}", roots.join(", ")))),
            None => choose::choose(archives.get()?, &roots, Some(&base.packages), locked, &[])?,
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
        let linked = link(base.machine, &base.interpreter, &present, all, &application.objects, &links, &left_out)?;
        if !search.add_missing(job, &linked, &application.findings.sonames)? {
            let packages = LockedPackages { sonames: search.into_sonames(), ..packages };
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
            let wanted = if base::is_embeddable(&entry.path) && trim != Trim::None {
                libraries.linked.is_needed(&entry.path)
            } else if is_base {
                // A library that the interpreter does not reach, but something of the project does.
                let is_library = part.facts.elf.contains_key(&entry.path) || matches!(entry.node, Node::Symlink(_));
                let is_reached =
                    libraries.linked.links.reached.contains(&entry.path) || leads_to_reached(entry, part, libraries);
                // An optional module that something names.
                let module = optional::module_of(&entry.path, &base.interpreter.stdlib);
                is_library && is_reached || module.is_some_and(|module| libraries.named.contains(module))
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
    let has_ldconfig =
        base.has_ldconfig() || layer.tree().iter().any(|entry| entry.path.as_bytes() == b"usr/sbin/ldconfig");
    if !has_ldconfig && let Some(stub) = ldconfig_stub(base.machine.abi, libraries.linked.listing.as_bytes()) {
        let path = TreePath::parse("usr/sbin/ldconfig")?;
        layer.replace(Entry::file(path, Content::from_bytes(stub), true), &Owner::image());
    }
    if trim != Trim::None {
        let parts: Vec<&Part> = base.parts.iter().chain(&libraries.parts).collect();
        records::settle(&mut layer, Some(below), &parts, &libraries.packages.roots)?;
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

/// What `--locked` says where something would have to be chosen.
pub fn not_locked(what: &str) -> BuildError {
    BuildError::new(format!("{what} would have to be chosen, and --locked refuses that"))
        .hint(format!("build once without --locked and commit {}", crate::lockfile::LOCK_NAME))
}
