//! The archive around the members of a `.deb` (deb(5)): the common `ar` format, short names only.

use std::io::{self, Read, Seek};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER_LEN: usize = 60;

/// Reads the members of an archive one after the other.
pub(super) struct ArReader<R> {
    inner: R,
    /// Bytes read so far.
    at: u64,
    member: Member,
    /// Bytes of the member that have not been read, and of its padding.
    left: u64,
    padding: u64,
}

/// A member's header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) size: u64,
}

impl<R: Read> ArReader<R> {
    /// Checks the magic of an archive; `None` if it is not one.
    pub(super) fn new(mut inner: R) -> io::Result<Option<Self>> {
        let mut magic = [0; MAGIC.len()];
        let read = fill(&mut inner, &mut magic)?;
        let reader = Self { inner, at: read as u64, member: Member::default(), left: 0, padding: 0 };
        Ok((magic == *MAGIC).then_some(reader))
    }

    /// Skips what is left of a member and reads the header of the next; `None` at the end of the archive.
    pub(super) fn next_member(&mut self) -> io::Result<Option<Member>> {
        io::copy(&mut self.content(), &mut io::sink())?;
        let skip = self.padding;
        // The last member may do without its padding.
        self.at += io::copy(&mut (&mut self.inner).take(skip), &mut io::sink())?;
        let start = self.at;
        let mut header = [0; HEADER_LEN];
        let read = fill(&mut self.inner, &mut header)?;
        self.at += read as u64;
        if read == 0 {
            return Ok(None);
        }
        if read < HEADER_LEN {
            let cut = CutShort { member: "a member's header".to_owned(), at: self.at, need: start + HEADER_LEN as u64 };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut));
        }
        let text = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).ok().map(str::trim_end);
        let size = text(48..58).and_then(|size| size.parse().ok());
        let (Some(name), Some(size), true) = (text(0..16), size, header.ends_with(b"`\n")) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("at byte {start} there is no member's header"),
            ));
        };
        self.member = Member { name: name.strip_suffix('/').unwrap_or(name).escape_debug().to_string(), size };
        (self.left, self.padding) = (size, size % 2);
        Ok(Some(self.member.clone()))
    }

    /// Reads the present member. The end of the file before the end of the member is a [`CutShort`].
    pub(super) fn content(&mut self) -> impl Read {
        MemberReader(self)
    }
}

impl<R: Read + Seek> ArReader<R> {
    /// The archive, and where in it what is left of the present member lies: its first byte and its length.
    pub(super) fn place(&mut self) -> (&mut R, u64, u64) {
        (&mut self.inner, self.at, self.left)
    }

    /// Goes back to where the archive was when it was read last.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        self.inner.seek(io::SeekFrom::Start(self.at)).map(drop)
    }
}

struct MemberReader<'a, R>(&'a mut ArReader<R>);

impl<R: Read> Read for MemberReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ar = &mut *self.0;
        let want = buffer.len().min(usize::try_from(ar.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let read = ar.inner.read(&mut buffer[..want])?;
        if read == 0 {
            let cut = CutShort { member: ar.member.name.clone(), at: ar.at, need: ar.at + ar.left };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut));
        }
        ar.at += read as u64;
        ar.left -= read as u64;
        Ok(read)
    }
}

/// Reads until the buffer is full or the reader ends.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The file ends inside of a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file ends at byte {at}, inside of {member}, which goes to byte {need}")]
pub(super) struct CutShort {
    pub(super) member: String,
    pub(super) at: u64,
    pub(super) need: u64,
}
