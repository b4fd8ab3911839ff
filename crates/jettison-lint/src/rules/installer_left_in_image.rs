use crate::finding::Findings;
use crate::model::words::listed;
use crate::model::{At, CopySource, Stage, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Span;
use jettison_shell::packages::{Action, OperandKind};

pub(super) static RULE: Rule = Rule {
    code: "JET110",
    name: "installer-left-in-image",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &[],
    docs: r#"
What installed the dependencies is still in the image.

## Why

Poetry, Pipenv, uv and what they need in turn are there for the build. In the image they are pulled with every deployment, their
dependencies can get in the way of the application's, and they hand whoever gets in the means to fetch more. An upgrade of pip puts a second
one on top of that of the base image.

## Example

```dockerfile bad lines=3
FROM python:3.12-slim
WORKDIR /app
RUN pip install --no-cache-dir poetry
COPY pyproject.toml poetry.lock ./
RUN poetry install --only main --no-root
```

```dockerfile bad lines=2
FROM python:3.12-slim
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /uvx /bin/
COPY pyproject.toml uv.lock ./
RUN uv sync --locked
```

```dockerfile bad lines=2
FROM python:3.12-slim
RUN pip install --upgrade pip
```

In a stage before it does no harm, nor does one that is mounted, or removed by the same `RUN`:

```dockerfile good
FROM python:3.12-slim AS builder
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --locked

FROM python:3.12-slim
COPY --from=builder /app/.venv /app/.venv
```

```dockerfile good
FROM python:3.12-slim
WORKDIR /app
RUN --mount=from=ghcr.io/astral-sh/uv:0.9,source=/uv,target=/bin/uv \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    uv sync --locked
```

```dockerfile good
FROM python:3.12-slim
COPY Pipfile Pipfile.lock ./
RUN pip install pipenv && pipenv install --system --deploy && pip uninstall -y pipenv
```

## Fix

None. Install with it in a stage before and copy the virtual environment, or mount it in the `RUN` that needs it.
"#,
    check,
};

/// Distributions that install others.
const INSTALLERS: [&str; 9] =
    ["hatch", "pdm", "pip-tools", "pipenv", "pipx", "poetry", "uv", "virtualenv", "poetry-core"];
/// Those that are in the base image already.
const IN_BASE: [&str; 3] = ["pip", "setuptools", "wheel"];
/// Packages of distributions with them.
const PACKAGES: [&str; 11] = [
    "pipenv",
    "pipx",
    "poetry",
    "py3-pip",
    "py3-poetry",
    "py3-setuptools",
    "py3-virtualenv",
    "python3-pip",
    "python3-poetry",
    "python3-venv",
    "uv",
];
/// What scripts that install them are fetched from.
const SCRIPTS: [(&str, &str); 4] = [
    ("install.python-poetry.org", "poetry"),
    ("astral.sh/uv", "uv"),
    ("bootstrap.pypa.io/get-pip", "pip"),
    ("raw.githubusercontent.com/python-poetry", "poetry"),
];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last() else { return };
    for stage in subject.chain(last) {
        installed(subject, stage, findings);
        packages(subject, stage, findings);
        copied(subject, stage, findings);
        fetched(stage, findings);
    }
}

/// By an installer of Python distributions.
fn installed(subject: &Subject<'_>, stage: &Stage<'_>, findings: &mut Findings<'_>) {
    for install in subject.layout(stage).installs.iter().filter(|install| install.into.is_installed()) {
        let step = subject.step(install.at);
        let (_, call) = subject.call(install.at);
        let Some(shell) = step.shell else { continue };
        let removed = |name: &str| {
            let later =
                step.packages.iter().skip(install.at.call + 1).filter(|(_, other)| other.action == Action::Remove);
            later.flat_map(|(_, other)| &other.operands).any(|operand| operand.name.eq_ignore_ascii_case(name))
        };
        let named = |list: &'static [&str]| {
            call.of_kind(OperandKind::Package)
                .filter(move |operand| list.iter().any(|name| operand.name.eq_ignore_ascii_case(name)))
                .filter(|operand| !removed(&operand.name))
        };
        let left: Vec<_> = named(&INSTALLERS).collect();
        if let Some(first) = left.first() {
            let names: Vec<&str> = left.iter().map(|operand| operand.name.as_str()).collect();
            report(findings, shell.span(first.range.clone()), &names);
            continue;
        }
        let base: Vec<_> = named(&IN_BASE).collect();
        if let Some(first) = base.first().filter(|_| stage.python().is_some_and(|python| python.official)) {
            let names: Vec<&str> = base.iter().map(|operand| operand.name.as_str()).collect();
            let finding = findings.report(
                shell.span(first.range.clone()),
                format!(
                    "{} only {} in the image",
                    listed(&names),
                    if names.len() == 1 { "installs, and stays" } else { "install, and stay" }
                ),
            );
            finding.severity(Severity::Info).help("leave it out, or do it in the builder: nothing that runs needs it");
        }
    }
}

/// By the manager of the distribution.
fn packages(subject: &Subject<'_>, stage: &Stage<'_>, findings: &mut Findings<'_>) {
    let mut at: Option<At> = None;
    let left = || {
        subject
            .layout(stage)
            .packages
            .iter()
            .filter(|package| !package.is_removed && PACKAGES.contains(&package.name.as_str()))
    };
    for package in left() {
        if at.replace(package.at) != Some(package.at) {
            let names: Vec<&str> =
                left().filter(|other| other.at == package.at).map(|other| other.name.as_str()).collect();
            report(findings, package.span, &names);
        }
    }
}

/// By `COPY --from` of its own image.
fn copied(subject: &Subject<'_>, stage: &Stage<'_>, findings: &mut Findings<'_>) {
    for brought in &subject.layout(stage).brought {
        let image = match &brought.from {
            CopySource::Image(image) => Some(image.clone()),
            CopySource::Stage(from) => subject.stages[*from].image.as_ref().map(|image| image.reference.name()),
        };
        let is_uv = image.is_some_and(|image| image.contains("astral-sh/uv"));
        let program = |(source, _): &&(String, Span)| matches!(source.rsplit('/').next(), Some("uv" | "uvx"));
        if let Some((_, span)) = brought
            .sources
            .iter()
            .find(program)
            .filter(|_| is_uv || brought.sources.iter().any(|s| s.0.ends_with("/uv")))
        {
            report(findings, *span, &["uv"]);
        }
    }
}

/// By a script from the network.
fn fetched(stage: &Stage<'_>, findings: &mut Findings<'_>) {
    for step in stage.steps.iter().filter(|step| step.run().is_some()) {
        let Some(shell) = step.shell else { continue };
        for command in step.commands.iter().filter(|command| command.is("curl") || command.is("wget")) {
            for word in command.arguments() {
                let text = word.text();
                if let Some((_, name)) = SCRIPTS.iter().find(|(address, _)| text.contains(address)) {
                    report(findings, shell.span(word.range.clone()), &[name]);
                }
            }
        }
    }
}

fn report(findings: &mut Findings<'_>, span: Span, names: &[&str]) {
    let stay = if names.len() == 1 { "stays" } else { "stay" };
    let finding = findings.report(span, format!("{} {stay} in the image", listed(names)));
    finding.help("install in a stage before, and copy the virtual environment; or mount it in the `RUN` that needs it");
}

#[cfg(test)]
mod tests {
    use crate::examples::found;

    #[test]
    fn installers_come_in_many_ways() {
        for (text, lines) in [
            ("FROM python:3.12\nRUN pip install flask\n", &[][..]),
            ("FROM python:3.12\nRUN curl -sSL https://install.python-poetry.org | python3 -\n", &[2]),
            ("FROM debian:12\nRUN apt-get install -y python3 python3-pip\n", &[2]),
            ("FROM alpine\nRUN apk add --virtual .b py3-pip && pip install x && apk del .b\n", &[]),
            ("FROM python:3.12 AS b\nRUN pip install poetry\nFROM python:3.12\n", &[]),
            ("FROM python:3.12 AS b\nRUN pip install poetry\nFROM b\n", &[2]),
            ("FROM python:3.12\nRUN pip install -U pip setuptools wheel && pip install poetry\n", &[2]),
            ("FROM continuumio/miniconda3\nRUN pip install -U pip\n", &[]),
            ("FROM golang AS b\nRUN go build -o /uv-server\nFROM python:3.12\nCOPY --from=b /uv-server /bin/\n", &[]),
        ] {
            assert_eq!(found("JET110", text, &[]), lines, "{text}");
        }
    }
}
