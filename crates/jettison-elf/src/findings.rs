//! What linking finds, and how it is told.

use std::collections::BTreeSet;
use std::fmt;

use jettison_tree::TreePath;
use serde::Serialize;

use crate::Abi;

/// How a library was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// The program names its loader.
    Interpreter,
    /// Something loaded before has that name.
    Loaded,
    /// By the `DT_RPATH` of its user, or of what loaded that.
    Rpath,
    /// By the `DT_RUNPATH` of its user.
    Runpath,
    /// In a directory of the system.
    System,
    /// The name is a path.
    Path,
    /// The loader would not find it, but it came with its user, whose Python code is taken to load it first.
    Preloaded,
    /// Its user says that it may `dlopen` it.
    Dlopen,
}

/// A library that is found for a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// The user.
    pub from: TreePath,
    /// The name that it asks for.
    pub name: String,
    /// The file that it gets.
    pub to: TreePath,
    /// How.
    pub found: Found,
}

/// A library that is found in no way of loading its user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Missing {
    /// The name that is asked for: a soname, or the path of a loader.
    pub name: String,
    /// The user.
    pub needed_by: TreePath,
    /// Whose file that is.
    pub owner: String,
    /// Files that have this name and stand where the loader does not look, with another owner.
    pub elsewhere: Vec<TreePath>,
    /// It is part of musl, so that its user was built for Alpine.
    pub is_musl: bool,
}

/// A library is there, and too old.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct VersionProblem {
    /// The user.
    pub needed_by: TreePath,
    /// Whose file that is.
    pub owner: String,
    /// The library that it asks for.
    pub library: String,
    /// The version of symbols that it needs, such as `GLIBC_2.38`.
    pub version: String,
    /// The file that it gets.
    pub provider: TreePath,
    /// The newest version of that family which the file defines.
    pub newest: Option<String>,
}

/// A root for another machine than the program's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Foreign {
    /// The file.
    pub path: TreePath,
    /// Whose it is.
    pub owner: String,
    /// What it is for.
    pub abi: Abi,
}

/// What linking found, each list in the order of paths and without repetition.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Links {
    /// What uses what.
    pub edges: Vec<Edge>,
    /// What is not there.
    pub missing: Vec<Missing>,
    /// What is there and too old.
    pub too_old: Vec<VersionProblem>,
    /// What no process of this machine can load.
    pub foreign: Vec<Foreign>,
    /// Every file that some root leads to, the roots included.
    pub reached: BTreeSet<TreePath>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of {} needs `{}`, which is not there", self.needed_by, self.owner, self.name.escape_debug())
    }
}

impl Missing {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        if self.is_musl {
            return Some(format!(
                "{} was built for musl (Alpine), and this base has glibc: take a wheel that says manylinux",
                self.owner
            ));
        }
        let place = self.elsewhere.first()?;
        Some(format!("`{place}` has that name, but stands where the loader does not look for it"))
    }
}

impl fmt::Display for VersionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (version, library) = (self.version.escape_debug(), self.library.escape_debug());
        write!(f, "`{}` of {} needs {version} of {library}, and `{}` ", self.needed_by, self.owner, self.provider)?;
        match &self.newest {
            Some(newest) => write!(f, "ends at {}", newest.escape_debug()),
            None => write!(f, "has no such version"),
        }
    }
}

impl VersionProblem {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let wanted =
            self.version.strip_prefix("GLIBC_").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))?;
        let manylinux =
            |version: &str| format!("manylinux_{}", version.split('.').take(2).collect::<Vec<_>>().join("_"));
        let newest = self.newest.as_deref().and_then(|newest| newest.strip_prefix("GLIBC_"));
        let older = newest.map_or_else(String::new, |newest| {
            format!(", or a version of {} whose wheel says {} or older", self.owner, manylinux(newest))
        });
        Some(format!("take a base with glibc {} or newer{older}", wanted.escape_debug()))
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of {} is for {}", self.path, self.owner, self.abi)
    }
}
