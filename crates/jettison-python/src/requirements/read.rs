//! Requirements files on disk, with all that they include.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::{Entry, FormatControl, Line, LineError, Options, decode, parse};
use crate::place::Place;

/// Includes deeper than this go in circles.
const MAX_DEPTH: usize = 32;
/// Larger files are no requirements files.
const MAX_BYTES: u64 = 16 << 20;

/// Requirements files taken together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requirements {
    /// The requirements, in the order in which pip sees them.
    pub entries: Vec<Entry>,
    /// What `-c` files constrain.
    pub constraints: Vec<Entry>,
    /// The options.
    pub options: Options,
    /// Every file that was read, relative to the project where it lies inside.
    pub files: Vec<String>,
}

/// Requirements files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RequirementsError {
    /// A line makes no sense.
    #[error(transparent)]
    Line(#[from] LineError),
    /// A file cannot be read.
    #[error("{place}: cannot read `{path}`: {source}")]
    Io {
        /// Where it is asked for.
        place: Place,
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An include is a URL, or leads back to a file that is being read.
    #[error("{place}: {what}")]
    Include {
        /// Where.
        place: Place,
        /// What is wrong with it.
        what: String,
    },
}

impl RequirementsError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Line(e) => e.hint(),
            Self::Io { .. } => Some("nested files are relative to the file that names them".to_owned()),
            Self::Include { what, .. } if what.contains("://") => {
                Some("download the file, commit it, and include it by its path".to_owned())
            }
            Self::Include { .. } => None,
        }
    }
}

impl Requirements {
    /// Reads `files` (relative to `root`, the project's directory) and what they include; `variables` gives the values for
    /// `${NAME}`.
    pub fn read(
        root: &Path,
        files: &[String],
        variables: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, RequirementsError> {
        let mut reader =
            Reader { root, variables, requirements: Self::default(), open: Vec::new(), done: BTreeSet::new() };
        for file in files {
            reader.file(Path::new(file), &Place::file(file), false)?;
        }
        Ok(reader.requirements)
    }

    /// Whether every requirement is pinned with `==` and carries a SHA-256 hash, or is a URL with one: then there is nothing to
    /// resolve.
    pub fn is_locked(&self) -> bool {
        let hashed = |entry: &Entry| entry.hashes.iter().any(|(algorithm, _)| algorithm == "sha256");
        let url_hashed = |entry: &Entry| {
            matches!(&entry.wanted, super::Wanted::Direct(crate::direct::DirectReference::Archive { hash, .. })
                if hashed(entry) || hash.as_ref().is_some_and(|(algorithm, _)| algorithm == "sha256"))
        };
        !self.entries.is_empty()
            && self.entries.iter().all(|entry| (entry.pinned().is_some() && hashed(entry)) || url_hashed(entry))
    }
}

struct Reader<'a> {
    root: &'a Path,
    variables: &'a dyn Fn(&str) -> Option<String>,
    requirements: Requirements,
    open: Vec<PathBuf>,
    done: BTreeSet<(PathBuf, bool)>,
}

impl Reader<'_> {
    fn file(&mut self, relative: &Path, asked: &Place, constraint: bool) -> Result<(), RequirementsError> {
        let relative = normalize(relative);
        let shown = relative.display().to_string();
        if self.open.contains(&relative) || self.open.len() >= MAX_DEPTH {
            let what = format!("`{shown}` includes itself");
            return Err(RequirementsError::Include { place: asked.clone(), what });
        }
        if !self.done.insert((relative.clone(), constraint)) {
            return Ok(());
        }
        let io = |source| RequirementsError::Io { place: asked.clone(), path: shown.clone(), source };
        let path = self.root.join(&relative);
        if std::fs::metadata(&path).map_err(io)?.len() > MAX_BYTES {
            return Err(io(io::Error::other("it is larger than 16 MiB")));
        }
        let text = decode(&shown, &std::fs::read(&path).map_err(io)?)?;
        if !self.requirements.files.contains(&shown) {
            self.requirements.files.push(shown.clone());
        }
        self.open.push(relative.clone());
        let directory = relative.parent().unwrap_or(Path::new("")).to_owned();
        for line in parse(&shown, &text, self.variables)? {
            match line {
                Line::Requirement(entry) if constraint => self.requirements.constraints.push(entry),
                Line::Requirement(entry) => self.requirements.entries.push(entry),
                Line::Include(file, place) => self.include(&directory, &file, &place, constraint)?,
                Line::Constraint(file, place) => self.include(&directory, &file, &place, true)?,
                Line::Option(name, value, place) => self.option(name, value, &place)?,
            }
        }
        self.open.pop();
        Ok(())
    }

    fn include(
        &mut self,
        directory: &Path,
        file: &str,
        place: &Place,
        constraint: bool,
    ) -> Result<(), RequirementsError> {
        if file.contains("://") {
            let what = format!("`{file}` is not on this machine, and has no checked hash");
            return Err(RequirementsError::Include { place: place.clone(), what });
        }
        self.file(&directory.join(file), place, constraint)
    }

    fn option(&mut self, name: &str, value: String, place: &Place) -> Result<(), RequirementsError> {
        let options = &mut self.requirements.options;
        let control = |control: &mut FormatControl, value: &str| {
            control.add(value).map_err(|e| RequirementsError::Include { place: place.clone(), what: e.to_string() })
        };
        match name {
            "--index-url" => options.index_url = Some(value),
            "--extra-index-url" => options.extra_index_urls.push(value),
            "--no-index" => options.no_index = true,
            "--find-links" => options.find_links.push(value),
            "--no-binary" => control(&mut options.no_binary, &value)?,
            "--only-binary" => control(&mut options.only_binary, &value)?,
            "--prefer-binary" => options.prefer_binary = true,
            "--pre" => options.pre = true,
            "--require-hashes" => options.require_hashes = true,
            "--trusted-host" => options.trusted_hosts.push(value),
            _ => {}
        }
        Ok(())
    }
}

/// Resolves `.` and `..` by text, so that one file has one name.
pub(crate) fn normalize(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(clean.components().next_back(), Some(Component::Normal(_))) => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}
