//! What one ELF file says about itself, small enough to be kept beside it.
//!
//! 1. [`ElfFacts::parse`] reads the headers,
//! 2. follows `PT_DYNAMIC` as the loader does, through addresses, and never through section names, so that a file
//!    without sections and one that patchelf has rearranged read alike,
//! 3. walks the tables of symbol versions, and the notes in which a library names what it may `dlopen`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::abi::Abi;
use crate::header::{Elf, ElfError, Fields, Kind, section_type, segment_type};

/// Bytes of text, and a little for each piece of it, that are read from one file before it is called malformed. Only names
/// of libraries and of versions count, of which real files have some kilobytes.
const TEXT_BUDGET: usize = 1 << 20;
/// Segments with notes that are looked at.
const NOTE_LIMIT: usize = 64;
/// The longest string that is read: search paths of some distributions have thousands of bytes.
const NAME_LIMIT: usize = 64 << 10;

/// Tags of the dynamic section (gABI, "Dynamic Section"; the versions from the LSB, "Symbol Versioning").
mod tag {
    pub(super) const NULL: u64 = 0;
    pub(super) const NEEDED: u64 = 1;
    pub(super) const STRTAB: u64 = 5;
    pub(super) const STRSZ: u64 = 10;
    pub(super) const SONAME: u64 = 14;
    pub(super) const RPATH: u64 = 15;
    pub(super) const RUNPATH: u64 = 29;
    pub(super) const FLAGS_1: u64 = 0x6fff_fffb;
    pub(super) const VERDEF: u64 = 0x6fff_fffc;
    pub(super) const VERDEFNUM: u64 = 0x6fff_fffd;
    pub(super) const VERNEED: u64 = 0x6fff_fffe;
    pub(super) const VERNEEDNUM: u64 = 0x6fff_ffff;
    pub(super) const FILTER: u64 = 0x7fff_ffff;
}

const DF_1_NODEFLIB: u64 = 0x800;
const DF_1_PIE: u64 = 0x0800_0000;

/// What an ELF file needs, offers and carries along. Names that are not UTF-8 are read with replacement characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElfFacts {
    /// Class, byte order and machine.
    pub abi: Abi,
    /// What the file is for.
    pub kind: Kind,
    /// The loader that it asks for (`PT_INTERP`): programs have one, shared libraries have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// The name by which others ask for it (`DT_SONAME`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// The libraries that it cannot be loaded without, in its order (`DT_NEEDED` and `DT_FILTER`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<String>,
    /// Directories for its own needs and for those of what it loads (`DT_RPATH`); without effect beside `runpath`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rpath: Vec<String>,
    /// Directories for its own needs alone (`DT_RUNPATH`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runpath: Vec<String>,
    /// Library name → the versions of symbols that must be in it; weak ones are not counted (`DT_VERNEED`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requires: BTreeMap<String, BTreeSet<String>>,
    /// The versions of symbols that it defines (`DT_VERDEF`), without its own name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub defines: BTreeSet<String>,
    /// Libraries that it says it opens when it wants them (systemd's "ELF dlopen() metadata" note).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dlopens: Vec<String>,
    /// It is a program (and no library), by its type, its interpreter or `DF_1_PIE`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_program: bool,
    /// The loader's default directories are not for it (`DF_1_NODEFLIB`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub no_default_dirs: bool,
    /// It holds debug sections.
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_debug: bool,
    /// It holds the symbol table that only linkers and debuggers read (`.symtab`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_symtab: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// The C library that a file was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Libc {
    /// GNU's, in Debian and in manylinux wheels.
    Glibc,
    /// musl, in Alpine and in musllinux wheels.
    Musl,
}

impl ElfFacts {
    /// Reads a file that is in memory. `Ok(None)`: it is no ELF file, which costs the look at four bytes. A file with
    /// ELF's magic number that was cut short or contradicts itself is an error.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ElfError> {
        Elf::parse(bytes)?.map(|elf| Self::of(&elf)).transpose()
    }

    pub(crate) fn of(elf: &Elf<'_>) -> Result<Self, ElfError> {
        let mut facts = Self {
            abi: elf.abi(),
            kind: elf.kind,
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            rpath: Vec::new(),
            runpath: Vec::new(),
            requires: BTreeMap::new(),
            defines: BTreeSet::new(),
            dlopens: Vec::new(),
            is_program: elf.kind == Kind::Executable,
            no_default_dirs: false,
            has_debug: elf.sections.iter().any(|s| !s.is_alloc() && is_debug_name(elf.section_name(s))),
            has_symtab: elf.sections.iter().any(|s| s.kind == section_type::SYMTAB),
        };
        if !matches!(elf.kind, Kind::Executable | Kind::Dynamic) || elf.is_detached_debug() {
            return Ok(facts);
        }
        if let Some(segment) = elf.segment_of(segment_type::INTERP) {
            let bytes = elf.slice("the interpreter's name", segment.offset, segment.file_size)?;
            facts.interpreter = Some(name(Elf::c_string(bytes).unwrap_or(bytes)));
            facts.is_program = true;
        }
        facts.dlopens = dlopen_notes(elf)?;
        if let Some(segment) = elf.segment_of(segment_type::DYNAMIC) {
            facts.read_dynamic(elf, elf.fields("the dynamic section", segment.offset, segment.file_size)?)?;
        }
        Ok(facts)
    }

    fn read_dynamic(&mut self, elf: &Elf<'_>, mut fields: Fields<'_>) -> Result<(), ElfError> {
        let mut rows = Vec::new();
        while !fields.is_empty() {
            let row = (fields.word()?, fields.word()?);
            if row.0 == tag::NULL {
                break;
            }
            rows.push(row);
        }
        let last = |tag| rows.iter().rev().find(|row| row.0 == tag).map(|row| row.1);
        let mut texts = Texts::new(elf, last(tag::STRTAB), last(tag::STRSZ));
        for &(tag, value) in &rows {
            match tag {
                tag::NEEDED => self.needed.push(texts.at(value)?),
                // A filter is loaded like a need; glibc, rtld.c and dl-deps.c.
                tag::FILTER => self.needed.push(texts.at(value)?),
                tag::SONAME => self.soname = Some(texts.at(value)?),
                tag::RPATH => self.rpath = directories(&texts.at(value)?),
                tag::RUNPATH => self.runpath = directories(&texts.at(value)?),
                tag::FLAGS_1 => {
                    self.no_default_dirs = value & DF_1_NODEFLIB != 0;
                    self.is_program |= value & DF_1_PIE != 0;
                }
                _ => {}
            }
        }
        if let Some(address) = last(tag::VERNEED) {
            self.read_requires(elf, address, last(tag::VERNEEDNUM).unwrap_or(0), &mut texts)?;
        }
        if let Some(address) = last(tag::VERDEF) {
            self.read_defines(elf, address, last(tag::VERDEFNUM).unwrap_or(0), &mut texts)?;
        }
        Ok(())
    }

    /// `Verneed`: version, count, file, first auxiliary, next. `Vernaux`: hash, flags, other, name, next.
    fn read_requires(
        &mut self,
        elf: &Elf<'_>,
        address: u64,
        count: u64,
        texts: &mut Texts<'_>,
    ) -> Result<(), ElfError> {
        const WEAK: u16 = 2;
        let mut at = address;
        for _ in 0..count {
            let mut need = version_row(elf, at, 16)?;
            let (_, names) = (need.u16()?, need.u16()?);
            let library = texts.at(need.u32()?.into())?;
            let (first, next) = (need.u32()?, need.u32()?);
            let versions = self.requires.entry(library).or_default();
            let mut aux_at = at.saturating_add(first.into());
            for _ in 0..names {
                let mut aux = version_row(elf, aux_at, 16)?;
                let (_hash, flags, _other) = (aux.u32()?, aux.u16()?, aux.u16()?);
                let version = texts.at(aux.u32()?.into())?;
                if flags & WEAK == 0 {
                    versions.insert(version);
                }
                match aux.u32()? {
                    0 => break,
                    next => aux_at = aux_at.saturating_add(next.into()),
                }
            }
            if next == 0 {
                break;
            }
            at = at.saturating_add(next.into());
        }
        self.requires.retain(|_, versions| !versions.is_empty());
        Ok(())
    }

    /// `Verdef`: version, flags, index, count, hash, first auxiliary, next. `Verdaux`: name, next; the first is its own name.
    fn read_defines(&mut self, elf: &Elf<'_>, address: u64, count: u64, texts: &mut Texts<'_>) -> Result<(), ElfError> {
        const BASE: u16 = 1;
        let mut at = address;
        for _ in 0..count {
            let mut definition = version_row(elf, at, 20)?;
            let (_version, flags, _index, _count) =
                (definition.u16()?, definition.u16()?, definition.u16()?, definition.u16()?);
            let (_hash, first, next) = (definition.u32()?, definition.u32()?, definition.u32()?);
            let name = texts.at(version_row(elf, at.saturating_add(first.into()), 8)?.u32()?.into())?;
            if flags & BASE == 0 {
                self.defines.insert(name);
            }
            if next == 0 {
                break;
            }
            at = at.saturating_add(next.into());
        }
        Ok(())
    }

    /// Whether it is a program that no loader has to help.
    pub fn is_static(&self) -> bool {
        self.is_program && self.interpreter.is_none() && self.needed.is_empty()
    }

    /// The C library that it was built for, where its needs, its interpreter or its own name tell.
    pub fn libc(&self) -> Option<Libc> {
        let of = |name: &str| {
            let musl = name.starts_with("libc.musl-") || name.starts_with("ld-musl-") || name == "libc.so";
            let glibc = name == "libc.so.6" || (name.starts_with("ld-linux") || name.starts_with("ld64.so."));
            musl.then_some(Libc::Musl).or(glibc.then_some(Libc::Glibc))
        };
        let interpreter = self.interpreter.as_deref().and_then(|path| path.rsplit('/').next());
        self.needed.iter().map(String::as_str).chain(interpreter).chain(self.soname.as_deref()).find_map(of)
    }
}

/// Whether a section that is not loaded holds debug information, by its name.
pub(crate) fn is_debug_name(name: &[u8]) -> bool {
    const HEADS: [&[u8]; 4] = [b".debug", b".zdebug", b".gnu.debuglto_", b".stab"];
    const NAMES: [&[u8]; 3] = [b".gdb_index", b".gnu_debugdata", b".line"];
    HEADS.iter().any(|head| name.starts_with(head)) || NAMES.contains(&name)
}

fn version_row<'a>(elf: &Elf<'a>, address: u64, size: u64) -> Result<Fields<'a>, ElfError> {
    const WHAT: &str = "a table of symbol versions";
    let range = elf.at_address(address).ok_or_else(|| elf.malformed(WHAT, address, "is not in any segment"))?;
    elf.fields(WHAT, range.start, size)
}

fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(NAME_LIMIT)]).into_owned()
}

/// A list with colons. An empty element would be the directory that the process happens to stand in: it is left out.
fn directories(list: &str) -> Vec<String> {
    list.split(':').filter(|dir| !dir.is_empty()).map(str::to_owned).collect()
}

/// The dynamic string table, with a budget: a few bytes can refer to the same long string a million times.
struct Texts<'a> {
    table: Option<&'a [u8]>,
    budget: usize,
}

impl<'a> Texts<'a> {
    fn new(elf: &Elf<'a>, address: Option<u64>, size: Option<u64>) -> Self {
        let table = address.and_then(|address| {
            let range = elf.at_address(address)?;
            let whole = range.end - range.start;
            elf.slice("the dynamic strings", range.start, size.unwrap_or(whole).min(whole)).ok()
        });
        Self { table, budget: TEXT_BUDGET }
    }

    fn at(&mut self, offset: u64) -> Result<String, ElfError> {
        let malformed = |why| ElfError::Malformed { what: "the dynamic string", offset, why };
        let table = self.table.ok_or(malformed("has no table to stand in"))?;
        let tail = usize::try_from(offset).ok().and_then(|offset| table.get(offset..));
        let tail = tail.ok_or(malformed("lies outside of its table"))?;
        let text = Elf::c_string(&tail[..tail.len().min(NAME_LIMIT)]).ok_or(malformed("has no end"))?;
        self.budget = self.budget.checked_sub(text.len() + 16).ok_or(malformed("is one of too many"))?;
        Ok(name(text))
    }
}

/// The sonames in notes of owner `FDO` and type `0x407c0c0a`, whose description is a JSON array
/// (<https://uapi-group.org/specifications/specs/elf_dlopen_metadata/>). A note that says nothing readable is passed over.
fn dlopen_notes(elf: &Elf<'_>) -> Result<Vec<String>, ElfError> {
    const DLOPEN: u32 = 0x407c_0c0a;
    #[derive(Deserialize)]
    struct Feature {
        soname: Vec<String>,
    }
    let mut sonames = Vec::new();
    for segment in elf.segments.iter().filter(|segment| segment.kind == segment_type::NOTE).take(NOTE_LIMIT) {
        let mut notes = elf.fields("a note", segment.offset, segment.file_size)?;
        let align = if segment.align == 8 { 8 } else { 4 };
        while let (Ok(owner_size), Ok(size), Ok(kind)) = (notes.u32(), notes.u32(), notes.u32()) {
            let padded = |size: u32| (size as usize).next_multiple_of(align);
            // The owner follows twelve bytes of numbers, so that its padding is counted from there.
            let owner_room = padded(owner_size.saturating_add(12)).saturating_sub(12);
            let (Ok(owner), Ok(text)) = (notes.bytes(owner_room), notes.bytes(size as usize)) else { break };
            if kind == DLOPEN && owner.starts_with(b"FDO\0") {
                let text = Elf::c_string(text).unwrap_or(text);
                let features: Vec<Feature> = serde_json::from_slice(text).unwrap_or_default();
                sonames.extend(features.into_iter().flat_map(|feature| feature.soname));
            }
            if notes.bytes(padded(size) - size as usize).is_err() {
                break;
            }
        }
    }
    sonames.sort();
    sonames.dedup();
    Ok(sonames)
}
