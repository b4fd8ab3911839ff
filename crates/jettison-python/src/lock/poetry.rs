//! `poetry.lock`, from Poetry 1.0 to 2.x.
//!
//! The file lists packages with what each depends on, in Poetry's own constraints; what the project itself depends on stands in its
//! pyproject.toml. Hashes are there, URLs are not. An extra of a package is a list of its dependencies that are otherwise `optional`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pep440_rs::Version;
use serde::Deserialize;
use toml::Spanned;

use super::artifact::{resolve_path, split_hash};
use super::{Artifact, Edge, Git, Location, Lock, LockError, Origin, Package, Roots};
use crate::marker::Marker;
use crate::name::NormalizedName;
use crate::place::Place;
use crate::project::poetry::{Dependency, DependencyTable, parse_constraint};
use crate::project::{LockKind, Project};
use crate::requirement::{Constraint, Requirement};
use crate::toml_file;

#[derive(Deserialize)]
struct File {
    #[serde(default, rename = "package")]
    packages: Vec<Spanned<RawPackage>>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata {
    lock_version: Option<String>,
    python_versions: Option<String>,
    /// Poetry before 1.2 keeps the hashes here, by package.
    files: BTreeMap<String, Vec<RawFile>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawPackage {
    name: NormalizedName,
    version: String,
    python_versions: Option<String>,
    markers: Option<RawMarkers>,
    #[serde(default)]
    files: Vec<RawFile>,
    #[serde(default)]
    dependencies: BTreeMap<String, Dependency>,
    #[serde(default)]
    extras: BTreeMap<NormalizedName, Vec<String>>,
    source: Option<RawSource>,
    #[serde(default)]
    develop: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawMarkers {
    All(String),
    ByGroup(BTreeMap<String, String>),
}

#[derive(Deserialize, Clone)]
struct RawFile {
    file: String,
    hash: String,
    url: Option<String>,
}

#[derive(Deserialize)]
struct RawSource {
    #[serde(default)]
    r#type: String,
    url: String,
    reference: Option<String>,
    resolved_reference: Option<String>,
    subdirectory: Option<String>,
}

impl Lock {
    /// Parses a `poetry.lock`; its relative paths start at `directory`. `project` is what its pyproject.toml declares.
    pub fn parse_poetry(file: &str, text: &str, directory: &Path, project: &Project) -> Result<Self, LockError> {
        let raw: File = toml_file::parse(file, text)?;
        let version = raw.metadata.lock_version.as_deref().unwrap_or("1.0");
        if !version.starts_with("1.") && !version.starts_with("2.") {
            return Err(LockError::Invalid {
                place: Place::file(file),
                what: format!("lock-version {version} of poetry.lock is not known"),
                hint: Some("lock again with Poetry 1 or 2".to_owned()),
            });
        }
        let mut packages = Vec::new();
        for package in &raw.packages {
            let place = Place::at(file, text, package.span().start);
            packages.push(parse_package(package.get_ref(), place, directory, &raw.metadata.files)?);
        }
        let edges = |requirements: &[Requirement]| requirements.iter().map(requirement_edge).collect::<Vec<_>>();
        let by_name = |table: &BTreeMap<NormalizedName, Vec<Requirement>>| {
            table.iter().map(|(name, requirements)| (name.clone(), edges(requirements))).collect::<BTreeMap<_, _>>()
        };
        let (extras, groups) = (by_name(&project.extras), by_name(&project.groups));
        let python = raw.metadata.python_versions.as_deref().filter(|text| *text != "*");
        let python = python.and_then(|text| parse_constraint(text).ok());
        Ok(Self {
            kind: LockKind::Poetry,
            file: file.to_owned(),
            created_by: Some("Poetry".to_owned()),
            inputs: None,
            requires_python: python.filter(|alternatives| alternatives.len() == 1).and_then(|mut only| only.pop()),
            environments: Vec::new(),
            extras: Some(extras.keys().cloned().collect()),
            groups: Some(groups.keys().cloned().collect()),
            default_groups: BTreeSet::new(),
            packages,
            roots: Roots::Edges { main: edges(&project.dependencies), extras, groups },
        })
    }
}

fn requirement_edge(requirement: &Requirement) -> Edge {
    let versions = match &requirement.constraint {
        Constraint::Versions(specifiers) if !specifiers.is_empty() => vec![specifiers.clone()],
        _ => Vec::new(),
    };
    Edge {
        extras: requirement.extras.clone(),
        marker: requirement.marker.clone(),
        versions,
        ..Edge::new(requirement.name.clone())
    }
}

fn parse_package(
    raw: &RawPackage,
    place: Place,
    directory: &Path,
    old_files: &BTreeMap<String, Vec<RawFile>>,
) -> Result<Package, LockError> {
    let invalid = |what: String| LockError::invalid(&place, format!("{}: {what}", raw.name));
    let version = raw.version.parse::<Version>().map_err(|e| invalid(e.to_string()))?;
    let marker = |text: &String| Marker::parse(text).map_err(|e| invalid(e.to_string()));
    let markers = match &raw.markers {
        None => Vec::new(),
        Some(RawMarkers::All(text)) => vec![marker(text)?],
        Some(RawMarkers::ByGroup(groups)) => groups.values().map(marker).collect::<Result<_, _>>()?,
    };
    let python = raw.python_versions.as_deref().filter(|text| *text != "*");
    let python = python.map(parse_constraint).transpose().map_err(&invalid)?;

    // The extras that bring in an optional dependency.
    let mut for_extras: BTreeMap<NormalizedName, BTreeSet<NormalizedName>> = BTreeMap::new();
    for (extra, requirements) in &raw.extras {
        // `psycopg2 (>=2.8)`, and `other[extra]` alike.
        let names = requirements.iter().filter_map(|text| Requirement::parse(text).ok());
        names.for_each(|requirement| _ = for_extras.entry(requirement.name).or_default().insert(extra.clone()));
    }
    let mut dependencies = Vec::new();
    for (name, dependency) in &raw.dependencies {
        for table in dependency.tables() {
            let edge = dependency_edge(name, &table).map_err(|what| invalid(format!("dependency {name}: {what}")))?;
            let optional = table.optional.then(|| for_extras.get(&edge.name).cloned()).flatten();
            dependencies.push(Edge { for_extras: optional.unwrap_or_default(), ..edge });
        }
    }

    let source = raw.source.as_ref();
    let kind = source.map_or("pypi", |source| source.r#type.as_str());
    let url = source.map(|source| source.url.clone()).unwrap_or_default();
    let subdirectory = source.and_then(|source| source.subdirectory.clone());
    let location = |file: &RawFile| match kind {
        "url" => Location::Url(url.clone()),
        "file" => Location::Path(resolve_path(directory, &url)),
        _ => file.url.clone().map_or(Location::Index, Location::Url),
    };
    let origin = match (kind, source) {
        ("git", Some(source)) => Origin::Git(Git {
            url: url.clone(),
            commit: source.resolved_reference.clone().ok_or_else(|| invalid("it names no commit".to_owned()))?,
            requested: source.reference.clone(),
            subdirectory,
        }),
        ("url", _) => Origin::Archive { url: url.clone(), subdirectory },
        ("file", _) => Origin::File { subdirectory },
        ("directory", _) => {
            Origin::Directory { path: resolve_path(directory, &url), editable: raw.develop, subdirectory }
        }
        ("pypi", _) => Origin::Index(None),
        ("legacy" | "", _) => Origin::Index(Some(url.clone())),
        (other, _) => return Err(invalid(format!("sources of type `{other}` cannot be fetched"))),
    };
    let mut files = Vec::new();
    if !matches!(origin, Origin::Git(_) | Origin::Directory { .. }) {
        let by_package =
            || old_files.iter().find(|(name, _)| NormalizedName::parse(name).is_ok_and(|name| name == raw.name));
        let listed = if raw.files.is_empty() { by_package().map_or(&[][..], |(_, files)| files) } else { &raw.files };
        for file in listed {
            let hashes = [split_hash(&place, &file.hash)?].into_iter().collect();
            files.push(Artifact::new(&place, Some(file.file.clone()), location(file), hashes, None)?);
        }
    }
    Ok(Package {
        name: raw.name.clone(),
        version: Some(version),
        markers,
        // A union of ranges (`||`) was checked by Poetry; the verification of the image finds what it did not.
        requires_python: python.filter(|alternatives| alternatives.len() == 1).and_then(|mut only| only.pop()),
        origin,
        source_key: String::new(),
        files,
        dependencies,
        extras: BTreeMap::new(),
        groups: BTreeMap::new(),
        place,
    })
}

fn dependency_edge(name: &str, table: &DependencyTable) -> Result<Edge, String> {
    let name = NormalizedName::parse(name).map_err(|e| e.to_string())?;
    let extras = table.extras.iter().map(|extra| NormalizedName::parse(extra)).collect::<Result<_, _>>();
    let marker = table.markers.as_deref().map(Marker::parse).transpose().map_err(|e| e.to_string())?;
    let versions = table.version.as_deref().map(parse_constraint).transpose()?.unwrap_or_default();
    let python = table.python.as_deref().map(crate::project::poetry::python_marker).transpose()?.flatten();
    let python = python.as_deref().map(Marker::parse).transpose().map_err(|e| e.to_string())?;
    Ok(Edge {
        extras: extras.map_err(|e| e.to_string())?,
        marker: marker.unwrap_or_default().and(python.unwrap_or_default()),
        versions: if versions.iter().any(|specifiers| specifiers.is_empty()) { Vec::new() } else { versions },
        ..Edge::new(name)
    })
}
