//! Sparse members of GNU tar: what of a file is stored, and where in it that belongs (GNU tar manual, "Storing Sparse Files").
//!
//! The map stands in the header block and in blocks behind it (old GNU), in pax records (0.0 and 0.1), or in front of the content (1.0).

use std::collections::BTreeMap;
use std::ops::Range;

use super::tar_header::number;
use super::ustar::BLOCK;

/// Bytes of a sparse file that are read at most: holes take no room in an archive, and do where it is unpacked.
pub(super) const MAX_SPARSE_FILE: u64 = 64 << 30;
/// Pieces of one file that are read at most.
const MAX_PIECES: usize = 1 << 17;
/// The maps of old GNU headers: in the header, and in each block behind it.
const IN_HEADER: Range<usize> = 386..482;
const IS_EXTENDED: usize = 482;
const REAL_SIZE: Range<usize> = 483..495;
const IN_BLOCK: Range<usize> = 0..504;
const BLOCK_IS_EXTENDED: usize = 504;
/// Two numbers of twelve bytes each.
const PIECE: usize = 24;

/// Offsets and lengths.
pub(super) type Pieces = Vec<(u64, u64)>;

/// The pieces of a file that are stored, while it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Where each begins and ends, the last first.
    pieces: Vec<(u64, u64)>,
    at: u64,
    size: u64,
}

/// What comes next in a file.
pub(super) enum Next {
    /// So many zeros.
    Hole(u64),
    /// So many bytes of the archive.
    Stored(u64),
    /// Nothing.
    End,
}

/// Where the map of a sparse file is.
pub(super) enum Map {
    /// There is none: the file is not sparse.
    None,
    /// In the records: offsets and lengths in turn.
    Here(Pieces),
    /// In front of the content.
    InContent,
}

impl Sparse {
    /// A file of `size` bytes with these pieces, offset and length each, which take `stored` bytes in the archive.
    pub fn new(pieces: &[(u64, u64)], size: u64, stored: u64) -> Result<Self, &'static str> {
        if size > MAX_SPARSE_FILE {
            return Err("it is a sparse file, and too large");
        }
        let (mut end, mut sum) = (0_u64, 0_u64);
        let mut ranges = Vec::with_capacity(pieces.len());
        for (offset, len) in pieces.iter().copied() {
            let after = offset.checked_add(len).filter(|after| *after <= size && offset >= end);
            end = after.ok_or("the pieces of the sparse file overlap, or reach behind its end")?;
            sum += len;
            if len > 0 {
                ranges.push((offset, end));
            }
        }
        if sum != stored {
            return Err("the pieces of the sparse file are not what is stored of it");
        }
        ranges.reverse();
        Ok(Self { pieces: ranges, at: 0, size })
    }

    /// What is to be read now.
    pub fn next(&self) -> Next {
        match self.pieces.last() {
            Some((start, _)) if *start > self.at => Next::Hole(start - self.at),
            Some((_, end)) => Next::Stored(end - self.at),
            None if self.at < self.size => Next::Hole(self.size - self.at),
            None => Next::End,
        }
    }

    /// So many bytes of that were read.
    pub fn advance(&mut self, bytes: u64) {
        self.at += bytes;
        if self.pieces.last().is_some_and(|(_, end)| *end == self.at) {
            self.pieces.pop();
        }
    }
}

/// The pieces that an old GNU header names, whether a block with more follows, and the size of the file.
pub(super) fn of_header(block: &[u8; BLOCK]) -> Result<(Pieces, bool, u64), &'static str> {
    let size = number(&block[REAL_SIZE]).ok_or(NO_NUMBER)?;
    Ok((pieces(&block[IN_HEADER])?, block[IS_EXTENDED] != 0, size))
}

/// The pieces that a block behind an old GNU header names, and whether another follows.
pub(super) fn of_block(block: &[u8; BLOCK], known: &mut Pieces) -> Result<bool, &'static str> {
    known.extend(pieces(&block[IN_BLOCK])?);
    if known.len() > MAX_PIECES { Err(TOO_MANY) } else { Ok(block[BLOCK_IS_EXTENDED] != 0) }
}

const NO_NUMBER: &str = "the map of the sparse file has something that is no number";
const TOO_MANY: &str = "the sparse file has too many pieces";

fn pieces(fields: &[u8]) -> Result<Pieces, &'static str> {
    let mut pieces = Vec::new();
    for piece in fields.chunks_exact(PIECE).take_while(|piece| piece[0] != 0) {
        let (offset, len) = piece.split_at(PIECE / 2);
        pieces.push((number(offset).ok_or(NO_NUMBER)?, number(len).ok_or(NO_NUMBER)?));
    }
    Ok(pieces)
}

/// The map of pax records, and the size of the file.
pub(super) fn of_records(records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(Map, u64), &'static str> {
    let record = |key: &str| records.get(key.as_bytes()).map(Vec::as_slice);
    let size = || {
        let size = record("GNU.sparse.realsize").or(record("GNU.sparse.size"));
        size.and_then(decimal).ok_or("it is a sparse file without a size")
    };
    match (record("GNU.sparse.major"), record("GNU.sparse.minor"), record("GNU.sparse.map")) {
        (Some(b"1"), Some(b"0"), _) => Ok((Map::InContent, size()?)),
        (None, _, Some(map)) | (Some(b"0"), Some(b"0" | b"1"), Some(map)) => {
            let numbers: Option<Vec<u64>> = map.split(|&byte| byte == b',').map(decimal).collect();
            let numbers = numbers.filter(|numbers| numbers.len() % 2 == 0).ok_or(NO_NUMBER)?;
            if numbers.len() / 2 > MAX_PIECES {
                return Err(TOO_MANY);
            }
            Ok((Map::Here(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()), size()?))
        }
        // Without pieces it is all hole.
        (None, _, None) if record("GNU.sparse.numblocks") == Some(b"0") => Ok((Map::Here(Vec::new()), size()?)),
        (None, ..) => Ok((Map::None, 0)),
        _ => Err("it is a sparse file of an unknown version"),
    }
}

/// The map in front of the content, read line by line.
#[derive(Default)]
pub(super) struct Lines {
    numbers: Vec<u64>,
    digits: Vec<u8>,
}

impl Lines {
    /// Takes a block of the map. Returns the pieces when it was the last.
    pub fn push(&mut self, block: &[u8; BLOCK]) -> Result<Option<Pieces>, &'static str> {
        for &byte in block {
            match byte {
                b'\n' => {
                    self.numbers.push(decimal(&self.digits).ok_or(NO_NUMBER)?);
                    self.digits.clear();
                }
                digit if self.digits.len() < 20 => self.digits.push(digit),
                _ => return Err(NO_NUMBER),
            }
            if let Some((count, numbers)) = self.numbers.split_first() {
                if *count > MAX_PIECES as u64 {
                    return Err(TOO_MANY);
                }
                if numbers.len() as u64 == count * 2 {
                    return Ok(Some(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()));
                }
            }
        }
        Ok(None)
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}
