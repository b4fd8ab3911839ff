use crate::finding::{Findings, Fix};
use crate::model::{Stage, Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_shell::packages::{Action, Manager, OperandKind};
use jettison_shell::{Command, PackageCall};

pub(super) static RULE: Rule = Rule {
    code: "JET121",
    name: "development-dependencies-installed",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
What developing needs is installed into the image.

## Why

Poetry, uv and PDM install the development group unless they are told not to: test runners, type checkers, formatters and all that these
need. It is pulled with each deployment, and each of its holes is one of yours. Stages that the image does not need, and those whose name says
that they are for tests or development, are let be.

## Example

```dockerfile bad lines=4,5
FROM python:3.12-slim
COPY pyproject.toml poetry.lock uv.lock ./
RUN pip install --no-cache-dir poetry==2.1.1
RUN poetry install --no-root
RUN uv sync --locked
```

```dockerfile fixed
FROM python:3.12-slim
COPY pyproject.toml poetry.lock uv.lock ./
RUN pip install --no-cache-dir poetry==2.1.1
RUN poetry install --only main --no-root
RUN uv sync --no-dev --locked
```

```dockerfile good
FROM python:3.12-slim AS test
RUN pip install pytest==8.3.4
FROM python:3.12-slim
ENV UV_NO_DEV=1
RUN uv sync --locked
RUN poetry install --without dev,docs
RUN pipenv sync --system
```

```dockerfile bad lines=2,3,4
FROM python:3.12-slim
RUN pipenv sync --dev --system
RUN pip install -r requirements-dev.txt
RUN pip install .[test]
```

```dockerfile fixed
FROM python:3.12-slim
RUN pipenv sync --system
RUN pip install -r requirements-dev.txt
RUN pip install .[test]
```

## Fix

Safe: `--only main` is written for Poetry, `--no-dev` for uv, `--prod` for PDM, and `--dev` goes from Pipenv. Lists of requirements and packages
are yours to part.
"#,
    check,
};

/// Distributions that test, check or format.
const TOOLS: [&str; 17] = [
    "pytest",
    "pytest-cov",
    "pytest-asyncio",
    "pytest-xdist",
    "tox",
    "nox",
    "black",
    "ruff",
    "flake8",
    "pylint",
    "mypy",
    "isort",
    "bandit",
    "pre-commit",
    "coverage",
    "ipdb",
    "debugpy",
];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    if subject.last().is_none_or(is_for_development) {
        return;
    }
    let project = subject.context.text("pyproject.toml");
    for stage in subject.stages.iter().filter(|stage| stage.is_needed && !is_for_development(stage)) {
        for step in stage.steps.iter().filter(|step| step.run().is_some()) {
            for (command, call) in &step.packages {
                group(subject, step, command, call, project.as_deref(), findings);
                if matches!(call.manager, Manager::Pip | Manager::UvPip) && call.action == Action::Install {
                    named(step, call, findings);
                }
            }
        }
    }
}

/// Whether the name of a stage says so.
fn is_for_development(stage: &Stage<'_>) -> bool {
    let name = stage.label().to_ascii_lowercase();
    name.split(['-', '_', '.']).any(is_word)
}

fn is_word(word: &str) -> bool {
    matches!(
        word,
        "dev"
            | "devel"
            | "develop"
            | "development"
            | "test"
            | "tests"
            | "testing"
            | "lint"
            | "debug"
            | "ci"
            | "docs"
            | "check"
            | "checks"
    )
}

/// Tools that know what is for development.
fn group(
    subject: &Subject<'_>,
    step: &Step<'_>,
    command: &Command<'_>,
    call: &PackageCall<'_>,
    project: Option<&str>,
    findings: &mut Findings<'_>,
) {
    let Some(shell) = step.shell else { return };
    let Some(verb) = call.verb.clone().filter(|_| matches!(call.action, Action::Sync | Action::Install)) else {
        return;
    };
    // A project that has no such group has nothing to leave out.
    let has = |parts: &[&str]| project.is_none_or(|text| parts.iter().any(|part| text.contains(part)));
    let (option, off) = match call.manager {
        Manager::Poetry => {
            let told = call.has(&["--only", "--without", "--no-dev", "--only-root"]);
            let told = told
                || step.scope.names().any(|name| name.starts_with("POETRY_WITHOUT") || name.starts_with("POETRY_ONLY"));
            ("--only main", told || !has(&["tool.poetry.group", "tool.poetry.dev-dependencies", "dependency-groups"]))
        }
        Manager::Uv if call.action == Action::Sync => {
            let told = call.has(&["--no-dev", "--only-group", "--no-group", "--no-default-groups", "--only-dev"])
                || step.is_on(command, "UV_NO_DEV")
                || step.is_on(command, "UV_NO_DEFAULT_GROUPS")
                || step.setting(command, "UV_NO_GROUP").is_some();
            if call.has(&["--only-dev"]) {
                return;
            }
            ("--no-dev", told || !has(&["dependency-groups", "dev-dependencies"]))
        }
        Manager::Pdm => {
            let told = call.has(&["--prod", "--production", "--no-default", "-G", "--group", "--without"]);
            ("--prod", told || !has(&["dependency-groups", "dev-dependencies"]))
        }
        Manager::Pipenv => {
            if let Some(option) = call.option(&["--dev", "-d"]) {
                let range = option.word.range.clone();
                let finding = findings
                    .report(shell.span(range.clone()), "Pipenv installs the development packages, too")
                    .help(format!("leave `{}` out", option.name));
                if option.word.text() == option.name
                    && let Some(edit) = step.remove_word(subject.file, range)
                {
                    finding.fix(Fix::safe(format!("leave `{}` out", option.name), [edit]));
                }
            }
            return;
        }
        _ => return,
    };
    // `poetry add` and the like name what they want.
    if off || call.action == Action::Install && !call.operands.is_empty() {
        return;
    }
    let name = match call.manager {
        Manager::Poetry => "Poetry",
        Manager::Uv => "uv",
        _ => "PDM",
    };
    let finding = findings
        .report(shell.span(call.program.start..verb.end), format!("{name} installs the development group, too"))
        .help(format!("write `{option}`"));
    // Groups that are asked for by name are meant.
    if !call.has(&["--with", "--all-groups", "--dev", "--group", "--all-extras"])
        && let Some(edit) = shell.add_word(verb, option)
    {
        finding.fix(Fix::safe(format!("write `{option}`"), [edit]));
    }
}

/// Requirements, extras and packages whose name says it.
fn named(step: &Step<'_>, call: &PackageCall<'_>, findings: &mut Findings<'_>) {
    let Some(shell) = step.shell else { return };
    for operand in &call.operands {
        let (what, help) = match operand.kind {
            OperandKind::Requirements => {
                let file = operand.name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
                if !file.split(['-', '_', '.']).any(is_word) && !operand.name.split('/').any(is_word) {
                    continue;
                }
                (format!("{} is for development", operand.name), "install the requirements of the application alone")
            }
            OperandKind::Path | OperandKind::Editable if operand.extras.iter().any(|extra| is_word(extra)) => (
                format!("`{}` is for development", operand.extras.join(",")),
                "install the extras of the application alone",
            ),
            OperandKind::Package if TOOLS.contains(&&*operand.name.to_ascii_lowercase()) => {
                (format!("{} is for development", operand.name), "install it in a stage that is not shipped")
            }
            _ => continue,
        };
        findings.report(shell.span(operand.range.clone()), what).help(help);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET121").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn groups_and_names() {
        for (text, expected) in [
            (r#"RUN poetry install --only=main"#, &[] as &[&str]),
            (r#"RUN poetry install --with dev"#, &[r#"poetry install"#] as &[&str]),
            (r#"RUN poetry add flask && uv add flask && uv pip install flask"#, &[] as &[&str]),
            (r#"RUN UV_NO_DEV=1 uv sync && uv sync --no-default-groups"#, &[] as &[&str]),
            (r#"RUN pdm install --prod && pdm sync"#, &[r#"pdm sync"#] as &[&str]),
            (r#"RUN pip install -r requirements/test.txt -r devices.txt"#, &[r#"requirements/test.txt"#] as &[&str]),
            (r#"RUN pip install flask pytest-cov==1"#, &[r#"pytest-cov==1"#] as &[&str]),
            (r#"RUN pipenv install --deploy --system"#, &[] as &[&str]),
        ] {
            assert_eq!(found(&format!("FROM python:3.12-slim\n{text}\n")), *expected, "{text}");
        }
    }
}
