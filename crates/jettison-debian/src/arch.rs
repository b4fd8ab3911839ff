//! Architectures as Debian names them, with where their libraries live.

use std::fmt;
use std::str::FromStr;

/// A Debian architecture (Policy 11.1) that Linux images are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
    /// ARM EABI without an FPU.
    Armel,
    /// ARMv7 with an FPU.
    Armhf,
    /// 32-bit x86.
    I386,
    /// LoongArch, 64 bits.
    Loong64,
    /// MIPS, 64 bits, little endian.
    Mips64el,
    /// POWER, little endian.
    Ppc64el,
    /// RISC-V, 64 bits.
    Riscv64,
    /// IBM Z.
    S390x,
}

impl Architecture {
    /// All of them, by name.
    pub const ALL: [Self; 10] = [
        Self::Amd64,
        Self::Arm64,
        Self::Armel,
        Self::Armhf,
        Self::I386,
        Self::Loong64,
        Self::Mips64el,
        Self::Ppc64el,
        Self::Riscv64,
        Self::S390x,
    ];

    /// The name in control files, such as `amd64`.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The multiarch triplet, such as `x86_64-linux-gnu`: the directory below `/usr/lib` with its libraries.
    pub const fn triplet(self) -> &'static str {
        self.row().1
    }

    /// The program interpreter that its ABI fixes, as ELF files name it.
    pub const fn loader(self) -> &'static str {
        self.row().2
    }

    /// The links at the root that a merged `/usr` has on it, each to `usr/<itself>`.
    pub const fn usr_merge_links(self) -> &'static [&'static str] {
        match self {
            Self::Amd64 | Self::Loong64 | Self::Mips64el | Self::Ppc64el => &["bin", "lib", "lib64", "sbin"],
            _ => &["bin", "lib", "sbin"],
        }
    }

    const fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Amd64 => ("amd64", "x86_64-linux-gnu", "/lib64/ld-linux-x86-64.so.2"),
            Self::Arm64 => ("arm64", "aarch64-linux-gnu", "/lib/ld-linux-aarch64.so.1"),
            Self::Armel => ("armel", "arm-linux-gnueabi", "/lib/ld-linux.so.3"),
            Self::Armhf => ("armhf", "arm-linux-gnueabihf", "/lib/ld-linux-armhf.so.3"),
            Self::I386 => ("i386", "i386-linux-gnu", "/lib/ld-linux.so.2"),
            Self::Loong64 => ("loong64", "loongarch64-linux-gnu", "/lib64/ld-linux-loongarch-lp64d.so.1"),
            Self::Mips64el => ("mips64el", "mips64el-linux-gnuabi64", "/lib64/ld.so.1"),
            Self::Ppc64el => ("ppc64el", "powerpc64le-linux-gnu", "/lib64/ld64.so.2"),
            Self::Riscv64 => ("riscv64", "riscv64-linux-gnu", "/lib/ld-linux-riscv64-lp64d.so.1"),
            Self::S390x => ("s390x", "s390x-linux-gnu", "/lib/ld64.so.1"),
        }
    }

    /// Whether an architecture in a relation or a `Packages` entry means this one: by name, `all`, or a wildcard such as
    /// `any`, `linux-any` or `any-amd64` (Policy 11.1.1).
    pub fn matches(self, pattern: &str) -> bool {
        match pattern.split_once('-') {
            None => pattern == "any" || pattern == "all" || pattern == self.name(),
            Some(("any" | "linux", cpu)) => cpu == "any" || cpu == self.name(),
            Some(("gnu", rest)) => {
                matches!(rest.strip_prefix("linux-"), Some(cpu) if cpu == "any" || cpu == self.name())
            }
            Some(_) => false,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Architecture {
    type Err = ArchitectureError;

    fn from_str(name: &str) -> Result<Self, ArchitectureError> {
        let found = Self::ALL.into_iter().find(|architecture| architecture.name() == name);
        found.ok_or_else(|| ArchitectureError(name.to_owned()))
    }
}

/// No architecture has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an architecture that Debian has for Linux")]
pub struct ArchitectureError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_wildcards_match() {
        for architecture in Architecture::ALL {
            assert_eq!(architecture.name().parse(), Ok(architecture));
        }
        assert!("x86_64".parse::<Architecture>().is_err());
        for (pattern, matches) in [
            ("arm64", true),
            ("all", true),
            ("any", true),
            ("linux-any", true),
            ("any-arm64", true),
            ("gnu-linux-any", true),
            ("amd64", false),
            ("kfreebsd-any", false),
            ("any-amd64", false),
        ] {
            assert_eq!(Architecture::Arm64.matches(pattern), matches, "{pattern}");
        }
    }
}
