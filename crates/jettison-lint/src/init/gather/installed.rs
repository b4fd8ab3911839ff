//! The distributions that an image will have, and the packages of Debian that they need.

use super::GatherError;
use crate::init::facts::Dependencies;
use crate::tables::libraries::{Release, runtime_packages};
use crate::tables::wheels::{always_compiled, loaded_libraries};
use jettison_python::direct::DirectReference;
use jettison_python::lock::{Lock, Selection, Source};
use jettison_python::project::Project;
use jettison_python::requirements::{Requirements, Wanted};
use jettison_python::{Arch, Libc, Requirement, Tags, Target, Version};
use std::collections::{BTreeMap, BTreeSet};

/// The release of Debian that the base images are of, and the glibc that it has.
const RELEASE: Release = Release::Trixie;
const GLIBC: Libc = Libc::Glibc { major: 2, minor: 41 };
/// What every compiler is installed with: Debian's only recommends the headers of the C library.
const COMPILER: [&str; 2] = ["gcc", "libc6-dev"];
/// Distributions whose build asks `pkg-config` where their library is.
const BY_PKG_CONFIG: [&str; 2] = ["mysqlclient", "pycairo"];

/// The distributions that an image will have.
#[derive(Debug, Default)]
pub(super) struct Installed {
    /// Their names.
    pub(super) names: Vec<String>,
    /// Those that are certainly compiled, with the development packages of the libraries that they are linked with.
    compiled: BTreeMap<String, &'static [&'static str]>,
    /// Whether something comes out of a repository.
    has_git: bool,
    /// Whether directories of the project are among them.
    pub(super) has_local: bool,
    pub(super) notes: Vec<String>,
}

impl Installed {
    /// What the lock says for this Python on Debian, or what is asked for by name.
    pub(super) fn read(
        project: &Project,
        dependencies: &Dependencies,
        python: (u32, u32),
    ) -> Result<Self, GatherError> {
        let mut installed = Self { has_local: project.uv.workspace_members.is_some(), ..Self::default() };
        match Lock::read(project, &|_| None)? {
            Some(lock) => installed.take_lock(&lock, python)?,
            None => match dependencies {
                Dependencies::Requirements { files, .. } => {
                    installed.take_requirements(&Requirements::read(&project.root, files, &|_| None)?);
                }
                _ => project.dependencies.iter().for_each(|requirement| installed.take(requirement)),
            },
        }
        installed.names.sort();
        installed.names.dedup();
        Ok(installed)
    }

    fn take_lock(&mut self, lock: &Lock, python: (u32, u32)) -> Result<(), GatherError> {
        let version = Version::new([u64::from(python.0), u64::from(python.1), super::NEWEST_PATCH]);
        let tags = Tags::for_target(&Target::new(version, Arch::X86_64, GLIBC));
        let mut unknown = Vec::new();
        for locked in lock.select(&Selection::for_tags(&tags))? {
            let name = locked.name.to_string();
            match &locked.source {
                Source::Wheel(_) => {}
                Source::Sdist { .. } if always_compiled(&name).is_none() => unknown.push(name.clone()),
                Source::Sdist { .. } | Source::Listed { .. } => self.add_compiled(&name),
                Source::Directory { .. } => self.has_local = true,
                Source::Git(_) => self.has_git = true,
            }
            self.names.push(name);
        }
        if !unknown.is_empty() {
            let names = unknown.join(", ");
            self.notes.push(format!(
                "{names}: the lock has no wheel for Python {}.{} on Debian; if it is compiled, let the builder install what that needs",
                python.0, python.1
            ));
        }
        Ok(())
    }

    fn take_requirements(&mut self, requirements: &Requirements) {
        for entry in &requirements.entries {
            match &entry.wanted {
                Wanted::Direct(DirectReference::Path { .. }) => self.has_local = true,
                Wanted::Direct(DirectReference::Vcs(_)) => self.has_git = true,
                Wanted::Direct(DirectReference::Archive { .. }) | Wanted::Versions(_) => {}
            }
            if let Some(name) = &entry.name {
                self.add(name.as_str(), entry.extras.iter().map(|extra| extra.as_str()));
            }
        }
    }

    fn take(&mut self, requirement: &Requirement) {
        self.add(requirement.name.as_str(), requirement.extras.iter().map(|extra| extra.as_str()));
    }

    fn add<'a>(&mut self, name: &str, extras: impl Iterator<Item = &'a str>) {
        self.names.push(name.to_owned());
        self.add_compiled(name);
        for extra in extras.filter(|_| name == "psycopg") {
            let part = format!("psycopg-{extra}");
            self.add_compiled(&part);
            self.names.push(part);
        }
    }

    fn add_compiled(&mut self, name: &str) {
        if let Some(libraries) = always_compiled(name) {
            self.compiled.insert(name.to_owned(), libraries);
        }
    }

    /// Packages that building them needs.
    pub(super) fn build_packages(&self) -> Vec<String> {
        let mut packages: BTreeSet<&str> = self.compiled.values().copied().flatten().copied().collect();
        if !self.compiled.is_empty() {
            packages.extend(COMPILER);
        }
        if BY_PKG_CONFIG.iter().any(|name| self.compiled.contains_key(*name)) {
            packages.insert("pkgconf");
        }
        if self.has_git {
            packages.insert("git");
        }
        packages.into_iter().map(str::to_owned).collect()
    }

    /// Packages with the libraries that they load when they run.
    pub(super) fn runtime_packages(&self) -> Vec<String> {
        // The part of psycopg that has the library along does not load it.
        let brings = |name: &str| name == "psycopg" && self.names.iter().any(|other| other == "psycopg-binary");
        let loaded = self.names.iter().filter(|name| !brings(name)).flat_map(|name| loaded_libraries(name));
        let libraries = self.compiled.values().copied().flatten().copied().chain(loaded);
        let packages: BTreeSet<&str> =
            libraries.filter_map(|library| runtime_packages(library, RELEASE)).flatten().collect();
        packages.into_iter().map(str::to_owned).collect()
    }
}
