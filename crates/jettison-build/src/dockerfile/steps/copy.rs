//! `COPY` and `ADD`.
//!
//! What is copied is known by the key of a [`Transfer`]. One of the build context is made when the Dockerfile is lowered, so it is a part
//! of the step itself. One of a stage needs that stage: [`SelectStep`] makes it, and [`CopyStep`] is then looked up by its key. Where the
//! selection comes out as it did before, nothing is copied, whatever happened to the stage meanwhile.

use std::sync::Arc;

use jettison_engine::CacheKey;
use jettison_engine::graph::{BoxError, Context, Operation, Output};
use serde::{Deserialize, Serialize};

use super::super::copy::{Request, select};
use super::super::place::Place;
use super::super::stack::{Layer, Made, Stack};
use super::super::unpacked::{Transfer, Unpacker, snapshot_key, write_snapshot};
use super::{output, parent};
use crate::error::BuildError;

/// Selects files of a stage or an image.
pub struct SelectStep {
    /// What.
    pub request: Request,
    /// What messages call the stage: "the stage `builder`".
    pub from: String,
    /// Where the instruction stands.
    pub place: Place,
    /// Where layers are found.
    pub unpacker: Arc<Unpacker>,
}

/// The result of a [`SelectStep`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Selected {
    pub selection: CacheKey,
}

impl Operation for SelectStep {
    /// The words of the instruction. What they select is the result.
    fn key(&self) -> CacheKey {
        let Request { sources, destination, workdir, chown, chmod, link, parents, excludes, unpack } = &self.request;
        let mut key = CacheKey::builder("dockerfile/select/1")
            .field("destination", destination)
            .field("workdir", workdir)
            .field("chown", chown.as_deref().unwrap_or_default())
            .field("chmod", format!("{chmod:?}"))
            .flag("link", *link)
            .flag("parents", *parents)
            .flag("unpack", *unpack);
        for source in sources {
            key = match source {
                super::super::copy::Source::Path(path) => key.field("source", path),
                super::super::copy::Source::Inline { name, content } => {
                    key.field("name", name).field("content", content)
                }
                // Nothing is fetched for a copy out of a stage.
                super::super::copy::Source::Fetched { path, .. } => key.field("fetched", path),
            };
        }
        excludes.iter().fold(key, |key, exclude| key.field("exclude", exclude)).finish()
    }

    fn run(&self, _: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        let from = parent(inputs)?;
        let selected = self.unpacker.tree(&from.stack).and_then(|tree| select(&*tree, &self.from, &self.request));
        let selection = selected.map_err(|error| self.place.put(error))?;
        let transfer = Arc::new(Transfer { request: self.request.clone(), selection });
        self.unpacker.remember(&transfer, Some(from.stack));
        Output::new(&Selected { selection: transfer.key() })
    }

    /// What was selected is in memory, for the step that places it. That step is what is kept.
    fn is_cached(&self) -> bool {
        false
    }
}

/// Puts what was selected on top of a stage.
pub struct CopyStep {
    /// What is copied; none where a [`SelectStep`] says so, which is then the second input.
    pub transfer: Option<Arc<Transfer>>,
    /// Where the instruction stands.
    pub place: Place,
    /// Where layers are found.
    pub unpacker: Arc<Unpacker>,
    /// Whether nothing of an earlier build is good enough.
    pub renew: bool,
}

impl CopyStep {
    fn copy(&self, context: &Context<'_>, stack: &Stack, transfer: &Transfer) -> Result<Output, BuildError> {
        let placed = self.unpacker.place(transfer, stack, &|warning| context.warn(warning, None))?;
        let Some((layer, entries)) = placed else {
            return Ok(output(&Made::same(stack.clone()), None)?);
        };
        let mut kept = None;
        if self.transfer.is_none() {
            // Its stage may not be there in a later build.
            let key = snapshot_key(&layer);
            write_snapshot(context.store(), &key, &entries)?;
            kept = Some(key);
        }
        let bytes = entries.iter().filter_map(jettison_tree::Entry::content).map(jettison_tree::Content::len).sum();
        Ok(output(&Made::with(stack.clone(), layer, bytes), kept)?)
    }
}

impl Operation for CopyStep {
    /// What is copied, where that is known beforehand.
    fn key(&self) -> CacheKey {
        let key = CacheKey::builder("dockerfile/copy/1");
        match &self.transfer {
            Some(transfer) => key.input("selection", transfer.key()).finish(),
            None => key.finish(),
        }
    }

    fn run(&self, context: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        let below = parent(inputs)?;
        let transfer = match (&self.transfer, inputs.get(1)) {
            (Some(transfer), _) => Arc::clone(transfer),
            (None, Some(selected)) => {
                let key = selected.get::<Selected>()?.selection;
                self.unpacker.transfer(key).ok_or("what was selected is gone")?
            }
            (None, None) => return Err("nothing was selected".into()),
        };
        self.copy(context, &below.stack, &transfer).map_err(|error| self.place.put(error).into())
    }

    fn is_renewed(&self) -> bool {
        self.renew
    }
}

/// Puts a layer that stands alone (`--link`) on top of a stage.
pub struct LinkStep;

impl Operation for LinkStep {
    /// Nothing but its inputs: the stage, and the layer.
    fn key(&self) -> CacheKey {
        CacheKey::builder("dockerfile/link/1").finish()
    }

    fn run(&self, _: &Context<'_>, inputs: &[Arc<Output>]) -> Result<Output, BoxError> {
        let below = parent(inputs)?;
        let alone: Made = inputs.get(1).ok_or("there is no layer to link")?.get()?;
        let made = match alone.layer() {
            Some(layer) => Made::with(below.stack, Layer::clone(layer), alone.bytes),
            None => Made::same(below.stack),
        };
        let mut linked = Output::new(&made)?;
        for reference in inputs[1].refs() {
            linked = linked.with(reference);
        }
        Ok(linked)
    }
}
