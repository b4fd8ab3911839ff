//! Tars of others, member by member, trusting nothing.
//!
//! Read are the dialects that image tools write: v7, ustar, pax (local and global headers), GNU long names, base-256
//! numbers and [sparse files](super::sparse). Every extension is bounded by [`MAX_EXTENSION`], so memory does not grow with what an archive claims.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use jettison_tree::{PathError, TreePath};

use super::sparse::{self, Lines, Map, Next, Sparse};
use super::tar_header::{TarHeader, TarKind, number, parse_header, pax_records, until_nul};
use super::ustar::{BLOCK, PAX_XATTR, checksum, field, flag, padding};

/// Bytes of one pax header or GNU long name that are read at most. Linux keeps xattrs below 64 KiB and paths below 4 KiB.
pub const MAX_EXTENSION: u64 = 1 << 20;

/// Reads a tar from a stream.
pub struct TarReader<R> {
    inner: R,
    /// Bytes read of the stream.
    at: u64,
    /// Bytes of content and padding of the current member that are not read yet.
    content: u64,
    padding: u64,
    /// Where the content of the current member belongs, where that is not one piece.
    sparse: Option<Sparse>,
    global: BTreeMap<Vec<u8>, Vec<u8>>,
    ended: bool,
    /// Passes over so many bytes, and returns how many there were.
    skip: fn(&mut R, u64) -> io::Result<u64>,
}

/// One member; reading it yields its content.
pub struct TarEntry<'a, R> {
    header: TarHeader,
    offset: u64,
    reader: &'a mut TarReader<R>,
}

impl<R> TarEntry<'_, R> {
    /// What the tar says about it.
    pub fn header(&self) -> &TarHeader {
        &self.header
    }

    /// Where its content begins, in bytes from the start of the tar; `None` where it is sparse, and not in one piece.
    pub fn offset(&self) -> Option<u64> {
        self.reader.sparse.is_none().then_some(self.offset)
    }
}

impl<R: Read> Read for TarEntry<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read_content(buffer)
    }
}

impl<R: Read> TarReader<R> {
    /// Reads the tar that `inner` yields.
    pub fn new(inner: R) -> Self {
        let skip = |inner: &mut R, bytes| io::copy(&mut inner.take(bytes), &mut io::sink());
        Self { inner, at: 0, content: 0, padding: 0, sparse: None, global: BTreeMap::new(), ended: false, skip }
    }

    /// Reads a tar that can be sought in: contents that nobody reads are not read.
    pub fn seekable(inner: R) -> Self
    where
        R: Seek,
    {
        // The last byte is read, since seeking alone would not notice that it is not there.
        let skip = |inner: &mut R, bytes: u64| {
            inner.seek_relative(i64::try_from(bytes - 1).map_err(io::Error::other)?)?;
            Ok(bytes - 1 + inner.read(&mut [0])? as u64)
        };
        Self { skip, ..Self::new(inner) }
    }

    /// The next member; what is left of the one before is skipped. `None` at the end.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry<'_, R>>, TarError> {
        let mut pax = BTreeMap::new();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            self.skip_rest()?;
            let start = self.at;
            let broken = |why| TarError::Header { offset: start, why };
            let Some(block) = self.next_block()? else {
                if pax.is_empty() && long_name.is_none() && long_link.is_none() {
                    return Ok(None);
                }
                return Err(broken("the archive ends after an extension header"));
            };
            let kind = block[field::TYPE];
            let size = number(&block[field::SIZE]).ok_or(broken("its size is no number"))?;
            match kind {
                flag::PAX => {
                    pax_records(&self.extension(size, start)?, &mut pax).ok_or(broken("its pax records are broken"))?
                }
                flag::PAX_GLOBAL => {
                    let bytes = self.extension(size, start)?;
                    pax_records(&bytes, &mut self.global).ok_or(broken("its pax records are broken"))?;
                    if self.global.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>()
                        > MAX_EXTENSION
                    {
                        return Err(broken("its global records are too many"));
                    }
                }
                flag::GNU_LONG_NAME => long_name = Some(until_nul(&self.extension(size, start)?).to_vec()),
                flag::GNU_LONG_LINK => long_link = Some(until_nul(&self.extension(size, start)?).to_vec()),
                _ => {
                    let record = |key: &str| pax.get(key.as_bytes()).or_else(|| self.global.get(key.as_bytes()));
                    let mut header = parse_header(&block, size, &record).map_err(broken)?;
                    if let Some(name) = long_name {
                        header.name = name;
                    }
                    if let Some(link) = long_link {
                        header.link = link;
                    }
                    let sparse_name = pax.remove(b"GNU.sparse.name".as_slice());
                    let stored = header.size;
                    let sparse = match header.kind {
                        TarKind::File => self.sparse(&block, &pax, &mut header.size, start)?,
                        _ => None,
                    };
                    if let (Some(_), Some(name)) = (&sparse, sparse_name) {
                        header.name = name;
                    }
                    let xattr = |key: &[u8]| key.strip_prefix(PAX_XATTR.as_bytes()).map(<[u8]>::to_vec);
                    header.xattrs = pax.into_iter().filter_map(|(key, value)| Some((xattr(&key)?, value))).collect();
                    if header.name.is_empty() || header.name.contains(&0) {
                        return Err(broken("it has no name"));
                    }
                    if sparse.is_none() {
                        self.content = stored;
                    }
                    self.padding = padding(stored);
                    self.sparse = sparse;
                    return Ok(Some(TarEntry { header, offset: self.at, reader: self }));
                }
            }
        }
    }

    /// Reads to the end of the stream, past the end of the archive, and returns the bytes of the whole stream.
    pub fn drain(mut self) -> io::Result<u64> {
        let rest = io::copy(&mut self.inner, &mut io::sink())?;
        Ok(self.at + rest)
    }

    /// The map of a sparse member, whose header is read; `None` where it is none. `size` is that of what is stored, and becomes that of
    /// the file.
    fn sparse(
        &mut self,
        block: &[u8; BLOCK],
        records: &BTreeMap<Vec<u8>, Vec<u8>>,
        size: &mut u64,
        start: u64,
    ) -> Result<Option<Sparse>, TarError> {
        let broken = |why| TarError::Header { offset: start, why };
        let mut stored = *size;
        let (pieces, real) = if block[field::TYPE] == flag::GNU_SPARSE {
            let (mut pieces, mut more, real) = sparse::of_header(block).map_err(broken)?;
            while more {
                more = sparse::of_block(&self.block()?, &mut pieces).map_err(broken)?;
            }
            (pieces, real)
        } else {
            match sparse::of_records(records).map_err(broken)? {
                (Map::None, _) => return Ok(None),
                (Map::Here(pieces), real) => (pieces, real),
                (Map::InContent, real) => {
                    let mut lines = Lines::default();
                    loop {
                        stored =
                            stored.checked_sub(BLOCK as u64).ok_or(broken("the map of the sparse file has no end"))?;
                        if let Some(pieces) = lines.push(&self.block()?).map_err(broken)? {
                            break (pieces, real);
                        }
                    }
                }
            }
        };
        self.content = stored;
        *size = real;
        Sparse::new(&pieces, real, stored).map(Some).map_err(broken)
    }

    /// The next block, whatever is in it.
    fn block(&mut self) -> Result<[u8; BLOCK], TarError> {
        let mut block = [0; BLOCK];
        match self.inner.read_exact(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(TarError::Cut { offset: self.at });
            }
            read => read?,
        }
        self.at += BLOCK as u64;
        Ok(block)
    }

    fn read_content(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let within = |bytes: u64| buffer.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
        let Some(next) = self.sparse.as_ref().map(Sparse::next) else { return self.read_stored(buffer) };
        let read = match next {
            Next::End => 0,
            Next::Hole(bytes) => {
                let zeros = within(bytes);
                buffer[..zeros].fill(0);
                zeros
            }
            Next::Stored(bytes) => {
                let want = within(bytes);
                self.read_stored(&mut buffer[..want])?
            }
        };
        if let Some(sparse) = &mut self.sparse {
            sparse.advance(read as u64);
        }
        Ok(read)
    }

    fn read_stored(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..want])?;
        if read == 0 {
            return Err(TarError::Cut { offset: self.at }.into());
        }
        self.at += read as u64;
        self.content -= read as u64;
        Ok(read)
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        self.sparse = None;
        let rest = self.content + self.padding;
        if rest == 0 {
            return Ok(());
        }
        let skipped = (self.skip)(&mut self.inner, rest)?;
        self.at += skipped;
        if skipped < rest {
            return Err(TarError::Cut { offset: self.at });
        }
        (self.content, self.padding) = (0, 0);
        Ok(())
    }

    /// The next header block; `None` at a block of zeros and at the end of the stream.
    fn next_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        if self.ended {
            return Ok(None);
        }
        let offset = self.at;
        let mut have = 0;
        while have < BLOCK {
            match self.inner.read(&mut block[have..]) {
                Ok(0) if have == 0 => {
                    self.ended = true;
                    return Ok(None);
                }
                Ok(0) => return Err(TarError::Cut { offset: self.at }),
                Ok(read) => (have, self.at) = (have + read, self.at + read as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        if block == [0; BLOCK] {
            self.ended = true;
            return Ok(None);
        }
        let signed = || {
            let value =
                |(at, &byte): (usize, &u8)| if field::CHECKSUM.contains(&at) { 32 } else { i64::from(byte as i8) };
            block.iter().enumerate().map(value).sum::<i64>()
        };
        let sum = number(&block[field::CHECKSUM]);
        if sum != Some(checksum(&block)) && sum.and_then(|sum| i64::try_from(sum).ok()) != Some(signed()) {
            return Err(TarError::Header { offset, why: "its checksum is wrong" });
        }
        Ok(Some(block))
    }

    /// The content of an extension header.
    fn extension(&mut self, size: u64, offset: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_EXTENSION {
            return Err(TarError::Header { offset, why: "its extension header is too long" });
        }
        (self.content, self.padding) = (size, padding(size));
        let mut bytes = Vec::with_capacity(size as usize);
        let mut entry = Take { reader: self };
        entry.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The content of the current member as a [`Read`].
struct Take<'a, R> {
    reader: &'a mut TarReader<R>,
}

impl<R: Read> Read for Take<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read_content(buffer)
    }
}

/// Bytes that are no tar, or one that is not read here.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// A header makes no sense.
    #[error("tar: the header at byte {offset} is broken: {why}")]
    Header {
        /// Bytes from the start of the tar.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The tar ends in mid-member.
    #[error("tar: the archive is cut short at byte {offset}")]
    Cut {
        /// Bytes from the start of the tar.
        offset: u64,
    },
    /// A path that leaves the tree.
    #[error("tar: {0}")]
    Path(#[from] PathError),
    /// More members than any image has.
    #[error("tar: the layers have more than {0} entries")]
    TooMany(usize),
    /// A hard link to nothing.
    #[error("tar: `{path}` is a hard link to `{target}`, which is not there")]
    HardLink {
        /// The link.
        path: TreePath,
        /// What it names.
        target: TreePath,
    },
    /// The stream cannot be read.
    #[error(transparent)]
    Io(io::Error),
}

impl From<TarError> for io::Error {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(error) => error,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Whiteout;

    fn member(kind: u8, name: &[u8], content: &[u8], change: impl Fn(&mut tar::Header)) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        header.set_entry_type(tar::EntryType::new(kind));
        change(&mut header);
        header.set_cksum();
        let mut out = header.as_bytes().to_vec();
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    fn headers(tar: &[u8]) -> Result<Vec<TarHeader>, TarError> {
        let mut reader = TarReader::new(tar);
        let mut headers = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            headers.push(entry.header().clone());
        }
        Ok(headers)
    }

    #[test]
    fn the_dialects_are_understood() {
        let same = |_: &mut tar::Header| {};
        let tar = [
            member(b'g', b"pax_global_header", b"17 comment=hello\n", same),
            member(b'x', b"x", b"14 path=long/x\n", same)[..].to_vec(),
        ];
        assert!(headers(&tar.concat()).is_err(), "a record's length is wrong");
        let tar = [
            member(b'L', b"././@LongLink", &[b"n".repeat(300), vec![0]].concat(), same),
            member(b'0', b"cut", b"abc", same),
            member(b'x', b"x", b"16 path=p\xc3\xa4/\xff.x\n25 SCHILY.xattr.user.a=\0\n20 mtime=-12.345678\n", same),
            member(0, b"short", b"", |header| header.set_device_major(0).unwrap()),
            member(b'0', b"old-directory//", b"", same),
            member(b'3', b"dev", b"", |header| {
                header.set_device_major(1).unwrap();
                header.set_device_minor(3).unwrap();
                header.set_uid(3_000_000_000);
            }),
            member(b'5', b"sized", b"", |header| header.set_size(4096)),
            vec![0; 1024],
            b"garbage behind the end".to_vec(),
        ];
        let headers = headers(&tar.concat()).unwrap();
        assert_eq!(headers[0].name, b"n".repeat(300));
        assert_eq!((headers[1].name.as_slice(), headers[1].mtime), (&b"p\xc3\xa4/\xff.x"[..], -12));
        assert_eq!(headers[1].xattrs.get("user.a"), Some(&b"\0"[..]));
        assert_eq!((headers[2].kind, headers[2].name.as_slice()), (TarKind::Directory, &b"old-directory/"[..]));
        assert_eq!((headers[3].kind, headers[3].uid), (TarKind::CharacterDevice(1, 3), 3_000_000_000));
        assert_eq!((headers[4].kind, headers[4].size), (TarKind::Directory, 0));
        assert_eq!(headers.len(), 5);
    }

    /// pax records with their lengths.
    fn records(pairs: &[(&str, &str)]) -> Vec<u8> {
        let record = |(key, value): &(&str, &str)| {
            let rest = key.len() + value.len() + 3;
            let len = (rest..).find(|len| *len == rest + len.to_string().len()).unwrap();
            format!("{len} {key}={value}\n")
        };
        pairs.iter().map(record).collect::<String>().into_bytes()
    }

    #[test]
    fn sparse_files_of_every_version_are_whole() {
        let same = |_: &mut tar::Header| {};
        let x = |pairs: &[(&str, &str)]| member(b'x', b"x", &records(pairs), same);
        let old = |extended: u8| {
            move |header: &mut tar::Header| {
                let bytes = header.as_mut_bytes();
                bytes[386..434].copy_from_slice(b"00000000003 00000000002 00000000010 00000000001 ");
                bytes[482] = extended;
                bytes[483..495].copy_from_slice(if extended == 1 { b"00000002001\0" } else { b"00000000012\0" });
            }
        };
        let mut more = [0; BLOCK];
        more[..24].copy_from_slice(b"00000002000 00000000001 ");
        // The blocks with more pieces stand between the header and the content.
        let mut extended = member(b'S', b"extended", b"abcd", old(1));
        extended.splice(BLOCK..BLOCK, more);
        let mut map = b"2\n3\n2\n8\n1\n".to_vec();
        map.resize(BLOCK, 0);
        let size = ("GNU.sparse.size", "10");
        let tar = [
            member(b'S', b"old", b"abc", old(0)),
            extended,
            x(&[
                size,
                ("GNU.sparse.numblocks", "2"),
                ("GNU.sparse.offset", "3"),
                ("GNU.sparse.numbytes", "2"),
                ("GNU.sparse.offset", "8"),
                ("GNU.sparse.numbytes", "1"),
            ]),
            member(b'0', b"0.0", b"abc", same),
            x(&[size, ("GNU.sparse.numblocks", "2"), ("GNU.sparse.name", "0.1"), ("GNU.sparse.map", "3,2,8,1")]),
            member(b'0', b"./GNUSparseFile.1/0.1", b"abc", same),
            x(&[
                ("GNU.sparse.major", "1"),
                ("GNU.sparse.minor", "0"),
                ("GNU.sparse.name", "1.0"),
                ("GNU.sparse.realsize", "10"),
            ]),
            member(b'0', b"./GNUSparseFile.1/1.0", &[&map, &b"abc"[..]].concat(), same),
            x(&[size, ("GNU.sparse.numblocks", "0"), ("GNU.sparse.name", "hole")]),
            member(b'0', b"x", b"", same),
            member(b'0', b"plain", b"plain", same),
            vec![0; 1024],
        ]
        .concat();
        let whole = b"\0\0\0ab\0\0\0c\0".to_vec();
        let mut long = whole.clone();
        long.resize(1024, 0);
        long.push(b'd');
        let expected: [(&str, &[u8]); 7] = [
            ("old", &whole),
            ("extended", &long),
            ("0.0", &whole),
            ("0.1", &whole),
            ("1.0", &whole),
            ("hole", &[0; 10]),
            ("plain", b"plain"),
        ];
        // Read, and passed over.
        for reads in [true, false] {
            let mut reader = TarReader::seekable(io::Cursor::new(&tar));
            for (name, content) in expected {
                let mut entry = reader.next_entry().unwrap().unwrap();
                let header = entry.header().clone();
                assert_eq!((header.name.as_slice(), header.size), (name.as_bytes(), content.len() as u64), "{name}");
                assert_eq!(entry.offset().is_some(), name == "plain");
                if reads {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).unwrap();
                    assert_eq!(bytes, content, "{name}");
                }
            }
            assert!(reader.next_entry().unwrap().is_none());
        }
    }

    #[test]
    fn hostile_archives_end_in_an_error() {
        let same = |_: &mut tar::Header| {};
        let long = |kind| member(kind, b"x", b"", |header| header.set_size(u64::MAX / 2));
        let whole = member(b'0', b"a", &[1; 600], same);
        let mut wrong_sum = whole.clone();
        wrong_sum[0] ^= 1;
        for (tar, want) in [
            (long(b'x'), "tar: the header at byte 0 is broken: its extension header is too long"),
            (long(b'L'), "tar: the header at byte 0 is broken: its extension header is too long"),
            (long(b'0'), "tar: the archive is cut short at byte 512"),
            (whole[..700].to_vec(), "tar: the archive is cut short at byte 700"),
            (whole[..100].to_vec(), "tar: the archive is cut short at byte 100"),
            (wrong_sum, "tar: the header at byte 0 is broken: its checksum is wrong"),
            (member(b'x', b"x", b"9 a=b\n", same), "tar: the header at byte 0 is broken: its pax records are broken"),
            (
                member(b'x', b"x", b"99999999 a=b\n", same),
                "tar: the header at byte 0 is broken: its pax records are broken",
            ),
            (
                member(b'x', b"x", b"6 a=b\n", same),
                "tar: the header at byte 1024 is broken: the archive ends after an extension header",
            ),
            (
                member(b'S', b"s", b"", |header| header.as_mut_bytes()[483] = b'9'),
                "tar: the header at byte 0 is broken: the map of the sparse file has something that is no number",
            ),
            (
                member(b'S', b"s", b"", |header| header.as_mut_bytes()[483..495].fill(0x7f)),
                "tar: the header at byte 0 is broken: the map of the sparse file has something that is no number",
            ),
            (
                member(b'S', b"s", b"", |header| header.as_mut_bytes()[483..489].copy_from_slice(b"\x80\0\0\0\0\x01")),
                "tar: the header at byte 0 is broken: it is a sparse file, and too large",
            ),
            (
                member(b'S', b"s", b"abc", |header| header.as_mut_bytes()[483..486].copy_from_slice(b"100")),
                "tar: the header at byte 0 is broken: the pieces of the sparse file are not what is stored of it",
            ),
            (
                member(b'S', b"s", b"", |header| header.as_mut_bytes()[482] = 1),
                "tar: the archive is cut short at byte 512",
            ),
        ] {
            assert_eq!(headers(&tar).unwrap_err().to_string(), want);
        }
        let mut reader = TarReader::seekable(io::Cursor::new(&whole[..700]));
        assert!(reader.next_entry().unwrap().is_some());
        assert!(matches!(reader.next_entry().map(|_| ()), Err(TarError::Cut { .. })));
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let same = |_: &mut tar::Header| {};
        let tar = [
            member(b'x', b"x", b"16 path=long/xy\n20 size=99999999999\n", same),
            member(b'0', b"a", &[b'c'; 100], same),
            member(b'L', b"././@LongLink", b"dir/name\0", same),
            member(b'1', b"l", b"", same),
            vec![0; 1024],
        ]
        .concat();
        for at in 0..tar.len() - 1024 {
            for byte in [0, b'7', 0xff] {
                let mut damaged = tar.clone();
                damaged[at] = byte;
                // With the checksums mended, the damage reaches the fields.
                for block in damaged.chunks_exact_mut(BLOCK).map(|block| <&mut [u8; BLOCK]>::try_from(block).unwrap()) {
                    let sum = format!("{:06o}\0 ", checksum(block));
                    block[field::CHECKSUM].copy_from_slice(sum.as_bytes());
                }
                let _ = headers(&damaged);
                let _ =
                    crate::layer::Flattener::new().apply(TarReader::seekable(io::Cursor::new(&damaged)), |_| Ok(()));
            }
        }
    }

    #[test]
    fn deletions_are_recognised() {
        let path = |text: &str| TreePath::parse(text).unwrap();
        for (name, want) in [
            ("a/.wh.b", Some(Whiteout::Path(path("a/b")))),
            ("./.wh.b", Some(Whiteout::Path(path("b")))),
            ("a/.wh..wh..opq", Some(Whiteout::Opaque(Some(path("a"))))),
            (".wh..wh..opq", Some(Whiteout::Opaque(None))),
            ("a/.wh..wh.plnk", Some(Whiteout::Ignored)),
            ("a/x.wh.b", None),
            ("./", None),
        ] {
            let tar = member(b'0', name.as_bytes(), b"", |_| {});
            assert_eq!(headers(&tar).unwrap()[0].whiteout().unwrap(), want, "{name}");
        }
        for name in ["../.wh.b", "a/.wh.", "a/.wh..", "a/.wh..."] {
            let tar = member(b'0', name.as_bytes(), b"", |_| {});
            assert!(headers(&tar).unwrap()[0].whiteout().is_err(), "{name}");
        }
    }
}
