//! A base of Debian packages: the interpreter, its C library, certificates, time zones.

use jettison_debian::made;
use jettison_python::Version;

use super::{Base, made_entries};
use crate::choose;
use crate::error::{BuildError, Context as _};
use crate::interpreter::Interpreter;
use crate::job::Job;
use crate::lockfile::LockedPackages;
use crate::settings::Trim;
use crate::system::{Archives, not_locked};

impl Base {
    /// The packages for this Python: as locked, or chosen from the archive; fetched and unpacked.
    pub(super) fn debian(
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
            None => choose::choose(archives.get()?, &roots, None, locked, &[])?,
        };
        choose::fetch(job, archives.mirrors(), &packages.package)?;
        let parts = choose::unpack(job, &packages.package, trim)?;
        let interpreter = version_of(&packages, &roots[0]).and_then(|version| version.parse::<Version>().ok());
        let interpreter =
            interpreter.ok_or_else(|| BuildError::new(format!("{} has no version of Python", roots[0])))?;
        let interpreter = Interpreter::debian(interpreter, glibc_of(&packages)?)?;
        let made = made_entries(archives.machine(), &interpreter, &parts)?;
        Ok(Self {
            machine: archives.machine(),
            created_by: format!("Python {} on Debian {}", interpreter.version, packages.suite),
            headers: Some(format!("libpython{python}-dev")),
            interpreter,
            packages,
            parts,
            made,
            image: None,
        })
    }
}

/// The upstream version of a package.
fn version_of<'p>(packages: &'p LockedPackages, name: &str) -> Option<&'p str> {
    let package = packages.package.iter().find(|package| package.name == name);
    package.map(|package| upstream(&package.version))
}

/// The first two numbers of glibc's version.
pub(super) fn glibc_of(packages: &LockedPackages) -> Result<(u16, u16), BuildError> {
    let version = version_of(packages, "libc6").ok_or_else(|| BuildError::new("the base has no C library"))?;
    let mut numbers = version.split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(BuildError::new(format!("`{version}` is no version of glibc"))).context("libc6"),
    }
}

/// `3.13.5` of `1:3.13.5-2+deb13u1`.
fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    version.split(['+', '~']).next().unwrap_or(version)
}
