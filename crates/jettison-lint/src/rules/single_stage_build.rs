use crate::finding::Findings;
use crate::model::Subject;
use crate::model::words::listed;
use crate::rewrite;
use crate::rule::{Family, Fixable, Rule, Severity};
use crate::tables::build_packages::is_build_only;

pub(super) static RULE: Rule = Rule {
    code: "JET102",
    name: "single-stage-build",
    family: Family::Python,
    severity: Severity::Warning,
    default: true,
    fixable: Fixable::Sometimes,
    buildkit: None,
    hadolint: &[],
    docs: r#"
One stage compiles the dependencies and runs the application.

## Why

All that a build needs then stays in the image. Measured on one application, FastAPI with psycopg2 compiled from source: 1,043 MB in one
stage on the full image, 432 MB in one stage on the slim image, 190 MB in two stages with a virtual environment, 176 MB in two with a prefix.

## Example

```dockerfile bad lines=1
FROM python:3.12-slim
RUN apt-get update && apt-get install -y gcc libpq-dev
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
CMD ["python", "main.py"]
```

```dockerfile fixed
# builder installs the dependencies; only /opt/venv goes into the image.
FROM python:3.12-slim AS builder
RUN apt-get update && apt-get install -y gcc libpq-dev
RUN python -m venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH"
COPY requirements.txt .
RUN pip install -r requirements.txt
RUN python -m pip uninstall --yes pip

# runtime is the image.
FROM python:3.12-slim AS runtime
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=builder /opt/venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH"
COPY . .
RUN useradd --uid 65532 --user-group --create-home --shell /usr/sbin/nologin app
USER 65532:65532
CMD ["python", "main.py"]
```

```dockerfile bad lines=1
FROM python:3.12
COPY requirements.txt .
RUN pip install -r requirements.txt
```

```dockerfile good
FROM python:3.12-slim AS builder
RUN apt-get update && apt-get install -y gcc libpq-dev
RUN python -m venv /opt/venv
COPY requirements.txt .
RUN /opt/venv/bin/pip install -r requirements.txt

FROM python:3.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends libpq5
COPY --from=builder /opt/venv /opt/venv
COPY . .
CMD ["/opt/venv/bin/python", "main.py"]
```

Where nothing is compiled, one stage on the slim image is all that it takes:

```dockerfile good
FROM python:3.12-slim
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
CMD ["python", "main.py"]
```

## Fix

Safe: what builds moves into a stage `builder`, whose virtual environment is copied to a stage on the slim image with the libraries that it
runs with, and the application runs as a user of its own, unless it is seen to write files (`VOLUME`, `mkdir`, a database in the context) or
to listen on a port below 1024. It is made only where every instruction is understood; the finding says which one is not. Instructions and
comments that stay are kept as they were written.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last() else { return };
    let shipped = subject.ships(last);
    let builds_here = shipped.iter().any(|shipped| shipped.copied_by.is_none());
    if !builds_here || shipped.iter().any(|shipped| shipped.copied_by.is_some()) {
        return;
    }
    let tools: Vec<_> = subject.packages_of(last).into_iter().filter(|package| is_build_only(&package.name)).collect();
    let is_full = last.image.as_ref().is_some_and(|image| image.is_full_python());
    if tools.is_empty() && !is_full {
        return;
    }
    let finding =
        findings.report(last.syntax.from.image.span(), "this stage builds the dependencies and runs the application");
    match tools.first() {
        Some(first) => {
            let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
            finding.label(first.span, format!("only the build needs {}", listed(&names)));
            finding.help(
                "install in a stage `AS builder`, and copy its virtual environment to a stage that has no compiler",
            );
        }
        None => {
            finding
                .help("install in a stage `AS builder`, and copy its virtual environment to a stage on the slim image");
        }
    }
    match rewrite::two_stages(subject) {
        Ok(fix) => drop(finding.fix(fix)),
        Err(obstacle) => drop(finding.label(obstacle.span, format!("no fix is made: {}", obstacle.why))),
    }
}

#[cfg(test)]
mod tests {
    use crate::examples::found;

    #[test]
    fn one_stage_is_fine_where_nothing_is_compiled() {
        for (text, lines) in [
            ("FROM python:3.12\nCMD [\"python\"]\n", &[][..]),
            ("FROM python:3.12\nRUN pip install flask\n", &[1]),
            ("FROM python:3.12-slim\nRUN apt-get install -y libpq5 && pip install psycopg2-binary\n", &[]),
            ("FROM python:3.12-slim\nRUN apt-get install -y gcc && pip install uwsgi && apt-get purge -y gcc\n", &[]),
            ("FROM python:3.12 AS b\nRUN pip install -t /p x\nFROM python:3.12\nCOPY --from=b /p /p\n", &[]),
            ("FROM node AS web\nRUN npm ci\nFROM python:3.12\nRUN pip install x\nCOPY --from=web /d /d\n", &[3]),
            ("FROM debian:12\nRUN apt-get install -y gcc make\n", &[]),
        ] {
            assert_eq!(found("JET102", text, &[]), lines, "{text}");
        }
    }
}
