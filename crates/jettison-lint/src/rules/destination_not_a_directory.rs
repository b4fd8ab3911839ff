use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;
use jettison_dockerfile::instruction::InstructionKind;

pub(super) static RULE: Rule = Rule {
    code: "JET311",
    name: "destination-not-a-directory",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &["DL3021"],
    docs: r#"
Several files are copied to a destination that does not end with `/`.

## Why

A destination without a slash is the name of one file. With more than one source the build stops there: "the destination must be a
directory and end with a /".

## Example

```dockerfile bad lines=2,3
FROM python:3.12-slim
COPY pyproject.toml uv.lock /app
ADD ["a.txt", "b.txt", "/data"]
```

```dockerfile fixed
FROM python:3.12-slim
COPY pyproject.toml uv.lock /app/
ADD ["a.txt", "b.txt", "/data/"]
```

```dockerfile good
FROM python:3.12-slim
ARG TARGET
COPY pyproject.toml uv.lock ./
COPY one.txt two.txt .
COPY src /app
COPY one.txt two.txt $TARGET
```

## Fix

Safe: the `/` is written.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step) in subject.steps() {
        let transfer = match &step.instruction.kind {
            InstructionKind::Copy(copy) => &copy.transfer,
            InstructionKind::Add(add) => &add.transfer,
            _ => continue,
        };
        let word = &transfer.destination;
        let Some(path) = step.expand(word).filter(|_| transfer.sources.len() > 1) else { continue };
        if path.ends_with(['/', '\\']) || matches!(path.rsplit('/').next(), Some("." | "..")) || path.is_empty() {
            continue;
        }
        // A quote that belongs to the word stays behind the slash.
        let end = match word.ends_with(['"', '\'']) {
            true => word.locate(word.len() - 1),
            false => word.span_of(0..word.len()).end,
        };
        findings
            .report(word.span(), format!("`{path}` is to hold {} files, but is no directory", transfer.sources.len()))
            .help(format!("write `{path}/`"))
            .fix(Fix::safe("write the `/`", [Edit::insert(end, "/")]));
    }
}
