//! Development packages, and the packages that have what programs compiled with them need when they run.
//!
//! Debian's names were looked up in the indices of bullseye, bookworm and trixie in November 2026. Those of other distributions were not
//! looked up in theirs.

use crate::model::{BaseImage, System};

/// A release of which the names are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Release {
    /// Debian 11.
    Bullseye,
    /// Ubuntu 22.04.
    Jammy,
    /// Debian 12.
    Bookworm,
    /// Ubuntu 24.04.
    Noble,
    /// Debian 13.
    Trixie,
    /// Any of Alpine, and Wolfi.
    Alpine,
    /// Fedora, Red Hat and what is made from it.
    RedHat,
}

impl Release {
    /// That of an image, by its tag; where the tag says none, the one that the tag stands for now.
    pub fn of(image: &BaseImage) -> Option<Self> {
        let tag = image.reference.tag_or_default().unwrap_or_default();
        let repository = image.reference.repository();
        let says = |words: &[&str]| words.iter().any(|word| tag.contains(word) || repository.contains(word));
        Some(match image.system {
            System::Alpine | System::Wolfi => Self::Alpine,
            System::RedHat => Self::RedHat,
            System::Debian | System::Distroless if says(&["trixie", "debian13"]) => Self::Trixie,
            System::Debian | System::Distroless if says(&["bookworm", "debian12"]) => Self::Bookworm,
            System::Debian | System::Distroless if says(&["bullseye", "debian11"]) => Self::Bullseye,
            System::Debian if says(&["buster", "stretch", "sid", "forky", "testing"]) => return None,
            // The official images of versions that have ended stay on the release that they ended with.
            System::Debian => {
                match image.python.as_ref().filter(|python| python.official).and_then(|python| python.version) {
                    Some((3, Some(minor))) if minor < 7 => Self::Bullseye,
                    Some((3, Some(7 | 8))) => Self::Bookworm,
                    Some((2, _)) => return None,
                    Some(_) => Self::Trixie,
                    None if repository.ends_with("debian") => match tag.split(['.', '-']).next() {
                        Some("11") => Self::Bullseye,
                        Some("12" | "oldstable") => Self::Bookworm,
                        Some("13" | "stable" | "latest") => Self::Trixie,
                        _ => return None,
                    },
                    None => Self::Trixie,
                }
            }
            System::Ubuntu if says(&["22.04", "jammy"]) => Self::Jammy,
            System::Ubuntu if says(&["24.04", "noble", "latest"]) => Self::Noble,
            _ => return None,
        })
    }
}

/// A library: the packages to compile with it, and those to run with it.
#[derive(Debug)]
struct Library {
    /// Of Debian and Ubuntu.
    apt_dev: &'static [&'static str],
    /// Its packages in bullseye, jammy, bookworm, noble and trixie, with blanks between.
    apt: [&'static str; 5],
    apk_dev: &'static [&'static str],
    apk: &'static str,
    rpm_dev: &'static [&'static str],
    rpm: &'static str,
    /// How the names of packages begin that depend on it.
    brought_by: &'static [&'static str],
}

const fn same(name: &'static str) -> [&'static str; 5] {
    [name; 5]
}

/// As `name` before 64-bit times, as `time64` after.
const fn t64(name: &'static str, time64: &'static str) -> [&'static str; 5] {
    [name, name, name, time64, time64]
}

const fn library(apt_dev: &'static [&'static str], apt: [&'static str; 5]) -> Library {
    Library { apt_dev, apt, apk_dev: &[], apk: "", rpm_dev: &[], rpm: "", brought_by: &[] }
}

impl Library {
    const fn apk(self, apk_dev: &'static [&'static str], apk: &'static str) -> Self {
        Self { apk_dev, apk, ..self }
    }

    const fn rpm(self, rpm_dev: &'static [&'static str], rpm: &'static str) -> Self {
        Self { rpm_dev, rpm, ..self }
    }

    const fn brought_by(self, brought_by: &'static [&'static str]) -> Self {
        Self { brought_by, ..self }
    }
}

static LIBRARIES: [Library; 47] = [
    library(&["libpq-dev", "postgresql-server-dev-all"], same("libpq5"))
        .apk(&["postgresql-dev", "libpq-dev", "postgresql-libs"], "libpq")
        .rpm(&["libpq-devel", "postgresql-devel"], "libpq")
        .brought_by(&["postgresql-client", "postgresql", "libpqxx"]),
    library(
        &["default-libmysqlclient-dev", "libmysqlclient-dev", "libmariadb-dev", "libmariadb-dev-compat"],
        ["libmariadb3", "libmysqlclient21", "libmariadb3", "libmysqlclient21", "libmariadb3"],
    )
    .apk(&["mariadb-connector-c-dev", "mariadb-dev", "mysql-dev"], "mariadb-connector-c")
    .rpm(&["mariadb-connector-c-devel", "mysql-devel", "mariadb-devel"], "mariadb-connector-c")
    .brought_by(&["mariadb-client", "default-mysql-client", "mysql-client", "default-libmysqlclient"]),
    library(
        &["libldap-dev", "libldap2-dev"],
        ["libldap-2.4-2", "libldap-2.5-0", "libldap-2.5-0", "libldap2", "libldap2"],
    )
    .apk(&["openldap-dev"], "libldap")
    .rpm(&["openldap-devel"], "openldap")
    .brought_by(&["ldap-utils", "libcurl4"]),
    library(&["libsasl2-dev"], same("libsasl2-2"))
        .apk(&["cyrus-sasl-dev"], "libsasl")
        .rpm(&["cyrus-sasl-devel"], "cyrus-sasl-lib")
        .brought_by(&["ldap-utils", "libldap"]),
    library(&["libcairo2-dev"], same("libcairo2"))
        .apk(&["cairo-dev"], "cairo")
        .rpm(&["cairo-devel"], "cairo")
        .brought_by(&["libpango", "libgtk", "librsvg"]),
    library(&["unixodbc-dev"], ["libodbc1", "libodbc2", "libodbc2", "libodbc2", "libodbc2"])
        .apk(&["unixodbc-dev"], "unixodbc")
        .rpm(&["unixODBC-devel"], "unixODBC")
        .brought_by(&["unixodbc", "msodbcsql", "odbcinst", "tdsodbc", "odbc-"]),
    library(&["freetds-dev"], same("libct4 libsybdb5"))
        .apk(&["freetds-dev"], "freetds")
        .rpm(&["freetds-devel"], "freetds-libs"),
    library(&["libxml2-dev"], same("libxml2")).apk(&["libxml2-dev"], "libxml2").rpm(&["libxml2-devel"], "libxml2"),
    library(&["libxslt1-dev", "libxslt-dev"], same("libxslt1.1"))
        .apk(&["libxslt-dev"], "libxslt")
        .rpm(&["libxslt-devel"], "libxslt"),
    library(
        &["libxmlsec1-dev"],
        [
            "libxmlsec1 libxmlsec1-openssl",
            "libxmlsec1 libxmlsec1-openssl",
            "libxmlsec1 libxmlsec1-openssl",
            "libxmlsec1t64 libxmlsec1t64-openssl",
            "libxmlsec1t64 libxmlsec1t64-openssl",
        ],
    )
    .apk(&["xmlsec-dev"], "xmlsec")
    .rpm(&["xmlsec1-devel"], "xmlsec1 xmlsec1-openssl"),
    library(
        &["libjpeg-dev", "libjpeg62-turbo-dev", "libjpeg-turbo8-dev"],
        ["libjpeg62-turbo", "libjpeg-turbo8", "libjpeg62-turbo", "libjpeg-turbo8", "libjpeg62-turbo"],
    )
    .apk(&["jpeg-dev", "libjpeg-turbo-dev"], "libjpeg-turbo")
    .rpm(&["libjpeg-turbo-devel"], "libjpeg-turbo"),
    library(&["libpng-dev"], t64("libpng16-16", "libpng16-16t64"))
        .apk(&["libpng-dev"], "libpng")
        .rpm(&["libpng-devel"], "libpng"),
    library(&["libtiff-dev", "libtiff5-dev"], ["libtiff5", "libtiff5", "libtiff6", "libtiff6", "libtiff6"])
        .apk(&["tiff-dev"], "tiff")
        .rpm(&["libtiff-devel"], "libtiff"),
    library(
        &["libwebp-dev"],
        [
            "libwebp6 libwebpmux3 libwebpdemux2",
            "libwebp7 libwebpmux3 libwebpdemux2",
            "libwebp7 libwebpmux3 libwebpdemux2",
            "libwebp7 libwebpmux3 libwebpdemux2",
            "libwebp7 libwebpmux3 libwebpdemux2",
        ],
    )
    .apk(&["libwebp-dev"], "libwebp libwebpmux libwebpdemux")
    .rpm(&["libwebp-devel"], "libwebp"),
    library(&["libfreetype-dev", "libfreetype6-dev"], same("libfreetype6"))
        .apk(&["freetype-dev"], "freetype")
        .rpm(&["freetype-devel"], "freetype"),
    library(&["libopenjp2-7-dev"], same("libopenjp2-7"))
        .apk(&["openjpeg-dev"], "openjpeg")
        .rpm(&["openjpeg2-devel"], "openjpeg2"),
    library(&["liblcms2-dev"], same("liblcms2-2")).apk(&["lcms2-dev"], "lcms2-libs").rpm(&["lcms2-devel"], "lcms2"),
    library(&["libharfbuzz-dev"], same("libharfbuzz0b"))
        .apk(&["harfbuzz-dev"], "harfbuzz")
        .rpm(&["harfbuzz-devel"], "harfbuzz"),
    library(&["libfribidi-dev"], same("libfribidi0"))
        .apk(&["fribidi-dev"], "fribidi")
        .rpm(&["fribidi-devel"], "fribidi"),
    library(&["libpango1.0-dev"], same("libpango-1.0-0 libpangocairo-1.0-0 libpangoft2-1.0-0"))
        .apk(&["pango-dev"], "pango")
        .rpm(&["pango-devel"], "pango"),
    library(&["libgdk-pixbuf-2.0-dev", "libgdk-pixbuf2.0-dev"], same("libgdk-pixbuf-2.0-0"))
        .apk(&["gdk-pixbuf-dev"], "gdk-pixbuf")
        .rpm(&["gdk-pixbuf2-devel"], "gdk-pixbuf2"),
    library(&["libcurl4-openssl-dev"], t64("libcurl4", "libcurl4t64"))
        .apk(&["curl-dev"], "libcurl")
        .rpm(&["libcurl-devel"], "libcurl")
        .brought_by(&["curl"]),
    library(&["libcurl4-gnutls-dev"], t64("libcurl3-gnutls", "libcurl3t64-gnutls")).brought_by(&["git"]),
    library(&["libmagic-dev"], t64("libmagic1", "libmagic1t64"))
        .apk(&["file-dev"], "libmagic")
        .rpm(&["file-devel"], "file-libs")
        .brought_by(&["file"]),
    library(&["libzmq3-dev"], same("libzmq5")).apk(&["zeromq-dev"], "libzmq").rpm(&["zeromq-devel"], "zeromq"),
    library(&["libsodium-dev"], same("libsodium23"))
        .apk(&["libsodium-dev"], "libsodium")
        .rpm(&["libsodium-devel"], "libsodium"),
    library(&["libdbus-1-dev"], same("libdbus-1-3")).apk(&["dbus-dev"], "dbus-libs").rpm(&["dbus-devel"], "dbus-libs"),
    library(&["libglib2.0-dev"], t64("libglib2.0-0", "libglib2.0-0t64"))
        .apk(&["glib-dev"], "glib")
        .rpm(&["glib2-devel"], "glib2"),
    library(&["libkrb5-dev"], same("libgssapi-krb5-2 libkrb5-3"))
        .apk(&["krb5-dev"], "krb5-libs")
        .rpm(&["krb5-devel"], "krb5-libs"),
    library(&["librdkafka-dev"], same("librdkafka1"))
        .apk(&["librdkafka-dev"], "librdkafka")
        .rpm(&["librdkafka-devel"], "librdkafka"),
    library(&["libsnappy-dev"], same("libsnappy1v5")).apk(&["snappy-dev"], "snappy").rpm(&["snappy-devel"], "snappy"),
    library(&["libgeos-dev"], t64("libgeos-c1v5", "libgeos-c1t64"))
        .apk(&["geos-dev"], "geos")
        .rpm(&["geos-devel"], "geos"),
    library(&["libgdal-dev"], ["libgdal28", "libgdal30", "libgdal32", "libgdal34t64", "libgdal36"])
        .apk(&["gdal-dev"], "gdal")
        .rpm(&["gdal-devel"], "gdal-libs")
        .brought_by(&["gdal-bin", "python3-gdal"]),
    library(&["libproj-dev"], ["libproj19", "libproj22", "libproj25", "libproj25", "libproj25"])
        .apk(&["proj-dev"], "proj")
        .rpm(&["proj-devel"], "proj"),
    library(
        &["libspatialindex-dev"],
        ["libspatialindex6", "libspatialindex6", "libspatialindex6", "libspatialindex6", "libspatialindex8"],
    )
    .apk(&["libspatialindex-dev"], "libspatialindex")
    .rpm(&["spatialindex-devel"], "spatialindex"),
    library(&["libhdf5-dev"], ["libhdf5-103-1", "libhdf5-103-1", "libhdf5-103-1", "libhdf5-103-1t64", "libhdf5-310"])
        .apk(&["hdf5-dev"], "hdf5")
        .rpm(&["hdf5-devel"], "hdf5"),
    library(&["libopenblas-dev"], same("libopenblas0"))
        .apk(&["openblas-dev"], "openblas")
        .rpm(&["openblas-devel"], "openblas"),
    library(&["liblapack-dev"], same("liblapack3")).apk(&["lapack-dev"], "lapack").rpm(&["lapack-devel"], "lapack"),
    library(&["libblas-dev"], same("libblas3")).apk(&["blas-dev"], "blas").rpm(&["blas-devel"], "blas"),
    library(&["libyaml-dev"], same("libyaml-0-2")).apk(&["yaml-dev"], "yaml").rpm(&["libyaml-devel"], "libyaml"),
    library(&["libmemcached-dev"], t64("libmemcached11", "libmemcached11t64"))
        .apk(&["libmemcached-dev"], "libmemcached-libs")
        .rpm(&["libmemcached-devel"], "libmemcached-libs"),
    library(&["libev-dev"], t64("libev4", "libev4t64")).apk(&["libev-dev"], "libev").rpm(&["libev-devel"], "libev"),
    library(&["portaudio19-dev"], same("libportaudio2"))
        .apk(&["portaudio-dev"], "portaudio")
        .rpm(&["portaudio-devel"], "portaudio"),
    library(&["libsndfile1-dev"], same("libsndfile1"))
        .apk(&["libsndfile-dev"], "libsndfile")
        .rpm(&["libsndfile-devel"], "libsndfile"),
    library(&["libgraphviz-dev", "graphviz-dev"], same("libcgraph6 libgvc6"))
        .apk(&["graphviz-dev"], "graphviz")
        .rpm(&["graphviz-devel"], "graphviz-libs")
        .brought_by(&["graphviz"]),
    library(&["libcups2-dev"], t64("libcups2", "libcups2t64"))
        .apk(&["cups-dev"], "cups-libs")
        .rpm(&["cups-devel"], "cups-libs"),
    library(&["libgmp-dev"], same("libgmp10")).apk(&["gmp-dev"], "gmp").rpm(&["gmp-devel"], "gmp"),
];

/// Development packages of libraries that every image with Python has.
const IN_EVERY_IMAGE: [&str; 26] = [
    "libbz2-dev",
    "libc-dev",
    "libc6-dev",
    "libexpat1-dev",
    "libffi-dev",
    "libgdbm-dev",
    "liblzma-dev",
    "libncurses-dev",
    "libncurses5-dev",
    "libncursesw5-dev",
    "libpython3-dev",
    "libreadline-dev",
    "libsqlite3-dev",
    "libssl-dev",
    "musl-dev",
    "openssl-dev",
    "python3-dev",
    "uuid-dev",
    "xz-dev",
    "zlib-dev",
    "zlib1g-dev",
    "libffi-devel",
    "openssl-devel",
    "python3-devel",
    "zlib-devel",
    "bzip2-dev",
];

/// The packages to run with what a development package was there to compile; empty if every image with Python has them, or
/// there is nothing to run (a compiler). `None` where that is not known.
pub fn runtime_packages(package: &str, release: Release) -> Option<Vec<&'static str>> {
    if IN_EVERY_IMAGE.contains(&package) {
        return Some(Vec::new());
    }
    match find(package) {
        Some(library) => Some(names(library, release).split(' ').filter(|name| !name.is_empty()).collect::<Vec<_>>())
            .filter(|names| !names.is_empty()),
        None if package.ends_with("-dev") || package.ends_with("-devel") => None,
        None => super::build_packages::is_build_only(package).then(Vec::new),
    }
}

/// Whether a package that is installed has the library of a development package (Debian's name or another's): its package of any release,
/// the development package itself, or one that depends on it.
pub fn has_library(installed: &str, development: &str) -> bool {
    let Some(library) = find(development) else { return installed == development };
    let all = library.apt.iter().copied().chain([library.apk, library.rpm]).flat_map(|names| names.split(' '));
    let plain = |name: &str| name.strip_suffix("t64").unwrap_or(name).to_owned();
    all.filter(|name| !name.is_empty()).any(|name| name == installed || plain(name) == plain(installed))
        || library.brought_by.iter().any(|start| {
            installed.strip_prefix(start).is_some_and(|rest| {
                rest.is_empty() || rest.starts_with(|c: char| c == '-' || c.is_ascii_digit()) || start.ends_with('-')
            })
        })
        || [library.apt_dev, library.apk_dev, library.rpm_dev].iter().any(|list| list.contains(&installed))
}

/// Whether two development packages are of one library.
pub fn is_same_library(one: &str, other: &str) -> bool {
    one == other || find(one).zip(find(other)).is_some_and(|(a, b)| std::ptr::eq(a, b))
}

/// The development package in another release: `libpq-dev` in Alpine is `libpq-dev`, in Fedora `libpq-devel`.
pub fn development_package(package: &str, release: Release) -> Option<&'static str> {
    let library = find(package)?;
    let list = match release {
        Release::Alpine => library.apk_dev,
        Release::RedHat => library.rpm_dev,
        _ => library.apt_dev,
    };
    list.first().copied()
}

fn find(package: &str) -> Option<&'static Library> {
    LIBRARIES
        .iter()
        .find(|library| [library.apt_dev, library.apk_dev, library.rpm_dev].iter().any(|list| list.contains(&package)))
}

fn names(library: &'static Library, release: Release) -> &'static str {
    match release {
        Release::Bullseye => library.apt[0],
        Release::Jammy => library.apt[1],
        Release::Bookworm => library.apt[2],
        Release::Noble => library.apt[3],
        Release::Trixie => library.apt[4],
        Release::Alpine => library.apk,
        Release::RedHat => library.rpm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jettison_oci::reference::Reference;

    #[test]
    fn the_release_is_told_by_the_tag() {
        for (image, expected) in [
            ("python:3.12-slim", Some(Release::Trixie)),
            ("python:3.12-slim-bookworm", Some(Release::Bookworm)),
            ("python:3.6-slim", Some(Release::Bullseye)),
            ("python:3.12-alpine", Some(Release::Alpine)),
            ("debian:12-slim", Some(Release::Bookworm)),
            ("ubuntu:22.04", Some(Release::Jammy)),
            ("ubuntu:20.04", None),
            ("gcr.io/distroless/python3-debian12", Some(Release::Bookworm)),
            ("example.com/x", None),
        ] {
            assert_eq!(Release::of(&BaseImage::new(Reference::parse(image).unwrap())), expected, "{image}");
        }
    }

    #[test]
    fn development_packages_stand_for_libraries() {
        for (package, release, expected) in [
            ("libpq-dev", Release::Bookworm, Some(vec!["libpq5"])),
            ("postgresql-dev", Release::Alpine, Some(vec!["libpq"])),
            ("libldap2-dev", Release::Trixie, Some(vec!["libldap2"])),
            ("libmagic-dev", Release::Noble, Some(vec!["libmagic1t64"])),
            ("default-libmysqlclient-dev", Release::Jammy, Some(vec!["libmysqlclient21"])),
            ("libssl-dev", Release::Trixie, Some(vec![])),
            ("gcc", Release::Trixie, Some(vec![])),
            ("libunheardof-dev", Release::Trixie, None),
            ("curl", Release::Trixie, None),
        ] {
            assert_eq!(runtime_packages(package, release), expected, "{package}");
        }
        assert!(has_library("libmagic1", "libmagic-dev") && has_library("postgresql-client-15", "libpq-dev"));
        assert!(has_library("libpq", "libpq-dev") && !has_library("libpango-1.0-0", "libpq-dev"));
        assert!(is_same_library("libpq-dev", "postgresql-devel") && !is_same_library("libpq-dev", "libxml2-dev"));
    }
}
