//! The steps that a Dockerfile is lowered to, one file each. All but the last result in a [`Made`](super::stack::Made).
//!
//! 1. [`base`]: an image, or nothing, to begin with.
//! 2. [`run`]: a program changes files. [`mounts`] is what it finds mounted, [`output`] what it writes.
//! 3. [`copy`]: files out of the context, a stage or an image.
//! 4. [`workdir`]: a directory.
//! 5. [`export`]: the layer of one of these as a blob. [`survey`] looks at the layers that others made.

pub mod base;
pub mod copy;
pub mod export;
pub mod mounts;
pub mod output;
pub mod run;
pub mod survey;
pub mod workdir;

use std::sync::Arc;

use jettison_engine::graph::{BoxError, Output};

use super::stack::{Layer, Made};

/// The result of a step, with what it needs in the store.
fn output(made: &Made, snapshot: Option<jettison_engine::CacheKey>) -> Result<Output, BoxError> {
    let mut output = Output::new(made)?;
    if let Some(key) = snapshot {
        output = output.with(jettison_engine::store::Ref::Snapshot(key));
    }
    // What a program changed cannot be had again without running it.
    if let Some(Layer::Changes(key)) = made.layer() {
        output = output.with(jettison_engine::store::Ref::Snapshot(*key));
    }
    Ok(output)
}

/// The result of the step that another stands on.
fn parent(inputs: &[Arc<Output>]) -> Result<Made, BoxError> {
    inputs.first().ok_or("the step has nothing to stand on")?.get()
}
