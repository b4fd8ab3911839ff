use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Extra, is_default, null_default};

/// What an image runs on (image-spec, image-index.md, "platform"), in Go's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`, …
    pub os: String,
    /// Windows' build number.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system that are needed.
    #[serde(rename = "os.features", default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// `v7` of `linux/arm/v7`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub variant: Option<String>,
    /// What else was there.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Platform {
    /// Linux on this architecture, under any of its names.
    pub fn linux(architecture: &str) -> Self {
        Self::new("linux", architecture, None)
    }

    /// The platform of these three, normalised as containerd does: `x86_64` is `amd64`, `arm64/v8` is `arm64`, `arm` is
    /// `arm/v7`.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let os = os.to_ascii_lowercase();
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant.map(str::to_ascii_lowercase).filter(|variant| !variant.is_empty());
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", None),
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("aarch64" | "arm64", variant) => ("arm64", variant),
            ("armhf", _) => ("arm", Some("v7")),
            ("armel", _) => ("arm", Some("v6")),
            ("arm", None | Some("7")) => ("arm", Some("v7")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("8")) => ("arm", Some("v8")),
            ("ppc64el", variant) => ("ppc64le", variant),
            (architecture, variant) => (architecture, variant),
        };
        let os = match os.as_str() {
            "macos" => "darwin".to_owned(),
            _ => os,
        };
        Self {
            os,
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
            os_version: None,
            os_features: Vec::new(),
            extra: Extra::new(),
        }
    }

    /// How well an image for `self` runs where `wanted` is asked for: `None` not at all, 0 exactly, more the further its
    /// variant is below the wanted one (`arm/v6` runs on `arm/v7`, plain `amd64` on `amd64/v3`).
    pub fn distance(&self, wanted: &Self) -> Option<u32> {
        let level = |platform: &Self| match (platform.architecture.as_str(), platform.variant.as_deref()) {
            ("amd64", None) => Some(1),
            ("arm64", None) => Some(8),
            (_, None) => Some(0),
            (_, Some(variant)) => variant.strip_prefix('v').and_then(|level| level.parse::<u32>().ok()),
        };
        let normal = |platform: &Self| Self::new(&platform.os, &platform.architecture, platform.variant.as_deref());
        let (ours, wanted) = (normal(self), normal(wanted));
        if ours.os != wanted.os || ours.architecture != wanted.architecture {
            return None;
        }
        if ours.variant == wanted.variant {
            return Some(0);
        }
        level(&wanted)?.checked_sub(level(&ours)?)
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Parses `os/architecture[/variant]`, or an architecture alone for Linux.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        };
        if !parts.iter().all(word) {
            return Err(PlatformError(text.to_owned()));
        }
        match parts[..] {
            [architecture] if architecture != "linux" => Ok(Self::linux(architecture)),
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(PlatformError(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// The text names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a platform")]
pub struct PlatformError(String);

impl PlatformError {
    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        Some("write it as os/architecture[/variant], for example linux/arm64 or linux/arm/v7".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (text, want) in [
            ("linux/arm64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/arm", "linux/arm/v7"),
            ("armel", "linux/arm/v6"),
            ("windows/amd64", "windows/amd64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), want);
        }
        for bad in ["", "linux", "linux/", "/arm64", "a/b/c/d", "linux/arm 64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_lower_variant_runs_on_a_higher_one() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        let distance = |image, wanted| platform(image).distance(&platform(wanted));
        assert_eq!(distance("linux/arm/v6", "linux/arm/v7"), Some(1));
        assert_eq!(distance("linux/arm/v7", "linux/arm/v6"), None);
        assert_eq!(distance("linux/amd64", "linux/amd64/v3"), Some(2));
        assert_eq!(distance("linux/arm64", "linux/amd64"), None);
        assert_eq!(distance("linux/arm64/v8", "linux/arm64"), Some(0));
    }
}
