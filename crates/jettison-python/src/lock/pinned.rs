//! A requirements file as a lock: every line pinned with `==` and hashed, as `pip-compile --generate-hashes` and `uv export` write
//! it. There is no graph: what is listed is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jettison_tree::Digest;

use super::artifact::resolve_path;
use super::{Artifact, Location, Lock, LockError, Origin, Package, Roots};
use crate::direct::DirectReference;
use crate::place::Place;
use crate::project::LockKind;
use crate::requirements::{Entry, Requirements, Wanted};
use crate::wheel::WheelFilename;

impl Lock {
    /// The lock that requirements files are where [`Requirements::is_locked`]; a line that is not pinned or not hashed is an
    /// error. Relative paths start at `root`.
    pub fn from_requirements(requirements: &Requirements, root: &Path) -> Result<Self, LockError> {
        let packages = requirements.entries.iter().map(|entry| package(entry, requirements, root));
        let packages = packages.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            kind: LockKind::Requirements,
            file: requirements.files.first().cloned().unwrap_or_default(),
            created_by: None,
            inputs: None,
            requires_python: None,
            environments: Vec::new(),
            extras: None,
            groups: None,
            default_groups: BTreeSet::new(),
            packages: merged(packages),
            roots: Roots::Everything,
        })
    }
}

/// One line that stands twice is one package.
fn merged(packages: Vec<Package>) -> Vec<Package> {
    let mut all: Vec<Package> = Vec::new();
    for package in packages {
        let same = |other: &&mut Package| other.name == package.name && other.version == package.version;
        match all.iter_mut().find(same) {
            Some(other) => {
                other.markers.extend(package.markers);
                if let (Origin::Listed { hashes, .. }, Origin::Listed { hashes: more, .. }) =
                    (&mut other.origin, &package.origin)
                {
                    hashes.extend(more);
                }
            }
            None => all.push(package),
        }
    }
    all
}

fn package(entry: &Entry, requirements: &Requirements, root: &Path) -> Result<Package, LockError> {
    let place: &Place = &entry.place;
    let invalid = |what: &str, hint: &str| LockError::Invalid {
        place: place.clone(),
        what: format!("`{}` {what}", entry.to_line()),
        hint: Some(hint.to_owned()),
    };
    let of_entry = entry.hashes.iter().filter(|(algorithm, _)| algorithm == "sha256");
    let digests = of_entry.map(|(_, hex)| Digest::from_hex(hex)).collect::<Result<BTreeSet<_>, _>>();
    let hashes = digests.map_err(|e| LockError::invalid(place, e.to_string()))?;
    let mut files = Vec::new();
    let (name, version, origin) = match &entry.wanted {
        Wanted::Versions(_) => {
            let version = entry.pinned().ok_or_else(|| invalid("is not pinned", "write `==` and a version"))?;
            if hashes.is_empty() {
                return Err(invalid(
                    "has no hash",
                    "use `pip-compile --generate-hashes` or `uv pip compile --generate-hashes`",
                ));
            }
            let index = requirements.options.index_url.clone();
            (entry.name.clone(), Some(version.clone()), Origin::Listed { index, hashes })
        }
        Wanted::Direct(DirectReference::Archive { url, subdirectory, hash }) => {
            let of_url = hash.iter().filter(|(algorithm, _)| algorithm == "sha256").map(|(_, hex)| hex.clone());
            let sha256 = hashes.first().map(Digest::hex).or(of_url.into_iter().next());
            let table: BTreeMap<_, _> = sha256.map(|hex| ("sha256".to_owned(), hex)).into_iter().collect();
            files.push(Artifact::new(place, None, Location::Url(url.clone()), table, None)?);
            let wheel = WheelFilename::parse(&files[0].filename).ok();
            let name = entry.name.clone().or(wheel.as_ref().map(|wheel| wheel.name.clone()));
            let origin = Origin::Archive { url: url.clone(), subdirectory: subdirectory.clone() };
            (name, wheel.map(|wheel| wheel.version), origin)
        }
        Wanted::Direct(DirectReference::Path { path, subdirectory }) => {
            let table: BTreeMap<_, _> =
                hashes.first().map(|digest| ("sha256".to_owned(), digest.hex())).into_iter().collect();
            files.push(Artifact::new(place, None, Location::Path(resolve_path(root, path)), table, None)?);
            let wheel = WheelFilename::parse(&files[0].filename).ok();
            let name = entry.name.clone().or(wheel.as_ref().map(|wheel| wheel.name.clone()));
            (name, wheel.map(|wheel| wheel.version), Origin::File { subdirectory: subdirectory.clone() })
        }
        Wanted::Direct(DirectReference::Vcs(_)) => {
            return Err(invalid("has no hash", "use a release, or an archive with a hash"));
        }
    };
    let name =
        name.ok_or_else(|| invalid("does not say which distribution it is", "write `name @ ` before the URL"))?;
    Ok(Package {
        place: place.clone(),
        name,
        version,
        markers: vec![entry.marker.clone()],
        requires_python: None,
        origin,
        source_key: String::new(),
        files,
        dependencies: Vec::new(),
        extras: BTreeMap::new(),
        groups: BTreeMap::new(),
    })
}
