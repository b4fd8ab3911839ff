use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_python::Version;

pub(super) static RULE: Rule = Rule {
    code: "JET406",
    name: "python-not-allowed",
    family: Family::Context,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &[],
    docs: r#"
The Python of the base image is not one that the project allows.

## Why

pip, uv and Poetry refuse to install a project whose `requires-python` excludes the interpreter; files that are merely copied fail at run
time, at the first new piece of syntax.

## Example

```text file=pyproject.toml
[project]
name = "app"
requires-python = ">=3.12"
```

```dockerfile bad lines=1
FROM python:3.11-slim
COPY . /app
```

```dockerfile good
FROM python:3.12-slim
COPY . /app
```
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(stage) = subject.last() else { return };
    let Some((major, Some(minor))) = stage.python().and_then(|python| python.version) else { return };
    let Some(range) = subject.context.project().and_then(|project| project.requires_python.as_ref()) else { return };
    // The newest patch release that there can be: `>=3.12.4` is no reason to complain of `python:3.12`.
    if range.allows(&Version::new([u64::from(major), u64::from(minor), 999])) {
        return;
    }
    let chain = subject.chain(stage);
    let Some(bottom) = chain.first() else { return };
    findings
        .report(
            bottom.syntax.from.image.span(),
            format!("the project wants Python {}, and this is {major}.{minor}", range.text),
        )
        .help(format!("take a base image whose Python is `{}` ({})", range.text, range.place));
}
