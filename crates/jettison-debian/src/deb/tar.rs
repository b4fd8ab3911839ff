//! The tar archives in a `.deb`: v7, ustar, GNU long names and numbers, pax paths (POSIX.1-2001, pax; GNU tar manual).
//!
//! Our own and not a crate's, since nothing an entry says may decide how much memory is taken, and since an error has to name
//! the byte it is at.

use std::io::{self, Read};

use super::ar::fill;
use crate::compression::Skip;

const BLOCK: usize = 512;
/// Longer names and pax headers are nobody's: Linux has paths of 4096 bytes.
const NAME_LIMIT: u64 = 64 * 1024;
/// GNU's numbers reach to where sums overflow.
const SIZE_LIMIT: u64 = 1 << 56;

/// Reads the entries of an archive one after the other.
pub(super) struct TarReader<R> {
    inner: R,
    at: u64,
    limit: u64,
    /// Bytes of the entry that have not been read, and of its padding.
    left: u64,
    padding: u64,
}

/// An entry's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    /// Where a link points to.
    pub(super) link: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Symlink,
    HardLink,
    /// A device, a pipe, or something that only some systems have, by its type flag.
    Other(u8),
}

/// What long-name and pax entries say about the entry after them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl<R: Skip> TarReader<R> {
    /// Reads from `inner`, of which no more than `limit` bytes are taken.
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self { inner, at: 0, limit, left: 0, padding: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Skips what is left of an entry and reads the header of the next; `None` at the end of the archive.
    pub(super) fn next_entry(&mut self) -> io::Result<Option<Header>> {
        let mut extension = Extension::default();
        loop {
            self.skip_rest()?;
            let mut block = [0; BLOCK];
            self.read_exact(&mut block)?;
            if block.iter().all(|&byte| byte == 0) {
                // To the very end, where the decompressor checks its sum.
                let rest = self.limit.saturating_sub(self.at);
                self.inner.skip(rest)?;
                return Ok(None);
            }
            let mut header = self.parse_header(&block)?;
            match block[156] {
                b'L' => extension.path = Some(text(&self.extension(header.size)?)),
                b'K' => extension.link = Some(text(&self.extension(header.size)?)),
                b'x' => {
                    let records = self.extension(header.size)?;
                    extension.read_pax(&records).ok_or_else(|| self.invalid("a pax header is broken"))?;
                }
                b'g' => _ = self.extension(header.size)?,
                _ => {
                    header.path = extension.path.unwrap_or(header.path);
                    header.link = extension.link.unwrap_or(header.link);
                    header.uid = extension.uid.unwrap_or(header.uid);
                    header.gid = extension.gid.unwrap_or(header.gid);
                    header.size = extension.size.unwrap_or(header.size);
                    // Before there was a type for directories, a slash made one.
                    if header.kind == Kind::File && header.path.ends_with(b"/") {
                        header.kind = Kind::Directory;
                    }
                    // Only files have content; some writers give links the size of what they point to.
                    if header.kind != Kind::File {
                        header.size = 0;
                    }
                    if header.size > SIZE_LIMIT {
                        return Err(self.invalid("a file is larger than any can be"));
                    }
                    self.begin(header.size);
                    return Ok(Some(header));
                }
            }
        }
    }

    /// Goes past what is left of an entry, and its padding.
    fn skip_rest(&mut self) -> io::Result<()> {
        let rest = self.left + std::mem::take(&mut self.padding);
        self.left = 0;
        let skipped = self.inner.skip(rest.min(self.limit.saturating_sub(self.at) + 1))?;
        self.at += skipped;
        if self.at > self.limit {
            return Err(self.invalid("the archive unpacks to more than is allowed"));
        }
        if skipped < rest {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside of a file"));
        }
        Ok(())
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
    }

    fn invalid(&self, why: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, why)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let read = fill(&mut self.inner, buffer)?;
        self.at += read as u64;
        if read < buffer.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends before its end mark"));
        }
        if self.at > self.limit {
            return Err(self.invalid("the archive unpacks to more than is allowed"));
        }
        Ok(())
    }

    /// The content of a long-name or pax entry.
    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > NAME_LIMIT {
            return Err(self.invalid("a name or pax header is longer than any can be"));
        }
        self.begin(size);
        let mut bytes = vec![0; size as usize];
        self.content().read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn parse_header(&self, block: &[u8; BLOCK]) -> io::Result<Header> {
        let sum: u64 =
            block.iter().enumerate().map(|(i, &byte)| if (148..156).contains(&i) { 32 } else { u64::from(byte) }).sum();
        if number(&block[148..156]) != Some(sum) {
            return Err(self.invalid("there is no tar header, or its checksum is wrong"));
        }
        let field = |from: usize, len: usize| {
            number(&block[from..from + len]).ok_or_else(|| self.invalid("a number in a tar header is none"))
        };
        let small =
            |from, len| field(from, len)?.try_into().map_err(|_| self.invalid("an id in a tar header is too large"));
        let mut path = text(&block[..100]);
        // GNU's own headers have other things where ustar has the prefix.
        if block[257..263] == *b"ustar\0" && block[345] != 0 {
            path = [text(&block[345..500]), path].join(&b'/');
        }
        let kind = match block[156] {
            b'0' | b'7' | 0 => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'5' => Kind::Directory,
            other => Kind::Other(other),
        };
        let (mode, size) = (field(100, 8)? as u32 & 0o7777, field(124, 12)?);
        Ok(Header { path, kind, mode, uid: small(108, 8)?, gid: small(116, 8)?, size, link: text(&block[157..257]) })
    }

    /// Reads the present entry's content.
    pub(super) fn content(&mut self) -> impl Read {
        EntryReader(self)
    }
}

struct EntryReader<'a, R>(&'a mut TarReader<R>);

impl<R: Skip> Read for EntryReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let tar = &mut *self.0;
        let want = buffer.len().min(usize::try_from(tar.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let read = tar.inner.read(&mut buffer[..want])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside of a file"));
        }
        tar.at += read as u64;
        tar.left -= read as u64;
        if tar.at > tar.limit {
            return Err(tar.invalid("the archive unpacks to more than is allowed"));
        }
        Ok(read)
    }
}

impl Extension {
    /// `<length> <key>=<value>\n`, again and again.
    fn read_pax(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let space = records.iter().position(|&byte| byte == b' ')?;
            let len: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
            let record = records.get(space + 1..len)?.strip_suffix(b"\n")?;
            records = &records[len..];
            let equals = record.iter().position(|&byte| byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let number = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(number()?),
                b"uid" => self.uid = Some(number()?.try_into().ok()?),
                b"gid" => self.gid = Some(number()?.try_into().ok()?),
                _ => {}
            }
        }
        Some(())
    }
}

/// The bytes before the first NUL.
fn text(field: &[u8]) -> Vec<u8> {
    field.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

/// Octal digits between blanks and NULs, or GNU's big-endian bytes after 0x80. An empty field is 0.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        let (high, low) = field[1..].split_at(field.len().saturating_sub(9));
        let fold = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        return (high.iter().all(|&byte| byte == 0)).then(|| fold(low));
    }
    let digits = field.trim_ascii_start();
    let digits = digits.split(|&byte| byte == 0 || byte == b' ').next().unwrap_or_default();
    let octal = |number: u64, &digit: &u8| {
        let digit = char::from(digit).to_digit(8)?;
        number.checked_mul(8)?.checked_add(u64::from(digit))
    };
    digits.iter().try_fold(0, octal)
}
