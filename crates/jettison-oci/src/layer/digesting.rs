//! The digest of a tar while it is written. For a large one a thread of its own takes the bytes, since reading, hashing and
//! compressing take about as long as each other.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use jettison_tree::{Digest, Hasher, HasherState};

/// Bytes that are handed over at once.
const BLOCK: usize = 1 << 18;
/// Blocks that wait to be hashed at most.
const WAITING: usize = 8;
/// A smaller tar is not worth a thread. Bytes.
const LARGE: u64 = 8 << 20;

/// Hashes what it is given, here or elsewhere.
pub(super) struct Digesting {
    /// Without, all is done here.
    threaded: bool,
    here: Hasher,
    len: u64,
    block: Vec<u8>,
    elsewhere: Option<(SyncSender<Order>, JoinHandle<Hasher>)>,
}

/// What the thread is told.
enum Order {
    Hash(Vec<u8>),
    /// To say where it stands.
    Tell(SyncSender<HasherState>),
}

impl Digesting {
    /// A hasher that has seen nothing; it may use a thread.
    pub(super) fn new(threaded: bool) -> Self {
        Self { threaded, here: Hasher::new(), len: 0, block: Vec::new(), elsewhere: None }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.len += bytes.len() as u64;
        if self.elsewhere.is_none() {
            if !self.threaded || self.len < LARGE {
                self.here.update(bytes);
                return Ok(());
            }
            self.start()?;
        }
        while !bytes.is_empty() {
            let take = bytes.len().min(BLOCK - self.block.len());
            self.block.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.block.len() == BLOCK {
                self.hand_over(Vec::with_capacity(BLOCK))?;
            }
        }
        Ok(())
    }

    /// Goes on where another hasher stood. Nothing was hashed here yet.
    pub(super) fn resume(&mut self, hasher: Hasher) {
        self.len = hasher.bytes();
        self.here = hasher;
    }

    /// The number of bytes seen.
    pub(super) fn bytes(&self) -> u64 {
        self.len
    }

    /// Where the hasher stands.
    pub(super) fn state(&mut self) -> io::Result<HasherState> {
        if self.elsewhere.is_none() {
            return Ok(self.here.state());
        }
        self.hand_over(Vec::with_capacity(BLOCK))?;
        let (say, hear) = sync_channel(1);
        let told = self.elsewhere.as_ref().and_then(|(orders, _)| orders.send(Order::Tell(say)).ok());
        told.and_then(|()| hear.recv().ok()).ok_or_else(gone)
    }

    /// The digest and the number of bytes seen.
    pub(super) fn finish(mut self) -> io::Result<(Digest, u64)> {
        if self.elsewhere.is_some() {
            self.hand_over(Vec::new())?;
        }
        match self.elsewhere {
            None => Ok(self.here.finish()),
            Some((blocks, thread)) => {
                drop(blocks);
                thread.join().map(Hasher::finish).map_err(|_| gone())
            }
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let (blocks, inbox) = sync_channel::<Order>(WAITING);
        let mut hasher = std::mem::take(&mut self.here);
        let work = move || {
            for order in inbox {
                match order {
                    Order::Hash(block) => hasher.update(&block),
                    // Whoever asked may be gone.
                    Order::Tell(to) => drop(to.send(hasher.state())),
                }
            }
            hasher
        };
        let thread = std::thread::Builder::new().name("sha256".to_owned()).spawn(work)?;
        self.elsewhere = Some((blocks, thread));
        Ok(())
    }

    fn hand_over(&mut self, next: Vec<u8>) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, next);
        let sent = self.elsewhere.as_ref().and_then(|(orders, _)| orders.send(Order::Hash(block)).ok());
        sent.ok_or_else(gone)
    }
}

fn gone() -> io::Error {
    io::Error::other("a hashing thread ended early")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_changes_no_digest() {
        for len in [0, 1, LARGE as usize - 1, LARGE as usize, LARGE as usize + 3 * BLOCK + 5] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            for write in [7919, 1 << 20] {
                let mut digesting = Digesting::new(true);
                bytes.chunks(write).for_each(|chunk| digesting.update(chunk).unwrap());
                assert_eq!(digesting.finish().unwrap(), (Digest::of(&bytes), len as u64), "{len} {write}");
            }
        }
        let mut left = Digesting::new(true);
        left.update(&vec![0; 2 * LARGE as usize]).unwrap();
        drop(left);
    }
}
