//! What a build says about its image: the one object that `--json` prints and the terminal shows.

use std::collections::BTreeMap;

use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

use crate::part::Owner;

/// The result of a build. Sizes are bytes; the names of the fields are kept stable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Digest of the image's manifest, or of its index where it holds several platforms.
    pub digest: Digest,
    /// Names under which the store keeps it.
    pub names: Vec<String>,
    /// `linux/amd64`.
    pub platform: String,
    /// Where the start command was found, or why there is none.
    pub command: StartReport,
    /// Sum of the layers as a registry keeps them.
    pub compressed_bytes: u64,
    /// Sum of the contents of all files, as `docker image ls` counts.
    pub unpacked_bytes: u64,
    /// The layers, the lowest first.
    pub layers: Vec<LayerReport>,
    /// Who owns the bytes, the largest first. The sums equal those of the layers.
    pub owners: Vec<OwnerReport>,
    /// What was left out of packages and distributions.
    pub cuts: Vec<CutReport>,
    /// What of the project was left out.
    pub left_out: Vec<LeftOut>,
    /// The same thing built the naive way.
    pub naive: NaiveEstimate,
    /// What verification did; `None` where it was switched off or the platform cannot run here.
    pub verify: Option<VerifyReport>,
    /// Why it was not verified.
    pub not_verified: Option<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What each stop took.
    pub timings: Vec<Timing>,
}

/// The start command of the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartReport {
    /// The words; empty where there is none.
    pub argv: Vec<String>,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// How it was found.
    pub reason: String,
}

/// A layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerReport {
    /// Digest of the blob.
    pub digest: Digest,
    /// Digest of the tar.
    pub diff_id: Digest,
    /// Size of the blob.
    pub compressed_bytes: u64,
    /// Sum of the contents of its files.
    pub unpacked_bytes: u64,
    /// Size of the tar, headers and padding included.
    pub tar_bytes: u64,
    /// What made it, as the image's history says.
    pub created_by: String,
    /// Whether it was there already.
    pub cached: bool,
}

/// What kind of thing owns bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnerKind {
    /// Layers of the base image that was given.
    Base,
    /// A Debian package.
    Debian,
    /// The interpreter and its standard library.
    Interpreter,
    /// A Python distribution.
    Distribution,
    /// Compiled modules.
    Bytecode,
    /// The project.
    Application,
    /// What maintainer scripts would have made, directories, the ends of archives.
    Image,
}

impl OwnerKind {
    /// The word that JSON uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Debian => "debian",
            Self::Interpreter => "interpreter",
            Self::Distribution => "distribution",
            Self::Bytecode => "bytecode",
            Self::Application => "application",
            Self::Image => "image",
        }
    }
}

/// The bytes of one owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnerReport {
    /// What it is.
    pub kind: OwnerKind,
    /// Package or distribution.
    pub name: String,
    /// Its version, empty where it has none.
    pub version: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Its share of the blobs, by the compressed size of the blocks it stands in.
    pub compressed_bytes: u64,
}

impl OwnerReport {
    /// The owners with their bytes, unpacked and compressed, as the list that a report has.
    pub fn largest_first(owners: BTreeMap<Owner, (u64, u64)>) -> Vec<Self> {
        let report = |(owner, (bytes, compressed_bytes)): (Owner, _)| {
            let Owner { kind, name, version } = owner;
            Self { kind, name, version, bytes, compressed_bytes }
        };
        let mut owners: Vec<Self> = owners.into_iter().map(report).collect();
        owners.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        owners
    }
}

/// What was left out of one owner, for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CutReport {
    /// Package or distribution.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Number of files.
    pub files: u64,
    /// Bytes that the image does not hold because of it.
    pub bytes: u64,
}

/// A path of the project that is not in the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Relative to the project.
    pub path: String,
    /// Which rule.
    pub reason: String,
}

/// What a single-stage build on the full `python` image would weigh. Always an estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NaiveEstimate {
    /// The base that it assumes.
    pub base: String,
    /// Bytes, unpacked.
    pub unpacked_bytes: u64,
    /// Always true.
    pub estimate: bool,
}

/// What verification did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Modules that were imported.
    pub imported: Vec<String>,
    /// Modules that were not, and why.
    pub skipped: Vec<Skipped>,
    /// Whether the start command ran and stopped as it should.
    pub started: bool,
    /// The status that its port answered with.
    pub http_status: Option<u16>,
    /// How it ended after SIGTERM.
    pub stopped: Option<String>,
    /// Milliseconds from its start to its first answer.
    pub answered_after_ms: Option<u64>,
    /// Whether the result is that of an earlier verification of the same image.
    pub cached: bool,
}

/// A module that verification did not import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    /// The module.
    pub module: String,
    /// Why.
    pub reason: String,
}

/// What one stop took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The stop.
    pub name: String,
    /// Milliseconds of wall time.
    pub ms: f64,
}
