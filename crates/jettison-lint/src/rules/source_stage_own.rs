use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;

pub(super) static RULE: Rule = Rule {
    code: "JET313",
    name: "source-stage-own",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3023"],
    docs: r#"
`COPY --from` or a mount names the stage that it stands in.

## Why

A stage cannot wait for itself. BuildKit calls it a circular dependency, and nothing is built.

## Example

```dockerfile bad lines=2,4
FROM golang:1.23 AS builder
COPY --from=builder /a /b
FROM debian:bookworm-slim AS final
COPY --from=1 /a /b
```

```dockerfile good
FROM golang:1.23 AS builder
RUN cp /a /b
FROM debian:bookworm-slim AS final
COPY --from=builder /a /b
```

## Fix

None: inside of one stage `RUN cp` copies.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (stage, step) in subject.steps() {
        let index = stage.syntax.index;
        let words: Vec<_> = match &step.instruction.kind {
            InstructionKind::Copy(copy) => copy.from.iter().collect(),
            InstructionKind::Run(run) => {
                let options = run.mounts.iter().flat_map(|mount| &mount.options);
                options.filter(|o| o.key.eq_ignore_ascii_case("from")).filter_map(|o| o.value.as_ref()).collect()
            }
            _ => continue,
        };
        for from in words {
            let own = stage.syntax.name.as_deref() == Some(&*from.to_lowercase()) || from.parse() == Ok(index);
            // An earlier stage of the same name is the one that is meant.
            if own && subject.stage(from, index).is_none() {
                findings
                    .report(from.span(), format!("`{from}` is this very stage"))
                    .label(stage.head.span, "it begins here")
                    .help("copy with `RUN cp` inside of a stage, or name another one");
            }
        }
    }
}
