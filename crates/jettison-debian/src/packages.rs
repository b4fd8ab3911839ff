//! `Packages`: what an archive has, one paragraph a package.
//!
//! All of Debian's main is 57 MB of text, and most of it is for people. A [`PackageIndex`] keeps what a dependency solver and a
//! downloader need: one text with the values end to end, and a row of fixed size for each package. That is also its form on disk
//! ([`PackageIndex::write`]), so that reading it back costs a copy and a check.

use std::io::{self, BufRead, Read, Write};

use jettison_tree::{Digest, TreePath};

use crate::control::{ControlError, Fields, ParagraphReader, ReadError, Why};

/// More than Debian's main has in all its architectures together.
const PACKAGE_LIMIT: usize = 1 << 20;
const TEXT_LIMIT: usize = 1 << 30;
/// Changing the rows or the order of [`Field`] needs another one.
const MAGIC: &[u8; 8] = b"jetpkgs1";

/// The packages of one index.
#[derive(Debug, Clone, Default)]
pub struct PackageIndex {
    text: String,
    rows: Vec<Row>,
}

/// The values that are kept as text.
#[derive(Clone, Copy)]
enum Field {
    Name,
    Version,
    Architecture,
    Source,
    Section,
    Priority,
    MultiArch,
    Filename,
    PreDepends,
    Depends,
    Provides,
    Conflicts,
    Breaks,
}

const FIELDS: [(&str, Field); 13] = [
    ("Package", Field::Name),
    ("Version", Field::Version),
    ("Architecture", Field::Architecture),
    ("Source", Field::Source),
    ("Section", Field::Section),
    ("Priority", Field::Priority),
    ("Multi-Arch", Field::MultiArch),
    ("Filename", Field::Filename),
    ("Pre-Depends", Field::PreDepends),
    ("Depends", Field::Depends),
    ("Provides", Field::Provides),
    ("Conflicts", Field::Conflicts),
    ("Breaks", Field::Breaks),
];

/// Most of the text, skipped without another look.
const UNUSED: [&str; 6] = ["Description", "Description-md5", "Maintainer", "Homepage", "MD5sum", "Tag"];

/// The value of field `i` is `text[ends[i - 1]..ends[i]]`, with `start` before the first.
#[derive(Debug, Clone)]
struct Row {
    start: u32,
    ends: [u32; FIELDS.len()],
    essential: u32,
    installed_kib: u32,
    size: u64,
    sha256: [u8; 32],
}

/// Bytes of a [`Row`] on disk.
const ROW_LEN: usize = 4 * (FIELDS.len() + 3) + 8 + 32;

impl PackageIndex {
    /// Parses a decompressed `Packages` index. A paragraph without what is needed to fetch and to order it is an error with
    /// its line.
    pub fn parse(reader: impl BufRead) -> Result<Self, PackagesError> {
        let mut reader = ParagraphReader::new(reader);
        let mut index = Self::default();
        while let Some((paragraph, line)) = reader.next_raw()? {
            index.push(paragraph, line)?;
            if index.rows.len() > PACKAGE_LIMIT || index.text.len() > TEXT_LIMIT {
                return Err(PackagesError::TooLarge);
            }
        }
        index.text.shrink_to_fit();
        index.rows.shrink_to_fit();
        Ok(index)
    }

    fn push(&mut self, paragraph: &str, line: usize) -> Result<(), ControlError> {
        let mut values = [""; FIELDS.len()];
        let (mut size, mut sha256, mut installed, mut essential) = (None, None, "", false);
        for field in Fields::new(paragraph, line) {
            let (name, value) = field?;
            if UNUSED.contains(&name) {
                continue;
            }
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if let Some((_, field)) = FIELDS.iter().find(|(known, _)| is(known)) {
                values[*field as usize] = value;
            } else if is("Size") {
                size = Some(value);
            } else if is("SHA256") {
                sha256 = Some(value);
            } else if is("Installed-Size") {
                installed = value;
            } else if is("Essential") {
                essential = value.eq_ignore_ascii_case("yes");
            }
        }
        let error = |why| ControlError { line, why };
        let bad = |field, value: &str, expected| error(Why::Value { field, value: value.to_owned(), expected });
        let size = size.ok_or_else(|| error(Why::Missing("Size")))?;
        let sha256 = sha256.ok_or_else(|| error(Why::Missing("SHA256")))?;
        for field in [Field::Name, Field::Version, Field::Architecture, Field::Filename] {
            if values[field as usize].is_empty() {
                return Err(error(Why::Missing(FIELDS[field as usize].0)));
            }
        }
        let filename = values[Field::Filename as usize];
        TreePath::parse(filename).map_err(|_| bad("Filename", filename, "a path inside of the archive"))?;
        let row = Row {
            start: self.text.len() as u32,
            ends: values.map(|value| {
                self.text.push_str(value);
                self.text.len() as u32
            }),
            essential: u32::from(essential),
            installed_kib: installed.parse().unwrap_or(0),
            size: size.parse().map_err(|_| bad("Size", size, "a number of bytes"))?,
            sha256: *Digest::from_hex(sha256).map_err(|_| bad("SHA256", sha256, "a SHA-256 hash"))?.as_bytes(),
        };
        self.rows.push(row);
        Ok(())
    }

    /// The number of packages.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no package in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The packages in the order of the index.
    pub fn packages(&self) -> impl ExactSizeIterator<Item = Package<'_>> {
        self.rows.iter().map(|row| Package { text: &self.text, row })
    }

    /// The package at a place, below [`len`](Self::len).
    pub(crate) fn at(&self, place: usize) -> Package<'_> {
        Package { text: &self.text, row: &self.rows[place] }
    }

    /// Writes the index so that [`read`](Self::read) has it back quickly. The same packages give the same bytes.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        out.write_all(MAGIC)?;
        out.write_all(&(self.rows.len() as u64).to_le_bytes())?;
        out.write_all(&(self.text.len() as u64).to_le_bytes())?;
        let mut bytes = Vec::with_capacity(ROW_LEN * 1024);
        for rows in self.rows.chunks(1024) {
            bytes.clear();
            for row in rows {
                let numbers = [row.start].into_iter().chain(row.ends).chain([row.essential, row.installed_kib]);
                numbers.for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
                bytes.extend_from_slice(&row.size.to_le_bytes());
                bytes.extend_from_slice(&row.sha256);
            }
            out.write_all(&bytes)?;
        }
        out.write_all(self.text.as_bytes())
    }

    /// Reads what [`write`](Self::write) wrote. Anything else is an error, never a wrong index.
    pub fn read(mut reader: impl Read) -> Result<Self, PackagesError> {
        let mut head = [0; 24];
        reader.read_exact(&mut head)?;
        let (magic, counts) = head.split_at(8);
        let (rows, text) = counts.split_at(8);
        let (rows, text) = (little_endian(rows) as usize, little_endian(text) as usize);
        if magic != MAGIC || rows > PACKAGE_LIMIT || text > TEXT_LIMIT {
            return Err(PackagesError::NotAnIndex);
        }
        let mut bytes = vec![0; rows * ROW_LEN];
        reader.read_exact(&mut bytes)?;
        let mut text_bytes = Vec::with_capacity(text);
        reader.take(text as u64 + 1).read_to_end(&mut text_bytes)?;
        let text =
            String::from_utf8(text_bytes).ok().filter(|read| read.len() == text).ok_or(PackagesError::NotAnIndex)?;
        let rows: Vec<_> = bytes.chunks_exact(ROW_LEN).map(Row::from_bytes).collect();
        let sound = |row: &Row| {
            let mut at = row.start;
            row.ends.iter().all(|&end| std::mem::replace(&mut at, end) <= end && text.is_char_boundary(end as usize))
                && text.is_char_boundary(row.start as usize)
        };
        if rows.iter().all(sound) { Ok(Self { text, rows }) } else { Err(PackagesError::NotAnIndex) }
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

impl Row {
    /// From [`ROW_LEN`] bytes.
    fn from_bytes(bytes: &[u8]) -> Self {
        let number = |i: usize| little_endian(&bytes[4 * i..4 * i + 4]) as u32;
        let rest = &bytes[4 * (FIELDS.len() + 3)..];
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(&rest[8..]);
        Self {
            start: number(0),
            ends: std::array::from_fn(|i| number(i + 1)),
            essential: number(FIELDS.len() + 1),
            installed_kib: number(FIELDS.len() + 2),
            size: little_endian(&rest[..8]),
            sha256,
        }
    }
}

/// One package of an index, where it lies.
#[derive(Clone, Copy)]
pub struct Package<'a> {
    text: &'a str,
    row: &'a Row,
}

impl<'a> Package<'a> {
    fn value(self, field: Field) -> &'a str {
        let i = field as usize;
        let start = if i == 0 { self.row.start } else { self.row.ends[i - 1] };
        &self.text[start as usize..self.row.ends[i] as usize]
    }

    /// `Package`.
    pub fn name(self) -> &'a str {
        self.value(Field::Name)
    }

    /// `Version`, to be compared with [`version::compare`](crate::version::compare).
    pub fn version(self) -> &'a str {
        self.value(Field::Version)
    }

    /// `Architecture`: a name, or `all`.
    pub fn architecture(self) -> &'a str {
        self.value(Field::Architecture)
    }

    /// The name and version of the source package, which are the package's own where nothing else is said.
    pub fn source(self) -> (&'a str, &'a str) {
        match self.value(Field::Source) {
            "" => (self.name(), self.version()),
            source => match source.split_once(" (") {
                Some((name, version)) => (name, version.trim_end_matches(')')),
                None => (source, self.version()),
            },
        }
    }

    /// `Section`, such as `libs`.
    pub fn section(self) -> &'a str {
        self.value(Field::Section)
    }

    /// `Priority`, such as `optional`.
    pub fn priority(self) -> &'a str {
        self.value(Field::Priority)
    }

    /// `Multi-Arch`.
    pub fn multi_arch(self) -> MultiArch {
        match self.value(Field::MultiArch) {
            "same" => MultiArch::Same,
            "foreign" => MultiArch::Foreign,
            "allowed" => MultiArch::Allowed,
            _ => MultiArch::No,
        }
    }

    /// `Filename`: the path of the `.deb` below the archive's root.
    pub fn filename(self) -> &'a str {
        self.value(Field::Filename)
    }

    /// `Pre-Depends`, to be parsed with [`relation::parse`](crate::relation::parse).
    pub fn pre_depends(self) -> &'a str {
        self.value(Field::PreDepends)
    }

    /// `Depends`.
    pub fn depends(self) -> &'a str {
        self.value(Field::Depends)
    }

    /// `Provides`.
    pub fn provides(self) -> &'a str {
        self.value(Field::Provides)
    }

    /// `Conflicts`.
    pub fn conflicts(self) -> &'a str {
        self.value(Field::Conflicts)
    }

    /// `Breaks`.
    pub fn breaks(self) -> &'a str {
        self.value(Field::Breaks)
    }

    /// Whether every Debian system is thought to have it.
    pub fn essential(self) -> bool {
        self.row.essential != 0
    }

    /// Bytes of the `.deb`.
    pub fn size(self) -> u64 {
        self.row.size
    }

    /// SHA-256 of the `.deb`.
    pub fn sha256(self) -> Digest {
        Digest::from_bytes(self.row.sha256)
    }

    /// `Installed-Size` in KiB, an estimate; 0 where it is not said.
    pub fn installed_kib(self) -> u32 {
        self.row.installed_kib
    }
}

impl std::fmt::Debug for Package<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.name(), self.version(), self.architecture())
    }
}

/// How packages of several architectures go together (Policy 7.1, deb-control(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultiArch {
    /// They do not.
    No,
    /// Several can be installed side by side.
    Same,
    /// It serves packages of any architecture.
    Foreign,
    /// It serves those of any architecture that ask for `:any`.
    Allowed,
}

/// A stream that is not a `Packages` index.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The stream failed, or its compression is broken.
    #[error("Packages: {0}")]
    Io(#[from] io::Error),
    /// A paragraph is not what it should be.
    #[error("Packages, {0}")]
    Control(#[from] ControlError),
    /// It is too large to be one.
    #[error("Packages holds more than {PACKAGE_LIMIT} packages, or more than {TEXT_LIMIT} bytes of them")]
    TooLarge,
    /// A kept index is not what [`PackageIndex::write`] wrote.
    #[error("the kept package index is broken, or of another version")]
    NotAnIndex,
}

impl PackagesError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io(_) => {
                "the download was cut short or changed on its way: fetch the index again, from another mirror if need be"
            }
            Self::Control(_) | Self::TooLarge => "the archive is made so: tell who runs it",
            Self::NotAnIndex => "remove it: it is made anew from the archive",
        };
        Some(hint.to_owned())
    }
}

impl From<ReadError> for PackagesError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::Control(error) => Self::Control(error),
        }
    }
}

#[cfg(test)]
mod tests;
