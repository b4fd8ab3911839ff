use crate::finding::Findings;
use crate::model::{Subject, join};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_python::requirements::{Line, Wanted, parse};
use jettison_shell::packages::{Action, Manager, OperandKind};
use jettison_shell::{Command, PackageCall};
use jettison_tree::TreePath;
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    code: "JET116",
    name: "floating-requirement",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3013"],
    docs: r#"
A Python package is installed in whatever version the index has that day.

## Why

Two builds of one commit give two applications, and a release that somebody else makes breaks yours. The layer cache hides it: as long as
the line stays the same the layer is taken from the cache with the versions of its first build, security fixes left out, until a machine
with an empty cache builds something else.

## Example

```dockerfile bad lines=2
FROM python:3.12-slim
RUN pip install --no-cache-dir fastapi "uvicorn[standard]>=0.30"
```

```dockerfile good
FROM python:3.12-slim
RUN pip install --no-cache-dir fastapi==0.115.6 "uvicorn[standard]==0.34.0"
```

```text file=requirements.txt
--index-url https://pypi.org/simple
fastapi==0.115.6
uvicorn>=0.30
sqlalchemy
```

```dockerfile bad lines=3
FROM python:3.12-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
```

Constraints hold the versions, too, and a newer pip does no harm:

```dockerfile good
FROM python:3.12-slim
COPY constraints.txt .
RUN pip install --upgrade pip && pip install --no-cache-dir -c constraints.txt fastapi
```

## Fix

None: `uv pip compile requirements.in -o requirements.txt --generate-hashes`, `pip-compile`, or the lock of uv, Poetry or Pipenv writes
down what is installed now.
"#,
    check,
};

/// Requirements that include each other are followed no further.
const MAX_FILES: usize = 32;

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let mut seen: BTreeSet<TreePath> = BTreeSet::new();
    for stage in subject.stages.iter().filter(|stage| stage.is_needed) {
        for (at, step) in stage.steps.iter().enumerate() {
            let Some(shell) = step.shell.filter(|_| step.run().is_some()) else { continue };
            for (command, call) in &step.packages {
                if !installs(call) || is_held(step.setting(command, "PIP_CONSTRAINT"), call) {
                    continue;
                }
                let floating: Vec<_> = call
                    .packages()
                    .filter(|operand| !operand.is_pinned() && !operand.text.contains('$'))
                    .filter(|operand| !matches!(&*operand.name, "pip" | "setuptools" | "wheel"))
                    .collect();
                if let Some(first) = floating.first() {
                    let names: Vec<&str> = floating.iter().map(|operand| operand.name.as_str()).collect();
                    findings
                        .report(shell.span(first.range.clone()), message(&names))
                        .help("write `==` and a version, or install from a lock");
                }
                for file in call.of_kind(OperandKind::Requirements) {
                    let Some(path) = join(directory(command, step.workdir.as_deref()), &file.name) else { continue };
                    if let Some(path) = subject.origin(stage, at, &path) {
                        requirements(subject, path, &mut seen, findings);
                    }
                }
            }
        }
    }
}

fn directory<'c>(command: &'c Command<'_>, workdir: Option<&'c str>) -> Option<&'c str> {
    command.directory().filter(|directory| directory.starts_with('/')).or(workdir).or(Some("/"))
}

/// Whether the call resolves what it is given against an index.
fn installs(call: &PackageCall<'_>) -> bool {
    let manager = matches!(call.manager, Manager::Pip | Manager::UvPip | Manager::Pipx);
    let action = matches!(call.action, Action::Install | Action::Wheel | Action::Download);
    manager && action && !call.has(&["--no-index", "--require-hashes", "--help"])
}

/// Whether constraints hold the versions.
fn is_held(variable: Option<String>, call: &PackageCall<'_>) -> bool {
    variable.is_some() || call.of_kind(OperandKind::Constraints).next().is_some()
}

/// Looks into a file of requirements and those that it includes.
fn requirements(subject: &Subject<'_>, path: TreePath, seen: &mut BTreeSet<TreePath>, findings: &mut Findings<'_>) {
    if seen.len() >= MAX_FILES || !seen.insert(path.clone()) {
        return;
    }
    let (Some(name), Some(text)) = (path.as_str(), subject.context.read(&path)) else { return };
    let Ok(lines) = parse(name, &text, &|_| None) else { return };
    if lines.iter().any(|line| matches!(line, Line::Constraint(..))) {
        return;
    }
    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut count = 0;
    let mut floating = Vec::new();
    for line in &lines {
        match line {
            Line::Requirement(entry) => {
                count += 1;
                let held = entry.pinned().is_some() || !entry.hashes.is_empty();
                if matches!(entry.wanted, Wanted::Versions(_)) && !held {
                    floating.push(entry);
                }
            }
            Line::Include(other, _) => {
                let other = join(Some(&format!("/{directory}")), other);
                if let Some(path) = other.and_then(|other| TreePath::parse(other.trim_start_matches('/')).ok()) {
                    requirements(subject, path, seen, findings);
                }
            }
            _ => {}
        }
    }
    let Some(first) = floating.first() else { return };
    let names: Vec<&str> = floating.iter().filter_map(|entry| Some(entry.name.as_ref()?.as_str())).collect();
    let message = match names.len() {
        0 => return,
        1 => message(&names),
        some => format!("{some} of {count} requirements have no exact version"),
    };
    let line = first.place.line;
    findings
        .report_file(path.clone(), Some(line), message)
        .help(format!("write down what is installed: `uv pip compile {name} -o requirements.lock --generate-hashes`"));
}

fn message(names: &[&str]) -> String {
    match names {
        [one] => format!("{one} has no exact version"),
        [one, two] => format!("{one} and {two} have no exact version"),
        [one, two, three] => format!("{one}, {two} and {three} have no exact version"),
        [one, two, rest @ ..] => format!("{one}, {two} and {} others have no exact version", rest.len()),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET116").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn what_has_an_exact_version() {
        for (text, expected) in [
            (r#"RUN pip install a==1.0 "b[x]==2" c===3 ./d.whl git+https://example.com/e"#, &[] as &[&str]),
            (r#"RUN pip install a~=1.0 b==1.* c"#, &[r#"a~=1.0"#] as &[&str]),
            (r#"RUN pip install $PACKAGES "x==${V}""#, &[] as &[&str]),
            (r#"RUN pip install -U pip setuptools wheel"#, &[] as &[&str]),
            (r#"RUN uv pip install --system flask"#, &[r#"flask"#] as &[&str]),
            (
                r#"ENV PIP_CONSTRAINT=/c.txt
RUN pip install flask"#,
                &[] as &[&str],
            ),
            (r#"RUN pip uninstall -y flask && pip download flask --no-index"#, &[] as &[&str]),
        ] {
            assert_eq!(found(&format!("FROM python:3.12-slim\n{text}\n")), *expected, "{text}");
        }
    }
}
