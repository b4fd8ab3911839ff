"""What `jettison lint --fix` makes of naive Dockerfiles is built: it starts, answers, and is no larger than before.

Each directory of naive/ is a project with a Dockerfile as people write it at first. Ubuntu and Alpine are not here, since their archives
have no stand-in; what becomes of Dockerfiles on those is held to snapshots in crates/jettison-lint.
"""

import json
import os
from subprocess import PIPE, STDOUT

from harness import Failure, check, expect, fetch, free_port, running
from standins import standins

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "naive")
# What the unpacked image must have lost, in parts of a hundred.
LOSSES = {"fastapi-psycopg2": 80}
# A user of its own takes lines in /etc and a home directory; a list that is copied by itself is there twice.
ALLOWANCE = 16 << 10
# Where one stage is enough, a smaller base and a user of its own are for the author to decide.
UNSAFE = ["copy-first", "shell-form"]
# Only indices know which version a requirement is to have.
LEFT = ["floating-requirement"]
MADE = {}


def read(name):
    """A naive project."""
    files, root = {}, os.path.join(HERE, name)
    for directory, _, names in os.walk(root):
        for file in names:
            path = os.path.join(directory, file)
            with open(path, "rb") as text:
                files[os.path.relpath(path, root)] = text.read()
    return files


def lint(account, bases, project, *arguments):
    """Lints a project, with the registry at hand; returns the findings."""
    argv = [account.program, "lint", project, "--no-shellcheck", *bases.flags(), *arguments]
    done = account.run(*argv)
    expect(done.status in (0, 1), f"the lint failed: {done}")
    return done.stdout


def answers(account, image):
    """Starts an image as it starts by itself, and fetches what it serves on port 8000."""
    port = free_port()
    argv = [account.program, "run", "--network", "none", "--publish", f"127.0.0.1:{port}:8000", image]
    process = account.start(argv, stdout=PIPE, stderr=STDOUT)
    with running(process, argv):
        status, body = fetch(f"http://127.0.0.1:{port}/", 60, process)
        expect(status == 200, f"GET / is answered with {status}: {body[:500]}")


def prove(context, name):
    bases, account = standins(context), context.first
    before = account.build(account.project(f"naive-{name}", read(name)), *bases.flags(), "-t", f"naive-{name}")
    project = account.project(f"mended-{name}", read(name))
    lint(account, bases, project, "--fix", *(["--unsafe-fixes"] if name in UNSAFE else []))
    with open(os.path.join(project, "Dockerfile"), encoding="utf-8") as file:
        text = file.read()
    try:
        left = json.loads(lint(account, bases, project, "--json"))["findings"]
        fixable = [finding["name"] for finding in left if finding["fix"] and finding["fix"]["safety"] == "safe"]
        expect(not fixable, f"more could be mended: {fixable}")
        bad = [f"{finding['line']}: {finding['message']}" for finding in left
               if finding["severity"] in ("error", "warning") and finding["name"] not in LEFT]
        expect(not bad, f"it is not good yet: {bad}")
        bases_named = [line for line in text.splitlines() if line.startswith("FROM ") and "$" not in line]
        expect(all("@sha256:" in line for line in bases_named), "a base has no digest")
        after = account.build(project, *bases.flags(), "-t", f"mended-{name}")
        answers(account, f"mended-{name}")
        sizes = before["unpacked_bytes"], after["unpacked_bytes"]
        became = f"{sizes[0]} bytes became {sizes[1]}"
        expect(sizes[1] <= sizes[0] + ALLOWANCE, became)
        lost = 100 * (1 - sizes[1] / sizes[0])
        expect(lost >= LOSSES.get(name, lost), f"{became}: it lost {lost:.1f} %, and not {LOSSES.get(name)} %")
    except Failure as error:
        raise Failure(f"{error}\n{text}") from None
    MADE[name] = before, after


def register(name):
    @check(f"lint --fix: {name} is mended, built, and answers")
    def _(context):
        prove(context, name)


for directory in sorted(os.listdir(HERE)):
    register(directory)


@check("lint --fix: the sizes of naive images and mended ones")
def _(_):
    expect(len(MADE) == len(os.listdir(HERE)), "not all were built, see above")
    rows = [f"{'MB unpacked, pulled':<20} {'before':>15} {'after':>15}"]
    for name, reports in MADE.items():
        sizes = [f"{report['unpacked_bytes'] / 1e6:>7.1f} {report['compressed_bytes'] / 1e6:>7.1f}" for report in reports]
        lost = 100 * (1 - reports[1]["unpacked_bytes"] / reports[0]["unpacked_bytes"])
        rows.append(f"{name:<20} {sizes[0]} {sizes[1]}  -{lost:.0f} %")
    print("        " + "\n        ".join(rows))
