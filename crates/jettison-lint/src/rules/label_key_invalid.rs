use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;

pub(super) static RULE: Rule = Rule {
    code: "JET320",
    name: "label-key-invalid",
    family: Family::General,
    severity: Severity::Style,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3048"],
    docs: r#"
The key of a label is not made as Docker's guidelines ask.

## Why

Keys are looked up by programs that others wrote. The guidelines ask for lower-case letters, digits, single `.` and `-` between them,
and a letter at the start. `com.docker`, `io.docker` and `org.dockerproject` belong to Docker.

## Example

```dockerfile bad lines=2,3,4
FROM python:3.12-slim
LABEL Maintainer="me@example.com"
LABEL com.docker.version="1" -a=1
LABEL com.example..name="x"
```

```dockerfile good
FROM python:3.12-slim
ARG KEY
LABEL org.opencontainers.image.title="x" com.example.build-date="2024" vcs_ref=1 $KEY=1
```

## Fix

None: somebody may look for the label by the key that it has.
"#,
    check,
};

/// Docker's own, and of these what is meant for others to set.
const RESERVED: [&str; 3] = ["com.docker.", "io.docker.", "org.dockerproject."];
const OFFERED: [&str; 2] = ["com.docker.desktop.extension.", "com.docker.extension."];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for (_, step) in subject.steps() {
        let InstructionKind::Label(pairs) = &step.instruction.kind else { continue };
        for pair in pairs {
            let Some(key) = step.expand(&pair.key) else { continue };
            if let Some(why) = fault(&key) {
                findings
                    .report(pair.key.span(), format!("the label key `{key}` {why}"))
                    .help("write it in lower case, as `com.example.name`");
            }
        }
    }
}

fn fault(key: &str) -> Option<&'static str> {
    let bytes = key.as_bytes();
    let is_separator = |byte: &u8| matches!(byte, b'.' | b'-' | b'_');
    if RESERVED.iter().any(|space| key.starts_with(space)) && !OFFERED.iter().any(|space| key.starts_with(space)) {
        Some("is Docker's own")
    } else if !bytes.first().is_some_and(u8::is_ascii_lowercase) {
        Some("does not begin with a lower-case letter")
    } else if !bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || is_separator(byte)) {
        Some("has other characters than lower-case letters, digits, `.` and `-`")
    } else if bytes.windows(2).any(|pair| pair.iter().all(|byte| matches!(byte, b'.' | b'-'))) {
        Some("has two separators side by side")
    } else if bytes.last().is_some_and(is_separator) {
        Some("ends with a separator")
    } else {
        None
    }
}
