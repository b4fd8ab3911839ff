use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path inside a tree: relative to its root, no `.`, `..`, empty component or NUL, any other byte allowed.
///
/// Paths order by bytes, so a directory stands before what is in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Box<[u8]>);

impl TreePath {
    /// Parses a path as an archive spells it: a leading `/` or `./`, doubled and trailing slashes mean nothing.
    /// A path that would leave the tree, and the root itself, are errors.
    pub fn parse(raw: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let raw = raw.as_ref();
        let error = |why| PathError { path: String::from_utf8_lossy(raw).into_owned(), why };
        let mut clean = Vec::with_capacity(raw.len());
        for component in raw.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => return Err(error("it climbs out with `..`")),
                _ if component.contains(&0) => return Err(error("it holds a NUL byte")),
                _ => {}
            }
            if !clean.is_empty() {
                clean.push(b'/');
            }
            clean.extend_from_slice(component);
        }
        if clean.is_empty() {
            return Err(error("it names the root itself"));
        }
        Ok(Self(clean.into()))
    }

    /// The path `relative` below this directory.
    pub fn join(&self, relative: impl AsRef<[u8]>) -> Result<Self, PathError> {
        Self::parse([&self.0, &b"/"[..], relative.as_ref()].concat())
    }

    /// The bytes, without a leading or trailing slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as a relative [`Path`].
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The text, where the bytes are UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The directory that holds it; `None` right below the root.
    pub fn parent(&self) -> Option<Self> {
        let slash = self.0.iter().rposition(|&byte| byte == b'/')?;
        Some(Self(self.0[..slash].into()))
    }

    /// The last component.
    pub fn file_name(&self) -> &[u8] {
        let start = self.0.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        &self.0[start..]
    }

    /// Whether it is `directory` or lies below it, by whole components.
    pub fn is_below(&self, directory: impl AsRef<[u8]>) -> bool {
        let directory = directory.as_ref();
        self.0.starts_with(directory) && matches!(self.0.get(directory.len()), None | Some(b'/'))
    }

    /// What follows `directory/`, where it lies below it.
    pub fn strip_prefix(&self, directory: impl AsRef<[u8]>) -> Option<Self> {
        let directory = directory.as_ref();
        if !self.is_below(directory) || self.0.len() <= directory.len() + 1 {
            return None;
        }
        Some(Self(self.0[directory.len() + 1..].into()))
    }
}

/// As text; bytes that are not UTF-8, controls and backslashes are written `\xNN`, so that no name can drive a terminal.
impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || c == '\\' {
                    let mut utf8 = [0; 4];
                    c.encode_utf8(&mut utf8).bytes().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
                } else {
                    write!(f, "{c}")?;
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            rest = tail;
            if *first != b'\\' {
                bytes.push(*first);
                continue;
            }
            let hex =
                tail.strip_prefix(b"x").and_then(|hex| hex.get(..2)).and_then(|hex| std::str::from_utf8(hex).ok());
            let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
            bytes.push(byte.ok_or_else(|| serde::de::Error::custom(format!("bad escape in path `{text}`")))?);
            rest = &tail[3..];
        }
        Self::parse(bytes).map_err(serde::de::Error::custom)
    }
}

/// The path cannot stand in a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no path inside the tree: {why}", path.escape_debug())]
pub struct PathError {
    path: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_spellings_become_one() {
        for raw in ["usr/bin/x", "/usr/bin/x", "./usr//bin/./x", "usr/bin/x/"] {
            assert_eq!(TreePath::parse(raw).unwrap().as_bytes(), b"usr/bin/x");
        }
        for raw in ["", "/", ".", "../x", "a/../b", "a/..", "a\0b"] {
            assert!(TreePath::parse(raw).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn relations_go_by_component() {
        let path = TreePath::parse("usr/lib/x.so").unwrap();
        assert!(path.is_below("usr/lib") && path.is_below("usr/lib/x.so") && !path.is_below("usr/li"));
        assert_eq!(path.strip_prefix("usr").unwrap().as_bytes(), b"lib/x.so");
        assert_eq!(path.strip_prefix("usr/lib/x.so"), None);
        assert_eq!(path.parent().unwrap().as_bytes(), b"usr/lib");
        assert_eq!(path.file_name(), b"x.so");
    }

    #[test]
    fn any_bytes_survive_json() {
        let path = TreePath::parse(b"a\\b/\xff\x1b[31m\xc3\xa9").unwrap();
        let json = serde_json::to_string(&path).unwrap();
        assert_eq!(json, r#""a\\x5cb/\\xff\\x1b[31mé""#);
        assert_eq!(serde_json::from_str::<TreePath>(&json).unwrap(), path);
    }
}
