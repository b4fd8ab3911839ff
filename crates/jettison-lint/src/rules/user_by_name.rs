use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::instruction::InstructionKind;

pub(super) static RULE: Rule = Rule {
    code: "JET325",
    name: "user-by-name",
    family: Family::General,
    severity: Severity::Info,
    default: false,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3066"],
    docs: r#"
The image names its user by a word, and not by a number.

## Why

Who runs the image sees its configuration, not its `/etc/passwd`. Kubernetes refuses such an image where `runAsNonRoot` is set:
"container has runAsNonRoot and image has non-numeric user".

## Example

```dockerfile bad lines=3
FROM python:3.12-slim
RUN useradd -u 10001 app
USER app
```

```dockerfile good
FROM python:3.12-slim AS tests
USER tester
FROM python:3.12-slim
USER www-data
RUN make
USER 10001:10001
```

## Fix

None: the number may be that of `useradd -u`, or the next free one.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let users = subject.shipped().filter_map(|step| match &step.instruction.kind {
        InstructionKind::User(word) => Some((step, word)),
        _ => None,
    });
    let Some((step, word)) = users.last() else { return };
    let Some(user) = step.expand(word) else { return };
    let name = user.split(':').next().unwrap_or_default();
    if !name.is_empty() && !name.bytes().all(|byte| byte.is_ascii_digit()) {
        findings
            .report(word.span(), format!("the user `{name}` is no number"))
            .help("write the user's number, and give it to `useradd -u`");
    }
}
