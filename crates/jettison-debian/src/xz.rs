//! The .xz format (version 1.2.1) of several blocks, of which some need not be decoded.
//!
//! `dpkg-deb` compresses large packages in blocks of 24 MiB. An index at the end says where each begins and how long it is unpacked, so
//! whoever wants nothing of a block goes past it, and a block of which only the beginning is wanted is left after it: that halves
//! the work where a package is half debugging aids.
//!
//! The sums of blocks are not looked at: a file is read here after its digest was checked.

use std::io::{self, Read, Seek, SeekFrom};

use liblzma::stream::{Action, IGNORE_CHECK, Stream};

use crate::compression::{MEMORY_LIMIT, Skip};

/// A stream begins and ends with so many bytes that say what it is.
const EDGE_LEN: usize = 12;
const MAGIC: &[u8] = b"\xfd7zXZ\0";
const FOOTER_MAGIC: &[u8] = b"YZ";
/// The index of a package of 4 GB has 1 KB.
const INDEX_LIMIT: u64 = 1 << 20;
const INPUT_LEN: usize = 64 * 1024;

/// A block: where it begins, and its bytes unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    offset: u64,
    size: u64,
}

/// The blocks of a stream.
pub(crate) struct Blocks {
    /// How the stream begins, which each block is decoded behind.
    header: [u8; EDGE_LEN],
    blocks: Vec<Block>,
}

/// Reads the blocks of a stream one after the other.
pub(crate) struct XzBlocks<R> {
    inner: R,
    header: [u8; EDGE_LEN],
    blocks: std::vec::IntoIter<Block>,
    /// The present block's beginning, and its bytes that were neither read nor skipped.
    offset: u64,
    left: u64,
    /// Decodes the present block, once something of it was wanted.
    stream: Option<Stream>,
    input: Box<[u8]>,
    /// What of the input was not decoded yet.
    unread: std::ops::Range<usize>,
}

impl Blocks {
    /// The blocks of the stream of `len` bytes from `start` on. `None` where it is not one stream of several blocks with an index that
    /// fits: then it is to be read from its start, as any other. The reader is left anywhere.
    pub(crate) fn read(mut inner: impl Read + Seek, start: u64, len: u64) -> io::Result<Option<Self>> {
        let mut header = [0; EDGE_LEN];
        let mut footer = [0; EDGE_LEN];
        if len < 2 * EDGE_LEN as u64 || inner.seek(SeekFrom::End(0))? < start.saturating_add(len) {
            return Ok(None);
        }
        inner.seek(SeekFrom::Start(start))?;
        inner.read_exact(&mut header)?;
        inner.seek(SeekFrom::Start(start + len - EDGE_LEN as u64))?;
        inner.read_exact(&mut footer)?;
        let backward = u32::from_le_bytes([footer[4], footer[5], footer[6], footer[7]]);
        let index_len = (u64::from(backward) + 1) * 4;
        if !header.starts_with(MAGIC)
            || !footer.ends_with(FOOTER_MAGIC)
            || !is_sound(&footer[4..10], &footer[..4])
            || index_len > INDEX_LIMIT.min(len - 2 * EDGE_LEN as u64)
        {
            return Ok(None);
        }
        let index_at = start + len - EDGE_LEN as u64 - index_len;
        let mut index = vec![0; index_len as usize];
        inner.seek(SeekFrom::Start(index_at))?;
        inner.read_exact(&mut index)?;
        let (index, sum) = index.split_at(index.len() - 4);
        if !is_sound(index, sum) {
            return Ok(None);
        }
        let blocks = parse_index(index, start + EDGE_LEN as u64, index_at).filter(|blocks| blocks.len() > 1);
        Ok(blocks.map(|blocks| Self { header, blocks }))
    }
}

impl<R: Read + Seek> XzBlocks<R> {
    /// Reads from the first block on.
    pub(crate) fn new(inner: R, Blocks { header, blocks }: Blocks) -> Self {
        let input = vec![0; INPUT_LEN].into_boxed_slice();
        let blocks = blocks.into_iter();
        Self { inner, header, blocks, offset: 0, left: 0, stream: None, input, unread: 0..0 }
    }

    /// Goes on to the next block when the present one is over; whether there is something left.
    fn advance(&mut self) -> bool {
        while self.left == 0 {
            let Some(Block { offset, size }) = self.blocks.next() else { return false };
            (self.offset, self.left, self.stream) = (offset, size, None);
        }
        true
    }
}

impl<R: Read + Seek> Read for XzBlocks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || !self.advance() {
            return Ok(0);
        }
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                self.inner.seek(SeekFrom::Start(self.offset))?;
                self.input[..EDGE_LEN].copy_from_slice(&self.header);
                self.unread = 0..EDGE_LEN;
                none.insert(Stream::new_stream_decoder(MEMORY_LIMIT, IGNORE_CHECK)?)
            }
        };
        loop {
            if self.unread.is_empty() {
                let read = self.inner.read(&mut self.input)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.unread = 0..read;
            }
            let (consumed, produced) = (stream.total_in(), stream.total_out());
            let done = stream.process(&self.input[self.unread.clone()], &mut buffer[..want], Action::Run);
            let consumed = (stream.total_in() - consumed) as usize;
            let produced = (stream.total_out() - produced) as usize;
            self.unread.start += consumed;
            self.left -= produced as u64;
            match done {
                // After its last byte it goes on to the index, which knows of more blocks than it has seen.
                _ if produced > 0 => return Ok(produced),
                Err(error) => return Err(error.into()),
                Ok(_) if consumed == 0 => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a block ends before its end"));
                }
                Ok(_) => {}
            }
        }
    }
}

impl<R: Read + Seek> Skip for XzBlocks<R> {
    fn skip(&mut self, len: u64) -> io::Result<u64> {
        let mut ahead = len;
        while ahead > 0 && self.advance() {
            if ahead < self.left {
                let skipped = io::copy(&mut self.by_ref().take(ahead), &mut io::sink())?;
                ahead -= skipped;
            } else {
                ahead -= std::mem::take(&mut self.left);
            }
        }
        Ok(len - ahead)
    }
}

/// The blocks that an index lists (section 4), which must lie end to end from `first` to `end`.
fn parse_index(index: &[u8], first: u64, end: u64) -> Option<Vec<Block>> {
    let mut rest = index.strip_prefix(&[0])?;
    let count = number(&mut rest)?;
    let mut offset = first;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let packed = number(&mut rest)?;
        let size = number(&mut rest)?;
        blocks.push(Block { offset, size });
        offset = offset.checked_add(packed.checked_next_multiple_of(4)?)?;
    }
    (offset == end).then_some(blocks)
}

/// Whether this is the sum of these bytes.
fn is_sound(bytes: &[u8], sum: &[u8]) -> bool {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes() == sum
}

/// A number in groups of seven bits, the lowest first (section 1.2).
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for at in 0..9 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn text() -> Vec<u8> {
        (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect()
    }

    /// As `dpkg-deb` does it, with blocks of this size.
    fn packed(block: usize, text: &[u8]) -> Vec<u8> {
        let mut stream = Stream::new_easy_encoder(0, liblzma::stream::Check::Crc64).unwrap();
        let mut bytes = Vec::with_capacity(2 * text.len() + 1024);
        let mut chunks = text.chunks(block).peekable();
        while let Some(chunk) = chunks.next() {
            let end = if chunks.peek().is_some() { Action::FullFlush } else { Action::Finish };
            let start = stream.total_in();
            let rest = |stream: &Stream| &chunk[(stream.total_in() - start) as usize..];
            while stream.process_vec(rest(&stream), &mut bytes, end).unwrap() != liblzma::stream::Status::StreamEnd {}
        }
        bytes
    }

    #[test]
    fn what_is_skipped_changes_nothing_of_what_is_read() {
        let text = text();
        let file = [&b"ahead"[..], &packed(100_000, &text), b"behind"].concat();
        let open = || {
            let blocks = Blocks::read(Cursor::new(&file), 5, file.len() as u64 - 11).unwrap().unwrap();
            XzBlocks::new(Cursor::new(&file), blocks)
        };
        assert_eq!(open().blocks.len(), 12);
        let mut all = Vec::new();
        open().read_to_end(&mut all).unwrap();
        assert!(all == text);
        for (skip, read) in [(0, 10), (99_996, 2), (99_997, 5), (350_001, 300_000), (1_199_987, 10), (1_199_997, 0)] {
            let mut blocks = open();
            let mut bytes = vec![0; 3];
            blocks.read_exact(&mut bytes).unwrap();
            assert_eq!(blocks.skip(skip as u64).unwrap(), skip as u64);
            bytes.resize(3 + read, 0);
            blocks.read_exact(&mut bytes[3..]).unwrap();
            assert!(bytes[..3] == text[..3] && bytes[3..] == text[3 + skip..][..read], "{skip}");
        }
        assert_eq!(open().skip(u64::MAX).unwrap(), text.len() as u64);
    }

    #[test]
    fn what_is_broken_is_an_error_or_read_from_its_start() {
        let text = text();
        let sound = packed(400_000, &text);
        let len = sound.len() as u64;
        let single = packed(1 << 30, &text);
        assert!(Blocks::read(Cursor::new(&single), 0, single.len() as u64).unwrap().is_none(), "one block");
        assert!(Blocks::read(Cursor::new(&sound), 0, 20).unwrap().is_none());
        assert!(Blocks::read(Cursor::new(&sound[..len as usize - 1]), 0, len).unwrap().is_none());
        // The index holds what lies where the blocks do not.
        for at in sound.len() - 40..sound.len() {
            let mut changed = sound.clone();
            changed[at] ^= 0x55;
            if let Some(blocks) = Blocks::read(Cursor::new(&changed), 0, len).unwrap() {
                let mut blocks = XzBlocks::new(Cursor::new(&changed), blocks);
                let mut read = Vec::new();
                assert!(blocks.by_ref().take(1 << 24).read_to_end(&mut read).is_err() || read == text, "{at}");
            }
        }
    }
}
