use jettison_http::{HttpError, Response};
use jettison_tree::Digest;
use serde::Deserialize;

use super::credentials::CredentialError;
use crate::blob::BlobError;
use crate::image::ImageError;

/// What a registry did not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The exchange failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The registry wants a login, or another one.
    #[error("{registry} does not let {} {action} {what}{}", if *.logged_in { "this login" } else { "anybody" }, because(.detail, .cause.as_deref()))]
    Unauthorized {
        /// The registry.
        registry: String,
        /// `pull from` or `push to`.
        action: &'static str,
        /// The repository.
        what: String,
        /// Whether a login was sent.
        logged_in: bool,
        /// What the registry says about it; may be empty.
        detail: String,
        /// Why no login was found.
        cause: Option<Box<CredentialError>>,
    },
    /// The registry's challenge cannot be met.
    #[error("cannot log in to {registry}: {reason}")]
    Challenge {
        /// The registry.
        registry: String,
        /// Why.
        reason: String,
    },
    /// There is no such thing.
    #[error("{what} does not exist")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// Any other error that the registry answered.
    #[error("{what}: the registry answered {status}{}", describe(.code, .message))]
    Answer {
        /// What was to be done.
        what: String,
        /// The status code.
        status: u16,
        /// The first error code (distribution-spec, "Error codes"); may be empty.
        code: String,
        /// Its text; may be empty.
        message: String,
    },
    /// The registry sent something else than its own headers, or the digest asked for, say.
    #[error("{what} should have digest {want}, but the registry sent {got}")]
    Digest {
        /// What was asked for.
        what: String,
        /// The digest that was asked for or announced.
        want: Digest,
        /// The digest of what came.
        got: Digest,
    },
    /// The answer is not what the specification says.
    #[error("{what}: {reason}")]
    Protocol {
        /// What was to be done.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// What is to be pushed cannot be read.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The documents make no image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// What was pulled cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

fn because(detail: &str, cause: Option<&CredentialError>) -> String {
    match cause {
        Some(cause) => format!(": {cause}"),
        None if detail.is_empty() => String::new(),
        None => format!(" ({detail})"),
    }
}

fn describe(code: &str, message: &str) -> String {
    match (code, message) {
        ("", "") => String::new(),
        (code, "") => format!(" {code}"),
        ("", message) => format!(": {message}"),
        (code, message) => format!(" {code}: {message}"),
    }
}

/// Code and text of the first error in an answer's body.
fn first_error(answer: Response) -> (String, String) {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<Entry>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Entry {
        code: String,
        message: String,
    }
    let body = serde_json::from_str::<Body>(&answer.text()).ok();
    let Entry { code, message } = body.and_then(|body| body.errors.into_iter().next()).unwrap_or_default();
    let clean = |text: String| text.chars().filter(|c| !c.is_control()).take(MESSAGE_SHOWN).collect();
    (clean(code), clean(message))
}

/// Text of an error is cut at this.
const MESSAGE_SHOWN: usize = 300;

impl RegistryError {
    /// The error that an answer tells (distribution-spec, "Error codes").
    pub(super) fn from_answer(what: String, answer: Response) -> Self {
        let status = answer.status;
        let (code, message) = first_error(answer);
        match code.as_str() {
            "BLOB_UPLOAD_UNKNOWN" | "MANIFEST_BLOB_UNKNOWN" => Self::Answer { what, status, code, message },
            _ if status == 404 => Self::NotFound { what },
            _ => Self::Answer { what, status, code, message },
        }
    }

    /// The text of the error that an answer tells.
    pub(super) fn message_of(answer: Response) -> String {
        first_error(answer).1
    }

    /// Whether the same may succeed later, with nothing changed on this side.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(HttpError::Body { source, .. }) => {
                let inner = source.get_ref().and_then(|e| e.downcast_ref::<BlobError>());
                inner.is_some_and(is_transient_blob)
            }
            Self::Http(error) => error.is_transient(),
            Self::Answer { status, code, .. } => {
                matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504) || code == "BLOB_UPLOAD_UNKNOWN"
            }
            Self::Blob(error) | Self::Image(ImageError::Blob(error)) => is_transient_blob(error),
            _ => false,
        }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Http(error) => error.hint(),
            Self::Unauthorized { cause: Some(cause), .. } => cause.hint(),
            Self::Unauthorized { registry, logged_in: false, .. } => {
                Some(format!("log in to {registry} (docker login, podman login), or check the name"))
            }
            Self::Unauthorized { .. } => Some("check the name and what this login, or token, may do".to_owned()),
            Self::NotFound { what } if what.starts_with("the repository") => {
                Some("check the name; this registry wants a repository to be made before it is pushed to".to_owned())
            }
            Self::NotFound { .. } => Some("check the name and the tag; a private image may look like none".to_owned()),
            Self::Answer { code, .. } if code == "DIGEST_INVALID" => {
                Some("the blob was damaged here or on its way: build again, or clear it from the store".to_owned())
            }
            Self::Answer { status: 413, .. } => {
                Some("the registry, or a proxy before it, refuses blobs of this size".to_owned())
            }
            Self::Answer { status, .. } if *status == 429 || *status >= 500 => Some("try again later".to_owned()),
            Self::Digest { .. } => {
                Some("the registry or something before it is broken; nothing of it was used".to_owned())
            }
            Self::Blob(error) | Self::Image(ImageError::Blob(error)) => error.hint(),
            _ => None,
        }
    }

    /// Whether the registry misses blobs of a manifest that was pushed to it.
    pub(super) fn is_blob_unknown(&self) -> bool {
        match self {
            Self::Answer { code, .. } => matches!(code.as_str(), "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN"),
            // Some registries answer a manifest with missing blobs with 404.
            Self::NotFound { .. } => true,
            _ => false,
        }
    }
}

/// Whether a blob could not be read for a reason that may pass, such as a registry that was down.
pub fn is_transient_blob(error: &BlobError) -> bool {
    match error {
        BlobError::Source(source) => source.downcast_ref::<RegistryError>().is_some_and(RegistryError::is_transient),
        BlobError::Io { source, .. } => {
            let inner = source.get_ref().and_then(|e| e.downcast_ref::<BlobError>());
            inner.is_some_and(is_transient_blob)
        }
        _ => false,
    }
}
