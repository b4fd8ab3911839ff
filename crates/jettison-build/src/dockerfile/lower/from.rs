//! `FROM`, and everything else that names a stage, an image or a context.

use std::sync::Arc;

use jettison_dockerfile::InstructionKind;
use jettison_engine::graph::StepId;
use jettison_oci::reference::Reference;
use jettison_oci::types::Platform;

use super::super::bases::Base;
use super::super::context::tree::FileTree;
use super::super::copy::{Request, Source as CopySource, select};
use super::super::place::{Place, Words};
use super::super::request::Substitute;
use super::super::stage::StageState;
use super::super::stages;
use super::super::steps::base::BaseStep;
use super::super::steps::copy::CopyStep;
use super::super::unpacked::Transfer;
use super::{At, Lowering, StepNote, triggers};
use crate::error::BuildError;

/// Where files come from that an instruction names.
pub(super) enum Origin {
    /// The files of a step, with what messages call them.
    Step(StepId, String),
    /// A tree, with what messages call it.
    Tree(Arc<dyn FileTree>, String),
}

impl Lowering<'_> {
    /// What a stage begins with, the triggers of its image followed.
    pub(super) fn from(&mut self, index: usize) -> Result<StageState, BuildError> {
        let request = self.request;
        let stage = &request.source.dockerfile.stages()[index];
        let place = request.source.place(stage.from.image.span());
        let words = Words::Of(&request.source);
        let head = request.source.dockerfile.head(stage);
        let at = At { instruction: head, words: &words, escape: request.source.dockerfile.escape() };
        let name = at.word(&stage.from.image, &self.globals)?;
        if name.is_empty() {
            let hint =
                "give the argument a default, `ARG name=value` above the first `FROM`, or a value with --build-arg";
            return Err(place.error(format!("`{}` comes to nothing", stage.from.image), Some(hint.to_owned())));
        }
        let platform = match &stage.from.platform {
            Some(word) => {
                let text = at.word(word, &self.globals)?;
                text.parse::<Platform>().map_err(|error| at.place_of(word).error(&error, error.hint()))?
            }
            None => self.platform.clone(),
        };
        let body = request.source.dockerfile.body(stage);
        let mut state = match self.begin(index, &name, &platform, &place)? {
            // A stage on a stage goes on where that one ends.
            Begun::Stage(below) => below.on_top(),
            Begun::Image(base) => {
                let base = base.map(|base| *base);
                let id = self.base_step(&base, &place);
                let mut state = StageState::new(base, platform, id);
                state.progress.1 = 1;
                state
            }
            Begun::Tree(tree) => self.on_tree(tree, &name, platform, &place)?,
        };
        let expressions = std::mem::take(&mut state.config.on_build);
        let triggers = triggers(&place, &expressions)?;
        let on_files =
            triggers.iter().map(|(trigger, _)| trigger).chain(body).filter(|other| works_on_files(&other.kind));
        state.progress.0 = on_files.count() + state.progress.1;
        if let (Some(base), 1) = (&state.base, state.progress.1) {
            let (digest, name) = (base.digest, base.name.clone());
            self.note_base(index, &state, head.name(), &name, digest, &place);
        }
        for (trigger, place) in &triggers {
            let words = Words::Trigger(place.clone());
            let at = At { instruction: trigger, words: &words, escape: jettison_dockerfile::Escape::Backslash };
            self.instruction(index, &mut state, at)?;
        }
        Ok(state)
    }

    fn begin(&mut self, index: usize, name: &str, platform: &Platform, place: &Place) -> Result<Begun, BuildError> {
        let dockerfile = &self.request.source.dockerfile;
        let own = dockerfile.stages()[index].name.clone();
        if let Some(own) = own.filter(|own| self.request.named.contains_key(own)) {
            return self.elsewhere(&own, platform, place);
        }
        let lower = name.to_lowercase();
        let earlier = dockerfile.stages()[..index].iter().rev().find(|stage| stage.name.as_ref() == Some(&lower));
        match earlier.map(|stage| stage.index).filter(|_| self.named(name).is_none()) {
            Some(earlier) => self.stage(earlier).map(Begun::Stage),
            None => self.elsewhere(name, platform, place),
        }
    }

    /// What `--build-context` gives in place of a name, however much of it was written.
    pub(super) fn named(&self, name: &str) -> Option<&Substitute> {
        let named = &self.request.named;
        let exact = named.get(name).or_else(|| named.get(&name.to_lowercase()));
        exact.or_else(|| {
            let reference = Reference::parse(name).ok()?;
            let tagged = reference.with_tag(reference.tag_or_default()?).ok()?;
            let spelled = [tagged.familiar(), tagged.to_string(), reference.name()];
            spelled.iter().find_map(|spelled| named.get(spelled))
        })
    }

    fn base_step(&mut self, base: &Option<Base>, place: &Place) -> StepId {
        let name = base.as_ref().map_or("FROM scratch".to_owned(), |base| format!("FROM {}", base.name));
        let operation = BaseStep {
            manifest: base.as_ref().map(|base| base.digest),
            origin: base.as_ref().and_then(|base| base.origin.clone()),
            store: Arc::clone(self.job.store),
            place: place.clone(),
        };
        self.graph.add(name, &[], operation)
    }

    fn note_base(
        &mut self,
        stage: usize,
        state: &StageState,
        keyword: String,
        image: &str,
        digest: jettison_tree::Digest,
        place: &Place,
    ) {
        let text = format!("FROM {image}");
        self.notes.push(StepNote {
            id: state.files,
            name: format!("{} {text}", self.label(stage, state)),
            stage: self.title(stage),
            keyword,
            text,
            place: place.clone(),
            fields: vec![("image".to_owned(), digest.to_string())],
            transfer: None,
            from_stage: false,
        });
    }

    /// A stage that begins with the files of a context.
    fn on_tree(
        &mut self,
        tree: Arc<dyn FileTree>,
        name: &str,
        platform: Platform,
        place: &Place,
    ) -> Result<StageState, BuildError> {
        let scratch = self.base_step(&None, place);
        let request = Request {
            sources: vec![CopySource::Path(".".to_owned())],
            destination: "/".to_owned(),
            workdir: "/".to_owned(),
            ..Request::default()
        };
        let selection = select(&*tree, &format!("the context `{name}`"), &request).map_err(|error| place.put(error))?;
        let transfer = Arc::new(Transfer { request, selection });
        self.unpacker.remember(&transfer, None);
        let unpacker = Arc::clone(&self.unpacker);
        let operation = CopyStep { transfer: Some(transfer), place: place.clone(), unpacker, renew: false };
        let id = self.graph.add(format!("FROM {name}"), &[scratch], operation);
        let mut state = StageState::new(None, platform, scratch);
        state.made(super::super::history::of_layer(&format!("FROM {name}")), id);
        Ok(state)
    }

    /// What `--from` or a mount names: a stage by number or name, a context, an image.
    pub(super) fn origin(
        &mut self,
        stage: usize,
        name: &str,
        platform: &Platform,
        place: &Place,
    ) -> Result<Origin, BuildError> {
        let dockerfile = &self.request.source.dockerfile;
        if let Ok(number) = name.parse::<usize>() {
            if number >= stage {
                let hint = match stage {
                    0 => "the first stage has none before it".to_owned(),
                    _ => format!("the stages before it have the numbers 0 to {}", stage - 1),
                };
                return Err(place.error(format!("there is no stage {number} before this one"), Some(hint)));
            }
            let state = self.stage(number)?;
            return Ok(Origin::Step(state.files, format!("the stage {}", self.title(number))));
        }
        // A stage can be named once it was made; until then the name is that of an image.
        let lower = name.to_lowercase();
        let earlier = dockerfile.stages()[..stage].iter().rev().find(|earlier| earlier.name.as_ref() == Some(&lower));
        let found = earlier.map(|earlier| earlier.index);
        match (self.named(name), found) {
            (Some(Substitute::Tree(tree)), _) => Ok(Origin::Tree(Arc::clone(tree), format!("the context `{name}`"))),
            (None, Some(index)) => {
                let state = self.stage(index)?;
                Ok(Origin::Step(state.files, format!("the stage `{name}`")))
            }
            _ => match self.elsewhere(name, platform, place)? {
                Begun::Stage(state) => Ok(Origin::Step(state.files, format!("the stage `{name}`"))),
                Begun::Tree(tree) => Ok(Origin::Tree(tree, format!("the context `{name}`"))),
                Begun::Image(base) => {
                    let base = base.map(|base| *base);
                    Ok(Origin::Step(self.base_step(&base, place), format!("the image {name}")))
                }
            },
        }
    }

    /// What a name stands for that is no stage of the file: a context, nothing, an image.
    fn elsewhere(&mut self, name: &str, platform: &Platform, place: &Place) -> Result<Begun, BuildError> {
        let find = |error: BuildError| place.put(error);
        match self.named(name) {
            Some(Substitute::Tree(tree)) => Ok(Begun::Tree(Arc::clone(tree))),
            Some(Substitute::Stage(stage)) => {
                let other = stages::target(&self.request.source, Some(stage)).map_err(find)?;
                self.stage(other).map(Begun::Stage)
            }
            Some(Substitute::Image(image)) => {
                let image = image.clone();
                Ok(Begun::Image(Some(Box::new(self.bases.find(&image, platform).map_err(find)?))))
            }
            Some(Substitute::Layout(path)) => {
                Ok(Begun::Image(Some(Box::new(self.bases.of_layout(name, path, platform).map_err(find)?))))
            }
            None if name == "scratch" => Ok(Begun::Image(None)),
            None => {
                let names = self.request.source.dockerfile.stages().iter().filter_map(|stage| stage.name.as_deref());
                let near = stages::similar(&name.to_lowercase(), names);
                let near = near.map(|near| format!("did you mean the stage `{near}`?"));
                let later = self
                    .request
                    .source
                    .dockerfile
                    .stage(name)
                    .map(|_| format!("the stage `{name}` is not made yet: only a stage further up can be named"));
                let near = later.or(near);
                let base = self.bases.find(name, platform).map_err(|error| {
                    let hint = near.or_else(|| error.hint_text().map(str::to_owned));
                    place.error(&error, hint).transient(error.is_transient())
                })?;
                Ok(Begun::Image(Some(Box::new(base))))
            }
        }
    }
}

/// What a stage begins with.
enum Begun {
    Stage(Arc<StageState>),
    Image(Option<Box<Base>>),
    Tree(Arc<dyn FileTree>),
}

fn works_on_files(kind: &InstructionKind) -> bool {
    matches!(
        kind,
        InstructionKind::Run(_) | InstructionKind::Copy(_) | InstructionKind::Add(_) | InstructionKind::Workdir(_)
    )
}
