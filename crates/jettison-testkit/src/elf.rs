//! ELF files of a few hundred bytes: libraries with a soname and needs, and programs that exit at once.

/// An ELF64 file in the making (System V ABI, chapters 4 and 5), little endian.
#[derive(Debug, Clone)]
pub struct ElfBuilder {
    machine: u16,
    soname: Option<String>,
    needed: Vec<String>,
    runpath: Option<String>,
    program: bool,
}

const PAGE: u64 = 0x1000;
const HEADER: u64 = 64;
const PROGRAM_HEADER: u64 = 56;

// Tags of the dynamic section (System V ABI, chapter 5, "Dynamic Section").
const NEEDED: u64 = 1;
const HASH: u64 = 4;
const STRTAB: u64 = 5;
const SYMTAB: u64 = 6;
const STRSZ: u64 = 10;
const SYMENT: u64 = 11;
const SONAME: u64 = 14;
const RUNPATH: u64 = 29;

impl ElfBuilder {
    /// A shared library of this Debian architecture with this soname.
    pub fn library(architecture: &str, soname: &str) -> Self {
        Self { soname: Some(soname.to_owned()), ..Self::program(architecture) }.with_program(false)
    }

    /// A program that exits with status 0 and asks for no loader.
    pub fn program(architecture: &str) -> Self {
        let machine = match architecture {
            "amd64" => 62,
            "arm64" => 183,
            other => panic!("no machine number known for {other}"),
        };
        Self { machine, soname: None, needed: Vec::new(), runpath: None, program: true }
    }

    fn with_program(mut self, program: bool) -> Self {
        self.program = program;
        self
    }

    /// Needs a library (`DT_NEEDED`).
    #[must_use]
    pub fn needs(mut self, soname: &str) -> Self {
        self.needed.push(soname.to_owned());
        self
    }

    /// Looks for its libraries there (`DT_RUNPATH`).
    #[must_use]
    pub fn runpath(mut self, path: &str) -> Self {
        self.runpath = Some(path.to_owned());
        self
    }

    /// The bytes of the file: headers, code, an empty symbol table with its hash table, strings, and the dynamic section, all
    /// in one segment.
    pub fn build(&self) -> Vec<u8> {
        let mut strings = vec![0];
        let mut intern = |text: &str| {
            let at = strings.len() as u64;
            strings.extend(text.bytes().chain([0]));
            at
        };
        let mut dynamic: Vec<(u64, u64)> = self.needed.iter().map(|name| (NEEDED, intern(name))).collect();
        dynamic.extend(self.soname.iter().map(|name| (SONAME, intern(name))));
        dynamic.extend(self.runpath.iter().map(|path| (RUNPATH, intern(path))));

        let code = self.code();
        let code_at = HEADER + 2 * PROGRAM_HEADER;
        let symbols_at = (code_at + code.len() as u64).next_multiple_of(8);
        let hash_at = symbols_at + 24;
        let strings_at = hash_at + 16;
        let dynamic_at = (strings_at + strings.len() as u64).next_multiple_of(8);
        dynamic.extend([(HASH, hash_at), (STRTAB, strings_at), (SYMTAB, symbols_at)]);
        dynamic.extend([(STRSZ, strings.len() as u64), (SYMENT, 24), (0, 0)]);
        let len = dynamic_at + 16 * dynamic.len() as u64;

        let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        out.extend(3_u16.to_le_bytes());
        out.extend(self.machine.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        for word in [if self.program { code_at } else { 0 }, HEADER, 0] {
            out.extend(word.to_le_bytes());
        }
        out.extend(0_u32.to_le_bytes());
        for half in [HEADER as u16, PROGRAM_HEADER as u16, 2, 64, 0, 0] {
            out.extend(half.to_le_bytes());
        }
        let load = (1_u32, 7_u32, 0, len, PAGE);
        let table = (2_u32, 6_u32, dynamic_at, len - dynamic_at, 8);
        for (kind, flags, at, size, align) in [load, table] {
            out.extend(kind.to_le_bytes());
            out.extend(flags.to_le_bytes());
            for word in [at, at, at, size, size, align] {
                out.extend(word.to_le_bytes());
            }
        }
        out.extend(code);
        out.resize(hash_at as usize, 0);
        // One bucket, one symbol: the null one.
        for word in [1_u32, 1, 0, 0] {
            out.extend(word.to_le_bytes());
        }
        out.extend(strings);
        out.resize(dynamic_at as usize, 0);
        for (tag, value) in dynamic {
            out.extend(tag.to_le_bytes());
            out.extend(value.to_le_bytes());
        }
        out
    }

    /// Machine code for `exit(0)`.
    fn code(&self) -> &'static [u8] {
        match self.machine {
            // xor edi, edi; mov eax, 60; syscall
            62 => &[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05],
            // mov x0, #0; mov x8, #93; svc #0
            _ => &[0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::process::Command;

    #[test]
    fn libraries_say_what_they_are_and_need() {
        let bytes = ElfBuilder::library("arm64", "libdemo.so.1").needs("libc.so.6").runpath("$ORIGIN").build();
        let header = object::elf::FileHeader64::<object::Endianness>::parse(&*bytes).unwrap();
        let endian = header.endian().unwrap();
        assert_eq!(header.e_machine(endian), object::elf::EM_AARCH64);
        let mut found = Vec::new();
        for segment in header.program_headers(endian, &*bytes).unwrap() {
            for row in segment.dynamic(endian, &*bytes).unwrap().unwrap_or_default() {
                found.push((row.d_tag(endian), row.d_val(endian)));
            }
        }
        let value = |tag: i64| found.iter().find(|(other, _)| other.0 == tag).unwrap().1 as usize;
        let text = |tag: i64| {
            let from = &bytes[value(5) + value(tag)..];
            std::str::from_utf8(&from[..from.iter().position(|&byte| byte == 0).unwrap()]).unwrap()
        };
        assert_eq!((text(14), text(1), text(29)), ("libdemo.so.1", "libc.so.6", "$ORIGIN"));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn programs_run_and_exit_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).mode(0o755).open(&path).unwrap();
        std::io::Write::write_all(&mut file, &ElfBuilder::program("amd64").needs("libc.so.6").build()).unwrap();
        drop(file);
        assert_eq!(Command::new(path).status().unwrap().code(), Some(0));
    }
}
