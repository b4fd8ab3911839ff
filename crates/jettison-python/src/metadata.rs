//! Core metadata: the `METADATA` of a wheel and the `PKG-INFO` of an sdist (core metadata specifications 1.0 to 2.x).

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};

use crate::name::NormalizedName;
use crate::scan::printable;

/// What a distribution says about itself, as far as a build needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// `Name`, normalised.
    pub name: NormalizedName,
    /// `Version`.
    pub version: Version,
    /// Each `Requires-Dist` word for word. [`Requirement::parse`](crate::Requirement::parse) reads one; metadata in the
    /// wild holds some that no specification allows.
    pub requires_dist: Vec<String>,
    /// `Requires-Python`, where it can be read.
    pub requires_python: Option<VersionSpecifiers>,
    /// Each `Provides-Extra` that is a name.
    pub provides_extra: Vec<NormalizedName>,
    /// The licence in one line: `License-Expression`, else a short `License`, else the licence classifiers.
    pub license: Option<String>,
    /// `Summary`.
    pub summary: Option<String>,
    /// Fields that a build may still change (`Dynamic`, PEP 643), in lower case.
    pub dynamic: Vec<String>,
}

/// The newest major version whose fields mean what is said here.
const MAJOR: u64 = 2;

impl Metadata {
    /// Parses the file. A newer major version of the format is refused, as the specification demands; bytes that are not
    /// UTF-8 are replaced.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        let text = String::from_utf8_lossy(bytes);
        let headers = headers(&text)?;
        let all = |key: &'static str| {
            headers.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
        };
        // Old tools wrote UNKNOWN where there was nothing to say.
        let one = |key| all(key).next().map(str::trim).filter(|value| !value.is_empty() && *value != "UNKNOWN");
        let required = |key: &'static str| one(key).ok_or(MetadataError::Missing(key));

        let format = one("Metadata-Version").unwrap_or("1.0");
        let major = format.split('.').next().and_then(|major| major.parse::<u64>().ok());
        if major.is_none_or(|major| major > MAJOR) {
            return Err(MetadataError::Format(printable(format)));
        }
        let (name, version) = (required("Name")?, required("Version")?);
        let invalid = |field, value: &str| MetadataError::Invalid { field, value: printable(value) };
        Ok(Self {
            name: NormalizedName::parse(name).map_err(|_| invalid("Name", name))?,
            version: Version::from_str(version).map_err(|_| invalid("Version", version))?,
            requires_dist: all("Requires-Dist").map(|value| value.trim().to_owned()).collect(),
            requires_python: one("Requires-Python").and_then(|text| VersionSpecifiers::from_str(text).ok()),
            provides_extra: all("Provides-Extra").filter_map(|name| NormalizedName::parse(name.trim()).ok()).collect(),
            license: license(one("License-Expression"), one("License"), all("Classifier")),
            summary: one("Summary").map(printable),
            dynamic: all("Dynamic").map(|value| value.trim().to_ascii_lowercase()).collect(),
        })
    }
}

fn license<'a>(
    expression: Option<&str>,
    license: Option<&str>,
    classifiers: impl Iterator<Item = &'a str>,
) -> Option<String> {
    // The `License` field of many is the whole text.
    let short = license.filter(|text| text.len() <= 100 && !text.contains('\n'));
    if let Some(text) = expression.or(short) {
        return Some(printable(text));
    }
    let names: Vec<_> = classifiers
        .filter_map(|classifier| classifier.trim().strip_prefix("License :: "))
        .map(|path| printable(path.rsplit(" :: ").next().unwrap_or(path)))
        .filter(|name| name != "OSI Approved")
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The fields of an email-like header block up to the first empty line; continued lines are joined with newlines.
pub(crate) fn headers(text: &str) -> Result<Vec<(String, String)>, MetadataError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = headers.last_mut()
        {
            value.push('\n');
            value.push_str(line.trim());
            continue;
        }
        match line.split_once(':') {
            Some((key, value)) if !key.is_empty() && !key.contains([' ', '\t']) => {
                headers.push((key.to_owned(), value.trim().to_owned()));
            }
            // An old License field may hold lines that are not indented; they end the block for some and not for
            // others, and nothing that matters stands behind them.
            _ if !headers.is_empty() => {}
            _ => return Err(MetadataError::Line { line: number + 1, text: printable(line) }),
        }
    }
    Ok(headers)
}

/// Metadata that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// A line is no field.
    #[error("line {line} is no `Field: value`: `{text}`")]
    Line {
        /// From 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A field that must be there is not.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A field holds what it cannot.
    #[error("`{value}` is no valid {field}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// The format is newer than this program.
    #[error("its format `{0}` is not known")]
    Format(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_and_the_description_is_not_read() {
        let text = "\u{feff}Metadata-Version: 2.4\r\nName: Foo.Bar\r\nVersion: 1.0\r\nsummary: A\u{1b}[31m thing\r\n\
            Requires-Dist: a>=1 ; extra == 'x'\r\nRequires-Dist: weird (==)\r\nRequires-Python: >=3.9,<4\r\n\
            Provides-Extra: X_y\r\nDynamic: Requires-Dist\r\nLicense: Copyright\r\n        All of it\r\nnot indented\r\n\
            Classifier: License :: OSI Approved\r\nClassifier: License :: OSI Approved :: MIT License\r\n\r\nName: evil\r\n";
        let metadata = Metadata::parse(text.as_bytes()).unwrap();
        assert_eq!((metadata.name.as_str(), metadata.version.to_string().as_str()), ("foo-bar", "1.0"));
        assert_eq!(metadata.requires_dist, ["a>=1 ; extra == 'x'", "weird (==)"]);
        assert_eq!(metadata.requires_python.unwrap().to_string(), ">=3.9, <4");
        assert_eq!(metadata.provides_extra[0], *"x-y");
        assert_eq!(metadata.license.as_deref(), Some("MIT License"));
        assert_eq!(metadata.summary.as_deref(), Some("A\\u{1b}[31m thing"));
        assert_eq!(metadata.dynamic, ["requires-dist"]);
    }

    #[test]
    fn unusable_metadata_is_refused() {
        for (text, error) in [
            ("", "the field `Name` is missing"),
            ("Name: a\n\nVersion: 1", "the field `Version` is missing"),
            ("Name: UNKNOWN\nVersion: 1", "the field `Name` is missing"),
            ("Name: a b\nVersion: 1", "`a b` is no valid Name"),
            ("Name: a\nVersion: latest", "`latest` is no valid Version"),
            ("Metadata-Version: 3.0\nName: a\nVersion: 1", "its format `3.0` is not known"),
            ("hello\nName: a", "line 1 is no `Field: value`: `hello`"),
        ] {
            assert_eq!(Metadata::parse(text.as_bytes()).unwrap_err().to_string(), error);
        }
    }
}
