//! Debian's Python in miniature: packages with the real names, relations and paths, and next to nothing in them.
//!
//! A native build that neither verifies nor compiles needs no Python that runs, only one that looks right, so the default test
//! suite can make whole images without a network. The programs here exit at once with status 0.

use crate::archive::TarMember;
use crate::deb::DebBuilder;
use crate::elf::ElfBuilder;

/// The packages that Debian's `python{version}` and an image around it consist of, for trixie's 3.13 and the like.
///
/// `version` is `3.13`, `architecture` is Debian's word, `amd64` or `arm64`.
pub fn python_debs(version: &str, architecture: &str) -> Vec<DebBuilder> {
    let debs = Debs { version, architecture };
    vec![
        debs.libc(),
        debs.library("libgcc-s1", "14.2.0-19", "libgcc_s.so.1", "libc6 (>= 2.35)"),
        debs.library("zlib1g", "1:1.3.dfsg+really1.3.1-1", "libz.so.1", "libc6 (>= 2.14)"),
        debs.library("libexpat1", "2.7.1-2", "libexpat.so.1", "libc6 (>= 2.36)"),
        debs.library("libffi8", "3.4.8-2", "libffi.so.8", "libc6 (>= 2.33)"),
        debs.library("libsqlite3-0", "3.46.1-7", "libsqlite3.so.0", "libc6 (>= 2.38)"),
        debs.openssl(),
        debs.base_files(),
        debs.certificates(),
        debs.all("tzdata", "2025b-4", "usr/share/zoneinfo/Etc/UTC", "TZif2"),
        debs.all("netbase", "6.5", "etc/services", "http\t80/tcp\n"),
        debs.all("media-types", "13.0.0", "etc/mime.types", "text/html\thtml htm\n"),
        debs.libpython_minimal(),
        debs.libpython_stdlib(),
        debs.python_minimal(),
        debs.python(),
    ]
}

/// A library that is not part of Python, in the place and with the relations of a real one: for the link step.
pub fn library_deb(package: &str, version: &str, soname: &str, architecture: &str) -> DebBuilder {
    Debs { version: "", architecture }.library(package, version, soname, "libc6 (>= 2.38)")
}

/// The directory of shared libraries of a Debian architecture, `x86_64-linux-gnu` for `amd64`.
pub fn triplet(architecture: &str) -> &'static str {
    match architecture {
        "amd64" => "x86_64-linux-gnu",
        "arm64" => "aarch64-linux-gnu",
        other => panic!("no triplet known for {other}"),
    }
}

struct Debs<'a> {
    version: &'a str,
    architecture: &'a str,
}

impl Debs<'_> {
    fn deb(&self, package: &str, version: &str, section: &str) -> DebBuilder {
        DebBuilder::new(package, version)
            .architecture(self.architecture)
            .field("Section", section)
            .file(&format!("usr/share/doc/{package}/copyright"), "License: made for tests\n")
            .file(&format!("usr/share/doc/{package}/changelog.Debian.gz"), "not kept\n")
    }

    fn all(&self, package: &str, version: &str, path: &str, text: &str) -> DebBuilder {
        self.deb(package, version, "misc").architecture("all").field("Multi-Arch", "foreign").file(path, text)
    }

    fn lib(&self, name: &str) -> String {
        format!("usr/lib/{}/{name}", triplet(self.architecture))
    }

    fn library(&self, package: &str, version: &str, soname: &str, depends: &str) -> DebBuilder {
        let real = format!("{soname}.0.1");
        self.deb(package, version, "libs")
            .field("Multi-Arch", "same")
            .depends(depends)
            .file(&self.lib(&real), ElfBuilder::library(self.architecture, soname).needs("libc.so.6").build())
            .symlink(&self.lib(soname), &real)
    }

    fn libc(&self) -> DebBuilder {
        let (loader, interpreter) = match self.architecture {
            "amd64" => ("ld-linux-x86-64.so.2", "usr/lib64"),
            _ => ("ld-linux-aarch64.so.1", "usr/lib"),
        };
        let library = |soname: &str| ElfBuilder::library(self.architecture, soname).build();
        let mut deb = self
            .deb("libc6", "2.41-12", "libs")
            .field("Multi-Arch", "same")
            .depends("libgcc-s1")
            .executable(&self.lib(loader), library(loader))
            .symlink(&format!("{interpreter}/{loader}"), &format!("/{}", self.lib(loader)))
            .file(&self.lib("gconv/ISO8859-1.so"), library("ISO8859-1.so"));
        for soname in ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "libresolv.so.2", "libnss_dns.so.2"] {
            deb = deb.file(&self.lib(soname), library(soname));
        }
        deb
    }

    fn openssl(&self) -> DebBuilder {
        let library = |soname: &str| ElfBuilder::library(self.architecture, soname).needs("libc.so.6");
        self.deb("libssl3t64", "3.5.0-2", "libs")
            .field("Multi-Arch", "same")
            .field("Source", "openssl")
            .depends("libc6 (>= 2.38), zlib1g (>= 1:1.1.4)")
            .provides("libssl3 (= 3.5.0-2)")
            .file(&self.lib("libssl.so.3"), library("libssl.so.3").needs("libcrypto.so.3").build())
            .file(&self.lib("libcrypto.so.3"), library("libcrypto.so.3").needs("libz.so.1").build())
    }

    fn base_files(&self) -> DebBuilder {
        self.deb("base-files", "13.8", "admin")
            .field("Essential", "yes")
            .file("etc/debian_version", "13.0\n")
            .file("usr/lib/os-release", "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_ID=\"13\"\n")
            .symlink("etc/os-release", "../usr/lib/os-release")
            .member(TarMember::directory("./tmp/").mode(0o1777))
    }

    fn certificates(&self) -> DebBuilder {
        let certificate = |n: u32| format!("-----BEGIN CERTIFICATE-----\nMIIB{n}\n-----END CERTIFICATE-----\n");
        self.all("ca-certificates", "20250419", "usr/share/ca-certificates/mozilla/First_Root.crt", &certificate(1))
            .depends("openssl (>= 1.1.1), debconf (>= 0.5) | debconf-2.0")
            .file("usr/share/ca-certificates/mozilla/Second_Root.crt", certificate(2))
            .control_file("postinst", "#!/bin/sh\nupdate-ca-certificates\n")
    }

    fn full_version(&self) -> String {
        format!("{}.5-2", self.version)
    }

    fn stdlib(&self, path: &str) -> String {
        format!("usr/lib/python{}/{path}", self.version)
    }

    fn libpython_minimal(&self) -> DebBuilder {
        let package = format!("libpython{}-minimal", self.version);
        self.deb(&package, &self.full_version(), "python")
            .field("Source", &format!("python{}", self.version))
            .depends("libc6 (>= 2.14), libssl3t64 (>= 3.0.0)")
            .file(&self.stdlib("os.py"), "name = \"posix\"\n")
            .file(&self.stdlib("site.py"), "")
            .file(&self.stdlib("encodings/__init__.py"), "")
            .file(&self.stdlib("importlib/__init__.py"), "")
            .file(&format!("etc/python{}/sitecustomize.py", self.version), "")
            .symlink(&self.stdlib("sitecustomize.py"), &format!("/etc/python{}/sitecustomize.py", self.version))
    }

    fn libpython_stdlib(&self) -> DebBuilder {
        let package = format!("libpython{}-stdlib", self.version);
        let minimal = format!("libpython{}-minimal (= {})", self.version, self.full_version());
        let digits = self.version.replace('.', "");
        let module = |name: &str| format!("lib-dynload/{name}.cpython-{digits}-{}.so", triplet(self.architecture));
        let extension = |needs: &str| {
            let name = "extension.so";
            ElfBuilder::library(self.architecture, name).needs(needs).needs("libc.so.6").build()
        };
        self.deb(&package, &self.full_version(), "python")
            .field("Source", &format!("python{}", self.version))
            .depends(&format!(
                "{minimal}, media-types | mime-support, netbase, tzdata, libc6 (>= 2.34), libffi8 (>= 3.4), \
                 libsqlite3-0 (>= 3.36.0), libssl3t64 (>= 3.0.0)"
            ))
            .file(&self.stdlib("http/server.py"), "")
            .file(&self.stdlib("json/__init__.py"), "")
            .file(&self.stdlib("test/__init__.py"), "")
            .file(&self.stdlib("pydoc_data/topics.py"), "topics = {}\n")
            .file(&self.stdlib(&module("_ssl")), extension("libssl.so.3"))
            .file(&self.stdlib(&module("_ctypes")), extension("libffi.so.8"))
            .file(&self.stdlib(&module("_sqlite3")), extension("libsqlite3.so.0"))
            .file(&self.stdlib(&module("_testcapi")), extension("libc.so.6"))
    }

    fn python_minimal(&self) -> DebBuilder {
        let package = format!("python{}-minimal", self.version);
        let program = ElfBuilder::program(self.architecture);
        let program = ["libm.so.6", "libz.so.1", "libexpat.so.1", "libc.so.6"].iter().fold(program, |p, n| p.needs(n));
        self.deb(&package, &self.full_version(), "python")
            .field("Source", &format!("python{}", self.version))
            .depends(&format!("libpython{}-minimal (= {}), libexpat1 (>= 2.6.0)", self.version, self.full_version()))
            .field("Pre-Depends", "libc6 (>= 2.38), zlib1g (>= 1:1.2.0)")
            .executable(&format!("usr/bin/python{}", self.version), program.build())
            .file(&format!("usr/share/man/man1/python{}.1.gz", self.version), "not kept\n")
    }

    fn python(&self) -> DebBuilder {
        let package = format!("python{}", self.version);
        let version = self.full_version();
        self.deb(&package, &version, "python").field("Multi-Arch", "allowed").depends(&format!(
            "python{0}-minimal (= {version}), libpython{0}-stdlib (= {version}), media-types | mime-support, tzdata",
            self.version
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_dependency_is_in_the_set_or_known_to_be_left_out() {
        let debs = python_debs("3.13", "amd64");
        let names: BTreeSet<&str> = debs.iter().map(DebBuilder::package).collect();
        let left_out = ["openssl", "debconf"];
        for deb in &debs {
            let control = deb.control();
            let fields = control.lines().filter_map(|line| line.split_once("epends: ").map(|(_, value)| value));
            for relation in fields.flat_map(|value| value.split(", ")) {
                let name = relation.split([' ', '|']).next().unwrap();
                assert!(names.contains(name) || left_out.contains(&name), "{}: {relation}", deb.package());
            }
        }
    }

    #[test]
    fn every_needed_library_is_in_some_package() {
        for architecture in ["amd64", "arm64"] {
            let debs = python_debs("3.13", architecture);
            let paths: BTreeSet<String> = debs.iter().flat_map(DebBuilder::paths).collect();
            for soname in ["libc.so.6", "libssl.so.3", "libffi.so.8", "libz.so.1", "libgcc_s.so.1"] {
                assert!(paths.contains(&format!("usr/lib/{}/{soname}", triplet(architecture))), "{soname}");
            }
        }
    }
}
