//! Sending a blob (distribution-spec, "Pushing blobs"): in one request where it is small, else in chunks, of which a lost one is
//! sent again and not the whole.

use std::cell::RefCell;
use std::io::{self, Read};

use jettison_http::{Body, Method, Response};
use jettison_tree::Digest;
use url::Url;

use super::endpoint::{Call, Target};
use super::{RegistryError, Repository};
use crate::blob::BlobSource;
use crate::types::Descriptor;

/// How a blob came to be in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It was mounted from another repository.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// What follows after a chunk.
enum Next {
    /// Go on at this byte, at this address.
    At(u64, Url),
    /// The registry knows no chunks.
    Whole,
}

impl Repository {
    /// Puts a blob into the repository: mounts it from `mount_from` where that is given and the registry does it, else sends what
    /// `source` opens. `progress` gets the bytes sent so far. At most a buffer of it is in memory.
    pub fn upload_blob(
        &self,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        mount_from: Option<&str>,
        progress: &dyn Fn(u64),
    ) -> Result<Placed, RegistryError> {
        let mut mount_from = mount_from;
        let mut attempt = 0;
        loop {
            match self.try_upload(descriptor, source, mount_from.take(), progress) {
                Err(error) if error.is_transient() && self.registry.http().wait(attempt) => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    fn try_upload(
        &self,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        mount_from: Option<&str>,
        progress: &dyn Fn(u64),
    ) -> Result<Placed, RegistryError> {
        let what = format!("pushing {}", self.what(descriptor.digest));
        let path = match mount_from {
            Some(from) => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query.append_pair("mount", &descriptor.digest.to_string()).append_pair("from", from);
                format!("blobs/uploads/?{}", query.finish())
            }
            None => "blobs/uploads/".to_owned(),
        };
        // To begin an upload twice leaves one that the registry forgets.
        let call = Call { repeatable: true, ..Call::new(Method::Post, Target::Path(&path)) };
        let answer = self.call(&call)?;
        match answer.status {
            201 if mount_from.is_some() => {
                answer.discard();
                return Ok(Placed::Mounted);
            }
            202 => {}
            // Registries that do not make a repository by themselves say so here.
            404 => return Err(RegistryError::NotFound { what: format!("the repository {}", self.name()) }),
            _ => return Err(RegistryError::from_answer(what, answer)),
        }
        let location = self.location(&answer, &what)?;
        let least: u64 = answer.headers.number("oci-chunk-min-length").unwrap_or(0);
        answer.discard();
        let chunk = self.registry.options().chunk.max(least).max(1);
        if descriptor.size <= chunk {
            self.put_whole(descriptor, source, location, &what, progress)?;
        } else {
            self.put_chunks(descriptor, source, location, chunk, &what, progress)?;
        }
        Ok(Placed::Uploaded)
    }

    fn put_whole(
        &self,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        location: Url,
        what: &str,
        progress: &dyn Fn(u64),
    ) -> Result<(), RegistryError> {
        let open = || -> io::Result<Box<dyn Read>> {
            let inner = source.open(descriptor)?.into_reader();
            Ok(Box::new(Counted { inner, sent: 0, progress }))
        };
        let url = finish_url(location, descriptor.digest);
        let mut call = Call::new(Method::Put, Target::Url(&url)).header("Content-Type", "application/octet-stream");
        call.body = Body::Stream { len: descriptor.size, open: &open };
        // After a failure the upload is begun anew: nobody knows how much of it is there.
        call.repeatable = false;
        self.finish(descriptor, self.call(&call)?, what)
    }

    fn put_chunks(
        &self,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        location: Url,
        chunk: u64,
        what: &str,
        progress: &dyn Fn(u64),
    ) -> Result<(), RegistryError> {
        let (mut at, mut location) = (0, location);
        let mut reader: Option<Box<dyn Read + Send>> = None;
        let mut attempt = 0;
        while at < descriptor.size {
            let open_at = |at: u64| -> Result<Box<dyn Read + Send>, RegistryError> {
                let mut blob = source.open(descriptor)?.into_reader();
                let skipped = io::copy(&mut blob.by_ref().take(at), &mut io::sink());
                match skipped {
                    Ok(n) if n == at => Ok(blob),
                    Ok(_) => {
                        Err(crate::blob::BlobError::from_io(descriptor.digest, io::ErrorKind::UnexpectedEof.into())
                            .into())
                    }
                    Err(e) => Err(crate::blob::BlobError::from_io(descriptor.digest, e).into()),
                }
            };
            let mut current = match reader.take() {
                Some(reader) => reader,
                None => open_at(at)?,
            };
            let len = chunk.min(descriptor.size - at);
            match self.patch(&mut current, at, len, &location, what, progress) {
                Ok(Next::Whole) if at == 0 => {
                    return self.put_whole(descriptor, source, location, what, progress);
                }
                Ok(Next::Whole) => {
                    let reason = "the registry took a part of the blob, but refuses the next".to_owned();
                    return Err(RegistryError::Protocol { what: what.to_owned(), reason });
                }
                Ok(Next::At(next, url)) => {
                    // The reader stands behind the chunk; the registry may have kept less of it.
                    reader = (next == at + len).then_some(current);
                    if next > at {
                        attempt = 0;
                    } else if !self.registry.http().wait(attempt) {
                        let reason = "the registry keeps nothing of what is sent".to_owned();
                        return Err(RegistryError::Protocol { what: what.to_owned(), reason });
                    } else {
                        attempt += 1;
                    }
                    (at, location) = (next, url);
                }
                Err(error) if error.is_transient() && self.registry.http().wait(attempt) => {
                    attempt += 1;
                    (at, location) = self.upload_status(&location, descriptor.size, what)?;
                }
                Err(error) => return Err(error),
            }
        }
        let url = finish_url(location, descriptor.digest);
        let call = Call { repeatable: false, ..Call::new(Method::Put, Target::Url(&url)) };
        self.finish(descriptor, self.call(&call)?, what)
    }

    fn patch(
        &self,
        reader: &mut (dyn Read + Send),
        at: u64,
        len: u64,
        location: &Url,
        what: &str,
        progress: &dyn Fn(u64),
    ) -> Result<Next, RegistryError> {
        let shared = RefCell::new(Counted { inner: reader.take(len), sent: at, progress });
        let open = || -> io::Result<Box<dyn Read + '_>> { Ok(Box::new(Shared(&shared))) };
        let mut call = Call::new(Method::Patch, Target::Url(location))
            .header("Content-Type", "application/octet-stream")
            .header("Content-Range", format!("{at}-{}", at + len - 1));
        call.body = Body::Stream { len, open: &open };
        let answer = self.call(&call)?;
        match answer.status {
            202 | 201 | 204 => {
                let kept = kept(&answer).filter(|&kept| kept <= at + len).unwrap_or(at + len);
                let next = self.location(&answer, what)?;
                answer.discard();
                Ok(Next::At(kept, next))
            }
            // The registry has another end of the upload in mind: it says which.
            416 => {
                answer.discard();
                self.upload_status(location, at + len, what).map(|(at, url)| Next::At(at, url))
            }
            400 | 405 | 411 | 501 if at == 0 => {
                answer.discard();
                Ok(Next::Whole)
            }
            _ => Err(RegistryError::from_answer(what.to_owned(), answer)),
        }
    }

    /// How much of an upload the registry has (distribution-spec, "Resuming an upload").
    fn upload_status(&self, location: &Url, limit: u64, what: &str) -> Result<(u64, Url), RegistryError> {
        let answer = self.call(&Call::new(Method::Get, Target::Url(location)))?;
        if !answer.is_success() {
            return Err(match RegistryError::from_answer(what.to_owned(), answer) {
                // The upload is forgotten: begin anew.
                RegistryError::NotFound { what } => RegistryError::Answer {
                    what,
                    status: 404,
                    code: "BLOB_UPLOAD_UNKNOWN".to_owned(),
                    message: String::new(),
                },
                error => error,
            });
        }
        let kept = kept(&answer).unwrap_or(0).min(limit);
        let next =
            if answer.headers.get("location").is_some() { self.location(&answer, what)? } else { location.clone() };
        answer.discard();
        Ok((kept, next))
    }

    fn finish(&self, descriptor: &Descriptor, answer: Response, what: &str) -> Result<(), RegistryError> {
        if !answer.is_success() {
            let error = RegistryError::from_answer(what.to_owned(), answer);
            // The upload may have been finished by a request whose answer was lost.
            if matches!(&error, RegistryError::Answer { code, .. } if code == "BLOB_UPLOAD_UNKNOWN")
                && self.has_blob(descriptor.digest)?
            {
                return Ok(());
            }
            return Err(error);
        }
        let stored = answer.headers.get("docker-content-digest").and_then(|digest| digest.parse::<Digest>().ok());
        answer.discard();
        match stored.filter(|got| *got != descriptor.digest) {
            Some(got) => Err(RegistryError::Digest { what: what.to_owned(), want: descriptor.digest, got }),
            None => Ok(()),
        }
    }
}

/// The address that ends an upload. The registry's own query has to stay.
fn finish_url(mut location: Url, digest: Digest) -> Url {
    location.query_pairs_mut().append_pair("digest", &digest.to_string());
    location
}

/// Bytes that the registry has: `Range: 0-99` says 100. That nothing is there many say as `0-0`, which is one byte by the
/// letter; what comes of a wrong guess is a 416 and another question.
fn kept(answer: &Response) -> Option<u64> {
    let range = answer.headers.get("range")?;
    let (first, last) = range.trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    (first.trim() == "0").then(|| if last == 0 { 0 } else { last.saturating_add(1) })
}

/// Tells how much went through.
struct Counted<'a, R> {
    inner: R,
    sent: u64,
    progress: &'a dyn Fn(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.sent += n as u64;
        (self.progress)(self.sent);
        Ok(n)
    }
}

/// A reader that outlives the request that reads from it.
struct Shared<'a, R>(&'a RefCell<R>);

impl<R: Read> Read for Shared<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_borrow_mut().map_err(io::Error::other)?.read(buffer)
    }
}
