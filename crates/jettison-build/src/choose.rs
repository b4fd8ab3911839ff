//! Which Debian packages an image has: the closure of what is asked for, as locked before or from the archive.

use std::collections::{BTreeMap, BTreeSet};

use jettison_debian::made::SCRIPT_PACKAGES;
use jettison_debian::solve::{Request, solve};
use jettison_debian::{Universe, relation};
use jettison_engine::graph::StageGraph;

use crate::archive::{Archive, Mirrors};
use crate::error::{BuildError, Context as _};
use crate::fetch::{Wanted, fetch_all};
use crate::job::Job;
use crate::lockfile::{LockedPackage, LockedPackages};
use crate::part::{Owner, Part};
use crate::report::OwnerKind;
use crate::settings::Trim;
use crate::unpack::UnpackDeb;

/// Chooses the closure of `roots`, without what is in `below` already, and without what is `not_needed` unless it is asked for. Where a package was locked before, its version is kept as
/// long as that is possible.
pub fn choose(
    archive: &Archive,
    roots: &[String],
    below: Option<&LockedPackages>,
    locked: Option<&LockedPackages>,
    not_needed: &[&str],
) -> Result<LockedPackages, BuildError> {
    let all: Vec<&str> = roots.iter().chain(below.iter().flat_map(|below| &below.roots)).map(String::as_str).collect();
    let text = all.join(", ");
    let wanted = relation::parse(&text).map_err(|error| BuildError::new(error.to_string()))?;
    let excluded = SCRIPT_PACKAGES.iter().chain(not_needed).filter(|name| !all.contains(name));
    let exclude: BTreeSet<String> = excluded.map(|name| (*name).to_owned()).collect();
    let universe = &archive.universe;
    let pins = |locked: Option<&LockedPackages>| -> BTreeMap<String, String> {
        let packages = locked.into_iter().flat_map(|locked| &locked.package);
        let there = packages.filter(|package| universe.exact(&package.name, &package.version).is_some());
        there.map(|package| (package.name.clone(), package.version.clone())).collect()
    };
    // What is below stays as it is; of the rest, what was locked is only preferred.
    let fixed = pins(below);
    let mut preferred = pins(locked);
    preferred.extend(fixed.clone());
    let mut request = Request { wanted, exclude, pins: preferred };
    let closure = match solve(universe, &request) {
        Err(_) if request.pins.len() > fixed.len() => {
            request.pins = fixed;
            solve(universe, &request)
        }
        solved => solved,
    }?;
    let is_below = |name: &str| below.is_some_and(|below| below.package.iter().any(|package| package.name == name));
    let chosen = closure.packages.iter().map(|chosen| locked_package(universe, chosen.id));
    Ok(LockedPackages {
        suite: archive.suite.clone(),
        roots: roots.to_vec(),
        sonames: BTreeMap::new(),
        package: chosen.filter(|package| !is_below(&package.name)).collect(),
    })
}

fn locked_package(universe: &Universe, id: jettison_debian::PackageId) -> LockedPackage {
    let package = universe.package(id);
    LockedPackage {
        name: package.name().to_owned(),
        version: package.version().to_owned(),
        filename: package.filename().to_owned(),
        security: universe.origin(id).suite.ends_with("-security"),
        size: package.size(),
        digest: package.sha256(),
    }
}

/// Brings the `.deb`s into the store.
pub fn fetch(job: &Job<'_>, mirrors: &Mirrors, packages: &[LockedPackage]) -> Result<(), BuildError> {
    let wanted = |package: &LockedPackage| Wanted {
        name: format!("{} {}", package.name, package.version),
        urls: vec![mirrors.url(package.security, &package.filename)],
        digest: package.digest,
        size: Some(package.size),
    };
    let wanted: Vec<_> = packages.iter().map(wanted).collect();
    fetch_all(job, &wanted).map_err(|error| match error.is_not_found() {
        true => error.hint(
            "the archive keeps the newest versions alone: choose packages anew with --upgrade, or build where the store has them",
        ),
        false => error,
    })
}

/// Unpacks packages that were fetched.
pub fn unpack(job: &Job<'_>, packages: &[LockedPackage], trim: Trim) -> Result<Vec<Part>, BuildError> {
    let mut graph = StageGraph::new();
    let steps: Vec<_> = packages
        .iter()
        .map(|package| {
            let operation = UnpackDeb { owner: owner(package), digest: package.digest, trim };
            graph.add(format!("unpack {}", package.name), &[], operation)
        })
        .collect();
    let outputs = job.solve(&graph, &steps)?;
    outputs
        .iter()
        .map(|output| Part::open(job.store, output.get()?))
        .collect::<Result<_, BuildError>>()
        .context("unpack")
}

/// Who owns what a package brings.
pub fn owner(package: &LockedPackage) -> Owner {
    let interpreter = package.name.starts_with("python3") || package.name.starts_with("libpython3");
    let kind = if interpreter { OwnerKind::Interpreter } else { OwnerKind::Debian };
    Owner { kind, name: package.name.clone(), version: package.version.clone() }
}
