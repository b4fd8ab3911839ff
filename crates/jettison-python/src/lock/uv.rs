//! `uv.lock`, version 1 with its revisions.
//!
//! The file is a graph: each package lists what it depends on, by name and, where a name alone would be ambiguous, by version and
//! source. Where the resolution forked, packages carry the `resolution-markers` of their forks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pep440_rs::Version;
use serde::Deserialize;
use toml::Spanned;

use super::artifact::{resolve_path, split_hash};
use super::pylock::specifiers;
use super::{Artifact, Edge, Git, Location, Lock, LockError, Origin, Package, Roots};
use crate::direct::percent_decode;
use crate::marker::Marker;
use crate::name::NormalizedName;
use crate::place::Place;
use crate::project::{LockKind, Project};
use crate::requirement::Requirement;
use crate::toml_file;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    version: Spanned<u64>,
    requires_python: Option<Spanned<String>>,
    #[serde(default)]
    manifest: Manifest,
    #[serde(default, rename = "package")]
    packages: Vec<Spanned<RawPackage>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Manifest {
    members: Vec<NormalizedName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawPackage {
    name: NormalizedName,
    version: Option<String>,
    source: RawSource,
    #[serde(default)]
    resolution_markers: Vec<String>,
    #[serde(default)]
    dependencies: Vec<RawEdge>,
    #[serde(default)]
    optional_dependencies: BTreeMap<NormalizedName, Vec<RawEdge>>,
    #[serde(default, alias = "dependency-groups")]
    dev_dependencies: BTreeMap<NormalizedName, Vec<RawEdge>>,
    sdist: Option<RawFile>,
    #[serde(default)]
    wheels: Vec<RawFile>,
    metadata: Option<RawMetadata>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct RawMetadata {
    requires_dist: Vec<RawRequirement>,
    provides_extras: Option<Vec<NormalizedName>>,
}

#[derive(Deserialize)]
struct RawRequirement {
    name: NormalizedName,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "kebab-case")]
struct RawEdge {
    name: NormalizedName,
    version: Option<String>,
    source: Option<RawSource>,
    #[serde(default)]
    extra: Vec<NormalizedName>,
    marker: Option<String>,
}

#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "kebab-case")]
enum RawSource {
    Registry(String),
    Git(String),
    Path(String),
    Directory(String),
    Editable(String),
    Virtual(String),
    #[serde(untagged)]
    Url {
        url: String,
        subdirectory: Option<String>,
    },
}

#[derive(Deserialize)]
struct RawFile {
    url: Option<String>,
    path: Option<String>,
    filename: Option<String>,
    hash: Option<String>,
    size: Option<u64>,
}

impl RawSource {
    fn key(&self) -> String {
        match self {
            Self::Registry(text) => format!("registry+{text}"),
            Self::Git(text) => format!("git+{text}"),
            Self::Url { url, .. } => format!("url+{url}"),
            Self::Path(text) => format!("path+{text}"),
            Self::Directory(text) => format!("directory+{text}"),
            Self::Editable(text) => format!("editable+{text}"),
            Self::Virtual(text) => format!("virtual+{text}"),
        }
    }

    /// The directory, where the package is one.
    fn directory(&self) -> Option<&str> {
        match self {
            Self::Directory(path) | Self::Editable(path) | Self::Virtual(path) => Some(path),
            _ => None,
        }
    }
}

impl Lock {
    /// Parses a `uv.lock`; its relative paths start at `directory`, where the root of the workspace is. `project` decides which
    /// member of the workspace is wanted; without a name, all of them are.
    pub fn parse_uv(file: &str, text: &str, directory: &Path, project: &Project) -> Result<Self, LockError> {
        let raw: File = toml_file::parse(file, text)?;
        let place = |span: std::ops::Range<usize>| Place::at(file, text, span.start);
        if *raw.version.get_ref() != 1 {
            return Err(LockError::Invalid {
                place: place(raw.version.span()),
                what: format!("version {} of uv.lock is not known", raw.version.get_ref()),
                hint: Some("export it: `uv export --format pylock.toml -o pylock.toml`".to_owned()),
            });
        }
        let requires_python = raw.requires_python.as_ref().map(|text| specifiers(&place(text.span()), text.get_ref()));
        let own = |package: &RawPackage| match (&project.name, package.source.directory()) {
            (Some(name), Some(_)) => package.name == *name,
            (None, Some(path)) => path == "." || raw.manifest.members.contains(&package.name),
            (_, None) => false,
        };
        let packages = raw.packages.iter().enumerate();
        let roots: Vec<usize> =
            packages.filter(|(_, package)| own(package.get_ref())).map(|(index, _)| index).collect();
        if roots.is_empty() {
            let name = project.name.as_ref().map_or("the project", NormalizedName::as_str);
            return Err(LockError::Invalid {
                place: Place::file(file),
                what: format!("{name} is not in it"),
                hint: Some("the lock is out of date: run `uv lock`".to_owned()),
            });
        }
        for &root in &roots {
            check_fresh(file, raw.packages[root].get_ref(), project)?;
        }
        let mut extras = BTreeSet::new();
        let mut groups = BTreeSet::new();
        for &root in &roots {
            let package = raw.packages[root].get_ref();
            extras.extend(package.optional_dependencies.keys().cloned());
            extras.extend(
                package.metadata.iter().flat_map(|metadata| metadata.provides_extras.iter().flatten().cloned()),
            );
            groups.extend(package.dev_dependencies.keys().cloned());
        }
        let mut packages = Vec::new();
        for package in raw.packages {
            let place = place(package.span());
            packages.push(parse_package(package.into_inner(), place, directory)?);
        }
        Ok(Self {
            kind: LockKind::Uv,
            file: file.to_owned(),
            created_by: Some("uv".to_owned()),
            inputs: None,
            requires_python: requires_python.transpose()?,
            environments: Vec::new(),
            extras: Some(extras),
            groups: Some(groups),
            default_groups: BTreeSet::new(),
            packages,
            roots: Roots::Packages(roots),
        })
    }
}

/// Whether the lock knows everything that the project declares by now: what was added since would be missing in the image.
fn check_fresh(file: &str, root: &RawPackage, project: &Project) -> Result<(), LockError> {
    let Some(metadata) = root.metadata.as_ref().filter(|_| project.name.as_ref() == Some(&root.name)) else {
        return Ok(());
    };
    let known =
        |requirement: &&Requirement| metadata.requires_dist.iter().any(|locked| locked.name == requirement.name);
    match project.dependencies.iter().find(|requirement| !known(requirement)) {
        None => Ok(()),
        Some(requirement) => Err(LockError::Missing {
            file: file.to_owned(),
            name: requirement.name.clone(),
            by: "pyproject.toml".to_owned(),
            renew: "uv lock",
        }),
    }
}

fn parse_package(raw: RawPackage, place: Place, directory: &Path) -> Result<Package, LockError> {
    let invalid = |what: String| LockError::invalid(&place, format!("{}: {what}", raw.name));
    let version = raw.version.as_deref().map(str::parse::<Version>).transpose().map_err(|e| invalid(e.to_string()))?;
    let marker = |text: &String| Marker::parse(text).map_err(|e| invalid(e.to_string()));
    let edges = |raw: &[RawEdge]| raw.iter().map(|edge| parse_edge(edge, &place)).collect::<Result<Vec<_>, _>>();
    let by_name = |raw: &BTreeMap<NormalizedName, Vec<RawEdge>>| {
        raw.iter().map(|(name, raw)| Ok((name.clone(), edges(raw)?))).collect::<Result<BTreeMap<_, _>, LockError>>()
    };
    let at = |path: &str| resolve_path(directory, path);
    let mut files = Vec::new();
    let mut add = |file: &RawFile, location: Location, filename: Option<String>| {
        let hashes = file.hash.as_deref().map(|hash| split_hash(&place, hash)).transpose()?;
        files.push(Artifact::new(&place, filename, location, hashes.into_iter().collect(), file.size)?);
        Ok::<_, LockError>(())
    };
    let all = || raw.wheels.iter().chain(&raw.sdist);
    let origin = match &raw.source {
        RawSource::Registry(registry) => {
            let base = registry_base(registry, directory);
            for file in all() {
                let location = match (&file.url, &file.path) {
                    (Some(url), _) => Location::Url(url.clone()),
                    (None, Some(path)) => Location::Path(resolve_path(base.as_deref().unwrap_or(directory), path)),
                    (None, None) => Location::Index,
                };
                add(file, location, file.filename.clone())?;
            }
            Origin::Index(base.is_none().then(|| registry.clone()))
        }
        RawSource::Url { url, subdirectory } => {
            for file in all() {
                add(file, Location::Url(url.clone()), file.filename.clone())?;
            }
            Origin::Archive { url: url.clone(), subdirectory: subdirectory.clone() }
        }
        RawSource::Path(path) => {
            for file in all() {
                add(file, Location::Path(at(path)), file.filename.clone())?;
            }
            Origin::File { subdirectory: None }
        }
        RawSource::Directory(path) => Origin::Directory { path: at(path), editable: false, subdirectory: None },
        RawSource::Editable(path) => Origin::Directory { path: at(path), editable: true, subdirectory: None },
        RawSource::Virtual(_) => Origin::Virtual,
        RawSource::Git(url) => Origin::Git(parse_git(url).ok_or_else(|| invalid(format!("`{url}` names no commit")))?),
    };
    Ok(Package {
        version,
        markers: raw.resolution_markers.iter().map(marker).collect::<Result<_, _>>()?,
        requires_python: None,
        origin,
        source_key: raw.source.key(),
        dependencies: edges(&raw.dependencies)?,
        extras: by_name(&raw.optional_dependencies)?,
        groups: by_name(&raw.dev_dependencies)?,
        files,
        name: raw.name,
        place,
    })
}

fn parse_edge(raw: &RawEdge, place: &Place) -> Result<Edge, LockError> {
    let invalid = |what: String| LockError::invalid(place, format!("dependency {}: {what}", raw.name));
    let marker = raw.marker.as_deref().map(Marker::parse).transpose().map_err(|e| invalid(e.to_string()))?;
    let version = raw.version.as_deref().map(str::parse::<Version>).transpose().map_err(|e| invalid(e.to_string()))?;
    Ok(Edge {
        extras: raw.extra.iter().cloned().collect(),
        marker: marker.unwrap_or_default(),
        version,
        source: raw.source.as_ref().map(RawSource::key),
        ..Edge::new(raw.name.clone())
    })
}

/// The directory of a registry that is one (`find-links`).
fn registry_base(registry: &str, directory: &Path) -> Option<PathBuf> {
    (!registry.contains("://") || registry.starts_with("file://")).then(|| resolve_path(directory, registry))
}

/// `https://host/repository?subdirectory=x&rev=main#commit`.
fn parse_git(text: &str) -> Option<Git> {
    let (rest, commit) = text.split_once('#')?;
    let (url, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut git = Git { url: url.to_owned(), commit: commit.to_owned(), requested: None, subdirectory: None };
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match key {
            "subdirectory" => git.subdirectory = Some(percent_decode(value)),
            "rev" | "tag" | "branch" => git.requested = Some(percent_decode(value)),
            _ => {}
        }
    }
    Some(git)
}
