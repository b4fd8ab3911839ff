use std::io;
use std::path::PathBuf;

use jettison_tree::Digest;

/// A request that failed, or was not made. URLs in it are [redacted](crate::redact()).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The text is no URL that can be fetched.
    #[error("`{url}` cannot be fetched: {reason}")]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The network is not to be used.
    #[error("{url} is needed, but the network is not to be used (offline)")]
    Offline {
        /// What would have been asked.
        url: String,
    },
    /// No connection, or one that broke before the answer came.
    #[error("cannot reach {url}: {reason}")]
    Connect {
        /// What was asked.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The server's certificate is not trusted, or TLS failed otherwise.
    #[error("no trusted connection to {url}: {reason}")]
    Tls {
        /// What was asked.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The server answered something that is not HTTP.
    #[error("{url} does not speak HTTP as expected: {reason}")]
    Protocol {
        /// What was asked.
        url: String,
        /// What was wrong.
        reason: String,
    },
    /// The server answered with an error.
    #[error("{url} answered {status}{}{}", if .detail.is_empty() { "" } else { ": " }, .detail)]
    Status {
        /// What was asked.
        url: String,
        /// The status code.
        status: u16,
        /// The start of the answer's text, on one line; may be empty.
        detail: String,
    },
    /// A redirect that is not followed.
    #[error("{url} redirects {reason}")]
    Redirect {
        /// What was asked.
        url: String,
        /// Why it is not followed.
        reason: String,
    },
    /// The body ended too early, and going on did not help.
    #[error("{url} was cut after {at} bytes: {reason}")]
    Cut {
        /// What was asked.
        url: String,
        /// Bytes received.
        at: u64,
        /// What went wrong.
        reason: String,
    },
    /// The content is not the one that was wanted.
    #[error("{url} has digest {got}, but {want} was expected")]
    Digest {
        /// What was asked.
        url: String,
        /// The digest it should have.
        want: Digest,
        /// The digest of what came.
        got: Digest,
    },
    /// The content has not the length that was wanted.
    #[error("{url} has {got} bytes, but {want} were expected")]
    Size {
        /// What was asked.
        url: String,
        /// Bytes it should have.
        want: u64,
        /// Bytes it has.
        got: u64,
    },
    /// The content is longer than the caller takes.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked.
        url: String,
        /// Bytes.
        limit: u64,
    },
    /// The server does not serve parts.
    #[error("{url} cannot be read in part: the server ignores Range")]
    NoRange {
        /// What was asked.
        url: String,
    },
    /// A `file://` URL whose file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was received cannot be written.
    #[error("cannot write what {url} sent: {source}")]
    Output {
        /// What was asked.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// What was to be sent cannot be read.
    #[error("cannot read what is to be sent to {url}: {source}")]
    Body {
        /// Where it was to go.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// A file of certificates that cannot be used.
    #[error("cannot use the certificates in {}: {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A proxy that cannot be used.
    #[error("`{proxy}` cannot be used as a proxy: {reason}")]
    Proxy {
        /// The setting.
        proxy: String,
        /// Why.
        reason: String,
    },
}

/// The statuses that say "not now" (RFC 9110 §15.5.9 and §15.6, RFC 6585 §4).
pub(crate) fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

impl HttpError {
    /// Whether the same request may succeed later, with nothing changed on this side.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Cut { .. } => true,
            Self::Status { status, .. } => is_transient_status(*status),
            _ => false,
        }
    }

    /// The status, where the server answered with an error.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Offline { .. } => "run once with the network, or leave the offline mode",
            Self::Tls { .. } => {
                "if a private CA signs for this host, add its PEM file to the trusted certificates; if the host has none, name it as insecure"
            }
            Self::Connect { .. } => "check the network, the proxy settings and the host's name; then try again",
            Self::Status { status: 401, .. } => {
                "the server wants credentials: put them into ~/.netrc, into the URL, or log in to the registry"
            }
            Self::Status { status: 403, .. } => "these credentials, or none, do not give access to it",
            Self::Status { status: 407, .. } | Self::Proxy { .. } => {
                "a proxy is written http://user:password@host:port"
            }
            Self::Status { status: 429, .. } => "the server limits requests: log in, or wait and try again",
            Self::Status { status, .. } if is_transient_status(*status) => "the server is in trouble: try again later",
            Self::Cut { .. } => "the connection is unreliable: try again",
            Self::Digest { .. } | Self::Size { .. } => {
                "the file was changed after its hash was noted, or something between here and the server alters it; nothing of it was used"
            }
            Self::Redirect { .. } => "ask for the address that it redirects to, if you trust it",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
