//! Which wheels a target can run: platform compatibility tags (PEP 425, with PEP 600, 656 and 803).
//!
//! 1. [`Target`] names an interpreter and a platform.
//! 2. [`Tags::for_target`] lists every tag that it accepts, the best first.
//! 3. [`Tags::best`] chooses a wheel, and [`Tags::explain`] says why none fits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;
use serde::{Deserialize, Serialize};

use crate::wheel::WheelFilename;

/// CPython on Linux, as an image holds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The full version, such as `3.13.5`.
    pub python: Version,
    /// Whether the interpreter is built without the global lock (ABI flag `t`, PEP 703).
    pub free_threaded: bool,
    /// The processor.
    pub arch: Arch,
    /// The C library.
    pub libc: Libc,
}

/// A processor architecture for which Linux wheels exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the variants are the kernel's names")]
pub enum Arch {
    #[serde(rename = "x86_64")]
    X86_64,
    Aarch64,
    I686,
    Armv7l,
    Ppc64le,
    S390x,
    Riscv64,
    Loongarch64,
}

impl Arch {
    const ALL: [Self; 8] = [
        Self::X86_64,
        Self::Aarch64,
        Self::I686,
        Self::Armv7l,
        Self::Ppc64le,
        Self::S390x,
        Self::Riscv64,
        Self::Loongarch64,
    ];

    /// The name that `uname -m`, `platform_machine` and wheel tags use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::I686 => "i686",
            Self::Armv7l => "armv7l",
            Self::Ppc64le => "ppc64le",
            Self::S390x => "s390x",
            Self::Riscv64 => "riscv64",
            Self::Loongarch64 => "loongarch64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Arch {
    type Err = UnknownArch;

    fn from_str(text: &str) -> Result<Self, UnknownArch> {
        Self::ALL.into_iter().find(|arch| arch.as_str() == text).ok_or_else(|| UnknownArch(text.to_owned()))
    }
}

/// No Linux wheels exist for a processor of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no architecture that Linux wheels are built for")]
pub struct UnknownArch(String);

/// A C library and its version, which a binary wheel must not be newer than.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "a version has a major and a minor part")]
pub enum Libc {
    /// The GNU C library: `manylinux` wheels (PEP 600).
    Glibc { major: u16, minor: u16 },
    /// musl: `musllinux` wheels (PEP 656).
    Musl { major: u16, minor: u16 },
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glibc { major, minor } => write!(f, "glibc {major}.{minor}"),
            Self::Musl { major, minor } => write!(f, "musl {major}.{minor}"),
        }
    }
}

impl Target {
    /// An ordinary interpreter of this version.
    pub fn new(python: Version, arch: Arch, libc: Libc) -> Self {
        Self { python, free_threaded: false, arch, libc }
    }

    /// The first two numbers of the version.
    pub fn python_minor(&self) -> (u64, u64) {
        let release = self.python.release();
        (release.first().copied().unwrap_or(0), release.get(1).copied().unwrap_or(0))
    }

    /// The interpreter tag, such as `cp313`.
    pub fn interpreter_tag(&self) -> String {
        let (major, minor) = self.python_minor();
        format!("cp{major}{minor}")
    }

    /// The ABI tag, such as `cp313`, `cp313t` or `cp37m`.
    pub fn abi_tag(&self) -> String {
        // Until 3.7 the flag of pymalloc, which every build had, was part of the tag.
        let flags = if self.free_threaded {
            "t"
        } else if self.python_minor() < (3, 8) {
            "m"
        } else {
            ""
        };
        self.interpreter_tag() + flags
    }

    /// The cache tag in the names of compiled modules, such as `cpython-313` (PEP 3147).
    pub fn cache_tag(&self) -> String {
        let (major, minor) = self.python_minor();
        format!("cpython-{major}{minor}")
    }

    /// Every platform tag that the machine accepts, the best first.
    pub fn platform_tags(&self) -> Vec<String> {
        let arch = self.arch;
        let mut tags = vec![format!("linux_{arch}")];
        match self.libc {
            Libc::Musl { major, minor } => {
                tags.extend((0..=minor).rev().map(|minor| format!("musllinux_{major}_{minor}_{arch}")));
            }
            Libc::Glibc { major, minor } => {
                let oldest = if matches!(arch, Arch::X86_64 | Arch::I686) { 5 } else { 17 };
                for minor in (oldest..=minor).rev() {
                    tags.push(format!("manylinux_{major}_{minor}_{arch}"));
                    let legacy = LEGACY_MANYLINUX.iter().find(|(_, glibc)| *glibc == (major, minor));
                    tags.extend(legacy.map(|(name, _)| format!("{name}_{arch}")));
                }
            }
        }
        tags
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.python_minor();
        let flags = if self.free_threaded { "t" } else { "" };
        write!(f, "CPython {major}.{minor}{flags} on Linux {} with {}", self.arch, self.libc)
    }
}

/// The manylinux tags from before PEP 600, with the glibc that each stands for.
const LEGACY_MANYLINUX: [(&str, (u16, u16)); 3] =
    [("manylinux2014", (2, 17)), ("manylinux2010", (2, 12)), ("manylinux1", (2, 5))];

/// One compatibility tag, `python-abi-platform`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the fields are the parts of PEP 425")]
pub struct Tag {
    pub python: String,
    pub abi: String,
    pub platform: String,
}

impl Tag {
    fn new(python: &str, abi: &str, platform: &str) -> Self {
        Self { python: python.to_owned(), abi: abi.to_owned(), platform: platform.to_owned() }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.python, self.abi, self.platform)
    }
}

/// The tags that a target accepts, the best first.
#[derive(Debug, Clone)]
pub struct Tags {
    target: Target,
    tags: Vec<Tag>,
    ranks: BTreeMap<Tag, usize>,
}

impl Tags {
    /// All tags of the target, in the order in which installers prefer them (PEP 425, "Use").
    pub fn for_target(target: &Target) -> Self {
        let (major, minor) = target.python_minor();
        let (interpreter, abi) = (target.interpreter_tag(), target.abi_tag());
        let stable = if target.free_threaded { "abi3t" } else { "abi3" };
        let platforms = target.platform_tags();
        let older = || (0..minor).rev().map(|minor| format!("{major}{minor}"));

        let mut pairs = vec![(interpreter.clone(), abi.as_str())];
        if (major, minor) >= (3, 2) {
            pairs.push((interpreter.clone(), stable));
        }
        pairs.push((interpreter.clone(), "none"));
        let stable_since = (2..minor).rev().filter(|_| major == 3);
        pairs.extend(stable_since.map(|minor| (format!("cp{major}{minor}"), stable)));
        let pythons: Vec<_> = [format!("py{major}{minor}"), format!("py{major}")]
            .into_iter()
            .chain(older().map(|version| format!("py{version}")))
            .collect();
        pairs.extend(pythons.iter().map(|python| (python.clone(), "none")));

        let mut tags: Vec<_> = pairs
            .iter()
            .flat_map(|(python, abi)| platforms.iter().map(|platform| Tag::new(python, abi, platform)))
            .collect();
        tags.push(Tag::new(&interpreter, "none", "any"));
        tags.extend(pythons.iter().map(|python| Tag::new(python, "none", "any")));
        let ranks = tags.iter().cloned().enumerate().map(|(rank, tag)| (tag, rank)).collect();
        Self { target: target.clone(), tags, ranks }
    }

    /// The target they are for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The tags, the best first.
    pub fn iter(&self) -> impl Iterator<Item = &Tag> {
        self.tags.iter()
    }

    /// How well the wheel fits, 0 being best; `None` if it does not.
    pub fn rank(&self, wheel: &WheelFilename) -> Option<usize> {
        wheel.tags().filter_map(|tag| self.ranks.get(&tag).copied()).min()
    }

    /// The index of the best wheel: the newest version, of that the best tag, of that the highest build number.
    pub fn best(&self, wheels: &[WheelFilename]) -> Option<usize> {
        let fitting = wheels.iter().enumerate().filter_map(|(i, wheel)| Some((i, wheel, self.rank(wheel)?)));
        let key = |(i, wheel, rank): &(usize, &WheelFilename, usize)| {
            use std::cmp::Reverse;
            (wheel.version.clone(), Reverse(*rank), wheel.build.clone(), Reverse(*i))
        };
        fitting.max_by_key(key).map(|(i, _, _)| i)
    }

    /// Why none of `wheels` fits, in one line such as `no wheel for cp313 on linux_aarch64: it has cp312 for linux_aarch64`.
    pub fn explain(&self, wheels: &[WheelFilename]) -> String {
        let Target { arch, libc, .. } = &self.target;
        let wanted = format!("no wheel for {} on {} {arch} with {libc}", self.target.abi_tag(), "Linux");
        if wheels.is_empty() {
            return format!("{wanted}: it has no wheels at all");
        }
        let (mut newer_libc, mut pythons, mut platforms) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for wheel in wheels {
            let python_fits = wheel.tags().any(|tag| self.python_fits(&tag));
            for platform in &wheel.platforms {
                let fits = platform == "any" || self.tags.iter().any(|tag| tag.platform == *platform);
                if python_fits {
                    match self.needed_libc(platform) {
                        Some(needed) if !fits => _ = newer_libc.insert(needed),
                        _ => _ = platforms.insert(platform_family(platform)),
                    }
                } else if fits {
                    let abi_matters = wheel.abis.iter().any(|abi| abi.starts_with("cp") || abi.starts_with("abi3"));
                    pythons.extend(if abi_matters { &wheel.abis } else { &wheel.pythons }.iter().cloned());
                }
            }
        }
        let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
        if let Some((major, minor)) = newer_libc.first() {
            format!("{wanted}: the oldest that would do needs {major}.{minor}")
        } else if !pythons.is_empty() {
            format!("{wanted}: for that platform it has {}", list(pythons))
        } else if !platforms.is_empty() {
            format!("{wanted}: for that Python it has {}", list(platforms))
        } else {
            let all = wheels.iter().flat_map(|wheel| &wheel.platforms);
            format!("{wanted}: it has only {}", list(all.map(|platform| platform_family(platform)).collect()))
        }
    }

    /// Whether the tag would fit on some platform.
    fn python_fits(&self, wheel: &Tag) -> bool {
        self.tags.iter().any(|tag| tag.python == wheel.python && tag.abi == wheel.abi)
    }

    /// The C library that a platform tag of this architecture asks for, if it is the library of the target.
    fn needed_libc(&self, platform: &str) -> Option<(u16, u16)> {
        let arch = self.target.arch.as_str();
        let family = if matches!(self.target.libc, Libc::Glibc { .. }) { "manylinux_" } else { "musllinux_" };
        let version = platform.strip_prefix(family)?.strip_suffix(arch)?.strip_suffix('_')?;
        let (major, minor) = version.split_once('_')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }
}

/// A platform tag without the version of its C library or system: `manylinux x86_64`, `macosx`, `win_amd64`.
pub(crate) fn platform_family(platform: &str) -> String {
    let family = platform.split('_').next().unwrap_or(platform);
    match family {
        "macosx" => "macOS".to_owned(),
        "win" | "win32" => "Windows".to_owned(),
        _ if family.starts_with("manylinux") || matches!(family, "musllinux" | "linux") => {
            let family = family.trim_end_matches(|c: char| c.is_ascii_digit());
            let arch = Arch::ALL.iter().find(|arch| platform.ends_with(&format!("_{arch}")));
            arch.map_or_else(|| platform.to_owned(), |arch| format!("{family} {arch}"))
        }
        _ => platform.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(python: &str, arch: Arch, libc: Libc) -> Target {
        Target::new(python.parse().unwrap(), arch, libc)
    }

    fn trixie() -> Target {
        target("3.13.5", Arch::X86_64, Libc::Glibc { major: 2, minor: 41 })
    }

    fn wheels(names: &[&str]) -> Vec<WheelFilename> {
        names.iter().map(|name| WheelFilename::parse(name).unwrap()).collect()
    }

    #[test]
    fn tags_come_in_the_order_of_preference() {
        let small = target("3.4", Arch::Aarch64, Libc::Glibc { major: 2, minor: 18 });
        let tags: Vec<_> = Tags::for_target(&small).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(tags.join(" "), @r#"cp34-cp34m-linux_aarch64 cp34-cp34m-manylinux_2_18_aarch64 cp34-cp34m-manylinux_2_17_aarch64 cp34-cp34m-manylinux2014_aarch64 cp34-abi3-linux_aarch64 cp34-abi3-manylinux_2_18_aarch64 cp34-abi3-manylinux_2_17_aarch64 cp34-abi3-manylinux2014_aarch64 cp34-none-linux_aarch64 cp34-none-manylinux_2_18_aarch64 cp34-none-manylinux_2_17_aarch64 cp34-none-manylinux2014_aarch64 cp33-abi3-linux_aarch64 cp33-abi3-manylinux_2_18_aarch64 cp33-abi3-manylinux_2_17_aarch64 cp33-abi3-manylinux2014_aarch64 cp32-abi3-linux_aarch64 cp32-abi3-manylinux_2_18_aarch64 cp32-abi3-manylinux_2_17_aarch64 cp32-abi3-manylinux2014_aarch64 py34-none-linux_aarch64 py34-none-manylinux_2_18_aarch64 py34-none-manylinux_2_17_aarch64 py34-none-manylinux2014_aarch64 py3-none-linux_aarch64 py3-none-manylinux_2_18_aarch64 py3-none-manylinux_2_17_aarch64 py3-none-manylinux2014_aarch64 py33-none-linux_aarch64 py33-none-manylinux_2_18_aarch64 py33-none-manylinux_2_17_aarch64 py33-none-manylinux2014_aarch64 py32-none-linux_aarch64 py32-none-manylinux_2_18_aarch64 py32-none-manylinux_2_17_aarch64 py32-none-manylinux2014_aarch64 py31-none-linux_aarch64 py31-none-manylinux_2_18_aarch64 py31-none-manylinux_2_17_aarch64 py31-none-manylinux2014_aarch64 py30-none-linux_aarch64 py30-none-manylinux_2_18_aarch64 py30-none-manylinux_2_17_aarch64 py30-none-manylinux2014_aarch64 cp34-none-any py34-none-any py3-none-any py33-none-any py32-none-any py31-none-any py30-none-any"#);
        let tags = Tags::for_target(&trixie());
        assert_eq!(tags.iter().count(), (1 + 37 + 3) * (3 + 11 + 15) + 16);
        let mut free = trixie();
        free.free_threaded = true;
        let free = Tags::for_target(&free);
        assert!(free.iter().all(|tag| tag.abi != "abi3") && free.iter().any(|tag| tag.abi == "cp313t"));
        let musl = target("3.7.17", Arch::I686, Libc::Musl { major: 1, minor: 2 });
        assert_eq!(
            musl.platform_tags(),
            ["linux_i686", "musllinux_1_2_i686", "musllinux_1_1_i686", "musllinux_1_0_i686"]
        );
        assert_eq!(musl.abi_tag(), "cp37m");
    }

    #[test]
    fn the_best_wheel_is_chosen() {
        let tags = Tags::for_target(&trixie());
        for (names, best) in [
            (&["a-1-py3-none-any.whl", "a-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"][..], Some(1)),
            (&["a-1-cp313-cp313-manylinux_2_17_x86_64.whl", "a-1-cp313-cp313-manylinux_2_28_x86_64.whl"], Some(1)),
            (&["a-1-cp313-cp313-manylinux_2_42_x86_64.whl", "a-1-cp39-abi3-manylinux2014_x86_64.whl"], Some(1)),
            (&["a-1-1-py3-none-any.whl", "a-1-10b-py3-none-any.whl", "a-1-9-py3-none-any.whl"], Some(1)),
            (&["a-1-py2.py3-none-any.whl", "a-2-py3-none-any.whl"], Some(1)),
            (&["a-1-py3-none-any.whl", "a-1-py3-none-any.whl"], Some(0)),
            (&["a-1-cp313-cp313t-manylinux_2_17_x86_64.whl", "a-1-cp314-abi3-manylinux_2_17_x86_64.whl"], None),
            (&["a-1-cp313-cp313-win_amd64.whl", "a-1-cp313-cp313-musllinux_1_2_x86_64.whl"], None),
            (&[], None),
        ] {
            assert_eq!(tags.best(&wheels(names)), best, "{names:?}");
        }
    }

    #[test]
    fn the_reason_why_none_fits_is_the_nearest_miss() {
        let tags = Tags::for_target(&trixie());
        let reasons: Vec<_> = [
            &["a-1-cp312-cp312-manylinux2014_x86_64.whl", "a-1-cp311-cp311-manylinux2014_x86_64.whl"][..],
            &["a-1-cp313-cp313-manylinux_2_43_x86_64.whl", "a-1-cp313-cp313-manylinux_2_45_x86_64.whl"],
            &["a-1-cp313-cp313-win_amd64.whl", "a-1-cp313-cp313-macosx_11_0_arm64.whl"],
            &["a-1-cp39-abi3-manylinux2014_aarch64.whl", "a-1-cp39-abi3-musllinux_1_2_x86_64.whl"],
            &["a-1-cp27-cp27mu-manylinux1_i686.whl"],
            &["a-1-py2-none-any.whl"],
            &[],
        ]
        .iter()
        .map(|names| tags.explain(&wheels(names)))
        .collect();
        insta::assert_snapshot!(reasons.join("\n"), @r#"
        no wheel for cp313 on Linux x86_64 with glibc 2.41: for that platform it has cp311, cp312
        no wheel for cp313 on Linux x86_64 with glibc 2.41: the oldest that would do needs 2.43
        no wheel for cp313 on Linux x86_64 with glibc 2.41: for that Python it has Windows, macOS
        no wheel for cp313 on Linux x86_64 with glibc 2.41: for that Python it has manylinux aarch64, musllinux x86_64
        no wheel for cp313 on Linux x86_64 with glibc 2.41: it has only manylinux i686
        no wheel for cp313 on Linux x86_64 with glibc 2.41: for that platform it has py2
        no wheel for cp313 on Linux x86_64 with glibc 2.41: it has no wheels at all
        "#);
    }
}
