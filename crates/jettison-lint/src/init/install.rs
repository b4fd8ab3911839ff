//! How dependencies are installed, from each kind of lock.
//!
//! 1. A [`Plan`] is what the builder does: the tool that reads the lock, made available outside of what is shipped, and the command.
//! 2. pip reads requirements alone: other locks are exported for it first, in the same step, so that hashes are checked.

use super::facts::{Dependencies, Facts};
use super::style::Style;

/// The version of uv that is written. As of 2026-11.
const UV: &str = "uv==0.13.9";
/// The versions of Poetry and its exporter that are written. As of 2026-11.
const POETRY: [&str; 2] = ["poetry==2.5.1", "poetry-plugin-export==1.10.1"];
/// The version of Pipenv that is written. As of 2026-11.
const PIPENV: &str = "pipenv==2026.10.3";

const PIP_CACHE: &str = "--mount=type=cache,target=/root/.cache/pip";
const UV_CACHE: &str = "--mount=type=cache,target=/root/.cache/uv";
const POETRY_CACHE: &str = "--mount=type=cache,target=/root/.cache/pypoetry";

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
            Style::Venv => pip(facts, "pip install --no-compile"),
            Style::Prefix => pip(facts, "pip install --no-compile --prefix=/install --no-warn-script-location"),
            Style::Wheels => pip(facts, "pip wheel --wheel-dir=/wheels"),
            Style::Distroless => pip(facts, "pip install --no-compile --target=/packages"),
        }
    }
}

/// One `RUN`: mounts, then commands joined with `&&`, each in a line of its own.
fn run(mounts: &[String], commands: &[String]) -> String {
    let mut lines: Vec<String> = mounts.to_vec();
    lines.push(commands.join(" && \\\n    "));
    format!("RUN {}", lines.join(" \\\n    "))
}

fn bind(path: &str) -> String {
    format!("--mount=type=bind,source={path},target={path}")
}

/// The whole of the source, writable for what a build leaves in it, which is thrown away.
const SOURCE: &str = "--mount=type=bind,target=.,rw";

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The files of a tool.
fn with_binds(caches: &[&str], manifests: &[String]) -> Vec<String> {
    caches.iter().map(|cache| (*cache).to_owned()).chain(manifests.iter().map(|path| bind(path))).collect()
}

fn uv(facts: &Facts) -> Plan {
    let env = vec![("UV_LINK_MODE", "copy"), ("UV_PYTHON_DOWNLOADS", "never")];
    let mut plan = Plan { tools: vec![UV], env, ..Plan::default() };
    if facts.dependencies == Dependencies::Uv {
        plan.env.push(("UV_PROJECT_ENVIRONMENT", "/opt/venv"));
        plan.manifests = owned(&["pyproject.toml", "uv.lock"]);
        let mounts = with_binds(&[UV_CACHE], &plan.manifests);
        plan.install = Some(run(&mounts, &["uv sync --locked --no-dev --no-install-project".to_owned()]));
        plan.development = Some(run(&mounts, &["uv sync --locked --no-install-project".to_owned()]));
        let source = owned(&[UV_CACHE, SOURCE]);
        plan.project = facts.is_package.then(|| run(&source, &["uv sync --locked --no-dev --no-editable".to_owned()]));
        return plan;
    }
    let arguments = match &facts.dependencies {
        Dependencies::Pylock => {
            plan.manifests = owned(&["pylock.toml"]);
            Some("-r pylock.toml".to_owned())
        }
        Dependencies::Requirements { files, included, .. } => {
            plan.manifests = files.iter().chain(included).cloned().collect();
            Some(files.iter().map(|file| format!("-r {file}")).collect::<Vec<_>>().join(" "))
        }
        Dependencies::Declared => {
            plan.manifests = owned(&["pyproject.toml"]);
            Some("-r pyproject.toml".to_owned())
        }
        _ => None,
    };
    let mounts = with_binds(&[UV_CACHE], &plan.manifests);
    plan.install = arguments.map(|arguments| run(&mounts, &[format!("uv pip install {arguments}")]));
    plan.project =
        facts.is_package.then(|| run(&owned(&[UV_CACHE, SOURCE]), &["uv pip install --no-deps .".to_owned()]));
    plan.development = development(facts, UV_CACHE, "uv pip install");
    plan
}

fn poetry(facts: &Facts) -> Plan {
    let manifests = owned(&["pyproject.toml", "poetry.lock"]);
    let mounts = with_binds(&[POETRY_CACHE], &manifests);
    Plan {
        tools: vec![POETRY[0]],
        env: vec![("POETRY_NO_INTERACTION", "1")],
        install: Some(run(&mounts, &["poetry install --only main --no-root".to_owned()])),
        project: facts.is_package.then(|| run(&owned(&[PIP_CACHE, SOURCE]), &["pip install --no-deps .".to_owned()])),
        development: Some(run(&mounts, &["poetry install --no-root".to_owned()])),
        manifests,
    }
}

/// `command` is pip's, up to what it installs.
fn pip(facts: &Facts, command: &str) -> Plan {
    let mut plan = Plan::default();
    let mut caches = vec![PIP_CACHE];
    let exported = "/tmp/requirements.txt";
    let commands = match &facts.dependencies {
        Dependencies::Requirements { files, included, hashed } => {
            plan.manifests = files.iter().chain(included).cloned().collect();
            let hashes = if *hashed { "--require-hashes " } else { "" };
            let list: Vec<String> = files.iter().map(|file| format!("-r {file}")).collect();
            vec![format!("{command} {hashes}{}", list.join(" "))]
        }
        Dependencies::Uv => {
            plan.tools = vec![UV];
            plan.manifests = owned(&["pyproject.toml", "uv.lock"]);
            caches.push(UV_CACHE);
            vec![
                format!("uv export --locked --no-dev --no-emit-project --quiet --output-file {exported}"),
                format!("{command} --require-hashes -r {exported}"),
            ]
        }
        Dependencies::Poetry => {
            plan.tools = POETRY.to_vec();
            plan.manifests = owned(&["pyproject.toml", "poetry.lock"]);
            vec![
                format!("poetry export --only main --output {exported}"),
                format!("{command} --require-hashes -r {exported}"),
            ]
        }
        Dependencies::Pipenv => {
            plan.tools = vec![PIPENV];
            plan.manifests = owned(&["Pipfile", "Pipfile.lock"]);
            vec![
                format!("pipenv requirements --hash > {exported}"),
                format!("{command} --require-hashes -r {exported}"),
            ]
        }
        Dependencies::Pylock | Dependencies::Declared => {
            plan.tools = vec![UV];
            caches.push(UV_CACHE);
            let file = if facts.dependencies == Dependencies::Pylock { "pylock.toml" } else { "pyproject.toml" };
            plan.manifests = owned(&[file]);
            let version = format!("{}.{}", facts.python.0, facts.python.1);
            vec![
                format!(
                    "uv pip compile --quiet --generate-hashes --python-version {version} {file} --output-file {exported}"
                ),
                format!("{command} --require-hashes -r {exported}"),
            ]
        }
        Dependencies::None => Vec::new(),
    };
    let mounts = with_binds(&caches, &plan.manifests);
    plan.install = (!commands.is_empty()).then(|| run(&mounts, &commands));
    plan.project = facts.is_package.then(|| run(&owned(&[PIP_CACHE, SOURCE]), &[format!("{command} --no-deps .")]));
    plan.development = development(facts, PIP_CACHE, "pip install");
    plan
}

/// What a requirements file adds for development.
fn development(facts: &Facts, cache: &str, command: &str) -> Option<String> {
    let file = facts.development_requirements.as_ref()?;
    let mut manifests = vec![file.clone()];
    if let Dependencies::Requirements { files, included, .. } = &facts.dependencies {
        manifests.extend(files.iter().chain(included).cloned());
        manifests.dedup();
    }
    Some(run(&with_binds(&[cache], &manifests), &[format!("{command} -r {file}")]))
}
