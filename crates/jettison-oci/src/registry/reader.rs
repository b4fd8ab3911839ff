use std::io::{self, Read};

use jettison_http::{HttpError, Method, Response};

use super::endpoint::{Call, Target};
use super::{RegistryError, Repository};
use crate::blob::BlobError;
use crate::types::Descriptor;

/// Reads a blob and, where the connection is cut, goes on at the same byte. Unchecked, as every blob that is opened.
pub(super) struct BlobReader {
    repository: Repository,
    descriptor: Descriptor,
    len: u64,
    at: u64,
    body: Option<Response>,
    attempt: u32,
}

impl BlobReader {
    /// Begins to read at the byte `at`.
    pub fn open(repository: Repository, descriptor: &Descriptor, at: u64) -> Result<Self, RegistryError> {
        let mut reader =
            Self { repository, descriptor: descriptor.clone(), len: descriptor.size, at, body: None, attempt: 0 };
        let answer = reader.request()?;
        if at == 0 {
            reader.len = answer.headers.number("content-length").unwrap_or(descriptor.size);
        }
        reader.body = Some(answer);
        Ok(reader)
    }

    /// Bytes, as the registry says.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Asks for what is not here yet.
    fn request(&self) -> Result<Response, RegistryError> {
        let path = format!("blobs/{}", self.descriptor.digest);
        let mut call = Call::new(Method::Get, Target::Path(&path));
        if self.at > 0 {
            call = call.header("Range", format!("bytes={}-", self.at));
        }
        let what = self.repository.what(self.descriptor.digest);
        let mut answer = self.repository.read(&call, &what)?;
        let wrong = |reason: &str| RegistryError::Protocol { what: what.clone(), reason: reason.to_owned() };
        match answer.status {
            _ if self.at == 0 => {}
            206 => {
                let start = answer.headers.get("content-range").and_then(|range| range.strip_prefix("bytes "));
                let start =
                    start.and_then(|range| range.split_once('-')).and_then(|(start, _)| start.trim().parse().ok());
                if start.is_some_and(|start: u64| start != self.at) {
                    return Err(wrong("asked for the rest of a blob, it sent another part"));
                }
            }
            200 => {
                let skipped = io::copy(&mut answer.by_ref().take(self.at), &mut io::sink());
                if skipped.ok() != Some(self.at) {
                    return Err(HttpError::Cut { url: what, at: self.at, reason: "it was cut again".to_owned() }.into());
                }
            }
            _ => return Err(wrong("it no longer sends the rest of a blob")),
        }
        Ok(answer)
    }

    fn fail(error: RegistryError) -> io::Error {
        BlobError::Source(Box::new(error)).into()
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let body = match &mut self.body {
                Some(body) => body,
                None => {
                    let answer = self.request().map_err(Self::fail)?;
                    self.body.insert(answer)
                }
            };
            let reason = match body.read(buffer) {
                Ok(0) if self.at < self.len && !buffer.is_empty() => "the connection was closed".to_owned(),
                Ok(n) => {
                    self.at += n as u64;
                    if n > 0 {
                        self.attempt = 0;
                    }
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
                Err(e) => e.to_string(),
            };
            self.body = None;
            if !self.repository.registry.http().wait(self.attempt) {
                let what = self.repository.what(self.descriptor.digest);
                return Err(Self::fail(HttpError::Cut { url: what, at: self.at, reason }.into()));
            }
            self.attempt += 1;
        }
    }
}
