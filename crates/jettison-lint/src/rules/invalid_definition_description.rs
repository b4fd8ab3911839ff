use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, InstructionKind};

pub(super) static RULE: Rule = Rule {
    code: "JET218",
    name: "invalid-definition-description",
    family: Family::General,
    severity: Severity::Style,
    default: false,
    fixable: Fixable::Always,
    buildkit: Some("InvalidDefinitionDescription"),
    hadolint: &[],
    docs: r#"
The comment above a stage or an argument does not begin with its name.

## Why

`docker build --call=outline` and `--call=targets` show such comments as descriptions: `# name what it is for`, right above `ARG` and
`FROM … AS name`. One that does not begin with the name is not shown. BuildKit looks for it when a file says
`# check=experimental=InvalidDefinitionDescription`.

## Example

```dockerfile bad lines=2
# the interpreter to use
ARG PYTHON=3.12
FROM python:$PYTHON
```

```dockerfile fixed
# the interpreter to use
#
ARG PYTHON=3.12
FROM python:$PYTHON
```

```dockerfile good
# PYTHON the interpreter to use
ARG PYTHON=3.12
# build compiles
FROM python:$PYTHON AS build
# what has no name needs no description
FROM python:$PYTHON
```

## Fix

Safe: a line with `#` alone is written below the comment, so that it is not taken for a description.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for instruction in subject.file.instructions() {
        let names: Vec<String> = match &instruction.kind {
            InstructionKind::Arg(arguments) => arguments.iter().map(|argument| argument.name.to_string()).collect(),
            InstructionKind::From(from) => from.name.iter().map(|name| name.to_lowercase()).collect(),
            _ => continue,
        };
        let (Some(comment), Some(name)) = (instruction.comments.last(), names.first()) else { continue };
        let first = comment.split(' ').next().unwrap_or_default();
        if names.iter().any(|name| name == first) {
            continue;
        }
        let start = instruction.keyword.span().start;
        let indent = subject.file.source()[..start].rsplit('\n').next().unwrap_or_default();
        findings
            .report(instruction.keyword.span(), format!("the comment above does not begin with `{name}`"))
            .help(format!("write `# {name} …`, or `#` alone between the two"))
            .fix(Fix::safe("write `#` below the comment", [Edit::insert(start, format!("#\n{indent}"))]));
    }
}
