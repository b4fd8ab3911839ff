//! The error of every stop: what happened, what to do next, and whether trying again may help.

use std::fmt;

use jettison_engine::graph::SolveError;

/// A build that could not be finished.
#[derive(Debug)]
pub struct BuildError {
    what: String,
    hint: Option<String>,
    transient: bool,
    not_found: bool,
    wrong_size: bool,
}

impl BuildError {
    /// An error that says `what` happened and where.
    pub fn new(what: impl Into<String>) -> Self {
        Self::with_hint(what, None)
    }

    /// An error of another crate, in its own words.
    pub fn with_hint(what: impl Into<String>, hint: Option<String>) -> Self {
        Self { what: what.into(), hint, transient: false, not_found: false, wrong_size: false }
    }

    /// With what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marked as worth trying again: a server was down, a connection was cut.
    pub fn transient(mut self, transient: bool) -> Self {
        self.transient = transient;
        self
    }

    /// With `context: ` in front of what happened.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.what = format!("{context}: {}", self.what);
        self
    }

    /// What to do next, where it is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether a server said that it does not have what was asked for.
    pub fn is_not_found(&self) -> bool {
        self.not_found
    }

    /// Whether a server sent fewer or more bytes than what was asked for has.
    pub fn is_wrong_size(&self) -> bool {
        self.wrong_size
    }

    /// Whether the same call may work later.
    pub fn is_transient(&self) -> bool {
        self.transient
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for BuildError {}

/// Adds where to an error.
pub trait Context<T> {
    /// The value, or the error with `context` in front.
    fn context(self, context: impl fmt::Display) -> Result<T, BuildError>;
}

impl<T, E: Into<BuildError>> Context<T> for Result<T, E> {
    fn context(self, context: impl fmt::Display) -> Result<T, BuildError> {
        self.map_err(|error| error.into().context(context))
    }
}

impl From<jettison_http::HttpError> for BuildError {
    fn from(error: jettison_http::HttpError) -> Self {
        let not_found = matches!(error.status(), Some(404 | 410));
        let wrong_size = matches!(error, jettison_http::HttpError::Size { .. });
        let (hint, transient) = (error.hint(), error.is_transient());
        Self { what: error.to_string(), hint, transient, not_found, wrong_size }
    }
}

impl From<SolveError> for BuildError {
    fn from(error: SolveError) -> Self {
        let hint = error.hint();
        match error {
            SolveError::Step { source, .. } => match source.downcast::<Self>() {
                Ok(error) => *error,
                Err(source) => Self::with_hint(source.to_string(), hint),
            },
            other => Self::with_hint(other.to_string(), hint),
        }
    }
}

/// Errors of other crates keep their words, and their hints where they have any.
macro_rules! from {
    (with hint: $($hinting:ty),+ $(,)?; without: $($plain:ty),+ $(,)?) => {
        $(impl From<$hinting> for BuildError {
            fn from(error: $hinting) -> Self {
                Self::with_hint(error.to_string(), error.hint())
            }
        })+
        $(impl From<$plain> for BuildError {
            fn from(error: $plain) -> Self {
                Self::new(error.to_string())
            }
        })+
    };
}

from! {
    with hint:
        jettison_debian::release::ReleaseError,
        jettison_debian::keyring::KeyringError,
        jettison_engine::store::StoreError,
        jettison_engine::sandbox::SandboxError,
        jettison_engine::snapshot::UnpackError,
        jettison_oci::layer::LayerError,
        jettison_python::project::ProjectError,
        jettison_python::lock::LockError,
        jettison_python::requirements::RequirementsError,
        jettison_python::sdist::SdistError,
        jettison_python::simple::IndexError,
        jettison_python::wheel::WheelError,
        jettison_debian::deb::DebError,
        jettison_debian::solve::SolveError;
    without:
        jettison_debian::packages::PackagesError,
        jettison_debian::contents::SonameError,
        jettison_debian::control::ControlError,
        jettison_oci::layer::TarError,
        jettison_engine::graph::BoxError,
        jettison_tree::PathError,
        serde_json::Error,
}

impl From<std::io::Error> for BuildError {
    fn from(error: std::io::Error) -> Self {
        let hint = (error.kind() == std::io::ErrorKind::StorageFull)
            .then(|| "free some space, or `jettison cache prune`; the store is intact".to_owned());
        Self::with_hint(error.to_string(), hint)
    }
}
