#!/usr/bin/env python3
"""Kills builds with SIGKILL at random moments; the build after each gives the right digest, and nothing is left running.

1. A caching mirror on loopback stands before the network, so that fifty cold builds download once.
2. An undisturbed build in an empty store gives the digest, and the time within which to kill.
3. Each round kills a build of one of three kinds: in an empty store; in the store of the rounds before; in that store after a
   change of code. Then it builds to the end, compares the digest with that of an undisturbed build, and asks `cache du`.

usage: tests/kill.py [--jettison PROGRAM] [--project DIR] [--rounds 50] [--seed N]
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Builds:
    """Builds of one project in one store, through the mirror."""

    def __init__(self, program, work, mirror):
        # A copy, so that its processes can be told from any other's.
        self.program = shutil.copy2(program, os.path.join(work, "jettison"))
        self.work, self.mirror = work, mirror
        self.store = os.path.join(work, "store")
        self.env = {name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ}
        self.env |= {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": work,
            "http_proxy": mirror,
            "no_proxy": "127.0.0.1",
        }

    def start(self, project, store=None):
        argv = [self.program, "build", project, "--json", "--store", store or self.store]
        argv += ["--index-url", f"{self.mirror}/simple"]
        with open(os.path.join(self.work, "stderr"), "wb") as errors:
            return subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)

    def finish(self, process):
        """The digest of a build that is let run to its end."""
        output, _ = process.communicate()
        if process.returncode != 0:
            with open(os.path.join(self.work, "stderr"), encoding="utf-8", errors="replace") as file:
                raise AssertionError(f"the build failed with {process.returncode}:\n{file.read()[-3000:]}")
        return json.loads(output)["digest"]

    def build(self, project, store=None):
        return self.finish(self.start(project, store))

    def survivors(self):
        """Processes of ours that are still there, given a moment to go: the kernel ends them when their parent dies."""
        deadline = time.monotonic() + 10
        while True:
            found = []
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if os.readlink(f"/proc/{pid}/exe").startswith(self.program):
                        found.append(int(pid))
                except OSError:
                    continue
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.05)


def mounts_below(work):
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line.split()[4] for line in file if line.split()[4].startswith(work + "/")]


def change_code(project, number):
    """Adds a line to the first Python file of the project."""
    for root, directories, files in os.walk(project):
        directories.sort()
        for name in sorted(files):
            if name in ("main.py", "app.py", "manage.py"):
                with open(os.path.join(root, name), "a", encoding="utf-8") as file:
                    file.write(f"# revision {number}\n")
                return
    raise AssertionError(f"there is no Python file to change in {project}")


def one_round(builds, project, number, kind, longest, rng):
    """Kills one build and repeats it. Returns a word on what happened; raises when something is wrong."""
    if kind == "empty store":
        shutil.rmtree(builds.store, ignore_errors=True)
    if kind == "changed code":
        change_code(project, number)
    moment = rng.uniform(0, longest[kind])
    process = builds.start(project)
    try:
        process.wait(moment)
        ended = f"was done after less than {moment:.2f} s"
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        ended = f"killed after {moment:.2f} s"
    process.communicate()
    left = builds.survivors()
    assert not left, f"still running after the kill: {left}"
    assert not mounts_below(builds.work), f"still mounted after the kill: {mounts_below(builds.work)}"
    digest = builds.build(project)
    usage = [builds.program, "cache", "du", "--store", builds.store]
    subprocess.run(usage, env=builds.env, check=True, stdout=subprocess.DEVNULL)
    # The reference has a store of its own in which nothing was ever killed.
    expected = builds.build(project, os.path.join(builds.work, "reference"))
    assert digest == expected, f"the digest is {digest}, undisturbed it is {expected}"
    return ended


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jettison", default=os.path.join(ROOT, "target/release/jettison"), help="the binary")
    parser.add_argument("--project", default=os.path.join(ROOT, "examples/flask"), help="what is built")
    parser.add_argument("--rounds", type=int, default=50, help="how many kills, default: %(default)s")
    parser.add_argument("--seed", type=int, default=None, help="of the random moments, to repeat a run")
    parser.add_argument("--cache", help="where the mirror keeps what it fetched from one run to the next")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)

    work = tempfile.mkdtemp(prefix="jk-", dir="/var/tmp")
    port = free_port()
    mirror = f"http://127.0.0.1:{port}"
    argv = [
        sys.executable,
        os.path.join(ROOT, "bench/mirror.py"),
        str(port),
        options.cache or os.path.join(work, "mirror"),
    ]
    server = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    passed = failed = 0
    try:
        while True:
            try:
                urllib.request.urlopen(f"{mirror}/stats", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, "the mirror did not start"
                time.sleep(0.05)
        project = shutil.copytree(options.project, os.path.join(work, "project"), symlinks=True)
        builds = Builds(options.jettison, work, mirror)
        # Once to fill the mirror, once for the time.
        builds.build(project, os.path.join(work, "reference"))
        begun = time.monotonic()
        builds.build(project)
        cold = time.monotonic() - begun
        begun = time.monotonic()
        change_code(project, "first")
        builds.build(project)
        warm = time.monotonic() - begun
        print(f"undisturbed: {cold:.1f} s in an empty store, {warm:.2f} s after a change", flush=True)
        longest = {"empty store": cold, "same store": warm, "changed code": warm}
        for number in range(options.rounds):
            kind = ["empty store", "changed code", "same store"][number % 3]
            try:
                ended = one_round(builds, project, number, kind, longest, rng)
                passed += 1
                print(f"ok      round {number + 1}: {kind}, {ended}", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"FAILED  round {number + 1}: {kind}: {error}", flush=True)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
