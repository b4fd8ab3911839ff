//! Layers and a stage's config → an image, with the history that BuildKit would write.

use std::sync::Arc;

use jettison_engine::store::Store;
use jettison_oci::assemble::ImageBuilder;
use jettison_oci::image::Image;
use jettison_oci::types::History;

use super::history::COMMENT;
use super::request::BuildRequest;
use super::stage::StageState;
use super::steps::export::Exported;
use crate::error::BuildError;
use crate::image::StoreBlobs;

/// Assembles the image of a stage. `layers` are those of its steps, in the order of its history.
pub fn assemble(
    store: &Arc<Store>,
    request: &BuildRequest,
    stage: &StageState,
    layers: &[Exported],
) -> Result<Image, BuildError> {
    let epoch = request.epoch();
    let mut builder = match &stage.base {
        None => ImageBuilder::new(&stage.platform, epoch),
        Some(base) => ImageBuilder::on(&base.image, epoch),
    };
    let mut layers = layers.iter();
    for event in &stage.history {
        let history = History {
            created_by: Some(event.created_by.clone()),
            comment: Some(COMMENT.to_owned()),
            author: event.author.clone(),
            ..History::default()
        };
        match event.step.and_then(|_| layers.next()) {
            Some(layer) => builder.add_layer(&layer.blob, history),
            None => builder.add_step(history),
        }
    }
    let config = builder.config();
    config.author.clone_from(&stage.author);
    config.config = stage.config.clone();
    config.config.labels.extend(request.labels.clone());
    for (name, value) in &request.annotations {
        builder.annotate(name, value);
    }
    builder.add_source(Arc::new(StoreBlobs(Arc::clone(store))));
    let image = builder.build().map_err(|error| BuildError::new(error.to_string()))?;
    store.put_bytes(image.config().bytes())?;
    store.put_bytes(image.manifest().bytes())?;
    Ok(image)
}
