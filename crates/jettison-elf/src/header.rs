//! The headers of an ELF file: identification, segments and sections (System V gABI, chapters 4 and 5).
//!
//! [`Elf::parse`] reads them once, for either class and byte order, into plain numbers. Nothing is trusted: each table
//! and each string is checked against the file before it is read, and numbers are never added without a check.

use std::ops::Range;

use crate::abi::{Abi, ByteOrder, Class, Machine};

pub(crate) const MAGIC: &[u8; 4] = b"\x7fELF";

/// Segment types (`p_type`).
pub(crate) mod segment_type {
    pub(crate) const LOAD: u32 = 1;
    pub(crate) const DYNAMIC: u32 = 2;
    pub(crate) const INTERP: u32 = 3;
    pub(crate) const NOTE: u32 = 4;
}

/// Section types (`sh_type`).
pub(crate) mod section_type {
    pub(crate) const NULL: u32 = 0;
    pub(crate) const SYMTAB: u32 = 2;
    pub(crate) const STRTAB: u32 = 3;
    pub(crate) const RELA: u32 = 4;
    pub(crate) const NOBITS: u32 = 8;
    pub(crate) const REL: u32 = 9;
    pub(crate) const SYMTAB_SHNDX: u32 = 18;
}

/// Section flags (`sh_flags`).
pub(crate) mod section_flag {
    pub(crate) const WRITE: u64 = 1;
    pub(crate) const ALLOC: u64 = 2;
    pub(crate) const EXEC: u64 = 4;
    pub(crate) const INFO_LINK: u64 = 0x40;
}

/// The file says that it is ELF, and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Something lies outside of the file.
    #[error("not a whole ELF file: {what} would end at byte {end}, and the file has {len}")]
    Truncated {
        /// What lies there.
        what: &'static str,
        /// Where it would end; [`u64::MAX`] stands for everything beyond.
        end: u64,
        /// The length of the file.
        len: u64,
    },
    /// Something is there and makes no sense.
    #[error("not a sound ELF file: {what} at byte {offset} {why}")]
    Malformed {
        /// What lies there.
        what: &'static str,
        /// Where.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// What the file is for (`e_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An object file or kernel module, not linked yet (`ET_REL`).
    Relocatable,
    /// A program at a fixed address (`ET_EXEC`).
    Executable,
    /// A shared library, or a program that runs at any address (`ET_DYN`).
    Dynamic,
    /// A memory dump (`ET_CORE`).
    Core,
    /// Anything else.
    Other,
}

/// One row of the program header table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub vaddr: u64,
    pub paddr: u64,
    pub file_size: u64,
    pub mem_size: u64,
    pub align: u64,
}

/// One row of the section header table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    pub name: u32,
    pub kind: u32,
    pub flags: u64,
    pub addr: u64,
    pub offset: u64,
    pub size: u64,
    pub link: u32,
    pub info: u32,
    pub align: u64,
    pub entry_size: u64,
}

impl Section {
    pub(crate) fn is_alloc(&self) -> bool {
        self.flags & section_flag::ALLOC != 0
    }

    /// Whether it has bytes in the file.
    pub(crate) fn has_bytes(&self) -> bool {
        !matches!(self.kind, section_type::NOBITS | section_type::NULL) && self.size > 0
    }
}

/// How numbers are written in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoding {
    pub class: Class,
    pub order: ByteOrder,
}

impl Encoding {
    /// Bytes of the file header, of a row of the program header table, and of one of the section header table.
    pub(crate) fn sizes(self) -> (u64, u64, u64) {
        match self.class {
            Class::Elf32 => (52, 32, 40),
            Class::Elf64 => (64, 56, 64),
        }
    }

    /// Bytes of an address.
    pub(crate) fn word(self) -> usize {
        match self.class {
            Class::Elf32 => 4,
            Class::Elf64 => 8,
        }
    }

    /// Where `e_phoff`, `e_shoff` and `e_shnum` stand in the file header, and `p_offset` in a program header.
    pub(crate) fn places(self) -> Places {
        match self.class {
            Class::Elf32 => Places { phoff: 28, shoff: 32, shnum: 48, segment_offset: 4 },
            Class::Elf64 => Places { phoff: 32, shoff: 40, shnum: 60, segment_offset: 8 },
        }
    }

    /// Overwrites the number of `width` bytes at `at`.
    pub(crate) fn put(self, bytes: &mut [u8], at: usize, width: usize, value: u64) {
        let target = &mut bytes[at..at + width];
        match self.order {
            ByteOrder::Little => target.copy_from_slice(&value.to_le_bytes()[..width]),
            ByteOrder::Big => target.copy_from_slice(&value.to_be_bytes()[8 - width..]),
        }
    }

    /// Appends a number of `width` bytes.
    pub(crate) fn push(self, bytes: &mut Vec<u8>, width: usize, value: u64) {
        let at = bytes.len();
        bytes.resize(at + width, 0);
        self.put(bytes, at, width, value);
    }
}

pub(crate) struct Places {
    pub phoff: usize,
    pub shoff: usize,
    pub shnum: usize,
    pub segment_offset: usize,
}

/// Reads one number after the other.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    encoding: Encoding,
    rest: &'a [u8],
    at: u64,
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ElfError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(ElfError::Malformed {
            what: self.what,
            offset: self.at,
            why: "is cut off",
        })?;
        self.rest = rest;
        self.at += count as u64;
        Ok(head)
    }

    fn number(&mut self, width: usize) -> Result<u64, ElfError> {
        let order = self.encoding.order;
        let add = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
        let bytes = self.bytes(width)?;
        Ok(match order {
            ByteOrder::Little => bytes.iter().rev().fold(0, add),
            ByteOrder::Big => bytes.iter().fold(0, add),
        })
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ElfError> {
        self.number(2).map(|n| n as u16)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ElfError> {
        self.number(4).map(|n| n as u32)
    }

    /// A number as wide as an address.
    pub(crate) fn word(&mut self) -> Result<u64, ElfError> {
        self.number(self.encoding.word())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// An ELF file with its headers read.
pub(crate) struct Elf<'a> {
    pub bytes: &'a [u8],
    pub encoding: Encoding,
    pub machine: Machine,
    pub kind: Kind,
    /// Where the program header table starts.
    pub segments_at: u64,
    pub segments: Vec<Segment>,
    /// Where the section header table starts.
    pub sections_at: u64,
    pub sections: Vec<Section>,
    /// The index of the section with the names of sections; 0 where there is none.
    pub names: usize,
    /// Whether the counts overflowed the file header and stand in section 0.
    pub extended: bool,
}

impl<'a> Elf<'a> {
    /// Reads the headers. `None` where the magic number is another's.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, ElfError> {
        if !bytes.starts_with(MAGIC) {
            return Ok(None);
        }
        let truncated = ElfError::Truncated { what: "the file header", end: 52, len: bytes.len() as u64 };
        let ident = bytes.get(..16).ok_or(truncated)?;
        let unknown = |offset, why| ElfError::Malformed { what: "the identification", offset, why };
        let class = match ident[4] {
            1 => Class::Elf32,
            2 => Class::Elf64,
            _ => return Err(unknown(4, "names no known class")),
        };
        let order = match ident[5] {
            1 => ByteOrder::Little,
            2 => ByteOrder::Big,
            _ => return Err(unknown(5, "names no known byte order")),
        };
        if ident[6] != 1 {
            return Err(unknown(6, "names no known version of the format"));
        }
        let encoding = Encoding { class, order };
        let (header_size, segment_size, section_size) = encoding.sizes();
        let mut elf = Self {
            bytes,
            encoding,
            machine: Machine(0),
            kind: Kind::Other,
            segments_at: 0,
            segments: Vec::new(),
            sections_at: 0,
            sections: Vec::new(),
            names: 0,
            extended: false,
        };
        let mut header = elf.fields("the file header", 0, header_size)?;
        header.bytes(16)?;
        elf.kind = match header.u16()? {
            1 => Kind::Relocatable,
            2 => Kind::Executable,
            3 => Kind::Dynamic,
            4 => Kind::Core,
            _ => Kind::Other,
        };
        elf.machine = Machine(header.u16()?);
        let _version = header.u32()?;
        let _entry = header.word()?;
        elf.segments_at = header.word()?;
        elf.sections_at = header.word()?;
        let _flags = header.u32()?;
        let _header_size = header.u16()?;
        let segment_row = header.u16()?;
        let mut segment_count = u64::from(header.u16()?);
        let section_row = header.u16()?;
        let mut section_count = u64::from(header.u16()?);
        let mut names = u32::from(header.u16()?);

        if elf.sections_at != 0 {
            if u64::from(section_row) != section_size {
                return Err(elf.malformed("the section header table", elf.sections_at, "has rows of another size"));
            }
            // gABI, "Extended numbering": what does not fit stands in the otherwise unused section 0.
            if section_count == 0 || names == 0xffff || segment_count == 0xffff {
                elf.extended = true;
                let first =
                    elf.section(&mut elf.fields("the section header table", elf.sections_at, section_size)?)?;
                section_count = if section_count == 0 { first.size } else { section_count };
                names = if names == 0xffff { first.link } else { names };
                segment_count = if segment_count == 0xffff { u64::from(first.info) } else { segment_count };
            }
            let size = elf.table_size("the section header table", section_count, section_size)?;
            let mut rows = elf.fields("the section header table", elf.sections_at, size)?;
            while !rows.is_empty() {
                elf.sections.push(elf.section(&mut rows)?);
            }
        }
        elf.names = usize::try_from(names).ok().filter(|&index| index < elf.sections.len()).unwrap_or(0);
        if segment_count != 0 {
            if u64::from(segment_row) != segment_size {
                return Err(elf.malformed("the program header table", elf.segments_at, "has rows of another size"));
            }
            let size = elf.table_size("the program header table", segment_count, segment_size)?;
            let mut rows = elf.fields("the program header table", elf.segments_at, size)?;
            while !rows.is_empty() {
                elf.segments.push(elf.segment(&mut rows)?);
            }
        }
        Ok(Some(elf))
    }

    fn table_size(&self, what: &'static str, count: u64, row: u64) -> Result<u64, ElfError> {
        let len = self.bytes.len() as u64;
        count.checked_mul(row).ok_or(ElfError::Truncated { what, end: u64::MAX, len })
    }

    fn segment(&self, row: &mut Fields<'_>) -> Result<Segment, ElfError> {
        let kind = row.u32()?;
        // The flags moved for the sake of alignment.
        let early = if self.encoding.class == Class::Elf64 { row.u32()? } else { 0 };
        let (offset, vaddr, paddr) = (row.word()?, row.word()?, row.word()?);
        let (file_size, mem_size) = (row.word()?, row.word()?);
        let flags = if self.encoding.class == Class::Elf64 { early } else { row.u32()? };
        Ok(Segment { kind, flags, offset, vaddr, paddr, file_size, mem_size, align: row.word()? })
    }

    fn section(&self, row: &mut Fields<'_>) -> Result<Section, ElfError> {
        Ok(Section {
            name: row.u32()?,
            kind: row.u32()?,
            flags: row.word()?,
            addr: row.word()?,
            offset: row.word()?,
            size: row.word()?,
            link: row.u32()?,
            info: row.u32()?,
            align: row.word()?,
            entry_size: row.word()?,
        })
    }

    pub(crate) fn abi(&self) -> Abi {
        Abi { class: self.encoding.class, order: self.encoding.order, machine: self.machine }
    }

    pub(crate) fn malformed(&self, what: &'static str, offset: u64, why: &'static str) -> ElfError {
        ElfError::Malformed { what, offset, why }
    }

    /// The bytes of a range that the file claims to have.
    pub(crate) fn slice(&self, what: &'static str, offset: u64, size: u64) -> Result<&'a [u8], ElfError> {
        let len = self.bytes.len() as u64;
        let end = offset.saturating_add(size);
        if end > len {
            return Err(ElfError::Truncated { what, end, len });
        }
        Ok(&self.bytes[offset as usize..end as usize])
    }

    pub(crate) fn fields(&self, what: &'static str, offset: u64, size: u64) -> Result<Fields<'a>, ElfError> {
        Ok(Fields { encoding: self.encoding, rest: self.slice(what, offset, size)?, at: offset, what })
    }

    /// The NUL-terminated bytes at the head of a range; `None` where it holds no NUL.
    pub(crate) fn c_string(bytes: &[u8]) -> Option<&[u8]> {
        bytes.iter().position(|&byte| byte == 0).map(|end| &bytes[..end])
    }

    /// The name of a section; empty where it has none.
    pub(crate) fn section_name(&self, section: &Section) -> &'a [u8] {
        let table = self.sections.get(self.names).filter(|table| self.names != 0 && table.has_bytes());
        let bytes = table.and_then(|table| self.slice("the section names", table.offset, table.size).ok());
        bytes.and_then(|bytes| Self::c_string(bytes.get(section.name as usize..)?)).unwrap_or_default()
    }

    /// The first segment of a type.
    pub(crate) fn segment_of(&self, kind: u32) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.kind == kind)
    }

    /// What the loader would put at `address`, to the end of its segment: a range of the file.
    pub(crate) fn at_address(&self, address: u64) -> Option<Range<u64>> {
        self.segments.iter().filter(|segment| segment.kind == segment_type::LOAD).find_map(|segment| {
            let into = address.checked_sub(segment.vaddr).filter(|&into| into < segment.file_size)?;
            let end = segment.offset.checked_add(segment.file_size)?;
            Some(segment.offset + into..end)
        })
    }

    /// Whether this is the detached debug information of another file: its headers describe code that stayed there.
    pub(crate) fn is_detached_debug(&self) -> bool {
        use section_flag::{EXEC, WRITE};
        // A writable one is the table of calls that old PowerPC fills in at run time.
        let absent = |s: &Section| s.kind == section_type::NOBITS && s.flags & (EXEC | WRITE) == EXEC && s.size > 0;
        self.sections.iter().any(absent)
    }
}
