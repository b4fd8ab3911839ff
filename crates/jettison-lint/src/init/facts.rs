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
    /// Whether the project itself is to be built and installed; otherwise its files are copied.
    pub is_package: bool,
    /// Debian packages that building the dependencies needs.
    pub build_packages: Vec<String>,
    /// Debian packages that the dependencies need to run.
    pub runtime_packages: Vec<String>,
    /// A requirements file with what development needs, for projects without a lock that says it.
    pub development_requirements: Option<String>,
    /// The directory with the tests.
    pub tests: Option<String>,
    /// Whether pytest is among what development needs.
    pub has_pytest: bool,
    /// How it starts; `None` where that cannot be told.
    pub start: Option<Start>,
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
}

impl Start {
    /// What was detected, with a command for development.
    pub fn new(detected: &Detected) -> Self {
        Self {
            argv: detected.argv.clone(),
            env: detected.env.clone(),
            port: detected.port,
            development: reloading(detected),
            import_root: detected.import_root.clone(),
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
        ["flask", ..] if !words.contains(&"--debug") => {
            let mut argv = argv.clone();
            argv.push("--debug".to_owned());
            argv
        }
        _ => argv.clone(),
    }
}
