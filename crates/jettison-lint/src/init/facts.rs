//! What a Dockerfile depends on.

use jettison_python::command::{Detected, Kind};

/// What a Dockerfile depends on. Everything is relative to the project's directory, which is the build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The project's name, for the title of the image.
    pub name: Option<String>,
    /// Python's major and minor version.
    pub python: (u32, u32),
    /// Where the dependencies are written down.
    pub dependencies: Dependencies,
    /// Whether the project itself is to be built and installed.
    pub is_package: bool,
    /// Whether its files are to be in the image. What runs from an installed package needs none.
    pub needs_files: bool,
    /// Whether directories of the project are among the dependencies, such as the members of a workspace: installing them needs all of
    /// the source.
    pub has_local_dependencies: bool,
    /// Debian packages that building the dependencies needs.
    pub build_packages: Vec<String>,
    /// Debian packages that the dependencies need to run.
    pub runtime_packages: Vec<String>,
    /// What development needs besides.
    pub development: Development,
    /// The directory with the tests.
    pub tests: Option<String>,
    /// Whether pytest is among what development needs.
    pub has_pytest: bool,
    /// Files and directories that no `.dockerignore` may keep out: those that a build of the project reads, and its packages.
    pub kept: Vec<String>,
    /// How it starts; `None` where that cannot be told.
    pub start: Option<Start>,
}

/// What development needs besides what the image has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Development {
    /// A requirements file.
    pub requirements: Option<String>,
    /// Those that it includes.
    pub included: Vec<String>,
    /// Dependency groups.
    pub groups: Vec<String>,
    /// Extras of the project.
    pub extras: Vec<String>,
}

impl Development {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where dependencies are written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependencies {
    /// `uv.lock`.
    Uv,
    /// `poetry.lock`.
    Poetry,
    /// `Pipfile.lock`.
    Pipenv,
    /// `pylock.toml`.
    Pylock,
    /// Requirements files.
    Requirements {
        /// Those that are installed.
        files: Vec<String>,
        /// Those that they include, with `-r` and `-c`.
        included: Vec<String>,
        /// Whether every requirement has a hash.
        hashed: bool,
    },
    /// `pyproject.toml` alone: nothing is locked.
    Declared,
    /// Only a build of the project tells: `setup.py`.
    Backend,
    /// There are none.
    None,
}

/// How a project starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The command, in exec form.
    pub argv: Vec<String>,
    /// Variables for it.
    pub env: Vec<(String, String)>,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// The command that starts again when the source changes; the same where there is none.
    pub development: Vec<String>,
    /// A directory below the project that must be on the import path; empty for the project itself.
    pub import_root: String,
    /// The same for work on the source, where what is installed must not come first.
    pub source_root: String,
}

impl Start {
    /// What was detected, with a command for development: Django's own, where the project has a `manage.py`.
    pub fn new(detected: &Detected, manage: Option<&str>) -> Self {
        let development = match (manage, detected.port) {
            (Some(manage), Some(port)) => {
                ["python", manage, "runserver", &format!("0.0.0.0:{port}")].map(str::to_owned).to_vec()
            }
            _ => reloading(detected),
        };
        Self {
            argv: detected.argv.clone(),
            env: detected.env.clone(),
            port: detected.port,
            development,
            import_root: detected.import_root.clone(),
            source_root: detected.import_root.clone(),
        }
    }
}

/// The command that starts again when the source changes.
fn reloading(detected: &Detected) -> Vec<String> {
    let argv = &detected.argv;
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let with = |option: &str| {
        let mut argv = argv.clone();
        argv.insert(1, option.to_owned());
        argv
    };
    match words[..] {
        _ if !matches!(detected.kind, Kind::Asgi | Kind::Wsgi | Kind::Development | Kind::Procfile) => argv.clone(),
        ["uvicorn" | "gunicorn" | "hypercorn" | "granian", ..] => with("--reload"),
        ["fastapi", "run", ..] => {
            argv.iter().map(|word| if word == "run" { "dev".to_owned() } else { word.clone() }).collect()
        }
        ["python", _, "runserver", ..] => argv.iter().filter(|word| *word != "--noreload").cloned().collect(),
        ["flask", ..] if !words.contains(&"--debug") => {
            let mut argv = argv.clone();
            argv.push("--debug".to_owned());
            argv
        }
        _ => argv.clone(),
    }
}
