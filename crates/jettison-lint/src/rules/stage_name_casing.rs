use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, InstructionKind, Word};

pub(super) static RULE: Rule = Rule {
    code: "JET201",
    name: "stage-name-casing",
    family: Family::General,
    severity: Severity::Style,
    default: true,
    fixable: Fixable::Always,
    buildkit: Some("StageNameCasing"),
    hadolint: &[],
    docs: r#"
The name of a stage has capital letters.

## Why

Names of stages are the same whatever their case, while names of images have no capitals at all: `FROM Build` is an error, although
there is a stage `Build`. With small letters everywhere, both are written alike.

## Example

```dockerfile bad lines=1
FROM debian:bookworm AS Build
FROM debian:bookworm
COPY --from=Build /app /app
```

```dockerfile fixed
FROM debian:bookworm AS build
FROM debian:bookworm
COPY --from=build /app /app
```

```dockerfile good
FROM debian:bookworm AS build
FROM build
```

## Fix

Safe: the name is written in small letters, and so are the places in `COPY --from` and `RUN --mount` that refer to it.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let Some(name) = &stage.syntax.from.name else { continue };
        let right = name.to_lowercase();
        if *name == right.as_str() {
            continue;
        }
        let references = references(subject).filter(|word| **word != right.as_str() && word.to_lowercase() == right);
        let edits = references.chain([name]).map(|word| Edit::replace(word.span(), right.clone())).collect::<Vec<_>>();
        subject
            .point(findings, stage.head, name.span(), format!("the stage `{name}` has capital letters in its name"))
            .help(format!("write `{right}`"))
            .fix(Fix::safe(format!("call the stage `{right}`"), edits));
    }
}

/// The words that refer to stages, besides those of `FROM`, which cannot have capitals.
fn references<'s>(subject: &'s Subject<'_>) -> impl Iterator<Item = &'s Word> {
    subject.steps().flat_map(|(_, step)| {
        let mut words = Vec::new();
        match &step.instruction.kind {
            InstructionKind::Copy(copy) => words.extend(&copy.from),
            InstructionKind::Run(run) => {
                let options = run.mounts.iter().flat_map(|mount| &mount.options);
                words.extend(options.filter(|option| option.key == "from").filter_map(|option| option.value.as_ref()));
            }
            _ => {}
        }
        words
    })
}
