//! What a program of a step finds mounted: other stages, caches, memory, secrets, the socket of an agent.
//!
//! 1. Lowering makes a [`StepMount`] of each `--mount`, with its defaults filled in.
//! 2. [`StepMount::field`] is what of it makes the step another one: never a secret, and of a cache its name alone.
//! 3. [`Mounted::prepare`] makes what the sandbox takes.

use std::path::PathBuf;
use std::sync::Arc;

use jettison_engine::graph::Output;
use jettison_engine::sandbox::{Mount, Secret};
use jettison_engine::store::{CacheMount, CacheRequest, NewCache, Sharing, Store};
use jettison_tree::TreePath;

use super::super::stack::{Made, Stack};
use super::super::unpacked::{Transfer, Unpacked, Unpacker, write_snapshot};
use super::copy::Selected;
use crate::error::BuildError;

/// Changes that a program makes to what is mounted for it to read. They are in memory, and forgotten. Bytes.
const CHANGES: u64 = 4 << 30;
/// What a tmpfs holds at most where nothing is said. Bytes.
const TMPFS: u64 = 4 << 30;

/// A mount of a `RUN`, with all that was left out filled in. Targets are absolute paths inside.
pub enum StepMount {
    /// Files of a stage, an image or the context.
    Bind {
        /// Where from.
        from: From,
        /// The path there.
        source: PathBuf,
        /// Where to.
        target: PathBuf,
        /// Whether it can be written to; what is written is forgotten.
        writable: bool,
    },
    /// A directory of the store that outlives the build.
    Cache {
        /// Its name.
        id: String,
        /// Where to.
        target: PathBuf,
        /// Who may have it at once.
        sharing: Sharing,
        /// Whether it can be written to.
        writable: bool,
        /// What it begins with.
        from: Option<From>,
        /// The path there.
        source: PathBuf,
        /// Its mode when it is made.
        mode: u32,
        /// Its owner then.
        owner: (u32, u32),
    },
    /// Memory.
    Tmpfs {
        /// Where to.
        target: PathBuf,
        /// How much.
        size: Option<u64>,
    },
    /// A secret in a file.
    Secret {
        /// Its name.
        id: String,
        /// What it is.
        content: Secret,
        /// Where to.
        target: PathBuf,
        /// Its mode.
        mode: u32,
        /// Its owner.
        owner: (u32, u32),
    },
    /// The socket of an agent.
    Ssh {
        /// Its name.
        id: String,
        /// The socket outside.
        socket: PathBuf,
        /// Where to.
        target: PathBuf,
        /// Its mode.
        mode: u32,
        /// Its owner.
        owner: (u32, u32),
    },
}

/// Where mounted files come from.
#[derive(Clone)]
pub enum From {
    /// The step's input with this number, all of it.
    Input(usize),
    /// A selection, which the step's input with this number is, of a stage.
    Selected(usize),
    /// A selection of the context.
    Context(Arc<Transfer>),
}

impl StepMount {
    /// What of it makes the step another one, as text for people and for the key.
    pub fn field(&self) -> String {
        match self {
            Self::Bind { from, source, target, writable } => {
                let content = match from {
                    From::Context(transfer) => transfer.key().hex(),
                    // What an input is, the key of the step says.
                    From::Input(number) | From::Selected(number) => format!("input {number}"),
                };
                format!("bind {content} {} {} {writable}", source.display(), target.display())
            }
            Self::Cache { id, target, .. } => format!("cache {id} {}", target.display()),
            Self::Tmpfs { target, size } => format!("tmpfs {} {size:?}", target.display()),
            Self::Secret { id, target, .. } => format!("secret {id} {}", target.display()),
            Self::Ssh { id, target, .. } => format!("ssh {id} {}", target.display()),
        }
    }
}

/// Mounts that are ready, with what keeps them so while the program runs.
#[derive(Default)]
pub struct Mounted {
    /// For the sandbox.
    pub mounts: Vec<Mount>,
    _unpacked: Vec<Arc<Unpacked>>,
    _caches: Vec<CacheMount>,
    _snapshots: Vec<jettison_engine::store::Snapshot>,
}

impl Mounted {
    /// Gets everything ready that `mounts` ask for. While others have its caches, `is_cancelled` is asked whether to go on waiting.
    pub fn prepare(
        unpacker: &Unpacker,
        mounts: &[StepMount],
        inputs: &[Arc<Output>],
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Self, BuildError> {
        let mut mounted = Self::default();
        let ready = mounts.iter().map(|mount| mounted.one(unpacker, mount, inputs)).collect::<Result<Vec<_>, _>>()?;
        // Last of all: while others wait for them, nothing is made ready any more.
        mounted._caches = caches(unpacker, mounts, inputs, is_cancelled)?;
        let mut paths = mounted._caches.iter().map(|cache| cache.path().to_owned());
        let ready = ready.into_iter().filter_map(|ready| match ready {
            Ready::Mount(mount) => Some(mount),
            Ready::Cache { dst, readonly } => Some(Mount::Bind { src: paths.next()?, dst, readonly }),
        });
        mounted.mounts = ready.collect();
        Ok(mounted)
    }

    fn one(&mut self, unpacker: &Unpacker, mount: &StepMount, inputs: &[Arc<Output>]) -> Result<Ready, BuildError> {
        Ok(Ready::Mount(match mount {
            StepMount::Bind { from, source, target, writable } => {
                let (lower, source) = self.files(unpacker, from, source, inputs)?;
                let writable = writable.then_some(CHANGES);
                Mount::Overlay { lower, src: source, dst: target.clone(), writable }
            }
            StepMount::Cache { target, writable, .. } => {
                return Ok(Ready::Cache { dst: target.clone(), readonly: !writable });
            }
            StepMount::Tmpfs { target, size } => {
                Mount::Tmpfs { dst: target.clone(), size: size.unwrap_or(TMPFS), mode: 0o1777 }
            }
            StepMount::Secret { content, target, mode, owner: (uid, gid), .. } => {
                Mount::File { dst: target.clone(), content: content.clone(), mode: *mode, uid: *uid, gid: *gid }
            }
            StepMount::Ssh { socket, target, mode, owner: (uid, gid), .. } => {
                Mount::Socket { connect: socket.clone(), dst: target.clone(), mode: *mode, uid: *uid, gid: *gid }
            }
        }))
    }

    /// The directories of a source, and the path in them.
    fn files(
        &mut self,
        unpacker: &Unpacker,
        from: &From,
        source: &std::path::Path,
        inputs: &[Arc<Output>],
    ) -> Result<(Vec<PathBuf>, PathBuf), BuildError> {
        if let From::Context(transfer) = from {
            let snapshot = match unpacker.place(transfer, &Stack::default(), &|_| {})? {
                Some((layer, entries)) => {
                    let key = super::super::unpacked::snapshot_key(&layer);
                    write_snapshot(unpacker.store(), &key, &entries)?
                }
                None => empty(unpacker.store())?,
            };
            let lower = vec![snapshot.path.clone()];
            self._snapshots.push(snapshot);
            return Ok((lower, source.to_owned()));
        }
        let unpacked = Arc::new(unpacker.unpack(&stack(unpacker, from, inputs)?)?);
        self._unpacked.push(Arc::clone(&unpacked));
        Ok((unpacked.lower.clone(), source.to_owned()))
    }
}

/// A mount, or one that gets its directory when the step has its caches.
enum Ready {
    Mount(Mount),
    Cache { dst: PathBuf, readonly: bool },
}

/// The caches of a step, in the order of their mounts.
fn caches(
    unpacker: &Unpacker,
    mounts: &[StepMount],
    inputs: &[Arc<Output>],
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Vec<CacheMount>, BuildError> {
    let mut sources = Vec::new();
    for mount in mounts {
        let StepMount::Cache { from, source, .. } = mount else { continue };
        let unpacked = match from {
            None | Some(From::Context(_)) => None,
            Some(from) => Some(unpacker.unpack(&stack(unpacker, from, inputs)?)?),
        };
        sources.push((unpacked, TreePath::parse(source.to_string_lossy().trim_matches('/')).ok()));
    }
    let caches = mounts.iter().filter_map(|mount| match mount {
        StepMount::Cache { id, sharing, mode, owner, .. } => Some((id, *sharing, *mode, *owner)),
        _ => None,
    });
    let requests = caches.zip(&sources).map(|((id, sharing, mode, (uid, gid)), (unpacked, path))| {
        let content = unpacked.as_ref().map(|unpacked| (&*unpacked.view, path.as_ref()));
        CacheRequest { id, sharing, new: NewCache { content, mode, uid, gid } }
    });
    let requests: Vec<_> = requests.collect();
    unpacker.store().cache_mounts(&requests, is_cancelled).map_err(|error| {
        let names: Vec<_> = requests.iter().map(|request| format!("`{}`", request.id)).collect();
        BuildError::with_hint(error.to_string(), error.hint()).context(format!("the caches {}", names.join(", ")))
    })
}

fn stack(unpacker: &Unpacker, from: &From, inputs: &[Arc<Output>]) -> Result<Stack, BuildError> {
    let gone = || BuildError::new("what is to be mounted is gone");
    match from {
        From::Input(number) => Ok(inputs.get(*number).ok_or_else(gone)?.get::<Made>()?.stack),
        From::Selected(number) => {
            let selected = inputs.get(*number).ok_or_else(gone)?.get::<Selected>()?;
            unpacker.source(selected.selection).ok_or_else(gone)
        }
        From::Context(_) => Err(gone()),
    }
}

fn empty(store: &Store) -> Result<jettison_engine::store::Snapshot, BuildError> {
    let key = jettison_engine::CacheKey::builder("snapshot/empty/1").finish();
    store.snapshot_or(&key, |_| Ok::<(), BuildError>(()))
}
