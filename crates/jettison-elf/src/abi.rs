//! What a machine's loader will accept together, and the names that glibc and Debian have for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The width of addresses (`EI_CLASS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// 32 bits.
    #[serde(rename = "32")]
    Elf32,
    /// 64 bits.
    #[serde(rename = "64")]
    Elf64,
}

/// The order of bytes in a number (`EI_DATA`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ByteOrder {
    /// Least significant first.
    Little,
    /// Most significant first.
    Big,
}

/// The instruction set (`e_machine`), by the number in the ELF registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Machine(pub u16);

impl Machine {
    /// Intel 80386.
    pub const I386: Self = Self(3);
    /// PowerPC, 32 bits.
    pub const PPC: Self = Self(20);
    /// PowerPC, 64 bits.
    pub const PPC64: Self = Self(21);
    /// IBM S/390 and z.
    pub const S390: Self = Self(22);
    /// ARM, 32 bits.
    pub const ARM: Self = Self(40);
    /// AMD and Intel, 64 bits (and x32).
    pub const X86_64: Self = Self(62);
    /// ARM, 64 bits.
    pub const AARCH64: Self = Self(183);
    /// RISC-V.
    pub const RISCV: Self = Self(243);
    /// LoongArch.
    pub const LOONGARCH: Self = Self(258);
}

/// Class, byte order and machine: objects that differ in one of them are never loaded into one process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Abi {
    /// The width of addresses.
    pub class: Class,
    /// The order of bytes.
    pub order: ByteOrder,
    /// The instruction set.
    pub machine: Machine,
}

/// How one architecture is called: by `uname -m`, by Debian's multiarch, and by `ldconfig -p` after `libc6`.
struct Names {
    uname: &'static str,
    triplet: &'static str,
    ldconfig: &'static str,
}

impl Abi {
    /// x86_64, Debian's amd64.
    pub const X86_64: Self = Self { class: Class::Elf64, order: ByteOrder::Little, machine: Machine::X86_64 };
    /// aarch64, Debian's arm64.
    pub const AARCH64: Self = Self { class: Class::Elf64, order: ByteOrder::Little, machine: Machine::AARCH64 };

    fn names(self) -> Option<Names> {
        use ByteOrder::{Big, Little};
        use Class::{Elf32, Elf64};
        let (uname, triplet, ldconfig) = match (self.machine, self.class, self.order) {
            (Machine::X86_64, Elf64, Little) => ("x86_64", "x86_64-linux-gnu", ",x86-64"),
            (Machine::AARCH64, Elf64, Little) => ("aarch64", "aarch64-linux-gnu", ",AArch64"),
            (Machine::I386, Elf32, Little) => ("i686", "i386-linux-gnu", ""),
            (Machine::ARM, Elf32, Little) => ("armv7l", "arm-linux-gnueabihf", ",hard-float"),
            (Machine::PPC64, Elf64, Little) => ("ppc64le", "powerpc64le-linux-gnu", ",64bit"),
            (Machine::S390, Elf64, Big) => ("s390x", "s390x-linux-gnu", ",64bit"),
            (Machine::RISCV, Elf64, Little) => ("riscv64", "riscv64-linux-gnu", ",double-float"),
            (Machine::LOONGARCH, Elf64, Little) => ("loongarch64", "loongarch64-linux-gnu", ",double-float"),
            _ => return None,
        };
        Some(Names { uname, triplet, ldconfig })
    }

    /// The machine as `uname -m` writes it and `$PLATFORM` expands to; `None` where no Debian architecture has this ABI.
    pub fn uname(self) -> Option<&'static str> {
        self.names().map(|names| names.uname)
    }

    /// Debian's multiarch triplet.
    pub fn triplet(self) -> Option<&'static str> {
        self.names().map(|names| names.triplet)
    }

    /// The text in the brackets of a line of `ldconfig -p`, such as `libc6,x86-64`.
    pub fn ldconfig_label(self) -> String {
        format!("libc6{}", self.names().map_or("", |names| names.ldconfig))
    }

    /// The directories that the loader searches by itself, in its order: Debian's multiarch ones and the plain ones, then
    /// the `lib64` of other distributions. They have no leading slash.
    pub fn library_dirs(self) -> Vec<String> {
        let multiarch = self.triplet().into_iter().flat_map(|t| [format!("lib/{t}"), format!("usr/lib/{t}")]);
        let wide = (self.class == Class::Elf64).then_some(["lib64", "usr/lib64"]).into_iter().flatten();
        multiarch.chain(["lib", "usr/lib"].into_iter().chain(wide).map(str::to_owned)).collect()
    }

    /// What `$LIB` may stand for: `lib/<triplet>` in Debian's glibc, `lib64` or `lib` in others'.
    pub(crate) fn lib_tokens(self) -> Vec<String> {
        let wide = (self.class == Class::Elf64).then(|| "lib64".to_owned());
        self.triplet().map(|t| format!("lib/{t}")).into_iter().chain(wide).chain(["lib".to_owned()]).collect()
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.uname() {
            return f.write_str(name);
        }
        let bits = if self.class == Class::Elf64 { 64 } else { 32 };
        let order = if self.order == ByteOrder::Little { "little" } else { "big" };
        write!(f, "machine {} ({bits} bits, {order}-endian)", self.machine.0)
    }
}

impl fmt::Debug for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_directories_come_before_plain_ones() {
        let dirs = Abi::AARCH64.library_dirs();
        assert_eq!(dirs[..3], ["lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib"]);
        let sparc = Abi { class: Class::Elf32, order: ByteOrder::Big, machine: Machine(2) };
        assert_eq!(sparc.library_dirs(), ["lib", "usr/lib"]);
        assert_eq!(sparc.to_string(), "machine 2 (32 bits, big-endian)");
    }
}
