//! Sockets of a sandbox that lead to others outside: an SSH agent, of which the sandbox sees nothing but its protocol.
//!
//! Process 1 makes the socket and listens, so that its owner and mode are as asked for inside; the caller accepts and
//! connects each connection to the socket outside.

use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// Connections at a time; more wait to be accepted.
const CONNECTION_LIMIT: usize = 64;

/// Accepts for a sandbox as long as it is not dropped.
#[derive(Debug)]
pub(super) struct Relay {
    /// Its closing ends the thread.
    _open: OwnedFd,
}

impl Relay {
    /// Connects who comes to `listener` to the socket at `outside`.
    pub fn start(listener: OwnedFd, outside: PathBuf) -> io::Result<Self> {
        let (end, open) = pipe_with(PipeFlags::CLOEXEC)?;
        let listener = UnixListener::from(listener);
        std::thread::Builder::new().name("relay".into()).spawn(move || accept(&listener, &end, &outside))?;
        Ok(Self { _open: open })
    }
}

fn accept(listener: &UnixListener, end: &OwnedFd, outside: &Path) {
    let running = Arc::new(());
    loop {
        let mut ready = [PollFd::new(end, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
        match poll(&mut ready, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if !ready[0].revents().is_empty() => return,
            Ok(_) => {}
        }
        let Ok((inside, _)) = listener.accept() else { return };
        // Each connection holds it twice.
        if Arc::strong_count(&running) > 2 * CONNECTION_LIMIT {
            continue;
        }
        // Where nobody listens outside, whoever came sees the end.
        let Ok(outside) = UnixStream::connect(outside) else { continue };
        let (Ok(inside_too), Ok(outside_too)) = (inside.try_clone(), outside.try_clone()) else { continue };
        for (from, to) in [(inside, outside), (outside_too, inside_too)] {
            let running = Arc::clone(&running);
            let pump = move || {
                let _running = running;
                let _ = io::copy(&mut &from, &mut &to);
                let _ = to.shutdown(Shutdown::Write);
            };
            if std::thread::Builder::new().name("relay".into()).spawn(pump).is_err() {
                break;
            }
        }
    }
}
