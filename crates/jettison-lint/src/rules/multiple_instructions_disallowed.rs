use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Instruction, InstructionKind, NodeKind};
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
        let mut seen: BTreeMap<&str, &Instruction> = BTreeMap::new();
        for step in &stage.steps {
            let name = match &step.instruction.kind {
                InstructionKind::Cmd(_) => "CMD",
                InstructionKind::Entrypoint(_) => "ENTRYPOINT",
                InstructionKind::Healthcheck(_) => "HEALTHCHECK",
                _ => continue,
            };
            let Some(earlier) = seen.insert(name, step.instruction) else { continue };
            let is_it = |kind| matches!(kind, NodeKind::Instruction(_));
            let mut nodes = subject.file.nodes().iter();
            let node = nodes.find(|node| is_it(node.kind) && node.span.contains(earlier.keyword.span()));
            findings
                .report(earlier.keyword.span(), format!("this `{name}` does not count, since another one follows"))
                .label(step.instruction.keyword.span(), "the one that counts")
                .help("take it away")
                .fix(Fix::safe(
                    format!("take the earlier `{name}` away"),
                    [Edit::delete(node.map_or(earlier.span, |node| node.span))],
                ));
        }
    }
}
