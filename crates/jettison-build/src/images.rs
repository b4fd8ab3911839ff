//! The images of a store: finding them by what a user types, bringing them in and sending them out.
//!
//! 1. [`Images::find`]: a name, a digest or the beginning of one, or the directory of a project. [`Images::read`] opens it.
//! 2. [`Images::list`] and [`Images::untag`].
//! 3. [`Images::pull`] from a registry; [`Images::copy`] between any two [`Place`]s, of which the store is one.
//! 4. [`Images::push`], which remembers what a repository has, is in [`output`](crate::output).

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{BufReader, ErrorKind, Read as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jettison_engine::events::{Event, Events, Unit};
use jettison_engine::graph::StepId;
use jettison_engine::store::{BlobWriter, NamedImage, Store, StoreError};
use jettison_oci::blob::{BlobError, BlobSource};
use jettison_oci::daemon::DaemonError;
use jettison_oci::image::{ContentItem, ImageError, ImageOrIndex, Index};
use jettison_oci::media::MediaError;
use jettison_oci::reference::{Reference, ReferenceError};
use jettison_oci::registry::{Registry, RegistryError};
use jettison_oci::rootfs::RootfsError;
use jettison_oci::transport::{Places, Transport, TransportError};
use jettison_oci::types::{Descriptor, MediaType, Platform};
use jettison_tree::Digest;
use serde::Serialize;

use crate::error::{BuildError, Context as _};
use crate::image::StoreBlobs;

/// Names that begin so stand for the directory of a project, and are no names of images elsewhere.
const DIRECTORY: &str = "dir:";
/// The shortest beginning of a digest that is looked for, in hex digits.
const SHORTEST_DIGEST: usize = 4;
/// Blobs are read in pieces of this size.
const BUFFER: usize = 128 * 1024;
/// So many near names are suggested.
const SUGGESTED: usize = 3;

/// The images of a store, with the ways in and out.
#[derive(Clone, Copy)]
pub struct Images<'a> {
    /// Where they are kept.
    pub store: &'a Arc<Store>,
    /// The client of registries.
    pub registry: &'a Registry,
    /// The value of `DOCKER_HOST`.
    pub docker_host: Option<&'a str>,
    /// The platform of this machine.
    pub platform: &'a Platform,
    /// Whom to tell how transfers go.
    pub events: &'a dyn Events,
}

/// Which images of an index are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one that runs best on this platform.
    For(Platform),
    /// All of them, and the index.
    All,
}

/// A name of the store and what is behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// Of the manifest or index.
    pub digest: Digest,
    /// What it runs on; nothing where the image cannot be read.
    pub platforms: Vec<String>,
    /// Configs and layers as a registry keeps them, each once.
    pub compressed_bytes: u64,
    /// When it was made, as its config says.
    pub created: Option<String>,
    /// When it got the name, in seconds since 1970.
    pub tagged: u64,
}

impl Listed {
    /// The project's directory, where the name stands for one.
    pub fn directory(&self) -> Option<&str> {
        self.name.strip_prefix(DIRECTORY)
    }
}

/// Where an image is: in the store, or where skopeo's words say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `store:NAME`
    Store(String),
    /// `oci:…`, `docker://…` and the others.
    Elsewhere(Transport),
}

impl Place {
    /// Parses a place.
    pub fn parse(text: &str) -> Result<Self, BuildError> {
        match text.strip_prefix("store:") {
            Some("") => {
                Err(BuildError::new("`store:` names no image").hint("write store:NAME; `jettison images` lists them"))
            }
            Some(name) => Ok(Self::Store(name.to_owned())),
            None => Ok(Self::Elsewhere(Transport::parse(text)?)),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(name) => write!(f, "store:{name}"),
            Self::Elsewhere(transport) => transport.fmt(f),
        }
    }
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Of what was copied.
    pub digest: Digest,
    /// Blobs that went over, and their bytes, where the target keeps count.
    pub sent: Option<(usize, u64)>,
}

/// The name under which the store keeps what `text` calls an image: in full, but for Docker Hub, and with its tag.
pub fn store_name(text: &str) -> Result<String, BuildError> {
    let reference = Reference::parse(text)?;
    let tagged = match reference.tag_or_default() {
        Some(tag) => reference.with_tag(tag)?,
        None => reference,
    };
    Ok(tagged.familiar())
}

/// Whether a name of the store is one that registries and daemons know too.
pub fn is_reference(name: &str) -> bool {
    !name.starts_with(DIRECTORY) && Reference::parse(name).is_ok()
}

impl Images<'_> {
    /// The digest of the image that a user means by `word`: a name (`app`, `app:latest`, `ghcr.io/me/app`), a digest or the
    /// unique beginning of one, or the directory of a project that was built. What begins like a path is only taken for
    /// a path.
    pub fn find(&self, word: &str) -> Result<Digest, BuildError> {
        let named = self.store.images()?;
        if let Some(image) = named.iter().find(|image| image.name == word) {
            return Ok(image.manifest);
        }
        let is_path = matches!(word, "" | "." | "..") || ["/", "./", "../"].iter().any(|start| word.starts_with(start));
        if !is_path {
            if let Some(image) = by_reference(&named, word) {
                return unambiguous(&named, word, image);
            }
            if let Some(digest) = self.by_digest(&named, word)? {
                return Ok(digest);
            }
        }
        match fs::canonicalize(word) {
            Ok(directory) if directory.is_dir() => built(&named, word, &directory),
            Ok(_) => {
                Err(BuildError::new(format!("`{word}` is a file; an image or the directory of a project is wanted"))
                    .hint("for an image in a file: jettison copy docker-archive:FILE store:NAME"))
            }
            Err(_) if is_path => Err(BuildError::new(format!("there is no directory `{word}`"))),
            Err(_) => Err(unknown(&named, word)),
        }
    }

    /// The image of the store that has this name.
    pub(crate) fn named(&self, reference: &Reference) -> Result<Option<Digest>, BuildError> {
        let named = self.store.images()?;
        Ok(by_reference(&named, &reference.to_string()).map(|image| image.manifest))
    }

    fn by_digest(&self, named: &[NamedImage], word: &str) -> Result<Option<Digest>, BuildError> {
        let hex = word.strip_prefix("sha256:").unwrap_or(word).to_ascii_lowercase();
        if hex.len() < SHORTEST_DIGEST || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        if let Ok(digest) = Digest::from_hex(&hex) {
            return Ok(if self.store.has(digest)? { Some(digest) } else { None });
        }
        let found: BTreeSet<Digest> =
            named.iter().map(|image| image.manifest).filter(|digest| digest.hex().starts_with(&hex)).collect();
        match found.len() {
            0 | 1 => Ok(found.first().copied()),
            _ => {
                let all: Vec<_> = found.iter().map(|digest| digest.hex()[..12].to_owned()).collect();
                Err(BuildError::new(format!(
                    "`{word}` is the beginning of {} digests: {}",
                    found.len(),
                    all.join(", ")
                ))
                .hint("give more digits of it"))
            }
        }
    }

    /// Opens the image or index with this digest.
    pub fn read(&self, digest: Digest) -> Result<ImageOrIndex, BuildError> {
        let size = self.store.blob_len(digest)?.ok_or_else(|| {
            BuildError::new(format!("the store has no image {digest}"))
                .hint("`jettison images` lists those that it has")
        })?;
        // The document says itself what it is.
        let descriptor = Descriptor::new(MediaType::new(""), digest, size);
        let blobs: Arc<dyn BlobSource> = Arc::new(StoreBlobs(Arc::clone(self.store)));
        ImageOrIndex::read(&descriptor, blobs).context(format!("image {digest}"))
    }

    /// [`find`](Self::find) and [`read`](Self::read).
    pub fn open(&self, word: &str) -> Result<ImageOrIndex, BuildError> {
        self.read(self.find(word)?)
    }

    /// All names, with what is behind them. An image that cannot be read is listed too, so that its name can be taken away.
    pub fn list(&self) -> Result<Vec<Listed>, BuildError> {
        let listed = |image: NamedImage| {
            let mut listed = Listed {
                name: image.name,
                digest: image.manifest,
                platforms: Vec::new(),
                compressed_bytes: 0,
                created: None,
                tagged: image.tagged.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs(),
            };
            let Ok(content) = self.read(image.manifest) else { return listed };
            match &content {
                ImageOrIndex::Image(image) => {
                    listed.platforms.push(image.platform().to_string());
                    listed.created = image.config().created.clone();
                }
                ImageOrIndex::Index(index) => {
                    listed.platforms = index.index().platforms().map(Platform::to_string).collect();
                }
            }
            let blob = |item: &ContentItem| match item {
                ContentItem::Blob(blob) => blob.size,
                ContentItem::Document(..) => 0,
            };
            listed.compressed_bytes = content.contents().iter().flatten().map(blob).sum();
            listed
        };
        Ok(self.store.images()?.into_iter().map(listed).collect())
    }

    /// Takes a name away, or all names of the image where `word` is a digest. Returns those that are gone. What the image
    /// consists of goes when the store is next pruned.
    pub fn untag(&self, word: &str) -> Result<Vec<String>, BuildError> {
        let named = self.store.images()?;
        let digest = self.find(word)?;
        let exact = named.iter().find(|image| image.name == word).or_else(|| by_reference(&named, word));
        let names: Vec<String> = match exact {
            Some(image) => vec![image.name.clone()],
            None => named.iter().filter(|image| image.manifest == digest).map(|image| image.name.clone()).collect(),
        };
        let mut gone = Vec::new();
        for name in names {
            if self.store.untag(&name)? {
                gone.push(name);
            }
        }
        Ok(gone)
    }

    /// Brings an image of a registry into the store, under `names`, or under its own where there are none.
    pub fn pull(&self, reference: &Reference, which: &Which, names: &[String]) -> Result<Copied, BuildError> {
        let content = self.choose(self.registry.pull(reference)?, which)?;
        let own = [store_name(&reference.to_string())?];
        let names = if names.is_empty() { &own } else { names };
        let copied = self.import(&content, names, &reference.familiar())?;
        self.remember_pulled(reference, &self.read(copied.digest)?)?;
        Ok(copied)
    }

    /// Copies an image from one place to another. Digests stay what they are.
    pub fn copy(&self, from: &Place, to: &Place, which: &Which) -> Result<Copied, BuildError> {
        let places = self.places();
        let content = match from {
            Place::Store(word) => self.open(word)?,
            Place::Elsewhere(transport) => places.read(transport)?,
        };
        let content = self.choose(content, which)?;
        match to {
            Place::Store(name) => self.import(&content, &[store_name(name)?], &from.to_string()),
            Place::Elsewhere(Transport::Registry(reference)) => {
                let source = match from {
                    Place::Elsewhere(Transport::Registry(source)) => Some(source),
                    _ => None,
                };
                let report = self.push_from(&content, reference, source)?;
                Ok(Copied { digest: report.digest, sent: Some((report.uploaded.len(), report.uploaded_bytes())) })
            }
            Place::Elsewhere(transport) => {
                let report = places.write(&content, transport, &Default::default())?;
                Ok(Copied { digest: report.digest, sent: None })
            }
        }
    }

    /// Names several images of one name as one, by an index of them.
    pub fn unite(&self, images: &[jettison_oci::Image], names: &[String]) -> Result<Index, BuildError> {
        let index = Index::of(images);
        self.store.put_bytes(index.index().bytes())?;
        let digest = index.descriptor().digest;
        names.iter().try_for_each(|name| self.store.tag(name, digest))?;
        Ok(index)
    }

    pub(crate) fn places(&self) -> Places<'_> {
        Places {
            registry: self.registry,
            docker_host: self.docker_host,
            temporary: self.store.tmp().to_owned(),
            platform: self.platform.clone(),
            one_platform: false,
        }
    }

    fn choose(&self, content: ImageOrIndex, which: &Which) -> Result<ImageOrIndex, BuildError> {
        match which {
            Which::All => Ok(content),
            Which::For(platform) => Ok(ImageOrIndex::Image(content.image(platform)?)),
        }
    }

    /// Brings everything of an image into the store, without a name.
    pub(crate) fn bring(&self, content: &ImageOrIndex, from: &str) -> Result<(), BuildError> {
        self.import(content, &[], from).map(drop)
    }

    /// Brings everything of an image into the store that it does not have, several blobs at a time, and names it.
    fn import(&self, content: &ImageOrIndex, names: &[String], from: &str) -> Result<Copied, BuildError> {
        let contents = content.contents()?;
        let mut missing = Vec::new();
        for item in &contents {
            if let ContentItem::Blob(blob) = item
                && !self.store.has(blob.digest)?
            {
                missing.push(blob);
            }
        }
        let total = missing.iter().map(|blob| blob.size).sum();
        let transfer = Transfer::begin(self.events, &format!("pulling {from}"), total);
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let work = || {
            while let Some(blob) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.fetch(blob, content.blobs(), &transfer) {
                    next.store(missing.len(), Ordering::Relaxed);
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        };
        let threads = self.registry.options().parallel.clamp(1, missing.len().max(1));
        std::thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        for item in &contents {
            if let ContentItem::Document(_, bytes) = item {
                self.store.put_bytes(bytes)?;
            }
        }
        let digest = content.descriptor().digest;
        names.iter().try_for_each(|name| self.store.tag(name, digest))?;
        Ok(Copied { digest, sent: Some((missing.len(), total)) })
    }

    fn fetch(
        &self,
        blob: &Descriptor,
        source: &Arc<dyn BlobSource>,
        transfer: &Transfer<'_>,
    ) -> Result<(), BuildError> {
        let fetch = || self.fetch_rest(blob, source, transfer, self.store.resumed_writer(blob.digest)?);
        match fetch()? {
            Fetched::Whole => Ok(()),
            // What an earlier pull left was damaged, and is gone now.
            Fetched::Other => fetch().map(drop),
        }
    }

    /// Fetches what is not there of a blob.
    fn fetch_rest(
        &self,
        blob: &Descriptor,
        source: &Arc<dyn BlobSource>,
        transfer: &Transfer<'_>,
        writer: BlobWriter<'_>,
    ) -> Result<Fetched, BuildError> {
        let begun = writer.len();
        let mut counted = Counted { writer, bytes: begun, tell: |bytes| transfer.at(blob.digest, bytes) };
        if begun < blob.size {
            let rest = source.open_from(blob, begun)?.into_reader();
            // One byte more than there should be is enough to know that it is another.
            let mut rest = BufReader::with_capacity(BUFFER, rest.take(blob.size - begun + 1));
            std::io::copy(&mut rest, &mut counted).map_err(|error| match error.kind() {
                ErrorKind::StorageFull => BuildError::from(error).context(format!("blob {}", blob.digest)),
                _ => BlobError::from_io(blob.digest, error).into(),
            })?;
        }
        let len = counted.writer.len();
        match counted.writer.commit(Some(blob.digest)) {
            Ok(_) => Ok(Fetched::Whole),
            Err(StoreError::Mismatch { .. }) if len != blob.size && begun == 0 => {
                Err(BlobError::Size { digest: blob.digest, expected: blob.size, actual: len }.into())
            }
            Err(StoreError::Mismatch { actual, .. }) if begun == 0 => {
                Err(BlobError::Digest { expected: blob.digest, actual }.into())
            }
            Err(StoreError::Mismatch { .. }) => Ok(Fetched::Other),
            Err(error) => Err(error.into()),
        }
    }
}

/// What became of a blob.
enum Fetched {
    Whole,
    /// It was begun by an earlier pull, and is not what it should be.
    Other,
}

struct Counted<W, F> {
    writer: W,
    bytes: u64,
    tell: F,
}

impl<W: std::io::Write, F: Fn(u64)> std::io::Write for Counted<W, F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.bytes += written as u64;
        (self.tell)(self.bytes);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

/// The image with this name, however much of the name was written.
fn by_reference<'n>(named: &'n [NamedImage], word: &str) -> Option<&'n NamedImage> {
    let wanted = Reference::parse(word).ok()?;
    named.iter().filter(|image| !image.name.starts_with(DIRECTORY)).find(|image| {
        Reference::parse(&image.name).is_ok_and(|name| {
            name.name() == wanted.name()
                && match wanted.digest() {
                    Some(digest) => image.manifest == digest,
                    None => name.tag_or_default() == wanted.tag_or_default(),
                }
        })
    })
}

/// The image, unless the word is just as well the directory of a project from which something else was built.
fn unambiguous(named: &[NamedImage], word: &str, image: &NamedImage) -> Result<Digest, BuildError> {
    let directory = fs::canonicalize(word).map(|directory| crate::build::directory_name(&directory));
    match named.iter().find(|other| directory.as_ref().is_ok_and(|name| other.name == *name)) {
        Some(built) if built.manifest != image.manifest => Err(BuildError::new(format!(
            "`{word}` may be the image `{}` or what was last built in the directory `{word}`, which differ",
            image.name
        ))
        .hint(format!("write {} or ./{word}", image.name))),
        _ => Ok(image.manifest),
    }
}

fn built(named: &[NamedImage], word: &str, directory: &Path) -> Result<Digest, BuildError> {
    let name = crate::build::directory_name(directory);
    match named.iter().find(|image| image.name == name) {
        Some(image) => Ok(image.manifest),
        None => Err(BuildError::new(format!("the project in `{word}` was not built yet"))
            .hint(format!("build it first: jettison build {word}"))),
    }
}

fn unknown(named: &[NamedImage], word: &str) -> BuildError {
    let names = named.iter().map(|image| image.name.as_str()).filter(|name| !name.starts_with(DIRECTORY));
    let score = |name: &str| {
        // `app` is as near to `ghcr.io/me/app:1` as to `app:1`.
        let last = name.rsplit('/').next().unwrap_or(name);
        let bare = last.split(':').next().unwrap_or(last);
        [name, last, bare].iter().map(|part| (strsim::jaro_winkler(word, part) * 1000.0) as u32).max().unwrap_or(0)
    };
    let mut near: Vec<_> = names.map(|name| (score(name), name)).filter(|(score, _)| *score >= 800).collect();
    near.sort_by_key(|(score, name)| (std::cmp::Reverse(*score), *name));
    let near: Vec<_> = near.iter().take(SUGGESTED).map(|(_, name)| format!("`{name}`")).collect();
    let error = BuildError::new(format!("there is no image `{word}` in the store"));
    match (near.as_slice(), Reference::parse(word)) {
        ([], Ok(reference)) => error.hint(format!(
            "`jettison images` lists those that there are; `jettison pull {}` fetches this one",
            reference.familiar()
        )),
        ([], Err(_)) => error.hint("`jettison images` lists those that there are"),
        (near, _) => error.hint(format!("did you mean {}?", near.join(" or "))),
    }
}

/// Something that goes over the network, told as one piece of work.
pub(crate) struct Transfer<'a> {
    events: &'a dyn Events,
    total: u64,
    /// Bytes of each blob so far.
    done: Mutex<std::collections::BTreeMap<Digest, u64>>,
}

impl<'a> Transfer<'a> {
    /// One at a time is under way, and no step of a graph.
    const ID: StepId = StepId::outside(0);

    pub fn begin(events: &'a dyn Events, name: &str, total: u64) -> Self {
        events.event(Event::StepStarted { id: Self::ID, name: name.into() });
        Self { events, total, done: Mutex::default() }
    }

    /// So many bytes of a blob are over.
    pub fn at(&self, blob: Digest, bytes: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.insert(blob, bytes);
        let sum = done.values().sum();
        self.events.event(Event::StepProgress { id: Self::ID, done: sum, total: Some(self.total), unit: Unit::Bytes });
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.events.event(Event::StepDone { id: Self::ID });
    }
}

impl From<TransportError> for BuildError {
    fn from(error: TransportError) -> Self {
        Self::with_hint(error.to_string(), error.hint()).transient(error.is_transient())
    }
}

/// What goes wrong on the way to an image, as the transport that it is part of tells it.
macro_rules! from_parts {
    ($($part:ty),+ $(,)?) => {
        $(impl From<$part> for BuildError {
            fn from(error: $part) -> Self {
                TransportError::from(error).into()
            }
        })+
    };
}

from_parts!(MediaError, RegistryError, DaemonError, ImageError);

impl From<BlobError> for BuildError {
    fn from(error: BlobError) -> Self {
        ImageError::from(error).into()
    }
}

impl From<ReferenceError> for BuildError {
    fn from(error: ReferenceError) -> Self {
        Self::with_hint(error.to_string(), error.hint())
    }
}

impl From<RootfsError> for BuildError {
    fn from(error: RootfsError) -> Self {
        Self::with_hint(error.to_string(), error.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jettison_engine::events::Silent;
    use jettison_http::{Client, Options};
    use jettison_oci::registry::RegistryOptions;

    #[test]
    fn an_image_is_found_by_what_a_user_types() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path().join("store")).unwrap());
        let registry = Registry::new(Client::new(Options::default()).unwrap(), RegistryOptions::default());
        let platform = Platform::linux("amd64");
        let images =
            Images { store: &store, registry: &registry, docker_host: None, platform: &platform, events: &Silent };
        let tag = |name: &str, text: &str| {
            let digest = store.put_bytes(text.as_bytes()).unwrap();
            store.tag(name, digest).unwrap();
            digest
        };
        let (one, two) = (tag("app:latest", "one"), tag("ghcr.io/me/app:2", "two"));
        let project = dir.path().canonicalize().unwrap().join("project");
        fs::create_dir(&project).unwrap();
        let built = tag(&crate::build::directory_name(&project), "built");
        let found = |word: &str| images.find(word).map_err(|error| error.to_string());
        for word in ["app", "app:latest", "docker.io/library/app", &one.to_string(), &one.hex(), &one.hex()[..6]] {
            assert_eq!(found(word), Ok(one), "{word}");
        }
        assert_eq!(found("ghcr.io/me/app:2"), Ok(two));
        assert_eq!(found(&format!("ghcr.io/me/app@{two}")), Ok(two));
        let path = project.to_str().unwrap();
        for word in [path.to_owned(), format!("{path}/"), format!("{path}/../project"), format!("dir:{path}")] {
            assert_eq!(found(&word), Ok(built), "{word}");
        }
        for word in ["ghcr.io/me/app", "app:2", &one.hex()[..3], "ffff", &format!("app@{two}")] {
            assert_eq!(found(word), Err(format!("there is no image `{word}` in the store")));
        }
    }

    #[test]
    fn a_word_for_two_images_is_refused() {
        let image = |name: &str, text: &[u8]| NamedImage {
            name: name.to_owned(),
            manifest: Digest::of(text),
            tagged: SystemTime::UNIX_EPOCH,
        };
        // The directory that tests run in.
        let directory = crate::build::directory_name(&fs::canonicalize("src").unwrap());
        let named = image("src:latest", b"named");
        let both = |built: &[u8]| unambiguous(&[named.clone(), image(&directory, built)], "src", &named);
        assert_eq!(both(b"named").unwrap(), named.manifest);
        assert_eq!(unambiguous(&[], "src", &named).unwrap(), named.manifest);
        assert_eq!(both(b"other").unwrap_err().hint_text(), Some("write src:latest or ./src"));
    }
}
