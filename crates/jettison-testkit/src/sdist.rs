//! Source distributions that build without a build tool: the back end is a module of their own (PEP 517, `backend-path`).

use std::fs;
use std::path::{Path, PathBuf};

use crate::archive::{Compression, TarMember, tar};
use crate::project::normalize;

/// A source distribution in the making.
#[derive(Debug, Clone)]
pub struct SdistBuilder {
    name: String,
    version: String,
    build_requires: Vec<String>,
    requires: Vec<String>,
    requires_python: Option<String>,
    backend: String,
    members: Vec<TarMember>,
}

impl SdistBuilder {
    /// An sdist whose build makes a pure wheel of the files below `src/`.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            build_requires: Vec::new(),
            requires: Vec::new(),
            requires_python: None,
            backend: BACKEND.to_owned(),
            members: Vec::new(),
        }
    }

    /// A file at this path of the project.
    #[must_use]
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let name = format!("{}/{path}", self.stem());
        self.members.push(TarMember::file(name, bytes));
        self
    }

    /// A member as it is written, for what no sdist should hold.
    #[must_use]
    pub fn member(mut self, member: TarMember) -> Self {
        self.members.push(member);
        self
    }

    /// A requirement of `[build-system]`.
    #[must_use]
    pub fn build_requires(mut self, requirement: &str) -> Self {
        self.build_requires.push(requirement.to_owned());
        self
    }

    /// A requirement of the wheel.
    #[must_use]
    pub fn requires(mut self, requirement: &str) -> Self {
        self.requires.push(requirement.to_owned());
        self
    }

    /// The Python versions that it is for.
    #[must_use]
    pub fn requires_python(mut self, specifier: &str) -> Self {
        self.requires_python = Some(specifier.to_owned());
        self
    }

    /// Python that stands at the head of `build_wheel`, indented by four spaces: for builds that fail.
    #[must_use]
    pub fn build_step(mut self, python: &str) -> Self {
        self.backend = self.backend.replace("    # build step\n", &format!("    # build step\n    {python}\n"));
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

    /// The value of `Requires-Python`, where there is one.
    pub fn python_specifier(&self) -> Option<&str> {
        self.requires_python.as_deref()
    }

    /// The file name (PEP 625).
    pub fn filename(&self) -> String {
        format!("{}.tar.gz", self.stem())
    }

    fn stem(&self) -> String {
        format!("{}-{}", normalize(&self.name).replace('-', "_"), self.version)
    }

    /// The text of `PKG-INFO`.
    pub fn metadata_text(&self) -> String {
        let mut text = format!("Metadata-Version: 2.2\nName: {}\nVersion: {}\n", self.name, self.version);
        if let Some(specifier) = &self.requires_python {
            text.push_str(&format!("Requires-Python: {specifier}\n"));
        }
        for requirement in &self.requires {
            text.push_str(&format!("Requires-Dist: {requirement}\n"));
        }
        text
    }

    /// The bytes of the sdist, the same each time.
    pub fn build(&self) -> Vec<u8> {
        let quoted = |items: &[String]| items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ");
        let mut pyproject = format!(
            "[build-system]\nrequires = [{}]\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\n\
             [project]\nname = \"{}\"\nversion = \"{}\"\ndependencies = [{}]\n",
            quoted(&self.build_requires),
            self.name,
            self.version,
            quoted(&self.requires),
        );
        if let Some(specifier) = &self.requires_python {
            pyproject.push_str(&format!("requires-python = \"{specifier}\"\n"));
        }
        let stem = self.stem();
        let mut members = vec![
            TarMember::file(format!("{stem}/pyproject.toml"), pyproject),
            TarMember::file(format!("{stem}/PKG-INFO"), self.metadata_text()),
            TarMember::file(format!("{stem}/backend.py"), self.backend.as_str()),
        ];
        members.extend(self.members.iter().cloned());
        Compression::Gzip.compress(&tar(&members))
    }

    /// Writes the sdist into a directory, under its own name.
    pub fn write_to(&self, directory: &Path) -> PathBuf {
        let path = directory.join(self.filename());
        fs::write(&path, self.build()).expect("a writable directory");
        path
    }
}

/// A build back end of the standard library alone.
const BACKEND: &str = r#""""Makes a wheel of what lies in src/."""

import base64
import hashlib
import os
import re
import zipfile


def metadata():
    with open("PKG-INFO", encoding="utf-8") as file:
        return file.read()


def field(name):
    return re.search(rf"^{name}: (.*)$", metadata(), re.M)[1]


def stem():
    return re.sub(r"[-_.]+", "_", field("Name")).lower() + "-" + field("Version")


def write_dist_info(directory):
    path = os.path.join(directory, stem() + ".dist-info")
    os.makedirs(path, exist_ok=True)
    for name, text in dist_info().items():
        with open(os.path.join(path, name), "w", encoding="utf-8") as file:
            file.write(text)
    return os.path.basename(path)


def dist_info():
    wheel = "Wheel-Version: 1.0\nGenerator: backend 1\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return {"METADATA": metadata(), "WHEEL": wheel}


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    return write_dist_info(metadata_directory)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    # build step
    files = {}
    for root, directories, names in os.walk("src"):
        directories.sort()
        for name in sorted(names):
            path = os.path.join(root, name)
            with open(path, "rb") as file:
                files[os.path.relpath(path, "src")] = file.read()
    for name, text in dist_info().items():
        files[f"{stem()}.dist-info/{name}"] = text.encode()
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{stem()}.dist-info/RECORD"] = (record + f"{stem()}.dist-info/RECORD,,\n").encode()
    filename = stem() + "-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, filename), "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files.items():
            wheel.writestr(zipfile.ZipInfo(name), content)
    return filename
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sdist_holds_what_a_front_end_asks_for() {
        let sdist = SdistBuilder::new("My.Lib", "2.0")
            .file("src/my_lib/__init__.py", "x = 1\n")
            .requires_python(">=3.9")
            .build_step("raise SystemExit('no compiler')");
        assert_eq!(sdist.filename(), "my_lib-2.0.tar.gz");
        let bytes = sdist.build();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let mut texts = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            texts.push((entry.path().unwrap().display().to_string(), text));
        }
        let names: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
        let files = ["pyproject.toml", "PKG-INFO", "backend.py", "src/my_lib/__init__.py"];
        assert_eq!(names, files.map(|file| format!("my_lib-2.0/{file}")));
        assert!(
            texts[0].1.contains("build-backend = \"backend\"") && texts[0].1.contains("requires-python = \">=3.9\"")
        );
        assert!(texts[2].1.contains("    # build step\n    raise SystemExit('no compiler')\n"));
    }
}
