//! Tar headers as bytes: POSIX ustar, with a pax extended header in front where ustar cannot say it.
//!
//! pax is used for names that are not ASCII or fit neither `name` nor `prefix`, for link targets likewise, for
//! numbers that overflow their octal field (POSIX.1-2017, pax, "ustar Interchange Format"), for times before 1970, and for
//! extended attributes, as star, Go's archive/tar and so every container tool spell them.

use jettison_tree::{Device, Xattrs};

/// Bytes of a tar block.
pub(crate) const BLOCK: usize = 512;

/// Type flags (POSIX.1-2017 and GNU's additions).
pub(crate) mod flag {
    pub(crate) const FILE: u8 = b'0';
    pub(crate) const HARD_LINK: u8 = b'1';
    pub(crate) const SYMLINK: u8 = b'2';
    pub(crate) const CHARACTER_DEVICE: u8 = b'3';
    pub(crate) const BLOCK_DEVICE: u8 = b'4';
    pub(crate) const DIRECTORY: u8 = b'5';
    pub(crate) const FIFO: u8 = b'6';
    pub(crate) const CONTIGUOUS_FILE: u8 = b'7';
    pub(crate) const PAX: u8 = b'x';
    pub(crate) const PAX_GLOBAL: u8 = b'g';
    pub(crate) const GNU_LONG_NAME: u8 = b'L';
    pub(crate) const GNU_LONG_LINK: u8 = b'K';
    pub(crate) const GNU_SPARSE: u8 = b'S';
}

/// Where each field stands in a header block.
pub(crate) mod field {
    use std::ops::Range;

    pub(crate) const NAME: Range<usize> = 0..100;
    pub(crate) const MODE: Range<usize> = 100..108;
    pub(crate) const UID: Range<usize> = 108..116;
    pub(crate) const GID: Range<usize> = 116..124;
    pub(crate) const SIZE: Range<usize> = 124..136;
    pub(crate) const MTIME: Range<usize> = 136..148;
    pub(crate) const CHECKSUM: Range<usize> = 148..156;
    pub(crate) const TYPE: usize = 156;
    pub(crate) const LINK: Range<usize> = 157..257;
    pub(crate) const MAGIC: Range<usize> = 257..265;
    pub(crate) const DEVICE_MAJOR: Range<usize> = 329..337;
    pub(crate) const DEVICE_MINOR: Range<usize> = 337..345;
    pub(crate) const PREFIX: Range<usize> = 345..500;
}

/// What is written before the bytes of one member.
pub(crate) struct Header<'a> {
    /// As it stands in the archive: a directory ends in `/`.
    pub(crate) name: &'a [u8],
    pub(crate) flag: u8,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
    pub(crate) link: &'a [u8],
    pub(crate) device: Device,
    pub(crate) xattrs: &'a Xattrs,
}

/// What stands before the name of an extended attribute in the key of its pax record.
pub(crate) const PAX_XATTR: &str = "SCHILY.xattr.";
static NO_XATTRS: Xattrs = Xattrs::new();

impl<'a> Header<'a> {
    /// A header of root's with every number 0.
    pub(crate) const fn new(name: &'a [u8], flag: u8) -> Self {
        let (device, xattrs) = (Device { major: 0, minor: 0 }, &NO_XATTRS);
        Self { name, flag, mode: 0, uid: 0, gid: 0, size: 0, mtime: 0, link: b"", device, xattrs }
    }

    /// Appends the header, a pax header before it where it takes one. Changing this changes every layer digest.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut pax = Vec::new();
        let mut block = [0; BLOCK];
        match split_name(self.name) {
            Some((prefix, name)) => {
                text(&mut block[field::NAME], name);
                text(&mut block[field::PREFIX], prefix);
            }
            None => {
                record(&mut pax, b"path", self.name);
                text(&mut block[field::NAME], &ascii(self.name, field::NAME.len()));
            }
        }
        if self.link.is_ascii() && self.link.len() <= field::LINK.len() {
            text(&mut block[field::LINK], self.link);
        } else {
            record(&mut pax, b"linkpath", self.link);
            text(&mut block[field::LINK], &ascii(self.link, field::LINK.len()));
        }
        octal(&mut block[field::MODE], u64::from(self.mode & 0o7777));
        for (at, value, key) in [
            (field::UID, i128::from(self.uid), "uid"),
            (field::GID, i128::from(self.gid), "gid"),
            (field::SIZE, i128::from(self.size), "size"),
            (field::MTIME, i128::from(self.mtime), "mtime"),
            // The names are star's: POSIX has none, and hardly any device has such numbers.
            (field::DEVICE_MAJOR, i128::from(self.device.major), "SCHILY.devmajor"),
            (field::DEVICE_MINOR, i128::from(self.device.minor), "SCHILY.devminor"),
        ] {
            if !u64::try_from(value).is_ok_and(|value| octal(&mut block[at.clone()], value)) {
                record(&mut pax, key.as_bytes(), value.to_string().as_bytes());
                octal(&mut block[at], 0);
            }
        }
        for (name, value) in self.xattrs.iter() {
            record(&mut pax, &[PAX_XATTR.as_bytes(), name].concat(), value);
        }
        block[field::TYPE] = self.flag;
        seal(&mut block);
        if !pax.is_empty() {
            let name = [b"PaxHeaders.0/", ascii(last_component(self.name), 80).as_slice()].concat();
            let (size, mtime) = (pax.len() as u64, self.mtime);
            let header = Header { mode: 0o644, size, mtime, ..Header::new(&name, flag::PAX) };
            header.encode_extension(out);
            out.extend_from_slice(&pax);
            out.resize(out.len() + padding(pax.len() as u64) as usize, 0);
        }
        out.extend_from_slice(&block);
    }

    /// The header of a pax record itself: its name is short and ASCII, and its time must not need another one.
    fn encode_extension(&self, out: &mut Vec<u8>) {
        let mut block = [0; BLOCK];
        text(&mut block[field::NAME], self.name);
        for (at, value) in [
            (field::MODE, u64::from(self.mode)),
            (field::UID, 0),
            (field::GID, 0),
            (field::SIZE, self.size),
            (field::DEVICE_MAJOR, 0),
            (field::DEVICE_MINOR, 0),
        ] {
            octal(&mut block[at], value);
        }
        if !u64::try_from(self.mtime).is_ok_and(|mtime| octal(&mut block[field::MTIME], mtime)) {
            octal(&mut block[field::MTIME], 0);
        }
        block[field::TYPE] = self.flag;
        seal(&mut block);
        out.extend_from_slice(&block);
    }
}

/// Bytes of zeros after `len` bytes of content.
pub(crate) fn padding(len: u64) -> u64 {
    len.next_multiple_of(BLOCK as u64) - len
}

/// `prefix` and `name` of a ustar header; `None` where the name does not fit them.
fn split_name(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= field::NAME.len() {
        return Some((b"", path));
    }
    // The first slash that leaves a name short enough; the trailing slash of a directory is none.
    let from = path.len() - field::NAME.len() - 1;
    let slash = from + path[from..path.len() - 1].iter().position(|&byte| byte == b'/')?;
    (slash > 0 && slash <= field::PREFIX.len()).then(|| (&path[..slash], &path[slash + 1..]))
}

fn last_component(path: &[u8]) -> &[u8] {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

fn ascii(text: &[u8], limit: usize) -> Vec<u8> {
    text.iter().map(|&byte| if byte.is_ascii() { byte } else { b'_' }).take(limit).collect()
}

fn text(field: &mut [u8], text: &[u8]) {
    field[..text.len()].copy_from_slice(text);
}

/// Writes octal digits and a NUL; `false`, and nothing written, where they do not fit.
fn octal(field: &mut [u8], value: u64) -> bool {
    let digits = field.len() - 1;
    if value >> (3 * digits) != 0 {
        return false;
    }
    for (at, digit) in field[..digits].iter_mut().enumerate() {
        *digit = b'0' + (value >> (3 * (digits - 1 - at)) & 7) as u8;
    }
    true
}

/// Sets the magic and, last, the checksum.
fn seal(block: &mut [u8; BLOCK]) {
    text(&mut block[field::MAGIC], b"ustar\x0000");
    let sum = checksum(block);
    octal(&mut block[field::CHECKSUM.start..field::CHECKSUM.end - 1], sum);
    block[field::CHECKSUM.end - 1] = b' ';
}

/// The sum of a header's bytes with its checksum field as spaces.
pub(crate) fn checksum(block: &[u8; BLOCK]) -> u64 {
    let value = |(at, &byte): (usize, &u8)| if field::CHECKSUM.contains(&at) { 32 } else { u64::from(byte) };
    block.iter().enumerate().map(value).sum()
}

/// A pax record: its own length in decimal, a space, `key=value`, a newline.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(format!("{len} ").as_bytes());
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        for n in 1..1100 {
            let mut out = Vec::new();
            record(&mut out, b"k", &vec![b'v'; n]);
            assert!(out.starts_with(format!("{} k=", out.len()).as_bytes()), "{n}");
        }
    }

    #[test]
    fn numbers_that_ustar_cannot_say_read_back() {
        let (size, mtime, ids) = (9 << 30, -(1 << 40), u32::MAX);
        let header = Header { size, mtime, uid: ids, gid: ids, ..Header::new(b"f", flag::FILE) };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        let mut reader = crate::layer::TarReader::new(&bytes[..]);
        let read = reader.next_entry().unwrap().unwrap().header().clone();
        assert_eq!((read.size, read.mtime, read.uid, read.gid), (size, mtime, ids.into(), ids.into()));
    }

    #[test]
    fn long_names_go_to_the_prefix_and_longer_ones_to_pax() {
        let path = |lens: &[usize]| lens.iter().map(|&n| "d".repeat(n)).collect::<Vec<_>>().join("/").into_bytes();
        for (lens, fits) in [
            (&[100][..], true),
            (&[101], false),
            (&[155, 100], true),
            (&[156, 100], false),
            (&[155, 101], false),
            (&[60, 60, 60, 30], true),
            (&[60, 60, 60, 60], false),
        ] {
            let path = path(lens);
            let split = split_name(&path);
            assert_eq!(split.is_some(), fits, "{lens:?}");
            if let Some((prefix, name)) = split.filter(|(prefix, _)| !prefix.is_empty()) {
                assert_eq!([prefix, b"/", name].concat(), path);
            }
        }
        let directory = [path(&[120]), b"/".to_vec()].concat();
        assert_eq!(split_name(&directory), None);
    }
}
