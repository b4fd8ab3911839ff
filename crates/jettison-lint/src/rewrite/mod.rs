//! Writes a Dockerfile anew where edits of single instructions are not enough: one stage that builds and runs becomes two.
//!
//! 1. `classify` tells what each instruction is there for. One that it cannot tell is an [`Obstacle`], and nothing is changed.
//! 2. `builder` writes the first stage: the base as it was, its packages, installers, lists of requirements, the installation, into a
//!    virtual environment.
//! 3. `runtime` writes the second: the slim form of the base, the libraries that the packages of the first run with, the environment, and
//!    all other instructions in their order.
//! 4. `manifest` knows the files that say what is installed, and copies them to the builder without the rest of the source.
//! 5. `packages` tells which packages of the distribution the second stage runs with.
//! 6. `start` takes installers out of what starts the application, and tells who is to run it.
//! 7. Instructions that are kept are kept as they were written, with the comments above them (`piece`).

mod builder;
mod classify;
mod manifest;
mod packages;
mod piece;
mod runtime;
mod start;
#[cfg(test)]
mod tests;

use crate::finding::Fix;
use crate::model::{Base, Destination, Flavour, Install, Stage, Step, Subject, System};
use crate::tables::libraries::Release;
use classify::{Purpose, Role, purpose, role};
use jettison_dockerfile::{Edit, Span};
use jettison_shell::Command;
use jettison_shell::packages::{Manager, PackageCall};
use manifest::Manifests;
use piece::Pieces;

/// Where a virtual environment is made if there was none.
const VENV: &str = "/opt/venv";

/// Why a Dockerfile is not rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What stands in the way.
    pub span: Span,
    /// Why, as in "line 3: it installs as another user than root".
    pub why: String,
}

/// All that the two stages are written from.
struct Plan<'s, 'a> {
    subject: &'s Subject<'a>,
    stage: &'s Stage<'a>,
    pieces: Pieces<'s>,
    /// Of each step.
    purposes: Vec<Purpose>,
    /// Of each step: the Python installs in it, those of installers left out.
    installs: Vec<Vec<&'s Install>>,
    /// What the first stage is called.
    builder: &'static str,
    /// The environment that is copied.
    venv: String,
    /// It must be made: nothing in the Dockerfile does.
    makes_venv: bool,
    /// The step in whose script it is made, because the interpreter comes with that very script.
    made_within: Option<usize>,
    /// The step in front of which it is made otherwise.
    made_before: usize,
    manifests: Manifests,
    /// The last step that installs.
    last: usize,
    release: Release,
}

/// Turns a Dockerfile that builds and runs in one stage into one that builds in a stage and runs in another.
pub fn two_stages(subject: &Subject<'_>) -> Result<Fix, Obstacle> {
    let plan = Plan::new(subject)?;
    let text = format!("{}\n\n{}", builder::write(&plan)?, runtime::write(&plan)?);
    let span = Span::new(plan.stage.head.span.start, plan.stage.syntax.span.end);
    Ok(Fix::safe("build in a stage of its own, and copy what was built", [Edit { span, text }]))
}

impl<'s, 'a> Plan<'s, 'a> {
    fn new(subject: &'s Subject<'a>) -> Result<Self, Obstacle> {
        let Some(stage) = subject.last() else {
            return Err(Obstacle { span: Span::new(0, 0), why: "there is no stage".to_owned() });
        };
        let obstacle = |span: Span, why: &str| Obstacle { span, why: why.to_owned() };
        let base = stage.syntax.from.image.span();
        let (Base::Image(_), Some(image)) = (&stage.base, &stage.image) else {
            return Err(obstacle(base, "it stands on another stage"));
        };
        let release =
            Release::of(image).ok_or_else(|| obstacle(base, "the packages of its base image are not known"))?;
        let official =
            image.python.as_ref().is_some_and(|python| python.official && python.flavour != Flavour::Distroless);
        let plain = image.python.is_none() && matches!(image.system, System::Debian | System::Ubuntu | System::Alpine);
        if !official && !plain {
            return Err(obstacle(base, "where its Python stands is not known"));
        }
        let taken = |name: &str| subject.stages.iter().any(|stage| stage.syntax.name.as_deref() == Some(name));
        let builder = ["builder", "build", "compile"].into_iter().find(|name| !taken(name));
        let builder =
            builder.ok_or_else(|| obstacle(base, "its stages have all the names that a builder could have"))?;

        let layout = subject.layout(stage);
        let is_tool = |install: &&Install| {
            let (command, _) = subject.call(install.at);
            role(subject.step(install.at), command) == Role::Tool
        };
        let wanted: Vec<&Install> = layout.installs.iter().filter(|install| !is_tool(install)).collect();
        let (venv, makes_venv) = environment(subject, &wanted)?.map_or((VENV, true), |path| (path, false));
        let venv = venv.to_owned();
        let mut manifests = Manifests::new(subject, &wanted);
        let purposes: Vec<Purpose> =
            stage.steps.iter().map(|step| purpose(subject, step, manifests.paths())).collect::<Result<_, _>>()?;
        let installs: Vec<Vec<&Install>> = (0..stage.steps.len())
            .map(|number| wanted.iter().copied().filter(|install| install.at.step == number).collect())
            .collect();
        let Some((first, last)) = wanted.first().zip(wanted.last()).map(|(first, last)| (first.at.step, last.at.step))
        else {
            return Err(obstacle(base, "it installs no distributions"));
        };
        manifests.settle(subject, stage, &purposes, last);
        let pieces = Pieces::new(subject.file);
        let mut plan = Self {
            subject,
            stage,
            pieces,
            purposes,
            installs,
            builder,
            venv,
            makes_venv,
            made_within: None,
            made_before: first,
            manifests,
            last,
            release,
        };
        plan.place_venv(first)?;
        plan.keep_interpreter()?;
        Ok(plan)
    }

    /// uv fetches another interpreter where it is told to, which no copy of the environment brings along.
    fn keep_interpreter(&self) -> Result<(), Obstacle> {
        let pin = self.subject.context.text(".python-version");
        let own = self.stage.python().and_then(|python| python.version);
        let differs = pin.as_deref().and_then(|pin| {
            let mut parts = pin.trim().trim_start_matches("cpython-").split(['.', '-']);
            let pinned = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let (major, Some(minor)) = own? else { return None };
            Some(pinned != (major, minor))
        });
        for (step, (command, call)) in self.calls().filter(|(_, (_, call))| call.manager == Manager::Uv) {
            let told = call.has(&["--python", "-p"]) || step.scope.variable("UV_PYTHON").is_some();
            if told || differs == Some(true) {
                let span = step.shell.map_or(step.instruction.span, |shell| shell.span(command.range()));
                return Err(Obstacle {
                    span,
                    why: "it may take another interpreter than that of the image".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Where the environment is made: in front of what changes with the requirements, and behind the interpreter.
    fn place_venv(&mut self, first: usize) -> Result<(), Obstacle> {
        let changes = |purpose| matches!(purpose, Purpose::Manifest | Purpose::Source | Purpose::Install);
        self.made_before = self.purposes.iter().position(|purpose| changes(*purpose)).unwrap_or(first).min(first);
        if !self.has_system_python() {
            return Ok(());
        }
        let packages = &self.subject.layout(self.stage).packages;
        let Some(python) = packages.iter().find(|package| package.name.starts_with("python3") && !package.is_removed)
        else {
            let why = "where its Python is from is not known".to_owned();
            return Err(Obstacle { span: self.stage.syntax.from.image.span(), why });
        };
        if python.name.starts_with("python3.") {
            let why = format!("which of its interpreters {} is for is not known", python.name);
            return Err(Obstacle { span: python.span, why });
        }
        let step = python.at.step;
        if step >= first && self.makes_venv {
            self.made_within = Some(step);
        }
        self.made_before = self.made_before.max(step + 1);
        Ok(())
    }

    /// The steps with their purposes, in order.
    fn steps(&self) -> impl Iterator<Item = (usize, &'s Step<'a>, Purpose)> {
        self.stage
            .steps
            .iter()
            .zip(&self.purposes)
            .enumerate()
            .map(|(number, (step, purpose))| (number, step, *purpose))
    }

    /// What asks package managers to install for the application, and the step that it is in.
    fn calls(&self) -> impl Iterator<Item = (&'s Step<'s>, &'s (Command<'s>, PackageCall<'s>))> {
        self.installs.iter().flatten().map(|install| (self.subject.step(install.at), self.subject.call(install.at)))
    }

    /// Whether the interpreter is the distribution's own, installed by its packages.
    fn has_system_python(&self) -> bool {
        self.stage.python().is_none()
    }

    /// Whether the image is the full one, whose slim form takes its place.
    fn is_full(&self) -> bool {
        self.stage.image.as_ref().is_some_and(|image| image.is_full_python())
    }

    /// The search path with the environment in front, as `ENV` has it.
    fn search_path(&self) -> String {
        format!("PATH=\"{}/bin:$PATH\"", self.venv)
    }

    /// Whether the Dockerfile puts the environment in front by itself.
    fn has_search_path(&self) -> bool {
        let bin = format!("{}/bin", self.venv);
        self.stage.scope.search_path().iter().any(|entry| **entry == *bin)
    }
}

/// The environment that all installs go to; `None` if they go to the interpreter's own directories or wherever an installer likes.
fn environment<'s>(subject: &Subject<'_>, installs: &[&'s Install]) -> Result<Option<&'s str>, Obstacle> {
    let mut venv: Option<&str> = None;
    let mut others = None;
    for install in installs {
        let obstacle = |why: &str| {
            let (command, _) = subject.call(install.at);
            let step = subject.step(install.at);
            let span = step.shell.map_or(step.instruction.span, |shell| shell.span(command.range()));
            Err(Obstacle { span, why: why.to_owned() })
        };
        match &install.into {
            Destination::Venv(path) if venv.is_none_or(|other| other == path) => venv = Some(path.as_str()),
            Destination::Venv(_) => return obstacle("it installs to a second virtual environment"),
            Destination::System | Destination::Elsewhere | Destination::User(_) => others = Some(install),
            Destination::Wheels(_) => {}
            Destination::Prefix(_) | Destination::Target(_) => {
                return obstacle("it installs to a directory of its own");
            }
        }
        if venv.is_some() && others.is_some() {
            return obstacle("it installs to a virtual environment and beside it");
        }
    }
    Ok(venv)
}
