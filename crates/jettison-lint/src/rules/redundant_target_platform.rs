use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Edit, Expander};
use std::collections::BTreeMap;

pub(super) static RULE: Rule = Rule {
    code: "JET214",
    name: "redundant-target-platform",
    family: Family::General,
    severity: Severity::Style,
    default: true,
    fixable: Fixable::Always,
    buildkit: Some("RedundantTargetPlatform"),
    hadolint: &["DL3065"],
    docs: r#"
`FROM` says that the stage is for the target platform, which it is by itself.

## Why

`--platform=$TARGETPLATFORM` is what a `FROM` without the flag means.

## Example

```dockerfile bad lines=1
FROM --platform=$TARGETPLATFORM debian:bookworm
```

```dockerfile fixed
FROM debian:bookworm
```

```dockerfile good
FROM --platform=$BUILDPLATFORM debian:bookworm AS build
FROM --platform=linux/$TARGETARCH debian:bookworm
```

## Fix

Safe: the flag is taken away.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let Some(platform) = &stage.syntax.from.platform else { continue };
        let Some(flag) = subject.flag(stage.head, "platform") else { continue };
        let target = BTreeMap::from([("TARGETPLATFORM".to_owned(), "linux/any".to_owned())]);
        let Ok(expansion) = Expander::new(subject.file.escape()).word(platform, &target) else { continue };
        if expansion.variables.len() == 1 && expansion.value == "linux/any" {
            subject
                .point(findings, stage.head, flag, format!("`--platform={platform}` is what `FROM` means by itself"))
                .help("leave the flag out")
                .fix(Fix::safe("take the flag away", [Edit::delete(subject.with_space(flag))]));
        }
    }
}
