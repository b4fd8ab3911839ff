//! The file name of a wheel: `name-version(-build)?-python-abi-platform.whl` (binary distribution format, "File name
//! convention").

use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;

use crate::name::NormalizedName;
use crate::scan::printable;
use crate::tags::Tag;

/// What the file name of a wheel says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WheelFilename {
    text: String,
    /// The distribution.
    pub name: NormalizedName,
    /// Its version.
    pub version: Version,
    /// The build tag; of two wheels that are otherwise alike, the one with the higher is taken, and none is lowest.
    pub build: Option<BuildTag>,
    /// The interpreters of the compressed tag set, such as `py2`, `py3`.
    pub pythons: Vec<String>,
    /// The ABIs of the compressed tag set.
    pub abis: Vec<String>,
    /// The platforms of the compressed tag set.
    pub platforms: Vec<String>,
}

/// The digits that a build tag begins with, and the rest of it. It orders so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildTag(pub u64, pub String);

impl WheelFilename {
    /// Parses a file name without directories, URL-decoded.
    pub fn parse(filename: &str) -> Result<Self, WheelFilenameError> {
        let error = |why: &str| WheelFilenameError { filename: filename.to_owned(), why: why.to_owned() };
        let stem = filename.strip_suffix(".whl").ok_or_else(|| error("it does not end in `.whl`"))?;
        let parts: Vec<_> = stem.split('-').collect();
        let (name, version, build, tags) = match parts[..] {
            [name, version, python, abi, platform] => (name, version, None, [python, abi, platform]),
            [name, version, build, python, abi, platform] => (name, version, Some(build), [python, abi, platform]),
            _ => return Err(error("it needs name, version, an optional build tag and three compatibility tags")),
        };
        if name.contains("__") {
            return Err(error("its name holds `__`"));
        }
        let name = NormalizedName::parse(name).map_err(|e| error(&e.to_string()))?;
        // `-` is written `_` in every part, and versions such as `1.0-1` hold one.
        let parsed =
            Version::from_str(version).or_else(|e| Version::from_str(&version.replace('_', "-")).map_err(|_| e));
        let version = parsed.map_err(|_| error(&format!("`{}` is not a version", printable(version))))?;
        let build = build.map(|tag| build_tag(tag).ok_or_else(|| error("its build tag does not begin with a digit")));
        let set = |text: &str| -> Result<Vec<String>, WheelFilenameError> {
            let known = |tag: &str| !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let tags: Vec<_> = text.split('.').map(str::to_ascii_lowercase).collect();
            if tags.iter().all(|tag| known(tag)) {
                Ok(tags)
            } else {
                Err(error("a compatibility tag in it is malformed"))
            }
        };
        let [pythons, abis, platforms] = tags;
        let (pythons, abis, platforms) = (set(pythons)?, set(abis)?, set(platforms)?);
        if pythons.len().saturating_mul(abis.len()).saturating_mul(platforms.len()) > TAG_LIMIT {
            return Err(error("it stands for too many compatibility tags"));
        }
        Ok(Self { text: filename.to_owned(), name, version, build: build.transpose()?, pythons, abis, platforms })
    }

    /// Every tag that the compressed sets stand for.
    pub fn tags(&self) -> impl Iterator<Item = Tag> + '_ {
        self.pythons.iter().flat_map(move |python| {
            self.abis.iter().flat_map(move |abi| {
                let tag = move |platform: &String| Tag {
                    python: python.clone(),
                    abi: abi.clone(),
                    platform: platform.clone(),
                };
                self.platforms.iter().map(tag)
            })
        })
    }

    /// The file name as it was.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it runs on every platform.
    pub fn is_any_platform(&self) -> bool {
        self.platforms.iter().any(|platform| platform == "any")
    }
}

/// More tags than this in one file name are an attack: the largest in the wild stand for a few dozen.
const TAG_LIMIT: usize = 4096;

fn build_tag(text: &str) -> Option<BuildTag> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some(BuildTag(text[..digits].parse().ok()?, text[digits..].to_owned()))
}

impl fmt::Display for WheelFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for WheelFilename {
    type Err = WheelFilenameError;

    fn from_str(filename: &str) -> Result<Self, WheelFilenameError> {
        Self::parse(filename)
    }
}

/// The file is not named as a wheel is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the file name of a wheel: {why}", printable(filename))]
pub struct WheelFilenameError {
    filename: String,
    why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_come_apart() {
        let wheel = WheelFilename::parse("Foo.Bar_baz-1.0+cu118-2b-py2.py3-none-manylinux1_i686.any.whl").unwrap();
        assert_eq!((wheel.name.as_str(), wheel.version.to_string().as_str()), ("foo-bar-baz", "1.0+cu118"));
        assert_eq!(wheel.build, Some(BuildTag(2, "b".to_owned())));
        let tags: Vec<_> = wheel.tags().map(|tag| tag.to_string()).collect();
        assert_eq!(tags, ["py2-none-manylinux1_i686", "py2-none-any", "py3-none-manylinux1_i686", "py3-none-any"]);
        assert!(wheel.is_any_platform());
        let post = WheelFilename::parse("a-1.0_1-py3-none-any.whl").unwrap();
        assert_eq!(post.version, Version::from_str("1.0.post1").unwrap());
    }

    #[test]
    fn other_file_names_are_refused() {
        let many = format!("a-1-{0}-{0}-{0}.whl", vec!["x"; 40].join("."));
        for bad in [
            "a-1-py3-none-any.zip",
            "a-1-py3-none.whl",
            "a-1-1-1-py3-none-any.whl",
            "a-1-b1-py3-none-any.whl",
            "a__b-1-py3-none-any.whl",
            "-1-py3-none-any.whl",
            "a-x-py3-none-any.whl",
            "a-1-py3..py2-none-any.whl",
            "a-1-py3-no/ne-any.whl",
            "../a-1-py3-none-any.whl",
            &many,
        ] {
            assert!(WheelFilename::parse(bad).is_err(), "{bad}");
        }
    }
}
