//! What is asked and what is answered.

use std::fmt;
use std::io::{self, Read};

use url::Url;

use crate::{HttpError, redact};

/// How much of an error's text is kept for the message.
const DETAIL_LIMIT: u64 = 64 * 1024;
const DETAIL_SHOWN: usize = 300;

/// A request method (RFC 9110 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the methods")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As it stands in the request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether doing it twice is the same as doing it once (RFC 9110 §9.2.2).
    pub const fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Put | Self::Delete)
    }
}

/// What a request sends.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// `len` bytes from a reader that `open` makes anew for every attempt.
    Stream {
        /// Bytes.
        len: u64,
        /// Makes the reader.
        open: &'a (dyn Fn() -> io::Result<Box<dyn Read + 'a>> + 'a),
    },
}

impl Body<'_> {
    /// Bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream { len, .. } => *len,
        }
    }

    /// Whether nothing is sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One request. Made with [`Request::new`] and the methods that change it.
#[derive(Clone)]
pub struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Headers,
    pub(crate) body: Body<'a>,
    pub(crate) repeatable: bool,
    pub(crate) stored_credentials: bool,
    pub(crate) follow: bool,
}

impl<'a> Request<'a> {
    /// A request without headers and body, repeatable if its method is idempotent.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Headers::default(),
            body: Body::Empty,
            repeatable: method.is_idempotent(),
            stored_credentials: true,
            follow: true,
        }
    }

    /// Adds a header. An `Authorization` header goes before any stored credentials.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Adds these headers.
    #[must_use]
    pub fn headers(mut self, headers: &[(&str, &str)]) -> Self {
        headers.iter().for_each(|(name, value)| self.headers.push(name, *value));
        self
    }

    /// Sends this.
    #[must_use]
    pub fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }

    /// Says whether the request may be sent again when its outcome is unknown or the server is in trouble.
    #[must_use]
    pub fn repeatable(mut self, yes: bool) -> Self {
        self.repeatable = yes;
        self
    }

    /// Leaves netrc out of it: for servers with a way of their own to log in.
    #[must_use]
    pub fn without_stored_credentials(mut self) -> Self {
        self.stored_credentials = false;
        self
    }

    /// Answers a redirect as it came instead of following it.
    #[must_use]
    pub fn without_redirects(mut self) -> Self {
        self.follow = false;
        self
    }
}

/// Header fields in the order in which they came. Names compare without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Every value of `name`.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The first value of `name`, where it is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.trim().parse().ok()
    }

    /// Adds a field.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// Takes out every field called `name`.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// An answer, of any status. Reading it yields the body.
///
/// The connection is used again once the body was read to its end.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: Headers,
    pub(crate) url: Url,
    pub(crate) body: Box<dyn Read + Send>,
}

impl Response {
    /// Where the answer came from, after redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Itself if the status is 2xx, else [`HttpError::Status`] with the start of the body.
    pub fn success(self) -> Result<Self, HttpError> {
        if self.is_success() { Ok(self) } else { Err(self.into_error()) }
    }

    /// The answer as an error, with the start of its body.
    pub fn into_error(self) -> HttpError {
        let (status, url) = (self.status, redact(self.url.as_str()).into_owned());
        let detail = self.text();
        HttpError::Status { url, status, detail: one_line(&detail) }
    }

    /// The start of the body (at most 64 KiB) as text. Errors count as its end.
    pub fn text(mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.body.by_ref().take(DETAIL_LIMIT).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads away a short body, so that the connection can be used again.
    pub fn discard(mut self) {
        let _ = io::copy(&mut self.body.by_ref().take(DETAIL_LIMIT), &mut io::sink());
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = redact(self.url.as_str());
        f.debug_struct("Response").field("status", &self.status).field("url", &url).finish_non_exhaustive()
    }
}

/// The start of a text on one line and without controls; HTML pages say nothing that helps.
fn one_line(text: &str) -> String {
    let text = text.trim();
    if text.starts_with('<') {
        return String::new();
    }
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if line.len() + word.len() > DETAIL_SHOWN {
            line.push('…');
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_fit_a_line() {
        assert_eq!(one_line("  no\n such\x1b[31m\tthing "), "no such [31m thing");
        assert_eq!(one_line("<!doctype html><p>Not found"), "");
        assert!(one_line(&"word ".repeat(500)).len() < 310);
    }
}
