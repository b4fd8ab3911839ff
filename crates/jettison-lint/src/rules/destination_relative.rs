use crate::finding::Findings;
use crate::model::{Subject, System};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;

pub(super) static RULE: Rule = Rule {
    code: "JET317",
    name: "destination-relative",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3045"],
    docs: r#"
`COPY` or `ADD` has a relative destination, and no `WORKDIR` says where that is.

## Why

Without a `WORKDIR` the base image decides. Most have none, and then the application is poured into `/`, between `/bin` and `/etc`;
and another base image may decide otherwise.

## Example

```dockerfile bad lines=2
FROM python:3.12-slim
COPY . .
CMD ["python", "main.py"]
```

```dockerfile good
FROM python:3.12-slim AS base
WORKDIR /app
FROM base
COPY . .
COPY main.py /srv/
```

```dockerfile good
FROM registry.example.com/team/base:1
COPY . .
```

Nothing is said of images of which the name does not tell what they are: they may have a `WORKDIR`.

## Fix

None: write `WORKDIR /app` above it.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let known = match stage.system() {
            System::Unknown | System::Distroless | System::Windows | System::Wolfi => false,
            System::Scratch => true,
            // Official images of a language and of a distribution leave the directory at `/`.
            _ => stage.image.as_ref().is_some_and(|image| image.reference.name().starts_with("docker.io/library/")),
        };
        if !known {
            continue;
        }
        let named = |stage: &&crate::model::Stage<'_>| stage.steps.iter().any(|step| step.name() == "WORKDIR");
        let below = subject.chain(stage);
        let inherited = below[..below.len().saturating_sub(1)].iter().any(named);
        for step in &stage.steps {
            let destination = match &step.instruction.kind {
                InstructionKind::Workdir(_) => break,
                InstructionKind::Copy(copy) => &copy.transfer.destination,
                InstructionKind::Add(add) => &add.transfer.destination,
                _ => continue,
            };
            let relative = |path: &String| !path.starts_with(['/', '\\']) && path.get(1..2) != Some(":");
            if let Some(path) = step.expand(destination).filter(|_| !inherited).filter(relative) {
                findings
                    .report(destination.span(), format!("no `WORKDIR` says where `{path}` is"))
                    .help("write `WORKDIR /app` above it");
            }
        }
    }
}
