//! How dependencies are installed, from each kind of lock.
//!
//! 1. A [`Plan`] is what the builder does: the tool that reads the lock, made available outside of what is shipped, and the commands.
//! 2. [`Files`] is what a step is given of the context: the lock and what it names, or all of the source where that is a dependency.
//! 3. pip reads requirements and `pylock.toml`: other locks are exported for it first, in the same step, so that hashes are checked.

use super::facts::{Dependencies, Facts};
use super::style::Style;

/// The version of uv that is written. As of 2026-11.
const UV: &str = "uv==0.13.9";
/// The versions of Poetry and its exporter that are written. As of 2026-11.
const POETRY: [&str; 2] = ["poetry==2.5.1", "poetry-plugin-export==1.10.1"];
/// The version of Pipenv that is written. As of 2026-11.
const PIPENV: &str = "pipenv==2026.10.3";
/// The version of pip that is written where it must read `pylock.toml`: that of a base image may not. As of 2026-11.
const PIP: &str = "pip==26.3";

const PIP_CACHE: &str = "--mount=type=cache,target=/root/.cache/pip";
const UV_CACHE: &str = "--mount=type=cache,target=/root/.cache/uv";
const POETRY_CACHE: &str = "--mount=type=cache,target=/root/.cache/pypoetry";
/// The whole of the source, writable for what a build leaves in it, which is thrown away.
const SOURCE: &str = "--mount=type=bind,target=.,rw";
/// Where locks are exported to.
const EXPORTED: &str = "/tmp/requirements.txt";

/// What the builder does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Packages of the index with the tools that the builder needs.
    pub tools: Vec<&'static str>,
    /// Variables of the builder.
    pub env: Vec<(&'static str, &'static str)>,
    /// `RUN` that installs what the image needs; none for a project without dependencies.
    pub install: Option<String>,
    /// `RUN` that installs the project itself.
    pub project: Option<String>,
    /// `RUN` that adds what development needs.
    pub development: Option<String>,
    /// Files that the steps are given from the context.
    pub manifests: Vec<String>,
}

impl Plan {
    /// What the builder does in this style.
    pub(super) fn new(facts: &Facts, style: Style) -> Self {
        match style {
            Style::Uv => uv(facts),
            Style::Poetry => poetry(facts),
            Style::Venv => pip(facts, "pip install --no-compile", "pip install"),
            // What tools of the builder brought along is to be in the prefix all the same.
            Style::Prefix => {
                let command = "pip install --no-compile --ignore-installed --prefix=/install --no-warn-script-location";
                pip(facts, command, "pip install")
            }
            Style::Wheels => pip(facts, "pip wheel --wheel-dir=/wheels", "pip install"),
            Style::Distroless => {
                pip(facts, "pip install --no-compile --target=/packages", "pip install --target=/packages")
            }
        }
    }

    /// Whether the builder has anything to do.
    pub(super) fn is_needed(&self) -> bool {
        self.install.is_some() || self.project.is_some()
    }
}

/// What a step is given of the context.
enum Files {
    These(Vec<String>),
    All,
}

impl Files {
    /// The files that say what is to be installed.
    fn new(facts: &Facts, manifests: &[String]) -> Self {
        if facts.has_local_dependencies { Self::All } else { Self::These(manifests.to_vec()) }
    }
}

/// One `RUN`: mounts, then commands joined with `&&`, each in a line of its own.
fn run(caches: &[&str], files: &Files, commands: &[String]) -> String {
    let mut lines: Vec<String> = caches.iter().map(|cache| (*cache).to_owned()).collect();
    match files {
        Files::These(paths) => {
            lines.extend(paths.iter().map(|path| format!("--mount=type=bind,source={path},target={path}")));
        }
        Files::All => lines.push(SOURCE.to_owned()),
    }
    lines.push(commands.join(" && \\\n    "));
    format!("RUN {}", lines.join(" \\\n    "))
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// What keeps the project's own dependencies out of its installation: they are there already, unless only a build tells them.
fn no_dependencies(facts: &Facts) -> &'static str {
    if facts.dependencies == Dependencies::Backend { "" } else { " --no-deps" }
}

/// `before` and a list: ` --group dev --group test`.
fn options(option: &str, names: &[String]) -> String {
    names.iter().map(|name| format!(" {option} {name}")).collect()
}

fn uv(facts: &Facts) -> Plan {
    let mut plan = Plan { tools: vec![UV], ..Plan::default() };
    plan.env = vec![("UV_LINK_MODE", "copy"), ("UV_PYTHON_DOWNLOADS", "never")];
    let development = &facts.development;
    let extras = options("--extra", &development.extras);
    if facts.dependencies == Dependencies::Uv {
        plan.env.push(("UV_PROJECT_ENVIRONMENT", "/opt/venv"));
        plan.manifests = owned(&["pyproject.toml", "uv.lock"]);
        let files = Files::new(facts, &plan.manifests);
        // Members of a workspace that were installed as editable would be missed in the image.
        let kind = if facts.has_local_dependencies { " --no-editable" } else { "" };
        let install = format!("uv sync --locked --no-dev --no-install-project{kind}");
        plan.install = Some(run(&[UV_CACHE], &files, &[install]));
        // The group `dev` is there by default.
        let groups: Vec<String> = development.groups.iter().filter(|group| *group != "dev").cloned().collect();
        let groups = options("--group", &groups);
        let add = format!("uv sync --locked --inexact --no-install-project{kind}{groups}{extras}");
        plan.development = (!development.is_empty()).then(|| run(&[UV_CACHE], &files, &[add]));
        let whole = "uv sync --locked --no-dev --no-editable".to_owned();
        plan.project = facts.is_package.then(|| run(&[UV_CACHE], &Files::All, &[whole]));
        return plan;
    }
    let arguments = match &facts.dependencies {
        Dependencies::Pylock => {
            plan.env.push(("UV_PREVIEW_FEATURES", "pylock"));
            plan.manifests = owned(&["pylock.toml"]);
            Some("-r pylock.toml".to_owned())
        }
        Dependencies::Requirements { files, included, hashed } => {
            plan.manifests = files.iter().chain(included).cloned().collect();
            let hashes = if *hashed { "--require-hashes" } else { "" };
            Some(format!("{hashes}{}", options("-r", files)).trim_start().to_owned())
        }
        Dependencies::Declared => {
            plan.manifests = owned(&["pyproject.toml"]);
            Some("-r pyproject.toml".to_owned())
        }
        _ => None,
    };
    let files = Files::new(facts, &plan.manifests);
    plan.install = arguments.map(|arguments| run(&[UV_CACHE], &files, &[format!("uv pip install {arguments}")]));
    let project = format!("uv pip install{} .", no_dependencies(facts));
    plan.project = facts.is_package.then(|| run(&[UV_CACHE], &Files::All, &[project]));
    plan.development = match &development.requirements {
        Some(file) => Some(requirements(facts, UV_CACHE, &format!("uv pip install -r {file}"), file)),
        None if development.is_empty()
            || !matches!(facts.dependencies, Dependencies::Pylock | Dependencies::Declared) =>
        {
            None
        }
        None => {
            let groups = options("--group", &development.groups);
            let declared = if extras.is_empty() { String::new() } else { format!(" -r pyproject.toml{extras}") };
            let files = Files::new(facts, &owned(&["pyproject.toml"]));
            Some(run(&[UV_CACHE], &files, &[format!("uv pip install{groups}{declared}")]))
        }
    };
    plan
}

fn poetry(facts: &Facts) -> Plan {
    let manifests = owned(&["pyproject.toml", "poetry.lock"]);
    let files = Files::new(facts, &manifests);
    let install = "poetry install --only main --no-root".to_owned();
    let project = "pip install --no-compile --no-deps .".to_owned();
    let (groups, extras) = (&facts.development.groups, &facts.development.extras);
    let groups = if groups.is_empty() { String::new() } else { format!(" --with {}", groups.join(",")) };
    let add = format!("poetry install --no-root{groups}{}", options("--extras", extras));
    Plan {
        tools: vec![POETRY[0]],
        env: vec![("POETRY_NO_INTERACTION", "1")],
        install: Some(run(&[POETRY_CACHE], &files, &[install])),
        project: facts.is_package.then(|| run(&[PIP_CACHE], &Files::All, &[project])),
        development: (!facts.development.is_empty()).then(|| run(&[POETRY_CACHE], &files, &[add])),
        manifests,
    }
}

/// `command` is pip's for the image, up to what it installs; `add` that for development.
fn pip(facts: &Facts, command: &str, add: &str) -> Plan {
    let mut plan = Plan::default();
    let mut caches = vec![PIP_CACHE];
    let development = &facts.development;
    let (groups, extras) = (options("--group", &development.groups), options("--extra", &development.extras));
    let hashed = |command: &str| format!("{command} --require-hashes -r {EXPORTED}");
    // What is installed, and what is added for development.
    let (commands, more) = match &facts.dependencies {
        Dependencies::Requirements { files, included, hashed } => {
            plan.manifests = files.iter().chain(included).cloned().collect();
            let hashes = if *hashed { " --require-hashes" } else { "" };
            (vec![format!("{command}{hashes}{}", options("-r", files))], Vec::new())
        }
        Dependencies::Uv => {
            plan.tools = vec![UV];
            plan.manifests = owned(&["pyproject.toml", "uv.lock"]);
            caches.push(UV_CACHE);
            let export =
                |what: &str| format!("uv export --locked --no-emit-project --quiet{what} --output-file {EXPORTED}");
            let more = vec![export(&format!("{groups}{extras}")), hashed(add)];
            (vec![export(" --no-dev"), hashed(command)], more)
        }
        Dependencies::Poetry => {
            plan.tools = POETRY.to_vec();
            plan.manifests = owned(&["pyproject.toml", "poetry.lock"]);
            let export = |what: &str| format!("poetry export{what} --output {EXPORTED}");
            let with = if development.groups.is_empty() { String::new() } else { development.groups.join(",") };
            let with = if with.is_empty() { with } else { format!(" --with {with}") };
            let more = vec![export(&format!("{with}{}", options("--extras", &development.extras))), hashed(add)];
            (vec![export(" --only main"), hashed(command)], more)
        }
        Dependencies::Pipenv => {
            plan.tools = vec![PIPENV];
            plan.manifests = owned(&["Pipfile", "Pipfile.lock"]);
            let export = |what: &str| format!("pipenv requirements{what} --hash > {EXPORTED}");
            (vec![export(""), hashed(command)], vec![export(" --dev"), hashed(add)])
        }
        Dependencies::Pylock => {
            plan.tools = vec![PIP];
            plan.manifests = owned(&["pylock.toml"]);
            (vec![format!("{command} -r pylock.toml")], vec![format!("{add}{groups}")])
        }
        Dependencies::Declared => {
            plan.tools = vec![UV];
            caches.push(UV_CACHE);
            plan.manifests = owned(&["pyproject.toml"]);
            let version = format!("{}.{}", facts.python.0, facts.python.1);
            let compile = |what: &str| {
                format!(
                    "uv pip compile --quiet --generate-hashes --python-version {version}{what} pyproject.toml \
                     --output-file {EXPORTED}"
                )
            };
            let more = vec![compile(&format!("{groups}{extras}")), hashed(add)];
            (vec![compile(""), hashed(command)], more)
        }
        Dependencies::Backend | Dependencies::None => (Vec::new(), Vec::new()),
    };
    let files = Files::new(facts, &plan.manifests);
    plan.install = (!commands.is_empty()).then(|| run(&caches, &files, &commands));
    plan.project =
        facts.is_package.then(|| run(&[PIP_CACHE], &Files::All, &[format!("{command}{} .", no_dependencies(facts))]));
    plan.development = match &development.requirements {
        Some(file) => Some(requirements(facts, PIP_CACHE, &format!("{add} -r {file}"), file)),
        None if development.is_empty() || more.is_empty() => None,
        None if facts.dependencies == Dependencies::Pylock => {
            Some(run(&caches, &Files::new(facts, &owned(&["pyproject.toml"])), &more))
        }
        None => Some(run(&caches, &files, &more)),
    };
    plan
}

/// What a requirements file adds for development.
fn requirements(facts: &Facts, cache: &str, command: &str, file: &String) -> String {
    let files: Vec<String> = std::iter::once(file).chain(&facts.development.included).cloned().collect();
    run(&[cache], &Files::new(facts, &files), &[command.to_owned()])
}
