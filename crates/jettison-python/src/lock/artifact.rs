//! Files of a release: reading them from locks, and the choice among them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jettison_tree::Digest;

use super::{Artifact, Location, LockError};
use crate::direct::filename_of_url;
use crate::name::NormalizedName;
use crate::place::Place;
use crate::requirements::FormatControl;
use crate::tags::Tags;
use crate::wheel::WheelFilename;

/// The ends of source distributions that can be built.
const SDIST_ENDS: [&str; 6] = [".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz", ".tar"];

impl Artifact {
    /// Whether it is a wheel by its name.
    pub fn is_wheel(&self) -> bool {
        self.filename.ends_with(".whl")
    }

    /// Whether it is a source distribution by its name; eggs and installers are neither.
    pub fn is_sdist(&self) -> bool {
        SDIST_ENDS.iter().any(|end| self.filename.ends_with(end))
    }

    /// From what a lock says: `hashes` must hold a SHA-256.
    pub(super) fn new(
        place: &Place,
        filename: Option<String>,
        location: Location,
        hashes: BTreeMap<String, String>,
        size: Option<u64>,
    ) -> Result<Self, LockError> {
        let from_location = || match &location {
            Location::Url(url) => filename_of_url(url),
            Location::Path(path) => path.file_name().and_then(|name| name.to_str()).map(str::to_owned),
            Location::Index => None,
        };
        let filename = filename.or_else(from_location).filter(|name| !name.is_empty() && !name.contains(['/', '\0']));
        let filename = filename.ok_or_else(|| LockError::invalid(place, "a file has no name"))?;
        let Some(sha256) = hashes.get("sha256") else {
            return Err(LockError::Invalid {
                place: place.clone(),
                what: format!("`{filename}` has no SHA-256 hash"),
                hint: Some("lock again: nothing is installed that cannot be checked".to_owned()),
            });
        };
        let sha256 = Digest::from_hex(sha256).map_err(|e| LockError::invalid(place, format!("`{filename}`: {e}")))?;
        Ok(Self { filename, location, sha256, hashes, size })
    }
}

/// Splits `sha256:hex`.
pub(super) fn split_hash(place: &Place, text: &str) -> Result<(String, String), LockError> {
    let split = text.split_once([':', '=']);
    let (algorithm, hex) = split.ok_or_else(|| LockError::invalid(place, format!("`{text}` is no hash")))?;
    Ok((algorithm.to_owned(), hex.to_ascii_lowercase()))
}

/// A path of a lock, from the lock's directory.
pub(super) fn resolve_path(directory: &Path, path: &str) -> PathBuf {
    let path = path.strip_prefix("file://").unwrap_or(path);
    crate::requirements::normalize(&directory.join(path))
}

/// The best of `files` for the target: a wheel if one fits, else the source distribution. The error says in one line why
/// there is none, and what to do.
pub(crate) fn choose(
    files: &[Artifact],
    name: &NormalizedName,
    tags: &Tags,
    no_binary: &FormatControl,
    only_binary: &FormatControl,
) -> Result<usize, (String, String)> {
    let wheels: Vec<(usize, WheelFilename)> = files
        .iter()
        .enumerate()
        .filter(|(_, file)| file.is_wheel())
        .filter_map(|(index, file)| Some((index, WheelFilename::parse(&file.filename).ok()?)))
        .collect();
    let names: Vec<WheelFilename> = wheels.iter().map(|(_, wheel)| wheel.clone()).collect();
    let from_source = no_binary.contains(name);
    if !from_source && let Some(best) = tags.best(&names) {
        return Ok(wheels[best].0);
    }
    let sdist = || files.iter().position(|file| file.is_sdist());
    let never_built = only_binary.contains(name);
    if !never_built && let Some(sdist) = sdist() {
        return Ok(sdist);
    }
    let why = match (from_source, never_built) {
        (true, _) => "it has no source distribution to build".to_owned(),
        (false, true) => format!("{}, and it must not be built", tags.explain(&names)),
        (false, false) if wheels.is_empty() => {
            "the lock has neither a wheel nor a source distribution of it".to_owned()
        }
        (false, false) => format!("{}, and there is no source distribution", tags.explain(&names)),
    };
    let target = tags.target();
    let hint = match (from_source, never_built) {
        (true, _) => format!("take `{name}` out of no-binary"),
        (false, true) => format!("take `{name}` out of only-binary, so that it is built"),
        _ => format!(
            "choose a version of `{name}` that supports CPython {} on {}, or another Python, and lock again",
            target.python, target.arch
        ),
    };
    Err((why, hint))
}
