use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;

pub(super) static RULE: Rule = Rule {
    code: "JET202",
    name: "from-as-casing",
    family: Family::General,
    severity: Severity::Style,
    default: true,
    fixable: Fixable::Always,
    buildkit: Some("FromAsCasing"),
    hadolint: &[],
    docs: r#"
The `AS` of a stage is not in the case of its `FROM`.

## Why

Both are keywords of one instruction, and are read as such when they look alike.

## Example

```dockerfile bad lines=1,2
FROM debian:bookworm as build
from debian:bookworm AS test
FROM debian:bookworm
```

```dockerfile fixed
FROM debian:bookworm AS build
from debian:bookworm as test
FROM debian:bookworm
```

```dockerfile good
from debian:bookworm as build
FROM debian:bookworm AS test
```

## Fix

Safe: `AS` is written in the case of `FROM`.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let (from, Some(word)) = (&stage.head.keyword, &stage.syntax.from.as_keyword) else { continue };
        // A `From` is for another rule.
        let right = if **from == *from.to_lowercase() {
            word.to_lowercase()
        } else if **from == *from.to_uppercase() {
            word.to_uppercase()
        } else {
            continue;
        };
        if *word != right.as_str() {
            subject
                .point(findings, stage.head, word.span(), format!("`{word}` is not in the case of `{from}`"))
                .help(format!("write `{right}`"))
                .fix(Fix::safe(format!("write `{right}`"), [Edit::replace(word.span(), right.clone())]));
        }
    }
}
