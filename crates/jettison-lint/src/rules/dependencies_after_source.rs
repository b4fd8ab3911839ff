use crate::finding::{Findings, Fix};
use crate::model::{Destination, Install, Stage, Step, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;
use jettison_dockerfile::{Edit, Span};
use jettison_shell::packages::{Manager, OperandKind};
use jettison_tree::TreePath;
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    code: "JET103",
    name: "dependencies-after-source",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
The dependencies are installed after the whole source was copied.

## Why

A layer is built again when something before it changed. Behind `COPY . .` every changed line of code installs all dependencies again: for
the application of our measurements that is 18 s instead of a tenth of a second, 8 s of them for compiling psycopg2. When the list of
requirements is copied alone and first, the layer with the dependencies changes when the list does.

## Example

```text file=requirements.txt
flask==3.1.0
-r base.txt
```

```text file=base.txt
click==8.1.7
```

```dockerfile bad lines=5
FROM python:3.12-slim
WORKDIR /app
# The application.
COPY . .
RUN pip install --no-cache-dir -r requirements.txt
CMD ["python", "main.py"]
```

```dockerfile fixed
FROM python:3.12-slim
WORKDIR /app
COPY base.txt requirements.txt ./
RUN pip install --no-cache-dir -r requirements.txt
# The application.
COPY . .
CMD ["python", "main.py"]
```

```dockerfile bad lines=5
FROM python:3.12-slim
COPY --chown=app . /srv
ENV A=1
RUN pip install --upgrade pip
RUN pip install -r /srv/requirements.txt
```

```dockerfile fixed
FROM python:3.12-slim
COPY --chown=app base.txt requirements.txt /srv/
ENV A=1
RUN pip install --upgrade pip
RUN pip install -r /srv/requirements.txt
COPY --chown=app . /srv
```

```dockerfile good
FROM python:3.12-slim
WORKDIR /app
COPY requirements.txt base.txt ./
RUN pip install -r requirements.txt
COPY . .
```

The project itself can only be installed with its source; the dependencies are there already:

## Example

```dockerfile good
FROM python:3.12-slim
WORKDIR /app
COPY uv.lock pyproject.toml ./
RUN uv sync --locked --no-install-project
COPY . .
RUN uv sync --locked
```

```dockerfile bad lines=4
FROM python:3.12-slim
WORKDIR /app
COPY . .
RUN poetry install --only main
```

## Fix

Safe, where the files that name the dependencies are in the context, and nothing between the two needs the source: they are copied first, and
the rest of the source after the dependencies. Where the installer installs the project, too, it has to be told not to, and that is left to you.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in subject.stages.iter().filter(|stage| stage.is_needed) {
        let Some(number) = stage.steps.iter().position(Step::copies_whole_context) else { continue };
        let installs = &subject.layout(stage).installs;
        // What was installed before the source came needs only little after it.
        if installs.iter().any(|install| install.at.step < number && lists(subject, install)) {
            continue;
        }
        let late: Vec<&Install> =
            installs.iter().filter(|install| install.at.step > number && lists(subject, install)).collect();
        let (Some(first), Some(last)) = (late.first(), late.last()) else { continue };
        let (command, call) = subject.call(first.at);
        let Some(shell) = subject.step(first.at).shell else { continue };
        let finding = findings.report(
            shell.span(command.range()),
            "the dependencies are installed again whenever a file of the source changes",
        );
        finding.label(stage.steps[number].instruction.span, "the whole source is copied here");
        finding.help(match call.manager {
            Manager::Uv => {
                "copy `pyproject.toml` and `uv.lock` first and run `uv sync --no-install-project`, then copy the source"
            }
            Manager::Poetry => {
                "copy `pyproject.toml` and `poetry.lock` first and run `poetry install --no-root`, then copy the source"
            }
            Manager::Pipenv => "copy `Pipfile` and `Pipfile.lock` first and install, then copy the source",
            _ => "copy the requirements first and install them, then copy the source",
        });
        if let Some(edits) = edits(subject, stage, number, &late, last.at.step) {
            finding.fix(Fix::safe("copy what names the dependencies first", edits));
        }
    }
}

/// Whether an install goes by a list that can be copied alone.
fn lists(subject: &Subject<'_>, install: &Install) -> bool {
    let (_, call) = subject.call(install.at);
    match call.manager {
        Manager::Pip | Manager::UvPip => call.of_kind(OperandKind::Requirements).next().is_some(),
        // `uv tool install` goes elsewhere.
        Manager::Uv => install.into != Destination::Elsewhere && call.packages().next().is_none(),
        Manager::Poetry | Manager::Pipenv | Manager::Pdm => call.packages().next().is_none(),
        _ => false,
    }
}

/// Copies the lists where the source was copied, and the source behind the last install.
fn edits(subject: &Subject<'_>, stage: &Stage<'_>, number: usize, late: &[&Install], last: usize) -> Option<Vec<Edit>> {
    let copy = &stage.steps[number];
    let InstructionKind::Copy(syntax) = &copy.instruction.kind else { return None };
    if copy.context_sources().len() != 1 || syntax.parents || !copy.instruction.heredocs.is_empty() {
        return None;
    }
    let files = files(subject, late)?;
    // What stands between must not need the source.
    let between = &stage.steps[number + 1..=last];
    let is_free = |(at, step): (usize, &Step<'_>)| {
        let at = number + 1 + at;
        match &step.instruction.kind {
            InstructionKind::Env(_)
            | InstructionKind::Arg(_)
            | InstructionKind::Label(_)
            | InstructionKind::Expose(_) => true,
            // Elsewhere the same words would name another place.
            InstructionKind::Workdir(_) => syntax.transfer.destination.starts_with('/'),
            InstructionKind::Run(_) => {
                late.iter().any(|install| install.at.step == at) && step.commands.len() == step.packages.len()
                    || step.commands.len() == step.packages.len()
                        && step
                            .packages
                            .iter()
                            .all(|(_, call)| call.operands.iter().all(|operand| operand.kind == OperandKind::Package))
            }
            _ => false,
        }
    };
    if !between.iter().enumerate().all(is_free) || between.iter().any(|step| step.user != copy.user) {
        return None;
    }
    // The files keep their places below the destination.
    let mut directories: BTreeSet<(Option<TreePath>, Vec<&str>)> = BTreeSet::new();
    for file in &files {
        let same = directories.iter().find(|(parent, _)| *parent == file.parent()).cloned();
        let mut names = same.as_ref().map(|(_, names)| names.clone()).unwrap_or_default();
        names.push(file.as_str()?);
        if let Some(same) = same {
            directories.remove(&same);
        }
        directories.insert((file.parent(), names));
    }
    let flags_end = syntax.transfer.sources.first().and_then(|source| match source {
        jettison_dockerfile::instruction::Source::Path(word) => Some(word.span().start),
        jettison_dockerfile::instruction::Source::Heredoc(_) => None,
    })?;
    let head = subject.file.text(Span::new(copy.instruction.span.start, flags_end));
    if head.contains('\n') || head.contains('[') {
        return None;
    }
    let written = syntax.transfer.destination.as_str();
    let lines: Vec<String> = directories
        .iter()
        .map(|(parent, names)| {
            let base = match written.trim_end_matches('/') {
                "" if written.starts_with('/') => "/".to_owned(),
                "." | "" => "./".to_owned(),
                other => format!("{other}/"),
            };
            let below = parent
                .as_ref()
                .filter(|parent| !parent.as_bytes().is_empty())
                .map(|parent| format!("{parent}/"))
                .unwrap_or_default();
            if names.iter().any(|name| name.contains(' ')) {
                return None;
            }
            Some(format!("{head}{} {base}{below}", names.join(" ")))
        })
        .collect::<Option<_>>()?;
    let source = subject.file.source();
    let start = comment_start(source, copy.instruction.span.start);
    let moved = source.get(start..copy.instruction.span.end)?;
    let end = stage.steps[last].instruction.span.end;
    Some(vec![
        Edit::replace(Span::new(start, copy.instruction.span.end), lines.join("\n")),
        Edit::insert(end, format!("\n{moved}")),
    ])
}

/// All files that the installs read; `None` if one of them cannot be told, or the installer needs more than these.
fn files(subject: &Subject<'_>, late: &[&Install]) -> Option<BTreeSet<TreePath>> {
    let mut files = BTreeSet::new();
    for install in late {
        let demands = subject.demands(install);
        let (_, call) = subject.call(install.at);
        if !demands.is_complete || call.of_kind(OperandKind::Constraints).next().is_some() {
            return None;
        }
        let project = match call.manager {
            Manager::Pip | Manager::UvPip => None,
            Manager::Pipenv => Some("Pipfile"),
            Manager::Uv if call.has(&["--no-install-project"]) => Some("pyproject.toml"),
            Manager::Poetry if call.has(&["--no-root"]) => Some("pyproject.toml"),
            _ => return None,
        };
        let plain = matches!(call.manager, Manager::Pip | Manager::UvPip)
            && call
                .operands
                .iter()
                .all(|operand| matches!(operand.kind, OperandKind::Requirements | OperandKind::Package));
        if project.is_none() && !plain || demands.files.is_empty() {
            return None;
        }
        if let Some(name) = project {
            let beside = demands.files.iter().next()?.parent();
            let path = beside.map_or_else(|| TreePath::parse(name), |parent| parent.join(name)).ok()?;
            subject.context.read(&path)?;
            files.insert(path);
        }
        // Constraints and paths in the files would be missed.
        for file in &demands.files {
            let text = subject.context.read(file)?;
            let odd = |line: &str| {
                let line = line.trim_start();
                line.starts_with("-c")
                    || line.starts_with("--constraint")
                    || line.starts_with("-e")
                    || line.starts_with('.')
            };
            if matches!(call.manager, Manager::Pip | Manager::UvPip) && text.lines().any(odd) {
                return None;
            }
        }
        files.extend(demands.files);
    }
    Some(files)
}

/// Where the comments right above an instruction begin.
fn comment_start(source: &str, start: usize) -> usize {
    let mut at = start;
    while let Some(before) = source[..at].strip_suffix('\n') {
        let line = before.rfind('\n').map_or(0, |end| end + 1);
        if !before[line..].trim_start().starts_with('#') || is_directive(source, line) {
            break;
        }
        at = line;
    }
    at
}

/// The first lines of a file may be directives, which belong there.
fn is_directive(source: &str, line: usize) -> bool {
    line == 0 && source.trim_start_matches(['#', ' ']).split('\n').next().is_some_and(|first| first.contains('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::found;

    #[test]
    fn what_needs_the_source_or_comes_before_it_is_fine() {
        let files = [("requirements.txt", "flask==3.0\n"), ("pyproject.toml", "[project]\nname = \"x\"\n")];
        for (steps, lines) in [
            ("COPY . .\nRUN pip install -r requirements.txt", &[3][..]),
            ("ADD . /app\nRUN pip install -r /app/requirements.txt", &[3]),
            ("COPY . .\nRUN pip install .", &[]),
            ("COPY . .\nRUN pip install flask", &[]),
            ("COPY requirements.txt .\nRUN pip install -r requirements.txt\nCOPY . .\nRUN pip install -e .", &[]),
            ("COPY src src\nCOPY requirements.txt .\nRUN pip install -r requirements.txt", &[]),
            ("COPY --from=x . .\nRUN pip install -r requirements.txt", &[]),
            ("COPY . .\nRUN pip install uv && uv sync", &[3]),
            ("COPY . .\nRUN pip install uv && uv tool install ruff", &[]),
            ("COPY . .\nCMD pip install -r requirements.txt", &[]),
        ] {
            assert_eq!(found("JET103", &format!("FROM python:3.12-slim\n{steps}\n"), &files), lines, "{steps}");
        }
        let unneeded = "FROM python:3.12 AS x\nCOPY . .\nRUN pip install -r requirements.txt\nFROM python:3.12\n";
        assert!(found("JET103", unneeded, &files).is_empty());
    }

    #[test]
    fn comments_go_with_the_instruction_and_directives_stay() {
        let text = "# syntax=docker/dockerfile:1\n# one\n  # two\nCOPY . .\n";
        assert_eq!(&text[comment_start(text, text.find("COPY").unwrap())..], "# one\n  # two\nCOPY . .\n");
        assert_eq!(comment_start("# escape=`\nFROM x", 11), 11);
        assert_eq!(comment_start("FROM x", 0), 0);
    }
}
