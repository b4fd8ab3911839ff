use crate::finding::Findings;
use crate::model::words::listed;
use crate::model::{At, OsPackage, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use crate::tables::build_packages::is_build_only;

pub(super) static RULE: Rule = Rule {
    code: "JET101",
    name: "build-tools-in-final-stage",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &[],
    docs: r#"
Compilers and headers that only a build needs are in the image.

## Why

Nothing that runs uses them. They are most of the image, they are pulled with every deployment, and whoever gets into the container finds
a compiler there. The application of our measurements, FastAPI with psycopg2 compiled from source, takes 432 MB with `gcc` and `libpq-dev`
on the slim image, and 190 MB when they stay behind in a stage of their own.

## Example

```dockerfile bad lines=2
FROM python:3.12-slim
RUN apt-get update && apt-get install -y gcc libpq-dev && rm -rf /var/lib/apt/lists/*
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
```

```dockerfile good
FROM python:3.12-slim AS builder
RUN apt-get update && apt-get install -y gcc libpq-dev && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv
COPY requirements.txt .
RUN /opt/venv/bin/pip install --no-cache-dir -r requirements.txt

FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends libpq5 && rm -rf /var/lib/apt/lists/*
COPY --from=builder /opt/venv /opt/venv
```

What the same `RUN` removes again is in no layer:

```dockerfile good
FROM python:3.12-alpine
COPY requirements.txt .
RUN apk add --no-cache libpq \
    && apk add --no-cache --virtual .build-deps gcc musl-dev postgresql-dev \
    && pip install --no-cache-dir -r requirements.txt \
    && apk del .build-deps
```

A later `RUN` comes too late, since the layer with them stays:

```dockerfile bad lines=2
FROM python:3.12-slim
RUN apt-get update && apt-get install -y gcc
RUN pip install uwsgi
RUN apt-get purge -y gcc
```

## Fix

None of its own. Install them in a stage before, and copy what was built; where there is one stage alone, `single-stage-build` says how.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last().filter(|last| subject.is_python(last)) else { return };
    let staying = subject.packages_of(last);
    let mut at: Option<At> = None;
    for package in staying.iter().filter(|package| is_build_only(&package.name)) {
        // One finding for each call, at the first of its packages.
        if at.replace(package.at) == Some(package.at) {
            continue;
        }
        let all: Vec<&&OsPackage> =
            staying.iter().filter(|other| other.at == package.at && is_build_only(&other.name)).collect();
        let names: Vec<&str> = all.iter().map(|package| package.name.as_str()).collect();
        let stay = if names.len() == 1 { "stays" } else { "stay" };
        let finding = findings.report(package.span, format!("{} {stay} in the image", listed(&names)));
        for other in &all[1..] {
            finding.label(other.span, "only a build needs it");
        }
        finding.help(match subject.stages.len() {
            1 => "build in a stage of its own, and copy from it what was built",
            _ => "install in the builder what only a build needs",
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::examples::found;

    #[test]
    fn what_is_no_python_image_or_removes_its_tools_is_fine() {
        for (text, lines) in [
            ("FROM golang:1.22\nRUN apt-get install -y gcc\n", &[][..]),
            ("FROM buildpack-deps:bookworm\nRUN apt-get install -y libbluetooth-dev tk-dev uuid-dev\n", &[]),
            (
                "FROM debian:bookworm-slim\nRUN set -eux; savedAptMark=\"$(apt-mark showmanual)\"; apt-get update; \
                 apt-get install -y gcc python3; apt-mark auto '.*' > /dev/null; apt-mark manual $savedAptMark; \
                 apt-get purge -y --auto-remove -o APT::AutoRemove::RecommendsImportant=false\n",
                &[],
            ),
            ("FROM python:3.12-slim AS base\nRUN apt-get install -y gcc\nFROM base\nRUN pip install x\n", &[2]),
            ("FROM fedora:40\nRUN dnf install -y python3 python3-devel\n", &[2]),
            ("FROM python:3.12-slim\nRUN apt-get install -y $PACKAGES git\n", &[]),
        ] {
            assert_eq!(found("JET101", text, &[]), lines, "{text}");
        }
    }
}
