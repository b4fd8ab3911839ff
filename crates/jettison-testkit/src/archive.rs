//! Writers of zip, tar and ar archives that refuse nothing: names that climb, devices, duplicates, wrong checksums.
//!
//! What reads archives must be tested with those that honest writers decline to make, so these lay the bytes themselves.

use std::io::Write as _;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// The suffix of a file's name, with its dot; empty for none.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// The compressed bytes, the same each time.
    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::None => bytes.to_vec(),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all")
            }
            Self::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all")
            }
            Self::Zstd => zstd::encode_all(bytes, 3).expect("memory takes all"),
        }
    }
}

/// A member of a zip archive (PKWARE's APPNOTE.TXT).
#[derive(Debug, Clone)]
pub struct ZipMember {
    /// The name, as it is written.
    pub name: String,
    /// The content before compression.
    pub bytes: Vec<u8>,
    /// `st_mode` with its type bits, as Unix writers put it in the external attributes; 0 for none.
    pub mode: u32,
    /// Whether to deflate it, or else to store it.
    pub deflate: bool,
    /// The general purpose flags; bit 0 says that it is encrypted.
    pub flags: u16,
    /// What to claim as the size of the content, when it is not its length.
    pub claimed_size: Option<u32>,
    /// What to claim as the checksum, when it is not the right one.
    pub claimed_crc: Option<u32>,
}

impl ZipMember {
    /// A deflated file `0644`.
    pub fn file(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let (name, bytes) = (name.into(), bytes.into());
        Self { name, bytes, mode: 0o100_644, deflate: true, flags: 0, claimed_size: None, claimed_crc: None }
    }
}

/// The bytes of a zip archive with these members in this order.
pub fn zip(members: &[ZipMember]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for member in members {
        let data = if member.deflate { deflate(&member.bytes) } else { member.bytes.clone() };
        let mut crc = flate2::Crc::new();
        crc.update(&member.bytes);
        let offset = out.len() as u32;
        let mut common = Vec::new();
        for half in [20, member.flags | 0x800, if member.deflate { 8 } else { 0 }, 0, 0x21] {
            common.extend(u16::to_le_bytes(half));
        }
        let size = member.claimed_size.unwrap_or(member.bytes.len() as u32);
        for word in [member.claimed_crc.unwrap_or(crc.sum()), data.len() as u32, size] {
            common.extend(word.to_le_bytes());
        }
        common.extend((member.name.len() as u16).to_le_bytes());
        common.extend(0_u16.to_le_bytes());

        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(member.name.as_bytes());
        out.extend(data);

        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((member.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(member.name.as_bytes());
    }
    let (at, count) = (out.len() as u32, (members.len() as u16).to_le_bytes());
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    out
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all")
}

/// A member of a tar archive.
#[derive(Debug, Clone)]
pub struct TarMember {
    /// The name, as it is written.
    pub name: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u64, u64),
    /// What it is.
    pub kind: TarKind,
}

/// What a [`TarMember`] is.
#[derive(Debug, Clone)]
pub enum TarKind {
    /// A directory.
    Directory,
    /// A file with its content.
    File(Vec<u8>),
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A hard link with the name of the other member.
    HardLink(Vec<u8>),
    /// A character device with major and minor number.
    Device(u32, u32),
}

impl TarMember {
    /// A directory `0755`.
    pub fn directory(name: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), mode: 0o755, owner: (0, 0), kind: TarKind::Directory }
    }

    /// A file `0644`.
    pub fn file(name: impl Into<Vec<u8>>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), mode: 0o644, owner: (0, 0), kind: TarKind::File(bytes.into()) }
    }

    /// A symbolic link.
    pub fn symlink(name: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), mode: 0o777, owner: (0, 0), kind: TarKind::Symlink(target.into()) }
    }

    /// A hard link.
    pub fn hard_link(name: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), mode: 0o644, owner: (0, 0), kind: TarKind::HardLink(target.into()) }
    }

    /// The device that `/dev/null` is.
    pub fn device(name: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), mode: 0o666, owner: (0, 0), kind: TarKind::Device(1, 3) }
    }

    /// With other permission bits.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}

/// The bytes of a GNU tar archive with these members in this order, all of them from the year 2000.
pub fn tar(members: &[TarMember]) -> Vec<u8> {
    let mut out = Vec::new();
    for member in members {
        let empty = Vec::new();
        let (entry_type, link, bytes) = match &member.kind {
            TarKind::Directory => (tar::EntryType::Directory, &empty, &empty),
            TarKind::File(bytes) => (tar::EntryType::Regular, &empty, bytes),
            TarKind::Symlink(target) => (tar::EntryType::Symlink, target, &empty),
            TarKind::HardLink(target) => (tar::EntryType::Link, target, &empty),
            TarKind::Device(..) => (tar::EntryType::Char, &empty, &empty),
        };
        // A name or target that does not fit goes before its member, as a member of its own.
        for (long, kind) in [(link, tar::EntryType::GNULongLink), (&member.name, tar::EntryType::GNULongName)] {
            if long.len() > 100 {
                let long = [long.as_slice(), b"\0"].concat();
                push_member(&mut out, &mut tar::Header::new_gnu(), kind, b"././@LongLink", &[], &long);
            }
        }
        let mut header = tar::Header::new_gnu();
        header.set_mode(member.mode);
        header.set_uid(member.owner.0);
        header.set_gid(member.owner.1);
        if let TarKind::Device(major, minor) = member.kind {
            header.set_device_major(major).and_then(|()| header.set_device_minor(minor)).expect("a GNU header");
        }
        push_member(&mut out, &mut header, entry_type, &member.name, link, bytes);
    }
    out.extend([0; 1024]);
    out
}

fn push_member(
    out: &mut Vec<u8>,
    header: &mut tar::Header,
    kind: tar::EntryType,
    name: &[u8],
    link: &[u8],
    bytes: &[u8],
) {
    let old = header.as_old_mut();
    let fit = |field: &mut [u8; 100], value: &[u8]| {
        let len = value.len().min(100);
        field[..len].copy_from_slice(&value[..len]);
    };
    fit(&mut old.name, name);
    fit(&mut old.linkname, link);
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mtime(946_684_800);
    header.set_cksum();
    out.extend(header.as_bytes());
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
}

/// The bytes of an ar archive as dpkg writes it (deb(5)).
pub fn ar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        out.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 946_684_800, 0, 0, 100_644, bytes.len()).bytes(),
        );
        out.extend(bytes);
        if bytes.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn tar_archives_say_what_was_put_in() {
        let long = format!("{}/file", "d".repeat(120));
        let bytes = tar(&[
            TarMember::directory("a/"),
            TarMember::file("a/b", "text").mode(0o755),
            TarMember::file(long.as_str(), "far"),
            TarMember::symlink("a/c", "b"),
            TarMember::hard_link("a/d", "a/b"),
            TarMember::device("a/null"),
            TarMember::file("../climbs", ""),
        ]);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            (name, entry.header().entry_type().as_byte(), entry.header().mode().unwrap(), text)
        });
        let row = |name: &str, kind: u8, mode: u32, text: &str| (name.to_owned(), kind, mode, text.to_owned());
        let expected = [
            row("a/", b'5', 0o755, ""),
            row("a/b", b'0', 0o755, "text"),
            row(&long, b'0', 0o644, "far"),
            row("a/c", b'2', 0o777, ""),
            row("a/d", b'1', 0o644, ""),
            row("a/null", b'3', 0o666, ""),
            row("../climbs", b'0', 0o644, ""),
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn zip_archives_say_what_was_put_in() {
        let stored = ZipMember { deflate: false, ..ZipMember::file("a/b.txt", "stored") };
        let bytes = zip(&[stored, ZipMember::file("c.py", "deflated".repeat(9)), ZipMember::file("../d", "")]);
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["a/b.txt", "c.py", "../d"]);
        let mut text = String::new();
        archive.by_name("c.py").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "deflated".repeat(9));
        assert_eq!(archive.by_name("a/b.txt").unwrap().unix_mode(), Some(0o100_644));
    }

    #[test]
    fn every_compression_is_what_it_says() {
        let read = |mut reader: Box<dyn Read>| {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            text
        };
        let bytes = |compression: Compression| std::io::Cursor::new(compression.compress(b"text"));
        assert_eq!(read(Box::new(bytes(Compression::None))), "text");
        assert_eq!(read(Box::new(flate2::read::GzDecoder::new(bytes(Compression::Gzip)))), "text");
        assert_eq!(read(Box::new(liblzma::read::XzDecoder::new(bytes(Compression::Xz)))), "text");
        assert_eq!(read(Box::new(zstd::Decoder::new(bytes(Compression::Zstd)).unwrap())), "text");
    }
}
