//! A Dockerfile in, the image out that it says, with BuildKit's semantics and without a daemon.
//!
//! 1. [`place::Source`] is the file, parsed; [`BuildRequest`] what is wanted of it; [`context`] what it may copy.
//! 2. [`lower`] makes steps of its instructions, as far as the target needs them: [`bases`] finds images, [`scope`] and [`stage`] keep
//!    variables and config, [`copy`] selects files.
//! 3. The graph is solved. [`steps`] are what runs, [`unpacked`] has the directories that they run in, a [`stack::Stack`] is what they
//!    hand on.
//! 4. The layers of the target are packed while later steps run, and [`assemble`] makes the image, with the [`history`] that BuildKit
//!    would write.
//! 5. [`report`] says what was made and what was left behind, [`explain`] why each step ran.

pub mod assemble;
pub mod bases;
pub mod context;
pub mod copy;
pub mod cure;
pub mod history;
pub mod lower;
pub mod place;
mod record;
pub mod request;
pub mod scope;
pub mod stack;
pub mod stage;
pub mod stages;
pub mod steps;
pub mod unpacked;

use std::num::NonZeroUsize;
use std::sync::Arc;

use jettison_engine::graph::{Cancel, Solver};
use jettison_oci::image::Image;
use jettison_oci::registry::Registry;
use jettison_oci::types::Platform;

use self::lower::{Lowering, numbered, position};
use self::record::Recorder;
use self::request::BuildRequest;
use self::steps::export::{ExportStep, Exported};
use crate::error::BuildError;
use crate::job::Job;
use crate::settings;

/// An image that was built.
#[derive(Debug)]
pub struct Built {
    /// The image, in the store.
    pub image: Image,
}

/// Builds the image of one platform and names it in the store.
pub fn build(
    job: &Job<'_>,
    registry: &Registry,
    request: &BuildRequest,
    platform: &Platform,
) -> Result<Built, BuildError> {
    let mut lowering = job.stop("plan", || Lowering::new(job, registry, request, platform))?;
    let target = job.stop("lower", || lowering.target())?;
    let numbers = numbered(&lowering.notes);
    let mut targets = Vec::new();
    for step in target.history.iter().filter_map(|event| event.step) {
        let note = lowering.notes.iter().position(|note| note.id == step);
        let position = match note {
            Some(at) => position(&request.project, &lowering.notes[at], numbers[at]),
            None => jettison_engine::CacheKey::builder("dockerfile/link").number("step", step.index() as u64).finish(),
        };
        let export = ExportStep {
            epoch: request.epoch(),
            compression: compression(request.compression),
            threads: NonZeroUsize::new(job.machine.threads).unwrap_or(NonZeroUsize::MIN),
            position,
            unpacker: Arc::clone(&lowering.unpacker),
        };
        targets.push(lowering.graph.add("pack the layer", &[step], export));
    }
    targets.push(target.files);
    let recorder = Recorder::new(job.events);
    let cancel = Cancel::default();
    let solver = Solver { store: job.store, events: &recorder, workers: job.machine.threads, cancel: &cancel };
    let outputs = job.stop("build", || Ok(lowering.graph.solve(&solver, &targets)?))?;
    let layers = outputs[..targets.len() - 1]
        .iter()
        .map(|output| output.get::<Option<Exported>>())
        .collect::<Result<Vec<_>, _>>()?;
    let image = job.stop("image", || assemble::assemble(job.store, request, &target, &layers))?;
    crate::image::keep(job.store, &image, &request.names)?;
    Ok(Built { image })
}

fn compression(compression: settings::Compression) -> jettison_oci::layer::Compression {
    use jettison_oci::layer::Compression;
    match compression {
        settings::Compression::Gzip => Compression::GZIP,
        settings::Compression::Zstd => Compression::ZSTD,
        settings::Compression::None => Compression::None,
    }
}
