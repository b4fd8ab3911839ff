//! Source distributions (source distribution format; PEP 517, 625): read, and unpacked for a build.
//!
//! 1. [`SdistFilename`]: what the name of the file says.
//! 2. [`Sdist::open`] goes through the archive once, checks every entry, and keeps `PKG-INFO` and `[build-system]`.
//! 3. [`Sdist::unpack`] writes it to a directory, and nowhere else.
//!
//! Nothing of the distribution is run here.

mod filename;
mod unpack;
mod walk;

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::str::FromStr as _;

use jettison_tree::TreePath;
use serde::Deserialize;
use toml::Spanned;

pub use filename::{SdistFilename, SdistFilenameError, SdistFormat};

use self::walk::{Item, Kind, walk};
use crate::metadata::{Metadata, MetadataError};
use crate::place::Place;
use crate::project::BuildSystem;
use crate::requirement::Requirement;
use crate::toml_file::{self, TomlError};

/// `PKG-INFO` and `pyproject.toml` are no larger than this, in bytes.
const FILE_LIMIT: u64 = 16 << 20;

/// A source distribution whose every entry may be unpacked.
pub struct Sdist {
    filename: SdistFilename,
    file: File,
    directory: TreePath,
    metadata: Option<Metadata>,
    build_system: BuildSystem,
}

impl Sdist {
    /// Opens the source distribution in `file`, which has this name.
    pub fn open(file: File, filename: &SdistFilename) -> Result<Self, SdistError> {
        Self::read(file, filename).map_err(|fault| SdistError { sdist: filename.to_string(), fault })
    }

    fn read(mut file: File, filename: &SdistFilename) -> Result<Self, SdistFault> {
        let mut directory: Option<TreePath> = None;
        let (mut metadata, mut pyproject) = (None, None);
        walk(&mut file, filename.format, &mut |item, data| {
            let top = top_directory(item)?;
            if *directory.get_or_insert_with(|| top.clone()) != top {
                return Err(SdistFault::Entry {
                    entry: item.path.to_string(),
                    why: format!("does not lie in `{}`, where the others do", directory.as_ref().unwrap_or(&top)),
                });
            }
            let inside = item.path.strip_prefix(top.as_bytes());
            match inside.as_ref().map(TreePath::as_bytes) {
                Some(b"PKG-INFO") => metadata = Some(Metadata::parse(&small(item, data)?)?),
                Some(b"pyproject.toml") => pyproject = Some(small(item, data)?),
                _ => {}
            }
            Ok(())
        })?;
        if let Some(metadata) = &metadata
            && (&metadata.name, &metadata.version) != (&filename.name, &filename.version)
        {
            let found = format!("{} {}", metadata.name, metadata.version);
            return Err(SdistFault::Identity { found, expected: format!("{} {}", filename.name, filename.version) });
        }
        let build_system = match pyproject {
            Some(bytes) => build_system(&String::from_utf8(bytes).map_err(|_| {
                let why = "is not UTF-8".to_owned();
                SdistFault::Entry { entry: "pyproject.toml".to_owned(), why }
            })?)?,
            None => None,
        };
        let directory = directory.ok_or_else(|| SdistFault::Archive("it is empty".to_owned()))?;
        let build_system = build_system.unwrap_or_else(legacy_build_system);
        Ok(Self { filename: filename.clone(), file, directory, metadata, build_system })
    }

    /// The name of the file.
    pub fn filename(&self) -> &SdistFilename {
        &self.filename
    }

    /// `PKG-INFO`, which old ones lack. Fields that it calls dynamic may come out of a build differently.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// How to build it. Without a `[build-system]` table that is setuptools' legacy backend (PEP 517, "Build
    /// requirements"); the backend is always given.
    pub fn build_system(&self) -> &BuildSystem {
        &self.build_system
    }
}

fn top_directory(item: &Item) -> Result<TreePath, SdistFault> {
    let first = item.path.as_bytes().split(|&byte| byte == b'/').next().unwrap_or_default();
    let alone = first.len() == item.path.as_bytes().len() && !matches!(item.kind, Kind::Directory);
    if alone {
        return Err(SdistFault::Entry { entry: item.path.to_string(), why: "lies in no directory".to_owned() });
    }
    TreePath::parse(first).map_err(|e| SdistFault::Entry { entry: item.path.to_string(), why: e.to_string() })
}

fn small(item: &Item, data: &mut dyn Read) -> Result<Vec<u8>, SdistFault> {
    if !matches!(item.kind, Kind::File { .. }) || item.size > FILE_LIMIT {
        return Err(SdistFault::Entry { entry: item.path.to_string(), why: "is no small file".to_owned() });
    }
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawPyproject {
    build_system: Option<RawBuildSystem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawBuildSystem {
    requires: Vec<Spanned<String>>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

/// The `[build-system]` table of a `pyproject.toml`; the rest of the file is not looked at.
fn build_system(text: &str) -> Result<Option<BuildSystem>, TomlError> {
    let Some(raw) = toml_file::parse::<RawPyproject>("pyproject.toml", text)?.build_system else { return Ok(None) };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let requirement = |raw: &Spanned<String>| {
        Requirement::parse(raw.get_ref()).map_err(|e| {
            let place = Place::at("pyproject.toml", text, raw.span().start);
            let line = place.line.checked_sub(1).and_then(|index| text.lines().nth(index)).unwrap_or_default();
            TomlError { message: e.to_string(), line: line.to_owned(), place }
        })
    };
    Ok(Some(BuildSystem {
        requires: raw.requires.iter().map(requirement).collect::<Result<_, _>>()?,
        backend: raw.build_backend.or_else(|| legacy_build_system().backend),
        backend_path: raw.backend_path,
    }))
}

fn legacy_build_system() -> BuildSystem {
    let requires = Requirement::from_str("setuptools>=40.8.0").into_iter().collect();
    let backend = Some("setuptools.build_meta:__legacy__".to_owned());
    BuildSystem { requires, backend, backend_path: Vec::new() }
}

/// A source distribution that cannot be used: which, and why.
#[derive(Debug, thiserror::Error)]
#[error("`{sdist}`: {fault}")]
pub struct SdistError {
    /// The file name.
    pub sdist: String,
    /// What is wrong with it.
    #[source]
    pub fault: SdistFault,
}

/// What can be wrong with a source distribution.
#[derive(Debug, thiserror::Error)]
pub enum SdistFault {
    /// It cannot be read, or not be written to the directory.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// The archive is broken, or larger than anything that is meant well.
    #[error("the archive is broken: {0}")]
    Archive(String),
    /// An entry must not be unpacked.
    #[error("entry `{entry}` {why}")]
    Entry {
        /// The path in the archive.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// `PKG-INFO` cannot be used.
    #[error("PKG-INFO: {0}")]
    Metadata(#[from] MetadataError),
    /// `pyproject.toml` cannot be used.
    #[error(transparent)]
    Pyproject(#[from] TomlError),
    /// `PKG-INFO` is of another distribution.
    #[error("PKG-INFO says {found}, the file name says {expected}")]
    Identity {
        /// Name and version in `PKG-INFO`.
        found: String,
        /// Name and version of the file name.
        expected: String,
    },
}

/// Damaged data shows as an error of the reader; what remains is the disk's.
impl From<io::Error> for SdistFault {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error.kind() {
            InvalidData | InvalidInput | UnexpectedEof => Self::Archive(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl SdistError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let text = match &self.fault {
            SdistFault::Archive(_) => "the file may be cut short: remove it from the cache and fetch it again",
            SdistFault::Identity { .. } => "the file was renamed, or built wrongly: take another version",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

fn rewind(file: &mut File) -> io::Result<()> {
    file.seek(io::SeekFrom::Start(0)).map(|_| ())
}

#[cfg(test)]
mod tests;
