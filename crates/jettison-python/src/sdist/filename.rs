use std::fmt;
use std::str::FromStr;

use pep440_rs::Version;

use crate::name::NormalizedName;
use crate::scan::printable;

/// What the file name of a source distribution says: `name-version.tar.gz` (PEP 625), or `.zip` as before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SdistFilename {
    text: String,
    /// The distribution.
    pub name: NormalizedName,
    /// Its version.
    pub version: Version,
    /// The archive.
    pub format: SdistFormat,
}

/// The archives that source distributions come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SdistFormat {
    /// `.tar.gz`
    TarGz,
    /// `.zip`
    Zip,
}

impl SdistFilename {
    /// Parses a file name without directories, URL-decoded. Old names hold dashes in both parts: the version is the shortest
    /// end that is one.
    pub fn parse(filename: &str) -> Result<Self, SdistFilenameError> {
        Self::split(filename, |_| true)
    }

    /// Parses the file name of a source distribution of `name`, which settles where the version begins.
    pub fn parse_for(filename: &str, name: &NormalizedName) -> Result<Self, SdistFilenameError> {
        Self::split(filename, |found| found == name)
    }

    fn split(filename: &str, accept: impl Fn(&NormalizedName) -> bool) -> Result<Self, SdistFilenameError> {
        let formats = [(".tar.gz", SdistFormat::TarGz), (".tgz", SdistFormat::TarGz), (".zip", SdistFormat::Zip)];
        let stem = formats.iter().find_map(|(suffix, format)| Some((filename.strip_suffix(suffix)?, *format)));
        let error = |why| SdistFilenameError { filename: filename.to_owned(), why };
        let (stem, format) = stem.ok_or_else(|| error("it does not end in `.tar.gz` or `.zip`"))?;
        let split = stem.rmatch_indices('-').find_map(|(at, _)| {
            let name = NormalizedName::parse(&stem[..at]).ok().filter(&accept)?;
            Some((name, Version::from_str(&stem[at + 1..]).ok()?))
        });
        let (name, version) = split.ok_or_else(|| error("it is no `name-version`"))?;
        Ok(Self { text: filename.to_owned(), name, version, format })
    }

    /// The file name as it was.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SdistFilename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SdistFilename {
    type Err = SdistFilenameError;

    fn from_str(filename: &str) -> Result<Self, SdistFilenameError> {
        Self::parse(filename)
    }
}

/// The file is not named as a source distribution is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the file name of a source distribution: {why}", printable(filename))]
pub struct SdistFilenameError {
    filename: String,
    why: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_come_apart() {
        for (filename, shown) in [
            ("psycopg2-2.9.10.tar.gz", "psycopg2 2.9.10"),
            ("zope.interface-5.0.zip", "zope-interface 5.0"),
            ("a-b-1.0-1.tar.gz", "a-b-1-0 1"),
            ("foo-1.0rc1+x.tgz", "foo 1.0rc1+x"),
        ] {
            let parsed = SdistFilename::parse(filename).unwrap();
            assert_eq!(format!("{} {}", parsed.name, parsed.version), shown);
        }
        let name = NormalizedName::parse("a-b").unwrap();
        assert_eq!(SdistFilename::parse_for("a-b-1.0-1.tar.gz", &name).unwrap().version, "1.0.post1".parse().unwrap());
        for bad in ["a-1.tar.bz2", "a.tar.gz", "a-x.tar.gz", "-1.tar.gz", "../a-1.tar.gz", "a-1.whl"] {
            assert!(SdistFilename::parse(bad).is_err(), "{bad}");
        }
    }
}
