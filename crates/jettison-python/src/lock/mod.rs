//! Lock files: exactly what to install, for every platform that they were made for.
//!
//! 1. A reader for each kind makes one model of it: [`Lock::parse_pylock`], [`Lock::parse_uv`], [`Lock::parse_poetry`],
//!    [`Lock::parse_pipfile`], [`Lock::from_requirements`]. [`Lock::read`] reads the one that a project uses.
//! 2. [`Lock::select`] follows the model for one target: markers, extras, groups and forks decide which packages, tags which
//!    file of each.
//! 3. Some locks hold no URLs. [`Location::Index`] and [`Source::Listed`] say what to look for on an index page, and
//!    [`crate::simple::choose`] finds it.
//! 4. [`inputs`] is the digest of what a resolution depends on, which a lock made by Jettison carries.

mod artifact;
pub mod inputs;
mod pinned;
mod pipfile;
mod platform;
mod poetry;
mod pylock;
mod select;
mod uv;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use jettison_tree::Digest;
use pep440_rs::{Version, VersionSpecifiers};
use serde_json::Value;

use crate::marker::Marker;
use crate::name::NormalizedName;
use crate::place::Place;
use crate::project::{DependencySource, LockKind, Project};
use crate::requirements::{FormatControl, Requirements, RequirementsError, decode};
use crate::tags::Tags;
use crate::toml_file::TomlError;

pub(crate) use artifact::choose;

/// Larger files are no locks that a tool wrote.
const MAX_BYTES: u64 = 64 << 20;

/// A lock file, of whatever kind.
#[derive(Debug, Clone)]
pub struct Lock {
    /// Its kind.
    pub kind: LockKind,
    /// The file, as it is to be shown.
    pub file: String,
    /// The tool that wrote it, where it says so.
    pub created_by: Option<String>,
    /// The digest of what it was resolved from ([`inputs`]), where Jettison had it made.
    pub inputs: Option<Digest>,
    /// The Python versions that it is for.
    pub requires_python: Option<VersionSpecifiers>,
    /// The environments that it is for, one of which must hold; none stands for all (PEP 751).
    environments: Vec<Marker>,
    /// The extras and groups that it offers; `None` where it does not say.
    extras: Option<BTreeSet<NormalizedName>>,
    groups: Option<BTreeSet<NormalizedName>>,
    /// The groups that are installed unless others are asked for (PEP 751).
    default_groups: BTreeSet<NormalizedName>,
    packages: Vec<Package>,
    roots: Roots,
}

/// Where the selection starts.
#[derive(Debug, Clone)]
enum Roots {
    /// Every package whose marker holds.
    Everything,
    /// These packages and what they need; they are the project itself.
    Packages(Vec<usize>),
    /// These edges.
    Edges { main: Vec<Edge>, extras: BTreeMap<NormalizedName, Vec<Edge>>, groups: BTreeMap<NormalizedName, Vec<Edge>> },
}

/// A package of a lock.
#[derive(Debug, Clone)]
struct Package {
    place: Place,
    name: NormalizedName,
    version: Option<Version>,
    /// One of them must hold; none stands for always.
    markers: Vec<Marker>,
    requires_python: Option<VersionSpecifiers>,
    origin: Origin,
    /// What tells packages of one name and version apart, as edges spell it.
    source_key: String,
    /// The files of the release, of which one is chosen; of an archive, the one.
    files: Vec<Artifact>,
    dependencies: Vec<Edge>,
    extras: BTreeMap<NormalizedName, Vec<Edge>>,
    groups: BTreeMap<NormalizedName, Vec<Edge>>,
}

/// Where a package comes from.
#[derive(Debug, Clone)]
enum Origin {
    /// An index, by its URL where that is known.
    Index(Option<String>),
    /// One file behind a URL.
    Archive { url: String, subdirectory: Option<String> },
    /// One file on this machine.
    File { subdirectory: Option<String> },
    /// A directory.
    Directory { path: PathBuf, editable: bool, subdirectory: Option<String> },
    /// A repository at a commit.
    Git(Git),
    /// Nothing to install: the root of a workspace, a project that is no package.
    Virtual,
    /// Any file of the index page that has one of these hashes.
    Listed { index: Option<String>, hashes: BTreeSet<Digest> },
}

/// A dependency of a package or of the project.
#[derive(Debug, Clone)]
struct Edge {
    name: NormalizedName,
    extras: BTreeSet<NormalizedName>,
    marker: Marker,
    /// This version.
    version: Option<Version>,
    /// One of these; none stands for every version.
    versions: Vec<VersionSpecifiers>,
    /// From this source, spelled as [`Package::source_key`].
    source: Option<String>,
    /// Only where one of these extras of the package that depends is asked for; none stands for always.
    for_extras: BTreeSet<NormalizedName>,
}

/// A repository at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Git {
    /// The repository's URL.
    pub url: String,
    /// The commit.
    pub commit: String,
    /// What was asked for: a branch or tag.
    pub requested: Option<String>,
    /// The directory that holds the project.
    pub subdirectory: Option<String>,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The file's name.
    pub filename: String,
    /// Where it is.
    pub location: Location,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Every hash that the lock has: algorithm → hex.
    pub hashes: BTreeMap<String, String>,
    /// Its length in bytes.
    pub size: Option<u64>,
}

/// Where an [`Artifact`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// Behind this URL.
    Url(String),
    /// On this machine.
    Path(PathBuf),
    /// The lock does not say: on the package's page of the index, by its file name.
    Index,
}

/// One distribution to install.
#[derive(Debug, Clone, PartialEq)]
pub struct Locked {
    /// Its name.
    pub name: NormalizedName,
    /// Its version, where the lock says it; a directory's may be dynamic.
    pub version: Option<Version>,
    /// What to install.
    pub source: Source,
    /// The index that it comes from, where the lock says it.
    pub index: Option<String>,
    /// The content of `direct_url.json` (PEP 610), for what does not come from an index. None for what lies on this machine, so
    /// that an image does not depend on where it was built.
    pub direct_url: Option<Value>,
}

/// What to install of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A wheel that fits the target.
    Wheel(Artifact),
    /// A source distribution, to be built.
    Sdist {
        /// The file.
        artifact: Artifact,
        /// The directory in it that holds the project.
        subdirectory: Option<String>,
        /// Why none of the wheels that the lock has of it will do, for a report.
        no_wheel: Option<String>,
    },
    /// A directory on this machine, to be built.
    Directory {
        /// The directory, absolute if the lock's own path was.
        path: PathBuf,
        /// It was locked as editable.
        editable: bool,
    },
    /// A repository, to be fetched and built.
    Git(Git),
    /// Any file of the index page that has one of these hashes.
    Listed {
        /// The hashes.
        hashes: BTreeSet<Digest>,
    },
}

/// What to select from a lock.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// The target, and the tags that it runs.
    pub tags: &'a Tags,
    /// The project's extras to install.
    pub extras: BTreeSet<NormalizedName>,
    /// The dependency groups to install. A `pylock.toml`'s own default groups are taken where this is `None`; other locks have
    /// none by default, since uv's and Poetry's defaults are for development.
    pub groups: Option<BTreeSet<NormalizedName>>,
    /// Distributions that are built from source although there is a wheel.
    pub no_binary: FormatControl,
    /// Distributions that are never built.
    pub only_binary: FormatControl,
}

impl<'a> Selection<'a> {
    /// The project's own dependencies for this target: no extras, no groups.
    pub fn for_tags(tags: &'a Tags) -> Self {
        let control = FormatControl::default;
        Self { tags, extras: BTreeSet::new(), groups: None, no_binary: control(), only_binary: control() }
    }
}

impl Lock {
    /// Reads the lock that the project uses; `None` where it has none. `variables` gives the values for `${NAME}` in
    /// requirements files.
    pub fn read(project: &Project, variables: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, LockError> {
        let DependencySource::Lock(kind, path) = &project.dependency_source else { return Ok(None) };
        let shown = path.strip_prefix(&project.root).unwrap_or(path).display().to_string();
        if *kind == LockKind::Requirements {
            let requirements = Requirements::read(&project.root, &[shown], variables)?;
            return Self::from_requirements(&requirements, &project.root).map(Some);
        }
        let io = |source| LockError::Io { path: shown.clone(), source };
        if std::fs::metadata(path).map_err(io)?.len() > MAX_BYTES {
            return Err(io(io::Error::other("it is larger than 64 MiB")));
        }
        let text = decode(&shown, &std::fs::read(path).map_err(io)?).map_err(RequirementsError::from)?;
        let directory = path.parent().unwrap_or(Path::new("."));
        let lock = match kind {
            LockKind::Pylock => Self::parse_pylock(&shown, &text, directory),
            LockKind::Uv => Self::parse_uv(&shown, &text, directory, project),
            LockKind::Poetry => Self::parse_poetry(&shown, &text, directory, project),
            LockKind::Pipfile | LockKind::Requirements => Self::parse_pipfile(&shown, &text, directory, project),
        };
        lock.map(Some)
    }

    /// The number of packages in it, for every platform together.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether it holds no package.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }
}

impl Edge {
    fn new(name: NormalizedName) -> Self {
        Self {
            name,
            extras: BTreeSet::new(),
            marker: Marker::default(),
            version: None,
            versions: Vec::new(),
            source: None,
            for_extras: BTreeSet::new(),
        }
    }
}

/// A lock cannot be read or followed.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML, or a value has the wrong shape.
    #[error(transparent)]
    Toml(#[from] TomlError),
    /// A requirements file is malformed.
    #[error(transparent)]
    Requirements(#[from] RequirementsError),
    /// It holds something that makes no sense.
    #[error("{place}: {what}")]
    Invalid {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It is for other versions of Python.
    #[error("{file} is for Python {wanted}, and the image has Python {python}")]
    Python {
        /// The lock.
        file: String,
        /// The versions that it is for.
        wanted: String,
        /// The target's version.
        python: Version,
    },
    /// It is for other platforms.
    #[error("{file} is for other platforms than {target}: it needs {environments}")]
    Environment {
        /// The lock.
        file: String,
        /// The environments that it is for.
        environments: String,
        /// The target.
        target: String,
    },
    /// A package has no file that the target can install.
    #[error(transparent)]
    NoArtifact(#[from] Box<NoArtifact>),
    /// Something depends on a package that the lock does not have.
    #[error("{file} has no {name} that {by} could use")]
    Missing {
        /// The lock.
        file: String,
        /// The package.
        name: NormalizedName,
        /// What depends on it.
        by: String,
        /// The command that renews the lock.
        renew: &'static str,
    },
    /// Two versions of one package are selected.
    #[error("{file} selects two versions of {name}: {first} and {second}")]
    Ambiguous {
        /// The lock.
        file: String,
        /// The package.
        name: NormalizedName,
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// An extra or group is asked for that the lock does not have.
    #[error("{file} has no {what} `{name}`")]
    Unknown {
        /// The lock.
        file: String,
        /// `extra` or `dependency group`.
        what: &'static str,
        /// The name asked for.
        name: NormalizedName,
        /// The names that there are.
        known: Vec<String>,
    },
}

/// A package of a lock has no file that the target can install.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {name} {version}: {why}")]
pub struct NoArtifact {
    /// Where.
    pub place: Place,
    /// The package.
    pub name: NormalizedName,
    /// Its version.
    pub version: String,
    /// What it has, and what is wanted.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

impl LockError {
    fn invalid(place: &Place, what: impl Into<String>) -> Self {
        Self::Invalid { place: place.clone(), what: what.into(), hint: None }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Requirements(e) => e.hint(),
            Self::Invalid { hint, .. } => hint.clone(),
            Self::Python { .. } => Some("choose a Python that it is for, or lock again for this one".to_owned()),
            Self::Environment { .. } => Some("lock again with this platform among its environments".to_owned()),
            Self::NoArtifact(e) => Some(e.hint.clone()),
            Self::Missing { renew, .. } => Some(format!("the lock is out of date: run `{renew}`")),
            Self::Unknown { known, .. } if known.is_empty() => Some("there are none".to_owned()),
            Self::Unknown { name, known, .. } => {
                let close = known.iter().max_by(|a, b| {
                    strsim::jaro_winkler(a, name.as_str()).total_cmp(&strsim::jaro_winkler(b, name.as_str()))
                });
                let close = close.filter(|close| strsim::jaro_winkler(close, name.as_str()) > 0.8);
                Some(match close {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("there are: {}", known.join(", ")),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
