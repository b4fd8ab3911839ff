use crate::{Config, Context, Safety, Selector, mend, rules};
use std::fs;

/// What the fix of `single-stage-build` makes of a Dockerfile in a context of these files.
fn rewritten(files: &[(&str, &str)], text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        fs::write(dir.path().join(path), text).unwrap();
    }
    let rule = rules::all().find(|rule| rule.name == "single-stage-build").unwrap();
    let config = Config { select: vec![Selector::Rule(rule)], ..Config::default() };
    let context = Context::directory(dir.path(), None);
    let mended = mend(text, &context, &(), &config, Safety::Safe);
    let obstacles: String =
        mended.left.iter().map(|finding| format!("{} {:?}\n", finding.message, finding.labels)).collect();
    format!("{}{obstacles}", mended.text)
}

#[test]
fn pip_on_the_full_image() {
    let files = [("requirements.txt", "fastapi\nuvicorn\npsycopg2\n"), ("main.py", "")];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM python:3.12

WORKDIR /app

RUN apt-get update && apt-get install -y \
    libpq-dev gcc \
    && rm -rf /var/lib/apt/lists/*

COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

COPY . .

CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
"#
    ));
}

#[test]
fn source_first_and_libraries_that_the_full_image_has_unasked() {
    let files = [("requirements.txt", "-r base.txt\npsycopg2==2.9\n"), ("base.txt", "flask\n"), ("main.py", "")];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"ARG PYTHON=3.12
FROM python:${PYTHON}-bookworm AS app
ENV PYTHONUNBUFFERED=1
# The source.
COPY . /srv
WORKDIR /srv
RUN pip install --upgrade pip && pip install -r requirements.txt
RUN python manage.py collectstatic --noinput
EXPOSE 8000
HEALTHCHECK CMD curl -f http://localhost:8000/
CMD python main.py
"#
    ));
}

#[test]
fn poetry() {
    let files = [
        ("pyproject.toml", "[tool.poetry]\nname = \"a\"\npackage-mode = false\n"),
        ("poetry.lock", ""),
        ("main.py", ""),
    ];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM python:3.12-slim
RUN apt-get update && apt-get install -y build-essential curl && rm -rf /var/lib/apt/lists/*
ENV POETRY_VIRTUALENVS_CREATE=false
WORKDIR /app
COPY . .
RUN pip install poetry && poetry install --no-root
CMD ["poetry", "run", "uvicorn", "main:app"]
"#
    ));
}

#[test]
fn uv_makes_its_own_environment() {
    let files = [
        ("pyproject.toml", "[project]\nname = \"a\"\nversion = \"1\"\n"),
        ("uv.lock", "version = 1\n"),
        ("main.py", ""),
    ];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM python:3.12
COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/uv
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev
COPY . .
CMD ["uv", "run", "uvicorn", "main:app"]
"#
    ));
}

#[test]
fn pipenv_on_alpine() {
    let files = [("Pipfile", ""), ("Pipfile.lock", "{}"), ("main.py", "")];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM python:3.12-alpine
RUN apk add --no-cache gcc musl-dev libpq-dev
RUN pip install pipenv
WORKDIR /app
COPY Pipfile* ./
RUN pipenv install --system --deploy
COPY . .
USER nobody
CMD ["python", "main.py"]
"#
    ));
}

#[test]
fn the_python_of_debian() {
    let files = [("requirements.txt", "flask\n"), ("main.py", "")];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM debian:trixie
RUN apt-get update && \
    apt-get install -y python3 python3-pip gcc libpq-dev && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt .
RUN pip3 install --break-system-packages -r requirements.txt
COPY . .
CMD ["python3", "main.py"]
"#
    ));
}

#[test]
fn uv_for_the_system_in_one_instruction_with_its_packages() {
    let files = [("requirements.txt", "flask\n"), ("main.py", "")];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM python:3.12-slim-bookworm
WORKDIR /app
COPY requirements.txt .
RUN apt-get update && apt-get install -y --no-install-recommends gcc libmagic1 && \
    pip install uv && \
    uv pip install --system -r requirements.txt && \
    rm -rf /var/lib/apt/lists/*
COPY . .
CMD ["python", "main.py"]
"#
    ));
}

#[test]
fn what_is_not_understood_is_left_alone() {
    let files = [("requirements.txt", "flask\n")];
    let unchanged = |text: &str, why: &str| {
        let told = rewritten(&files, text);
        assert!(told.starts_with(text) && told.contains(why), "{told}");
    };
    let start = "FROM python:3.12\nCOPY requirements.txt .\n";
    unchanged(&format!("{start}RUN pip install -r requirements.txt && make install\n"), "it stands in one instruction");
    unchanged(&format!("{start}USER app\nRUN pip install -r requirements.txt\n"), "it installs as another user");
    unchanged(&format!("{start}RUN pip install -r requirements.txt\nRUN gcc -o x x.c\n"), "it runs gcc");
    unchanged(
        &format!("{start}RUN pip install -r requirements.txt\nCMD ./start.sh\n"),
        "what ./start.sh runs is not known",
    );
}
