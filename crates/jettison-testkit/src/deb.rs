//! Debian packages, right ones and wrong ones (deb(5), Debian Policy chapter 5).

use std::fmt::Write as _;

use md5::Digest as _;

use crate::archive::{Compression, TarKind, TarMember, ar, tar};

/// A `.deb` in the making.
#[derive(Debug, Clone)]
pub struct DebBuilder {
    package: String,
    version: String,
    architecture: String,
    fields: Vec<(String, String)>,
    members: Vec<TarMember>,
    control_files: Vec<TarMember>,
    compression: Compression,
    faults: Vec<DebFault>,
}

/// What is wrong with a package.
#[derive(Debug, Clone)]
pub enum DebFault {
    /// The file ends after this many bytes.
    Truncated(usize),
    /// The compressed `data.tar` ends in its middle, while the frame around it is whole.
    TruncatedData,
    /// There is no `data.tar`.
    NoData,
    /// The first member is not `debian-binary` `2.0`.
    OtherFormat,
    /// A member of `data.tar` as it is written: climbing names, devices, duplicates.
    Member(TarMember),
}

impl DebBuilder {
    /// A package with nothing in it, for `amd64`.
    pub fn new(package: &str, version: &str) -> Self {
        Self {
            package: package.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
            fields: Vec::new(),
            members: Vec::new(),
            control_files: Vec::new(),
            compression: Compression::Xz,
            faults: Vec::new(),
        }
    }

    /// For another architecture, or `all`.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        architecture.clone_into(&mut self.architecture);
        self
    }

    /// A field of the control paragraph. Lines after the first must begin with a space.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `Depends`.
    #[must_use]
    pub fn depends(self, relations: &str) -> Self {
        self.field("Depends", relations)
    }

    /// `Provides`.
    #[must_use]
    pub fn provides(self, relations: &str) -> Self {
        self.field("Provides", relations)
    }

    /// A file at this path, without a leading slash.
    #[must_use]
    pub fn file(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.member(TarMember::file(format!("./{path}"), bytes))
    }

    /// A file with the executable bits set.
    #[must_use]
    pub fn executable(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.member(TarMember::file(format!("./{path}"), bytes).mode(0o755))
    }

    /// A symbolic link at this path.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.member(TarMember::symlink(format!("./{path}"), target))
    }

    /// A directory, for one that is empty: the others are added by themselves.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.member(TarMember::directory(format!("./{path}/")))
    }

    /// Any member of `data.tar`.
    #[must_use]
    pub fn member(mut self, member: TarMember) -> Self {
        self.members.push(member);
        self
    }

    /// A file of `control.tar`, such as `postinst` (made executable) or `conffiles`.
    #[must_use]
    pub fn control_file(mut self, name: &str, text: &str) -> Self {
        let script = matches!(name, "preinst" | "postinst" | "prerm" | "postrm" | "config");
        let mode = if script { 0o755 } else { 0o644 };
        self.control_files.push(TarMember::file(format!("./{name}"), text).mode(mode));
        self
    }

    /// How both inner archives are compressed; xz unless told.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// With something wrong in it.
    #[must_use]
    pub fn fault(mut self, fault: DebFault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The name of the package.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// The section, `misc` unless a field says otherwise.
    pub fn section(&self) -> &str {
        self.fields.iter().find(|(name, _)| name == "Section").map_or("misc", |(_, section)| section.as_str())
    }

    /// Whether an index of this architecture lists it.
    pub fn is_for(&self, architecture: &str) -> bool {
        self.architecture == architecture || self.architecture == "all"
    }

    /// The file name: `{package}_{version without epoch}_{architecture}.deb`.
    pub fn filename(&self) -> String {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, rest)| rest);
        format!("{}_{version}_{}.deb", self.package, self.architecture)
    }

    /// The paths of its files and links, without the leading `./`.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        let files = self.members.iter().filter(|member| !matches!(member.kind, TarKind::Directory));
        files.map(|member| String::from_utf8_lossy(&member.name).trim_start_matches("./").to_owned())
    }

    /// The control paragraph, ending in a newline.
    pub fn control(&self) -> String {
        let size: usize = self.members.iter().map(|member| content(member).map_or(0, <[u8]>::len)).sum();
        let mut text = format!("Package: {}\nVersion: {}\n", self.package, self.version);
        let mut field = |name: &str, value: &str| {
            let _ = writeln!(text, "{name}: {value}");
        };
        field("Architecture", &self.architecture);
        field("Maintainer", "Test Archive <archive@example.invalid>");
        field("Installed-Size", &size.div_ceil(1024).to_string());
        let given = |name: &str| self.fields.iter().any(|(other, _)| other == name);
        for (name, value) in [("Section", "misc"), ("Priority", "optional"), ("Description", "a package for tests")] {
            if !given(name) {
                field(name, value);
            }
        }
        for (name, value) in &self.fields {
            field(name, value);
        }
        text
    }

    /// The bytes of the package, the same each time.
    pub fn build(&self) -> Vec<u8> {
        let mut md5sums = String::new();
        for member in &self.members {
            if let Some(bytes) = content(member) {
                let name = String::from_utf8_lossy(&member.name);
                let digest = md5::Md5::digest(bytes);
                let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                let _ = writeln!(md5sums, "{hex}  {}", name.trim_start_matches("./"));
            }
        }
        let mut control = vec![TarMember::directory("./"), TarMember::file("./control", self.control())];
        control.push(TarMember::file("./md5sums", md5sums));
        control.extend(self.control_files.iter().cloned());

        let mut data = with_directories(&self.members);
        let mut format = "2.0\n";
        let (mut cut, mut dataless, mut total) = (false, false, usize::MAX);
        for fault in &self.faults {
            match fault {
                DebFault::Member(member) => data.push(member.clone()),
                DebFault::TruncatedData => cut = true,
                DebFault::NoData => dataless = true,
                DebFault::OtherFormat => format = "9.0\n",
                DebFault::Truncated(len) => total = *len,
            }
        }
        let suffix = self.compression.suffix();
        let mut data = self.compression.compress(&tar(&data));
        if cut {
            data.truncate(data.len() / 2);
        }
        let (control_name, data_name) = (format!("control.tar{suffix}"), format!("data.tar{suffix}"));
        let mut members = vec![
            ("debian-binary", format.as_bytes().to_vec()),
            (control_name.as_str(), self.compression.compress(&tar(&control))),
        ];
        if !dataless {
            members.push((data_name.as_str(), data));
        }
        let mut bytes = ar(&members);
        bytes.truncate(total);
        bytes
    }
}

fn content(member: &TarMember) -> Option<&[u8]> {
    match &member.kind {
        TarKind::File(bytes) => Some(bytes),
        _ => None,
    }
}

/// The members with every directory above them, each once and before what is in it, as dpkg-deb writes them.
fn with_directories(members: &[TarMember]) -> Vec<TarMember> {
    let mut all = vec![TarMember::directory("./")];
    for member in members {
        let name = String::from_utf8_lossy(&member.name).into_owned();
        let slashes = name.match_indices('/').map(|(at, _)| &name[..=at]);
        for directory in slashes.skip(1) {
            if directory != name && !all.iter().any(|other| other.name == directory.as_bytes()) {
                all.push(TarMember::directory(directory));
            }
        }
        all.push(member.clone());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What `dpkg-deb` says of a package; `None`, and a word about it, where the tool is not there.
    fn dpkg_deb(option: &str, bytes: &[u8]) -> Option<(bool, String)> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.deb");
        std::fs::write(&file, bytes).unwrap();
        let output = Command::new("dpkg-deb").arg(option).arg(file).env("LC_ALL", "C").output();
        let output = output.inspect_err(|error| eprintln!("not checked against dpkg-deb: {error}")).ok()?;
        Some((output.status.success(), String::from_utf8(output.stdout).unwrap()))
    }

    #[test]
    fn dpkg_reads_every_compression() {
        for compression in [Compression::None, Compression::Gzip, Compression::Xz, Compression::Zstd] {
            let deb = DebBuilder::new("demo", "1:1.0-1")
                .depends("libc6 (>= 2.36)")
                .file("usr/share/demo/a.txt", "a")
                .symlink("usr/lib/libdemo.so.1", "libdemo.so.1.0")
                .control_file("postinst", "#!/bin/sh\n")
                .compression(compression);
            let Some((accepted, listing)) = dpkg_deb("--contents", &deb.build()) else { return };
            assert!(accepted, "dpkg-deb refuses {compression:?}");
            let rows: Vec<&str> = listing.lines().map(|line| line.rsplit_once(' ').unwrap().1).collect();
            let usr = ["./", "./usr/", "./usr/share/", "./usr/share/demo/", "./usr/share/demo/a.txt", "./usr/lib/"];
            assert_eq!(rows[..6], usr);
            assert!(listing.contains("libdemo.so.1 -> libdemo.so.1.0"));
            assert_eq!(deb.filename(), "demo_1.0-1_amd64.deb");
        }
    }

    #[test]
    fn the_control_paragraph_has_what_policy_wants() {
        insta::assert_snapshot!(DebBuilder::new("demo", "1").field("Section", "libs").provides("virtual").control(), @r"
        Package: demo
        Version: 1
        Architecture: amd64
        Maintainer: Test Archive <archive@example.invalid>
        Installed-Size: 0
        Priority: optional
        Description: a package for tests
        Section: libs
        Provides: virtual
        ");
    }

    #[test]
    fn faults_break_the_package() {
        let deb = DebBuilder::new("demo", "1").file("usr/a", "a".repeat(5000));
        for fault in [DebFault::Truncated(200), DebFault::TruncatedData, DebFault::NoData, DebFault::OtherFormat] {
            if let Some((accepted, _)) = dpkg_deb("--contents", &deb.clone().fault(fault.clone()).build()) {
                assert!(!accepted, "{fault:?}");
            }
        }
        let hostile = deb.fault(DebFault::Member(TarMember::device("./dev/null"))).build();
        assert!(dpkg_deb("--contents", &hostile).is_none_or(|(_, listing)| listing.contains("crw-rw-rw-")));
    }
}
