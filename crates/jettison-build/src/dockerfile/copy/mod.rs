//! COPY and ADD: which files, and where to. The rules are BuildKit's, down to what becomes of a directory that is there already.
//!
//! 1. A [`Request`] is one instruction with all its words expanded.
//! 2. [`select()`] finds what it names in a [tree](super::context::tree::FileTree), wildcards, `--parents` and `--exclude` applied. The
//!    [`Selection`] has a key of all that is to be copied, and knows nothing yet of where to: a result that is known by that key is
//!    looked up without a look at the stage.
//! 3. [`Selection::place`] puts it over a stage and returns the [entries](Copied::entries) of the new layer, archives unpacked
//!    where ADD does so. Nothing is written and no program runs.
//!
//! One file for each part of the rules: [`glob`] and `missing` (sources), [`destination`] (what stands where it goes), [`owner`] and
//! [`mode`] (`--chown`, `--chmod`), `unpack` (archives).

pub mod destination;
pub mod glob;
mod missing;
pub mod mode;
pub mod owner;
mod place;
pub mod select;
#[cfg(test)]
mod tests;
mod unpack;

use std::sync::Arc;

pub use place::Copied;
pub use select::{Selection, select};
pub use unpack::unarchive;

use super::context::tree::FileTree;
use mode::Chmod;

/// One COPY or ADD.
#[derive(Clone, Default)]
pub struct Request {
    /// What is copied, in the order of the instruction.
    pub sources: Vec<Source>,
    /// Where to, as written.
    pub destination: String,
    /// The directory that a relative destination is below, an absolute path.
    pub workdir: String,
    /// `--chown`, as written.
    pub chown: Option<String>,
    /// `--chmod`.
    pub chmod: Option<Chmod>,
    /// `--link`: the layer stands alone, whatever is below it. As in BuildKit it means nothing together with `--chmod`.
    pub link: bool,
    /// `--parents`: paths are kept below the destination, from a `/./` in them on.
    pub parents: bool,
    /// `--exclude`, each as written.
    pub excludes: Vec<String>,
    /// Whether local archives are unpacked: ADD does, unless `--unpack=false` says otherwise.
    pub unpack: bool,
}

/// One source.
#[derive(Clone)]
pub enum Source {
    /// A path or a pattern in the tree that the instruction copies from.
    Path(String),
    /// A heredoc.
    Inline {
        /// The name of the file.
        name: String,
        /// What is in it.
        content: Vec<u8>,
    },
    /// Something that was fetched: a file of a tree, or all of it.
    Fetched {
        /// The tree.
        tree: Arc<dyn FileTree>,
        /// The path in it; empty for all.
        path: Vec<u8>,
        /// Whether it is unpacked where it is an archive.
        unpack: bool,
    },
}

impl Request {
    /// Whether the layer stands alone.
    pub fn stands_alone(&self) -> bool {
        self.link && self.chmod.is_none()
    }

    /// The destination below the root, and whether it is written as a directory: with a `/`, `/.` or `.` at its end.
    pub fn destination(&self) -> (Vec<u8>, bool) {
        let written = self.destination.as_str();
        let is_directory = matches!(written, "" | ".") || written.ends_with('/') || written.ends_with("/.");
        let whole = if written.starts_with('/') { written.to_owned() } else { format!("{}/{written}", self.workdir) };
        (super::context::tree::clean(whole.as_bytes()), is_directory)
    }
}
