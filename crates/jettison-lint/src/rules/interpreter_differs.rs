use crate::finding::Findings;
use crate::model::{CopySource, Destination, Flavour, Stage, Subject};
use crate::rule::{Family, Fixable, Rule, Severity};
use jettison_dockerfile::Span;
use jettison_shell::packages::Manager;

pub(super) static RULE: Rule = Rule {
    code: "JET106",
    name: "interpreter-differs",
    family: Family::Python,
    severity: Severity::Error,
    default: true,
    fixable: Fixable::No,
    buildkit: None,
    hadolint: &[],
    docs: r#"
Dependencies are built for one interpreter and run by another.

## Why

Packages lie in a directory that has the version in its name, `lib/python3.12/site-packages`; another version looks elsewhere and finds
none. Compiled modules work with the version, and with the C library, that they were compiled for: what was built on Debian (glibc) does not
load on Alpine (musl). A virtual environment names its interpreter, `/usr/local/bin/python3` in the official images, and has none where
that path does not exist, as on Distroless.

## Example

```dockerfile bad lines=6
FROM python:3.11-slim AS builder
RUN python -m venv /opt/venv
RUN /opt/venv/bin/pip install flask

FROM python:3.12-slim
COPY --from=builder /opt/venv /opt/venv
```

```dockerfile bad lines=4
FROM python:3.12 AS builder
RUN pip install --prefix=/install flask
FROM python:3.12-alpine
COPY --from=builder /install /usr/local
```

```dockerfile bad lines=5
FROM python:3.11-slim AS builder
RUN python -m venv /opt/venv && /opt/venv/bin/pip install flask

FROM gcr.io/distroless/python3-debian12
COPY --from=builder /opt/venv /opt/venv
```

```dockerfile bad lines=5
FROM python:3.12-slim AS builder
RUN pip install flask

FROM python:3.12-slim
COPY --from=builder /usr/local/lib/python3.11/site-packages /usr/local/lib/python3.11/site-packages
```

```dockerfile good
ARG PYTHON=3.12
FROM python:${PYTHON} AS builder
RUN python -m venv /opt/venv && /opt/venv/bin/pip install flask

FROM python:${PYTHON}-slim
COPY --from=builder /opt/venv /opt/venv
```

```dockerfile good
FROM python:3.11-slim AS builder
RUN pip install --target=/packages flask

FROM gcr.io/distroless/python3-debian12
COPY --from=builder /packages /packages
ENV PYTHONPATH=/packages
```

## Fix

None: which of the two is right, nobody can tell. Name the version once, `ARG PYTHON=3.12`, and begin both stages with it.
"#,
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    let Some(last) = subject.last() else { return };
    for stage in subject.chain(last) {
        let mut reported = Vec::new();
        for shipped in subject.ships(stage) {
            let Some((at, number)) = shipped.copied_by.filter(|(at, _)| *at == stage.syntax.index) else { continue };
            let made = &subject.stages[shipped.install.at.stage];
            let Some(why) = difference(subject, made, stage, &shipped.install.into) else { continue };
            if reported.contains(&number) {
                continue;
            }
            reported.push(number);
            let span = subject.layouts()[at].brought.iter().find(|brought| brought.step == number);
            let span = span.and_then(|brought| brought.sources.first()).map_or(stage.head.span, |(_, span)| *span);
            findings.report(span, why.message).label(made.syntax.from.image.span(), why.label).help(why.help);
        }
        paths(subject, stage, &reported, findings);
    }
}

/// Paths in copies that name another version than the stage has.
fn paths(subject: &Subject<'_>, stage: &Stage<'_>, reported: &[usize], findings: &mut Findings<'_>) {
    for brought in subject.layout(stage).brought.iter().filter(|brought| !reported.contains(&brought.step)) {
        let CopySource::Stage(from) = brought.from else { continue };
        let from = &subject.stages[from];
        let mut wrong: Option<(Span, Minor, Minor)> = None;
        for (source, span) in &brought.sources {
            if let (Some(named), Some(has)) = (named(source), minor(from)) {
                wrong = wrong.or((named != has).then_some((*span, named, has)));
            }
        }
        if let (Some(named), Some(has)) = (named(&brought.destination), minor(stage)) {
            let span = stage.steps[brought.step].instruction.arguments.span();
            wrong = wrong.or((named != has).then_some((span, named, has)));
        }
        if let Some((span, named, has)) = wrong {
            let message =
                format!("the path is that of Python {}.{}, and the stage has {}.{}", named.0, named.1, has.0, has.1);
            findings.report(span, message).help("copy a virtual environment or a prefix, which no version stands in");
        }
    }
}

/// Major and minor version.
type Minor = (u32, u32);

struct Difference {
    message: String,
    label: String,
    help: &'static str,
}

/// Why what was installed in one stage does not run in another.
fn difference(subject: &Subject<'_>, made: &Stage<'_>, runs: &Stage<'_>, into: &Destination) -> Option<Difference> {
    if let (Some(a), Some(b)) = (minor(made), minor(runs))
        && a != b
        // A directory with packages alone works with any version, but for what was compiled.
        && !matches!(into, Destination::Target(_))
    {
        return Some(Difference {
            message: format!("what was installed with Python {}.{} is run by {}.{}", a.0, a.1, b.0, b.1),
            label: format!("Python {}.{}", a.0, a.1),
            help: "begin both stages with the same version",
        });
    }
    let (a, b) = (made.system(), runs.system());
    if known_libc(made) && known_libc(runs) && a.is_musl() != b.is_musl() {
        let (from, to) = if a.is_musl() { ("musl", "glibc") } else { ("glibc", "musl") };
        return Some(Difference {
            message: format!("what was compiled for {from} is run with {to}"),
            label: format!("{from} is here"),
            help: "begin both stages with the same distribution",
        });
    }
    // The interpreter that a virtual environment names.
    if let Destination::Venv(path) = into
        && let (Some(a), Some(b)) = (interpreter(made), interpreter(runs))
        && a != b
        && !by_uv(subject, made, path)
    {
        return Some(Difference {
            message: format!("the virtual environment names {a}/python3, and here Python is in {b}"),
            label: format!("its Python is in {a}"),
            help: "make the environment with the image that runs it, or install with `--target` and set PYTHONPATH",
        });
    }
    None
}

/// Major and minor version of a stage's Python, where both are known.
fn minor(stage: &Stage<'_>) -> Option<Minor> {
    let image = stage.image.as_ref()?;
    let repository = image.reference.repository();
    if let Some((_, release)) = repository.rsplit_once("distroless/python3-debian") {
        return match release {
            "11" => Some((3, 9)),
            "12" => Some((3, 11)),
            "13" => Some((3, 13)),
            _ => None,
        };
    }
    let (major, minor) = image.python.as_ref()?.version?;
    Some((major, minor?))
}

/// Where the interpreter of a stage is, if its image tells and nothing installs another.
fn interpreter(stage: &Stage<'_>) -> Option<&'static str> {
    let python = stage.python()?;
    match (python.official, python.flavour) {
        (true, _) => Some("/usr/local/bin"),
        (false, Flavour::Distroless) => Some("/usr/bin"),
        _ => None,
    }
}

fn known_libc(stage: &Stage<'_>) -> bool {
    use crate::model::System::{Alpine, Debian, Distroless, RedHat, Suse, Ubuntu, Wolfi};
    matches!(stage.system(), Alpine | Debian | Distroless | RedHat | Suse | Ubuntu | Wolfi)
}

/// Whether uv made an environment: it may have brought an interpreter of its own.
fn by_uv(subject: &Subject<'_>, stage: &Stage<'_>, path: &str) -> bool {
    let venvs = &subject.layout(stage).venvs;
    let made = venvs.iter().find(|venv| venv.path == path);
    made.is_some_and(|venv| subject.file.text(venv.span).contains("uv "))
        || stage.steps.iter().flat_map(|step| &step.packages).any(|(_, call)| call.manager == Manager::Uv)
}

/// The version in a path: `/usr/lib/python3.12/site-packages`.
fn named(path: &str) -> Option<Minor> {
    let part = path.split('/').find_map(|part| part.strip_prefix("python"))?;
    let (major, minor) = part.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use crate::examples::found;

    #[test]
    fn what_is_not_known_or_does_not_matter_is_fine() {
        let built = |builder: &str, install: &str, copy: &str, image: &str| {
            format!("FROM {builder} AS b\nRUN {install}\nFROM {image}\nCOPY --from=b {copy}\n")
        };
        let venv = "python -m venv /v && /v/bin/pip install x";
        for (text, lines) in [
            (built("python:3.12", venv, "/v /v", "python:3.12-slim"), &[][..]),
            (built("python:3.12-bookworm", venv, "/v /v", "python:3.12.7-slim-trixie"), &[]),
            (built("python:3.12", venv, "/v /v", "python:3.13-slim"), &[4]),
            (built("python:3", venv, "/v /v", "python:3.13-slim"), &[]),
            (built("python:3.12", venv, "/v /v", "example.com/runtime:1"), &[]),
            (built("python:3.12-alpine", venv, "/v /v", "python:3.12-slim"), &[4]),
            (built("python:3.12", "pip install -t /p x", "/p /p", "python:3.13-slim"), &[]),
            (built("python:3.12", "pip install -t /p x", "/p /p", "python:3.12-alpine"), &[4]),
            (built("python:3.12", "make", "/app /app", "python:3.13-slim"), &[]),
            (built("python:3.13", venv, "/v /v", "gcr.io/distroless/python3-debian13"), &[4]),
            (
                built(
                    "python:3.13",
                    "uv venv /v && uv pip install -p /v x",
                    "/v /v",
                    "gcr.io/distroless/python3-debian13",
                ),
                &[],
            ),
            (built("python:3.12", "true", "/usr/lib/python3.11/x /usr/lib/python3.12/x", "python:3.12-slim"), &[4]),
            (built("node:20", "npm ci", "/app /app", "python:3.12-slim"), &[]),
        ] {
            assert_eq!(found("JET106", &text, &[]), lines, "{text}");
        }
    }
}
