use crate::finding::Findings;
use crate::model::{Base, CopySource, Destination, Subject, below};
use crate::rule::{Family, Fixable, Rule, Severity};

pub(super) static RULE: Rule = Rule {
    code: "JET104",
    name: "whole-prefix-copied",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &[],
    docs: r#"
The interpreter's own directories are copied from the builder, with all that is in them.

## Why

Without a virtual environment or a prefix the dependencies lie among what the builder's image has there: its pip, its interpreter and
standard library, what its own tools need. All of that is copied on top of the same files of the runtime image, so the image holds them
twice, and a builder that is not quite the same image overwrites the interpreter that was to run.

## Example

```dockerfile bad lines=6
FROM python:3.12-slim AS builder
COPY requirements.txt .
RUN pip install -r requirements.txt

FROM python:3.12-slim
COPY --from=builder /usr/local /usr/local
```

```dockerfile bad lines=6
FROM python:3.12-slim AS builder
COPY requirements.txt .
RUN pip install -r requirements.txt

FROM python:3.12-slim
COPY --from=builder /usr/local/lib/python3.12/site-packages /usr/local/lib/python3.12/site-packages
COPY --from=builder /usr/local/bin /usr/local/bin
```

```dockerfile good
FROM python:3.12-slim AS builder
COPY requirements.txt .
RUN pip install --prefix=/install -r requirements.txt

FROM python:3.12-slim
COPY --from=builder /install /usr/local
```

```dockerfile good
FROM python:3.12-slim AS builder
RUN python -m venv /opt/venv
COPY requirements.txt .
RUN /opt/venv/bin/pip install -r requirements.txt

FROM python:3.12-slim
COPY --from=builder /opt/venv /opt/venv
```

A stage that begins with nothing has nothing twice:

```dockerfile good
FROM python:3.12-slim AS full
RUN pip install flask

FROM scratch
COPY --from=full / /
```

## Fix

None: which files are the dependencies', nobody can tell any more. Install into a virtual environment or with `--prefix`, and copy that.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last() else { return };
    for stage in subject.chain(last) {
        if stage.base == Base::Scratch {
            continue;
        }
        let mut reported = Vec::new();
        for brought in &subject.layout(stage).brought {
            let CopySource::Stage(from) = brought.from else { continue };
            let from = &subject.stages[from];
            let installs = subject.ships(from);
            let Some(install) = installs
                .iter()
                .find(|shipped| shipped.install.into == Destination::System && shipped.copied_by.is_none())
            else {
                continue;
            };
            let Some((source, span)) = brought.sources.iter().find(|(source, _)| holds_interpreter(source)) else {
                continue;
            };
            if reported.contains(&from.syntax.index) {
                continue;
            }
            reported.push(from.syntax.index);
            let (command, _) = subject.call(install.install.at);
            let finding = findings
                .report(*span, format!("{source} has the interpreter's own packages in it besides the dependencies"));
            if let Some(shell) = subject.step(install.install.at).shell {
                finding.label(shell.span(command.range()), "installed among them here");
            }
            finding.help("install into a virtual environment (`python -m venv /opt/venv`) or with `--prefix=/install`, and copy that");
        }
    }
}

/// Whether a directory is one that an interpreter has its own things in: above its packages, or just these.
fn holds_interpreter(path: &str) -> bool {
    let packages = |root: &str| {
        below("/", path) == Some("")
            || below(root, path).is_some()
            || path.strip_prefix(root).is_some_and(|rest| {
                let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
                matches!(rest.trim_end_matches(['/', '*']), "" | "/site-packages" | "/dist-packages")
            })
    };
    path == "/" || packages("/usr/local/lib/python3") || packages("/usr/lib/python3")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_the_interpreter() {
        for (path, expected) in [
            ("/", true),
            ("/usr", true),
            ("/usr/local", true),
            ("/usr/local/lib", true),
            ("/usr/local/lib/python3.12", true),
            ("/usr/local/lib/python3.12/site-packages", true),
            ("/usr/lib/python3/dist-packages", true),
            ("/usr/local/lib/python3.12/site-packages/numpy", false),
            ("/usr/local/bin", false),
            ("/usr/lib/x86_64-linux-gnu", false),
            ("/opt/venv", false),
            ("/install", false),
        ] {
            assert_eq!(holds_interpreter(path), expected, "{path}");
        }
    }
}
