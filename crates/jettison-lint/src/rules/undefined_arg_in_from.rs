use crate::finding::{Findings, Fix};
use crate::model::{Subject, similar};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Expander};
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    code: "JET209",
    name: "undefined-arg-in-from",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: Some("UndefinedArgInFrom"),
    hadolint: &[],
    docs: r#"
`FROM` uses an argument that is not declared above the first `FROM`.

## Why

It is empty whatever `--build-arg` says. Only an `ARG` above the first `FROM` is seen by it; those of a stage are not.

## Example

```dockerfile bad lines=2
ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSON}-slim
```

```dockerfile fixed unsafe
ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSION}-slim
```

```dockerfile bad lines=3
FROM debian:bookworm
ARG TAG=3.12
FROM python:$TAG
```

```dockerfile good
ARG PYTHON_VERSION=3.12
FROM --platform=$BUILDPLATFORM python:${PYTHON_VERSION}-slim
```

## Fix

Unsafe: a name that is one or two letters away from a declared one is written like it.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let expander = Expander::new(subject.file.escape());
    for stage in &subject.stages {
        let from = &stage.syntax.from;
        let mut seen = BTreeSet::new();
        for word in std::iter::once(&from.image).chain(&from.platform) {
            for variable in expander.check(word).unwrap_or_default() {
                if subject.globals.variable(&variable.name).is_some() || !seen.insert(variable.name.clone()) {
                    continue;
                }
                let name = &variable.name;
                let span = word.span_of(variable.range.clone());
                let finding =
                    subject.point(findings, stage.head, span, format!("`{name}` is not declared above the first `FROM`"));
                match similar(name, subject.globals.names()) {
                    Some(meant) => {
                        let at = variable.range.start + word[variable.range.clone()].find(name.as_str()).unwrap_or(1);
                        let place = word.span_of(at..at + name.len());
                        finding
                            .help(format!("did you mean `{meant}`?"))
                            .fix(Fix::unsafe_(format!("write `{meant}`"), [Edit::replace(place, meant)]));
                    }
                    None => drop(finding.help(format!("write `ARG {name}` above the first `FROM`"))),
                }
            }
        }
    }
}
