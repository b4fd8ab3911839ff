//! Distributions that have no wheels, so that whoever installs them compiles them.
//!
//! Looked up on PyPI in November 2026: 34 distributions with extensions in C that are asked for often, newest releases.

/// Without a wheel for Linux, and the development packages of Debian that their libraries come with.
const WITHOUT_ANY: [(&str, &[&str]); 6] = [
    ("mysqlclient", &["default-libmysqlclient-dev"]),
    ("psycopg-c", &["libpq-dev"]),
    ("psycopg2", &["libpq-dev"]),
    ("pycairo", &["libcairo2-dev"]),
    ("python-ldap", &["libldap-dev", "libsasl2-dev"]),
    ("uwsgi", &[]),
];

/// With wheels for glibc, and without any for musl.
const WITHOUT_MUSL: [&str; 4] = ["confluent-kafka", "lightgbm", "scikit-learn", "torch"];

/// The development packages (by Debian's names) of the libraries that a distribution without wheels for Linux is linked with; `None`
/// for one that has wheels, which bring their libraries along.
pub fn always_compiled(distribution: &str) -> Option<&'static [&'static str]> {
    WITHOUT_ANY.iter().find(|(name, _)| *name == distribution).map(|(_, libraries)| *libraries)
}

/// Distributions that look for a library of the system when they are imported, and its development package in Debian. The full Python
/// image has the libraries.
const LOADING: [(&str, &str); 4] = [
    ("cairocffi", "libcairo2-dev"),
    ("cairosvg", "libcairo2-dev"),
    ("psycopg", "libpq-dev"),
    ("python-magic", "libmagic-dev"),
];

/// The development packages (by Debian's names) of the libraries that a distribution looks for when it is imported.
pub fn loaded_libraries(distribution: &str) -> impl Iterator<Item = &'static str> {
    LOADING.iter().filter(move |(name, _)| *name == distribution).map(|(_, development)| *development)
}

/// Whether a distribution is known to have no wheel for musl.
pub fn has_no_musl_wheel(distribution: &str) -> bool {
    always_compiled(distribution).is_some() || WITHOUT_MUSL.contains(&distribution)
}
