//! A Dockerfile as rules see it: stages that know what they stand on, instructions that know what is in force where they stand.
//!
//! 1. [`Subject::new`] goes over the file once, from top to bottom.
//! 2. A [`Stage`] has its [`Base`], the [`BaseImage`] at the bottom of it, whether the image is made of it, and its [`Step`]s.
//! 3. A [`Step`] has the variables, user and directory before it, and the commands of its script, which [`ShellText`] gives places.
//! 4. A [`Layout`] says what the instructions of a stage put where: packages, distributions, venvs, copies from other stages.
//!
//! All is as a build with the configured `--build-arg`s would have it, and no other flags; what only flags or the base image tell is `None`.

mod cache;
mod demand;
mod edit;
mod image;
mod inherited;
mod label;
mod layout;
mod origin;
mod point;
mod scope;
mod setting;
mod similar;
mod step;
mod transfer;
pub mod variables;
pub mod words;

pub use cache::{CacheMount, covers};
pub use demand::{Demand, Demands};
pub use edit::remove_line;
pub use image::{BaseImage, Flavour, Python, System};
pub use inherited::Inherited;
pub(crate) use inherited::facts;
pub(crate) use label::label_fault;
pub use layout::{At, Destination, Install, Layout, OsPackage, Shipped, Venv, is_of_system};
pub use scope::{PLATFORM_ARGUMENTS, Scope, Variable, VariableKind};
pub use setting::is_root;
pub(crate) use similar::similar;
pub(crate) use step::join;
pub use step::{Scripts, ShellText, Step};
pub use transfer::{Brought, CopySource, below};

use crate::catalog::Catalog;
use crate::config::Config;
use crate::context::Context;
use jettison_dockerfile::instruction::{From, InstructionKind};
use jettison_dockerfile::{Dockerfile, Escape, Instruction};
use jettison_oci::reference::Reference;
use std::cell::OnceCell;
use std::rc::Rc;
use step::Reader;

/// All that a rule may look at.
pub struct Subject<'a> {
    /// The Dockerfile.
    pub file: &'a Dockerfile,
    /// Its stages, in order.
    pub stages: Vec<Stage<'a>>,
    /// The arguments above the first `FROM`.
    pub globals: Rc<Scope>,
    /// Where it is built.
    pub context: &'a Context,
    /// What is known of images and indices.
    pub catalog: &'a dyn Catalog,
    /// What was configured.
    pub config: &'a Config,
    layouts: OnceCell<Vec<Layout>>,
}

/// A stage.
pub struct Stage<'a> {
    /// As it was written.
    pub syntax: &'a jettison_dockerfile::Stage,
    /// Its `FROM`, as an instruction.
    pub head: &'a Instruction,
    /// What it begins with.
    pub base: Base,
    /// The image at the bottom, through all stages that it stands on; `None` for `scratch` and where it cannot be told.
    pub image: Option<Rc<BaseImage>>,
    /// Whether the image is made of it: it is the last one, or the last one stands on it.
    pub is_shipped: bool,
    /// Whether the last stage needs it: by `FROM`, `COPY --from` or a mount.
    pub is_needed: bool,
    /// The instructions behind `FROM`.
    pub steps: Vec<Step<'a>>,
    /// The variables after the last instruction.
    pub scope: Rc<Scope>,
    /// The user after the last instruction, expanded; `None` if no `USER` has been seen, down to the image.
    pub user: Option<String>,
    /// The directory after the last instruction, if it can be told; absolute.
    pub workdir: Option<String>,
}

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// An image.
    Image(Reference),
    /// An earlier stage, by number.
    Stage(usize),
    /// Nothing.
    Scratch,
    /// Only a build can tell: an argument without a default, or a name that is none.
    Unknown,
}

impl<'a> Subject<'a> {
    /// The Dockerfile as rules see it.
    pub fn new(
        file: &'a Dockerfile,
        scripts: &'a Scripts,
        context: &'a Context,
        catalog: &'a dyn Catalog,
        config: &'a Config,
    ) -> Self {
        let escape = file.escape();
        let mut globals = Scope::default();
        for name in PLATFORM_ARGUMENTS {
            globals.set(name, None, VariableKind::Arg);
        }
        for instruction in file.preamble() {
            if let InstructionKind::Arg(arguments) = &instruction.kind {
                for argument in arguments {
                    globals.declare(argument, &Scope::default(), escape);
                    globals.give(&argument.name, &config.build_args);
                }
            }
        }
        let globals = Rc::new(globals);
        let mut stages: Vec<Stage<'a>> = Vec::with_capacity(file.stages().len());
        let mut texts = Vec::with_capacity(file.instructions().len());
        for syntax in file.stages() {
            let base = base(&syntax.from, &globals, escape, &stages);
            let below = match base {
                Base::Stage(index) => stages.get(index),
                _ => None,
            };
            let image = match &base {
                Base::Image(reference) => Some(Rc::new(BaseImage::new(reference.clone()))),
                _ => below.and_then(|stage| stage.image.clone()),
            };
            let mut reader = Reader::new(escape, &globals, &config.build_args, below);
            let steps = file.body(syntax).iter().map(|instruction| reader.step(instruction, &mut texts)).collect();
            let Reader { scope, user, workdir, .. } = reader;
            let head = file.head(syntax);
            stages.push(Stage {
                syntax,
                head,
                base,
                image,
                is_shipped: false,
                is_needed: false,
                steps,
                scope,
                user,
                workdir,
            });
        }
        mark(&mut stages);
        scripts.lend(texts, &mut stages);
        Self { file, stages, globals, context, catalog, config, layouts: OnceCell::new() }
    }

    /// The stage that the image is made of; `None` for a file without one.
    pub fn last(&self) -> Option<&Stage<'a>> {
        self.stages.last()
    }

    /// The stage of this name or number, as `COPY --from` and mounts mean it in stage `before`.
    pub fn stage(&self, name: &str, before: usize) -> Option<&Stage<'a>> {
        find(&self.stages, name, before)
    }

    /// The stage and those that it stands on, from the bottom up. Together they hold all instructions that made it.
    pub fn chain(&self, stage: &Stage<'a>) -> Vec<&Stage<'a>> {
        let mut chain = Vec::new();
        let mut at = self.stages.get(stage.syntax.index);
        while let Some(stage) = at {
            chain.push(stage);
            at = match stage.base {
                Base::Stage(below) => self.stages.get(below),
                _ => None,
            };
        }
        chain.reverse();
        chain
    }

    /// The steps that made the image, from the bottom of its stages up.
    pub fn shipped(&self) -> impl Iterator<Item = &Step<'a>> {
        let chain = self.last().map(|last| self.chain(last)).unwrap_or_default();
        chain.into_iter().flat_map(|stage| &stage.steps)
    }

    /// Every step of every stage, in order.
    pub fn steps(&self) -> impl Iterator<Item = (&Stage<'a>, &Step<'a>)> {
        self.stages.iter().flat_map(|stage| stage.steps.iter().map(move |step| (stage, step)))
    }

    /// The `RUN`s of every stage whose scripts can be read, in order.
    pub fn runs(&self) -> impl Iterator<Item = (&Stage<'a>, &Step<'a>, &'a ShellText)> {
        self.steps()
            .filter(|(_, step)| step.run().is_some())
            .filter_map(|(stage, step)| Some((stage, step, step.shell?)))
    }

    /// The line (from 1) of the byte at `offset`.
    pub fn line(&self, offset: usize) -> usize {
        self.file.position(offset).line
    }
}

impl Stage<'_> {
    /// The distribution at its bottom.
    pub fn system(&self) -> System {
        match (&self.image, &self.base) {
            (Some(image), _) => image.system,
            (None, Base::Scratch) => System::Scratch,
            (None, _) => System::Unknown,
        }
    }

    /// The Python of the image at its bottom.
    pub fn python(&self) -> Option<&Python> {
        self.image.as_ref()?.python.as_ref()
    }

    /// What to call it: its name, or its number.
    pub fn label(&self) -> String {
        match &self.syntax.from.name {
            Some(name) => name.to_string(),
            None => self.syntax.index.to_string(),
        }
    }
}

fn base(from: &From, globals: &Scope, escape: Escape, earlier: &[Stage<'_>]) -> Base {
    let Some(name) = globals.expand(&from.image, escape) else { return Base::Unknown };
    if let Some(stage) = earlier.iter().rev().find(|stage| stage.syntax.name.as_deref() == Some(&*name.to_lowercase()))
    {
        return Base::Stage(stage.syntax.index);
    }
    match name.as_str() {
        "scratch" => Base::Scratch,
        name => Reference::parse(name).map_or(Base::Unknown, Base::Image),
    }
}

/// The stage that `COPY --from=name` means in stage `before`: by name, or by number.
fn find<'s, 'a>(stages: &'s [Stage<'a>], name: &str, before: usize) -> Option<&'s Stage<'a>> {
    let earlier = &stages[..before.min(stages.len())];
    let named = earlier.iter().rev().find(|stage| stage.syntax.name.as_deref() == Some(&*name.to_lowercase()));
    named.or_else(|| earlier.get(name.parse::<usize>().ok()?))
}

/// Marks what the image is made of and what is needed to make it.
fn mark(stages: &mut [Stage<'_>]) {
    let Some(last) = stages.len().checked_sub(1) else { return };
    let mut shipped = vec![false; stages.len()];
    let mut needed = vec![false; stages.len()];
    shipped[last] = true;
    needed[last] = true;
    for at in (0..stages.len()).rev() {
        let below = match stages[at].base {
            Base::Stage(below) => Some(below),
            _ => None,
        };
        if let Some(below) = below {
            shipped[below] |= shipped[at];
            needed[below] |= needed[at];
        }
        if !needed[at] {
            continue;
        }
        let names = stages[at].steps.iter().flat_map(Step::sources_from);
        let others: Vec<_> = names.filter_map(|name| find(stages, name, at)).map(|stage| stage.syntax.index).collect();
        others.into_iter().for_each(|other| needed[other] = true);
    }
    for (stage, (shipped, needed)) in stages.iter_mut().zip(shipped.into_iter().zip(needed)) {
        (stage.is_shipped, stage.is_needed) = (shipped, needed);
    }
}

#[cfg(test)]
mod tests;
