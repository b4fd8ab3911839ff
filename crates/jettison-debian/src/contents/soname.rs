//! Shared libraries by the name that the dynamic loader looks for.

use std::io::{self, Read, Write};

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use memchr::memmem;

use super::{for_each_line, locations, split_line};
use crate::Architecture;

/// The first line of a kept index. Another form of lines needs another one.
const HEAD: &str = "jettison sonames 1\n";
/// Ten times what Debian has.
const SIZE_LIMIT: u64 = 32 << 20;
/// Below a library directory: where libraries lie that `update-alternatives` links into it. The name of the link is theirs.
const ALTERNATIVES: [&str; 3] = ["blas/", "lapack/", "openblas-pthread/"];

/// Which packages have a shared library where the loader finds it, the best choice first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SonameIndex {
    /// `soname package package…\n` in the order of the sonames.
    text: String,
    lines: Vec<u32>,
}

impl SonameIndex {
    /// The packages with a library, the best first: named after it as Debian names libraries, in section `libs`, short.
    pub fn packages(&self, soname: &str) -> impl Iterator<Item = &str> {
        let place = self.lines.binary_search_by(|&start| self.line(start).0.cmp(soname)).ok();
        place.into_iter().flat_map(|place| self.line(self.lines[place]).1.split(' '))
    }

    /// The best of them.
    pub fn package(&self, soname: &str) -> Option<&str> {
        self.packages(soname).next()
    }

    /// The number of sonames.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    fn line(&self, start: u32) -> (&str, &str) {
        let line = self.text[start as usize..].split('\n').next().unwrap_or_default();
        line.split_once(' ').unwrap_or((line, ""))
    }

    /// Writes the index, compressed.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut gzip = GzEncoder::new(out, flate2::Compression::default());
        gzip.write_all(HEAD.as_bytes())?;
        gzip.write_all(self.text.as_bytes())?;
        gzip.finish()?.flush()
    }

    /// Reads what [`write`](Self::write) wrote.
    pub fn read(reader: impl Read) -> Result<Self, SonameError> {
        let mut text = String::new();
        GzDecoder::new(reader).take(SIZE_LIMIT).read_to_string(&mut text)?;
        let text = text.strip_prefix(HEAD).ok_or(SonameError::NotAnIndex)?;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(SonameError::NotAnIndex);
        }
        let index = Self::over(text.to_owned());
        let sound = index.lines.is_sorted_by(|&left, &right| index.line(left).0 < index.line(right).0);
        if sound && index.lines.iter().all(|&start| !index.line(start).1.is_empty()) {
            Ok(index)
        } else {
            Err(SonameError::NotAnIndex)
        }
    }

    fn over(text: String) -> Self {
        let lines = text.split_inclusive('\n').scan(0, |at, line| {
            let start = *at;
            *at += line.len() as u32;
            Some(start)
        });
        let lines = lines.collect();
        Self { text, lines }
    }
}

/// Distils `Contents` files into a [`SonameIndex`].
#[derive(Debug)]
pub struct SonameIndexBuilder {
    architecture: Architecture,
    found: Vec<(Box<str>, Rank, Box<str>)>,
}

/// Lower is better.
type Rank = (bool, u8, usize);

impl SonameIndexBuilder {
    /// Looks at the library directories of an architecture.
    pub fn new(architecture: Architecture) -> Self {
        Self { architecture, found: Vec::new() }
    }

    /// Adds a decompressed `Contents` file. Several may be added, such as that of a security suite.
    pub fn add(&mut self, contents: impl Read) -> io::Result<()> {
        let so = memmem::Finder::new(b".so");
        for_each_line(contents, |line| {
            if (line.starts_with(b"usr/lib") || line.starts_with(b"lib")) && so.find(line).is_some() {
                self.add_line(line);
            }
        })
    }

    fn add_line(&mut self, line: &[u8]) {
        let Some((path, column)) = split_line(line) else { return };
        let Some(name) = library_name(path, self.architecture) else { return };
        let Some((_, version)) = name.split_once(".so") else { return };
        if !version.is_empty() && !version.starts_with('.') || name.contains(' ') {
            return;
        }
        for (section, package) in locations(column) {
            let is_for_building = ["-dev", "-dbg", "-dbgsym"].iter().any(|end| package.ends_with(end));
            // `libpq.so` in libpq-dev is what the linker reads; a library that is really called so is in no such package.
            if !(version.is_empty() && is_for_building) {
                self.found.push((name.into(), rank(name, section, package), package.into()));
            }
        }
    }

    /// The index of all that was added.
    pub fn finish(mut self) -> SonameIndex {
        self.found.sort_unstable();
        self.found.dedup_by(|later, earlier| later.0 == earlier.0 && later.2 == earlier.2);
        let mut text = String::new();
        let mut last: Option<&str> = None;
        for (soname, _, package) in &self.found {
            if last != Some(soname) {
                if last.is_some() {
                    text.push('\n');
                }
                text.push_str(soname);
                last = Some(soname);
            }
            text.push(' ');
            text.push_str(package);
        }
        if last.is_some() {
            text.push('\n');
        }
        SonameIndex::over(text)
    }
}

/// The name of a file that lies right in a directory of the loader.
fn library_name(path: &str, architecture: Architecture) -> Option<&str> {
    let path = path.strip_prefix("usr/").unwrap_or(path);
    let name = match path.strip_prefix("lib/") {
        Some(rest) => {
            let rest =
                rest.strip_prefix(architecture.triplet()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(rest);
            ALTERNATIVES.iter().find_map(|directory| rest.strip_prefix(directory)).unwrap_or(rest)
        }
        None => path.strip_prefix("lib64/")?,
    };
    (!name.contains('/')).then_some(name)
}

fn rank(soname: &str, section: &str, package: &str) -> Rank {
    let section = match section {
        "libs" => 0,
        "oldlibs" => 2,
        "libdevel" | "debug" => 3,
        _ => 1,
    };
    let package_stem = package.strip_suffix("t64").unwrap_or(package);
    (package_name(soname) != package_stem, section, package.len())
}

/// What Debian calls the package of a library (Policy 8.1): `libpq.so.5` is in `libpq5`, `libfoo2.so.1` in `libfoo2-1`.
fn package_name(soname: &str) -> String {
    let (stem, version) = soname.split_once(".so").unwrap_or((soname, ""));
    let version = version.trim_start_matches('.');
    let joint = if stem.ends_with(|last: char| last.is_ascii_digit()) && !version.is_empty() { "-" } else { "" };
    format!("{stem}{joint}{version}").replace('_', "-").to_lowercase()
}

/// A file that is no kept index.
#[derive(Debug, thiserror::Error)]
pub enum SonameError {
    /// It cannot be read.
    #[error("the kept index of sonames: {0}")]
    Io(#[from] io::Error),
    /// It is something else, or of another version.
    #[error("the kept index of sonames is broken, or of another version")]
    NotAnIndex,
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENTS: &str = "\
bin/ls admin/coreutils
lib/x86_64-linux-gnu/libc.so.6                          libs/libc6
usr/lib/x86_64-linux-gnu/libpq.so                       libdevel/libpq-dev
usr/lib/x86_64-linux-gnu/libpq.so.5                     libs/libpq5
usr/lib/x86_64-linux-gnu/libpq.so.5.17                  libs/libpq5
usr/lib/x86_64-linux-gnu/libodbc.so.2                   oldlibs/libodbc1,libs/libodbc2,libs/lib-other
usr/lib/x86_64-linux-gnu/libssl.so.3                    libs/android-libssl,libs/libssl3t64
usr/lib/x86_64-linux-gnu/blas/libblas.so.3              libs/libblas3
usr/lib/x86_64-linux-gnu/openblas-pthread/libblas.so.3  libs/libopenblas0-pthread
usr/lib/x86_64-linux-gnu/samba/libprivate.so.0          libs/samba-libs
usr/lib/x86_64-linux-gnu/libplugin.so                   misc/plugin,libdevel/plugin-dev
usr/lib/x86_64-linux-gnu/a file.so.1 with blanks        contrib/libs/odd
usr/lib/aarch64-linux-gnu/libpq.so.5                    libs/libpq5-arm64-cross
usr/lib/x86_64-linux-gnu/gtk.source                     libs/gtk
usr/lib64/ld-linux-x86-64.so.2                          libs/libc6
usr/lib/libold.so.1                                     non-free/libs/old";

    fn distil(parts: &[&str]) -> SonameIndex {
        let mut builder = SonameIndexBuilder::new(Architecture::Amd64);
        parts.iter().for_each(|part| builder.add(part.as_bytes()).unwrap());
        builder.finish()
    }

    #[test]
    fn the_best_package_comes_first() {
        let index = distil(&[CONTENTS]);
        for (soname, packages) in [
            ("libpq.so.5", &["libpq5"][..]),
            ("libpq.so", &[]),
            ("libodbc.so.2", &["libodbc2", "lib-other", "libodbc1"]),
            ("libssl.so.3", &["libssl3t64", "android-libssl"]),
            ("libblas.so.3", &["libblas3", "libopenblas0-pthread"]),
            ("libc.so.6", &["libc6"]),
            ("ld-linux-x86-64.so.2", &["libc6"]),
            ("libplugin.so", &["plugin"]),
            ("libold.so.1", &["old"]),
            ("libprivate.so.0", &[]),
            ("gtk.source", &[]),
        ] {
            assert_eq!(index.packages(soname).collect::<Vec<_>>(), packages, "{soname}");
        }
        assert_eq!(index.len(), 9);
    }

    #[test]
    fn it_is_kept_and_does_not_depend_on_the_order() {
        let index = distil(&[CONTENTS]);
        let lines: Vec<_> = CONTENTS.lines().rev().collect();
        assert_eq!(index, distil(&[&lines[..7].join("\n"), &lines[5..].join("\n")]));
        let mut bytes = Vec::new();
        index.write(&mut bytes).unwrap();
        assert_eq!(SonameIndex::read(&bytes[..]).unwrap(), index);
        assert!(SonameIndex::read(&bytes[..bytes.len() - 9]).is_err());
        for bad in [
            "",
            "jettison sonames 2\n",
            "jettison sonames 1\nb x\na x\n",
            "jettison sonames 1\na\n",
            "jettison sonames 1\na b",
        ] {
            let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(bad.as_bytes()).unwrap();
            assert!(SonameIndex::read(&gzip.finish().unwrap()[..]).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_as_debian_makes_them() {
        for (soname, package) in
            [("libpq.so.5", "libpq5"), ("libicui18n72.so.1", "libicui18n72-1"), ("libX11.so.6", "libx11-6")]
        {
            assert_eq!(package_name(soname), package);
        }
    }
}
