//! Naive Dockerfiles, mended by all rules at once. That what comes of them is built, starts and answers is proved by tests/peers/check_lint.py.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use jettison_dockerfile::{Dockerfile, Severity};
use jettison_lint::{Config, Context, Finding, Place, Safety, mend};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

fn naive() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/naive")
}

/// What `--fix` makes of the Dockerfile in a directory, and what is found in that.
fn mended(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join("Dockerfile")).unwrap();
    mended_in(directory, &text)
}

fn mended_in(directory: &Path, text: &str) -> String {
    let context = Context::directory(directory, None);
    let config = Config::default();
    let mended = mend(text, &context, &(), &config, Safety::Safe);
    let file = Dockerfile::parse(&mended.text);
    assert!(file.problems().iter().all(|problem| problem.severity <= Severity::Warning), "{:?}", file.problems());
    let again = mend(&mended.text, &context.with(mended.files.clone()), &(), &config, Safety::Safe);
    assert_eq!(
        (again.text, again.files.len(), again.done),
        (mended.text.clone(), 0, vec![]),
        "{}",
        directory.display()
    );
    let mut shown = mended.text;
    shown.push_str("-- left\n");
    for finding in &mended.left {
        let _ = writeln!(shown, "{}", line(&file, finding));
    }
    shown
}

fn line(file: &Dockerfile, finding: &Finding) -> String {
    let place = match &finding.place {
        Place::Dockerfile(span) => file.position(span.start).line.to_string(),
        Place::Context { path, line } => format!("{path}:{}", line.unwrap_or(0)),
    };
    format!("{place} {} {}: {}", finding.severity, finding.rule.name, finding.message)
}

#[test]
fn naive_dockerfiles_are_mended_for_good() {
    let mut names: Vec<_> = fs::read_dir(naive()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert!(names.len() >= 10);
    for name in names {
        let name = name.to_str().unwrap();
        insta::assert_snapshot!(name, mended(&naive().join(name)));
    }
}

/// What the checks by building have no bases for, and what people write around rules.
#[test]
fn others_are_mended_for_good() {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in
        [("requirements.txt", "flask==3.1.3\npsycopg2==2.9.11\n"), ("app.py", ""), ("run.sh", "exec python3 app.py\n")]
    {
        fs::write(directory.path().join(path), text).unwrap();
    }
    for (name, text) in [
        (
            "on-alpine",
            r#"FROM python:3.12-alpine
# hadolint ignore=DL3018
RUN apk add g++ musl-dev postgresql-dev bash
WORKDIR /app
ADD . .
RUN pip install -r requirements.txt
EXPOSE 80
CMD python app.py
"#,
        ),
        (
            "on-ubuntu",
            r#"FROM ubuntu:22.04
MAINTAINER somebody@example.com
RUN apt-get update
# Python and what it compiles with.
RUN apt-get install -y python3 python3-pip python3-dev libpq-dev build-essential tzdata
RUN mkdir /data
COPY requirements.txt /requirements.txt
RUN python3 -m pip install -r /requirements.txt
COPY app.py run.sh /srv/
WORKDIR /srv
CMD python3 app.py
CMD ["sh", "run.sh"]
"#,
        ),
        (
            "on-slim-with-mounts",
            r#"FROM python:3.13-slim-bookworm AS api
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev libpq-dev
WORKDIR /api
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,source=requirements.txt,target=requirements.txt \
    pip install -r requirements.txt
COPY app.py .
HEALTHCHECK CMD ["python", "-c", "import app"]
ENTRYPOINT ["flask"]
CMD ["run"]
"#,
        ),
        (
            "ignored",
            r#"# jettison: ignore=single-stage-build,build-tools-in-final-stage
FROM python:3.12-slim
RUN apt-get update && apt-get install -y gcc libpq-dev && rm -rf /var/lib/apt/lists/*
COPY requirements.txt .
RUN pip install -r requirements.txt
"#,
        ),
    ] {
        insta::assert_snapshot!(name, mended_in(directory.path(), text));
    }
}
