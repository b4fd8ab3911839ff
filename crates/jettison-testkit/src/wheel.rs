//! Wheels, right ones and wrong ones (the binary distribution format of packaging.python.org).

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::archive::{ZipMember, zip};

/// A wheel in the making. What is not said is right: `WHEEL`, `METADATA` and `RECORD` are made from what is there.
#[derive(Debug, Clone)]
pub struct WheelBuilder {
    name: String,
    version: String,
    tag: String,
    metadata: Vec<(String, String)>,
    entry_points: Vec<(String, String, String)>,
    members: Vec<ZipMember>,
    faults: Vec<WheelFault>,
}

/// What is wrong with a wheel.
#[derive(Debug, Clone)]
pub enum WheelFault {
    /// `RECORD` has another hash for this member.
    WrongHash(String),
    /// `RECORD` has another size for this member.
    WrongSize(String),
    /// `RECORD` has no row for this member.
    MissingRow(String),
    /// `RECORD` has a row for a member that is not there.
    RowWithoutMember(String),
    /// There is no `RECORD`.
    NoRecord,
    /// A member more, as it is written and in `RECORD`: for names such as `../x`, `/x`, `a\x`.
    Member(String),
    /// A member that is a symbolic link to this target.
    Symlink(String, String),
    /// This member is there twice.
    Duplicate(String),
    /// This member claims to be encrypted.
    Encrypted(String),
    /// `METADATA` has another name.
    OtherName(String),
    /// `METADATA` has another version.
    OtherVersion(String),
    /// `WHEEL` has this version.
    WheelVersion(String),
    /// A member of this many zero bytes, deflated to a thousandth of it.
    Bomb(usize),
    /// The file ends after this many bytes.
    Truncated(usize),
}

impl WheelBuilder {
    /// A wheel for every Python with nothing in it but its metadata.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            tag: "py3-none-any".to_owned(),
            metadata: Vec::new(),
            entry_points: Vec::new(),
            members: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// With another tag, such as `cp313-cp313-manylinux_2_28_x86_64` or the compressed `py2.py3-none-any`.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        tag.clone_into(&mut self.tag);
        self
    }

    /// A file at this path of the archive.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.members.push(ZipMember::file(path, bytes));
        self
    }

    /// A file with the executable bits set.
    #[must_use]
    pub fn executable(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.members.push(ZipMember { mode: 0o100_755, ..ZipMember::file(path, bytes) });
        self
    }

    /// A file of the `.data` directory: `scheme` is `scripts`, `data`, `headers`, `purelib` or `platlib`.
    #[must_use]
    pub fn data(self, scheme: &str, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let path = format!("{}.data/{scheme}/{path}", self.stem());
        self.executable(&path, bytes)
    }

    /// A file of the `.dist-info` directory.
    #[must_use]
    pub fn dist_info(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let path = format!("{}.dist-info/{path}", self.stem());
        self.file(&path, bytes)
    }

    /// A script of `entry_points.txt`, such as `("demo", "demo.cli:main")`.
    #[must_use]
    pub fn script(self, name: &str, object: &str) -> Self {
        self.entry_point("console_scripts", name, object)
    }

    /// An entry point of any group.
    #[must_use]
    pub fn entry_point(mut self, group: &str, name: &str, object: &str) -> Self {
        self.entry_points.push((group.to_owned(), name.to_owned(), object.to_owned()));
        self
    }

    /// A field of `METADATA`.
    #[must_use]
    pub fn metadata(mut self, field: &str, value: &str) -> Self {
        self.metadata.push((field.to_owned(), value.to_owned()));
        self
    }

    /// A requirement, such as `starlette>=0.40; python_version >= "3.9"`.
    #[must_use]
    pub fn requires(self, requirement: &str) -> Self {
        self.metadata("Requires-Dist", requirement)
    }

    /// The Python versions that it is for.
    #[must_use]
    pub fn requires_python(self, specifier: &str) -> Self {
        self.metadata("Requires-Python", specifier)
    }

    /// With something wrong in it.
    #[must_use]
    pub fn fault(mut self, fault: WheelFault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The name as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file name: `{name}-{version}-{tag}.whl`.
    pub fn filename(&self) -> String {
        format!("{}-{}.whl", self.stem(), self.tag)
    }

    /// The value of `Requires-Python`, where there is one.
    pub fn python_specifier(&self) -> Option<&str> {
        self.metadata.iter().find(|(field, _)| field == "Requires-Python").map(|(_, value)| value.as_str())
    }

    /// `{name}-{version}`, as the parts of a file name are escaped.
    fn stem(&self) -> String {
        let escaped = crate::project::normalize(&self.name).replace('-', "_");
        format!("{escaped}-{}", self.version.replace('-', "_"))
    }

    /// The text of `METADATA`.
    pub fn metadata_text(&self) -> String {
        let (mut name, mut version) = (&self.name, &self.version);
        for fault in &self.faults {
            match fault {
                WheelFault::OtherName(other) => name = other,
                WheelFault::OtherVersion(other) => version = other,
                _ => {}
            }
        }
        let mut text = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n");
        for (field, value) in &self.metadata {
            text.push_str(&format!("{field}: {value}\n"));
        }
        text
    }

    fn wheel_text(&self) -> String {
        let version = self.faults.iter().find_map(|fault| match fault {
            WheelFault::WheelVersion(version) => Some(version.as_str()),
            _ => None,
        });
        let pure = self.tag.ends_with("-none-any");
        let mut text =
            format!("Wheel-Version: {}\nGenerator: testkit 1\nRoot-Is-Purelib: {pure}\n", version.unwrap_or("1.0"));
        let [python, abi, platform] = [0, 1, 2].map(|n| self.tag.split('-').nth(n).unwrap_or_default().split('.'));
        for python in python {
            for abi in abi.clone() {
                for platform in platform.clone() {
                    text.push_str(&format!("Tag: {python}-{abi}-{platform}\n"));
                }
            }
        }
        text
    }

    fn entry_points_text(&self) -> String {
        let mut groups: Vec<&str> = self.entry_points.iter().map(|(group, ..)| group.as_str()).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut text = String::new();
        for group in groups {
            text.push_str(&format!("[{group}]\n"));
            for (_, name, object) in self.entry_points.iter().filter(|(other, ..)| other == group) {
                text.push_str(&format!("{name} = {object}\n"));
            }
        }
        text
    }

    /// The bytes of the wheel, the same each time.
    pub fn build(&self) -> Vec<u8> {
        let mut wheel = self.clone();
        if !wheel.entry_points.is_empty() {
            wheel = wheel.dist_info("entry_points.txt", self.entry_points_text());
        }
        wheel = wheel.dist_info("METADATA", self.metadata_text()).dist_info("WHEEL", self.wheel_text());
        let mut members = wheel.members;
        for fault in &self.faults {
            match fault {
                WheelFault::Member(name) => members.push(ZipMember::file(name.as_str(), "x = 1\n")),
                WheelFault::Bomb(len) => members.push(ZipMember::file("bomb.bin", vec![0; *len])),
                WheelFault::Symlink(name, target) => {
                    members.push(ZipMember { mode: 0o120_777, ..ZipMember::file(name.as_str(), target.as_str()) });
                }
                WheelFault::Duplicate(name) => members.extend(find(&members, name).cloned()),
                WheelFault::Encrypted(name) => {
                    members.iter_mut().filter(|m| m.name == *name).for_each(|member| member.flags |= 1);
                }
                _ => {}
            }
        }
        if !self.faults.iter().any(|fault| matches!(fault, WheelFault::NoRecord)) {
            let record = self.record(&members);
            members.push(ZipMember::file(format!("{}.dist-info/RECORD", self.stem()), record));
        }
        let mut bytes = zip(&members);
        for fault in &self.faults {
            if let WheelFault::Truncated(len) = fault {
                bytes.truncate(*len);
            }
        }
        bytes
    }

    fn record(&self, members: &[ZipMember]) -> String {
        let mut text = String::new();
        for member in members {
            let (mut hashed, mut size, mut present) = (member.bytes.as_slice(), member.bytes.len(), true);
            for fault in &self.faults {
                match fault {
                    WheelFault::WrongHash(name) if *name == member.name => hashed = b"something else",
                    WheelFault::WrongSize(name) if *name == member.name => size += 1,
                    WheelFault::MissingRow(name) if *name == member.name => present = false,
                    _ => {}
                }
            }
            if present {
                text.push_str(&record_row(&member.name, hashed, size));
            }
        }
        for fault in &self.faults {
            if let WheelFault::RowWithoutMember(name) = fault {
                text.push_str(&record_row(name, b"", 0));
            }
        }
        text.push_str(&format!("{}.dist-info/RECORD,,\n", self.stem()));
        text
    }

    /// Writes the wheel into a directory, under its own name.
    pub fn write_to(&self, directory: &Path) -> PathBuf {
        let path = directory.join(self.filename());
        fs::write(&path, self.build()).expect("a writable directory");
        path
    }
}

fn find<'a>(members: &'a [ZipMember], name: &str) -> Option<&'a ZipMember> {
    members.iter().find(|member| member.name == name)
}

fn record_row(name: &str, hashed: &[u8], size: usize) -> String {
    let quoted = if name.contains([',', '"']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_owned() };
    format!("{quoted},sha256={},{size}\n", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(hashed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn members(wheel: &WheelBuilder) -> Vec<(String, String)> {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(wheel.build())).unwrap();
        (0..archive.len())
            .map(|index| {
                let mut member = archive.by_index(index).unwrap();
                let mut text = String::new();
                member.read_to_string(&mut text).unwrap();
                (member.name().unwrap().into_owned(), text)
            })
            .collect()
    }

    fn demo() -> WheelBuilder {
        WheelBuilder::new("Demo.App", "1.0")
            .file("demo/__init__.py", "")
            .data("scripts", "demo-sh", "#!python\n")
            .script("demo", "demo:main")
            .requires("starlette>=1")
    }

    #[test]
    fn a_wheel_is_whole() {
        insta::assert_snapshot!(members(&demo()).iter().map(|(n, t)| format!("== {n}\n{t}")).collect::<String>(), @r"
        == demo/__init__.py
        == demo_app-1.0.data/scripts/demo-sh
        #!python
        == demo_app-1.0.dist-info/entry_points.txt
        [console_scripts]
        demo = demo:main
        == demo_app-1.0.dist-info/METADATA
        Metadata-Version: 2.1
        Name: Demo.App
        Version: 1.0
        Requires-Dist: starlette>=1
        == demo_app-1.0.dist-info/WHEEL
        Wheel-Version: 1.0
        Generator: testkit 1
        Root-Is-Purelib: true
        Tag: py3-none-any
        == demo_app-1.0.dist-info/RECORD
        demo/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0
        demo_app-1.0.data/scripts/demo-sh,sha256=NKJyCC0fONcaYytG9mysca37TZf8wBDISvRNAW-78pQ,9
        demo_app-1.0.dist-info/entry_points.txt,sha256=cB9_KZ99Q1zeK186yD_neftGZdvOT61tblgHJXTEFUw,35
        demo_app-1.0.dist-info/METADATA,sha256=z2xTnplNeeiY7WCUQQoTPC9jvfDtuoK3_R2nA3GRgSI,78
        demo_app-1.0.dist-info/WHEEL,sha256=fzvPN-SYA4J38P94oYrzmYBbkGc4UyfIGg4-ufQHmLM,80
        demo_app-1.0.dist-info/RECORD,,
        ");
        assert_eq!(demo().filename(), "demo_app-1.0-py3-none-any.whl");
    }

    #[test]
    fn faults_are_in_the_record() {
        let wheel = demo()
            .fault(WheelFault::MissingRow("demo/__init__.py".to_owned()))
            .fault(WheelFault::RowWithoutMember("gone.py".to_owned()))
            .fault(WheelFault::Member("../climbs.py".to_owned()));
        let record = members(&wheel).pop().unwrap().1;
        assert!(!record.contains("demo/__init__.py") && record.contains("gone.py") && record.contains("../climbs.py"));
    }
}
