use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;
use std::collections::BTreeSet;

pub(super) static RULE: Rule = Rule {
    code: "JET321",
    name: "label-missing",
    family: Family::General,
    severity: Severity::Info,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3049"],
    docs: r#"
The image lacks a label that the configuration asks for.

## Why

Whoever finds an image in a registry wants to know whose it is and from which commit. `label-schema` in the configuration says which
labels tell that, and what their values are. Without that key this rule has nothing to say.

## Example

```toml configuration
[lint.label-schema]
"org.opencontainers.image.source" = "url"
maintainer = "text"
```

```dockerfile bad lines=3
FROM golang:1.23 AS builder
LABEL maintainer="builders"
FROM python:3.12-slim
LABEL maintainer="me"
```

```dockerfile good
FROM python:3.12-slim AS base
LABEL maintainer="me"
FROM base
LABEL org.opencontainers.image.source="https://example.com/app"
```

## Fix

None: only you know the value.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last().filter(|_| !subject.config.label_schema.is_empty()) else { return };
    let mut present = BTreeSet::new();
    for step in subject.shipped() {
        let InstructionKind::Label(pairs) = &step.instruction.kind else { continue };
        // A key that only a build can tell may be any of them.
        for pair in pairs {
            let Some(key) = step.expand(&pair.key) else { return };
            present.insert(key);
        }
    }
    for (label, _) in subject.config.label_schema.iter().filter(|(label, _)| !present.contains(*label)) {
        findings
            .report(last.head.span, format!("the label `{label}` is missing"))
            .help(format!("write `LABEL {label}=…`"));
    }
}
