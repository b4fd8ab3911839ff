use crate::config::LabelType;
use crate::finding::Findings;
use crate::model::{Subject, label_fault};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;

pub(super) static RULE: Rule = Rule {
    code: "JET323",
    name: "label-value-invalid",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3051", "DL3052", "DL3053", "DL3054", "DL3055", "DL3056", "DL3058"],
    docs: r#"
The value of a label is not what the label is for.

## Why

Programs read labels: a registry shows `org.opencontainers.image.source` as a link, a scanner takes `licenses` for an SPDX expression,
a cleaner compares `created`. What they cannot read they ignore, and nobody hears of it.

The labels of the OCI image specification have their types by themselves; `label-schema` in the configuration gives types to others:
`text` (not empty), `url`, `rfc3339`, `spdx`, `hash` (a commit of git), `semver`, `email`.

## Example

```dockerfile bad lines=2,3,4
FROM python:3.12-slim
LABEL org.opencontainers.image.source="example/app"
LABEL org.opencontainers.image.created="2024-01-02 03:04"
LABEL org.opencontainers.image.licenses="Apache License 2.0"
```

```toml configuration
[lint.label-schema]
revision = "hash"
"com.example.version" = "semver"
maintainer = "email"
team = "text"
```

```dockerfile bad lines=2,3
FROM python:3.12-slim
LABEL revision="main" team=""
LABEL com.example.version="1" maintainer="me"
```

```dockerfile good
FROM python:3.12-slim
ARG NOW
LABEL org.opencontainers.image.source="https://example.com/app" \
      org.opencontainers.image.created="$NOW" \
      org.opencontainers.image.licenses="MIT OR (Apache-2.0 AND GPL-2.0+ WITH Classpath-exception-2.0)" \
      org.opencontainers.image.revision="v1"
LABEL revision=0123abc com.example.version=1.2.3-rc.1+x86 maintainer="Me <me@example.com>" team=us
```

## Fix

None.
"#,
    check,
};

/// What the labels of the image specification hold (annotations.md, "Pre-Defined Annotation Keys").
const SPECIFIED: [(&str, LabelType); 5] = [
    ("org.opencontainers.image.created", LabelType::Rfc3339),
    ("org.opencontainers.image.documentation", LabelType::Url),
    ("org.opencontainers.image.licenses", LabelType::Spdx),
    ("org.opencontainers.image.source", LabelType::Url),
    ("org.opencontainers.image.url", LabelType::Url),
];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step) in subject.steps() {
        let InstructionKind::Label(pairs) = &step.instruction.kind else { continue };
        for pair in pairs {
            let (Some(key), Some(value)) = (step.expand(&pair.key), step.expand(&pair.value)) else { continue };
            let specified = SPECIFIED.iter().find(|(name, _)| *name == key).map(|(_, kind)| *kind);
            let Some(kind) = subject.config.label_schema.get(&key).copied().or(specified) else { continue };
            if let Some((fault, help)) = label_fault(kind, &value) {
                findings.report(pair.value.span(), format!("the label `{key}` {fault}")).help(help);
            }
        }
    }
}
