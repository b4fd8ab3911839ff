//! Reads from a project what a Dockerfile for it depends on, by the detection of the native build.
//!
//! 1. [`Project::read`] says where the dependencies are written down; `python` chooses the version.
//! 2. `installed` is what will be in the image: from the lock for Debian's glibc where there is one, else what is asked for by name. From it
//!    follow the packages of Debian that compile it and that it is linked with.
//! 3. [`StartCommand::detect`] finds the start command in the source; whether the files of the project are needed depends on it.
//! 4. `development` finds the tests, and what they and development need.

mod development;
mod installed;

use super::facts::{Dependencies, Facts, Start};
use crate::clutter;
use crate::context::Context;
use installed::Installed;
use jettison_python::application::{Application, ApplicationError, Filter};
use jettison_python::command::procfile::ProcessLine;
use jettison_python::command::{CommandError, DEFAULT_PORT, Detected, Kind, SourceTree as _, StartCommand, Unclear};
use jettison_python::lock::LockError;
use jettison_python::project::{DependencySource, Layout, LockKind, Project, ProjectError};
use jettison_python::requirements::{Requirements, RequirementsError};
use jettison_python::{NormalizedName, Version};
use std::path::Path;

/// Versions of Python in the order in which they are taken where the project leaves the choice: first the one that all images here have.
const PREFERRED: [(u32, u32); 6] = [(3, 13), (3, 14), (3, 12), (3, 11), (3, 10), (3, 9)];
/// A patch release that no version of Python has reached: images have the newest.
const NEWEST_PATCH: u64 = 99;

/// What is wanted other than what the project says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Python's major and minor version.
    pub python: Option<(u32, u32)>,
    /// The start command.
    pub command: Option<ProcessLine>,
    /// The port that it listens on; 0 for none.
    pub port: Option<u16>,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// What the Dockerfile depends on.
    pub facts: Facts,
    /// Why this start command, in a line.
    pub reason: String,
    /// What the author should know, each in a sentence without a full stop.
    pub notes: Vec<String>,
}

/// A project of which no Dockerfile can be written.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// Its files make no sense.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// Its lock cannot be followed.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its requirements cannot be read.
    #[error(transparent)]
    Requirements(#[from] RequirementsError),
    /// Its source cannot be read.
    #[error(transparent)]
    Application(#[from] ApplicationError),
    /// Its source has a syntax error.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// How it starts cannot be told.
    #[error("no start command was found: {}{}", .0.why, looked_at(.0))]
    NoStart(Unclear),
    /// No image has a Python for it.
    #[error("the project wants {0}, and no Python image from 3.9 to 3.14 fits")]
    NoPython(String),
    /// Something that it needs lies outside of it, where no build context reaches.
    #[error("`{0}` lies outside of the project, which is the build context")]
    Outside(String),
}

impl GatherError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Project(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Requirements(error) => error.hint(),
            Self::Application(error) => error.hint(),
            Self::Command(error) => error.hint(),
            Self::NoStart(_) => {
                Some("say it: `--command \"uvicorn package.module:app --host 0.0.0.0 --port 8000\"`".to_owned())
            }
            Self::NoPython(_) => Some("say which with `--python 3.13`".to_owned()),
            Self::Outside(_) => Some("call it in the directory that holds both".to_owned()),
        }
    }
}

fn looked_at(unclear: &Unclear) -> String {
    unclear.looked_at.iter().map(|looked| format!("\n  {}: {}", looked.path, looked.verdict)).collect()
}

/// Reads the project in the directory `root`. Nothing of it is run, and nothing asked of a network.
pub fn gather(root: &Path, wishes: &Wishes) -> Result<Gathered, GatherError> {
    let project = Project::read(root)?;
    let context = Context::directory(root, None);
    let mut notes = Vec::new();
    let dependencies = dependencies(&project)?;
    let python = python(&project, wishes, &mut notes)?;
    let installed = Installed::read(&project, &dependencies, python)?;
    notes.extend(installed.notes.iter().cloned());
    let found = development::find(&project, &context, &dependencies, &installed)?;
    let is_declared = !(found.development.groups.is_empty() && found.development.extras.is_empty());
    let dependencies = match dependencies {
        // Only development needs something.
        Dependencies::None if is_declared => Dependencies::Declared,
        dependencies => dependencies,
    };
    notes.extend(found.note);

    let application = Application::read(root, &Filter::default())?;
    let detected = start(&project, &installed.names, &application, wishes)?;
    notes.extend(detected.warnings.iter().cloned());
    let manage = application.files().into_iter().find(|path| path == "manage.py" || path.ends_with("/manage.py"));
    let is_django = installed.names.iter().any(|name| name == "django");
    let mut start = Start::new(&detected, manage.as_deref().filter(|_| is_django));
    let is_package = project.is_package || dependencies == Dependencies::Backend;
    // A requirement such as `-e .` leads back to the source.
    let leads_back = installed.has_local && matches!(dependencies, Dependencies::Requirements { .. });
    let is_installed = is_package && !leads_back && (detected.kind == Kind::Script || start.import_root == "src");
    if is_package && project.layout == Layout::Src {
        start.source_root = "src".to_owned();
    }
    let mut kept = clutter::packages(&context);
    kept.extend(build_files(&context));
    let facts = Facts {
        name: project.name.as_ref().map(NormalizedName::to_string),
        python,
        dependencies,
        is_package,
        needs_files: !is_installed,
        has_local_dependencies: installed.has_local,
        build_packages: installed.build_packages(),
        runtime_packages: installed.runtime_packages(),
        development: found.development,
        tests: found.tests,
        has_pytest: found.has_pytest,
        kept,
        start: Some(start),
    };
    Ok(Gathered { facts, reason: detected.reason, notes })
}

/// Where the dependencies are written down, all of it in the build context.
fn dependencies(project: &Project) -> Result<Dependencies, GatherError> {
    let requirements = |files: Vec<String>, hashed: bool| {
        let read = Requirements::read(&project.root, &files, &|_| None)?;
        if let Some(outside) = read.files.iter().find(|file| file.starts_with("../") || file.starts_with('/')) {
            return Err(GatherError::Outside(outside.clone()));
        }
        let included = read.files.into_iter().filter(|file| !files.contains(file)).collect();
        Ok(Dependencies::Requirements { files, included, hashed })
    };
    Ok(match &project.dependency_source {
        DependencySource::Lock(kind, path) => {
            let Ok(below) = path.strip_prefix(&project.root) else {
                return Err(GatherError::Outside(path.display().to_string()));
            };
            match kind {
                LockKind::Uv => Dependencies::Uv,
                LockKind::Poetry => Dependencies::Poetry,
                LockKind::Pipfile => Dependencies::Pipenv,
                LockKind::Pylock => Dependencies::Pylock,
                LockKind::Requirements => requirements(vec![below.display().to_string()], true)?,
            }
        }
        DependencySource::Requirements(files) => requirements(files.clone(), false)?,
        // pip and uv do not read a Pipfile, and Poetry's own table is no `[project]`.
        DependencySource::Declared if !project.root.join("pyproject.toml").exists() => Dependencies::Backend,
        DependencySource::Declared => Dependencies::Declared,
        DependencySource::Backend => Dependencies::Backend,
        DependencySource::None => Dependencies::None,
    })
}

/// The wish, the pin, or the first that is allowed.
fn python(project: &Project, wishes: &Wishes, notes: &mut Vec<String>) -> Result<(u32, u32), GatherError> {
    if let Some(python) = wishes.python {
        return Ok(python);
    }
    if let Some(pin) = &project.python_pin
        && let [major, minor, ..] = *pin.version.release()
        && let (Ok(major), Ok(minor)) = (u32::try_from(major), u32::try_from(minor))
    {
        if pin.free_threaded {
            notes.push(format!("the Python of the images has a global lock; {} asks for one without", pin.place));
        }
        return Ok((major, minor));
    }
    let allows = |&(major, minor): &(u32, u32)| {
        let newest = Version::new([u64::from(major), u64::from(minor), NEWEST_PATCH]);
        project.requires_python.as_ref().is_none_or(|range| range.allows(&newest))
    };
    PREFERRED
        .into_iter()
        .find(allows)
        .ok_or_else(|| GatherError::NoPython(project.python_wish().unwrap_or_else(|| "Python".to_owned())))
}

/// The start command: as it is wished for, or as the source says.
fn start(
    project: &Project,
    names: &[String],
    application: &Application,
    wishes: &Wishes,
) -> Result<Detected, GatherError> {
    let port = wishes.port.filter(|&port| port != 0);
    if let Some(command) = &wishes.command {
        return Ok(Detected {
            port: port.or_else(|| port_of(&command.argv)),
            argv: command.argv.clone(),
            env: command.env.clone(),
            kind: Kind::Procfile,
            module: None,
            import_root: String::new(),
            reason: "the start command is set".to_owned(),
            warnings: Vec::new(),
            looked_at: Vec::new(),
        });
    }
    let names: Vec<NormalizedName> = names.iter().filter_map(|name| NormalizedName::parse(name).ok()).collect();
    match StartCommand::detect(project, &names, application, port.unwrap_or(DEFAULT_PORT))? {
        StartCommand::Detected(mut detected) => {
            detected.port = match wishes.port {
                Some(0) => None,
                Some(port) => Some(port),
                None => detected.port,
            };
            Ok(*detected)
        }
        StartCommand::Unclear(unclear) => Err(GatherError::NoStart(unclear)),
    }
}

/// The port that a command names: `--port 80`, `--port=80`, `-p 80`, `0.0.0.0:80`.
fn port_of(argv: &[String]) -> Option<u16> {
    argv.iter().enumerate().find_map(|(at, word)| {
        if matches!(word.as_str(), "--port" | "-p") {
            return argv.get(at + 1)?.parse().ok();
        }
        let number = word.strip_prefix("--port=").or_else(|| Some(word.rsplit_once(':')?.1))?;
        number.parse().ok()
    })
}

/// Files that a build of the project reads besides its source: what `[project]` names.
fn build_files(context: &Context) -> Vec<String> {
    let table = context.text("pyproject.toml").and_then(|text| text.parse::<toml::Table>().ok());
    let Some(project) = table.as_ref().and_then(|table| table.get("project")?.as_table()) else { return Vec::new() };
    let file = |key: &str| {
        let value = project.get(key)?;
        let path = if key == "readme" { value.as_str() } else { None };
        Some(path.or_else(|| value.get("file")?.as_str())?.to_owned())
    };
    ["readme", "license"].into_iter().filter_map(file).collect()
}

#[cfg(test)]
mod tests;
