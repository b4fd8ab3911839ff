use crate::finding::Findings;
use crate::model::{Base, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::{InstructionKind, Source};

pub(super) static RULE: Rule = Rule {
    code: "JET326",
    name: "whole-filesystem-copied",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3067"],
    docs: r#"
All files of another stage or image are copied into this one.

## Why

Copying `/` brings the system of the other stage with all that was needed to build: what a second stage is there to leave behind. And
it puts one distribution on top of another.

## Example

```dockerfile bad lines=4
FROM golang:1.23 AS builder
RUN go build -o /app ./cmd
FROM debian:bookworm-slim
COPY --from=builder / /
```

```dockerfile good
FROM debian:bookworm-slim AS system
RUN rm -rf /usr/share/doc
FROM scratch
COPY --from=system / /
```

On `scratch` it is the way to make one layer of many, and no fault.

## Fix

None: copy what the program needs.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (stage, step) in subject.steps() {
        let InstructionKind::Copy(copy) = &step.instruction.kind else { continue };
        if copy.from.is_none() || stage.base == Base::Scratch || step.destination().as_deref() != Some("/") {
            continue;
        }
        for source in &copy.transfer.sources {
            let Source::Path(path) = source else { continue };
            if step.expand(path).is_some_and(|path| matches!(path.as_str(), "/" | "/." | "/*" | "." | "./" | "*")) {
                findings
                    .report(path.span(), "the whole file system of another stage is copied")
                    .help("name the files and directories that are needed");
            }
        }
    }
}
