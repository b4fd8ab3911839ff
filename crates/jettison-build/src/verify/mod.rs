//! Verification: the finished image is run before anybody else runs it.
//!
//! 1. [`room`] is a sandbox with an overlay of the image, exactly its environment, its user, and no network beyond loopback.
//!    Nothing of what happens in it comes back but what is asked for.
//! 2. [`imports`] imports the modules of every distribution. [`verdict`] says which of those that fail are allowed to.
//! 3. [`start`] runs the start command, fetches a page from its port ([`http`]) and stops it again ([`process`] looks at it meanwhile).
//! 4. [`cure`] knows what to do about common failures.
//!
//! What the program loads is recorded on the way by a `.pth` file of the sandbox: the bytecode of these modules is worth its place.
//!
//! # Process 1
//!
//! In a container the start command is process 1, for which the kernel ignores SIGTERM unless the program handles it. Here
//! it is not: a program without a handler stops at once in the sandbox, and after ten seconds' patience in production. So
//! verification looks whether there is a handler, and warns where there is none.

mod cure;
mod http;
mod imports;
mod process;
mod room;
mod start;
mod verdict;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use jettison_engine::snapshot::Owner;

use crate::error::BuildError;
use crate::interpreter::Interpreter;
use crate::job::Job;
use crate::report::VerifyReport;

use room::Room;

/// What to verify.
pub struct Verification<'a> {
    /// Directories of the image's root file system, the topmost first.
    pub lower: &'a [PathBuf],
    /// Who shall own what in them where it could not be given away when they were unpacked.
    pub owners: &'a [Owner],
    /// The interpreter of the image.
    pub interpreter: &'a Interpreter,
    /// The distributions with their top-level modules.
    pub modules: &'a [(String, Vec<String>)],
    /// Top-level names of everything that is installed, to tell an optional import from a missing dependency.
    pub provided: &'a BTreeSet<String>,
    /// The start command; empty where there is none.
    pub argv: &'a [String],
    /// The environment of the image.
    pub env: &'a [(String, String)],
    /// Variables on top of it, for verification alone.
    pub extra_env: &'a [(String, String)],
    /// The working directory of the image, an absolute path.
    pub workdir: &'a str,
    /// The user of the image.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The port that the start command listens on; `None` or 0 where it listens on none.
    pub port: Option<u16>,
    /// The path of the page that is fetched.
    pub path: &'a str,
    /// How long the start command has until it answers, and each module until it is imported.
    pub timeout: Duration,
    /// Modules that are not imported.
    pub skip_imports: &'a [String],
    /// Whether to record which sources are loaded.
    pub record: bool,
}

impl Verification<'_> {
    /// The port, where there is one.
    fn port(&self) -> Option<u16> {
        self.port.filter(|&port| port != 0)
    }
}

/// An image that works.
#[derive(Debug)]
pub struct Verified {
    /// What was done.
    pub report: VerifyReport,
    /// Absolute paths, without symbolic links in their directories, of the Python sources that the start command loaded; of
    /// those that the imports loaded where there is no start command. Empty where nothing was recorded.
    pub opened: BTreeSet<String>,
}

/// Imports what the image holds, and starts and stops its program. The first thing that does not work is the error: with the
/// traceback or the end of the output, and with the cure as its hint where one is known.
pub fn verify(job: &Job<'_>, what: &Verification<'_>) -> Result<Verified, BuildError> {
    let room = Room::new(job, what)?;
    let has_command = !what.argv.is_empty();
    let mut report = VerifyReport::default();
    imports::verify(job, what, &room, what.record && !has_command, &mut report)?;
    if has_command {
        start::verify(job, what, &room, &mut report)?;
    }
    Ok(Verified { report, opened: room.opened()? })
}
