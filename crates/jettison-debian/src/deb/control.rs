//! The control member of a `.deb`: what the package says about itself.

use std::collections::BTreeMap;
use std::io::Read;

use jettison_tree::TreePath;

use super::tar::{Kind, TarReader};
use super::{DebError, Limits};
use crate::compression::Plain;
use crate::control::Paragraph;

/// The files of a control member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebControl {
    control: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// When `dpkg` runs a script (Policy 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Script {
    /// Before unpacking.
    PreInst,
    /// After unpacking.
    PostInst,
    /// Before removal.
    PreRm,
    /// After removal.
    PostRm,
}

impl Script {
    /// The name of its file.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::PreInst => "preinst",
            Self::PostInst => "postinst",
            Self::PreRm => "prerm",
            Self::PostRm => "postrm",
        }
    }
}

impl DebControl {
    /// Reads a decompressed control member.
    pub(super) fn read(reader: impl Read, member: &str, limits: &Limits) -> Result<Self, DebError> {
        let mut tar = TarReader::new(Plain(reader), limits.control);
        let mut files = BTreeMap::new();
        let mut count = 0;
        while let Some(header) = tar.next_entry().map_err(|error| DebError::read(member, tar.at(), error))? {
            count += 1;
            if count > 1024 {
                return Err(DebError::TooMany { member: member.to_owned(), limit: 1024 });
            }
            let name = TreePath::parse(&header.path).ok().and_then(|path| path.as_str().map(str::to_owned));
            let (Kind::File, Some(name)) = (header.kind, name) else { continue };
            let mut bytes = Vec::new();
            let read = tar.content().read_to_end(&mut bytes);
            read.map_err(|error| DebError::read(member, tar.at(), error))?;
            files.insert(name, bytes);
        }
        let control = files.remove("control").ok_or_else(|| DebError::NoControl(member.to_owned()))?;
        let control = String::from_utf8(control).map_err(|_| DebError::NoControl(member.to_owned()))?;
        let paragraph = Paragraph::parse(&control)?;
        if let Some(field) = ["Package", "Version", "Architecture"]
            .into_iter()
            .find(|field| paragraph.get(field).is_none_or(str::is_empty))
        {
            return Err(DebError::NoField(field));
        }
        Ok(Self { control, files })
    }

    /// The control paragraph, which has `Package`, `Version` and `Architecture`.
    pub fn paragraph(&self) -> Paragraph<'_> {
        Paragraph::assume(&self.control)
    }

    /// `Package`.
    pub fn name(&self) -> &str {
        self.paragraph().get("Package").unwrap_or_default()
    }

    /// `Version`.
    pub fn version(&self) -> &str {
        self.paragraph().get("Version").unwrap_or_default()
    }

    /// Any other file of the member, such as `shlibs`, `symbols`, `triggers` or `templates`.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// The text of a maintainer script.
    pub fn script(&self, script: Script) -> Option<&[u8]> {
        self.file(script.file_name())
    }

    /// The maintainer scripts that it has, none of which is ever run here.
    pub fn scripts(&self) -> impl Iterator<Item = Script> {
        let all = [Script::PreInst, Script::PostInst, Script::PreRm, Script::PostRm];
        all.into_iter().filter(|script| self.script(*script).is_some())
    }

    /// The paths that `dpkg` treats as configuration (deb-conffiles(5)). Paths that cannot stand in a tree are left out.
    pub fn conffiles(&self) -> impl Iterator<Item = TreePath> {
        let lines = self.lines("conffiles");
        lines.filter(|line| line.starts_with(b"/")).filter_map(|line| TreePath::parse(line).ok())
    }

    /// The MD5 of files by their paths (deb-md5sums(5)), in lower-case hex.
    pub fn md5sums(&self) -> impl Iterator<Item = (TreePath, &str)> {
        self.lines("md5sums").filter_map(|line| {
            let (sum, path) = line.split_at_checked(32)?;
            let sum = std::str::from_utf8(sum).ok().filter(|sum| sum.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            Some((TreePath::parse(path.trim_ascii_start()).ok()?, sum))
        })
    }

    /// The sonames that it ships and the packages to depend on for them (deb-shlibs(5)): `libpq 5 libpq5 (>= 17)` says that
    /// `libpq.so.5` is in `libpq5`. Soname's stem, version, and relation.
    pub fn shlibs(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.lines("shlibs").filter_map(|line| {
            let line = std::str::from_utf8(line).ok()?;
            // `type: ` in front is for udebs.
            let mut words = line.splitn(3, ' ');
            let (name, version, relation) = (words.next()?, words.next()?, words.next()?);
            (!name.ends_with(':') && !name.starts_with('#')).then_some((name, version, relation))
        })
    }

    fn lines(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let lines = self.file(name).unwrap_or_default().split(|&byte| byte == b'\n');
        lines.map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty())
    }
}
