//! Writes a Dockerfile anew where edits of single instructions are not enough: one stage that builds and runs becomes two.
//!
//! 1. `classify` tells what each instruction is there for. One that it cannot tell is an [`Obstacle`], and nothing is changed.
//! 2. `builder` writes the first stage: the base as it was, its packages, installers, lists of requirements, the installation, into a
//!    virtual environment.
//! 3. `runtime` writes the second: the slim form of the base, the libraries that the packages of the first run with, the environment, and
//!    all other instructions in their order.
//! 4. Instructions that are kept are kept as they were written, with the comments above them (`piece`).

mod builder;
mod classify;
mod piece;
mod runtime;
#[cfg(test)]
mod tests;

use crate::finding::Fix;
use crate::model::{Base, Destination, Flavour, Install, Stage, Step, Subject, System};
use crate::tables::libraries::Release;
use classify::{Purpose, purpose};
use jettison_dockerfile::{Edit, Span};
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
    /// Of each step: the Python installs in it.
    installs: Vec<Vec<&'s Install>>,
    /// The environment that is copied.
    venv: String,
    /// It must be made: nothing in the Dockerfile does.
    makes_venv: bool,
    /// Paths of the context that say what is installed.
    manifests: Vec<String>,
    /// The first and the last step that installs.
    first: usize,
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
        let whole = Span::new(0, 0);
        let Some(stage) = subject.last() else {
            return Err(Obstacle { span: whole, why: "there is no stage".to_owned() });
        };
        let obstacle = |span: Span, why: &str| Obstacle { span, why: why.to_owned() };
        let base = stage.syntax.from.image.span();
        let image = match (&stage.base, &stage.image) {
            (Base::Image(_), Some(image)) if subject.stages.iter().filter(|stage| stage.is_needed).count() == 1 => {
                image
            }
            _ => return Err(obstacle(base, "it stands on another stage, or takes files from one")),
        };
        let release =
            Release::of(image).ok_or_else(|| obstacle(base, "the packages of its base image are not known"))?;
        let has_own =
            image.python.as_ref().is_some_and(|python| python.official && python.flavour != Flavour::Distroless);
        if !has_own
            && !(image.python.is_none() && matches!(image.system, System::Debian | System::Ubuntu | System::Alpine))
        {
            return Err(obstacle(base, "where its Python stands is not known"));
        }
        let layout = subject.layout(stage);
        let (at_venv, makes_venv) = environment(&layout.installs)?.map_or((VENV, true), |path| (path, false));
        let venv = at_venv.to_owned();
        let mut manifests: Vec<String> = Vec::new();
        for install in &layout.installs {
            let demands = subject.demands(install);
            manifests.extend(demands.files.iter().filter_map(|file| file.as_str()).map(str::to_owned));
            manifests.extend(builder::named_files(subject, install));
        }
        manifests.sort();
        manifests.dedup();
        let purposes: Vec<Purpose> =
            stage.steps.iter().map(|step| purpose(subject, step, &manifests)).collect::<Result<_, _>>()?;
        let installs: Vec<Vec<&Install>> = (0..stage.steps.len())
            .map(|number| layout.installs.iter().filter(|install| install.at.step == number).collect())
            .collect();
        let first = purposes.iter().position(|purpose| *purpose == Purpose::Install);
        let last = purposes.iter().rposition(|purpose| *purpose == Purpose::Install);
        let Some((first, last)) = first.zip(last).filter(|_| installs.iter().any(|installs| !installs.is_empty()))
        else {
            return Err(obstacle(base, "it installs no distributions"));
        };
        let pieces = Pieces::new(subject.file);
        Ok(Self { subject, stage, pieces, purposes, installs, venv, makes_venv, manifests, first, last, release })
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

    /// Whether the interpreter is the distribution's own, installed by its packages.
    fn has_system_python(&self) -> bool {
        self.stage.python().is_none()
    }

    /// The `ENV` that puts the environment in front.
    fn search_path(&self) -> String {
        format!("ENV PATH=\"{}/bin:$PATH\"", self.venv)
    }

    /// Whether the Dockerfile puts the environment in front by itself.
    fn has_search_path(&self) -> bool {
        let bin = format!("{}/bin", self.venv);
        self.stage.scope.search_path().iter().any(|entry| **entry == *bin)
    }
}

/// The environment that all installs go to; `None` if they go to the interpreter's own directories or wherever an installer likes.
fn environment(installs: &[Install]) -> Result<Option<&str>, Obstacle> {
    let mut venv = None;
    let mut others = false;
    for install in installs {
        match &install.into {
            Destination::Venv(path) if venv.is_none_or(|other: &str| other == path) => venv = Some(path.as_str()),
            Destination::System | Destination::Elsewhere | Destination::User(_) => others = true,
            Destination::Wheels(_) => {}
            _ => {
                let why = "it installs to more than one place, or to a prefix".to_owned();
                return Err(Obstacle { span: Span::new(0, 0), why });
            }
        }
    }
    // Installers are installed beside the environment that they make.
    let _ = others;
    Ok(venv)
}
