use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;

use jettison_http::{Body, Method, Response};
use jettison_tree::Digest;
use serde::Deserialize;
use url::Url;

use super::auth::Scope;
use super::endpoint::{Call, Endpoint, Target};
use super::reader::BlobReader;
use super::{Registry, RegistryError};
use crate::blob::{Blob, BlobError, BlobSource};
use crate::types::{Descriptor, Document, ImageIndex, MAX_DOCUMENT_BYTES, MediaType};

/// The header with the digest of what was sent or stored (distribution-spec, "Pulling manifests").
const CONTENT_DIGEST: &str = "docker-content-digest";
/// A list of tags is read in at most so many pages of at most so many bytes.
const TAG_PAGES: usize = 1000;
const TAG_PAGE_BYTES: u64 = 4 << 20;

/// One repository of a registry. Reads ask the mirrors first, writes go to the registry. Cheap to clone.
///
/// As a [`BlobSource`] it fetches a blob when it is opened, and no sooner.
#[derive(Clone)]
pub struct Repository {
    pub(super) registry: Registry,
    pub(super) scope: Scope,
    /// The registry itself comes last.
    pub(super) readers: Vec<Endpoint>,
    pub(super) origin: Endpoint,
}

impl Repository {
    /// `registry/repository`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.origin.registry, self.scope.repository)
    }

    pub(super) fn what(&self, thing: impl std::fmt::Display) -> String {
        format!("{} of {}", thing, self.name())
    }

    /// Makes a call to the registry itself.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<Response, RegistryError> {
        self.registry.session().call(&self.origin, &self.scope, call)
    }

    /// Makes a reading call: to every mirror until one has it, then to the registry. An error status is an error.
    pub(super) fn read(&self, call: &Call<'_>, what: &str) -> Result<Response, RegistryError> {
        let ask = |endpoint| {
            let answer = self.registry.session().call(endpoint, &self.scope, call)?;
            let partial_end = answer.status == 416;
            if answer.is_success() || partial_end || (!call.follow && (300..400).contains(&answer.status)) {
                Ok(answer)
            } else {
                Err(RegistryError::from_answer(what.to_owned(), answer))
            }
        };
        let (origin, mirrors) = self.readers.split_last().unwrap_or((&self.origin, &[]));
        let session = self.registry.session();
        for mirror in mirrors.iter().filter(|mirror| !session.is_silent(mirror)) {
            match ask(mirror) {
                Ok(answer) => return Ok(answer),
                Err(RegistryError::Http(_)) => session.note_silent(mirror),
                Err(_) => {}
            }
        }
        ask(origin)
    }

    /// The descriptor of a manifest, by tag or digest; `None` where there is no such manifest.
    pub fn head_manifest(&self, locator: &str) -> Result<Option<Descriptor>, RegistryError> {
        let path = format!("manifests/{locator}");
        let call = accepting_manifests(Call::new(Method::Head, Target::Path(&path)));
        let answer = match self.read(&call, &self.what(locator)) {
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            Err(RegistryError::Answer { status: 405, .. }) => {
                return match self.get_manifest(locator) {
                    Ok((descriptor, _)) => Ok(Some(descriptor)),
                    Err(RegistryError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                };
            }
            answer => answer?,
        };
        let digest = answer.headers.get(CONTENT_DIGEST).and_then(|digest| digest.parse().ok());
        let (media_type, size) = (media_type(&answer), answer.headers.number("content-length"));
        answer.discard();
        match digest.zip(size) {
            Some((digest, size)) => Ok(Some(Descriptor::new(media_type, digest, size))),
            // A registry that tells too little has to send the manifest itself.
            None => self.get_manifest(locator).map(|(descriptor, _)| Some(descriptor)),
        }
    }

    /// A manifest or index by tag or digest, with its bytes. Its digest is checked against the one asked for, or announced.
    pub fn get_manifest(&self, locator: &str) -> Result<(Descriptor, Arc<[u8]>), RegistryError> {
        let path = format!("manifests/{locator}");
        let what = self.what(locator);
        let mut attempt = 0;
        loop {
            let answer = self.read(&accepting_manifests(Call::new(Method::Get, Target::Path(&path))), &what)?;
            let announced = locator.parse().ok().or_else(|| answer.headers.get(CONTENT_DIGEST)?.parse().ok());
            let (media_type, length) = (media_type(&answer), answer.headers.number("content-length"));
            let mut bytes = Vec::new();
            let read = answer.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes);
            if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
                let reason = format!("the manifest is larger than {MAX_DOCUMENT_BYTES} bytes");
                return Err(RegistryError::Protocol { what, reason });
            }
            if read.is_err() || length.is_some_and(|length| length > bytes.len() as u64) {
                if self.registry.http().wait(attempt) {
                    attempt += 1;
                    continue;
                }
                let reason = read.err().map_or_else(|| "the connection was closed".to_owned(), |e| e.to_string());
                return Err(jettison_http::HttpError::Cut { url: what, at: bytes.len() as u64, reason }.into());
            }
            let descriptor = Descriptor::of(media_type, &bytes);
            return match announced {
                Some(want) if want != descriptor.digest => {
                    Err(RegistryError::Digest { what, want, got: descriptor.digest })
                }
                _ => Ok((descriptor, bytes.into())),
            };
        }
    }

    /// Whether the registry itself has a blob in this repository.
    pub fn has_blob(&self, digest: Digest) -> Result<bool, RegistryError> {
        let path = format!("blobs/{digest}");
        // A redirect to the storage says that the blob is there.
        let answer = self.call(&Call { follow: false, ..Call::new(Method::Head, Target::Path(&path)) })?;
        match answer.status {
            200..400 => Ok(true),
            404 => Ok(false),
            _ => Err(RegistryError::from_answer(self.what(digest), answer)),
        }
    }

    /// Stores a manifest or index under its digest, or under a tag. Everything that it points to has to be there.
    pub fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8], tag: Option<&str>) -> Result<(), RegistryError> {
        let path = format!("manifests/{}", tag.map_or_else(|| descriptor.digest.to_string(), str::to_owned));
        let mut call = Call::new(Method::Put, Target::Path(&path));
        call = call.header("Content-Type", descriptor.media_type.as_str());
        call.body = Body::Bytes(bytes);
        let answer = self.call(&call)?;
        if !answer.is_success() {
            return Err(RegistryError::from_answer(format!("storing {}", self.what(descriptor.digest)), answer));
        }
        let stored = answer.headers.get(CONTENT_DIGEST).and_then(|digest| digest.parse().ok());
        let lists_subject = answer.headers.get("oci-subject").is_some();
        answer.discard();
        if let Some(got) = stored.filter(|got| *got != descriptor.digest) {
            return Err(RegistryError::Digest { what: self.what("the manifest"), want: descriptor.digest, got });
        }
        if lists_subject { Ok(()) } else { self.add_to_fallback(descriptor, bytes) }
    }

    /// The tags, in the registry's order.
    pub fn tags(&self) -> Result<Vec<String>, RegistryError> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let what = self.what("the list of tags");
        let bad = |reason: String| RegistryError::Protocol { what: what.clone(), reason };
        let (mut tags, mut next) = (Vec::new(), None);
        for _ in 0..TAG_PAGES {
            let target = next.as_ref().map_or(Target::Path("tags/list?n=1000"), Target::Url);
            let answer = self.read(&Call::new(Method::Get, target), &what)?;
            let link = answer.headers.get("link").and_then(next_link).map(|link| answer.url().join(link));
            let page: Page =
                serde_json::from_reader(answer.take(TAG_PAGE_BYTES)).map_err(|e| bad(format!("no list: {e}")))?;
            tags.extend(page.tags.unwrap_or_default());
            match link {
                None => return Ok(tags),
                Some(link) => next = Some(link.map_err(|e| bad(format!("the next page has a bad address: {e}")))?),
            }
        }
        Err(bad("it has no end".to_owned()))
    }

    /// The manifests whose subject is the one with this digest (distribution-spec, "Listing Referrers"), of registries without that
    /// API too.
    pub fn referrers(&self, subject: Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let path = format!("referrers/{subject}");
        let what = self.what(format_args!("the referrers to {subject}"));
        let call = Call::new(Method::Get, Target::Path(&path)).header("Accept", MediaType::OCI_INDEX.as_str());
        let bytes: Vec<u8> = match self.read(&call, &what) {
            Ok(answer) => {
                let mut bytes = Vec::new();
                let read = answer.take(MAX_DOCUMENT_BYTES).read_to_end(&mut bytes);
                read.map_err(|e| RegistryError::Protocol { what: what.clone(), reason: e.to_string() })?;
                bytes
            }
            Err(RegistryError::NotFound { .. }) => {
                return self.fallback_referrers(subject).map(|index| index.manifests);
            }
            Err(error) => return Err(error),
        };
        let index: Document<ImageIndex> =
            Document::parse(bytes).map_err(|e| RegistryError::Protocol { what, reason: e.to_string() })?;
        Ok(index.into_value().manifests)
    }

    /// The index under the tag that stands in for the referrers API (distribution-spec, "Referrers Tag Schema").
    fn fallback_referrers(&self, subject: Digest) -> Result<ImageIndex, RegistryError> {
        let tag = fallback_tag(subject);
        match self.get_manifest(&tag) {
            Ok((_, bytes)) => match Document::<ImageIndex>::parse(bytes) {
                Ok(index) => Ok(index.into_value()),
                Err(e) => Err(RegistryError::Protocol { what: self.what(tag), reason: e.to_string() }),
            },
            Err(RegistryError::NotFound { .. }) => Ok(ImageIndex::new(Vec::new())),
            Err(error) => Err(error),
        }
    }

    /// Lists a manifest with a subject under the fallback tag, for a registry that does not do it itself.
    fn add_to_fallback(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), RegistryError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Outline {
            subject: Option<Descriptor>,
            artifact_type: Option<MediaType>,
            config: Option<Descriptor>,
            #[serde(default)]
            annotations: crate::types::Annotations,
        }
        let Ok(Outline { subject: Some(subject), artifact_type, config, annotations }) = serde_json::from_slice(bytes)
        else {
            return Ok(());
        };
        let mut index = self.fallback_referrers(subject.digest)?;
        if index.manifests.iter().any(|listed| listed.digest == descriptor.digest) {
            return Ok(());
        }
        let artifact_type = artifact_type.or(config.map(|config| config.media_type));
        index.manifests.push(Descriptor { artifact_type, annotations, platform: None, ..descriptor.clone() });
        let index = Document::new(index);
        self.put_manifest(&index.descriptor(MediaType::OCI_INDEX), index.bytes(), Some(&fallback_tag(subject.digest)))
    }

    /// Resolves the `Location` of an answer. A registry that does not know that a proxy adds TLS to it says `http`: on the same
    /// host that is mended.
    pub(super) fn location(&self, answer: &Response, what: &str) -> Result<Url, RegistryError> {
        let bad = |reason: &str| RegistryError::Protocol { what: what.to_owned(), reason: reason.to_owned() };
        let location = answer.headers.get("location").ok_or_else(|| bad("the registry sent no Location"))?;
        let mut url = answer.url().join(location).map_err(|_| bad("the registry sent a bad Location"))?;
        if url.host() == answer.url().host() && url.port() == answer.url().port() {
            let _ = url.set_scheme(answer.url().scheme());
        }
        let safe = url.scheme() == answer.url().scheme() || url.scheme() == "https";
        if safe { Ok(url) } else { Err(bad("the registry sent a Location that is less safe than itself")) }
    }
}

impl BlobSource for Repository {
    fn open(&self, descriptor: &Descriptor) -> Result<Blob, BlobError> {
        self.open_from(descriptor, 0)
    }

    fn open_from(&self, descriptor: &Descriptor, at: u64) -> Result<Blob, BlobError> {
        let digest = descriptor.digest;
        let missing = |error| match error {
            RegistryError::NotFound { .. } => BlobError::Missing { digest, place: self.name() },
            error => BlobError::Source(Box::new(error)),
        };
        if descriptor.media_type.is_manifest() || descriptor.media_type.is_index() {
            let (_, bytes) = self.get_manifest(&digest.to_string()).map_err(missing)?;
            let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            return Ok(Blob::from_bytes(rest.into()));
        }
        let reader = BlobReader::open(self.clone(), descriptor, at).map_err(missing)?;
        Ok(Blob::new(reader.len().saturating_sub(at), reader))
    }
}

fn fallback_tag(subject: Digest) -> String {
    format!("sha256-{}", subject.hex())
}

fn accepting_manifests(mut call: Call<'_>) -> Call<'_> {
    let types =
        [MediaType::OCI_MANIFEST, MediaType::OCI_INDEX, MediaType::DOCKER_MANIFEST, MediaType::DOCKER_MANIFEST_LIST];
    for media_type in types {
        call = call.header("Accept", media_type.as_str());
    }
    call
}

fn media_type(answer: &Response) -> MediaType {
    let text = answer.headers.get("content-type").unwrap_or_default();
    MediaType::new(text.split(';').next().unwrap_or_default().trim().to_owned())
}

/// The target of `<…>; rel="next"` (RFC 8288).
fn next_link(value: &str) -> Option<&str> {
    let (target, params) = value.trim().strip_prefix('<')?.split_once('>')?;
    let rel: BTreeSet<_> = params.split(';').map(|param| param.trim().replace('"', "")).collect();
    rel.contains("rel=next").then_some(target)
}
