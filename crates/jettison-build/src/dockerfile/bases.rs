//! The images that stages begin with, and that files are copied from: found by name, their documents read, their layers left where they
//! are until a step wants them.
//!
//! 1. An image of our own store, with the right platform.
//! 2. What the name stood for when a build last asked: a name is asked for again when `--pull` says so. This is no name in the store.
//! 3. The registry, mirrors first.

use std::collections::BTreeMap;

use jettison_engine::CacheKey;
use jettison_engine::store::Ref;
use jettison_oci::image::{Image, ImageOrIndex};
use jettison_oci::reference::Reference;
use jettison_oci::registry::Registry;
use jettison_oci::types::Platform;
use jettison_tree::Digest;
use serde::{Deserialize, Serialize};

use super::steps::base::Origin;
use super::unpacked::open_image;
use crate::error::{BuildError, Context as _};
use crate::images::{Images, Place};
use crate::job::Job;

/// An image to begin with.
#[derive(Debug, Clone)]
pub struct Base {
    /// The image, its documents in the store.
    pub image: Image,
    /// Its manifest.
    pub digest: Digest,
    /// As the Dockerfile names it.
    pub name: String,
    /// Where its layers are, where the store may not have them.
    pub origin: Option<Origin>,
}

/// What a name stood for when the registry was last asked.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    manifest: Digest,
    /// When, in seconds since 1970.
    at: u64,
}

/// So many registries are asked at once.
const AT_ONCE: usize = 8;
/// An answer older than this is said to be. Seconds.
const OLD: u64 = 7 * 24 * 3600;

/// Finds images. Each is looked for once in a build.
pub struct Bases<'a> {
    job: &'a Job<'a>,
    registry: &'a Registry,
    /// Whether registries are asked again.
    pull: bool,
    found: BTreeMap<(String, String), Result<Base, BuildError>>,
}

impl<'a> Bases<'a> {
    /// With nothing found yet.
    pub fn new(job: &'a Job<'a>, registry: &'a Registry, pull: bool) -> Self {
        Self { job, registry, pull, found: BTreeMap::new() }
    }

    /// The image that a name stands for.
    pub fn find(&mut self, name: &str, platform: &Platform) -> Result<Base, BuildError> {
        let known = (name.to_owned(), platform.to_string());
        // What was not found is told once, to whoever asks first: nothing is built then.
        let base = match self.found.remove(&known) {
            Some(found) => found?,
            None => self.look(name, platform)?,
        };
        self.found.insert(known, Ok(base.clone()));
        Ok(base)
    }

    /// Looks for images at once, to be found when they are asked for.
    pub fn find_all(&mut self, images: &[(String, Platform)]) {
        if images.len() < 2 {
            return;
        }
        let look = |(name, platform): &(String, Platform)| Ok(self.look(name, platform));
        if let Ok(bases) = self.job.each(AT_ONCE, images, look) {
            let known = images.iter().map(|(name, platform)| (name.clone(), platform.to_string()));
            self.found.extend(known.zip(bases));
        }
    }

    /// The image of an OCI layout: a directory or archive, with `:tag` or `@digest` behind it where it holds several.
    pub fn of_layout(&self, name: &str, path: &str, platform: &Platform) -> Result<Base, BuildError> {
        let place = Place::parse(&format!("oci:{path}"))?;
        let Place::Elsewhere(transport) = place else { return Err(BuildError::new(format!("`{path}` is no layout"))) };
        let images = self.images(platform);
        let content = images.places().read(&transport)?;
        let image = ImageOrIndex::Image(content.image(platform)?);
        images.bring(&image, path)?;
        let digest = image.descriptor().digest;
        Ok(Base { image: open_image(self.job.store, digest)?, digest, name: name.to_owned(), origin: None })
    }

    fn images<'i>(&'i self, platform: &'i Platform) -> Images<'i> {
        Images { store: self.job.store, registry: self.registry, docker_host: None, platform, events: self.job.events }
    }

    fn look(&self, name: &str, platform: &Platform) -> Result<Base, BuildError> {
        let reference = &Reference::parse(name).map_err(|error| {
            BuildError::with_hint(error.to_string(), error.hint()).context(format!("`{name}` names no image"))
        })?;
        if let Some(image) = self.in_store(reference, platform)? {
            let digest = image.descriptor().digest;
            return Ok(Base { image, digest, name: name.to_owned(), origin: None });
        }
        let key = CacheKey::builder("dockerfile/from/1")
            .field("image", reference.to_string())
            .field("platform", platform.to_string())
            .finish();
        let asked = if self.pull { None } else { self.job.store.memo_get::<Asked>(&key)? };
        let manifest = match asked {
            Some(Asked { manifest, at }) => {
                let days = self.job.machine.now.saturating_sub(at) / (24 * 3600);
                if reference.digest().is_none() && self.job.machine.now.saturating_sub(at) > OLD {
                    self.job.note(format!("{name} is what it was {days} days ago; --pull asks its registry again"));
                }
                manifest
            }
            None => {
                let image = self.ask(reference, platform).context(name)?;
                let store = self.job.store;
                let manifest = store.put_bytes(image.manifest().bytes())?;
                let config = store.put_bytes(image.config().bytes())?;
                let refs = [Ref::Blob(manifest), Ref::Blob(config)];
                store.memo_put(&key, &Asked { manifest, at: self.job.machine.now }, &refs)?;
                manifest
            }
        };
        let image = open_image(self.job.store, manifest)?;
        let origin = Origin { reference: reference.clone(), registry: self.registry.clone() };
        Ok(Base { image, digest: manifest, name: name.to_owned(), origin: Some(origin) })
    }

    fn ask(&self, reference: &Reference, platform: &Platform) -> Result<Image, BuildError> {
        let progress = self.job.begin(&format!("looking for {}", reference.familiar()));
        let content = self.registry.pull(reference)?;
        let image = content.image(platform)?;
        drop(progress);
        if image.platform().distance(platform).is_none() {
            self.job.warn(format!("{} is for {}, and {platform} is wanted", reference.familiar(), image.platform()));
        }
        Ok(image)
    }

    fn in_store(&self, reference: &Reference, platform: &Platform) -> Result<Option<Image>, BuildError> {
        let images = self.images(platform);
        let Some(digest) = images.named(reference)? else { return Ok(None) };
        // One for other platforms alone is as good as none.
        let image = images.read(digest)?.image(platform).ok();
        Ok(image.filter(|image| image.platform().distance(platform).is_some()))
    }
}
