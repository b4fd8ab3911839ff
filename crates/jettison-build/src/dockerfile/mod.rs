//! A Dockerfile in, the image out that it says, with BuildKit's semantics and without a daemon.
//!
//! 1. [`place::Source`] is the file, parsed; [`BuildRequest`] what is wanted of it; [`context`] what it may copy.
//! 2. [`lower`] makes steps of its instructions, as far as the target needs them: [`bases`] finds images, [`scope`] and [`stage`] keep
//!    variables and config, [`copy`] selects files.
//! 3. The graph is solved. [`steps`] are what runs, [`unpacked`] has the directories that they run in, a [`stack::Stack`] is what they
//!    hand on.
//! 4. The layers of the target are packed while later steps run, and [`assemble`] makes the image, with the [`history`] that BuildKit
//!    would write.
//! 5. [`outline`] tells of a file that is not built; [`report`] says what was made and what was left behind, [`explain`] why each step ran; [`exchange`] takes results to
//!    another store.

pub mod assemble;
pub mod bases;
pub mod context;
pub mod copy;
pub mod cure;
pub mod exchange;
pub mod explain;
pub mod facts;
pub mod history;
pub mod lower;
pub mod outline;
pub mod place;
pub mod record;
pub mod report;
pub mod request;
pub mod scope;
pub mod stack;
pub mod stage;
pub mod stages;
pub mod steps;
pub mod unpacked;

use std::num::NonZeroUsize;
use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::graph::{Cancel, Solver, StepId};
use jettison_oci::image::Image;
use jettison_oci::registry::Registry;
use jettison_oci::types::Platform;

use self::explain::Last;
use self::facts::Facts;
use self::lower::{Lowering, StepNote, numbered, position};
use self::record::{Fate, Recorder};
use self::report::{Report, Summary};
use self::request::{BuildRequest, NoCache};
use self::stage::StageState;
use self::steps::export::{ExportStep, Exported};
use self::steps::survey::SurveyStep;
use crate::error::BuildError;
use crate::job::Job;
use crate::settings;

/// An image that was built.
#[derive(Debug)]
pub struct Built {
    /// The image, in the store.
    pub image: Image,
    /// What there is to say about it.
    pub report: Report,
}

/// Builds the image of one platform and names it in the store.
pub fn build(
    job: &Job<'_>,
    registry: &Registry,
    request: &BuildRequest,
    platform: &Platform,
) -> Result<Built, BuildError> {
    for directory in &request.cache_from {
        job.stop("cache", || exchange::bring(job.store, directory, &|warning| job.warn(warning)))?;
    }
    let mut lowering = Lowering::new(job, registry, request, platform)?;
    let target = job.stop("plan", || lowering.target())?;
    let packing = pack(job, request, &mut lowering, &target);
    let survey = survey(job, &mut lowering, &target);
    let targets: Vec<StepId> = packing.iter().copied().chain(survey).chain([target.files]).collect();

    let recorder = Recorder::new(job.events);
    let cancel = Cancel::default();
    let solver = Solver { store: job.store, events: &recorder, workers: job.machine.threads, cancel: &cancel };
    let outputs = job.stop("build", || Ok(lowering.graph.solve(&solver, &targets)?))?;
    let layers =
        outputs[..packing.len()].iter().map(|output| output.get::<Exported>()).collect::<Result<Vec<_>, _>>()?;
    let below = match survey {
        Some(_) => outputs[packing.len()].get::<Vec<Facts>>()?,
        None => Vec::new(),
    };
    let image = job.stop("image", || assemble::assemble(job.store, request, &target, &layers))?;
    crate::image::keep(job.store, &image, &request.names)?;

    let fate = |note: &StepNote| recorder.fate(note.id);
    let explanation = match request.explain {
        true => {
            let last = Last::read(job.store, &request.project)?;
            Some(last.explain(job.store, &lowering.notes, &fate, request.no_cache == NoCache::All)?)
        }
        false => None,
    };
    explain::remember(job.store, &request.project, &lowering.notes)?;
    let of_target: Vec<StepId> = target.history.iter().filter_map(|event| event.step).collect();
    for to in &request.cache_to {
        let write = || exchange::write(job.store, &lowering.graph, &lowering.notes, &of_target, to);
        job.stop("cache", write)?;
    }
    let packed = packing.iter().map(|step| !matches!(recorder.fate(*step), Some(Fate::Ran(_))));
    let summary = Summary {
        store: job.store,
        image: &image,
        target: &target,
        layers: &layers.into_iter().zip(packed).collect::<Vec<_>>(),
        below: &below,
        graph: &lowering.graph,
        notes: &lowering.notes,
        fate: &fate,
        names: &request.names,
        explanation,
        warnings: job.warnings(),
        timings: job.timings(),
    };
    let report = summary.report()?;
    Ok(Built { image, report })
}

/// The steps that pack the layers of the target, in the order of its history.
fn pack(job: &Job<'_>, request: &BuildRequest, lowering: &mut Lowering<'_>, target: &StageState) -> Vec<StepId> {
    let numbers = numbered(&lowering.notes);
    let mut packing = Vec::new();
    for step in target.history.iter().filter_map(|event| event.step) {
        let position = match lowering.notes.iter().position(|note| note.id == step) {
            Some(at) => position(&request.project, &lowering.notes[at], numbers[at]),
            None => CacheKey::builder("dockerfile/linked/1").field("project", &request.project).finish(),
        };
        let export = ExportStep {
            epoch: request.epoch(),
            compression: compression(request.compression),
            threads: NonZeroUsize::new(job.machine.threads).unwrap_or(NonZeroUsize::MIN),
            position,
            unpacker: Arc::clone(&lowering.unpacker),
        };
        packing.push(lowering.graph.add("pack the layer", &[step], export));
    }
    packing
}

/// The step that looks at what the image below has.
fn survey(job: &Job<'_>, lowering: &mut Lowering<'_>, target: &StageState) -> Option<StepId> {
    let base = target.base.as_ref()?;
    let brought = target.begun;
    let step = SurveyStep { manifest: base.digest, store: Arc::clone(job.store) };
    Some(lowering.graph.add(format!("look at {}", base.name), &[brought], step))
}

fn compression(compression: settings::Compression) -> jettison_oci::layer::Compression {
    use jettison_oci::layer::Compression;
    match compression {
        settings::Compression::Gzip => Compression::GZIP,
        settings::Compression::Zstd => Compression::ZSTD,
        settings::Compression::None => Compression::None,
    }
}
