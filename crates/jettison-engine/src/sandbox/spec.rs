//! What to run, and in what.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::snapshot::Owner;

/// What a sandbox runs. Nothing is inherited from the caller but what is in here.
#[derive(Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The root file system.
    pub rootfs: Rootfs,
    /// The program and its arguments. A program without `/` is looked for in the `PATH` of `env`, inside the sandbox.
    pub argv: Vec<OsString>,
    /// The environment, all of it.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory, an absolute path inside.
    pub cwd: PathBuf,
    /// Whether it is made, with those above it, where it is not there: as the program's user's, and as a change.
    pub make_cwd: bool,
    /// The user that the program runs as, inside.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its supplementary groups. They are left out where the sandbox has one user only
    /// ([`Mode::SingleId`](super::Mode)).
    pub groups: Vec<u32>,
    /// Whether there is a user namespace also when the caller is root. The ids stay what they are; the program, root or
    /// not, has no rights over anything outside. Any other caller's sandbox has one anyway.
    pub user_namespace: bool,
    /// What `hostname` says.
    pub hostname: String,
    /// The network.
    pub network: Network,
    /// What is mounted besides the root file system, in this order.
    pub mounts: Vec<Mount>,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// Lines of `/etc/hosts` besides those of localhost: address and names.
    pub add_hosts: Vec<(String, String)>,
    /// Whether setuid programs and file capabilities give nothing (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privs: bool,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Whether the program has all capabilities over what is in its namespaces, and `/proc` and `/sys` as they are,
    /// nothing masked or read-only. As root, without `user_namespace`, that is power over the machine.
    pub insecure: bool,
    /// Whether a root that has one id only ([`Mode::SingleId`](super::Mode)) may pretend to have others. chown(2) and its
    /// kin then succeed: the program sees no change, but [`UpperDir::keep`](crate::store::UpperDir::keep) knows the
    /// owner. setuid(2), setgroups(2) and their kin succeed without effect. Package managers,
    /// `useradd`, `tar` and `su` then work; what asks afterwards who it is (apt's download methods, unless
    /// `APT::Sandbox::User` is root) learns the truth. Elsewhere it means nothing.
    pub pretend_ids: bool,
    /// The size of `/dev/shm`, in bytes.
    pub shm_size: u64,
    /// A terminal of this size as standard input, output and error, in place of `stdin`, `stdout`, `stderr`.
    pub terminal: Option<WindowSize>,
    /// Standard input.
    #[serde(skip)]
    pub stdin: Stdio,
    /// Standard output.
    #[serde(skip)]
    pub stdout: Stdio,
    /// Standard error.
    #[serde(skip)]
    pub stderr: Stdio,
}

impl Spec {
    /// Runs `argv` in `rootfs` as root in `/`, with an empty environment, no network beyond loopback, and null in place
    /// of standard input, output and error.
    pub fn new(rootfs: Rootfs, argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            rootfs,
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: "/".into(),
            make_cwd: false,
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            user_namespace: false,
            hostname: "sandbox".into(),
            network: Network::None,
            mounts: Vec::new(),
            limits: Vec::new(),
            add_hosts: Vec::new(),
            no_new_privs: true,
            seccomp: Seccomp::Default,
            insecure: false,
            pretend_ids: false,
            shm_size: 64 << 20,
            terminal: None,
            stdin: Stdio::Null,
            stdout: Stdio::Null,
            stderr: Stdio::Null,
        }
    }
}

/// The root file system: directories one above the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rootfs {
    /// Directories that are only read, the topmost first. Absolute paths. At least one.
    pub lower: Vec<PathBuf>,
    /// Where changes go.
    pub upper: Upper,
    /// Who shall own what in the lower directories where the files could not be given away
    /// ([`Snapshot::owners`](crate::store::Snapshot)). Takes effect in an upper directory, and where there is more than
    /// one id.
    pub owners: Vec<Owner>,
}

impl Rootfs {
    /// These directories, the topmost first; changes are kept in memory, at most `size` bytes, and forgotten.
    pub fn ephemeral(lower: Vec<PathBuf>, size: u64) -> Self {
        Self { lower, upper: Upper::Memory { size }, owners: Vec::new() }
    }
}

/// Where changes of the root file system go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Upper {
    /// Nowhere: it is read-only.
    ReadOnly,
    /// Into memory, at most `size` bytes. Before Linux 6.6 an ordinary user's program cannot then make a directory in
    /// place of one of the image that it removed.
    Memory {
        /// Bytes.
        size: u64,
    },
    /// Into `upper/` in this directory, which holds them afterwards as overlayfs writes them (whiteouts are character
    /// devices 0:0); `work/` beside it is overlayfs's own. The directory must be on a file system that overlayfs can
    /// write to, which another overlay is not, and nobody else may use it.
    Directory(PathBuf),
}

/// The network of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Its own, with nothing but loopback.
    None,
    /// That of the caller, with its `/etc/resolv.conf`.
    Host,
}

/// Something that is mounted into the root file system. A mount point that is missing is made, and taken away
/// afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mount {
    /// A file or directory from outside, with what is mounted below it.
    Bind {
        /// Absolute path outside.
        src: PathBuf,
        /// Absolute path inside.
        dst: PathBuf,
        /// Whether it cannot be written to.
        readonly: bool,
    },
    /// An empty directory in memory.
    Tmpfs {
        /// Absolute path inside.
        dst: PathBuf,
        /// The most it can hold, in bytes.
        size: u64,
        /// The mode of the directory.
        mode: u32,
    },
    /// A file or directory of another root: layers one above the other.
    Overlay {
        /// Their directories, the topmost first. Absolute paths outside. At least one.
        lower: Vec<PathBuf>,
        /// The path in them; `/` is all. Symbolic links are followed, inside.
        src: PathBuf,
        /// Absolute path inside.
        dst: PathBuf,
        /// How many bytes of changes it takes, which are kept in memory and forgotten. `None`: it cannot be written to.
        writable: Option<u64>,
    },
    /// A read-only file that exists in memory only, such as a secret.
    File {
        /// Absolute path inside.
        dst: PathBuf,
        /// What is in it.
        content: Secret,
        /// Its mode.
        mode: u32,
        /// Its owner, inside.
        uid: u32,
        /// Its group, inside.
        gid: u32,
    },
    /// A socket inside, each connection to which is connected to one outside, such as that of an SSH agent.
    Socket {
        /// The socket outside, as the caller reaches it.
        connect: PathBuf,
        /// Absolute path inside.
        dst: PathBuf,
        /// Its mode.
        mode: u32,
        /// Its owner, inside.
        uid: u32,
        /// Its group, inside.
        gid: u32,
    },
}

impl Mount {
    /// Where it is mounted: a path inside.
    pub fn dst(&self) -> &Path {
        match self {
            Self::Bind { dst, .. }
            | Self::Tmpfs { dst, .. }
            | Self::Overlay { dst, .. }
            | Self::File { dst, .. }
            | Self::Socket { dst, .. } => dst,
        }
    }
}

/// Bytes that are nobody else's business. They are in memory only, and do not show in debug output.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// These bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where standard input comes from, or standard output or error goes.
#[derive(Debug, Default)]
pub enum Stdio {
    /// `/dev/null`.
    #[default]
    Null,
    /// Where the caller's goes.
    Inherit,
    /// A pipe, the other end of which is in [`Running`](super::Running).
    Pipe,
    /// This file, socket or end of a pipe.
    File(File),
}

/// A resource limit (setrlimit(2)). `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Of what.
    pub resource: Resource,
    /// What is enforced.
    pub soft: Option<u64>,
    /// How far the program itself can raise it.
    pub hard: Option<u64>,
}

/// Resources that can be limited, in setrlimit(2)'s units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they have the names of setrlimit(2)")]
pub enum Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

/// The system call filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// In substance that of Docker.
    Default,
    /// None.
    Unconfined,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they say it themselves")]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}
