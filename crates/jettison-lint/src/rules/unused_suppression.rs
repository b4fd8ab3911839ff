use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};

pub(super) static RULE: Rule = Rule {
    code: super::UNUSED_SUPPRESSION,
    name: "unused-suppression",
    family: Family::General,
    severity: Severity::Info,
    default: false,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
A comment says to ignore what is not there.

## Why

It was right once. Left in place it hides the next fault of that kind, which nobody looked at.

## Example

```dockerfile bad lines=1,3
# jettison: ignore=unbuffered-output-missing
ARG VERSION=3.12
# hadolint ignore=DL3015,JET120
FROM python:${VERSION}-slim
CMD ["python", "main.py"]
```

```dockerfile fixed
ARG VERSION=3.12
# hadolint ignore=JET120
FROM python:${VERSION}-slim
CMD ["python", "main.py"]
```

```dockerfile good
# jettison: ignore=unbuffered-output-missing it is read by nobody
FROM python:3.12-slim
CMD ["python", "main.py"]
```

## Fix

Safe: the word is removed, and the comment with its last word.
"#,
    check,
};

/// What is unused is known when all other rules are done: `lint` sees to it.
fn check(_: &Subject<'_>, _: &mut Findings<'_>) {}
