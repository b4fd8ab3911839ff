//! gzip in members that are made on several threads (RFC 1952 section 2.2: a file is any number of members).
//!
//! The input is cut where a member is full and wherever the writer of the input says so; each member is compressed alone,
//! so a member that an earlier layer had too need not be compressed again: [`MemberCache`] is asked for it by a key of its
//! uncompressed bytes, and the output is the same whether it has it or not.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use jettison_tree::{Digest, Hasher};
use serde::{Deserialize, Serialize};

/// Where compressed members of earlier layers are.
pub trait MemberCache: Send + Sync {
    /// The compressed bytes of the member with this key, which were made by [`Compressor`](super::Compressor); `None` where
    /// they are not there or cannot be read.
    fn get(&self, key: &Digest) -> Option<Vec<u8>>;
}

/// A member of a blob that was written, for a [`MemberCache`] to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Of its uncompressed bytes and how they were compressed.
    pub key: Digest,
    /// Where it begins in the blob.
    pub offset: u64,
    /// Its bytes there.
    pub len: u64,
}

/// Changes when the same bytes are compressed to something else, as a new release of libdeflate may do.
pub(super) const ENCODER: &str = "libdeflate 1.26";

/// Cuts its input into members and keeps at most two per worker in flight. The first member is held back until there is
/// a second, so that a small layer is compressed without a thread.
pub(super) struct GzipMembers<W: Write> {
    out: W,
    /// Bytes of a full member.
    full: usize,
    threads: NonZeroUsize,
    packer: Arc<Packer>,
    here: Option<libdeflater::Compressor>,
    member: Vec<u8>,
    workers: Vec<Worker>,
    /// The workers that have a member to hand over, in the order of the members.
    pending: VecDeque<usize>,
    given: usize,
    /// Those of them that were taken from elsewhere.
    taken: usize,
    written: u64,
    members: Vec<Member>,
}

impl<W: Write> GzipMembers<W> {
    pub(super) fn new(out: W, level: libdeflater::CompressionLvl, full: usize, threads: NonZeroUsize) -> Self {
        Self {
            out,
            full,
            threads,
            packer: Arc::new(Packer { level, cache: None }),
            here: None,
            member: Vec::new(),
            workers: Vec::new(),
            pending: VecDeque::new(),
            given: 0,
            taken: 0,
            written: 0,
            members: Vec::new(),
        }
    }

    /// Asks `cache` for every member before it compresses it, and remembers where the members are.
    pub(super) fn with_cache(mut self, cache: Arc<dyn MemberCache>) -> Self {
        self.packer = Arc::new(Packer { level: self.packer.level, cache: Some(cache) });
        self
    }

    /// Goes on behind members that are taken from elsewhere, of which nothing was written yet.
    pub(super) fn resume(&mut self, members: &[Member]) -> &mut W {
        (self.given, self.taken) = (members.len(), members.len());
        self.written = members.iter().map(|member| member.len).sum();
        self.members = members.to_vec();
        &mut self.out
    }

    /// How many members there are.
    pub(super) fn given(&self) -> usize {
        self.given
    }

    /// Ends the member here.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        if self.member.is_empty() { Ok(()) } else { self.give() }
    }

    /// Compresses the member on this thread.
    fn pack_here(&mut self) -> io::Result<Packed> {
        let compressor = self.here.get_or_insert_with(|| libdeflater::Compressor::new(self.packer.level));
        self.packer.pack(compressor, &self.member)
    }

    /// Compresses the member, here or in a worker, and begins another.
    fn give(&mut self) -> io::Result<()> {
        if self.threads.get() == 1 {
            let packed = self.pack_here()?;
            self.member.clear();
            self.given += 1;
            return self.put(&packed);
        }
        while self.pending.len() >= 2 * self.threads.get() {
            self.take()?;
        }
        if self.workers.len() < self.threads.get() {
            self.workers.push(Worker::start(Arc::clone(&self.packer))?);
        }
        let worker = (self.given - self.taken) % self.threads.get();
        self.workers[worker].give(std::mem::replace(&mut self.member, Vec::with_capacity(self.full)))?;
        self.pending.push_back(worker);
        self.given += 1;
        Ok(())
    }

    fn take(&mut self) -> io::Result<()> {
        let Some(worker) = self.pending.pop_front() else { return Ok(()) };
        let packed = self.workers[worker].take()?;
        self.put(&packed)
    }

    fn put(&mut self, packed: &Packed) -> io::Result<()> {
        let len = packed.bytes.len() as u64;
        if let Some(key) = packed.key {
            self.members.push(Member { key, offset: self.written, len });
        }
        self.written += len;
        self.out.write_all(&packed.bytes)
    }

    /// Writes what is left, and returns what was written to and where the members are, if there is a cache for them.
    pub(super) fn finish(mut self) -> io::Result<(W, Vec<Member>)> {
        let last = if self.given == 0 || !self.member.is_empty() { Some(self.pack_here()?) } else { None };
        while !self.pending.is_empty() {
            self.take()?;
        }
        if let Some(last) = last {
            self.put(&last)?;
        }
        Ok((self.out, self.members))
    }
}

impl<W: Write> Write for GzipMembers<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.member.len() == self.full {
            self.give()?;
        }
        let take = bytes.len().min(self.full - self.member.len());
        self.member.extend_from_slice(&bytes[..take]);
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Turns members into their compressed form.
struct Packer {
    level: libdeflater::CompressionLvl,
    cache: Option<Arc<dyn MemberCache>>,
}

struct Packed {
    bytes: Vec<u8>,
    key: Option<Digest>,
}

impl Packer {
    fn pack(&self, compressor: &mut libdeflater::Compressor, member: &[u8]) -> io::Result<Packed> {
        let Some(cache) = &self.cache else {
            return Ok(Packed { bytes: gzip_member(compressor, member)?, key: None });
        };
        let mut hasher = Hasher::new();
        hasher.update(format!("{ENCODER} {:?}\n", self.level).as_bytes());
        hasher.update(member);
        let key = hasher.finish().0;
        let bytes = match cache.get(&key).filter(|bytes| is_plausible(bytes, member)) {
            Some(bytes) => bytes,
            None => gzip_member(compressor, member)?,
        };
        Ok(Packed { bytes, key: Some(key) })
    }
}

/// Whether these bytes begin as a member of ours does and end in the checksum and length of `member` (RFC 1952 section 2.3).
fn is_plausible(packed: &[u8], member: &[u8]) -> bool {
    let Some((_, trailer)) = packed.split_last_chunk::<8>() else { return false };
    let (crc, len) = trailer.split_at(4);
    packed.starts_with(&[0x1f, 0x8b, 8, 0])
        && len == (member.len() as u32).to_le_bytes()
        && crc == libdeflater::crc32(member).to_le_bytes()
}

/// A thread that compresses members in the order in which it is given them. Dropped, it ends.
struct Worker {
    members: Option<SyncSender<Vec<u8>>>,
    packed: Receiver<io::Result<Packed>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(packer: Arc<Packer>) -> io::Result<Self> {
        let (members, inbox) = sync_channel::<Vec<u8>>(2);
        let (outbox, packed) = sync_channel(2);
        let work = move || {
            let mut compressor = libdeflater::Compressor::new(packer.level);
            while let Ok(member) = inbox.recv() {
                if outbox.send(packer.pack(&mut compressor, &member)).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("gzip".to_owned()).spawn(work)?;
        Ok(Self { members: Some(members), packed, thread: Some(thread) })
    }

    fn give(&self, member: Vec<u8>) -> io::Result<()> {
        self.members.as_ref().and_then(|members| members.send(member).ok()).ok_or_else(Self::gone)
    }

    fn take(&self) -> io::Result<Packed> {
        self.packed.recv().map_err(|_| Self::gone())?
    }

    fn gone() -> io::Error {
        io::Error::other("a compression thread ended early")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.members.take());
        // It may be waiting to hand over what nobody wants any more.
        while self.packed.recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One gzip member: no name, no time, operating system "unknown" (RFC 1952 section 2.3.1).
fn gzip_member(compressor: &mut libdeflater::Compressor, member: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = vec![0; compressor.gzip_compress_bound(member.len())];
    let len = compressor.gzip_compress(member, &mut packed).map_err(|error| io::Error::other(error.to_string()))?;
    packed.truncate(len);
    Ok(packed)
}
