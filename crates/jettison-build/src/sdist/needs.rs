//! What building a distribution from source needs besides a C compiler and the interpreter's headers: by name for those that are
//! known, and from what the compiler says for all others.

use std::collections::BTreeSet;

use jettison_debian::contents::PathPattern;

/// Debian packages for building these distributions. Names of distributions as PEP 503 normalises them.
///
/// The marked ones were built from these packages alone on a fresh builder: psycopg2, mysqlclient, python-ldap, pycairo, pyodbc.
const KNOWN: [(&str, &[&str]); 27] = [
    ("cffi", &["libffi-dev"]),
    ("confluent-kafka", &["librdkafka-dev"]),
    ("dbus-python", &["libdbus-1-dev", "libglib2.0-dev", "pkgconf"]),
    ("gssapi", &["libkrb5-dev"]),
    ("h5py", &["libhdf5-dev", "pkgconf"]),
    ("kerberos", &["libkrb5-dev"]),
    ("lxml", &["libxml2-dev", "libxslt1-dev"]),
    ("mysqlclient", &["default-libmysqlclient-dev", "pkgconf"]),
    ("netifaces", &[]),
    ("pillow", &["libjpeg-dev", "zlib1g-dev", "libfreetype-dev", "libwebp-dev", "libtiff-dev", "pkgconf"]),
    ("psycopg-c", &["libpq-dev"]),
    ("psycopg2", &["libpq-dev"]),
    ("pycairo", &["libcairo2-dev", "pkgconf"]),
    ("pycups", &["libcups2-dev"]),
    ("pycurl", &["libcurl4-openssl-dev", "libssl-dev"]),
    ("pygobject", &["libgirepository-2.0-dev", "libcairo2-dev", "pkgconf"]),
    ("pygraphviz", &["libgraphviz-dev"]),
    ("pymssql", &["freetds-dev", "libkrb5-dev", "libssl-dev"]),
    ("pynacl", &["libsodium-dev", "make"]),
    ("pyodbc", &["unixodbc-dev", "g++"]),
    ("python-ldap", &["libldap-dev", "libsasl2-dev"]),
    ("python-snappy", &["libsnappy-dev", "g++"]),
    ("pyzmq", &["libzmq3-dev", "g++"]),
    ("rtree", &["libspatialindex-dev"]),
    ("shapely", &["libgeos-dev"]),
    ("systemd-python", &["libsystemd-dev", "pkgconf"]),
    ("xmlsec", &["libxmlsec1-dev", "libxml2-dev", "libxslt1-dev", "pkgconf"]),
];

/// The Debian packages that building this distribution is known to need.
pub fn known(distribution: &str) -> Option<&'static [&'static str]> {
    KNOWN.iter().find(|(name, _)| *name == distribution).map(|(_, packages)| *packages)
}

/// Something that a build missed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A Debian package, known by name.
    Package(&'static str),
    /// A file that some package has.
    File(PathPattern),
}

/// What the output of a failed build says was missing.
pub fn missed(output: &str) -> BTreeSet<Need> {
    let mut needs = BTreeSet::new();
    for line in output.lines() {
        if let Some(need) = in_line(line.trim()) {
            needs.insert(need);
        }
    }
    needs
}

fn in_line(line: &str) -> Option<Need> {
    // gcc: `x.c:1:10: fatal error: libpq-fe.h: No such file or directory`
    if let Some((_, rest)) = line.split_once("fatal error: ") {
        let header = rest.strip_suffix(": No such file or directory")?;
        return is_path(header).then(|| Need::File(PathPattern::Header(header.to_owned())));
    }
    // ld: `/usr/bin/ld: cannot find -lxml2: No such file or directory`
    if let Some((_, rest)) = line.split_once("cannot find -l") {
        let name = rest.split([':', ' ']).next()?;
        return is_path(name).then(|| Need::File(PathPattern::Library(name.to_owned())));
    }
    if line.contains("cc1plus") || line.contains("g++: not found") || line.contains("'g++'") {
        return Some(Need::Package("g++"));
    }
    // pkg-config: `Package cairo was not found in the pkg-config search path.`, `Package 'cairo', required by 'virtual:world', not found`
    if let Some(rest) = line.split_once("Package ").map(|(_, rest)| rest)
        && (rest.contains("was not found in the pkg-config") || rest.ends_with("not found"))
    {
        let module = rest.trim_start_matches(['\'', '"', '`']).split(['\'', '"', '`', ' ', ',']).next()?;
        return is_path(module).then(|| Need::File(PathPattern::PkgConfig(module.to_owned())));
    }
    // meson: `Dependency "cairo" not found, tried pkgconfig`
    if let Some((_, rest)) = line.split_once("Dependency \"").or_else(|| line.split_once("Dependency '")) {
        let (module, rest) = rest.split_once(['"', '\''])?;
        return (rest.contains("not found") && is_path(module))
            .then(|| Need::File(PathPattern::PkgConfig(module.to_owned())));
    }
    if line.contains("pkg-config") && (line.contains("not found") || line.contains("No such file")) {
        return Some(Need::Package("pkgconf"));
    }
    // `pg_config executable not found.`, `sh: 1: mysql_config: not found`, `[Errno 2] No such file or directory: 'curl-config'`
    let program = line
        .split_once(" executable not found")
        .map(|(before, _)| before.rsplit(' ').next().unwrap_or(before))
        .or_else(|| line.strip_suffix(": not found").map(|before| before.rsplit(' ').next().unwrap_or(before)))
        .or_else(|| line.strip_suffix(": command not found").map(|before| before.rsplit(' ').next().unwrap_or(before)))
        .or_else(|| line.split_once("No such file or directory: '").and_then(|(_, rest)| rest.strip_suffix('\'')))?;
    let program = program.trim_matches(['`', '\'', '"', ':']);
    (is_path(program) && !program.contains('/')).then(|| Need::File(PathPattern::Program(program.to_owned())))
}

fn is_path(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.+/".contains(c);
    !word.is_empty() && word.len() < 128 && word.chars().all(plain) && !word.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_and_scripts_say_what_they_miss() {
        let header = |h: &str| Some(Need::File(PathPattern::Header(h.into())));
        let program = |p: &str| Some(Need::File(PathPattern::Program(p.into())));
        let module = |m: &str| Some(Need::File(PathPattern::PkgConfig(m.into())));
        for (line, need) in [
            ("./psycopg/psycopg.h:36:10: fatal error: libpq-fe.h: No such file or directory", header("libpq-fe.h")),
            ("a.c:1:10: fatal error: libxml/xmlversion.h: No such file or directory", header("libxml/xmlversion.h")),
            ("Error: pg_config executable not found.", program("pg_config")),
            ("/bin/sh: 1: mysql_config: not found", program("mysql_config")),
            ("sh: line 1: xslt-config: command not found", program("xslt-config")),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'curl-config'", program("curl-config")),
            (
                "/usr/bin/ld: cannot find -lxml2: No such file or directory",
                Some(Need::File(PathPattern::Library("xml2".into()))),
            ),
            ("Package 'cairo', required by 'virtual:world', not found", module("cairo")),
            ("Package libffi was not found in the pkg-config search path.", module("libffi")),
            ("../meson.build:31:12: ERROR: Dependency \"cairo\" not found, tried pkgconfig and cmake", module("cairo")),
            ("gcc: cannot execute 'cc1plus': posix_spawnp: No such file", Some(Need::Package("g++"))),
            ("/bin/sh: 1: pkg-config: not found", Some(Need::Package("pkgconf"))),
            ("error: command 'g++' failed: No such file or directory", Some(Need::Package("g++"))),
            ("running build_ext", None),
            ("fatal error: ../../etc/passwd: No such file or directory", None),
            ("FileNotFoundError: [Errno 2] No such file or directory: '/etc/x'", None),
        ] {
            assert_eq!(in_line(line), need, "{line}");
        }
    }
}
