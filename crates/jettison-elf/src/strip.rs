//! Cuts symbols and debug information out of programs and shared libraries, for any architecture.
//!
//! Tools that take a file apart and put it together again have to understand all of it, and break what patchelf has
//! rearranged. This one cannot: what the loader maps stays byte for byte at its address, and only moves down in the file.
//!
//! 1. [`removable`] names the sections that only linkers and debuggers read. What is not known to be of that sort stays.
//! 2. [`Islands`] are the ranges of the file that stay: headers, segments, the other sections. What overlaps is one island.
//! 3. Islands close up over the gaps, each by a multiple of its alignment, so that offsets and addresses remain congruent.
//! 4. File offsets in the headers follow. Sections that are loaded keep their index, since symbols refer to it.
//! 5. The result is read again and compared with the original; in doubt the file is left alone.

use crate::facts::{ElfFacts, is_debug_name};
use crate::header::{Elf, ElfError, Kind, Section, Segment, section_flag, section_type, segment_type};

/// A file is only changed for this many bytes: below it, a changed checksum is worth more than the space.
/// Changing this changes layer digests.
const LEAST_GAIN: usize = 1024;
/// The smallest page of any Linux architecture.
const PAGE: u64 = 4096;

/// Why a file was left as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeftAlone {
    /// It is no ELF file.
    #[error("it is no ELF file")]
    NotElf,
    /// It cannot be read.
    #[error(transparent)]
    Broken(#[from] ElfError),
    /// It is an object file, a kernel module or a memory dump, whose symbols are what it is for.
    #[error("it is no program and no shared library")]
    NotLinked,
    /// It is the detached debug information of another file.
    #[error("it is detached debug information")]
    DetachedDebug,
    /// There is nothing in it to cut, or too little.
    #[error("there is too little to cut")]
    NothingToCut,
    /// It holds bytes that none of its headers names, as self-extracting programs do.
    #[error("{0} bytes follow that no header names")]
    Payload(u64),
    /// Its headers are of a sort that is not rewritten.
    #[error("{0}")]
    Unusual(&'static str),
    /// The loader of some system would refuse it already.
    #[error("segment {0} does not lie on its page")]
    Misaligned(usize),
}

/// The file without what only linkers and debuggers read (`.symtab`, `.debug_*`, `.comment` and the like), always shorter
/// than `bytes`; or the reason why it should stay as it is.
///
/// What is loaded, the build id included, is the same to the byte at the same addresses. Sections that are not
/// loaded and not known to be superfluous stay, such as the dependency list of cargo-auditable.
pub fn strip(bytes: &[u8]) -> Result<Vec<u8>, LeftAlone> {
    let elf = Elf::parse(bytes)?.ok_or(LeftAlone::NotElf)?;
    if !matches!(elf.kind, Kind::Executable | Kind::Dynamic) {
        return Err(LeftAlone::NotLinked);
    }
    if elf.is_detached_debug() {
        return Err(LeftAlone::DetachedDebug);
    }
    let removed = removable(&elf);
    if !removed.contains(&true) {
        return Err(LeftAlone::NothingToCut);
    }
    if elf.extended {
        return Err(LeftAlone::Unusual("it has more headers than can be counted in the usual place"));
    }
    if let Some(index) = misaligned(&elf.segments) {
        return Err(LeftAlone::Misaligned(index));
    }
    let islands = Islands::of(&elf, &removed)?;
    let stripped = write(&elf, &removed, &islands)?;
    if stripped.len() + LEAST_GAIN > bytes.len() {
        return Err(LeftAlone::NothingToCut);
    }
    check(&elf, &stripped)?;
    Ok(stripped)
}

/// The first segment whose place in the file and in memory differ within a page: the loader maps whole pages.
fn misaligned(segments: &[Segment]) -> Option<usize> {
    segments.iter().position(|segment| {
        let align = segment.align.max(PAGE);
        segment.kind == segment_type::LOAD
            && (!align.is_power_of_two() || segment.vaddr.wrapping_sub(segment.offset) & (align - 1) != 0)
    })
}

/// For each section, whether it goes.
fn removable(elf: &Elf<'_>) -> Vec<bool> {
    let goes = |section: &Section| {
        const NAMES: [&[u8]; 8] = [
            b".comment",
            b".gnu_debuglink",
            b".gnu_debugaltlink",
            b".GCC.command.line",
            b".gnu.build.attributes",
            b".note.gnu.gold-version",
            b".mdebug.abi32",
            b".pdr",
        ];
        let name = elf.section_name(section);
        let symbols = matches!(section.kind, section_type::SYMTAB | section_type::SYMTAB_SHNDX);
        let known = is_debug_name(name) || NAMES.contains(&name) || name.starts_with(b".gnu.build.attributes.");
        section.kind != section_type::NULL && !section.is_alloc() && (symbols || known)
    };
    let mut removed: Vec<bool> = elf.sections.iter().map(goes).collect();
    if !removed.contains(&true) {
        return removed;
    }
    // What serves a removed section goes with it: its strings, and relocations against its symbols (`ld --emit-relocs`).
    // The section names are written anew.
    let linked = |to: usize, by: &dyn Fn(usize) -> bool| {
        elf.sections.iter().enumerate().any(|(i, section)| section.link as usize == to && by(i))
    };
    for index in 1..elf.sections.len() {
        let section = &elf.sections[index];
        let link = section.link as usize;
        let serves = match section.kind {
            section_type::STRTAB => {
                index == elf.names || linked(index, &|i| removed[i]) && !linked(index, &|i| !removed[i])
            }
            section_type::REL | section_type::RELA => {
                elf.sections.get(link).is_some_and(|table| table.kind == section_type::SYMTAB)
            }
            _ => false,
        };
        removed[index] |= serves && !section.is_alloc();
    }
    removed
}

/// A range of the file that stays, and where it comes to stand.
struct Island {
    start: u64,
    end: u64,
    align: u64,
    new_start: u64,
}

/// The ranges of the file that stay, in their order, without overlap.
struct Islands(Vec<Island>);

impl Islands {
    fn of(elf: &Elf<'_>, removed: &[bool]) -> Result<Self, LeftAlone> {
        let len = elf.bytes.len() as u64;
        let (header, segment_row, section_row) = elf.encoding.sizes();
        let segments_size = elf.segments.len() as u64 * segment_row;
        let mut ranges = vec![(0, header, 1), (elf.segments_at, segments_size, elf.encoding.word() as u64)];
        ranges.extend(elf.segments.iter().map(|s| (s.offset, s.file_size, s.align.max(1))));
        let stays = elf.sections.iter().zip(removed).filter(|(section, gone)| section.has_bytes() && !**gone);
        ranges.extend(stays.map(|(section, _)| (section.offset, section.size, section.align.max(1))));
        ranges.retain(|&(_, size, _)| size > 0);
        ranges.sort_unstable();

        let mut islands: Vec<Island> = Vec::new();
        for (start, size, align) in ranges {
            let end = start.checked_add(size).filter(|&end| end <= len);
            let end = end.ok_or(LeftAlone::Unusual("what its headers describe is not all there"))?;
            if !align.is_power_of_two() {
                return Err(LeftAlone::Unusual("an alignment in it is no power of two"));
            }
            match islands.last_mut().filter(|last| start < last.end) {
                Some(last) => {
                    last.end = last.end.max(end);
                    last.align = last.align.max(align);
                }
                None => islands.push(Island { start, end, align, new_start: 0 }),
            }
        }
        let mut free = 0;
        for island in &mut islands {
            // Down by a multiple of the alignment: never below what is taken, never up.
            island.new_start = island.start - (island.start - free) / island.align * island.align;
            free = island.new_start + (island.end - island.start);
        }

        // What follows all that any header names was put there by someone who will look for it.
        let sections = elf.sections.iter().filter(|section| section.has_bytes());
        let named = sections.filter_map(|section| section.offset.checked_add(section.size)).max().unwrap_or(0);
        let table = elf.sections_at.saturating_add(elf.sections.len() as u64 * section_row);
        let named = named.max(table).max(islands.last().map_or(0, |last| last.end)).min(len);
        if elf.bytes[named as usize..].iter().any(|&byte| byte != 0) {
            return Err(LeftAlone::Payload(len - named));
        }
        Ok(Self(islands))
    }

    /// Where an offset comes to stand. One in a gap (of something without bytes) moves with the island before it.
    fn moved(&self, offset: u64) -> u64 {
        let after = self.0.partition_point(|island| island.start <= offset);
        let before = after.checked_sub(1).and_then(|index| self.0.get(index));
        before.map_or(offset, |island| offset - (island.start - island.new_start))
    }

    fn end(&self) -> u64 {
        self.0.last().map_or(0, |last| last.new_start + (last.end - last.start))
    }
}

/// A new section header table: for each row, which section of the old file it is; `None` is an empty row.
struct Rows {
    rows: Vec<Option<usize>>,
    /// Old index → new index; 0 for what went.
    index: Vec<u32>,
}

impl Rows {
    /// Dynamic symbols name loaded sections by index, so those stay where they are, and a section that went before one of
    /// them leaves an empty row. Behind the last of them the rows close up.
    fn of(elf: &Elf<'_>, removed: &[bool]) -> Self {
        let fixed = elf.sections.iter().rposition(Section::is_alloc).map_or(1, |last| last + 1);
        let mut rows = Vec::new();
        let mut index = vec![0; elf.sections.len()];
        for (old, gone) in removed.iter().enumerate() {
            if !gone {
                index[old] = rows.len() as u32;
                rows.push(Some(old));
            } else if old < fixed {
                rows.push(None);
            }
        }
        Self { rows, index }
    }
}

fn write(elf: &Elf<'_>, removed: &[bool], islands: &Islands) -> Result<Vec<u8>, LeftAlone> {
    let encoding = elf.encoding;
    let mut out = Vec::with_capacity(islands.end() as usize + 8192);
    for island in &islands.0 {
        out.resize(island.new_start as usize, 0);
        out.extend_from_slice(&elf.bytes[island.start as usize..island.end as usize]);
    }

    let rows = Rows::of(elf, removed);
    let mut names = vec![0];
    let mut name_of = |name: &[u8]| {
        let at = names.len() as u32;
        names.extend_from_slice(name);
        names.push(0);
        at
    };
    let mut table: Vec<Section> = Vec::with_capacity(rows.rows.len() + 1);
    let renumber = |old: u32| rows.index.get(old as usize).copied().unwrap_or(0);
    for row in &rows.rows {
        let Some(old) = row.map(|index| &elf.sections[index]).filter(|old| old.kind != section_type::NULL) else {
            table.push(EMPTY);
            continue;
        };
        let relocations = matches!(old.kind, section_type::REL | section_type::RELA);
        let info_is_index = relocations || old.flags & section_flag::INFO_LINK != 0;
        table.push(Section {
            name: name_of(elf.section_name(old)),
            offset: islands.moved(old.offset),
            link: renumber(old.link),
            info: if info_is_index { renumber(old.info) } else { old.info },
            ..*old
        });
    }
    let name = name_of(b".shstrtab");
    let (offset, size) = (out.len() as u64, names.len() as u64);
    table.push(Section { name, kind: section_type::STRTAB, offset, size, align: 1, ..EMPTY });
    out.extend_from_slice(&names);

    out.resize(out.len().next_multiple_of(encoding.word()), 0);
    let table_at = out.len() as u64;
    for row in &table {
        for (width, value) in [(4, row.name.into()), (4, row.kind.into())] {
            encoding.push(&mut out, width, value);
        }
        for value in [row.flags, row.addr, row.offset, row.size] {
            encoding.push(&mut out, encoding.word(), value);
        }
        for (width, value) in [(4, row.link.into()), (4, row.info.into())] {
            encoding.push(&mut out, width, value);
        }
        for value in [row.align, row.entry_size] {
            encoding.push(&mut out, encoding.word(), value);
        }
    }

    let places = encoding.places();
    let segments_at = islands.moved(elf.segments_at);
    let count = u16::try_from(table.len()).ok().filter(|&count| count < 0xff00);
    let count = count.ok_or(LeftAlone::Unusual("it has too many sections"))?;
    if !elf.segments.is_empty() {
        encoding.put(&mut out, places.phoff, encoding.word(), segments_at);
    }
    encoding.put(&mut out, places.shoff, encoding.word(), table_at);
    encoding.put(&mut out, places.shnum, 2, count.into());
    encoding.put(&mut out, places.shnum + 2, 2, u64::from(count - 1));
    let (_, row_size, _) = encoding.sizes();
    for (segment, row) in elf.segments.iter().zip(0..) {
        let at = (segments_at + row * row_size) as usize + places.segment_offset;
        encoding.put(&mut out, at, encoding.word(), islands.moved(segment.offset));
    }
    Ok(out)
}

const EMPTY: Section = Section {
    name: 0,
    kind: section_type::NULL,
    flags: 0,
    addr: 0,
    offset: 0,
    size: 0,
    link: 0,
    info: 0,
    align: 0,
    entry_size: 0,
};

/// Reads the result and holds it against the original.
fn check(before: &Elf<'_>, stripped: &[u8]) -> Result<(), LeftAlone> {
    const DIFFERS: LeftAlone = LeftAlone::Unusual("cutting would change what is loaded");
    let after = Elf::parse(stripped)?.ok_or(DIFFERS)?;
    if let Some(index) = misaligned(&after.segments) {
        return Err(LeftAlone::Misaligned(index));
    }
    let (old_facts, new_facts) = (ElfFacts::of(before)?, ElfFacts::of(&after)?);
    let same_facts = ElfFacts { has_debug: false, has_symtab: false, ..old_facts } == new_facts;
    let header_end = before.encoding.sizes().0;
    let patched = |elf: &Elf<'_>, offset: u64| {
        let table = elf.segments_at..elf.segments_at + elf.segments.len() as u64 * elf.encoding.sizes().1;
        offset < header_end || table.contains(&offset)
    };
    let same_bytes = |old_at: u64, new_at: u64, size: u64| {
        let old = before.slice("a segment", old_at, size)?;
        let new = after.slice("a segment", new_at, size)?;
        let headers = |i: usize| patched(before, old_at + i as u64) && patched(&after, new_at + i as u64);
        // Equal at once, nearly always; the one segment with the headers is gone through.
        Ok::<_, ElfError>(old == new || old.iter().zip(new).enumerate().all(|(i, (a, b))| a == b || headers(i)))
    };
    let mut same = same_facts && before.segments.len() == after.segments.len();
    for (old, new) in before.segments.iter().zip(&after.segments) {
        same &= Segment { offset: 0, ..*old } == Segment { offset: 0, ..*new };
        same &= same_bytes(old.offset, new.offset, old.file_size)?;
    }
    for (old, new) in before.sections.iter().zip(&after.sections).filter(|(old, _)| old.is_alloc()) {
        same &= before.section_name(old) == after.section_name(new);
        same &= (old.kind, old.flags, old.addr, old.size) == (new.kind, new.flags, new.addr, new.size);
        same &= !old.has_bytes() || same_bytes(old.offset, new.offset, old.size)?;
    }
    if same { Ok(()) } else { Err(DIFFERS) }
}
