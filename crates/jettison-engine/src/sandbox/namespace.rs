//! A process in the user namespace of an ordinary user: it reads what belongs to subordinate ids, and gives files to
//! them.
//!
//! One is started when it is first needed and answers until this process ends, over a socket that closes with it.
//! Questions and answers are JSON; what is longer than a packet goes in a file in memory, open files beside it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jettison_tree::TreePath;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::control::{Request, from_file, receive, send, to_file};
use super::mode::{IdMap, Mode};
use super::running::Stage;
use crate::access::{Found, Look, look, open_root};
use crate::snapshot::{Gift, give};

/// Roots of trees that are kept open at a time.
const ROOT_LIMIT: usize = 512;

static PROCESS: Mutex<Option<Stage>> = Mutex::new(None);

/// A question.
#[derive(Debug, Serialize, Deserialize)]
enum Ask {
    /// Looks at a path of the tree in `root`.
    Look { root: PathBuf, at: Option<TreePath>, what: Look },
    /// Gives the files of the tree in `root` away, as the [`Gift`]s in the file that comes with it say.
    Give { root: PathBuf },
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// What was found; an open file comes with it.
    Found(Found),
    /// Which gifts could not be made: their indices.
    Given(Vec<usize>),
    /// The kernel's error, and its text where it is not the kernel's.
    Failed(i32, String),
    /// The answer is in the file that comes with this.
    InFile,
}

/// Looks at a path with the rights of root in the user namespace.
pub(crate) fn look_in_user_namespace(
    root: &Path,
    at: Option<&TreePath>,
    what: Look,
) -> io::Result<(Found, Option<OwnedFd>)> {
    match ask(&Ask::Look { root: root.to_owned(), at: at.cloned(), what }, None)? {
        (Answer::Found(found), fd) => Ok((found, fd)),
        _ => Err(Errno::PROTO.into()),
    }
}

/// Gives files to other ids of the user namespace. Returns the indices of those that could not be given, because the
/// ids do not exist there.
pub(crate) fn give_in_user_namespace(root: &Path, gifts: &[Gift]) -> io::Result<Vec<usize>> {
    match ask(&Ask::Give { root: root.to_owned() }, Some(to_file(&gifts)?.into()))? {
        (Answer::Given(refused), _) => Ok(refused),
        _ => Err(Errno::PROTO.into()),
    }
}

fn ask(ask: &Ask, file: Option<OwnedFd>) -> io::Result<(Answer, Option<OwnedFd>)> {
    let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
    let stage = match &mut *process {
        Some(stage) => stage,
        none => none.insert(start().map_err(io::Error::other)?),
    };
    let fds: Vec<_> = file.iter().map(|file| file.as_fd()).collect();
    let answer = send(stage.control(), ask, &fds).and_then(|()| receive::<Answer>(stage.control()));
    let answer = match answer {
        Ok(Some((Answer::InFile, fds))) => {
            let file = fds.into_iter().next().ok_or(Errno::PROTO)?;
            Ok((from_file(file)?, None))
        }
        Ok(Some((answer, fds))) => Ok((answer, fds.into_iter().next())),
        Ok(None) => Err(Errno::PIPE.into()),
        Err(e) => Err(e),
    };
    match answer {
        Ok((Answer::Failed(0, message), _)) => Err(io::Error::other(message)),
        Ok((Answer::Failed(errno, _), _)) => Err(io::Error::from_raw_os_error(errno)),
        Ok(answer) => Ok(answer),
        Err(e) => {
            // It was killed; the next question starts another.
            *process = None;
            Err(e)
        }
    }
}

fn start() -> Result<Stage, super::SandboxError> {
    let mode = Mode::detect();
    let ids = match mode {
        Mode::Root => IdMap::Same,
        Mode::IdRanges { .. } => IdMap::ByCaller,
        Mode::SingleId => IdMap::Single { uid: 0, gid: 0 },
    };
    let mut stage = Stage::start(&Request::Serve { ids }, &[])?;
    stage.until_ready(&mode)?;
    Ok(stage)
}

/// Answers questions until the caller is gone. Runs in the user namespace.
pub(super) fn serve(control: &OwnedFd) {
    let mut roots = BTreeMap::new();
    while let Ok(Some((ask, fds))) = receive::<Ask>(control) {
        let (answer, file) = match answer(ask, fds, &mut roots) {
            Ok(answer) => answer,
            Err(e) => (Answer::Failed(e.raw_os_error().unwrap_or(0), e.to_string()), None),
        };
        let sent = match &file {
            Some(file) => send(control, &answer, &[file.as_fd()]),
            None => send(control, &answer, &[]).or_else(|_| {
                // It does not fit into a packet.
                let file = to_file(&answer)?;
                send(control, &Answer::InFile, &[file.as_fd()])
            }),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn answer(
    ask: Ask,
    fds: Vec<OwnedFd>,
    roots: &mut BTreeMap<PathBuf, OwnedFd>,
) -> io::Result<(Answer, Option<OwnedFd>)> {
    match ask {
        Ask::Look { root, at, what } => {
            if roots.len() >= ROOT_LIMIT {
                roots.clear();
            }
            let root = match roots.entry(root) {
                std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => {
                    let fd = open_root(new.key())?;
                    new.insert(fd)
                }
            };
            let (found, file) = look(root.as_fd(), at.as_ref(), what)?;
            Ok((Answer::Found(found), file))
        }
        Ask::Give { root } => {
            let gifts: Vec<Gift> = from_file(fds.into_iter().next().ok_or(Errno::PROTO)?)?;
            Ok((Answer::Given(give(&open_root(&root)?, &gifts)?), None))
        }
    }
}
