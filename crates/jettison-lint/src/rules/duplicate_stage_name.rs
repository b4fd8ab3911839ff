use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use std::collections::BTreeMap;

pub(super) static RULE: Rule = Rule {
    code: "JET205",
    name: "duplicate-stage-name",
    family: Family::General,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::No,
    buildkit: Some("DuplicateStageName"),
    hadolint: &["DL3024"],
    docs: r#"
Two stages have the same name.

## Why

Of two stages with one name, later instructions and `--target` take the last, so the first cannot be reached by its name.

## Example

```dockerfile bad lines=3
FROM debian:bookworm AS build
RUN make
FROM debian:trixie AS Build
RUN make
```

```dockerfile good
FROM debian:bookworm AS build
FROM debian:trixie AS test
```
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let mut seen = BTreeMap::new();
    for stage in &subject.stages {
        let Some(name) = &stage.syntax.from.name else { continue };
        if let Some(earlier) = seen.insert(name.to_lowercase(), name.span()) {
            subject
                .point(findings, stage.head, name.span(), format!("there is a stage `{name}` already"))
                .label(earlier, "the first one")
                .help("give each stage a name of its own");
        }
    }
}
