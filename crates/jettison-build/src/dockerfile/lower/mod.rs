//! Stages and instructions → steps of the graph and the config of an image.
//!
//! 1. [`Lowering::target`] lowers a stage, when all its images that can be [foreseen](self::foresee) were asked for at once. The stages
//!    that it stands on or copies from are lowered when they are named; those that nobody names never are.
//! 2. `FROM` ([`from`](self::from)) finds what the stage begins with and follows the triggers of its image.
//! 3. Each instruction changes the [`StageState`]: [`metadata`] those that change the config, [`run`] and [`transfer`] (`COPY`, `ADD`)
//!    those that add a step.
//!
//! What each step is made of is noted in a [`StepNote`], for reports and for whoever asks why it ran.

mod foresee;
mod from;
mod metadata;
mod run;
mod transfer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jettison_dockerfile::{Environment, Escape, Expander, Instruction, InstructionKind, Word, instruction::Onbuild};
use jettison_engine::CacheKey;
use jettison_engine::graph::{Operation, StageGraph, StepId};
use jettison_oci::registry::Registry;
use jettison_oci::types::Platform;

use super::bases::Bases;
use super::place::{Place, Words};
use super::request::{BuildRequest, NoCache};
use super::scope::Globals;
use super::stage::StageState;
use super::unpacked::{Transfer, Unpacker};
use crate::error::BuildError;
use crate::job::Job;

/// A Dockerfile on its way into the graph.
pub struct Lowering<'a> {
    /// The surroundings.
    pub job: &'a Job<'a>,
    /// What is wanted.
    pub request: &'a BuildRequest,
    /// What the image is for.
    pub platform: &'a Platform,
    /// The steps.
    pub graph: StageGraph,
    /// Where layers are found.
    pub unpacker: Arc<Unpacker>,
    /// What each step is made of, in the order of the graph.
    pub notes: Vec<StepNote>,
    /// The arguments above the first `FROM`.
    pub globals: Globals,
    bases: Bases<'a>,
    stages: Vec<Lowered>,
    told: Arc<AtomicBool>,
}

/// What became of a stage.
#[derive(Clone)]
enum Lowered {
    Not,
    /// It is being lowered: whoever asks for it now, asks in a circle.
    Now,
    Done(Arc<StageState>),
}

/// What a step is made of.
pub struct StepNote {
    /// The step.
    pub id: StepId,
    /// What it does, as it is shown: `[builder 2/4] RUN …`.
    pub name: String,
    /// The stage by name, or by number.
    pub stage: String,
    /// The keyword of the instruction.
    pub keyword: String,
    /// The instruction in a line.
    pub text: String,
    /// Where it stands.
    pub place: Place,
    /// The parts of its key.
    pub fields: Vec<(String, String)>,
    /// What it copies of the context.
    pub transfer: Option<Arc<Transfer>>,
    /// Whether it copies of a stage or an image.
    pub from_stage: bool,
}

/// An instruction with where it stands.
#[derive(Clone, Copy)]
pub(super) struct At<'i> {
    pub instruction: &'i Instruction,
    pub words: &'i Words<'i>,
    pub escape: Escape,
}

impl<'a> Lowering<'a> {
    /// Nothing lowered yet but the global arguments.
    pub fn new(
        job: &'a Job<'a>,
        registry: &'a Registry,
        request: &'a BuildRequest,
        platform: &'a Platform,
    ) -> Result<Self, BuildError> {
        request.source.check()?;
        let stage = request.target.as_deref();
        let mut globals = Globals::new(&request.build_platform, platform, stage, &request.build_args);
        let source = &request.source;
        let words = Words::Of(source);
        for instruction in source.dockerfile.preamble() {
            let InstructionKind::Arg(arguments) = &instruction.kind else { continue };
            let at = At { instruction, words: &words, escape: source.dockerfile.escape() };
            for argument in arguments {
                let name = at.word(&argument.name, &globals)?;
                let value = match request.build_args.get(&name) {
                    Some(given) => Some(given.clone()),
                    None => argument.default.as_ref().map(|default| at.word(default, &globals)).transpose()?,
                };
                globals.declare(&name, value);
            }
        }
        Ok(Self {
            job,
            request,
            platform,
            graph: StageGraph::new(),
            unpacker: Arc::new(Unpacker::new(job.store)),
            notes: Vec::new(),
            globals,
            bases: Bases::new(job, registry, request.pull),
            stages: vec![Lowered::Not; source.dockerfile.stages().len()],
            told: Arc::default(),
        })
    }

    /// Lowers the stage that the build is for, and all that it needs.
    pub fn target(&mut self) -> Result<Arc<StageState>, BuildError> {
        let index = super::stages::target(&self.request.source, self.request.target.as_deref())?;
        self.bases.find_all(&self.images_of(index));
        self.stage(index)
    }

    /// The numbers of the stages that were lowered.
    pub fn needed(&self) -> impl Iterator<Item = usize> {
        self.stages.iter().enumerate().filter(|(_, stage)| matches!(stage, Lowered::Done(_))).map(|(index, _)| index)
    }

    /// Lowers a stage, once.
    fn stage(&mut self, index: usize) -> Result<Arc<StageState>, BuildError> {
        let source = &self.request.source;
        let stage = &source.dockerfile.stages()[index];
        match &self.stages[index] {
            Lowered::Done(state) => return Ok(Arc::clone(state)),
            Lowered::Now => {
                let place = source.place(stage.from.image.span());
                let hint = "a stage that is copied from cannot need, by any way, the one that copies".to_owned();
                return Err(place.error(format!("the stage {} needs itself", self.title(index)), Some(hint)));
            }
            Lowered::Not => {}
        }
        self.stages[index] = Lowered::Now;
        let words = Words::Of(source);
        let mut state = self.from(index)?;
        for instruction in source.dockerfile.body(stage) {
            let at = At { instruction, words: &words, escape: source.dockerfile.escape() };
            self.instruction(index, &mut state, at)?;
        }
        let state = Arc::new(state);
        self.stages[index] = Lowered::Done(Arc::clone(&state));
        Ok(state)
    }

    fn instruction(&mut self, stage: usize, state: &mut StageState, at: At<'_>) -> Result<(), BuildError> {
        use InstructionKind::*;
        let Instruction { kind, .. } = at.instruction;
        match kind {
            Run(run) => self.run(stage, state, at, run),
            Copy(copy) => self.copy(stage, state, at, copy),
            Add(add) => self.add(stage, state, at, add),
            Workdir(path) => self.workdir(stage, state, at, path),
            Arg(arguments) => self.argument(state, at, arguments),
            Env(pairs) => metadata::env(state, at, pairs),
            Label(pairs) => metadata::label(state, at, pairs),
            Cmd(command) => metadata::cmd(state, command),
            Entrypoint(command) => metadata::entrypoint(state, command),
            Expose(ports) => metadata::expose(state, at, ports),
            Healthcheck(check) => metadata::healthcheck(state, at, check),
            Maintainer(name) => metadata::maintainer(state, name),
            Onbuild(trigger) => metadata::onbuild(state, trigger),
            Shell(words) => metadata::shell(state, words),
            Stopsignal(signal) => metadata::stopsignal(state, at, signal),
            User(user) => metadata::user(state, at, user),
            Volume(paths) => metadata::volume(state, at, paths),
            From(_) | Invalid => Err(self.invalid(at)),
        }
    }

    /// What the parser said of an instruction that it could not make sense of.
    fn invalid(&self, at: At<'_>) -> BuildError {
        let source = &self.request.source;
        let problem = source.dockerfile.problems().iter().find(|problem| at.instruction.span.contains(problem.span));
        match problem {
            Some(problem) => source.error(problem),
            None => at.place().error(format!("`{}` cannot stand here", at.instruction.name()), None),
        }
    }

    /// Adds a step for an instruction and notes what it is made of.
    #[expect(clippy::too_many_arguments, reason = "all that there is to know of a step, each once")]
    fn step(
        &mut self,
        stage: usize,
        state: &mut StageState,
        at: At<'_>,
        inputs: &[StepId],
        operation: impl Operation + 'static,
        fields: Vec<(String, String)>,
        transfer: Option<Arc<Transfer>>,
        from_stage: bool,
    ) -> StepId {
        state.progress.1 += 1;
        let text = one_line(at.instruction.text.as_str());
        let name = format!("{} {text}", self.label(stage, state));
        let id = self.graph.add(name.as_str(), inputs, operation);
        let stage = self.title(stage);
        let keyword = at.instruction.name();
        self.notes.push(StepNote { id, name, stage, keyword, text, place: at.place(), fields, transfer, from_stage });
        id
    }

    /// `[builder 2/4]`, as BuildKit has it.
    fn label(&self, stage: usize, state: &StageState) -> String {
        let (total, number) = state.progress;
        let name = match self.request.source.dockerfile.stages() {
            [only] if only.name.is_none() => String::new(),
            stages => match &stages[stage].name {
                Some(name) => format!("{name} "),
                None => format!("stage-{stage} "),
            },
        };
        format!("[{name}{number}/{total}]")
    }

    /// The stage as messages call it.
    fn title(&self, stage: usize) -> String {
        let name = self.request.source.dockerfile.stages()[stage].name.as_ref();
        name.cloned().unwrap_or_else(|| stage.to_string())
    }

    /// A number of its own for each step of this stage, where nothing of an earlier build is good enough.
    fn renew(&self, stage: usize) -> Option<u64> {
        let renewed = match &self.request.no_cache {
            NoCache::Nothing => false,
            NoCache::All => true,
            NoCache::Stages(stages) => {
                let name = self.request.source.dockerfile.stages()[stage].name.as_deref();
                stages.iter().any(|wanted| name == Some(&wanted.to_lowercase()) || *wanted == stage.to_string())
            }
        };
        renewed.then_some(self.request.nonce)
    }

    fn argument(
        &mut self,
        state: &mut StageState,
        at: At<'_>,
        arguments: &[jettison_dockerfile::instruction::Argument],
    ) -> Result<(), BuildError> {
        let mut said = Vec::new();
        for argument in arguments {
            let name = at.word(&argument.name, &state.scope)?;
            let default = argument.default.as_ref().map(|default| at.word(default, &state.scope)).transpose()?;
            let given = self.request.build_args.get(&name).cloned();
            let value = given.or(default).or_else(|| self.globals.get(&name).map(str::to_owned));
            said.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            });
            if let Some(value) = &value {
                state.scope.set(&*name, &**value);
            }
            state.arguments.push((name, value));
        }
        state.note(format!("ARG {}", said.join(" ")));
        Ok(())
    }
}

impl<'i> At<'i> {
    /// Where the instruction stands.
    pub fn place(&self) -> Place {
        self.words.place(self.instruction.span)
    }

    /// Where a word of it stands.
    pub fn place_of(&self, word: &Word) -> Place {
        self.words.place(word.span())
    }

    /// How its words are expanded.
    pub fn expander(&self) -> Expander {
        Expander::new(self.escape)
    }

    /// A word with its variables resolved.
    pub fn word(&self, word: &Word, scope: &dyn Environment) -> Result<String, BuildError> {
        let expanded = self.expander().word(word, scope);
        expanded.map(|expansion| expansion.value).map_err(|error| self.words.expand_error(word, &error))
    }

    /// A word that may become several.
    pub fn split(&self, word: &Word, scope: &dyn Environment) -> Result<Vec<String>, BuildError> {
        let expanded = self.expander().words(word, scope);
        expanded.map(|expansion| expansion.value).map_err(|error| self.words.expand_error(word, &error))
    }
}

/// The triggers of an image, parsed, each with the text that it was in the config.
fn triggers(place: &Place, expressions: &[String]) -> Result<Vec<(Instruction, Place)>, BuildError> {
    let parse = |text: &String| {
        let place = place.clone().of_trigger(text.lines().next().unwrap_or_default());
        match jettison_dockerfile::Dockerfile::parse_trigger(text) {
            Ok(instruction) => Ok((instruction, place)),
            Err(problem) => Err(place.error(problem.kind.to_string(), problem.hint())),
        }
    };
    expressions.iter().map(parse).collect()
}

/// A trigger as the config of an image keeps it.
fn expression(trigger: &Onbuild) -> String {
    trigger.expression()
}

/// What tells the steps of one build from those of another at the same place in the file.
pub fn position(project: &str, note: &StepNote, number: usize) -> CacheKey {
    CacheKey::builder("dockerfile/position/1")
        .field("project", project)
        .field("stage", &note.stage)
        .field("keyword", &note.keyword)
        .number("number", number as u64)
        .finish()
}

/// The notes of each stage with the step's number among those of its keyword there: what stays the same while a file is edited.
pub fn numbered(notes: &[StepNote]) -> Vec<usize> {
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let number = |note: &'_ StepNote| (note.stage.clone(), note.keyword.clone());
    let number = |note| -> usize {
        let number = seen.entry(number(note)).or_default();
        *number += 1;
        *number
    };
    notes.iter().map(number).collect()
}

/// A text in one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
