//! Facts and stripping, on the files of `tests/data`, with the `object` crate as a second opinion.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use jettison_elf::{ElfFacts, LeftAlone, strip};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol};

fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

const LINKED: [&str; 8] = [
    "aarch64-libjet.so",
    "aarch64-user.so",
    "powerpc-big.so",
    "x86_64-libjet.so",
    "x86_64-note.so",
    "x86_64-patched.so",
    "x86_64-program",
    "x86_64-user.so",
];

#[test]
fn facts_are_what_readelf_says() {
    let facts = |name| serde_json::to_string(&ElfFacts::parse(&data(name)).unwrap().unwrap()).unwrap();
    let all: Vec<_> = LINKED.iter().map(|name| format!("{name} {}", facts(name))).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    aarch64-libjet.so {"abi":{"class":"64","order":"little","machine":183},"kind":"dynamic","soname":"libjet.so.1","defines":["JET_1.0","JET_1.2"],"has_debug":true,"has_symtab":true}
    aarch64-user.so {"abi":{"class":"64","order":"little","machine":183},"kind":"dynamic","needed":["libjet.so.1"],"runpath":["$ORIGIN/../jet.libs","/opt/$LIB"],"requires":{"libjet.so.1":["JET_1.2"]},"has_debug":true,"has_symtab":true}
    powerpc-big.so {"abi":{"class":"32","order":"big","machine":20},"kind":"dynamic","soname":"libbig.so.1","has_debug":true,"has_symtab":true}
    x86_64-libjet.so {"abi":{"class":"64","order":"little","machine":62},"kind":"dynamic","soname":"libjet.so.1","defines":["JET_1.0","JET_1.2"],"has_debug":true,"has_symtab":true}
    x86_64-note.so {"abi":{"class":"64","order":"little","machine":62},"kind":"dynamic","soname":"libnote.so.1","dlopens":["libz.so.1","libzstd.so.1"],"has_debug":true,"has_symtab":true}
    x86_64-patched.so {"abi":{"class":"64","order":"little","machine":62},"kind":"dynamic","needed":["libjet-0123abcd.so.1"],"rpath":["$ORIGIN/0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000/../../jet.libs"],"requires":{"libjet-0123abcd.so.1":["JET_1.2"]},"has_debug":true,"has_symtab":true}
    x86_64-program {"abi":{"class":"64","order":"little","machine":62},"kind":"executable","is_program":true,"has_debug":true,"has_symtab":true}
    x86_64-user.so {"abi":{"class":"64","order":"little","machine":62},"kind":"dynamic","needed":["libjet.so.1"],"runpath":["$ORIGIN/../jet.libs","/opt/$LIB"],"requires":{"libjet.so.1":["JET_1.2"]},"has_debug":true,"has_symtab":true}
    "#);
}

#[test]
fn facts_survive_json_and_other_files_have_none() {
    for name in LINKED {
        let facts = ElfFacts::parse(&data(name)).unwrap().unwrap();
        let json = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<ElfFacts>(&json).unwrap(), facts);
    }
    for other in [&b""[..], b"\x7fEL", b"#!/bin/sh\n", b"MZ\x90"] {
        assert_eq!(ElfFacts::parse(other), Ok(None));
    }
}

#[test]
fn static_programs_need_nothing() {
    let facts = |name| ElfFacts::parse(&data(name)).unwrap().unwrap();
    assert!(facts("x86_64-program").is_static());
    assert!(!facts("x86_64-libjet.so").is_static(), "a library without needs is no program");
}

#[test]
fn stripping_leaves_what_is_loaded() {
    for name in LINKED {
        let before = data(name);
        let after = strip(&before).unwrap_or_else(|reason| panic!("{name}: {reason}"));
        assert!(after.len() < before.len());
        assert_eq!(strip(&after), Err(LeftAlone::NothingToCut), "{name}: once is enough");

        let facts = |bytes| ElfFacts::parse(bytes).unwrap().unwrap();
        let stripped = facts(&after);
        assert!(!stripped.has_debug && !stripped.has_symtab, "{name}");
        assert_eq!(stripped, ElfFacts { has_debug: false, has_symtab: false, ..facts(&before) }, "{name}");

        let (old, new) = (object::File::parse(&*before).unwrap(), object::File::parse(&*after).unwrap());
        let segments = |file: &object::File<'_>| {
            let of = |s: object::Segment<'_, '_>| (s.address(), s.size(), s.data().unwrap().len());
            file.segments().map(of).collect::<Vec<_>>()
        };
        assert_eq!(segments(&old), segments(&new), "{name}");
        let symbols = |file: &object::File<'_>| {
            let section = |s: &object::Symbol<'_, '_>| {
                let index = s.section_index()?;
                Some(file.section_by_index(index).unwrap().name().unwrap().to_owned())
            };
            let of = |s: object::Symbol<'_, '_>| (s.name().unwrap().to_owned(), s.address(), s.size(), section(&s));
            file.dynamic_symbols().map(of).collect::<Vec<_>>()
        };
        assert_eq!(symbols(&old), symbols(&new), "{name}");
        assert_eq!(old.build_id().unwrap(), new.build_id().unwrap(), "{name}");
        assert_eq!(new.symbols().count(), 0, "{name}");
        // Everything that is loaded, under its name, and with its bytes.
        for section in old.sections().filter(|section| section.address() != 0) {
            let same = new.section_by_name(section.name().unwrap()).unwrap();
            assert_eq!(section.address(), same.address());
            let headers = section.data().unwrap() == same.data().unwrap();
            assert!(headers, "{name} {}", section.name().unwrap());
        }
    }
}

#[test]
fn sections_that_nobody_knows_stay() {
    let stripped = strip(&data("x86_64-program")).unwrap();
    let file = object::File::parse(&*stripped).unwrap();
    assert_eq!(file.section_by_name(".dep-v0").unwrap().data().unwrap(), b"dependencies");
    let names: Vec<_> = file.sections().map(|section| section.name().unwrap().to_owned()).collect();
    assert_eq!(names, [".text", ".rodata", ".dep-v0", ".shstrtab"]);
}

#[test]
fn gaps_that_patchelf_left_are_closed() {
    let before = data("x86_64-patched.so");
    let after = strip(&before).unwrap();
    // Two loaded segments stand behind the debug sections; cutting the tail alone would gain next to nothing.
    assert!(after.len() + 4096 <= before.len(), "{} of {}", after.len(), before.len());
}

#[test]
fn what_is_doubtful_is_left_alone() {
    let user = data("x86_64-user.so");
    assert_eq!(strip(b"#!/bin/sh"), Err(LeftAlone::NotElf));
    assert_eq!(strip(&data("x86_64-object.o")), Err(LeftAlone::NotLinked));
    assert!(matches!(strip(&user[..4000]), Err(LeftAlone::Broken(_))));

    let payload = [&user[..], b"PK\x03\x04 a program that unpacks itself"].concat();
    assert_eq!(strip(&payload), Err(LeftAlone::Payload(34)));
    let padded = [&user[..], &[0; 100]].concat();
    assert_eq!(strip(&padded), strip(&user), "zeros are no payload");

    // The second segment's address, moved off the page on which its bytes stand in the file.
    let mut crooked = user.clone();
    let second = object::File::parse(&*user).unwrap().segments().nth(1).unwrap().address();
    let address = 64 + 56 + 16;
    assert_eq!(user[address..address + 8], second.to_le_bytes());
    crooked[address] ^= 0x10;
    assert_eq!(strip(&crooked), Err(LeftAlone::Misaligned(1)));
}
