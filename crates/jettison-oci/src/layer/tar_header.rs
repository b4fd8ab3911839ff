//! What one member of a tar says about itself: the fields of its header block, and the pax records that override them.

use std::collections::BTreeMap;

use jettison_tree::{PathError, TreePath, Xattrs};

use super::ustar::{BLOCK, PAX_XATTR, field, flag};

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TarKind {
    /// A regular file.
    File,
    /// Another name for an earlier file.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device with major and minor number.
    CharacterDevice(u32, u32),
    /// A block device with major and minor number.
    BlockDevice(u32, u32),
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// Some other type flag.
    Other(u8),
}

/// What a tar says about one member, extensions applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarHeader {
    /// The name, byte for byte.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: TarKind,
    /// Permission, setuid, setgid and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Bytes of content; 0 for what is no file.
    pub size: u64,
    /// Seconds since 1970; fractions are dropped.
    pub mtime: i64,
    /// Where a link points.
    pub link: Vec<u8>,
    /// Extended attributes (`SCHILY.xattr.*`).
    pub xattrs: Xattrs,
}

/// A deletion in a lower layer (image-spec, layer.md, "Whiteouts").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whiteout {
    /// `.wh.name`: this path, and all below it, is gone.
    Path(TreePath),
    /// `.wh..wh..opq`: all in this directory is gone; `None` for the root.
    Opaque(Option<TreePath>),
    /// Another `.wh..wh.` name: AUFS' own records, which mean nothing here.
    Ignored,
}

impl TarHeader {
    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == TarKind::File
    }

    /// The name as a path of a tree; `None` for the root itself (`./`).
    pub fn path(&self) -> Result<Option<TreePath>, PathError> {
        if self.name.split(|&byte| byte == b'/').all(|component| component.is_empty() || component == b".") {
            return Ok(None);
        }
        TreePath::parse(&self.name).map(Some)
    }

    /// The deletion that it stands for, where it is one.
    pub fn whiteout(&self) -> Result<Option<Whiteout>, PathError> {
        let Some(path) = self.path()? else { return Ok(None) };
        let Some(name) = path.file_name().strip_prefix(b".wh.") else { return Ok(None) };
        let parent = path.parent();
        Ok(Some(match name {
            b".wh..opq" => Whiteout::Opaque(parent),
            _ if name.starts_with(b".wh.") => Whiteout::Ignored,
            _ => {
                // Alone first: joined, an empty name or `.` would be the directory itself.
                let name = TreePath::parse(name)?;
                Whiteout::Path(parent.map_or(Ok(name.clone()), |parent| parent.join(name.as_bytes()))?)
            }
        }))
    }
}

/// The header in a block, with `size` as read from it already and pax records by key. What is wrong with it is the error.
pub(super) fn parse_header<'a>(
    block: &[u8; BLOCK],
    size: u64,
    record: &dyn Fn(&str) -> Option<&'a Vec<u8>>,
) -> Result<TarHeader, &'static str> {
    let posix = block[field::MAGIC].starts_with(b"ustar\0");
    let numeric = |at: std::ops::Range<usize>, key, why| match record(key) {
        Some(text) => decimal(text).and_then(|n| u64::try_from(n).ok()).ok_or(why),
        None => number(&block[at]).ok_or(why),
    };
    let mut name = match record("path") {
        Some(name) => name.clone(),
        None => {
            let name = until_nul(&block[field::NAME]);
            match until_nul(&block[field::PREFIX]) {
                prefix if posix && !prefix.is_empty() => [prefix, b"/", name].concat(),
                _ => name.to_vec(),
            }
        }
    };
    let link = record("linkpath").map_or_else(|| until_nul(&block[field::LINK]).to_vec(), Clone::clone);
    let mtime = match record("mtime") {
        Some(text) => decimal(text).ok_or("its time is no number")?,
        // Old tars leave it blank; GNU's base-256 may be negative. Neither is a reason to refuse an image.
        None => number(&block[field::MTIME]).and_then(|n| i64::try_from(n).ok()).unwrap_or(0),
    };
    let device = |at, key| {
        let number = numeric(at, key, "its device has no number").ok();
        number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
    };
    let numbers = || (device(field::DEVICE_MAJOR, "SCHILY.devmajor"), device(field::DEVICE_MINOR, "SCHILY.devminor"));
    let kind = match block[field::TYPE] {
        0 | flag::FILE | flag::CONTIGUOUS_FILE if name.ends_with(b"/") => TarKind::Directory,
        0 | flag::FILE | flag::CONTIGUOUS_FILE | flag::GNU_SPARSE => TarKind::File,
        flag::HARD_LINK => TarKind::HardLink,
        flag::SYMLINK => TarKind::Symlink,
        flag::CHARACTER_DEVICE => TarKind::CharacterDevice(numbers().0, numbers().1),
        flag::BLOCK_DEVICE => TarKind::BlockDevice(numbers().0, numbers().1),
        flag::DIRECTORY => TarKind::Directory,
        flag::FIFO => TarKind::Fifo,
        other => TarKind::Other(other),
    };
    if kind == TarKind::Directory {
        while name.len() > 1 && name.ends_with(b"/") {
            name.pop();
        }
        name.push(b'/');
    }
    // Only files have content, whatever the size field of the others says.
    let size = match (kind, record("size")) {
        (TarKind::File | TarKind::Other(_), Some(text)) => {
            decimal(text).and_then(|n| u64::try_from(n).ok()).ok_or("its size is no number")?
        }
        (TarKind::File | TarKind::Other(_), None) => size,
        _ => 0,
    };
    if size > i64::MAX as u64 {
        return Err("its size is no number");
    }
    Ok(TarHeader {
        name,
        kind,
        mode: number(&block[field::MODE]).ok_or("its mode is no number")? as u32 & 0o7777,
        uid: numeric(field::UID, "uid", "its owner is no number")?,
        gid: numeric(field::GID, "gid", "its group is no number")?,
        size,
        mtime,
        link,
        xattrs: Xattrs::new(),
    })
}

/// An octal field, or GNU's big-endian base-256 where the first bit is set. Blank is 0.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    if field[0] == 0x80 {
        let (high, low) = field[1..].split_at(field.len() - 1 - 8.min(field.len() - 1));
        return high.iter().all(|&byte| byte == 0).then(|| low.iter().fold(0, |n, &byte| n << 8 | u64::from(byte)));
    }
    let text = until_nul(field).trim_ascii();
    if text.len() > 21 {
        return None;
    }
    text.iter().try_fold(0_u64, |n, &byte| {
        let digit = char::from(byte).to_digit(8)?;
        n.checked_mul(8)?.checked_add(digit.into())
    })
}

/// A pax number: decimal seconds or bytes; a fraction is dropped.
fn decimal(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.split('.').next()?.parse().ok()
}

/// The bytes of a text field.
pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Adds pax records; an empty value takes a record away again. `None` where they are malformed.
pub(super) fn pax_records(mut bytes: &[u8], records: &mut BTreeMap<Vec<u8>, Vec<u8>>) -> Option<()> {
    while !bytes.is_empty() {
        let space = bytes.iter().take(8).position(|&byte| byte == b' ')?;
        let len: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
        let record = bytes.get(space + 1..len)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&byte| byte == b'=')?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if let b"GNU.sparse.offset" | b"GNU.sparse.numbytes" = key {
            // The only keys that come again and again; later versions have one record for all of them.
            let map = records.entry(b"GNU.sparse.map".to_vec()).or_default();
            if !map.is_empty() {
                map.push(b',');
            }
            map.extend_from_slice(value);
        } else if value.is_empty() && !key.starts_with(PAX_XATTR.as_bytes()) {
            records.remove(key);
        } else {
            records.insert(key.to_vec(), value.to_vec());
        }
        bytes = &bytes[len..];
    }
    Some(())
}
