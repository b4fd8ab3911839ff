//! Wheels (binary distribution format; PEP 427, 491).
//!
//! 1. [`WheelFilename`]: what the name of the file says.
//! 2. [`Wheel::open`] reads the archive's directory, `WHEEL`, `METADATA`, `RECORD` and `entry_points.txt`, and checks that
//!    they agree with each other and with the name.
//! 3. [`Wheel::install`] lays the files out by an [`InstallLayout`], leaves out what [`trim`] says, shows each to a
//!    [`Transform`], and writes them to a fragment with the scripts and the `RECORD` that belong to them.
//!
//! A wheel comes from anybody: names, sizes, hashes and every line of metadata are checked before they are used.

mod archive;
mod entry_points;
mod error;
mod filename;
mod imports;
mod install;
mod layout;
mod modules;
mod record;
mod script;
pub mod trim;
mod write;

#[cfg(test)]
mod tests;

use std::fs::File;

pub use entry_points::EntryPoint;
pub use error::{Fault, WheelError};
pub use filename::{BuildTag, WheelFilename, WheelFilenameError};
pub use install::{Dropped, InstallOptions, Installed, Transform, Transformed, Unchanged};
pub use layout::InstallLayout;
pub use modules::{ModuleKind, TopLevelModule};

use self::archive::Archive;
use self::record::Record;
use crate::metadata::{Metadata, headers};
use crate::scan::printable;

/// The files of `.dist-info` are no larger than this, in bytes.
const DIST_INFO_LIMIT: u64 = 64 << 20;

/// A wheel that was read and found consistent. Its contents are checked as they are installed.
pub struct Wheel {
    filename: WheelFilename,
    archive: Archive,
    dist_info: String,
    data: Option<String>,
    root_is_purelib: bool,
    metadata: Metadata,
    record: Record,
    entry_points: Vec<EntryPoint>,
}

impl Wheel {
    /// Opens the wheel in `file`, which has this name.
    pub fn open(file: File, filename: &WheelFilename) -> Result<Self, WheelError> {
        Self::read(file, filename).map_err(|fault| WheelError { wheel: filename.to_string(), fault })
    }

    fn read(file: File, filename: &WheelFilename) -> Result<Self, Fault> {
        let mut archive = Archive::open(file)?;
        let dist_info = own_directory(&archive, filename, ".dist-info")?
            .ok_or_else(|| dist_info_fault(".dist-info", "the wheel has no such directory"))?;
        let data = own_directory(&archive, filename, ".data")?;
        let mut text = |file: &'static str| -> Result<Option<String>, Fault> {
            let bytes = archive.read_small(&format!("{dist_info}/{file}"), DIST_INFO_LIMIT)?;
            bytes.map(String::from_utf8).transpose().map_err(|_| dist_info_fault(file, "it is not UTF-8"))
        };
        let required =
            |file, text: Option<String>| text.ok_or_else(|| dist_info_fault(file, "the wheel has no such file"));

        let root_is_purelib = root_is_purelib(&required("WHEEL", text("WHEEL")?)?)?;
        let record = Record::parse(&required("RECORD", text("RECORD")?)?)?;
        let entry_points = entry_points::parse(&text("entry_points.txt")?.unwrap_or_default())?;
        let metadata = archive.read_small(&format!("{dist_info}/METADATA"), DIST_INFO_LIMIT)?;
        let metadata =
            Metadata::parse(&metadata.ok_or_else(|| dist_info_fault("METADATA", "the wheel has no such file"))?)?;
        identity("METADATA", (&metadata.name, &metadata.version), filename)?;
        let wheel = Self {
            filename: filename.clone(),
            archive,
            dist_info,
            data,
            root_is_purelib,
            metadata,
            record,
            entry_points,
        };
        wheel.check_record()?;
        Ok(wheel)
    }

    /// Every member is in `RECORD` and the other way round. `RECORD` cannot have a hash of itself, and the signatures of it
    /// come after it.
    fn check_record(&self) -> Result<(), Fault> {
        let own = |name: &str| {
            let file = name.strip_prefix(self.dist_info.as_str()).and_then(|rest| rest.strip_prefix('/'));
            matches!(file, Some("RECORD" | "RECORD.jws" | "RECORD.p7s"))
        };
        for name in self.archive.members.keys().filter(|name| !own(name)) {
            if !self.record.rows.contains_key(name) {
                return Err(Fault::Unrecorded(name.clone()));
            }
        }
        match self.record.rows.keys().find(|name| !own(name) && !self.archive.members.contains_key(*name)) {
            Some(absent) => Err(Fault::Absent(absent.clone())),
            None => Ok(()),
        }
    }

    /// The name of the file.
    pub fn filename(&self) -> &WheelFilename {
        &self.filename
    }

    /// The core metadata.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// All entry points, in the order of the file.
    pub fn entry_points(&self) -> &[EntryPoint] {
        &self.entry_points
    }

    /// Whether the wheel says that it holds no platform-specific module.
    pub fn root_is_purelib(&self) -> bool {
        self.root_is_purelib
    }

    /// The bytes of all files, unpacked.
    pub fn unpacked_size(&self) -> u64 {
        self.archive.members.values().map(|member| member.size).sum()
    }
}

fn dist_info_fault(file: &str, why: &str) -> Fault {
    Fault::DistInfo { file: file.to_owned(), why: why.to_owned() }
}

/// The one top-level directory `name-version<suffix>`. Any other `.dist-info` directory makes the wheel two distributions.
fn own_directory(archive: &Archive, filename: &WheelFilename, suffix: &str) -> Result<Option<String>, Fault> {
    let mut own: Option<&str> = None;
    for name in archive.members.keys() {
        let Some((directory, _)) = name.split_once('/') else { continue };
        let Some(stem) = directory.strip_suffix(suffix) else { continue };
        if is_own(stem, filename) {
            if own.is_some_and(|own| own != directory) {
                return Err(dist_info_fault(suffix, "the wheel has more than one such directory"));
            }
            own = Some(directory);
        } else if suffix == ".dist-info" {
            return Err(Fault::Identity {
                place: "the .dist-info directory",
                found: format!("`{}`", printable(stem)),
                expected: format!("{}-{}", filename.name, filename.version),
            });
        }
    }
    Ok(own.map(str::to_owned))
}

/// Whether `name-version` is the wheel's, however it is spelt. Old tools escaped neither part.
fn is_own(stem: &str, filename: &WheelFilename) -> bool {
    stem.match_indices('-').any(|(at, _)| {
        let (name, version) = (&stem[..at], &stem[at + 1..]);
        let version =
            [version.to_owned(), version.replace('_', "-")].iter().any(|v| v.parse() == Ok(filename.version.clone()));
        version && crate::name::normalize(name) == filename.name.as_str()
    })
}

fn identity(
    place: &'static str,
    found: (&crate::NormalizedName, &crate::Version),
    filename: &WheelFilename,
) -> Result<(), Fault> {
    if (found.0, found.1) == (&filename.name, &filename.version) {
        return Ok(());
    }
    let found = format!("{} {}", found.0, found.1);
    Err(Fault::Identity { place, found, expected: format!("{} {}", filename.name, filename.version) })
}

/// Reads `WHEEL`. A newer major version of the format must not be installed; a newer minor one may be.
fn root_is_purelib(text: &str) -> Result<bool, Fault> {
    let headers = headers(text).map_err(|e| dist_info_fault("WHEEL", &e.to_string()))?;
    let field =
        |key: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.trim());
    let version =
        field("Wheel-Version").ok_or_else(|| dist_info_fault("WHEEL", "it does not say its Wheel-Version"))?;
    if version.split('.').next() != Some("1") {
        let why = format!("Wheel-Version `{}` is not known: only 1.x is", printable(version));
        return Err(dist_info_fault("WHEEL", &why));
    }
    Ok(field("Root-Is-Purelib").is_some_and(|value| value.eq_ignore_ascii_case("true")))
}
