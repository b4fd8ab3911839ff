//! How packages get from the builder into the image.

use super::facts::{Dependencies, Facts};
use std::fmt;
use std::str::FromStr;

/// How packages get from the builder into the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// pip installs into a virtual environment, which is copied.
    Venv,
    /// pip installs below a prefix, which is copied over `/usr/local`.
    Prefix,
    /// pip builds wheels, which the image installs and does not keep.
    Wheels,
    /// uv installs into a virtual environment, which is copied.
    Uv,
    /// Poetry installs into a virtual environment, which is copied.
    Poetry,
    /// pip installs into a directory, which is copied onto an image without a shell.
    Distroless,
}

/// A style does not fit a project.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the style {style} does not fit: {why}")]
pub struct StyleError {
    /// Which.
    pub style: Style,
    /// Why.
    pub why: String,
    hint: String,
}

impl StyleError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(self.hint.clone())
    }
}

impl Style {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Venv, Self::Prefix, Self::Wheels, Self::Uv, Self::Poetry, Self::Distroless];

    /// What people write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Venv => "venv",
            Self::Prefix => "prefix",
            Self::Wheels => "wheels",
            Self::Uv => "uv",
            Self::Poetry => "poetry",
            Self::Distroless => "distroless",
        }
    }

    /// The style for a project when none is asked for: that of the tool which made its lock.
    pub fn fitting(facts: &Facts) -> Self {
        match facts.dependencies {
            Dependencies::Uv | Dependencies::Pylock | Dependencies::Declared => Self::Uv,
            Dependencies::Poetry => Self::Poetry,
            Dependencies::Requirements { .. } | Dependencies::Pipenv | Dependencies::Backend | Dependencies::None => {
                Self::Venv
            }
        }
    }

    /// Whether it can be used for a project.
    pub fn check(self, facts: &Facts) -> Result<(), StyleError> {
        let error = |why: String, hint: &str| Err(StyleError { style: self, why, hint: hint.to_owned() });
        match (self, &facts.dependencies) {
            (Self::Poetry, other) if *other != Dependencies::Poetry => {
                error("the project has no poetry.lock".to_owned(), "run `poetry lock`, or take another style")
            }
            (Self::Uv, Dependencies::Poetry) => error(
                "uv does not read poetry.lock".to_owned(),
                "take the style poetry, or venv, which exports the lock for pip",
            ),
            (Self::Uv, Dependencies::Pipenv) => {
                error("uv does not read Pipfile.lock".to_owned(), "take the style venv, which exports the lock for pip")
            }
            (Self::Venv | Self::Prefix | Self::Wheels | Self::Distroless, Dependencies::Uv | Dependencies::Poetry)
                if facts.has_local_dependencies =>
            {
                error(
                    "directories of the project are among the dependencies, and pip checks no hashes of those"
                        .to_owned(),
                    "take the style of the tool that made the lock",
                )
            }
            (Self::Distroless, _) if !facts.runtime_packages.is_empty() => error(
                format!(
                    "{} must be installed, and the image has no package manager",
                    facts.runtime_packages.join(", ")
                ),
                "take the style venv, or distributions whose wheels bring their libraries, as psycopg2-binary does",
            ),
            (Self::Distroless, _) if facts.python != super::system::DISTROLESS_PYTHON => error(
                format!(
                    "the image has Python {}.{}, and the project is made for {}.{}",
                    super::system::DISTROLESS_PYTHON.0,
                    super::system::DISTROLESS_PYTHON.1,
                    facts.python.0,
                    facts.python.1
                ),
                "say which Python with `--python`, or take the style venv",
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Style {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|style| style.as_str() == text);
        named.ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}
