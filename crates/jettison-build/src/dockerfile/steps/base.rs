//! `FROM`: the image that a stage begins with. Its layers are fetched when a step is on top of it, or something is copied out of it.

use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Context, Operation, Output};
use jettison_engine::store::{Ref, Store};
use jettison_oci::image::ImageOrIndex;
use jettison_oci::reference::Reference;
use jettison_oci::registry::Registry;
use jettison_oci::types::Platform;
use jettison_tree::Digest;

use super::super::place::Place;
use super::super::stack::{Made, Stack};
use super::super::unpacked::open_image;
use crate::error::BuildError;
use crate::images::Images;

/// Where an image came from, and its layers can be had.
#[derive(Clone)]
pub struct Origin {
    /// Its name there.
    pub reference: Reference,
    /// The way there.
    pub registry: Registry,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.reference.fmt(f)
    }
}

/// Begins with an image, or with nothing.
pub struct BaseStep {
    /// The manifest; none for `scratch`.
    pub manifest: Option<Digest>,
    /// Where layers are that the store has not.
    pub origin: Option<Origin>,
    /// The store.
    pub store: Arc<Store>,
    /// Where the image is named.
    pub place: Place,
}

impl BaseStep {
    fn bring(&self, context: &Context<'_>, digest: Digest) -> Result<Vec<Ref>, BuildError> {
        let image = open_image(&self.store, digest)?;
        let blobs: Vec<_> = image.manifest().blobs().cloned().collect();
        let mut missing = false;
        for blob in &blobs {
            missing |= !self.store.has(blob.digest)?;
        }
        if let (true, Some(Origin { reference, registry })) = (missing, &self.origin) {
            let content = registry.pull(&reference.with_digest(digest))?;
            let platform = Platform::linux(std::env::consts::ARCH);
            let (events, _) = context.events();
            let images = Images { store: &self.store, registry, docker_host: None, platform: &platform, events };
            images.bring(&ImageOrIndex::Image(content.image(&image.platform())?), &reference.familiar())?;
            self.store.kept_what_takes_long();
        }
        Ok(blobs.iter().map(|blob| Ref::Blob(blob.digest)).chain([Ref::Blob(digest)]).collect())
    }
}

impl Operation for BaseStep {
    /// The manifest. Where it came from makes no difference.
    fn key(&self) -> CacheKey {
        let key = CacheKey::builder("dockerfile/base/1");
        match self.manifest {
            Some(digest) => key.digest("manifest", digest).finish(),
            None => key.flag("scratch", true).finish(),
        }
    }

    fn run(&self, context: &Context<'_>, _: &[Arc<Output>]) -> Result<Output, BoxError> {
        let made = Made::same(Stack { base: self.manifest, layers: Vec::new() });
        let output = Output::new(&made)?;
        let Some(digest) = self.manifest else { return Ok(output) };
        let refs = self.bring(context, digest).map_err(|error| self.place.put(error))?;
        Ok(refs.into_iter().fold(output, Output::with))
    }
}
