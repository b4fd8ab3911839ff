//! `.deb` files (deb(5)): an `ar` archive of `debian-binary`, `control.tar.*` and `data.tar.*`.
//!
//! 1. [`read_control`] needs the first kilobytes of a file alone, so that a range request answers what a package is.
//! 2. [`unpack`] streams the whole: each entry is judged by a [`Trim`], made sound and pushed into a [`Sink`], such as a fragment. Nothing
//!    is ever written to a path here; a file is held in memory where somebody wants to see it, and copied through where nobody does.
//!    What nobody wants is not even decompressed where the package is compressed in blocks.
//!
//! A `.deb` is hostile until the entries are out: paths that climb, entries below a link or a file, two entries for one path,
//! devices, and archives that unpack to more than [`Limits`] allow are errors.

mod ar;
mod control;
mod tar;
mod unpack;

use std::io::{self, BufReader, Read, Seek};

use jettison_tree::{PathError, TreePath};

use self::ar::{ArReader, CutShort};
pub use self::control::{DebControl, Script};
pub use self::unpack::{Sink, Tally, Trim, Unpacked, unpack};
use crate::compression::{Compression, Plain, Skip, decompress_as, decompress_checked};
use crate::control::ControlError;
use crate::xz::{Blocks, XzBlocks};

/// How much a `.deb` may hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Entries of the data member.
    pub entries: usize,
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of the data member, decompressed.
    pub data: u64,
    /// Bytes of the control member, decompressed.
    pub control: u64,
}

impl Default for Limits {
    /// Room for the largest packages of Debian, which have a hundred thousand files and unpack to 4 GB.
    fn default() -> Self {
        Self { entries: 500_000, file: 4 << 30, data: 16 << 30, control: 64 << 20 }
    }
}

/// Reads the control member. The start of a file is enough where the member ends in it; where not,
/// [`DebError::bytes_needed`] says how much is.
pub fn read_control(deb: impl Read, limits: &Limits) -> Result<DebControl, DebError> {
    let mut members = Members::open(deb)?;
    let (name, compression) = members.find("control.tar")?;
    DebControl::read(members.content(compression, &name)?, &name, limits)
}

/// The members of a `.deb` in their order.
struct Members<R> {
    ar: ArReader<R>,
}

impl<R: Read> Members<R> {
    /// Checks that it is a `.deb` of the format's second version.
    fn open(deb: R) -> Result<Self, DebError> {
        let outer = |error| DebError::read("ar", 0, error);
        let mut ar = ArReader::new(deb).map_err(outer)?.ok_or(DebError::NotADeb("it is not an ar archive"))?;
        let first = ar.next_member().map_err(outer)?.ok_or(DebError::NotADeb("it is empty"))?;
        if first.name != "debian-binary" {
            return Err(DebError::NotADeb("its first member is not `debian-binary`"));
        }
        let mut version = Vec::new();
        ar.content().take(64).read_to_end(&mut version).map_err(|error| DebError::read("debian-binary", 0, error))?;
        if !version.starts_with(b"2.") {
            return Err(DebError::NotADeb("its format is not version 2"));
        }
        Ok(Self { ar })
    }

    /// Goes on to the member with this name, whatever its compression. Only members that start with `_` may stand between.
    fn find(&mut self, wanted: &str) -> Result<(String, Compression), DebError> {
        loop {
            let next = self.ar.next_member().map_err(|error| DebError::read(wanted, 0, error))?;
            let member = next.ok_or_else(|| DebError::NoMember(wanted.to_owned()))?;
            let compression = match member.name.strip_prefix(wanted) {
                Some("") => Compression::None,
                Some(".gz") => Compression::Gzip,
                Some(".xz") => Compression::Xz,
                Some(".zst") => Compression::Zstd,
                Some(_) => return Err(DebError::Compression(member.name)),
                None if member.name.starts_with('_') => continue,
                None => return Err(DebError::Order { found: member.name, wanted: wanted.to_owned() }),
            };
            return Ok((member.name, compression));
        }
    }

    fn content(&mut self, compression: Compression, name: &str) -> Result<impl Read, DebError> {
        let inner = BufReader::with_capacity(64 * 1024, self.ar.content());
        decompress_as(compression, inner).map_err(|error| DebError::read(name, 0, error))
    }
}

impl<R: Read + Seek> Members<R> {
    /// As [`content`](Self::content), with a short way past what is not wanted where the member's compression has one.
    fn skippable<'a>(&'a mut self, compression: Compression, name: &'a str) -> Result<Box<dyn Skip + 'a>, DebError> {
        let outer = |error| DebError::read(name, 0, error);
        if compression == Compression::Xz {
            let (inner, at, len) = self.ar.place();
            if let Some(blocks) = Blocks::read(inner, at, len).map_err(outer)? {
                let (inner, ..) = self.ar.place();
                return Ok(Box::new(XzBlocks::new(inner, blocks)));
            }
            self.ar.resume().map_err(outer)?;
        }
        let inner = BufReader::with_capacity(64 * 1024, self.ar.content());
        Ok(Box::new(Plain(decompress_checked(compression, inner).map_err(outer)?)))
    }
}

/// A `.deb` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It is something else.
    #[error("it is not a .deb: {0}")]
    NotADeb(&'static str),
    /// The file ends too early.
    #[error("the file ends at byte {at}, inside of {member}, which goes to byte {need}")]
    CutShort {
        /// The member.
        member: String,
        /// The length of the file.
        at: u64,
        /// The length that it should have at least.
        need: u64,
    },
    /// A member is broken, or reading failed.
    #[error("{member}, byte {at} unpacked: {source}")]
    Read {
        /// The member.
        member: String,
        /// How far it had been unpacked.
        at: u64,
        /// What went wrong there.
        source: io::Error,
    },
    /// A member is missing.
    #[error("there is no member `{0}`")]
    NoMember(String),
    /// Members come in another order.
    #[error("the member `{found}` stands where `{wanted}` should")]
    Order {
        /// What is there.
        found: String,
        /// What should be.
        wanted: String,
    },
    /// A member is compressed in a way that is not supported.
    #[error("the member `{0}` is compressed in a way that is not supported")]
    Compression(String),
    /// There is no control file, or it is not text.
    #[error("{0} holds no `control` that is text")]
    NoControl(String),
    /// The control file is not control data.
    #[error("control, {0}")]
    Control(#[from] ControlError),
    /// The control file says too little.
    #[error("control has no field `{0}`")]
    NoField(&'static str),
    /// There are too many entries.
    #[error("{member} holds more than {limit} entries")]
    TooMany {
        /// The member.
        member: String,
        /// How many there may be.
        limit: usize,
    },
    /// An entry cannot stand in a tree.
    #[error("{member}: {source}")]
    Path {
        /// The member.
        member: String,
        /// What is wrong with the path.
        source: PathError,
    },
    /// An entry is not what may be in an image.
    #[error("{member}: `{path}` {why}")]
    Entry {
        /// The member.
        member: String,
        /// The entry.
        path: TreePath,
        /// What is wrong with it.
        why: String,
    },
    /// What was unpacked cannot be written.
    #[error("the unpacked files cannot be kept: {0}")]
    Write(io::Error),
}

impl DebError {
    /// Tells a file that was cut short from a broken one.
    fn read(member: &str, at: u64, source: io::Error) -> Self {
        match source.get_ref().and_then(|inner| inner.downcast_ref::<CutShort>()) {
            Some(cut) => Self::CutShort { member: cut.member.clone(), at: cut.at, need: cut.need },
            None => Self::Read { member: member.to_owned(), at, source },
        }
    }

    /// How many bytes from its start would have been enough, where the file was cut short.
    pub fn bytes_needed(&self) -> Option<u64> {
        match self {
            Self::CutShort { need, .. } => Some(*need),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::CutShort { .. } | Self::Read { .. } | Self::NotADeb(_) => {
                "the download was cut short or changed on its way: fetch the package again, from another mirror if need be"
            }
            Self::Write(_) => "see that there is room in the store",
            Self::Compression(_) => "packages of Debian 8 and later are compressed with gzip, xz or zstd",
            _ => "no package of Debian looks like this: ask where it comes from",
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests;
