//! The stages, put together.

use super::Written;
use super::facts::{Facts, Start};
use super::install::Plan;
use super::style::{Style, StyleError};
use super::system::{self, DISTROLESS, USER};
use crate::catalog::Catalog;
use crate::clutter::default_ignore_file;
use jettison_oci::reference::Reference;

/// Where virtual environments stand.
const VENV: &str = "/opt/venv";

/// Writes the Dockerfile for a project. Base images are pinned to the digests that `catalog` knows.
pub fn write(facts: &Facts, style: Style, catalog: &dyn Catalog) -> Result<Written, StyleError> {
    style.check(facts)?;
    let plan = Plan::new(facts, style);
    let mut notes = Vec::new();
    let mut pinned = |name: &str| {
        let digest = Reference::parse(name).ok().and_then(|reference| catalog.digest(&reference));
        if digest.is_none() {
            notes.push(format!(
                "the digest of {name} is not known: `jettison lint --fix` writes it when the registry can be asked"
            ));
        }
        digest.map_or_else(|| name.to_owned(), |digest| format!("{name}@{digest}"))
    };
    let base = pinned(&system::base(facts));
    let image = if style == Style::Distroless { pinned(DISTROLESS) } else { "base".to_owned() };
    let mut text = String::from("# syntax=docker/dockerfile:1\n\n");
    text += &format!("FROM {base} AS base\n");
    text += "ENV PYTHONUNBUFFERED=1 \\\n    PYTHONDONTWRITEBYTECODE=1\nWORKDIR /app\n\n";
    text += &builder(facts, style, &plan);
    text += &development(facts, style, &plan);
    text += &runtime(facts, style, &plan, &image);
    if facts.start.is_none() {
        notes.push("how the project starts could not be told: write the `CMD`".to_owned());
    }
    let mut kept = plan.manifests.clone();
    let development = &facts.development;
    let more = facts.tests.iter().chain(&development.requirements).chain(&development.included).chain(&facts.kept);
    kept.extend(more.cloned());
    kept.sort();
    kept.dedup();
    Ok(Written { dockerfile: text, dockerignore: default_ignore_file(&kept), kept, notes })
}

fn builder(facts: &Facts, style: Style, plan: &Plan) -> String {
    if !plan.is_needed() {
        return String::new();
    }
    let kept = match style {
        Style::Prefix => "/install",
        Style::Wheels => "/wheels",
        Style::Distroless => "/packages",
        Style::Venv | Style::Uv | Style::Poetry => VENV,
    };
    let mut text = format!(
        "# builder installs the dependencies, with all that building them needs; only {kept} goes into the image.\nFROM base AS builder\n"
    );
    text += &system::build_packages(facts);
    if !plan.tools.is_empty() {
        text +=
            &format!("RUN --mount=type=cache,target=/root/.cache/pip \\\n    pip install {}\n", plan.tools.join(" "));
    }
    let mut env: Vec<String> = plan.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if kept == VENV {
        // The installer stays outside: pip of the image, which is told where to install, Poetry or uv.
        text += &format!("RUN python -m venv --without-pip {VENV}\n");
        env.push(format!("VIRTUAL_ENV={VENV}"));
        if style != Style::Uv {
            env.push(format!("PIP_PYTHON={VENV}"));
        }
        env.push(format!("PATH=\"{VENV}/bin:$PATH\""));
    }
    if !env.is_empty() {
        text += &format!("ENV {}\n", env.join(" \\\n    "));
    }
    for step in plan.install.iter().chain(&plan.project) {
        text += &format!("{step}\n");
    }
    if style != Style::Wheels {
        text += &compile(kept);
    }
    text + "\n"
}

/// `RUN` that makes the bytecode.
fn compile(directory: &str) -> String {
    format!(
        "# Bytecode that does not depend on when it was made. Templates that end in .py but are no Python are passed over.\n\
         RUN python -m compileall -q --invalidation-mode unchecked-hash {directory} || true\n"
    )
}

/// What puts the packages of the builder in place.
fn packages(facts: &Facts, style: Style, plan: &Plan) -> String {
    if !plan.is_needed() {
        return String::new();
    }
    match style {
        Style::Venv | Style::Uv | Style::Poetry => {
            format!("COPY --link --from=builder {VENV} {VENV}\nENV PATH=\"{VENV}/bin:$PATH\"\n")
        }
        Style::Prefix => "COPY --from=builder /install /usr/local\n".to_owned(),
        Style::Wheels => {
            let (major, minor) = facts.python;
            format!(
                "RUN --mount=type=bind,from=builder,source=/wheels,target=/wheels \\\n    \
                 pip install --no-cache-dir --no-compile --no-index --no-deps /wheels/*.whl && \\\n    \
                 {{ python -m compileall -q --invalidation-mode unchecked-hash /usr/local/lib/python{major}.{minor}/site-packages || true; }}\n"
            )
        }
        Style::Distroless => "COPY --link --from=builder /packages /packages\n".to_owned(),
    }
}

fn development(facts: &Facts, style: Style, plan: &Plan) -> String {
    let mut text = String::from("# development is for work on the source: docker build --target development\n");
    let mut packages_path = None;
    if plan.is_needed() {
        text += "FROM builder AS development\n";
        match style {
            Style::Prefix | Style::Wheels => text += &packages(facts, style, plan),
            Style::Distroless => {
                text += "ENV PATH=\"/packages/bin:$PATH\"\n";
                packages_path = Some("/packages");
            }
            Style::Venv | Style::Uv | Style::Poetry => {}
        }
    } else {
        text += "FROM base AS development\n";
    }
    if let Some(step) = &plan.development {
        text += &format!("{step}\n");
    }
    text += "COPY . .\n";
    if let Some(start) = &facts.start {
        // The source comes before a package that was installed from it.
        let source = facts.is_package || !start.source_root.is_empty();
        let source = source.then(|| format!("/app/{}", start.source_root).trim_end_matches('/').to_owned());
        text += &environment(start, source.as_deref().into_iter().chain(packages_path));
        text += &port(start);
        text += &format!("CMD {}\n", json(&start.development));
    }
    text.push('\n');
    if let Some(tests) = &facts.tests {
        let command = if facts.has_pytest {
            format!("python -m pytest {tests}")
        } else {
            format!("python -m unittest discover --start-directory {tests}")
        };
        text +=
            &format!("# test runs the tests: docker build --target test\nFROM development AS test\nRUN {command}\n\n");
    }
    text
}

fn runtime(facts: &Facts, style: Style, plan: &Plan, image: &str) -> String {
    let is_distroless = style == Style::Distroless;
    let mut text = format!("# runtime is the image.\nFROM {image} AS runtime\n");
    if is_distroless {
        text += "ENV PYTHONUNBUFFERED=1\nWORKDIR /app\n";
    } else {
        text += &system::runtime_packages(facts);
        text += &system::user();
    }
    text += &packages(facts, style, plan);
    if let Some(name) = &facts.name {
        text += &format!("LABEL org.opencontainers.image.title=\"{name}\"\n");
    }
    if facts.needs_files {
        match &facts.tests {
            Some(tests) => text += &format!("COPY --exclude={tests} . .\n"),
            None => text += "COPY . .\n",
        }
    }
    let Some(start) = &facts.start else { return text + &format!("USER {USER}:{USER}\n") };
    let packages_path = (is_distroless && plan.is_needed()).then(|| "/packages".to_owned());
    let root = (facts.needs_files && !start.import_root.is_empty()).then(|| format!("/app/{}", start.import_root));
    text += &environment(start, packages_path.iter().chain(&root).map(String::as_str));
    text += &port(start);
    text += &format!("USER {USER}:{USER}\n");
    let python = if is_distroless { "/usr/bin/python3" } else { "python" };
    if let Some(port) = start.port {
        let probe = format!("import socket; socket.create_connection(('127.0.0.1', {port}), 2).close()");
        text += "HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \\\n    ";
        text += &format!("CMD {}\n", json(&[python.to_owned(), "-c".to_owned(), probe]));
    }
    let argv = match is_distroless {
        true => with_interpreter(&start.argv),
        false => start.argv.clone(),
    };
    if is_distroless {
        // The base image has an entry point of its own.
        text += "ENTRYPOINT []\n";
    }
    text + &format!("CMD {}\n", json(&argv))
}

/// The command of an image whose scripts have no interpreter where their first line says.
fn with_interpreter(argv: &[String]) -> Vec<String> {
    let mut words = vec!["/usr/bin/python3".to_owned()];
    match argv.split_first() {
        Some((program, rest)) if program.starts_with("python") => words.extend(rest.iter().cloned()),
        Some((program, rest)) => {
            words.push(format!("/packages/bin/{program}"));
            words.extend(rest.iter().cloned());
        }
        None => {}
    }
    words
}

/// `ENV` with what the command needs; `paths` is where modules are imported from.
fn environment<'a>(start: &Start, paths: impl Iterator<Item = &'a str>) -> String {
    let mut env: Vec<String> = start.env.iter().map(|(key, value)| format!("{key}={}", quoted(value))).collect();
    let paths: Vec<&str> = paths.collect();
    if !paths.is_empty() {
        env.push(format!("PYTHONPATH={}", paths.join(":")));
    }
    if env.is_empty() { String::new() } else { format!("ENV {}\n", env.join(" \\\n    ")) }
}

fn port(start: &Start) -> String {
    start.port.map(|port| format!("EXPOSE {port}\n")).unwrap_or_default()
}

/// A value of `ENV`.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:,-+@%".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$') {
            text.push('\\');
        }
        text.push(c);
    }
    text + "\""
}

/// A command in exec form.
fn json(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| serde_json::Value::from(word.as_str()).to_string()).collect();
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
mod tests;
