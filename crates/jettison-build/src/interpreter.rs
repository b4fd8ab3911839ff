//! The interpreter of an image: which version, where it stands, what its C library offers.

use jettison_elf::Abi;
use jettison_python::wheel::InstallLayout;
use jettison_python::{Arch, Libc, Target, Version};
use jettison_tree::TreePath;
use serde::{Deserialize, Serialize};

use crate::error::BuildError;

/// An interpreter in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// `3.13.5`
    pub version: Version,
    /// Its absolute path in the image.
    pub executable: String,
    /// Where its own modules stand.
    pub stdlib: TreePath,
    /// Where distributions are installed.
    pub site_packages: TreePath,
    /// The prefix of what distributions bring besides modules.
    pub prefix: TreePath,
    /// The C library below it.
    pub libc: CLibrary,
}

/// A C library, with the first two numbers of its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CLibrary {
    /// The GNU C library.
    Glibc(u16, u16),
    /// musl, of Alpine.
    Musl(u16, u16),
}

impl Interpreter {
    /// Debian's interpreter of this version. What is installed goes to `/usr/local`, as `pip install` of root does there.
    pub fn debian(version: Version, glibc: (u16, u16)) -> Result<Self, BuildError> {
        let (major, minor) = minor(&version);
        Ok(Self {
            executable: format!("/usr/bin/python{major}.{minor}"),
            stdlib: TreePath::parse(format!("usr/lib/python{major}.{minor}"))?,
            site_packages: TreePath::parse(format!("usr/local/lib/python{major}.{minor}/dist-packages"))?,
            prefix: TreePath::parse("usr/local")?,
            version,
            libc: CLibrary::Glibc(glibc.0, glibc.1),
        })
    }

    /// An interpreter as it is built from Python's own sources, of which `executable` (`usr/local/bin/python3.12`) says the
    /// prefix.
    pub fn plain(version: Version, executable: &TreePath, libc: CLibrary) -> Result<Self, BuildError> {
        let (major, minor) = minor(&version);
        let prefix = executable.parent().and_then(|bin| bin.parent());
        let prefix = prefix.ok_or_else(|| BuildError::new(format!("`{executable}` stands in no prefix")))?;
        Ok(Self {
            executable: format!("/{executable}"),
            stdlib: prefix.join(format!("lib/python{major}.{minor}"))?,
            site_packages: prefix.join(format!("lib/python{major}.{minor}/site-packages"))?,
            prefix,
            version,
            libc,
        })
    }

    /// `(3, 13)`
    pub fn minor(&self) -> (u64, u64) {
        minor(&self.version)
    }

    /// What distributions are chosen for.
    pub fn target(&self, arch: Arch) -> Target {
        let libc = match self.libc {
            CLibrary::Glibc(major, minor) => Libc::Glibc { major, minor },
            CLibrary::Musl(major, minor) => Libc::Musl { major, minor },
        };
        Target::new(self.version.clone(), arch, libc)
    }

    /// Where the parts of a wheel go.
    pub fn layout(&self) -> Result<InstallLayout, BuildError> {
        let (major, minor) = self.minor();
        Ok(InstallLayout {
            site_packages: self.site_packages.clone(),
            scripts: self.prefix.join("bin")?,
            headers: self.prefix.join(format!("include/python{major}.{minor}"))?,
            data: self.prefix.clone(),
            python: self.executable.clone(),
        })
    }
}

fn minor(version: &Version) -> (u64, u64) {
    let release = version.release();
    (release.first().copied().unwrap_or(3), release.get(1).copied().unwrap_or(0))
}

/// What an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// As Python names it.
    pub arch: Arch,
    /// As Debian names it.
    pub debian: jettison_debian::Architecture,
    /// As ELF names it.
    pub abi: Abi,
}

impl Machine {
    /// The machine that Linux gives this name: `x86_64`, `aarch64`.
    pub fn of_linux(name: &str) -> Result<Self, BuildError> {
        match name {
            "x86_64" => Self::of_oci("amd64"),
            "aarch64" => Self::of_oci("arm64"),
            other => Self::of_oci(other),
        }
    }

    /// The machine of an OCI architecture.
    pub fn of_oci(architecture: &str) -> Result<Self, BuildError> {
        match architecture {
            "amd64" => Ok(Self { arch: Arch::X86_64, debian: jettison_debian::Architecture::Amd64, abi: Abi::X86_64 }),
            "arm64" => {
                Ok(Self { arch: Arch::Aarch64, debian: jettison_debian::Architecture::Arm64, abi: Abi::AARCH64 })
            }
            other => Err(BuildError::new(format!("images for `{other}` cannot be built"))
                .hint("there is linux/amd64 and linux/arm64")),
        }
    }
}
