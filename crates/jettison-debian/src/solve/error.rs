//! Why a request cannot be satisfied.

use std::fmt;

use super::STEP_LIMIT;
use crate::relation::RelationError;

/// A request that cannot be satisfied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// Something is needed that cannot be had.
    #[error("{}: {why}", print_chain(.chain))]
    Unsatisfied {
        /// From what was asked for to what is missing.
        chain: Vec<Link>,
        /// What is wrong with the last of them.
        why: Unsatisfied,
    },
    /// The index holds a relation that is not one.
    #[error("{package}: {error}")]
    Relation {
        /// The package.
        package: String,
        /// What is wrong.
        error: RelationError,
    },
    /// The search was given up.
    #[error("no set of packages was found that goes together in {STEP_LIMIT} steps")]
    TooHard,
}

impl SolveError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let Self::Unsatisfied { why, .. } = self else { return None };
        match why {
            Unsatisfied::NotFound { similar: Some(similar), .. } => Some(format!("there is a package `{similar}`")),
            Unsatisfied::NotFound { name, similar: None } => Some(format!(
                "`{name}` may be in another suite or component, or be called otherwise there: https://packages.debian.org/{name}"
            )),
            Unsatisfied::Version { .. } => Some("take a newer suite, or an archive that has it".to_owned()),
            Unsatisfied::Pinned { name, .. } => Some(format!(
                "the archive keeps one version of a package: drop the pin of `{name}` to take the present one"
            )),
            Unsatisfied::Conflict { .. } => Some("leave one of the two out".to_owned()),
        }
    }
}

/// Who needs what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The package; `None` for the request itself.
    pub package: Option<String>,
    /// The relation, as it is written.
    pub needs: String,
}

fn print_chain(chain: &[Link]) -> String {
    let mut text = String::new();
    for (i, link) in chain.iter().enumerate() {
        let joint = if i == 0 { "" } else { ", " };
        text += &match &link.package {
            None => format!("`{}` is wanted", link.needs),
            Some(package) => format!("{joint}{package} needs `{}`", link.needs),
        };
    }
    text
}

/// Why nothing satisfies a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsatisfied {
    /// There is no such package, and nobody provides it.
    NotFound {
        /// The name.
        name: String,
        /// A name that there is.
        similar: Option<String>,
    },
    /// It has another version.
    Version {
        /// The name.
        name: String,
        /// The newest there is.
        version: String,
    },
    /// The pinned version is not there, or not fit.
    Pinned {
        /// The name.
        name: String,
        /// The pin.
        version: String,
    },
    /// It cannot stand beside a package that is needed as well.
    Conflict {
        /// Name and version.
        package: String,
        /// Name and version.
        other: String,
    },
}

impl fmt::Display for Unsatisfied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name, .. } => write!(f, "there is no package `{name}`"),
            Self::Version { name, version } => write!(f, "{name} is {version} here"),
            Self::Pinned { name, version } => {
                write!(f, "{name} is pinned to {version}, which is not here or does not fit")
            }
            Self::Conflict { package, other } => write!(f, "{package} does not go together with {other}"),
        }
    }
}
