use crate::finding::Findings;
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::{Expander, InstructionKind};
use jettison_oci::reference::Reference;
use std::collections::BTreeMap;

pub(super) static RULE: Rule = Rule {
    code: "JET216",
    name: "invalid-default-arg-in-from",
    family: Family::General,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: Some("InvalidDefaultArgInFrom"),
    hadolint: &[],
    docs: r#"
`FROM` names no image unless the build is given an argument.

## Why

An `ARG` without a default is empty, and `python:` is no image. Whoever builds without the flag gets an error that does not name the
argument; tools that read the file cannot tell its base.

## Example

```dockerfile bad lines=2
ARG PYTHON_VERSION
FROM python:${PYTHON_VERSION}
```

```dockerfile good
ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSION}
```

```dockerfile good
ARG SUFFIX
FROM python:3.12${SUFFIX}
```
"#,
    check,
};

/// Values of the arguments that every build sets, of the form that they have.
const PLATFORM: [(&str, &str); 11] = [
    ("BUILDPLATFORM", "linux/amd64"),
    ("BUILDOS", "linux"),
    ("BUILDOSVERSION", ""),
    ("BUILDARCH", "amd64"),
    ("BUILDVARIANT", ""),
    ("TARGETPLATFORM", "linux/amd64"),
    ("TARGETOS", "linux"),
    ("TARGETOSVERSION", ""),
    ("TARGETARCH", "amd64"),
    ("TARGETVARIANT", ""),
    ("TARGETSTAGE", "default"),
];

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let expander = Expander::new(subject.file.escape());
    let expand = |word: &str, values: &BTreeMap<String, String>| expander.word(word, values).ok().map(|word| word.value);
    let mut values: BTreeMap<String, String> =
        PLATFORM.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for instruction in subject.file.preamble() {
        let InstructionKind::Arg(arguments) = &instruction.kind else { continue };
        for argument in arguments {
            let Some(default) = &argument.default else { continue };
            let Some(value) = expand(default, &values) else { return };
            values.insert(argument.name.to_string(), value);
        }
    }
    for stage in &subject.stages {
        let image = &stage.syntax.from.image;
        let Some(name) = expand(image, &values) else { return };
        if image.is_empty() || Reference::parse(&name).is_ok() {
            continue;
        }
        let (said, help) = match image.contains('$') {
            true => (format!("without `--build-arg`, `{image}` is `{name}`, which names no image"), "give the `ARG` a default"),
            false => (format!("`{image}` names no image"), "names of images are in small letters, as `registry/name:tag`"),
        };
        subject.point(findings, stage.head, image.span(), said).help(help);
    }
}
