use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Instruction, InstructionKind, NodeKind, Span};
use std::collections::BTreeMap;

pub(super) static RULE: Rule = Rule {
    code: "JET212",
    name: "multiple-instructions-disallowed",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Always,
    buildkit: Some("MultipleInstructionsDisallowed"),
    hadolint: &["DL4003", "DL4004", "DL3012"],
    docs: r#"
`CMD`, `ENTRYPOINT` or `HEALTHCHECK` is given more than once in a stage.

## Why

Each sets one value of the image, so the last one of a stage is all that counts, and the others say something that is not so.

## Example

```dockerfile bad lines=2
FROM debian:bookworm
CMD ["sh"]
CMD ["bash"]
```

```dockerfile fixed
FROM debian:bookworm
CMD ["bash"]
```

```dockerfile good
FROM debian:bookworm AS base
CMD ["sh"]
FROM base
ENTRYPOINT ["env"]
CMD ["bash"]
```

## Fix

Safe: those that do not count are taken away.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let mut all: BTreeMap<&str, Vec<&Instruction>> = BTreeMap::new();
        for step in &stage.steps {
            let name = match &step.instruction.kind {
                InstructionKind::Cmd(_) => "CMD",
                InstructionKind::Entrypoint(_) => "ENTRYPOINT",
                InstructionKind::Healthcheck(_) => "HEALTHCHECK",
                _ => continue,
            };
            all.entry(name).or_default().push(step.instruction);
        }
        for (name, instructions) in all {
            let Some((last, earlier)) = instructions.split_last() else { continue };
            for instruction in earlier {
                findings
                    .report(
                        instruction.keyword.span(),
                        format!("this `{name}` does not count, since another one follows"),
                    )
                    .label(last.keyword.span(), "the one that counts")
                    .help("take it away")
                    .fix(Fix::safe(
                        format!("leave the last `{name}` alone"),
                        earlier.iter().map(|instruction| Edit::delete(lines(subject, instruction))).collect::<Vec<_>>(),
                    ));
            }
        }
    }
}

/// The lines of an instruction, the end of the last included.
fn lines(subject: &Subject<'_>, instruction: &Instruction) -> Span {
    let mut nodes = subject.file.nodes().iter().filter(|node| matches!(node.kind, NodeKind::Instruction(_)));
    nodes.find(|node| node.span.contains(instruction.keyword.span())).map_or(instruction.span, |node| node.span)
}
