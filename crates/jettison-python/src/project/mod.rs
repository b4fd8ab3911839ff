//! What a project says of itself, and where its dependencies are written down.
//!
//! 1. [`Project::read`] looks at a directory; it is the only function here that touches a disk, and it lists what it
//!    [looked at](Project::looked_at) with a verdict on each.
//! 2. [`pyproject`], [`setup`], [`pipfile`] and [`pin`] parse one kind of file each, from text.
//! 3. [`poetry`] turns Poetry's own constraints into PEP 440 and 508.
//!
//! Dependencies come from the first of these that is there ([`DependencySource`]), because a file further up says more exactly what
//! to install: `pylock.toml`, `uv.lock` (in the project, or in the workspace that it is a member of), `poetry.lock`,
//! `Pipfile.lock`, a requirements file (a lock by itself where every line is pinned and hashed), `pyproject.toml`, `Pipfile`,
//! `setup.cfg` and `setup.py`.

pub mod pin;
pub mod pipfile;
pub mod poetry;
pub mod pyproject;
mod read;
pub mod setup;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

use pep440_rs::{Version, VersionSpecifiers};

use crate::name::NormalizedName;
use crate::place::Place;
use crate::requirement::Requirement;
use crate::requirements::RequirementsError;
use crate::toml_file::TomlError;

pub use pin::PythonPin;
pub use pyproject::{BuildSystem, Index, Uv};

/// A Python project, as far as its files say without running anything.
#[derive(Debug, Clone)]
pub struct Project {
    /// The directory that was read.
    pub root: PathBuf,
    /// The project's name.
    pub name: Option<NormalizedName>,
    /// Its version, where it is written down.
    pub version: Option<String>,
    /// What a build backend alone can say (`[project] dynamic`; PEP 621), and what `setup.py` computes.
    pub dynamic: Vec<String>,
    /// The Python versions that it allows.
    pub requires_python: Option<PythonRange>,
    /// The Python version that it is developed with.
    pub python_pin: Option<PythonPin>,
    /// Where its dependencies are to be taken from.
    pub dependency_source: DependencySource,
    /// Where they would be taken from if there were no `pylock.toml`: what one is made of.
    pub declared_source: DependencySource,
    /// The dependencies that pyproject.toml, Pipfile, setup.cfg or setup.py declare.
    pub dependencies: Vec<Requirement>,
    /// Extras (`optional-dependencies`) and what they add.
    pub extras: BTreeMap<NormalizedName, Vec<Requirement>>,
    /// Dependency groups, with what they include (PEP 735), and Poetry's groups.
    pub groups: BTreeMap<NormalizedName, Vec<Requirement>>,
    /// Console scripts: name → `module:function`.
    pub scripts: BTreeMap<String, String>,
    /// Scripts for graphical programs.
    pub gui_scripts: BTreeMap<String, String>,
    /// Every other group of entry points.
    pub entry_points: BTreeMap<String, BTreeMap<String, String>>,
    /// How it is built.
    pub build_system: Option<BuildSystem>,
    /// Whether it is meant to be built and installed, rather than run from its directory.
    pub is_package: bool,
    /// Where its modules stand.
    pub layout: Layout,
    /// What `[tool.uv]` sets.
    pub uv: Uv,
    /// Package indices that the project names, in order: Poetry's and Pipenv's sources too.
    pub indexes: Vec<Index>,
    /// Every file that was looked at, and what it told.
    pub looked_at: Vec<Looked>,
}

/// A file that was looked at, and the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The file, relative to the project.
    pub path: String,
    /// What it told.
    pub verdict: String,
}

/// Where dependencies come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DependencySource {
    /// A lock: nothing is resolved.
    Lock(LockKind, PathBuf),
    /// Requirements files, relative to the project, to be resolved together.
    Requirements(Vec<String>),
    /// `pyproject.toml` (or a Pipfile without a lock): [`Project::dependencies`] are to be resolved.
    Declared,
    /// The project's build backend must be asked: `setup.py`, or `dynamic = ["dependencies"]`. What was read without it is in
    /// [`Project::dependencies`].
    Backend,
    /// There are none.
    None,
}

/// The kinds of lock files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// `pylock.toml` (PEP 751).
    Pylock,
    /// `uv.lock`.
    Uv,
    /// `poetry.lock`.
    Poetry,
    /// `Pipfile.lock`.
    Pipfile,
    /// A requirements file that is pinned and hashed throughout.
    Requirements,
}

impl LockKind {
    /// The usual name of the file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Pylock => "pylock.toml",
            Self::Uv => "uv.lock",
            Self::Poetry => "poetry.lock",
            Self::Pipfile => "Pipfile.lock",
            Self::Requirements => "requirements.txt",
        }
    }
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file_name())
    }
}

/// Where a project's importable modules stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Packages below `src/`.
    Src,
    /// Packages in the project's own directory.
    Flat,
    /// No packages: loose modules, or nothing.
    Modules,
}

/// The Python versions that a project allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonRange {
    /// As it is written.
    pub text: String,
    /// Where.
    pub place: Place,
    /// One of these must hold; more than one only where Poetry's `||` is used.
    pub alternatives: Vec<VersionSpecifiers>,
}

impl PythonRange {
    /// Whether this version of Python is allowed.
    pub fn allows(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|specifiers| specifiers.contains(version))
    }

    /// The whole as one set of specifiers, where there is one.
    pub fn specifiers(&self) -> Option<&VersionSpecifiers> {
        match &self.alternatives[..] {
            [only] => Some(only),
            _ => None,
        }
    }
}

/// A project cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is no such directory.
    #[error("`{0}` is not a directory")]
    NotADirectory(String),
    /// A file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A TOML file is malformed.
    #[error(transparent)]
    Toml(#[from] TomlError),
    /// A requirements file is malformed.
    #[error(transparent)]
    Requirements(#[from] RequirementsError),
    /// A value makes no sense.
    #[error("{place}: {what}")]
    Invalid {
        /// Where.
        place: Place,
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl ProjectError {
    pub(crate) fn invalid(place: Place, what: impl Into<String>) -> Self {
        Self::Invalid { place, what: what.into(), hint: None }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotADirectory(_) => {
                Some("name the directory that holds pyproject.toml or requirements.txt".to_owned())
            }
            Self::Requirements(e) => e.hint(),
            Self::Invalid { hint, .. } => hint.clone(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
