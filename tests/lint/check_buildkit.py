#!/usr/bin/env python3
"""Holds `jettison build --check` to BuildKit's build checks: the same names in the same lines.

1. Without --peers: jettison against what buildkit.cases says. Needs no network and no privileges.
2. With --peers, as root: a current BuildKit too, set up from Debian packages as tests/dockerfile does it.
3. buildkit-differences.txt has what a builder says otherwise, and why; it has to differ in just these lines.

A case of buildkit.cases begins with `=== name: what it shows`. Then come, in this order and as far as they are needed:

    --- build OPTION...            options of `docker buildx build`
    --- .dockerignore              with its lines below, up to the first keyword of a Dockerfile or a comment
    the Dockerfile
    > CHECK LINE                   what is found, in any order
    > fails                        it is an error besides: the file cannot be built

The context holds a.txt, b.txt, README.md, docs/x.md and docs/y.md. Images are those of tests/dockerfile/images.py.
The last line is `N passed, N failed`; the exit status is 1 when one failed.
"""

import argparse
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "dockerfile"))
import builders  # noqa: E402
import images  # noqa: E402
import peer  # noqa: E402
import servers  # noqa: E402

CONTEXT = ("a.txt", "b.txt", "README.md", "docs/x.md", "docs/y.md")
BEGINS = re.compile(r"\s*(#|FROM\b|ARG\b)", re.IGNORECASE)


class CaseError(Exception):
    """A case file that cannot be understood."""


class Case:
    """A Dockerfile, and what is to be found in it."""

    def __init__(self, name, title, lines):
        self.name, self.title, self.options, self.ignore = name, title, [], None
        if lines and lines[0].startswith("--- build "):
            self.options = shlex.split(lines.pop(0)[len("--- build ") :])
        if lines and lines[0] == "--- .dockerignore":
            lines.pop(0)
            self.ignore = ""
            while lines and not BEGINS.match(lines[0]):
                self.ignore += lines.pop(0) + "\n"
        while lines and not lines[-1]:
            lines.pop()
        self.expected = set()
        while lines and lines[-1].startswith("> "):
            self.expected.add(lines.pop()[2:])
        self.dockerfile = "".join(line + "\n" for line in lines)

    def write(self, directory):
        """Makes the context."""
        for name in CONTEXT:
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(name + "\n")
        for name, text in (("Dockerfile", self.dockerfile), (".dockerignore", self.ignore)):
            if text is not None:
                with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                    file.write(text)


def read(path):
    """The cases of a file, in order. A line with `# ` before a case belongs to none."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    cases = []
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        name, colon, title = head.partition(": ")
        # A comment between blank lines at the end heads the cases that follow.
        body = re.sub(r"\n\n# [^\n]*\n\n*\Z", "\n", body)
        if not colon or any(case.name == name for case in cases):
            raise CaseError(f"{path}: `{head}` is no name and title, or is there twice")
        cases.append(Case(name, title, body.split("\n")))
    return cases


def differences(path):
    """buildkit-differences.txt: `BUILDER CASE: why`, then lines with `-` as expected and `+` as found."""
    known, entry = {}, None
    with open(path, encoding="utf-8") as file:
        for line in file.read().splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            if line[0] in "-+":
                entry.append(line)
            else:
                entry = known.setdefault(tuple(line.partition(": ")[0].split(" ")), [])
    return known


class BuildKit:
    """`docker buildx build --check` of dockerd's own BuildKit."""

    name = "buildkit"

    def __init__(self, machine):
        self.machine = machine

    def check(self, case, directory):
        argv = ["docker", "buildx", "build", "--call=check,format=json", *case.options, directory]
        return builders.finished(self.machine.argv("sh", "-c", 'exec "$@" 2>&1', "sh", *argv), env=self.machine.environment, cwd="/")


class Jettison:
    """`jettison build --check`."""

    name = "jettison"

    def __init__(self, program, work, registry):
        self.program, self.registry = os.path.abspath(program), registry
        home = os.path.join(work, "home-jettison")
        os.makedirs(home)
        self.environment = {"PATH": builders.NETWORK_PATH, "HOME": home, "JETTISON_STORE": os.path.join(home, "store")}

    def check(self, case, directory):
        argv = [self.program, "build", f"--registry-mirror=docker.io={self.registry}", "--insecure-registry", self.registry]
        argv += ["--call=check,format=json", *case.options, directory]
        return builders.finished(argv, env=self.environment, cwd=directory)


def found(status, said):
    """What a check found, as lines of a case."""
    start = re.search(r"^\{", said, re.MULTILINE)
    if not start:
        return {"fails"} if status else {f"no JSON: {said}"}
    results = json.JSONDecoder().raw_decode(said[start.start() :])[0]
    lines = {
        f"{warning['ruleName']} {warning['location']['ranges'][0]['start']['line']}" for warning in results["warnings"] or []
    }
    is_error = bool(results.get("buildError")) or "ERROR: lint violation" in said
    if bool(lines) or is_error:
        lines |= set() if status else {"exit status 0"}
    elif status:
        lines.add(f"exit status {status}")
    return lines | ({"fails"} if is_error else set())


def run(builder, case, work, known):
    """Whether a builder finds what is expected, and what differs."""
    directory = tempfile.mkdtemp(dir=work)
    case.write(directory)
    status, said = builder.check(case, directory)
    result = found(status, said)
    lines = [f"-{line}" for line in sorted(case.expected - result)] + [f"+{line}" for line in sorted(result - case.expected)]
    expected = known.get((builder.name, case.name), [])
    if lines == expected:
        return True, ""
    text = "\n".join(lines or ["no longer differs: remove it from buildkit-differences.txt"])
    return False, f"{text}\n{case.dockerfile}{said.strip()[-1500:] if any('fails' in line for line in lines) else ''}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jettison", help="the binary")
    parser.add_argument("--peers", action="store_true", help="BuildKit as well")
    parser.add_argument("--peer-root", default="/var/tmp/jettison-peer", help="where the peer lives, default: %(default)s")
    parser.add_argument("--only", default="", help="only cases whose name has this in it")
    parser.add_argument("--busybox", help="a static busybox; default: the machine's, or Debian's")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="checks at once, default: %(default)s")
    options = parser.parse_args()
    if options.peers and os.geteuid() != 0:
        parser.error("--peers needs root")
    if not options.jettison and not options.peers:
        parser.error("wanted --jettison, --peers or both")
    cases = [case for case in read(os.path.join(HERE, "buildkit.cases")) if options.only in case.name]
    known = differences(os.path.join(HERE, "buildkit-differences.txt"))
    # Short, since sockets live below it.
    work = tempfile.mkdtemp(prefix="jc-", dir="/var/tmp")
    os.chmod(work, 0o755)
    machine = server = None
    passed = failed = 0
    try:
        cache = os.path.join(work, "cache")
        os.makedirs(cache)
        given = options.busybox
        if options.peers:
            print(f"peer: {peer.make(options.peer_root)}", file=sys.stderr)
            given = given or os.path.join(options.peer_root, "usr/bin/busybox")
        server = servers.Server(work, images.Images(images.find_busybox(cache, given)).served)
        able = []
        if options.peers:
            machine = peer.Machine(options.peer_root, work, server.address).start()
            able.append(BuildKit(machine))
        if options.jettison:
            able.append(Jettison(options.jettison, work, server.address))
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            tasks = [(case, builder, pool.submit(run, builder, case, work, known)) for case in cases for builder in able]
            for case, builder, task in tasks:
                good, text = task.result()
                passed, failed = passed + good, failed + (not good)
                if not good:
                    print(f"FAILED  {builder.name}: {case.name}: {case.title}")
                    print("        " + text.strip().replace("\n", "\n        "), flush=True)
    finally:
        if machine:
            machine.stop()
        if server:
            server.stop()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{len(cases)} cases")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
