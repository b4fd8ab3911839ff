use crate::finding::Findings;
use crate::model::{Base, BaseImage, Subject, System};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Word;
use jettison_dockerfile::instruction::InstructionKind;
use jettison_oci::reference::Reference;

pub(super) static RULE: Rule = Rule {
    code: "JET117",
    name: "floating-base-tag",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &["DL3006", "DL3007"],
    docs: r#"
The tag of a base image says too little about what is in it.

## Why

`python`, `python:latest`, `python:3` and `python:slim` become another Python each October, between one build and the next: a new minor
version without wheels for half of the requirements, a new Debian with other library names. `python:3.12-slim` stays Python 3.12.

## Example

```dockerfile bad lines=1
FROM python
```

```dockerfile bad lines=1,4
FROM python:3-slim AS builder
RUN pip install --prefix=/install flask==3.1.0
FROM python:3.12-slim
COPY --from=ghcr.io/astral-sh/uv:latest /uv /bin/
COPY --from=builder /install /usr/local
```

```dockerfile good
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS builder
FROM builder AS test
FROM scratch
COPY --from=builder /x /x
```

A digest says all there is to say:

```dockerfile good
FROM python@sha256:0000000000000000000000000000000000000000000000000000000000000000
```

## Fix

None: which version is meant is yours to say.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for stage in &subject.stages {
        if let Base::Image(reference) = &stage.base {
            look(&stage.syntax.from.image, reference, findings);
        }
        for step in &stage.steps {
            // A stage is meant before an image of its name.
            if let InstructionKind::Copy(copy) = &step.instruction.kind
                && let Some(from) = &copy.from
                && subject.stage(from, stage.syntax.index).is_none()
                && from.contains('/')
                && let Ok(reference) = Reference::parse(from)
            {
                look(from, &reference, findings);
            }
        }
    }
}

fn look(word: &Word, reference: &Reference, findings: &mut Findings<'_>) {
    let image = BaseImage::new(reference.clone());
    // Their tags are no versions.
    let unversioned = matches!(image.system, System::Distroless | System::Wolfi);
    if reference.digest().is_some() || unversioned {
        return;
    }
    let name = reference.familiar();
    let bare = name.strip_suffix(&format!(":{}", reference.tag().unwrap_or_default())).unwrap_or(&name);
    let official = image.python.as_ref().is_some_and(|python| python.official);
    let help = if official {
        "write `python:3.13-slim`, or the version that you mean"
    } else {
        "write a tag that names a version"
    };
    let message = match reference.tag() {
        None => format!("{bare} is whatever the newest is"),
        Some(tag) if tag == "latest" || tag.starts_with("latest-") => format!("{bare}:{tag} is whatever the newest is"),
        Some(tag @ ("rolling" | "edge" | "nightly" | "devel")) => format!("{bare}:{tag} changes all the time"),
        Some(tag) if official => match image.python.and_then(|python| python.version) {
            Some((_, Some(_))) => return,
            Some((major, None)) => format!("{bare}:{tag} is whatever the newest Python {major} is"),
            None => format!("{bare}:{tag} is whatever the newest Python is"),
        },
        Some(_) => return,
    };
    findings.report(word.span(), message).help(help);
}

#[cfg(test)]
mod tests {
    use crate::{Config, Context, Selector, lint};
    use jettison_dockerfile::Dockerfile;

    /// The texts at which the rule finds something.
    fn found(text: &str) -> Vec<String> {
        let config = Config { select: Selector::parse("JET117").unwrap(), ..Config::default() };
        let file = Dockerfile::parse(text);
        let found = lint(&file, &Context::none(), &(), &config);
        let place = |finding: &crate::Finding| match finding.place {
            crate::Place::Dockerfile(span) => file.text(span).to_owned(),
            crate::Place::Context { .. } => String::new(),
        };
        found.iter().map(place).collect()
    }

    #[test]
    fn tags_that_say_enough() {
        for (text, expected) in [
            (r#"FROM python:3.12"#, &[] as &[&str]),
            (r#"FROM python:3.12.4-alpine3.20"#, &[] as &[&str]),
            (r#"FROM python:slim-bookworm"#, &[r#"python:slim-bookworm"#] as &[&str]),
            (r#"FROM python:3-alpine"#, &[r#"python:3-alpine"#] as &[&str]),
            (r#"FROM ubuntu:rolling"#, &[r#"ubuntu:rolling"#] as &[&str]),
            (r#"FROM node:lts-slim"#, &[] as &[&str]),
            (r#"FROM gcr.io/distroless/python3-debian12"#, &[] as &[&str]),
            (r#"FROM cgr.dev/chainguard/python:latest"#, &[] as &[&str]),
            (r#"FROM $BASE"#, &[] as &[&str]),
            (r#"FROM example.com:5000/app"#, &[r#"example.com:5000/app"#] as &[&str]),
        ] {
            assert_eq!(found(&format!("FROM scratch\n{text}\n")), *expected, "{text}");
        }
    }
}
