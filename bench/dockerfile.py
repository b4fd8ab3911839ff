#!/usr/bin/env python3
"""Measures the Dockerfile engine against dockerd's BuildKit and buildah: the same Dockerfiles, in one run.

1. As in native.py, a caching mirror on loopback stands before every builder and is filled by a round that is not timed.
2. The two-stage Dockerfile of articles (`Dockerfile`, a virtual environment with psycopg2 from its sdist): `cold` builds and
   pushes with nothing but the base image there; `nothing` builds again; `code` changes one line, builds and pushes; `archive`
   changes one line and writes an OCI archive.
3. `context`: 16,000 files and 400 MB, no ignore file, `COPY . .`, one line changed, kept in the builder's own store.
4. `memory`: an image of more than 1 GB, built and written as an archive; the most memory that jettison, its sandbox and the program
   in it held together (the sum of their proportional set sizes).
5. Builders take turns within every repetition, in an order that rotates; ratios are medians of those of neighbours.

The peers are the machine's dockerd and buildah, and, where --peer-root is given, the current BuildKit of tests/dockerfile/peer.py.
Needs root and Debian's docker.io, buildah, runc, docker-registry and mmdebstrap.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "dockerfile"))
import peer  # noqa: E402
from native import Projects, free_port, machine, make_base, misses  # noqa: E402
from peers import DOCKERFILE, HERE, Buildah, CurrentDocker, Daemon, Docker, Jettison, Registry, answers, run  # noqa: E402

# Ratio to the slowest acceptable result, as the project has promised.
BARS = {"cold": 1, "nothing": 5, "code": 5, "archive": 5, "context": 10}
MEMORY_BAR = 200_000_000
FILES, BYTES = 16_000, 400_000_000
CONTEXT = "ARG BASE\nFROM ${BASE}\nWORKDIR /app\nCOPY requirements.txt .\nCOPY . .\nCMD [\"python\", \"main.py\"]\n"
LARGE = "ARG BASE\nFROM ${BASE}\nCOPY . /app\nRUN dd if=/dev/urandom of=/large bs=1M count=800 2>/dev/null\n"


class Engine(Jettison):
    """jettison as it builds Dockerfiles."""

    def __init__(self, work, registry, program, mirror):
        super().__init__(work, registry, program, mirror)
        self.pid = None
        self.seed, self.base = os.path.join(self.root, "seed"), f"{registry.address}/base:1"
        # Steps reach the mirror as they do elsewhere: by the configuration of the base.
        del self.env["http_proxy"], self.env["no_proxy"]

    def jettison(self, *argv, store=None):
        process = subprocess.Popen(
            [self.program, *argv, "--store", store or self.store, "-q"],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = process.pid
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.peak = max(self.peak, usage.ru_maxrss * 1024)
        if process.returncode != 0:
            raise RuntimeError(f"jettison {' '.join(argv)}: exit status {process.returncode}\n{output[-4000:]}")
        return output

    def options(self, dockerfile):
        return ["--network=host", "--insecure-registry", self.registry.address, "-f", dockerfile, "--build-arg", f"BASE={self.base}"]

    def prepare(self, base_tar):
        """The base image, unpacked, in a store that every cold build begins with; the peers have theirs like this too."""
        layout = os.path.join(self.root, "base.oci")
        config = os.path.join(self.root, "base")
        os.makedirs(config)
        with open(os.path.join(config, "Dockerfile"), "w", encoding="utf-8") as file:
            file.write("FROM scratch\nADD base.tar /\n")
        os.link(base_tar, os.path.join(config, "base.tar"))
        self.jettison("build", "-f", os.path.join(config, "Dockerfile"), "-t", self.base, config, store=self.seed)
        with open(os.path.join(config, "Dockerfile"), "w", encoding="utf-8") as file:
            file.write(f"FROM {self.base}\nRUN true\n")
        os.remove(os.path.join(config, "base.tar"))
        self.jettison("build", "-f", os.path.join(config, "Dockerfile"), "-o", f"type=oci,dest={layout}", config, store=self.seed)
        self.peak = 0
        self.forget()

    def forget(self):
        shutil.rmtree(self.store, ignore_errors=True)
        run(["cp", "-a", "--reflink=auto", self.seed, self.store])

    def build(self, project, name, dockerfile=DOCKERFILE, push=True):
        pushing = ["--push"] if push else []
        self.jettison("build", *self.options(dockerfile), "-t", name, *pushing, project)

    def archive(self, project, name, path, dockerfile=DOCKERFILE):
        """Builds, and writes an OCI archive."""
        self.jettison("build", *self.options(dockerfile), "-o", f"type=oci,dest={path}", project)


class Measurement:
    """All scenarios for all builders; the result is `{scenario: {builder: [seconds]}}`."""

    def __init__(self, builders, registry, work):
        self.builders, self.registry, self.work = builders, registry, work
        self.projects, self.seconds = Projects(work), {}
        # A copy, since the current BuildKit sees nothing else.
        self.dockerfile = shutil.copy(DOCKERFILE, os.path.join(work, "Dockerfile"))

    def turns(self, repetition):
        """The builders, each time from another one on."""
        cut = repetition % len(self.builders)
        return self.builders[cut:] + self.builders[:cut]

    def name(self, builder, repository="app"):
        return f"{self.registry.address}/{builder.name.split()[-1].lower()}-{self.builders.index(builder)}/{repository}:v1"

    def build(self, builder, project, push=True):
        builder.build(project, self.name(builder), self.dockerfile, push)

    def note(self, scenario, builder, build):
        start = time.perf_counter()
        build()
        seconds = time.perf_counter() - start
        self.seconds.setdefault(scenario, {}).setdefault(builder.name, []).append(seconds)
        print(f"  {scenario:<8} {builder.name:<18} {seconds:8.3f} s", file=sys.stderr, flush=True)

    def cold(self, repetitions):
        for builder in self.builders:
            self.build(builder, self.projects.fresh(builder))
        for repetition in range(repetitions):
            for builder in self.turns(repetition):
                builder.forget()
                self.registry.wipe()
                project = self.projects.fresh(builder)
                self.note("cold", builder, lambda b=builder, p=project: self.build(b, p))

    def warm(self, repetitions):
        self.registry.wipe()
        for builder in self.builders:
            self.build(builder, self.projects.fresh(builder))
        for repetition in range(repetitions):
            for builder in self.turns(repetition):
                self.note("nothing", builder, lambda b=builder: self.build(b, self.projects.path(b), push=False))
            for builder in self.turns(repetition):
                self.projects.append(builder, "main.py", f"# revision {repetition}")
                self.note("code", builder, lambda b=builder: self.build(b, self.projects.path(b)))
            for builder in self.turns(repetition):
                if hasattr(builder, "archive"):
                    self.projects.append(builder, "main.py", f"# archived {repetition}")
                    path = os.path.join(self.work, "archive.tar")
                    arguments = [self.projects.path(builder), self.name(builder), path, self.dockerfile]
                    self.note("archive", builder, lambda b=builder, a=arguments: b.archive(*a))
                    os.remove(path)

    def context(self, repetitions):
        """The large context; it is one directory for all, so that the page cache favours none."""
        project = os.path.join(self.work, "context")
        fill(project)
        dockerfile = self.write("context.Dockerfile", CONTEXT)
        for builder in self.builders:
            builder.build(project, self.name(builder, "context"), dockerfile, push=False)
        for repetition in range(repetitions):
            for builder in self.turns(repetition):
                with open(os.path.join(project, "main.py"), "a", encoding="utf-8") as file:
                    file.write(f"# revision {repetition} for {builder.name}\n")
                name = self.name(builder, "context")
                self.note("context", builder, lambda b=builder, n=name: b.build(project, n, dockerfile, push=False))

    def memory(self):
        """The most memory that jettison needs for an image of more than 1 GB."""
        dockerfile = self.write("large.Dockerfile", LARGE)
        project, path = os.path.join(self.work, "context"), os.path.join(self.work, "large.tar")
        for builder in self.builders:
            if isinstance(builder, Engine):
                options = builder.options(dockerfile)
                with Together(builder) as together:
                    builder.jettison("build", *options, "-o", f"type=oci,dest={path}", project)
                return together.peak, os.path.getsize(path)
        return None

    def write(self, name, text):
        path = os.path.join(self.work, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class Together:
    """The most memory that a builder's process and all below it held at once while the block ran, in bytes."""

    def __init__(self, builder):
        self.builder, self.peak, self.over = builder, 0, threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def watch(self):
        while not self.over.wait(0.02):
            if self.builder.pid:
                self.peak = max(self.peak, sum(proportional(pid) for pid in tree(self.builder.pid)))


def tree(root):
    """A process and all below it."""
    children = {}
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                parent = file.read().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(parent), []).append(pid)
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def proportional(pid):
    """A process's resident memory, of what it shares its part alone; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


def fill(project):
    """A project with a virtual environment in it: many files, half of each hard to compress."""
    source = random.Random(16)
    os.makedirs(project)
    size = BYTES // FILES
    for number in range(FILES):
        directory = os.path.join(project, ".venv", "lib", f"package{number // 100}")
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, f"module{number}.py"), "wb") as file:
            file.write(source.randbytes(size // 2) + b"def function(argument):\n    return argument\n" * (size // 88))
    shutil.copy(os.path.join(HERE, "app", "main.py"), project)
    shutil.copy(os.path.join(HERE, "app", "requirements.txt"), project)


def report(measurement, memory):
    """The lines that are printed, and the same as one value."""
    names = [builder.name for builder in measurement.builders]
    lines = [f"{'seconds':<10}" + "".join(f"{name:>28}" for name in names)]
    rows, kept = {}, True
    for scenario, of in measurement.seconds.items():
        cells = ""
        for name in names:
            times = of.get(name)
            text = f"{statistics.median(times):.3f} ({min(times):.3f}-{max(times):.3f})" if times else ""
            cells += text.rjust(28)
        lines.append(f"{scenario:<10}{cells}")
        rows[scenario] = {"seconds": of}
    lines.append("")
    for scenario, of in measurement.seconds.items():
        for name in names:
            if name != Engine.name and Engine.name in of and name in of:
                ratio = statistics.median(theirs / our for theirs, our in zip(of[name], of[Engine.name], strict=True))
                kept &= ratio >= BARS[scenario]
                verdict = "" if ratio >= BARS[scenario] else "  BELOW"
                lines.append(f"{scenario}: {ratio:.1f} times as fast as {name} (promised: {BARS[scenario]}){verdict}")
                rows[scenario].setdefault("ratios", {})[name] = ratio
    if memory:
        peak, size = memory
        kept &= peak < MEMORY_BAR
        verdict = "" if peak < MEMORY_BAR else "  ABOVE"
        lines.append(
            f"memory: {peak / 1e6:.0f} MB for an archive of {size / 1e6:.0f} MB (promised: {MEMORY_BAR / 1e6:.0f}){verdict}"
        )
    return lines, {"scenarios": rows, "memory": memory, "bars_kept": kept}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jettison", help="the release binary; without it only the peers are measured")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--cold-repetitions", type=int, default=3)
    parser.add_argument("--context-repetitions", type=int, default=3)
    parser.add_argument("--peers", default="docker,buildah", help="which peers, default: %(default)s")
    parser.add_argument("--peer-root", help="where the current BuildKit lives, or is put")
    parser.add_argument("--suite", default="trixie", help="the Debian suite of the stand-in base, default: %(default)s")
    parser.add_argument("--debian", default="http://deb.debian.org/debian", help="the Debian mirror, default: %(default)s")
    parser.add_argument("--index", default="https://pypi.org/simple", help="the package index, default: %(default)s")
    parser.add_argument("--cache", help="where the mirror keeps what it fetched from one run to the next")
    parser.add_argument("--only", default="cold,warm,context,memory", help="which scenarios, default: %(default)s")
    parser.add_argument("--json", help="write the numbers to this file")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is not kept")
    options = parser.parse_args()

    tools = ["/usr/sbin/dockerd", "buildah", "runc", "docker-registry", "mmdebstrap"]
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing or os.geteuid() != 0:
        parser.error(f"needs root and {', '.join(missing) or 'nothing else'}")

    # Short, since sockets live below it.
    work = tempfile.mkdtemp(prefix="jb-", dir="/var/tmp")
    running = []
    try:
        mirror = f"http://127.0.0.1:{free_port()}"
        cache = options.cache or os.path.join(work, "mirror")
        argv = [sys.executable, os.path.join(HERE, "mirror.py"), mirror.rsplit(":", 1)[1], cache, options.index]
        running.append(Daemon(argv, os.path.join(work, "mirror.log"), lambda: answers(f"{mirror}/stats")))
        print("making the base image ...", file=sys.stderr)
        base_tar = make_base(work, mirror, options.suite, options.debian)
        registry = Registry(work, free_port())
        running.append(registry)
        builders = [Engine(work, registry, options.jettison, mirror)] if options.jettison else []
        wanted = [name for name in options.peers.split(",") if name]
        builders += [{"docker": Docker, "buildah": Buildah}[name](work, registry) for name in wanted]
        if options.peer_root:
            peer.make(options.peer_root)
            place = os.path.join(work, "current")
            os.makedirs(place)
            current = CurrentDocker(place, registry, peer.Machine(options.peer_root, work, registry.address))
            builders.append(current)
        for builder in builders:
            running.append(builder)
            builder.prepare(base_tar)
        measurement, memory = Measurement(builders, registry, work), None
        scenarios = options.only.split(",")
        before = misses(mirror)
        if "cold" in scenarios:
            measurement.cold(options.cold_repetitions)
        if "warm" in scenarios:
            measurement.warm(options.repetitions)
        if "context" in scenarios or "memory" in scenarios:
            measurement.context(options.context_repetitions)
        if "memory" in scenarios:
            memory = measurement.memory()
        lines, values = report(measurement, memory)
        values["machine"], values["versions"] = machine(), [builder.version() for builder in builders]
        values["outside"] = [after - earlier for after, earlier in zip(misses(mirror), before, strict=True)]
        print(f"{values['machine']}; {', '.join(values['versions'])}")
        print(f"base: Debian {options.suite} (minbase) with its Python, pip, venv and headers, there before the clock runs\n")
        print("\n".join(lines))
        if options.json:
            with open(options.json, "w", encoding="utf-8") as file:
                json.dump(values, file, indent=1)
        return 1 if options.check and not values["bars_kept"] else 0
    finally:
        for process in reversed(running):
            process.stop()
        # What a daemon mounted and did not unmount would keep its directory busy.
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line.split()[4] for line in file]
        for mount in sorted((mount for mount in mounts if mount.startswith(work + "/")), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
