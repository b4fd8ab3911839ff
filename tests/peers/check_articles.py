"""The Dockerfiles that articles on small Python images recommend and warn of: built, run, and their sizes printed."""

import contextlib
import json
import os

from harness import Failure, check, expect, fetch
from servers import postgres
from standins import standins

HERE = os.path.dirname(os.path.abspath(__file__))
# Unpacked megabytes that the articles name for each variant.
VARIANTS = {"full": 1100, "slim": 350, "venv": 180, "prefix": 178, "wheels": 200, "nonroot": 178}


class Articles:
    """What was built on the stand-ins."""

    def __init__(self, context):
        self.account = context.first
        self.bases = standins(context)
        self.reports = {}

    def project(self, variant):
        """The application with one of the Dockerfiles."""
        files = {}
        for path in ("../../../bench/app/main.py", "requirements.txt", f"{variant}.Dockerfile"):
            with open(os.path.join(HERE, "articles", path), encoding="utf-8") as file:
                files[os.path.basename(path)] = file.read()
        files["Dockerfile"] = files.pop(f"{variant}.Dockerfile")
        return self.account.project(variant, files)

    def build(self, variant, *arguments):
        report = self.account.build(self.project(variant), *self.bases.flags(), "-t", variant, *arguments)
        self.reports[variant] = report
        return report


ARTICLES = []


def articles(context):
    """What all checks here share: made by the first."""
    if not ARTICLES:
        ARTICLES.append(Articles(context))
    return ARTICLES[0]


@check("articles: stand-ins for python:3.12 and python:3.12-slim are built and pushed")
def _(context):
    articles(context)


def register(variant):
    @check(f"articles: the {variant} image is built, runs, and queries a real PostgreSQL")
    def _(context):
        made = articles(context)
        report = made.build(variant)
        expect(report["digest"].startswith("sha256:"), "it has no digest")
        with postgres(context) as database:
            url = f"DATABASE_URL=postgresql+psycopg2://postgres@127.0.0.1:{database}/postgres"
            argv = ["uvicorn", "main:app", "--host", "127.0.0.1", "--port"]
            with made.account.running_image(variant, "--env", url, command=argv) as base:
                status, body = fetch(base + "/db")
                expect(status == 200 and json.loads(body) == {"answer": 42}, f"GET /db is answered with {status}: {body}")


for name in VARIANTS:
    register(name)


@check("articles: a second build of the two-stage image runs no step")
def _(context):
    made = articles(context)
    expect("venv" in made.reports, "venv was not built, see above")
    before = made.reports["venv"]["digest"]
    report = made.build("venv")
    ran = [step["name"] for step in report["steps"] if not step["cached"]]
    expect(not ran, f"these ran again: {ran}")
    expect(report["digest"] == before, f"the digest was {before} and is {report['digest']}")


@check("articles: the ImportError of a missing libpq.so.5 is told with the package that has it")
def _(context):
    made = articles(context)
    made.build("without-libpq")
    done = made.account.run(made.account.program, "run", "without-libpq")
    said = done.stdout + done.stderr
    expect(done.status != 0, "it runs without its library")
    expect("libpq.so.5: cannot open shared object file" in said, f"the traceback is not shown:\n{said[-2000:]}")
    hints = [line for line in done.stderr.splitlines() if line.startswith("hint:")]
    expect(any("libpq5" in line for line in hints), f"no hint names libpq5:\n{done.stderr[-2000:]}")


@check("articles: the two-stage images are a fraction of the naive one")
def _(context):
    made = articles(context)
    missing = [variant for variant in VARIANTS if variant not in made.reports]
    expect(not missing, f"{missing} were not built, see above")
    unpacked = {variant: made.reports[variant]["unpacked_bytes"] / 1e6 for variant in VARIANTS}
    rows = [f"{'variant':<10} {'unpacked':>10} {'compressed':>11} {'in the articles':>16}"]
    for variant, theirs in VARIANTS.items():
        compressed = made.reports[variant]["compressed_bytes"] / 1e6
        rows.append(f"{variant:<10} {unpacked[variant]:>7.1f} MB {compressed:>8.1f} MB {theirs:>13} MB")
    with contextlib.suppress(Failure):
        native = context.first.example("fastapi-postgres")
        sizes = native["unpacked_bytes"] / 1e6, native["compressed_bytes"] / 1e6
        rows.append(f"{'(native)':<10} {sizes[0]:>7.1f} MB {sizes[1]:>8.1f} MB {'':>13}")
    print("        " + "\n        ".join(rows))
    for variant in ("venv", "prefix", "wheels", "nonroot"):
        expect(unpacked[variant] < 0.5 * unpacked["full"], f"{variant} is not a fraction of the single stage")
