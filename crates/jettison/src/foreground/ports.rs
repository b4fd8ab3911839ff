//! Ports of this machine that lead to ports of the program.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jettison_build::BuildError;
use jettison_build::run::Started;

/// More connections at the same time are closed at once.
const CONNECTIONS: usize = 512;

/// One port that leads to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// Where this process listens; port 0 for any.
    pub outside: SocketAddr,
    /// The port of the program.
    pub inside: u16,
}

/// Ports that are open, with nobody behind them yet.
pub struct Listeners {
    /// Where they are.
    pub addresses: Vec<(Forward, SocketAddr)>,
    listeners: Vec<(TcpListener, u16)>,
}

/// Opens the ports.
pub fn listen(forwards: &[Forward]) -> Result<Listeners, BuildError> {
    let mut all = Listeners { addresses: Vec::new(), listeners: Vec::new() };
    for forward in forwards {
        let open = || -> io::Result<_> {
            let listener = TcpListener::bind(forward.outside)?;
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = open().map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => "something else listens there: choose another port",
                io::ErrorKind::PermissionDenied => "ports below 1024 are for root: choose another port",
                _ => "see `jettison run --help`",
            };
            BuildError::from(error).context(format!("cannot listen on {}", forward.outside)).hint(hint)
        })?;
        all.addresses.push((*forward, address));
        all.listeners.push((listener, forward.inside));
    }
    Ok(all)
}

impl Listeners {
    /// Passes connections on to this program, from threads that end with this process.
    pub fn pass_on_to(self, started: &Arc<Started>) {
        let count = Arc::new(AtomicUsize::new(0));
        for (listener, port) in self.listeners {
            let (started, count) = (Arc::downgrade(started), Arc::clone(&count));
            thread::spawn(move || {
                for outside in listener.incoming().flatten() {
                    let Some(started) = started.upgrade() else { return };
                    if count.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
                        count.fetch_sub(1, Ordering::Relaxed);
                        continue;
                    }
                    let count = Arc::clone(&count);
                    thread::spawn(move || {
                        // Where nobody listens yet, ours is closed as that one would be.
                        let inside = started.running.connect(port);
                        drop(started);
                        if let Ok(inside) = inside {
                            join(outside, inside);
                        }
                        count.fetch_sub(1, Ordering::Relaxed);
                    });
                }
            });
        }
    }
}

/// Copies both ways until both sides have ended.
fn join(outside: TcpStream, inside: TcpStream) {
    let (Ok(from_outside), Ok(to_inside)) = (outside.try_clone(), inside.try_clone()) else { return };
    let inwards = thread::spawn(move || copy(from_outside, to_inside));
    copy(inside, outside);
    let _ = inwards.join();
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // However it ends, the other side has to see that it did.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
