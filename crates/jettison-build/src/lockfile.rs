//! `jettison.lock`: everything a build chose that the project's own lock does not say.
//!
//! Which Debian packages at which version, what a distribution was built from source with, and which modules verification saw
//! loaded. With it, and with the packages in the store or still on the mirror, the same project gives the same digest on any
//! day. It is TOML, sorted, made to be committed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

use crate::error::{BuildError, Context as _};
use crate::settings::place_of;

/// The name of the file, beside the project's `pyproject.toml`.
pub const LOCK_NAME: &str = "jettison.lock";
const VERSION: u32 = 1;

/// The content of a `jettison.lock`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockFile {
    version: u32,
    /// The Debian packages below every project with this interpreter, by platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub base: BTreeMap<String, LockedPackages>,
    /// The image below, where the base is one, by platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub image: BTreeMap<String, LockedImage>,
    /// The Debian packages that this project needs besides, by platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub libraries: BTreeMap<String, LockedPackages>,
    /// The Debian packages of the builder that sdists are built in, by platform.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub builder: BTreeMap<String, LockedPackages>,
    /// How distributions were built from source, by platform and `name version`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sdist: BTreeMap<String, BTreeMap<String, LockedSdist>>,
    /// What verification saw loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// An image that others stand on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedImage {
    /// Where it came from.
    pub place: String,
    /// Of its manifest.
    pub digest: Digest,
}

/// A closed set of Debian packages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPackages {
    /// Codename of the suite.
    pub suite: String,
    /// What was asked for; a different question is answered anew.
    pub roots: Vec<String>,
    /// The package that was found for a soname.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sonames: BTreeMap<String, String>,
    /// The packages, sorted by name.
    pub package: Vec<LockedPackage>,
}

/// One `.deb`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedPackage {
    /// The package.
    pub name: String,
    /// Its Debian version.
    pub version: String,
    /// The path below the archive's root.
    pub filename: String,
    /// Whether the archive is the security one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub security: bool,
    /// Bytes.
    pub size: u64,
    /// The digest of the `.deb`.
    pub digest: Digest,
}

/// What a distribution was built from source with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedSdist {
    /// The Debian packages that were asked for, beyond the compiler and the interpreter.
    pub build_packages: Vec<String>,
    /// The build environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<LockedWheel>,
    /// The closure of the packages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub package: Vec<LockedPackage>,
}

/// One wheel of a build environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LockedWheel {
    /// File name of the wheel, which says name, version and tags.
    pub filename: String,
    /// Where it was found.
    pub url: String,
    /// The digest of the wheel.
    pub digest: Digest,
}

/// The modules that verification saw loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Profile {
    /// Digest of the interpreter and distributions it was taken of.
    pub of: Digest,
    /// Modules that the project's files imported and the start command did not load, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_loaded: Vec<String>,
    /// Paths of the sources in the image, sorted.
    pub sources: Vec<String>,
}

impl LockFile {
    /// Reads the lock of the project at `root`; an empty one where there is none.
    pub fn read(root: &Path) -> Result<Self, BuildError> {
        let path = root.join(LOCK_NAME);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self { version: VERSION, ..Self::default() }),
            Err(error) => Err(BuildError::from(error).context(format!("cannot read `{}`", path.display()))),
        }
    }

    fn parse(text: &str, path: &str) -> Result<Self, BuildError> {
        const HINT: &str = "remove the file to choose everything anew";
        let file: Self = toml::from_str(text).map_err(|error| {
            let (line, column) = place_of(&error, text);
            BuildError::new(format!("{path}:{line}:{column}: {}", error.message())).hint(HINT)
        })?;
        if file.version != VERSION {
            let what = format!("{path}: lock version {} is not known to this jettison", file.version);
            return Err(BuildError::new(what).hint(HINT));
        }
        Ok(file)
    }

    fn print(&self) -> Result<String, BuildError> {
        let body = toml::to_string(self).map_err(|error| BuildError::new(error.to_string()))?;
        Ok(format!("# What jettison chose for this image. Commit it: the same choices give the same digest.\n{body}"))
    }

    /// Writes the lock at `root`, all of it or nothing, and returns its path.
    pub fn write(&self, root: &Path) -> Result<PathBuf, BuildError> {
        let path = root.join(LOCK_NAME);
        write_whole(&path, self.print()?.as_bytes())?;
        Ok(path)
    }
}

/// Writes a file beside its place and renames it there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.persist(path)?;
        Ok(())
    };
    write().context(format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_reads_back_and_an_unknown_one_is_refused() {
        let package = LockedPackage {
            name: "libc6".into(),
            version: "2.41-12".into(),
            filename: "pool/main/g/glibc/libc6_2.41-12_amd64.deb".into(),
            security: false,
            size: 7,
            digest: Digest::of(b"x"),
        };
        let packages = LockedPackages {
            suite: "trixie".into(),
            roots: vec!["libc6".into()],
            sonames: BTreeMap::new(),
            package: vec![package],
        };
        let mut file = LockFile { version: VERSION, ..LockFile::default() };
        file.base.insert("linux/amd64".into(), packages);
        file.profile = Some(Profile {
            of: Digest::of(b"p"),
            not_loaded: Vec::new(),
            sources: vec!["/usr/lib/python3.13/os.py".into()],
        });

        let dir = tempfile::tempdir().unwrap();
        assert_eq!(LockFile::read(dir.path()).unwrap().base, BTreeMap::new());
        file.write(dir.path()).unwrap();
        assert_eq!(LockFile::read(dir.path()).unwrap(), file);

        for bad in ["version = 99", "version = 1\nbse = 1", "version = "] {
            fs::write(dir.path().join(LOCK_NAME), bad).unwrap();
            let error = LockFile::read(dir.path()).unwrap_err();
            assert!(error.to_string().contains(LOCK_NAME) && error.hint_text().is_some(), "{error}");
        }
    }
}
