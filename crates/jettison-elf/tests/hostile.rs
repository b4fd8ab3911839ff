//! Damaged files: an error, or an answer, and never a panic or a file that cannot be read.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use jettison_elf::{ElfFacts, strip};

fn files() -> Vec<Vec<u8>> {
    let dir = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")).unwrap();
    let mut paths: Vec<_> = dir.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files: Vec<_> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    files.into_iter().filter(|bytes| bytes.starts_with(b"\x7fELF")).collect()
}

fn judge(bytes: &[u8]) {
    let facts = ElfFacts::parse(bytes);
    if let Ok(stripped) = strip(bytes) {
        let (before, after) = (facts.unwrap().unwrap(), ElfFacts::parse(&stripped).unwrap().unwrap());
        assert_eq!((before.needed, before.soname), (after.needed, after.soname));
    }
}

#[test]
fn cut_short_anywhere() {
    for file in files() {
        for len in 0..file.len() {
            let cut = &file[..len];
            judge(cut);
            if (4..64).contains(&len) {
                assert!(ElfFacts::parse(cut).is_err() || file[4] == 1, "no header at {len}");
            }
        }
    }
}

#[test]
fn bytes_changed_at_random() {
    // xorshift64, from a fixed seed.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let files = files();
    for round in 0..10_000 {
        let mut bytes = files[round % files.len()].clone();
        // Half of them in the headers, where it hurts.
        let reach = if random(2) == 0 { 600.min(bytes.len()) } else { bytes.len() };
        for _ in 0..=random(8) {
            let at = random(reach);
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff, random(256) as u8][random(6)];
        }
        judge(&bytes);
    }
}

#[test]
fn many_names_for_one_string_are_refused() {
    // A dynamic section with thousands of rows that all name the same long string.
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let rows = 4000_u64;
    let (strings_at, string_len) = (64 + 2 * 56, 4000_u64);
    let dynamic_at = strings_at + string_len;
    let dynamic_size = (rows + 3) * 16;
    let mut put = |width: usize, value: u64| file.extend_from_slice(&value.to_le_bytes()[..width]);
    for (width, value) in
        [(2, 3), (2, 62), (4, 1), (8, 0), (8, 64), (8, 0), (4, 0), (2, 64), (2, 56), (2, 2), (2, 64), (4, 0)]
    {
        put(width, value);
    }
    let end = dynamic_at + dynamic_size;
    for (kind, offset, size) in [(1, 0, end), (2, dynamic_at, dynamic_size)] {
        [(4, kind), (4, 4), (8, offset), (8, offset), (8, offset), (8, size), (8, size), (8, 0x1000)]
            .iter()
            .for_each(|&(width, value)| put(width, value));
    }
    (0..string_len - 1).for_each(|_| put(1, u64::from(b'x')));
    put(1, 0);
    [5, strings_at, 10, string_len].iter().for_each(|&value| put(8, value));
    (0..rows).for_each(|_| [1, 0].iter().for_each(|&value| put(8, value)));
    [0, 0].iter().for_each(|&value| put(8, value));
    let error = ElfFacts::parse(&file).unwrap_err().to_string();
    assert_eq!(error, "not a sound ELF file: the dynamic string at byte 0 is one of too many");
}
