//! Bodies that are checked as they come, and taken up again where they were cut.

use std::io::{self, Read, Write};

use jettison_tree::{Digest, Hasher};

use crate::{Client, Headers, HttpError, Method, Request, Response, redact};

/// What a download must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadWant {
    /// Its digest, where it is known.
    pub digest: Option<Digest>,
    /// Its bytes, where they are known.
    pub size: Option<u64>,
    /// More bytes than this are never taken.
    pub limit: u64,
}

impl DownloadWant {
    /// Anything of at most `limit` bytes.
    pub fn at_most(limit: u64) -> Self {
        Self { digest: None, size: None, limit }
    }

    /// Only what has this digest.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// Only what has so many bytes.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }
}

/// Which part of a resource is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeWant {
    /// `len` bytes from `start`; fewer where the resource ends.
    From {
        /// Offset of the first byte.
        start: u64,
        /// Bytes.
        len: u64,
    },
    /// The last bytes; all where the resource is shorter.
    Last(u64),
}

/// A part of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where they begin.
    pub start: u64,
    /// The length of the whole.
    pub total: u64,
}

/// A document in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The bytes, unpacked.
    pub bytes: Vec<u8>,
    /// The header fields that came with it.
    pub headers: Headers,
    /// Where it came from, after redirects: what its relative links are relative to.
    pub url: url::Url,
}

/// Where a download goes on after a cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    offset: u64,
    validator: Option<String>,
}

impl Resume {
    /// The request for the rest.
    pub fn apply<'a>(&self, request: Request<'a>) -> Request<'a> {
        let request = request.header("Range", format!("bytes={}-", self.offset));
        match &self.validator {
            Some(validator) => request.header("If-Range", validator),
            None => request,
        }
    }
}

impl Client {
    /// Fetches something small into memory.
    pub fn bytes(&self, url: &str, limit: u64) -> Result<Vec<u8>, HttpError> {
        let mut bytes = Vec::new();
        self.download(url, &DownloadWant::at_most(limit), &mut bytes, &|_| {})?;
        Ok(bytes)
    }

    /// Fetches a document to be read here and now, such as the page of an index: packed on its way where the server does that, and
    /// anew from the start where it was cut. The limit counts the unpacked bytes.
    pub fn document(&self, url: &str, headers: &[(&str, &str)], limit: u64) -> Result<Document, HttpError> {
        let request = Request::new(Method::Get, url).headers(headers).header("Accept-Encoding", "gzip");
        let mut attempt = 0;
        loop {
            let mut answer = self.send(&request)?.success()?;
            let (url, headers) = (answer.url().clone(), answer.headers.clone());
            let packed = headers.get("content-encoding").is_some_and(|c| matches!(c.trim(), "gzip" | "x-gzip"));
            let length = headers.number("content-length").filter(|_| !packed);
            let mut bytes = Vec::new();
            let read = if packed {
                flate2::read::MultiGzDecoder::new(&mut answer).take(limit + 1).read_to_end(&mut bytes)
            } else {
                answer.by_ref().take(limit + 1).read_to_end(&mut bytes)
            };
            let shown = || redact(url.as_str()).into_owned();
            if bytes.len() as u64 > limit {
                return Err(HttpError::TooLarge { url: shown(), limit });
            }
            let reason = match read {
                Ok(_) if length.is_none_or(|length| length <= bytes.len() as u64) => {
                    answer.discard();
                    return Ok(Document { bytes, headers, url });
                }
                Ok(_) => "the connection was closed".to_owned(),
                Err(e) => e.to_string(),
            };
            if !self.wait(attempt) {
                return Err(HttpError::Cut { url: shown(), at: bytes.len() as u64, reason });
            }
            attempt += 1;
        }
    }

    /// Fetches a part by `Range` (RFC 9110 §14). A server that ignores it gives [`HttpError::NoRange`].
    pub fn get_range(&self, url: &str, want: RangeWant) -> Result<Partial, HttpError> {
        let (range, limit) = match want {
            RangeWant::From { start, len } => {
                (format!("bytes={start}-{}", start.saturating_add(len).saturating_sub(1)), len)
            }
            RangeWant::Last(len) => (format!("bytes=-{len}"), len),
        };
        let mut attempt = 0;
        loop {
            let answer = self.send(&Request::new(Method::Get, url).header("Range", &*range))?.success()?;
            let shown = redact(url).into_owned();
            let place = (answer.status == 206).then(|| content_range(&answer.headers)).flatten();
            let Some((start, end, Some(total))) = place else { return Err(HttpError::NoRange { url: shown }) };
            let len = (end - start).min(limit);
            let mut bytes = Vec::new();
            let read = answer.take(len).read_to_end(&mut bytes);
            if bytes.len() as u64 == len {
                return Ok(Partial { bytes, start, total });
            }
            if !self.wait(attempt) {
                let reason = read.err().map_or_else(|| "the connection was closed".to_owned(), |e| e.to_string());
                return Err(HttpError::Cut { url: shown, at: bytes.len() as u64, reason });
            }
            attempt += 1;
        }
    }

    /// Fetches a resource into `out` and returns its digest and length. `progress` gets the bytes received so far.
    ///
    /// After a cut it goes on at the same byte, as long as it is certain that the resource is still the same. What
    /// is not as wanted is an error; `out` then holds what came and is to be thrown away.
    pub fn download(
        &self,
        url: &str,
        want: &DownloadWant,
        out: &mut dyn Write,
        progress: &dyn Fn(u64),
    ) -> Result<(Digest, u64), HttpError> {
        self.download_by(url, want, out, progress, &mut |resume| {
            let request = Request::new(Method::Get, url);
            self.send(&match resume {
                Some(resume) => resume.apply(request),
                None => request,
            })
        })
    }

    /// As [`download`](Self::download), with every request made by `open`, for servers with a way of their own to log in. `url` is for
    /// messages only.
    pub fn download_by<E: From<HttpError>>(
        &self,
        url: &str,
        want: &DownloadWant,
        out: &mut dyn Write,
        progress: &dyn Fn(u64),
        open: &mut dyn FnMut(Option<&Resume>) -> Result<Response, E>,
    ) -> Result<(Digest, u64), E> {
        let url = redact(url).into_owned();
        let mut state = State { url: &url, want, hasher: Hasher::new(), at: 0, buffer: vec![0; 128 * 1024] };
        let mut resume = None;
        let mut attempt = 0;
        loop {
            let before = state.at;
            let answer = open(resume.as_ref())?;
            if answer.status == 416 && state.at > 0 && want.digest.is_some() {
                // There is no rest: it was cut behind its last byte.
                answer.discard();
                break;
            }
            let answer = answer.success()?;
            let validator = validator(&answer.headers);
            let cut = match state.take(answer, out, progress)? {
                None => break,
                Some(cut) => cut,
            };
            if state.at > before {
                attempt = 0;
            }
            let certain = want.digest.is_some() || validator.is_some() || state.at == 0;
            if !certain || !self.wait(attempt) {
                return Err(HttpError::Cut { url: url.clone(), at: state.at, reason: cut.to_string() }.into());
            }
            attempt += 1;
            resume = (state.at > 0).then_some(Resume { offset: state.at, validator });
        }
        Ok(state.finish()?)
    }
}

struct State<'a> {
    url: &'a str,
    want: &'a DownloadWant,
    hasher: Hasher,
    at: u64,
    buffer: Vec<u8>,
}

impl State<'_> {
    /// Takes one answer in. `Some` says how it was cut.
    fn take(
        &mut self,
        mut answer: Response,
        out: &mut dyn Write,
        progress: &dyn Fn(u64),
    ) -> Result<Option<io::Error>, HttpError> {
        let url = || self.url.to_owned();
        // What a server sends again from the start is passed over.
        let (mut skip, total) = if answer.status == 206 {
            match content_range(&answer.headers) {
                Some((start, _, total)) if start == self.at => (0, total),
                _ => {
                    let reason = format!("asked for the bytes from {} on, it sent others", self.at);
                    return Err(HttpError::Protocol { url: url(), reason });
                }
            }
        } else {
            (self.at, answer.headers.number("content-length"))
        };
        if let Some(total) = total {
            self.check_size(total)?;
        }
        loop {
            let n = match answer.read(&mut self.buffer) {
                Ok(0) => {
                    let complete = total.is_none_or(|total| self.at >= total) && skip == 0;
                    return Ok(
                        (!complete).then(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"))
                    );
                }
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Ok(Some(e)),
            };
            let from = usize::try_from(skip).unwrap_or(usize::MAX).min(n);
            skip -= from as u64;
            let piece = &self.buffer[from..n];
            self.at += piece.len() as u64;
            if self.at > self.want.limit {
                return Err(HttpError::TooLarge { url: self.url.to_owned(), limit: self.want.limit });
            }
            if let Some(want) = self.want.size.filter(|&want| self.at > want) {
                return Err(HttpError::Size { url: self.url.to_owned(), want, got: self.at });
            }
            self.hasher.update(piece);
            out.write_all(piece).map_err(|source| HttpError::Output { url: self.url.to_owned(), source })?;
            progress(self.at);
        }
    }

    fn check_size(&self, total: u64) -> Result<(), HttpError> {
        let url = self.url.to_owned();
        match self.want.size {
            Some(want) if want != total => Err(HttpError::Size { url, want, got: total }),
            _ if total > self.want.limit => Err(HttpError::TooLarge { url, limit: self.want.limit }),
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<(Digest, u64), HttpError> {
        self.check_size(self.at)?;
        let (got, len) = self.hasher.finish();
        match self.want.digest {
            Some(want) if want != got => Err(HttpError::Digest { url: self.url.to_owned(), want, got }),
            _ => Ok((got, len)),
        }
    }
}

/// What ties a part to the whole that it belongs to (RFC 9110 §13.1.5): a strong entity tag, else the date.
fn validator(headers: &Headers) -> Option<String> {
    let tag = headers.get("etag").filter(|tag| !tag.starts_with("W/"));
    tag.or_else(|| headers.get("last-modified")).map(str::to_owned)
}

/// First byte, end and total of `Content-Range: bytes 0-4/10` (RFC 9110 §14.4).
fn content_range(headers: &Headers) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = headers.get("content-range")?.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last && last < u64::MAX).then_some((first, last + 1, total.trim().parse().ok()))
}
