//! Names of distributions, extras and dependency groups, as they are compared.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scan::printable;

/// The name of a distribution, an extra or a dependency group, normalised: lower case, each run of `-`, `_` and `.`
/// written as one `-` (PEP 503; PEP 685 for extras, PEP 735 for groups). Two spellings of one name are equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NormalizedName(Arc<str>);

impl NormalizedName {
    /// Parses any spelling: ASCII letters, digits, `-`, `_` and `.`, with a letter or digit at each end (PEP 508, "Names").
    pub fn parse(raw: &str) -> Result<Self, NameError> {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let ends_well = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let mut chars = raw.chars();
        if !ends_well(chars.clone().next()) || !ends_well(chars.next_back()) || !raw.chars().all(inner) {
            return Err(NameError(raw.to_owned()));
        }
        Ok(Self(normalize(raw).into()))
    }

    /// The normalised text, such as `scikit-learn`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as file names and `.dist-info` directories spell it, such as `scikit_learn` (binary distribution format,
    /// "Escaping and Unicode").
    pub fn escaped(&self) -> String {
        self.0.replace('-', "_")
    }
}

/// What PEP 503 makes of `raw`, whether or not it is a name.
pub(crate) fn normalize(raw: &str) -> String {
    let mut clean = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '-' | '_' | '.' if clean.ends_with('-') => {}
            '-' | '_' | '.' => clean.push('-'),
            _ => clean.push(c.to_ascii_lowercase()),
        }
    }
    clean
}

impl fmt::Display for NormalizedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NormalizedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for NormalizedName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// `normalised == "literal"`; the right side is compared as it stands.
impl PartialEq<str> for NormalizedName {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl FromStr for NormalizedName {
    type Err = NameError;

    fn from_str(raw: &str) -> Result<Self, NameError> {
        Self::parse(raw)
    }
}

impl Serialize for NormalizedName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NormalizedName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The text is no name of a distribution, an extra or a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a valid name: letters, digits, `-`, `_` and `.`, with a letter or digit at each end", printable(.0))]
pub struct NameError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_equal() {
        for raw in ["friendly-bard", "Friendly.Bard", "FRIENDLY__bard", "friendly-._.-bard"] {
            assert_eq!(NormalizedName::parse(raw).unwrap(), *"friendly-bard", "{raw}");
        }
        assert_eq!(NormalizedName::parse("zope.interface").unwrap().escaped(), "zope_interface");
        for bad in ["", "-a", "a-", "a b", "a!", "é", "_", "a/b"] {
            assert!(NormalizedName::parse(bad).is_err(), "{bad}");
        }
    }
}
