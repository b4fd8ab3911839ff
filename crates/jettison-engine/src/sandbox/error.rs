use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::mode::why_no_user_namespace;

/// A program could not be run in a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The spec asks for what cannot be.
    #[error("cannot run a sandbox: {0}")]
    Spec(String),
    /// This process cannot start itself again as a sandbox.
    #[error("cannot start a sandbox: {0}")]
    Start(#[source] io::Error),
    /// `main` did not call [`init_if_child`](super::init_if_child), so that a sandbox would be this program once more.
    #[error("cannot start a sandbox: this executable does not call `sandbox::init_if_child` first")]
    NotPrepared,
    /// No namespaces can be made here.
    #[error("cannot make the namespaces of a sandbox: {source}")]
    Namespaces {
        /// What the kernel says.
        source: io::Error,
        /// What forbids it, and how to allow it.
        hint: Option<String>,
    },
    /// An id is not in the ranges that this user has.
    #[error("the sandbox has no {what} {id}: only 0 to {last} exist in it")]
    NoSuchId {
        /// `user` or `group`.
        what: &'static str,
        /// The id.
        id: u32,
        /// The highest that there is.
        last: u32,
    },
    /// A step of the set-up failed.
    #[error("cannot {action} in the sandbox: {source}")]
    SetUp {
        /// What was tried.
        action: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The program cannot be executed.
    #[error("cannot run `{program}` in the sandbox: {source}")]
    Execute {
        /// The program, as it was given.
        program: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The working directory cannot be entered.
    #[error("cannot enter the working directory `{}` in the sandbox: {source}", path.display())]
    WorkingDirectory {
        /// The directory.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The sandbox went away while it was being spoken to.
    #[error("the sandbox ended while {0}")]
    Gone(&'static str),
    /// Nothing listens on the port.
    #[error("cannot connect to port {port} in the sandbox: {source}")]
    Connect {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
}

impl SandboxError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Namespaces { hint, .. } => hint.clone(),
            Self::NoSuchId { .. } => {
                Some("give this user longer ranges in /etc/subuid and /etc/subgid, or run as a lower id".into())
            }
            Self::Execute { source, program } => match source.kind() {
                // The file may be there and its interpreter not.
                io::ErrorKind::NotFound => Some(format!(
                    "`{program}`, or the interpreter that its first line or its ELF header names, is not in the image"
                )),
                io::ErrorKind::PermissionDenied => {
                    Some("it, or a directory above it, is closed to the user that the image runs as".into())
                }
                _ if source.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
                    Some("it is for another architecture, or a script without `#!`".into())
                }
                _ => None,
            },
            Self::SetUp { action, source } => match Errno::from_io_error(source) {
                Some(Errno::NOSYS) => Some("the sandbox needs Linux 5.12 or later".into()),
                Some(Errno::INVAL) if action.contains("overlay") => Some(
                    "the store may be on a file system that overlayfs cannot use (another overlay, NFS, eCryptfs): \
                     keep it on ext4, XFS, Btrfs or tmpfs"
                        .into(),
                ),
                Some(Errno::PERM) if action.contains("overlay") => {
                    Some("users other than root can mount an overlay from Linux 5.11 on".into())
                }
                Some(Errno::PERM) if action.contains("/proc") => Some(
                    "the container that this runs in hides parts of /proc: \
                     start it with `--security-opt systempaths=unconfined`"
                        .into(),
                ),
                _ => None,
            },
            Self::Start(source) if source.kind() == io::ErrorKind::NotFound => {
                Some("this executable starts itself again by /proc/self/exe: /proc must be mounted".into())
            }
            _ => None,
        }
    }
}

/// A failure on its way from a stage to the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub at: At,
    /// 0 where it was not the kernel.
    pub errno: i32,
    pub message: String,
}

/// What failed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum At {
    Namespaces,
    SetUp(String),
    Execute(String),
    WorkingDirectory(PathBuf),
}

impl Failure {
    pub fn new(at: At, source: impl Into<io::Error>) -> Self {
        let source = source.into();
        Self { at, errno: source.raw_os_error().unwrap_or(0), message: source.to_string() }
    }

    /// For `map_err`: what could not be done, as a verb with its object.
    pub fn to<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| Self::new(At::SetUp(action.into()), source)
    }
}

impl From<Failure> for SandboxError {
    fn from(failure: Failure) -> Self {
        let source = match failure.errno {
            0 => io::Error::other(failure.message),
            errno => io::Error::from_raw_os_error(errno),
        };
        match failure.at {
            At::Namespaces => Self::Namespaces { hint: why_no_user_namespace(&source), source },
            At::SetUp(action) => Self::SetUp { action, source },
            At::Execute(program) => Self::Execute { program, source },
            At::WorkingDirectory(path) => Self::WorkingDirectory { path, source },
        }
    }
}
