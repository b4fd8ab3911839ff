//! `Contents`: which package ships which path (<https://wiki.debian.org/DebianRepository/Format#A.22Contents.22_indices>).
//!
//! That of Debian's main has two million lines. Nobody wants them in memory, so that there are two ways through them, each one pass:
//! [`SonameIndexBuilder`] distils what a missing shared library needs, to be kept; [`find_paths`] looks for the few paths that a
//! failed build has named.

mod paths;
mod soname;

use std::io::{self, Read};

use memchr::{memchr, memrchr};

pub use self::paths::{Hit, PathPattern, find_paths};
pub use self::soname::{SonameError, SonameIndex, SonameIndexBuilder};

/// A line longer than this is not one of a `Contents` file.
const LINE_LIMIT: usize = 1 << 20;

/// Calls back with each line, without its newline. A stream that ends in mid-line ends with that line.
fn for_each_line(mut reader: impl Read, mut line: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            if filled >= LINE_LIMIT {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "Contents has a line longer than any can be"));
            }
            buffer.resize(filled * 2, 0);
        }
        let read = match reader.read(&mut buffer[filled..]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        filled += read;
        let mut start = 0;
        while let Some(end) = memchr(b'\n', &buffer[start..filled]) {
            line(&buffer[start..start + end]);
            start += end + 1;
        }
        if read == 0 {
            if start < filled {
                line(&buffer[start..filled]);
            }
            return Ok(());
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
}

/// A path, which may hold blanks, and the column behind it: `section/package,section/package`.
fn split_line(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line.trim_ascii_end()).ok()?;
    let blank = memrchr(b' ', line.as_bytes()).max(memrchr(b'\t', line.as_bytes()))?;
    Some((line[..blank].trim_end(), &line[blank + 1..]))
}

/// Sections and names in a column. The section comes without its area.
fn locations(column: &str) -> impl Iterator<Item = (&str, &str)> {
    column.split(',').map(|location| {
        let (section, package) = location.rsplit_once('/').unwrap_or(("", location));
        (section.rsplit('/').next().unwrap_or_default(), package)
    })
}
