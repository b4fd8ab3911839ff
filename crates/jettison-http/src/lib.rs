//! One HTTP client for package indices, archives and registries.
//!
//! 1. [`Options`] say how to reach the network: proxies, private CAs, credentials, patience. Nothing is read from the
//!    environment here; the caller passes the values.
//! 2. [`Client::send`] makes one exchange: it chooses the connection, follows redirects without ever showing credentials to another
//!    host, and repeats what may be repeated ([`Request::repeatable`]) on the schedule of [`Options::backoff`].
//! 3. [`Client::get`], [`Client::document`], [`Client::bytes`], [`Client::get_range`] and [`Client::download`] stand on it. A download that
//!    is cut goes on where it stopped, and what comes is checked against its [`DownloadWant`].
//! 4. [`wire`] speaks HTTP/1.1 over any stream, for Unix sockets and for plain HTTP through a proxy.
//!
//! `file://` URLs work wherever something is read. Every message shows its URL without credentials ([`redact`]).

mod client;
mod download;
mod error;
mod file_url;
mod message;
mod netrc;
mod options;
mod proxy;
mod redact;
mod retry;
pub mod wire;

pub use client::Client;
pub use download::{Document, DownloadWant, Partial, RangeWant, Resume};
pub use error::HttpError;
pub use message::{Body, Headers, Method, Request, Response};
pub use netrc::{Credentials, Netrc, NetrcError};
pub use options::Options;
pub use proxy::ProxySettings;
pub use redact::redact;
