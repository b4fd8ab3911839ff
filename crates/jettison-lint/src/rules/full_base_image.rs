use crate::finding::{Findings, Fix};
use crate::model::Subject;
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Edit;

pub(super) static RULE: Rule = Rule {
    code: "JET107",
    name: "full-base-image",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
The image is made of the full Python image where the slim one would do.

## Why

`python:3.12` has compilers, headers and version control in it, about 1 GB; `python:3.12-slim` has what Python needs to run, 125 MB
unpacked and 46 MB to pull. An application that runs on one runs on the other, unless it calls programs or loads libraries of the system.

## Example

```dockerfile bad lines=1
FROM python:3.12
COPY . .
CMD ["python", "main.py"]
```

```dockerfile fixed unsafe
FROM python:3.12-slim
COPY . .
CMD ["python", "main.py"]
```

```dockerfile bad lines=2
ARG VERSION=3.12
FROM python:${VERSION}-bookworm AS base
FROM base
CMD ["python", "main.py"]
```

```dockerfile fixed unsafe
ARG VERSION=3.12
FROM python:${VERSION}-slim-bookworm AS base
FROM base
CMD ["python", "main.py"]
```

A builder may be as large as it likes:

```dockerfile good
FROM python:3.12 AS builder
RUN pip install --prefix=/install flask
FROM python:3.12-slim
COPY --from=builder /install /usr/local
```

## Fix

Unsafe: the tag becomes that of the slim image. What is compiled in this stage needs a compiler then, and what runs may need libraries that the
full image has.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(bottom) = subject.last().and_then(|last| subject.chain(last).into_iter().next()) else { return };
    let Some(image) = bottom.image.as_ref().filter(|image| image.is_full_python()) else { return };
    let word = &bottom.syntax.from.image;
    let finding = findings.report(
        word.span(),
        format!("the image is made of {}, with compilers and headers in it", image.reference.familiar()),
    );
    let Some(slim) = slim(word.as_str()) else {
        finding.help("take the slim image");
        return;
    };
    finding
        .help(format!("take `{slim}`"))
        .fix(Fix::unsafe_(format!("take `{slim}`"), [Edit::replace(word.span(), slim.clone())]));
}

/// The name of the slim image, written as the name of the full one is.
fn slim(name: &str) -> Option<String> {
    if name.contains('@') {
        return None;
    }
    // A colon behind the last slash that is in no braces: `${IMAGE:-python}` has none.
    let start = name.rfind('/').map_or(0, |slash| slash + 1);
    let colon = name[start..].find(':').map(|at| start + at).filter(|at| !name[..*at].contains('{'));
    let Some(colon) = colon else {
        return (!name.contains('$')).then(|| format!("{name}:slim"));
    };
    let (repository, tag) = (&name[..colon], &name[colon + 1..]);
    if tag == "latest" {
        return Some(format!("{repository}:slim"));
    }
    // `3.12-bookworm` is `3.12-slim-bookworm`; a variable alone may hold either.
    const SUITES: [&str; 7] = ["trixie", "bookworm", "bullseye", "buster", "stretch", "forky", "sid"];
    match tag.rsplit_once('-') {
        Some((version, suite)) if SUITES.contains(&suite) => Some(format!("{repository}:{version}-slim-{suite}")),
        _ if SUITES.contains(&tag) => Some(format!("{repository}:slim-{tag}")),
        _ => Some(format!("{repository}:{tag}-slim")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slim_image_has_a_name_like_the_full_one() {
        for (full, expected) in [
            ("python", Some("python:slim")),
            ("python:latest", Some("python:slim")),
            ("python:3", Some("python:3-slim")),
            ("python:3.12.4-bookworm", Some("python:3.12.4-slim-bookworm")),
            ("python:trixie", Some("python:slim-trixie")),
            ("host:5000/library/python:3.12", Some("host:5000/library/python:3.12-slim")),
            ("host:5000/library/python", Some("host:5000/library/python:slim")),
            ("python:${V:-3.12}", Some("python:${V:-3.12}-slim")),
            ("python:3.12@sha256:00", None),
            ("${IMAGE:-python:3.12}", None),
        ] {
            assert_eq!(slim(full).as_deref(), expected, "{full}");
        }
    }
}
