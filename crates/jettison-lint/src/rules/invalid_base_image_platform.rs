use crate::finding::Findings;
use crate::model::{Base, Subject, facts};
use crate::rule::{Family, Fixable, Rule, Severity};

pub(super) static RULE: Rule = Rule {
    code: "JET221",
    name: "invalid-base-image-platform",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::No,
    buildkit: Some("InvalidBaseImagePlatform"),
    hadolint: &[],
    docs: r#"
The base image is for another platform than the one that is built for.

## Why

An image without an index is for one platform, and is taken whatever was asked for. Its programs do not run, or only slowly in an
emulator. This is looked for where the image is known: before a build, with `jettison build --check`.

## Example

For `linux/arm64`:

```dockerfile bad lines=1
FROM registry.example.com/amd64-only
```

```dockerfile good
FROM python:3.12-slim
```
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let Base::Image(reference) = &stage.base else { continue };
        let Some(facts) = facts(subject, stage, reference) else { continue };
        // Variants of one architecture understand each other.
        let family = |platform: &str| platform.splitn(3, '/').take(2).map(str::to_owned).collect::<Vec<_>>();
        if facts.platform.is_empty() || facts.wanted.is_empty() || family(&facts.platform) == family(&facts.wanted) {
            continue;
        }
        let image = stage.syntax.from.image.span();
        let said = format!("`{reference}` is for {}, and not for {}", facts.platform, facts.wanted);
        subject.point(findings, stage.head, image, said).help("take an image that is made for it, or another --platform");
    }
}
