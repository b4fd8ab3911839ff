//! Programs, headers and link libraries that a build has missed.

use std::collections::HashMap;
use std::io::{self, Read};

use super::{for_each_line, locations, split_line};
use crate::Architecture;

/// A file that something wants, as its error names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathPattern {
    /// A program on the path, such as `pg_config` or `mysql_config`.
    Program(String),
    /// A header as `#include` has it, such as `libpq-fe.h` or `openssl/ssl.h`.
    Header(String),
    /// A `pkg-config` module, such as `cairo`.
    PkgConfig(String),
    /// What the linker calls `-l<name>`.
    Library(String),
}

impl PathPattern {
    /// The last component of a path that it can match.
    fn file_name(&self) -> String {
        match self {
            Self::Program(name) => name.clone(),
            Self::Header(name) => name.rsplit('/').next().unwrap_or(name).to_owned(),
            Self::PkgConfig(name) => format!("{name}.pc"),
            Self::Library(name) => format!("lib{name}.so"),
        }
    }

    /// How far off a path with the right last component is; `None` if it is not meant.
    fn distance(&self, path: &str, architecture: Architecture) -> Option<usize> {
        let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
        let below_usr = directory.strip_prefix("usr/").unwrap_or(directory);
        let triplet = architecture.triplet();
        match self {
            Self::Program(_) => ["bin", "sbin"].iter().position(|&known| known == below_usr),
            Self::PkgConfig(_) => match below_usr {
                "lib/pkgconfig" | "share/pkgconfig" => Some(1),
                other => (other.strip_prefix("lib/")?.strip_suffix("/pkgconfig")? == triplet).then_some(0),
            },
            Self::Library(_) => match below_usr {
                "lib" => Some(1),
                other => (other.strip_prefix("lib/")? == triplet).then_some(0),
            },
            Self::Header(name) => {
                let inside =
                    below_usr.strip_prefix("include").filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
                let inside = inside.strip_prefix('/').unwrap_or(inside);
                let wanted = name.rsplit_once('/').map_or("", |(directory, _)| directory);
                let above = inside
                    .strip_suffix(wanted)
                    .filter(|above| above.is_empty() || above.ends_with('/') || wanted.is_empty())?;
                let above = above.trim_end_matches('/');
                // Compilers look there without being told.
                Some(if above.is_empty() || above == triplet { 0 } else { 1 + above.split('/').count() })
            }
        }
    }
}

/// A path that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Without a slash in front.
    pub path: String,
    /// Who ships it, the best choice first: a package for development, with a short name.
    pub packages: Vec<String>,
    distance: usize,
}

/// Looks for many patterns in one pass over a decompressed `Contents` file. For each, in their order: its hits, those first that lie
/// where they are looked for by default.
pub fn find_paths(
    contents: impl Read,
    architecture: Architecture,
    patterns: &[PathPattern],
) -> io::Result<Vec<Vec<Hit>>> {
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (i, pattern) in patterns.iter().enumerate() {
        by_name.entry(pattern.file_name()).or_default().push(i);
    }
    let mut hits = vec![Vec::new(); patterns.len()];
    for_each_line(contents, |line| {
        let Some((path, column)) = split_line(line) else { return };
        let name = path.rsplit('/').next().unwrap_or(path);
        for &i in by_name.get(name).into_iter().flatten() {
            if let Some(distance) = patterns[i].distance(path, architecture) {
                let mut packages: Vec<_> = locations(column).collect();
                packages.sort_unstable_by_key(|&(section, package)| (section != "libdevel", package.len(), package));
                let packages = packages.into_iter().map(|(_, package)| package.to_owned()).collect();
                hits[i].push(Hit { path: path.to_owned(), packages, distance });
            }
        }
    })?;
    for list in &mut hits {
        list.sort_by(|left, right| (left.distance, &left.path).cmp(&(right.distance, &right.path)));
    }
    Ok(hits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_finds_all() {
        let contents = "\
usr/bin/pg_config libdevel/libpq-dev
usr/games/pg_config games/pg
usr/include/android/openssl/ssl.h libdevel/android-boringssl-dev
usr/include/boost/ssl.h libdevel/boost-dev
usr/include/x86_64-linux-gnu/openssl/ssl.h libdevel/libssl-dev
usr/include/myopenssl/ssl.h libdevel/my-dev
usr/include/ldap.h libdevel/libldap-dev,net/aaa
usr/lib/aarch64-linux-gnu/pkgconfig/cairo.pc libdevel/cross
usr/lib/x86_64-linux-gnu/pkgconfig/cairo.pc libdevel/libcairo2-dev
usr/lib/x86_64-linux-gnu/libpq.so libdevel/libpq-dev
usr/lib/x86_64-linux-gnu/deep/libpq.so misc/other
usr/share/pkgconfig/shared-mime-info.pc misc/shared-mime-info\n";
        for (pattern, expected) in [
            (PathPattern::Program("pg_config".into()), "usr/bin/pg_config libpq-dev"),
            (
                PathPattern::Header("openssl/ssl.h".into()),
                "usr/include/x86_64-linux-gnu/openssl/ssl.h libssl-dev; usr/include/android/openssl/ssl.h android-boringssl-dev",
            ),
            (
                PathPattern::Header("ssl.h".into()),
                "usr/include/boost/ssl.h boost-dev; usr/include/myopenssl/ssl.h my-dev; \
                 usr/include/android/openssl/ssl.h android-boringssl-dev; usr/include/x86_64-linux-gnu/openssl/ssl.h libssl-dev",
            ),
            (PathPattern::Header("ldap.h".into()), "usr/include/ldap.h libldap-dev aaa"),
            (PathPattern::PkgConfig("cairo".into()), "usr/lib/x86_64-linux-gnu/pkgconfig/cairo.pc libcairo2-dev"),
            (
                PathPattern::PkgConfig("shared-mime-info".into()),
                "usr/share/pkgconfig/shared-mime-info.pc shared-mime-info",
            ),
            (PathPattern::Library("pq".into()), "usr/lib/x86_64-linux-gnu/libpq.so libpq-dev"),
            (PathPattern::Program("none".into()), ""),
        ] {
            let hits =
                find_paths(contents.as_bytes(), Architecture::Amd64, &[PathPattern::Program("x".into()), pattern])
                    .unwrap();
            let print = |hit: &Hit| format!("{} {}", hit.path, hit.packages.join(" "));
            assert_eq!(hits[1].iter().map(print).collect::<Vec<_>>().join("; "), expected);
        }
    }

    #[test]
    fn lines_may_be_cut_anywhere_and_not_be_endless() {
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let len = buffer.len().min(3);
                self.0.read(&mut buffer[..len])
            }
        }
        let mut lines = Vec::new();
        for_each_line(Slow(b"one\n\ntwo two\nend"), |line| lines.push(line.to_vec())).unwrap();
        assert_eq!(lines, [&b"one"[..], b"", b"two two", b"end"]);
        assert!(for_each_line(io::repeat(b'x').take(1 << 30), |_| ()).is_err());
    }
}
