use std::io;

use crate::metadata::MetadataError;
use crate::scan::printable;

/// A wheel that cannot be installed: which, and why.
#[derive(Debug, thiserror::Error)]
#[error("`{wheel}`: {fault}")]
pub struct WheelError {
    /// The file name of the wheel.
    pub wheel: String,
    /// What is wrong with it.
    #[source]
    pub fault: Fault,
}

/// What can be wrong with a wheel, or with what it is to be installed to.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The wheel cannot be read, or the fragment not written.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// It is not a zip archive, or one that readers disagree about.
    #[error("the archive is broken: {0}")]
    Archive(String),
    /// A member has a name that must not be unpacked.
    #[error("member `{}` {why}", printable(.member))]
    Member {
        /// The name, as the archive has it.
        member: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is larger than anything that is meant well.
    #[error("{0}")]
    TooLarge(String),
    /// A file of the `.dist-info` directory cannot be used.
    #[error("{file}: {why}")]
    DistInfo {
        /// Its name.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// `METADATA` cannot be used.
    #[error("METADATA: {0}")]
    Metadata(#[from] MetadataError),
    /// Name or version differ between the file name, the `.dist-info` directory and `METADATA`.
    #[error("{place} says {found}, the file name says {expected}")]
    Identity {
        /// Where the difference is.
        place: &'static str,
        /// What it says there.
        found: String,
        /// What the file name says.
        expected: String,
    },
    /// A line of a file is wrong.
    #[error("{file}:{line}: {why}")]
    Line {
        /// The file in `.dist-info`.
        file: &'static str,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A member is not in `RECORD`.
    #[error("`{}` is in the archive but not in RECORD", printable(.0))]
    Unrecorded(String),
    /// A file of `RECORD` is not in the archive.
    #[error("`{}` is in RECORD but not in the archive", printable(.0))]
    Absent(String),
    /// The content of a member is not what `RECORD` says.
    #[error("the {what} of `{}` is not what RECORD says", printable(.member))]
    Mismatch {
        /// The member.
        member: String,
        /// `hash` or `size`.
        what: &'static str,
    },
    /// Two members would be installed to one path.
    #[error("two files of it would be installed to `{0}`")]
    Collision(String),
    /// The interpreter cannot be named in a script's first line.
    #[error("scripts cannot start `{interpreter}`: {why}")]
    Interpreter {
        /// Its path.
        interpreter: String,
        /// Why not.
        why: &'static str,
    },
}

/// Damaged data shows as an error of the reader; what remains is the disk's.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match error.kind() {
            InvalidData | InvalidInput | UnexpectedEof => Self::Archive(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl WheelError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        let text = match &self.fault {
            Fault::Archive(_) => "the file may be cut short: remove it from the cache and fetch it again",
            Fault::Unrecorded(_) | Fault::Absent(_) | Fault::Mismatch { .. } => {
                "the wheel was changed after it was built, or built wrongly: rebuild it, or take another version"
            }
            Fault::Identity { .. } => "the file was renamed, or built wrongly: rebuild it under its own name",
            Fault::Member { .. } => {
                "no sound wheel holds such a thing: do not install it anywhere, and take another version or source"
            }
            Fault::Interpreter { .. } => "choose a shorter path without spaces for the interpreter",
            _ => return None,
        };
        Some(text.to_owned())
    }
}
