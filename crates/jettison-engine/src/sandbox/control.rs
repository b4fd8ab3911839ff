//! What the caller and the stages of a sandbox say to each other: JSON in the packets of a Unix socket, with file
//! descriptors.
//!
//! There are two sockets. Over *control* the caller asks and is answered; its closing ends the sandbox. Over *status*
//! the sandbox tells what happens, so that one thread can wait while another connects.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::mode::IdMap;
use super::spec::Spec;

/// Messages are small; what may be large goes in a file ([`Request::Run`]).
const MESSAGE_LIMIT: usize = 64 * 1024;
/// The most file descriptors with one message.
pub(super) const FD_LIMIT: usize = 16;

/// What the first stage is to do; sent once, with a descriptor of *status*.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Runs the [`Run`] in the file that comes next; then come standard input, output and error.
    Run,
    /// Removes a tree in a user namespace.
    Remove { path: PathBuf, ids: IdMap },
    /// Enters the namespaces and ends.
    Probe { ids: IdMap },
    /// Answers questions in a user namespace until *control* is closed.
    Serve { ids: IdMap },
}

/// A spec with what the caller found out about ids.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub spec: Spec,
    pub ids: IdMap,
}

/// What the caller asks while the program runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// The ids are mapped; go on.
    IdsAreMapped,
    /// A TCP socket in the network of the sandbox. Answered with its descriptor.
    Socket { v6: bool },
    /// Sends the program a signal. Not answered.
    Signal(i32),
}

/// What the sandbox tells.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Status {
    /// The first stage waits for its ids to be mapped.
    MapIds,
    /// The program runs; with the descriptors of its terminal, where it has one, and of its sockets that lead outside.
    Started,
    /// Something went wrong.
    Failed(Failure),
    /// The program ended, and all others in the sandbox.
    Exited(ExitStatus),
    /// What was asked for is done.
    Done,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl ExitStatus {
    /// Whether it ended with exit code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// The exit code as a shell reports it: 128 and the signal's number where a signal ended it.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Two connected sockets that keep packets apart.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a message with file descriptors. One that is too long is an error (`EMSGSIZE`).
pub(super) fn send(socket: impl AsFd, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    if json.len() > MESSAGE_LIMIT {
        return Err(Errno::MSGSIZE.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FD_LIMIT))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOMANYREFS.into());
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(&json)], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.map(|_| ()).map_err(Into::into),
        }
    }
}

/// Receives a message and its file descriptors; `None` when the other end is closed.
pub(super) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut buffer = vec![0; MESSAGE_LIMIT];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FD_LIMIT))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut buffer)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(None),
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok(Some((serde_json::from_slice(&buffer[..received.bytes])?, fds)))
}

/// Puts a value into a file in memory: a spec may be larger than a packet, and its environment is nobody's business.
pub(super) fn to_file(value: &impl Serialize) -> io::Result<File> {
    let mut file = File::from(memfd_create("jettison-sandbox", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(value)?)?;
    file.rewind()?;
    Ok(file)
}

/// Reads what [`to_file`] wrote.
pub(super) fn from_file<T: DeserializeOwned>(file: OwnedFd) -> io::Result<T> {
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_descriptors_and_an_end_is_seen() {
        let (a, b) = pair().unwrap();
        let file = to_file(&ExitStatus::Signal(9)).unwrap();
        send(&a, &Status::Exited(ExitStatus::Code(3)), &[file.as_fd()]).unwrap();
        let (message, mut fds) = receive::<Status>(&b).unwrap().unwrap();
        assert!(matches!(message, Status::Exited(ExitStatus::Code(3))));
        assert_eq!(from_file::<ExitStatus>(fds.pop().unwrap()).unwrap(), ExitStatus::Signal(9));
        drop(a);
        assert!(receive::<Status>(&b).unwrap().is_none());
    }
}
