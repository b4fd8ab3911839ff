//! pip's requirements files.
//!
//! 1. [`decode`] makes text of the bytes: byte order marks, a `coding:` comment.
//! 2. [`parse`] takes one file apart, without touching a disk: logical lines, comments, `${VARIABLES}`, options, requirements.
//! 3. [`Requirements::read`] follows `-r` and `-c` and collects.
//! 4. [`Requirements::is_locked`]: every line pinned and hashed; such a file is a lock.
//!
//! Source: pip's "Requirements File Format", and what its parser does where that page says nothing.

mod line;
mod read;

use std::collections::BTreeSet;

use pep440_rs::{Operator, Version, VersionSpecifiers};

use crate::direct::DirectReference;
use crate::marker::Marker;
use crate::name::NormalizedName;
use crate::place::Place;

pub use line::{Line, LineError, decode, parse};
pub(crate) use read::normalize;
pub use read::{Requirements, RequirementsError};

/// One requirement of a requirements file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub place: Place,
    /// The distribution; `None` for a path or URL that does not say.
    pub name: Option<NormalizedName>,
    /// The extras asked of it.
    pub extras: BTreeSet<NormalizedName>,
    /// Which release, or where it lies.
    pub wanted: Wanted,
    /// Where it is needed.
    pub marker: Marker,
    /// `--hash`: algorithm and hex, lower case.
    pub hashes: Vec<(String, String)>,
    /// `-e`: installed as it is in an image all the same, there being no tree to edit.
    pub editable: bool,
}

/// What an [`Entry`] asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A release from an index.
    Versions(VersionSpecifiers),
    /// This very file, directory or repository. A relative path is relative to the project's directory, not to the
    /// requirements file, as pip has it.
    Direct(DirectReference),
}

impl Entry {
    /// The version, where exactly one is allowed.
    pub fn pinned(&self) -> Option<&Version> {
        let Wanted::Versions(specifiers) = &self.wanted else { return None };
        match &specifiers[..] {
            [only] if matches!(only.operator(), Operator::Equal | Operator::ExactEqual) => Some(only.version()),
            _ => None,
        }
    }

    /// The requirement as one line of a requirements file, without its hashes.
    pub fn to_line(&self) -> String {
        let mut line = String::new();
        if self.editable {
            line.push_str("-e ");
        }
        let extras: Vec<_> = self.extras.iter().map(NormalizedName::as_str).collect();
        let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
        match (&self.wanted, &self.name) {
            (Wanted::Versions(specifiers), name) => {
                let specifiers: Vec<_> = specifiers.iter().map(ToString::to_string).collect();
                let name = name.as_ref().map_or("", NormalizedName::as_str);
                line.push_str(&format!("{name}{extras}{}", specifiers.join(",")));
            }
            (Wanted::Direct(DirectReference::Path { path, subdirectory: None }), _) if self.editable => {
                line.push_str(&format!("{path}{extras}"));
            }
            (Wanted::Direct(reference), Some(name)) if !self.editable => {
                line.push_str(&format!("{name}{extras} @ {reference}"));
            }
            (Wanted::Direct(reference @ DirectReference::Vcs(_)), Some(name)) => {
                let sign = if reference.to_string().contains('#') { '&' } else { '#' };
                line.push_str(&format!("{reference}{sign}egg={name}{extras}"));
            }
            (Wanted::Direct(reference), _) => line.push_str(&format!("{reference}{extras}")),
        }
        if !self.marker.is_empty() {
            line.push_str(&format!(" ; {}", self.marker));
        }
        line
    }
}

/// What the option lines of requirements files set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `--index-url`.
    pub index_url: Option<String>,
    /// `--extra-index-url`, in order.
    pub extra_index_urls: Vec<String>,
    /// `--no-index`.
    pub no_index: bool,
    /// `--find-links`: URLs as written, paths relative to the project.
    pub find_links: Vec<String>,
    /// `--no-binary`.
    pub no_binary: FormatControl,
    /// `--only-binary`.
    pub only_binary: FormatControl,
    /// `--prefer-binary`.
    pub prefer_binary: bool,
    /// `--pre`.
    pub pre: bool,
    /// `--require-hashes`.
    pub require_hashes: bool,
    /// `--trusted-host`.
    pub trusted_hosts: Vec<String>,
}

/// A set of distributions that `:all:` and `:none:` can stand in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormatControl {
    /// Every distribution.
    pub all: bool,
    /// These.
    pub names: BTreeSet<NormalizedName>,
}

impl FormatControl {
    /// Whether `name` is in the set.
    pub fn contains(&self, name: &NormalizedName) -> bool {
        self.all || self.names.contains(name)
    }

    /// Adds one value of the option: names and `:all:` with commas between; `:none:` empties the set.
    fn add(&mut self, value: &str) -> Result<(), crate::NameError> {
        for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                ":all:" => *self = Self { all: true, names: BTreeSet::new() },
                ":none:" => *self = Self::default(),
                name => {
                    self.names.insert(NormalizedName::parse(name)?);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
