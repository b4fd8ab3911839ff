//! Looking at the layers of an image that others made: whose files they hold. Each is read once.

use std::io::Read as _;
use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Context, Operation, Output};
use jettison_engine::store::Store;
use jettison_oci::layer::{TarKind, read_layer};
use jettison_tree::Digest;

use super::super::facts::{Collector, Facts};
use super::super::unpacked::open_image;
use crate::error::BuildError;

/// Looks at every layer of an image, the lowest first.
pub struct SurveyStep {
    /// The manifest.
    pub manifest: Digest,
    /// The store, which has the layers when this runs.
    pub store: Arc<Store>,
}

impl SurveyStep {
    fn layer(&self, context: &Context<'_>, blob: Digest) -> Result<Facts, BuildError> {
        let key = CacheKey::builder("layer-facts/1").digest("blob", blob).finish();
        self.store.memo_or(&key, || {
            let mut collector = Collector::default();
            let mut tar = read_layer(self.store.open_blob(blob)?)?;
            while let Some(mut member) = tar.next_entry()? {
                context.check().map_err(|cancelled| BuildError::new(cancelled.to_string()))?;
                let header = member.header();
                if !matches!(header.kind, TarKind::File) || header.whiteout()?.is_some() {
                    continue;
                }
                let (Some(path), size) = (header.path()?, header.size) else { continue };
                collector.add(&path, size, || {
                    let mut bytes = Vec::new();
                    member.read_to_end(&mut bytes)?;
                    Ok(bytes)
                });
            }
            Ok((collector.finish(), Vec::new()))
        })
    }
}

impl Operation for SurveyStep {
    /// The image. Its layers say all the rest.
    fn key(&self) -> CacheKey {
        CacheKey::builder("dockerfile/survey/1").digest("manifest", self.manifest).finish()
    }

    fn run(&self, context: &Context<'_>, _: &[Arc<Output>]) -> Result<Output, BoxError> {
        let image = open_image(&self.store, self.manifest)?;
        let layers: Vec<Digest> = image.layers().map(|layer| layer.descriptor.digest).collect();
        let facts = layers.into_iter().map(|blob| self.layer(context, blob)).collect::<Result<Vec<_>, _>>()?;
        Output::new(&facts)
    }
}
