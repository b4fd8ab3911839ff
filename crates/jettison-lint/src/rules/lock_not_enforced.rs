use crate::finding::{Findings, Fix};
use crate::model::{Stage, Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Span};
use jettison_shell::PackageCall;
use jettison_shell::packages::{Action, Manager, OperandKind};

pub(super) static RULE: Rule = Rule {
    code: "JET405",
    name: "lock-not-enforced",
    family: Family::Context,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
The project has a lock, and the installation may go past it.

## Why

`uv sync` writes a new lock when the old one does not fit, and `pip install .` never reads one: what is tested and what is shipped are two
different sets of versions, and two builds of one commit can differ.

## Example

```text file=uv.lock
version = 1
```

```dockerfile bad lines=3
FROM python:3.12-slim
COPY pyproject.toml uv.lock ./
RUN uv sync --no-dev
```

```dockerfile fixed
FROM python:3.12-slim
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev
```

```dockerfile good
FROM python:3.12-slim
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen
ENV UV_FROZEN=1
RUN uv sync
```

### pip knows no lock

```text file=poetry.lock
# Poetry
```

```dockerfile bad lines=3
FROM python:3.12-slim
COPY . .
RUN pip install .
```

```dockerfile good
FROM python:3.12-slim
COPY . .
RUN pip install -r requirements.txt && pip install --no-deps .
```

### Pipenv

```text file=Pipfile.lock
{}
```

```dockerfile bad lines=3
FROM python:3.12-slim
COPY . .
RUN pipenv install --system
```

```dockerfile fixed
FROM python:3.12-slim
COPY . .
RUN pipenv install --deploy --system
```

```dockerfile good
FROM python:3.12-slim
COPY . .
RUN pipenv sync && pipenv install --ignore-pipfile
```

## Fix

Safe: `--locked` for uv and `--deploy` for Pipenv are written; both fail when the lock does not fit the project, which is what should happen.
Nothing is changed for `pip install .`: which tool exports the lock is for the author to say.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (stage, step) in subject.steps().filter(|(stage, _)| stage.is_needed) {
        for (command, call) in &step.packages {
            let (lock, option) = match (call.manager, call.action) {
                (Manager::Uv, Action::Sync) => ("uv.lock", Some("--locked")),
                (Manager::Pipenv, Action::Install | Action::Sync) if !is_sync(step, call) => ("Pipfile.lock", Some("--deploy")),
                (Manager::Pip | Manager::UvPip, Action::Install) => {
                    let Some(lock) = ["uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"].into_iter().find(|lock| has(subject, lock))
                    else {
                        continue;
                    };
                    (lock, None)
                }
                _ => continue,
            };
            if !has(subject, lock) || is_enforced(stage, step, call) {
                continue;
            }
            let Some(shell) = step.shell else { continue };
            match option {
                Some(option) => {
                    let text = format!("`{}` may install other versions than those in `{lock}`", &shell.text[call.program.clone()]);
                    let at = call.verb.clone().unwrap_or(call.program.clone()).end;
                    let end = shell.span(at.saturating_sub(1)..at).end;
                    let title = format!("write `{option}`");
                    let edit = Edit { span: Span::new(end, end), text: format!(" {option}") };
                    findings.report(shell.span(command.range()), text).help(&*title).fix(Fix::safe(&*title, [edit]));
                }
                None => {
                    let project = |kind| matches!(kind, OperandKind::Path | OperandKind::Editable);
                    let operand = call.operands.iter().find(|operand| project(operand.kind) && matches!(&*operand.name, "." | "./"));
                    let Some(operand) = operand else { continue };
                    findings
                        .report(shell.span(operand.range.clone()), format!("pip does not read `{lock}`: it takes the newest versions"))
                        .help("install from the lock first, as with `uv sync --locked` or an exported requirements file, and then the project with `--no-deps`");
                }
            }
        }
    }
}

/// `pipenv sync` takes the lock as it is.
fn is_sync(step: &Step<'_>, call: &PackageCall<'_>) -> bool {
    let verb = call.verb.clone().and_then(|range| step.shell?.text.get(range));
    verb == Some("sync")
}

fn has(subject: &Subject<'_>, lock: &str) -> bool {
    subject.context.text(lock).is_some()
}

fn is_enforced(_: &Stage<'_>, step: &Step<'_>, call: &PackageCall<'_>) -> bool {
    const OPTIONS: &[&str] = &[
        "--locked", "--frozen", "--deploy", "--ignore-pipfile", "--no-deps", "--require-hashes", "--requirement", "-r", "--constraint",
        "-c", "--skip-lock", "--dry-run", "--check",
    ];
    const VARIABLES: &[&str] = &["UV_FROZEN", "UV_LOCKED", "PIPENV_DEPLOY", "PIPENV_IGNORE_PIPFILE", "PIP_NO_DEPS", "PIP_CONSTRAINT"];
    call.has(OPTIONS)
        || call.operands.iter().any(|operand| matches!(operand.kind, OperandKind::Requirements | OperandKind::Constraints))
        || VARIABLES.iter().any(|name| step.scope.variable(name).is_some())
}
