//! What is said of the two articles' Dockerfiles, and of others that are written as they should be: of the rules that tell how Python
//! images are built, since these have to guess the most.
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use jettison_dockerfile::Dockerfile;
use jettison_lint::{Config, Context, Place, lint, rules};
use std::path::Path;

/// Codes and lines of what is found, of the rules from `JET101` to `JET110` and `JET128`.
fn found(text: &str, context: &Context) -> String {
    let file = Dockerfile::parse(text);
    let asked =
        |code: &str| matches!(code.strip_prefix("JET").and_then(|code| code.parse().ok()), Some(101..=110 | 128));
    let select = rules::all().filter(|rule| asked(rule.code)).map(jettison_lint::Selector::Rule).collect();
    let config = Config { select, ..Config::default() };
    let tell = |finding: jettison_lint::Finding| {
        let line = match &finding.place {
            Place::Dockerfile(span) => file.position(span.start).line,
            Place::Context { line, .. } => line.unwrap_or(0),
        };
        format!("{} {line}: {}\n", finding.rule.code, finding.message)
    };
    lint(&file, context, &(), &config).into_iter().map(tell).collect()
}

fn article(name: &str) -> String {
    let articles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/articles");
    let text = std::fs::read_to_string(articles.join(name)).unwrap();
    found(&text, &Context::directory(articles, None))
}

#[test]
fn good_ones_of_the_articles_are_good() {
    for name in ["venv.Dockerfile", "prefix.Dockerfile", "nonroot.Dockerfile", "wheels.Dockerfile"] {
        assert_eq!(article(name), "", "{name}");
    }
}

#[test]
fn the_faults_of_the_others_are_found() {
    insta::assert_snapshot!(article("full.Dockerfile"), @r"
    JET102 2: this stage builds the dependencies and runs the application
    JET107 2: the image is made of python:3.12, with compilers and headers in it
    JET101 5: libpq-dev and gcc stay in the image
    ");
    insta::assert_snapshot!(article("slim.Dockerfile"), @r"
    JET102 2: this stage builds the dependencies and runs the application
    JET101 5: libpq-dev and gcc stay in the image
    ");
    insta::assert_snapshot!(
        article("without-libpq.Dockerfile"),
        @"JET108 17: psycopg2 needs libpq5 when it runs, and the image does not have it"
    );
}

/// As they are recommended by those who make installers and frameworks.
#[test]
fn others_are_good() {
    let context = Context::none();
    for text in [
        // uv in two stages, its program mounted or copied.
        "FROM ghcr.io/astral-sh/uv:python3.12-bookworm-slim AS builder\nENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=0\n\
         WORKDIR /app\nRUN --mount=type=cache,target=/root/.cache/uv --mount=type=bind,source=uv.lock,target=uv.lock \
         --mount=type=bind,source=pyproject.toml,target=pyproject.toml uv sync --locked --no-install-project --no-dev\n\
         COPY . /app\nRUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev\n\
         FROM python:3.12-slim-bookworm\nCOPY --from=builder --chown=app:app /app /app\nENV PATH=\"/app/.venv/bin:$PATH\"\n\
         CMD [\"fastapi\", \"run\", \"/app/src/main.py\"]\n",
        // Poetry in a builder.
        "FROM python:3.12 AS builder\nRUN pip install poetry==1.8.3\nENV POETRY_VIRTUALENVS_IN_PROJECT=1\nWORKDIR /app\n\
         COPY pyproject.toml poetry.lock ./\nRUN poetry install --only main --no-root\n\
         FROM python:3.12-slim\nWORKDIR /app\nENV VIRTUAL_ENV=/app/.venv PATH=\"/app/.venv/bin:$PATH\"\n\
         COPY --from=builder /app/.venv /app/.venv\nCOPY src ./src\nENTRYPOINT [\"python\", \"-m\", \"app.main\"]\n",
        // Wheels, mounted.
        "FROM python:3.12 AS wheels\nCOPY requirements.txt .\nRUN pip wheel -w /wheels -r requirements.txt\n\
         FROM python:3.12-slim\nRUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels pip install --no-cache-dir /wheels/*.whl\n\
         COPY . /app\n",
        // Alpine with a group of packages that goes again.
        "FROM python:3.12-alpine\nWORKDIR /app\nCOPY requirements.txt .\nRUN apk add --no-cache --virtual .deps gcc musl-dev libffi-dev && \
         pip install -r requirements.txt && apk del .deps\nCOPY . .\n",
        // A stage of its own for what all others have in common.
        "ARG PY=3.12\nFROM python:${PY}-slim AS base\nENV PATH=/venv/bin:$PATH\nWORKDIR /app\nFROM base AS build\n\
         RUN apt-get update && apt-get install -y build-essential\nRUN python -m venv /venv\nCOPY requirements.txt .\n\
         RUN pip install -r requirements.txt\nFROM build AS test\nCOPY requirements-dev.txt .\nRUN pip install -r requirements-dev.txt\n\
         COPY . .\nRUN pytest\nFROM base AS final\nCOPY --from=build /venv /venv\nCOPY . .\nCMD [\"gunicorn\", \"app:app\"]\n",
        // Packages below a directory, run by Distroless.
        "FROM python:3.11-slim AS build\nCOPY requirements.txt .\nRUN pip install --target=/packages -r requirements.txt\n\
         FROM gcr.io/distroless/python3-debian12\nCOPY --from=build /packages /packages\nCOPY . /app\nENV PYTHONPATH=/packages\nCMD [\"/app/main.py\"]\n",
        // A user's directory.
        "FROM python:3.12 AS build\nCOPY requirements.txt .\nRUN pip install --user -r requirements.txt\n\
         FROM python:3.12-slim\nCOPY --from=build /root/.local /root/.local\nENV PATH=/root/.local/bin:$PATH\nCOPY . .\n",
        // The front end of another language beside it.
        "FROM node:20 AS web\nWORKDIR /web\nCOPY . .\nRUN npm ci && npm run build\nFROM python:3.12-slim\nWORKDIR /app\n\
         COPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt\nCOPY . .\nCOPY --from=web /web/dist ./static\n",
        // conda, of which little is known.
        "FROM continuumio/miniconda3\nCOPY environment.yml .\nRUN conda env create -f environment.yml && conda clean -afy\nCOPY . .\n",
        // No Python at all.
        "FROM golang:1.23 AS b\nCOPY . .\nRUN go build -o /app\nFROM scratch\nCOPY --from=b /app /app\n",
        "FROM gcc:14\nCOPY . .\nRUN apt-get update && apt-get install -y cmake && make\n",
    ] {
        assert_eq!(found(text, &context), "", "{text}");
    }
}
