//! `Pipfile.lock`: what Pipenv installs, as a list without a graph. Hashes are there; file names and URLs are not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jettison_tree::Digest;
use pep440_rs::Version;
use serde::Deserialize;

use super::artifact::{resolve_path, split_hash};
use super::{Artifact, Git, Location, Lock, LockError, Origin, Package, Roots};
use crate::marker::Marker;
use crate::name::NormalizedName;
use crate::place::Place;
use crate::project::{LockKind, Project};

#[derive(Deserialize)]
struct File {
    #[serde(rename = "_meta")]
    meta: Meta,
    #[serde(default)]
    default: BTreeMap<String, RawPackage>,
    #[serde(default)]
    develop: BTreeMap<String, RawPackage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Meta {
    #[serde(default)]
    sources: Vec<Source>,
    #[serde(default)]
    requires: Requires,
    pipfile_spec: Option<u64>,
}

#[derive(Deserialize)]
struct Source {
    name: String,
    url: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Requires {
    python_version: Option<String>,
    python_full_version: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawPackage {
    version: Option<String>,
    hashes: Vec<String>,
    index: Option<String>,
    markers: Option<String>,
    git: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    subdirectory: Option<String>,
    path: Option<String>,
    file: Option<String>,
    editable: bool,
}

impl Lock {
    /// Parses a `Pipfile.lock`; its relative paths start at `directory`. The `develop` section is the group `dev`. `project` is what
    /// its Pipfile declares: its markers count where the lock dropped them.
    pub fn parse_pipfile(file: &str, text: &str, directory: &Path, project: &Project) -> Result<Self, LockError> {
        let raw: File = serde_json::from_str(text).map_err(|e| {
            let place = Place { file: file.to_owned(), line: e.line(), column: e.column() };
            let what = e.to_string();
            // The place is in the message too, behind this.
            LockError::invalid(&place, what.split(" at line ").next().unwrap_or_default())
        })?;
        if raw.meta.pipfile_spec.is_some_and(|spec| spec != 6) {
            return Err(LockError::invalid(&Place::file(file), "only pipfile-spec 6 is known"));
        }
        let sources: BTreeMap<&str, &str> =
            raw.meta.sources.iter().map(|source| (source.name.as_str(), source.url.as_str())).collect();
        let first = raw.meta.sources.first().map(|source| source.url.as_str());
        let mut packages = Vec::new();
        let dev = Marker::parse("'dev' in dependency_groups").unwrap_or_default();
        for (section, group) in [(&raw.default, None), (&raw.develop, Some(&dev))] {
            for (name, package) in section {
                if group.is_some() && raw.default.contains_key(name) {
                    continue;
                }
                let place = place_of(file, text, name);
                let index = match &package.index {
                    Some(index) => {
                        sources.get(index.as_str()).copied().or(Some(index)).filter(|url| url.contains("://")).or(first)
                    }
                    None => first,
                };
                let package = parse_package(name, package, group, place, index, directory)?;
                packages.extend(package.map(|package| with_declared_marker(package, project)));
            }
        }
        let Requires { python_version, python_full_version } = raw.meta.requires;
        let python = python_full_version.map(|version| format!("=={version}"));
        let python = python.or(python_version.map(|version| format!("=={version}.*")));
        Ok(Self {
            kind: LockKind::Pipfile,
            file: file.to_owned(),
            created_by: Some("Pipenv".to_owned()),
            inputs: None,
            requires_python: python.and_then(|text| text.parse().ok()),
            environments: Vec::new(),
            extras: None,
            groups: Some(NormalizedName::parse("dev").into_iter().collect()),
            default_groups: BTreeSet::new(),
            packages,
            roots: Roots::Everything,
        })
    }
}

fn with_declared_marker(mut package: Package, project: &Project) -> Package {
    let declared = project.dependencies.iter().find(|requirement| requirement.name == package.name);
    if let Some(requirement) = declared
        && package.markers.iter().all(Marker::is_empty)
    {
        package.markers = vec![requirement.marker.clone()];
    }
    package
}

/// The line of a package's key.
fn place_of(file: &str, text: &str, name: &str) -> Place {
    match text.find(&format!("\"{name}\":")) {
        Some(at) => Place::at(file, text, at),
        None => Place::file(file),
    }
}

fn parse_package(
    name: &str,
    raw: &RawPackage,
    group: Option<&Marker>,
    place: Place,
    index: Option<&str>,
    directory: &Path,
) -> Result<Option<Package>, LockError> {
    let invalid = |what: String| LockError::invalid(&place, format!("{name}: {what}"));
    let parsed = NormalizedName::parse(name).map_err(|e| invalid(e.to_string()))?;
    let version = raw.version.as_deref().filter(|version| *version != "*");
    let version = version.map(|version| version.trim_start_matches('=').parse::<Version>());
    let version = version.transpose().map_err(|e| invalid(e.to_string()))?;
    let marker = raw.markers.as_deref().map(Marker::parse).transpose().map_err(|e| invalid(e.to_string()))?;
    let hashes = raw.hashes.iter().map(|hash| split_hash(&place, hash)).collect::<Result<Vec<_>, _>>()?;
    let hashes: BTreeMap<String, Vec<String>> =
        hashes.into_iter().fold(BTreeMap::new(), |mut all, (algorithm, hex)| {
            all.entry(algorithm).or_insert_with(Vec::new).push(hex);
            all
        });
    let digests = hashes.get("sha256").into_iter().flatten().map(|hex| Digest::from_hex(hex));
    let digests: BTreeSet<Digest> = digests.collect::<Result<_, _>>().map_err(|e| invalid(e.to_string()))?;
    let mut files = Vec::new();
    let subdirectory = raw.subdirectory.clone();
    let origin = if let Some(git) = &raw.git {
        let commit = raw.reference.clone().ok_or_else(|| invalid("it names no commit".to_owned()))?;
        let url = git.trim_start_matches("git+").to_owned();
        Origin::Git(Git { url, commit, requested: None, subdirectory })
    } else if let Some(path) = &raw.path {
        let path = resolve_path(directory, path);
        if path == resolve_path(directory, ".") {
            return Ok(None);
        }
        Origin::Directory { path, editable: raw.editable, subdirectory }
    } else if let Some(url) = &raw.file {
        let first = digests.iter().next().map(|digest| ("sha256".to_owned(), digest.hex()));
        let is_url = url.contains("://") && !url.starts_with("file://");
        let location = if is_url { Location::Url(url.clone()) } else { Location::Path(resolve_path(directory, url)) };
        files.push(Artifact::new(&place, None, location, first.into_iter().collect(), None)?);
        if is_url { Origin::Archive { url: url.clone(), subdirectory } } else { Origin::File { subdirectory } }
    } else if digests.is_empty() {
        // Pipenv leaves what it could not resolve on its own platform, such as `colorama`, without version and hash: an error
        // only where a target selects it.
        Origin::Index(None)
    } else {
        Origin::Listed { index: index.map(str::to_owned), hashes: digests }
    };
    let marker = marker.unwrap_or_default().and(group.cloned().unwrap_or_default());
    Ok(Some(Package {
        name: parsed,
        version,
        markers: vec![marker],
        requires_python: None,
        origin,
        source_key: String::new(),
        files,
        dependencies: Vec::new(),
        extras: BTreeMap::new(),
        groups: BTreeMap::new(),
        place,
    }))
}
