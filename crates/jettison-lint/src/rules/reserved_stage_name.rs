use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};

pub(super) static RULE: Rule = Rule {
    code: "JET206",
    name: "reserved-stage-name",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::No,
    buildkit: Some("ReservedStageName"),
    hadolint: &["DL3063"],
    docs: r#"
A stage has a name that means something else.

## Why

`scratch` is the empty image and `context` the build context. A stage of that name is not found, or hides what the name stood for.

## Example

```dockerfile bad lines=1
FROM debian:bookworm AS scratch
FROM scratch
```

```dockerfile good
FROM debian:bookworm AS build
FROM scratch
```
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        let Some(name) = &stage.syntax.from.name else { continue };
        if matches!(name.to_lowercase().as_str(), "scratch" | "context") {
            subject
                .point(findings, stage.head, name.span(), format!("`{name}` cannot name a stage: it means something else"))
                .help("give the stage another name");
        }
    }
}
