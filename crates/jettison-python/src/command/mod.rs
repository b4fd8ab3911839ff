//! How an image starts: the start command, found by reading a project's source.
//!
//! 1. A `Procfile`'s `web` line says it outright ([`procfile`]).
//! 2. A console script of the project, where it starts a server itself, or where the source has no web application
//!    (`script`).
//! 3. Django, by its `manage.py` and the application in `asgi.py` or `wsgi.py` (`django`).
//! 4. An application object or factory of a web framework, with the server that the dependencies hold ([`app`], `server`).
//! 5. A program: `__main__.py`, a script with `if __name__ == "__main__"`, a lone `main.py` (`script`).
//!
//! Every file that was looked at is kept with a verdict. What cannot be decided is [`StartCommand::Unclear`], with what was seen and how
//! to say it; a syntax error in the file that would be started is an error with its place.
//!
//! Nothing is run or imported. [`libraries`] finds, in the same source, the shared libraries that are loaded by name.

pub mod app;
mod django;
pub mod libraries;
mod modules;
pub mod procfile;
mod script;
mod server;

use std::collections::BTreeSet;
use std::io;

use crate::name::NormalizedName;
use crate::place::Place;
use crate::project::{Looked, Project};

use modules::Modules;

/// The port that is listened on unless something else is asked for.
pub const DEFAULT_PORT: u16 = 8000;

/// The files of a project, as detection reads them.
pub trait SourceTree {
    /// Every file that goes into the image: relative paths with `/`, sorted.
    fn files(&self) -> Vec<String>;
    /// The content of one.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartCommand {
    /// The command.
    Detected(Box<Detected>),
    /// It cannot be told.
    Unclear(Unclear),
}

/// A start command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The command in exec form. The first word is a console script of a distribution or the project, or `python`.
    pub argv: Vec<String>,
    /// Variables that are set for it.
    pub env: Vec<(String, String)>,
    /// The TCP port that it listens on, where it is known to listen.
    pub port: Option<u16>,
    /// What it is.
    pub kind: Kind,
    /// The module with the application or program.
    pub module: Option<String>,
    /// The directory, relative to the project and empty for the project itself, that must be on the import path (`PYTHONPATH`)
    /// for [`Self::module`] to be found.
    pub import_root: String,
    /// Why this command, in one line.
    pub reason: String,
    /// What the user should know of it.
    pub warnings: Vec<String>,
    /// What was looked at.
    pub looked_at: Vec<Looked>,
}

/// What a start command starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What a Procfile says.
    Procfile,
    /// A console script of the project.
    Script,
    /// An ASGI application on a server.
    Asgi,
    /// A WSGI application on a server.
    Wsgi,
    /// A framework's own server.
    Development,
    /// A Python program.
    Program,
}

/// Why no start command was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear {
    /// In one line.
    pub why: String,
    /// How to say it.
    pub hint: String,
    /// What was looked at.
    pub looked_at: Vec<Looked>,
}

/// The source cannot be read, or cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The file that would be started has a syntax error.
    #[error("{place}: the source of the application has a syntax error: `{line}`")]
    Syntax {
        /// Where.
        place: Place,
        /// The line's text.
        line: String,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl CommandError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { place, .. } => Some(format!("`python -m py_compile {}` says more", place.file)),
            Self::Io { .. } => None,
        }
    }
}

/// What detection goes by besides the source.
struct Context<'a> {
    project: &'a Project,
    dependencies: BTreeSet<&'a str>,
    /// What the project itself asks for, with extras that bring servers.
    declared: BTreeSet<&'a str>,
    port: u16,
}

impl Context<'_> {
    fn has(&self, name: &str) -> bool {
        self.dependencies.contains(name)
    }
}

impl StartCommand {
    /// Finds the start command of `project`. `dependencies` are the distributions that will be installed, or, before they are
    /// known, those that the project asks for; `port` is what a server is told to listen on.
    pub fn detect(
        project: &Project,
        dependencies: &[NormalizedName],
        source: &dyn SourceTree,
        port: u16,
    ) -> Result<Self, CommandError> {
        let declared: BTreeSet<&str> =
            project.dependencies.iter().map(|requirement| requirement.name.as_str()).collect();
        let mut names: BTreeSet<&str> =
            dependencies.iter().map(NormalizedName::as_str).chain(declared.iter().copied()).collect();
        // Before resolution: `fastapi[standard]` brings its server along.
        let standard =
            |extras: &BTreeSet<NormalizedName>| extras.iter().any(|extra| matches!(extra.as_str(), "standard" | "all"));
        if project
            .dependencies
            .iter()
            .any(|requirement| requirement.name == *"fastapi" && standard(&requirement.extras))
        {
            names.extend(["uvicorn", "fastapi-cli"]);
        }
        let context = Context { project, dependencies: names, declared, port };
        let mut modules = Modules::new(source);
        let found = find(&context, &mut modules)?;
        Ok(match found {
            Found::Command(mut detected) => {
                detected.looked_at = modules.looked_at;
                Self::Detected(detected)
            }
            Found::Unclear { why, hint } => Self::Unclear(Unclear { why, hint, looked_at: modules.looked_at }),
        })
    }
}

enum Found {
    Command(Box<Detected>),
    Unclear { why: String, hint: String },
}

impl Found {
    fn unclear(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Unclear { why: why.into(), hint: hint.into() }
    }
}

/// How to say a start command, for hints.
const HOW: &str = "say it in pyproject.toml: `[tool.jettison] command = [\"uvicorn\", \"package.module:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]`";

/// So many files are named where none of them can be started.
const NAMED_FILES: usize = 5;

fn find(context: &Context<'_>, modules: &mut Modules<'_>) -> Result<Found, CommandError> {
    if let Some(found) = procfile::find(context, modules)? {
        return Ok(found);
    }
    let apps = app::find(context, modules)?;
    let django = django::find(context, modules)?;
    let is_web = !apps.is_empty() || django.is_some();
    if let Some(found) = script::console(context, modules, is_web)? {
        return Ok(found);
    }
    if let Some(found) = django {
        return Ok(found);
    }
    match &apps[..] {
        [] => {}
        [app] => return server::serve(context, modules, app),
        [first, second, ..] if first.rank < second.rank => return server::serve(context, modules, first),
        several => {
            let places: Vec<_> = several.iter().map(|app| format!("`{}` in {}", app.object, app.path)).collect();
            return Ok(Found::unclear(format!("there are several applications: {}", places.join(", ")), HOW));
        }
    }
    if let Some(found) = script::program(context, modules)? {
        return Ok(found);
    }
    // A file that would be the application, if only it could be read.
    modules.check_likely()?;
    let why = match &modules.python_files()[..] {
        [] => "there is no Python source in the project".to_owned(),
        [one] => format!("`{one}`, the one Python file, neither makes an application nor runs as a program"),
        files => {
            let more = if files.len() > NAMED_FILES { ", …" } else { "" };
            let names = files.iter().take(NAMED_FILES).copied().collect::<Vec<_>>().join(", ");
            let n = files.len();
            format!("none of the {n} Python files makes an application or runs as a program ({names}{more})")
        }
    };
    Ok(Found::unclear(why, HOW))
}

#[cfg(test)]
mod tests;
