//! `pylock.toml` (PEP 751).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pep440_rs::{Version, VersionSpecifiers};
use serde::Deserialize;
use toml::Spanned;

use super::artifact::resolve_path;
use super::{Artifact, Git, Location, Lock, LockError, Origin, Package, Roots};
use crate::marker::Marker;
use crate::name::NormalizedName;
use crate::place::Place;
use crate::project::LockKind;
use crate::toml_file;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    lock_version: Spanned<String>,
    #[serde(default)]
    environments: Vec<Spanned<String>>,
    requires_python: Option<Spanned<String>>,
    extras: Option<Vec<NormalizedName>>,
    dependency_groups: Option<Vec<NormalizedName>>,
    #[serde(default)]
    default_groups: Vec<NormalizedName>,
    created_by: Option<String>,
    #[serde(default)]
    packages: Vec<Spanned<RawPackage>>,
    #[serde(default)]
    tool: Tool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tool {
    jettison: Option<ToolJettison>,
}

#[derive(Deserialize)]
struct ToolJettison {
    inputs: Option<jettison_tree::Digest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawPackage {
    name: NormalizedName,
    version: Option<String>,
    marker: Option<String>,
    requires_python: Option<String>,
    index: Option<String>,
    vcs: Option<RawVcs>,
    directory: Option<RawDirectory>,
    archive: Option<RawFile>,
    sdist: Option<RawFile>,
    #[serde(default)]
    wheels: Vec<RawFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawVcs {
    r#type: String,
    url: Option<String>,
    path: Option<String>,
    requested_revision: Option<String>,
    commit_id: String,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct RawDirectory {
    path: String,
    #[serde(default)]
    editable: bool,
    subdirectory: Option<String>,
}

#[derive(Deserialize)]
struct RawFile {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    subdirectory: Option<String>,
}

impl Lock {
    /// Parses a `pylock.toml`; its relative paths start at `directory`. Attestation identities and the `dependencies` of packages,
    /// which are informational, are passed over.
    pub fn parse_pylock(file: &str, text: &str, directory: &Path) -> Result<Self, LockError> {
        let raw: File = toml_file::parse(file, text)?;
        let place = |span: std::ops::Range<usize>| Place::at(file, text, span.start);
        let version = raw.lock_version.get_ref();
        if version.split('.').next() != Some("1") {
            return Err(LockError::Invalid {
                place: place(raw.lock_version.span()),
                what: format!("lock-version {version} is not known"),
                hint: Some("lock again with a tool that writes lock-version 1.0 (PEP 751)".to_owned()),
            });
        }
        let parse_marker = |text: &Spanned<String>| {
            Marker::parse(text.get_ref()).map_err(|e| LockError::invalid(&place(text.span()), e.to_string()))
        };
        let environments = raw.environments.iter().map(parse_marker).collect::<Result<_, _>>()?;
        let requires_python = raw.requires_python.as_ref().map(|text| specifiers(&place(text.span()), text.get_ref()));
        let mut packages = Vec::new();
        for package in raw.packages {
            let place = place(package.span());
            packages.extend(parse_package(package.into_inner(), place, directory)?);
        }
        // A lock that Jettison had made has the extras and groups that it was asked for resolved into it.
        let inputs = raw.tool.jettison.and_then(|tool| tool.inputs);
        let offered = |names: Option<Vec<NormalizedName>>| match inputs {
            Some(_) => names.map(BTreeSet::from_iter),
            None => Some(names.into_iter().flatten().collect()),
        };
        Ok(Self {
            kind: LockKind::Pylock,
            file: file.to_owned(),
            created_by: raw.created_by,
            inputs,
            requires_python: requires_python.transpose()?,
            environments,
            extras: offered(raw.extras),
            groups: offered(raw.dependency_groups),
            default_groups: raw.default_groups.into_iter().collect(),
            packages,
            roots: Roots::Everything,
        })
    }
}

fn parse_package(raw: RawPackage, place: Place, directory: &Path) -> Result<Option<Package>, LockError> {
    let invalid = |what: String| LockError::invalid(&place, format!("{}: {what}", raw.name));
    let version = raw.version.as_deref().map(str::parse::<Version>).transpose().map_err(|e| invalid(e.to_string()))?;
    let marker = raw.marker.as_deref().map(Marker::parse).transpose().map_err(|e| invalid(e.to_string()))?;
    let requires_python = raw.requires_python.as_deref().map(|text| specifiers(&place, text)).transpose()?;
    let location = |file: &RawFile| match (&file.url, &file.path) {
        (Some(url), _) => Ok(Location::Url(url.clone())),
        (None, Some(path)) => Ok(Location::Path(resolve_path(directory, path))),
        (None, None) => Err(invalid("a file has neither `url` nor `path`".to_owned())),
    };
    let artifact = |file: &RawFile| {
        let hashes = file.hashes.iter().map(|(key, hex)| (key.clone(), hex.to_ascii_lowercase())).collect();
        Artifact::new(&place, file.name.clone(), location(file)?, hashes, file.size)
    };
    let kinds = [
        raw.vcs.is_some(),
        raw.directory.is_some(),
        raw.archive.is_some(),
        raw.sdist.is_some() || !raw.wheels.is_empty(),
    ];
    if kinds.iter().filter(|&&is_there| is_there).count() != 1 {
        return Err(invalid("it needs one of `vcs`, `directory`, `archive`, and `sdist` with `wheels`".to_owned()));
    }
    let mut files = Vec::new();
    let origin = if let Some(vcs) = &raw.vcs {
        if vcs.r#type != "git" {
            return Err(invalid(format!("sources in {} cannot be fetched", vcs.r#type)));
        }
        let url = match (&vcs.url, &vcs.path) {
            (Some(url), _) => url.clone(),
            (None, Some(path)) => resolve_path(directory, path).display().to_string(),
            (None, None) => return Err(invalid("`vcs` has neither `url` nor `path`".to_owned())),
        };
        Origin::Git(Git {
            url,
            commit: vcs.commit_id.clone(),
            requested: vcs.requested_revision.clone(),
            subdirectory: vcs.subdirectory.clone(),
        })
    } else if let Some(raw) = &raw.directory {
        let path = resolve_path(directory, &raw.path);
        // The project itself is what the image is made of, not a dependency.
        if path == resolve_path(directory, ".") && raw.subdirectory.is_none() {
            return Ok(None);
        }
        Origin::Directory { path, editable: raw.editable, subdirectory: raw.subdirectory.clone() }
    } else if let Some(archive) = &raw.archive {
        files.push(artifact(archive)?);
        let subdirectory = archive.subdirectory.clone();
        match &files[0].location {
            Location::Url(url) => Origin::Archive { url: url.clone(), subdirectory },
            _ => Origin::File { subdirectory },
        }
    } else {
        for file in raw.wheels.iter().chain(&raw.sdist) {
            files.push(artifact(file)?);
        }
        Origin::Index(raw.index.clone())
    };
    Ok(Some(Package {
        name: raw.name,
        version,
        markers: marker.into_iter().collect(),
        requires_python,
        origin,
        source_key: String::new(),
        files,
        dependencies: Vec::new(),
        extras: BTreeMap::new(),
        groups: BTreeMap::new(),
        place,
    }))
}

pub(super) fn specifiers(place: &Place, text: &str) -> Result<VersionSpecifiers, LockError> {
    text.parse().map_err(|_| LockError::invalid(place, format!("`{text}` is no set of version specifiers")))
}
