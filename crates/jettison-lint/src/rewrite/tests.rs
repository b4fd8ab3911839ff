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
fn another_user_installs() {
    let files = [("requirements.txt", "flask\n"), ("main.py", "")];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM python:3.12
RUN useradd --create-home app && mkdir -p /home/app/code
USER app
ENV PATH="/home/app/.local/bin:$PATH"
WORKDIR /home/app/code
COPY --chown=app:app requirements.txt .
RUN pip install --user --no-cache-dir -r requirements.txt
COPY --chown=app:app . .
CMD ["gunicorn", "main:app"]
"#
    ));
}

#[test]
fn installers_are_taken_out_of_a_chain() {
    let files = [
        ("pyproject.toml", "[tool.poetry]\nname = \"a\"\npackage-mode = false\n"),
        ("poetry.lock", ""),
        ("main.py", ""),
    ];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM python:3.12
ARG POETRY_VERSION=2.2.1
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 \
    POETRY_HOME=/opt/poetry
WORKDIR /app
COPY poetry.lock pyproject.toml /app/
RUN --mount=type=cache,target=/root/.cache \
    pip install --upgrade pip setuptools && \
    pip install poetry==$POETRY_VERSION && \
    pip install poetry-plugin-export && \
    poetry config virtualenvs.create false && \
    poetry install --only main --no-root
COPY . /app
ENTRYPOINT ["poetry", "run", "python"]
CMD ["main.py"]
"#
    ));
}

#[test]
fn what_another_stage_built_is_copied_as_before() {
    let files = [("requirements.txt", "flask\n"), ("app.py", ""), ("entry.sh", "#!/bin/sh\nexec \"$@\"\n")];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM node:22 AS builder
COPY web .
RUN npm ci && npm run build

FROM python:3.12-slim AS app
RUN apt-get update \
 && apt-get install -y gcc
# From the other one.
COPY --from=builder /dist /srv/static
COPY . /srv
RUN pip install -r /srv/requirements.txt
VOLUME /data
ENTRYPOINT ["/srv/entry.sh"]
RUN python -m compileall /srv
CMD ["flask", "run"]
"#
    ));
}

#[test]
fn the_python_of_ubuntu_comes_with_the_same_script() {
    let files = [("requirements.txt", "flask\n"), ("app.py", "")];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM ubuntu:24.04
ENV DEBIAN_FRONTEND=noninteractive
COPY requirements.txt /tmp/
RUN apt-get update && apt-get install -y python3 python3-pip python3-numpy gfortran libpq-dev && \
    pip3 install --break-system-packages --upgrade pip && \
    pip3 install --break-system-packages -r /tmp/requirements.txt && \
    rm -rf /var/lib/apt/lists/*
COPY app.py /srv/
USER nobody
CMD ["python3", "/srv/app.py"]
"#
    ));
}

#[test]
fn a_heredoc_and_a_script_of_uv() {
    let files = [
        ("pyproject.toml", "[project]\nname = \"a\"\nversion = \"1\"\n"),
        ("uv.lock", "version = 1\n"),
        ("main.py", ""),
    ];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM python:3.12
ENV UV_PROJECT_ENVIRONMENT=/usr/local
WORKDIR /app
# All of it.
COPY . .
RUN <<EOF
pip install uv
uv sync --locked --no-dev
EOF
HEALTHCHECK CMD uv run --no-sync probe.py
CMD uv run --frozen main.py
"#
    ));
}

#[test]
fn lists_come_from_several_copies() {
    let files = [("requirements.txt", "-r more/base.txt\n-e ./lib\n"), ("app.py", "")];
    let dir = |text: &str| rewritten(&files, text);
    // What is in the source has to be there.
    let told = dir(
        "FROM python:3.12\nWORKDIR /a\nCOPY requirements.txt app.py ./\nRUN pip install -r requirements.txt\nCMD python app.py\n",
    );
    assert!(told.contains("\nCOPY requirements.txt app.py ./\nRUN pip install"), "{told}");
    let told = rewritten(
        &[("requirements.txt", "flask\n"), ("app.py", "")],
        "FROM python:3.12\nWORKDIR /a\nCOPY requirements.txt app.py ./\nRUN pip install -r requirements.txt\nCMD python app.py\n",
    );
    assert!(told.contains("\nCOPY requirements.txt ./\nRUN pip install"), "{told}");
}

#[test]
fn programs_that_the_slim_image_has_not_come_before_they_are_run() {
    let files = [("requirements.txt", "gitpython\n"), ("main.py", "")];
    insta::assert_snapshot!(rewritten(
        &files,
        r#"FROM python:3.13

# A user.
RUN adduser --disabled-password --gecos "" --uid 10001 runner
RUN git clone https://example.com/data.git /data
COPY requirements.txt .
RUN pip install -r requirements.txt
USER runner
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
    let install = "RUN pip install -r requirements.txt\n";
    for (after, why) in [
        ("RUN python setup.py build_ext\n", "it may compile"),
        ("RUN ./configure.sh\n", "what ./configure.sh runs is not known"),
        ("RUN pip install --target /lib flask\n", "it installs to a directory of its own"),
        ("RUN apt-get update && apt-get install -y libunknown-dev\n", "libunknown-dev"),
        ("ONBUILD COPY . .\n", "it is not understood"),
        ("CMD uv run --with x main.py\n", "the options of its `run`"),
    ] {
        unchanged(&format!("{start}{install}{after}"), why);
    }
    for (before, why) in [
        ("RUN echo x > /etc/apt/sources.list.d/x.list && apt-get update && apt-get install -y x\n", "one instruction"),
        ("RUN uv python install 3.13 && pip install flask\n", "one instruction"),
        ("RUN pip install x && rm y > z\n", "one instruction"),
        ("RUN UV_SYSTEM_PYTHON=1 uv pip install flask\n", "UV_SYSTEM_PYTHON says"),
    ] {
        unchanged(&format!("{start}{before}{install}"), why);
    }
    unchanged(&format!("{start}RUN pip install -r requirements.txt\nRUN gcc -o x x.c\n"), "it runs gcc");
    unchanged(
        &format!("{start}RUN pip install -r requirements.txt\nCMD ./start.sh\n"),
        "what ./start.sh runs is not known",
    );
}
