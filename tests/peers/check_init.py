"""What `jettison init` writes for each example, in each style that fits it, is linted, built, run and asked; some of it by a real BuildKit.

tested/ is a small project with tests, for the targets `development` and `test`. BuildKit is the one of tests/dockerfile/peer.py.
"""

import json
import os
import shutil
import sys

from check_lint import answers
from harness import Failure, check, expect
from standins import standins

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../dockerfile"))
import peer  # noqa: E402

ANY = ["venv", "prefix", "wheels", "uv", "distroless"]
# psycopg2 is linked with libpq, which an image without a package manager has not; uv does not read poetry.lock.
STYLES = {
    "plain": ["venv", "distroless"],
    "flask": ANY,
    "django": ANY,
    "poetry": ["venv", "prefix", "wheels", "poetry", "distroless"],
    "fastapi-postgres": ["venv", "prefix", "wheels", "uv"],
    "pandas": ANY,
}
# Built by BuildKit too, from the bases of Docker Hub alone.
BY_BUILDKIT = [("flask", "venv"), ("django", "uv"), ("fastapi-postgres", "wheels"), ("poetry", "poetry")]
# Debian keeps one version of each package: to pin it is to break the build with the next.
IGNORED = "package-version-missing"
PEER_ROOT = "/var/tmp/jettison-peer"
BUILT = {}


def init(context, project, *arguments):
    """Writes the files, as root of the project's account; returns the Dockerfile."""
    account = context.first
    account.jettison("init", project, *standins(context).flags(), *arguments)
    with open(os.path.join(project, "Dockerfile"), encoding="utf-8") as file:
        text = file.read()
    bases = [line for line in text.splitlines() if line.startswith("FROM ") and ":" in line]
    expect(bases and all("@sha256:" in line for line in bases), f"not every base has its digest: {bases}")
    done = account.jettison("lint", project, "--select", "all", "--ignore", IGNORED, "--no-shellcheck", "--fail-on", "style", "--json")
    found = json.loads(done.stdout)["findings"]
    expect(not found, f"the lint has something to say: {found}\n{text}")
    return text


def prove(context, name, style):
    account = context.first
    project = os.path.join(account.work, "projects", f"{name}-{style}")
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(os.path.join(account.examples, name), project)
    if style == "poetry":
        # Locked for the simple index, which mirrors have; for PyPI itself Poetry asks another of its interfaces.
        for file in ("pyproject.toml", "poetry.lock"):
            shutil.copy(os.path.join(HERE, "naive", "poetry", file), project)
    account.own(os.path.dirname(project))
    text = init(context, project, "--style", style)
    try:
        image = f"init-{name}-{style}"
        BUILT[name, style] = account.build(project, *standins(context).flags(), "-t", image)
        answers(account, image)
    except Failure as error:
        raise Failure(f"{error}\n{text}") from None


def register(name, style):
    @check(f"init: {name} in the style {style} is linted, built, and answers")
    def _(context):
        prove(context, name, style)


for example, fitting in STYLES.items():
    for fit in fitting:
        register(example, fit)


@check("init: the targets development and test are built, and a test that fails stops the build")
def _(context):
    account, bases = context.first, standins(context)
    for style in ("uv", "venv"):
        project = os.path.join(account.work, "projects", f"tested-{style}")
        shutil.copytree(os.path.join(HERE, "tested"), project, dirs_exist_ok=True)
        account.own(project)
        text = init(context, project, "--style", style)
        try:
            for target in ("development", "test"):
                account.build(project, *bases.flags(), "--target", target, "-t", f"tested-{target}")
            answers(account, "tested-development")
            account.build(project, *bases.flags(), "-t", "tested")
            answers(account, "tested")
            done = account.run(account.program, "run", "--entrypoint", "python", "tested", "-c", "import os; print(os.listdir())")
            expect("tests" not in done.stdout and "greeting" in done.stdout, f"the tests are in the image: {done}")
            with open(os.path.join(project, "tests/test_main.py"), "a", encoding="utf-8") as file:
                file.write("\n\ndef test_that_fails():\n    assert False\n")
            done = account.run(account.program, "build", project, *bases.flags(), "--target", "test")
            expect(done.status == 2 and "1 failed" in done.stdout + done.stderr, f"a failing test stops nothing: {done}")
        except Failure as error:
            raise Failure(f"{error}\n{text}") from None


@check("init: a real BuildKit builds what is written, and its images answer")
def _(context):
    account, bases = context.first, standins(context)
    missing = [pair for pair in BY_BUILDKIT if pair not in BUILT]
    expect(not missing, f"{missing} were not built, see above")
    peer.make(PEER_ROOT)
    work = context.directory("buildkit")
    machine = peer.Machine(PEER_ROOT, work, bases.registry).start()
    try:
        for name, style in BY_BUILDKIT:
            project = os.path.join(work, f"{name}-{style}")
            shutil.copytree(os.path.join(account.work, "projects", f"{name}-{style}"), project)
            path = os.path.join(project, "Dockerfile")
            with open(path, encoding="utf-8") as file:
                lines = file.readlines()
            # The frontend of the first line is on Docker Hub.
            expect(lines[0].startswith("# syntax="), f"the first line is {lines[0]}")
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(lines[1:])
            archive = os.path.join(work, f"{name}.tar")
            machine.run("docker", "buildx", "build", "--network=host", "--provenance=false",
                        f"--output=type=oci,dest={archive}", project)
            account.own(work)
            account.jettison("copy", f"oci-archive:{archive}", f"store:buildkit-{name}")
            answers(account, f"buildkit-{name}")
    finally:
        machine.stop()


@check("init: what is there is kept, and shown as a difference")
def _(context):
    account = context.first
    project = account.project("kept", {"Dockerfile": "FROM scratch\n", "main.py": "print(1)\n", ".dockerignore": "*.txt\n"})
    done = account.jettison("init", project, "--offline", "--command", "python main.py", status=2)
    expect("-FROM scratch" in done.stdout and "--force" in done.stderr, f"it is not shown: {done}")
    account.jettison("init", project, "--offline", "--command", "python main.py", "--force")
    with open(os.path.join(project, ".dockerignore"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    expect(lines[0] == "*.txt" and ".git" in lines, f".dockerignore is {lines}")


@check("init: the sizes of all styles, beside the native image")
def _(context):
    missing = [(name, style) for name, styles in STYLES.items() for style in styles if (name, style) not in BUILT]
    expect(not missing, f"{missing} were not built, see above")
    columns = ["venv", "prefix", "wheels", "uv", "poetry", "distroless"]
    rows = [f"{'MB unpacked':<18}" + "".join(f"{word:>11}" for word in [*columns, "(native)"])]
    for name in STYLES:
        sizes = [BUILT.get((name, style), {}).get("unpacked_bytes") for style in columns]
        native = context.first.images.get(name, {}).get("unpacked_bytes")
        cells = "".join(f"{'-' if size is None else f'{size / 1e6:.1f}':>11}" for size in [*sizes, native])
        rows.append(f"{name:<18}{cells}")
    print("        " + "\n        ".join(rows))
